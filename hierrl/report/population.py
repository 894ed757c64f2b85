"""What posteriors say about the population: groups with intervals, and their differences."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from hierrl.contrast import contrast, population_of
from hierrl.fits import data_of, model_of, settings_of
from hierrl.formulas.cells import EVERYBODY, levels_of
from hierrl.formulas.reading import covariates_of, parse
from hierrl.plots.groups import MOST_GROUPS
from hierrl.report.parts import Cell, Row, Table, certainty, fixed, number, records, span, table
from hierrl.report.study import covariates_shown
from hierrl.summary import population_table
from hierrl.summary.intervals import HIGH, LOW, NAME

LOW, HIGH = LOW.lstrip("_"), HIGH.lstrip("_")
OF_WHOM = {"median": "typical", "mean": "average", "mu": "(link scale)", "log_sigma": "log spread"}
TAILS = (
    "Long tail: estimates are posterior means, and a few very large draws take this one out of its own interval. Read "
    "the interval."
)
LONG_TAIL = "long tail"
"""Said of a posterior mean that a few very large draws take out of its own interval."""
SLOPE = ":"
"""In the label of a slope within subjects."""
HEADLINES = 12
"""Sentences on differences that a summary has room for."""


@dataclass(frozen=True)
class PopulationPart:
    """The population of one posterior."""

    name: str
    model: str
    typical: Table
    note: str
    contrasts: Table | None
    numbers: Table
    findings: tuple[tuple[str, str], ...]
    """What to take home: about what, and the numbers."""


def population_part(name: str, fit: xr.DataTree, model: str) -> PopulationPart:
    """Tell the population of a posterior."""
    numbers = population_table(fit)
    found, typical = contrasts_of(fit), _typical(name, numbers)
    return PopulationPart(
        name=name,
        model=model,
        typical=typical,
        note=TAILS if any(LONG_TAIL in cell.below for row in typical.rows for cell in row) else "",
        contrasts=None if found.empty else _differences(name, found),
        numbers=_numbers(name, numbers),
        findings=(*_in_words(found), *_medians(numbers)),
    )


def group_of(fit: xr.DataTree) -> str | None:
    """The one categorical covariate of the subjects in the formulas, else in the data; None if there isn't just one."""
    data = data_of(fit)
    names = {name for name in _factors(fit) if data[name].dims == ("subject",)}
    if not names:
        names = {name for name in covariates_shown(data) if _makes_groups(data[name])}
    return names.pop() if len(names) == 1 else None


def _factors(fit: xr.DataTree) -> list[str]:
    """Categorical covariates of the formulas."""
    return list(levels_of(str(population_of(fit)["cell"].values[0]))) if "population" in fit.children else []


def _makes_groups(values: xr.DataArray) -> bool:
    return (
        values.dims == ("subject",)
        and values.dtype.kind in "UOb"
        and 1 < np.unique(values).size <= MOST_GROUPS
    )


def contrasts_of(fit: xr.DataTree) -> pd.DataFrame:
    """All contrasts that the formulas allow: parameters with each covariate of their formula, slopes with groups."""
    formulas = dict(settings_of(fit).get("formula") or {})
    pairs = [
        (parameter, covariate)
        for parameter, text in formulas.items()
        if parameter in model_of(fit).names
        for covariate in dict.fromkeys(covariates_of(parse(text)))
    ]
    pairs += [(label, name) for label in _slopes(fit) for name in _factors(fit) if _differs(fit, label, name)]
    found = [contrast(fit, *pair) for pair in pairs]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def _slopes(fit: xr.DataTree) -> list[str]:
    """Labels of slopes within subjects."""
    return json.loads(population_of(fit).attrs.get("slopes", "[]"))


def _differs(fit: xr.DataTree, label: str, covariate: str) -> bool:
    """Whether a slope differs between the levels of a covariate, all else alike."""
    first = population_of(fit)["median"].sel(parameter=label).isel(chain=0, draw=0)
    found: dict[tuple[str, ...], set[float]] = {}
    for cell in map(str, first["cell"].values):
        others = tuple(level for name, level in levels_of(cell).items() if name != covariate)
        found.setdefault(others, set()).add(float(first.sel(cell=cell)))
    return any(len(values) > 1 for values in found.values())


def _typical(name: str, numbers: pd.DataFrame) -> Table:
    """Median and mean of each parameter in each cell; in one row where the groups are alike."""
    shown = numbers.loc[numbers["quantity"].isin(["median", "mean"])]
    rows = []
    for parameter, part in shown.groupby("parameter", sort=False):
        cells = list(dict.fromkeys(part["of"]))
        alike = all(
            part.loc[part["quantity"] == one, "estimate"].nunique() == 1 for one in ("median", "mean")
        )
        for cell in cells[:1] if alike else cells:
            mine = part.loc[part["of"] == cell].set_index("quantity")
            who = spoken(EVERYBODY if alike else str(cell))
            label = f"{parameter} (link scale)" if SLOPE in str(parameter) else str(parameter)
            rows.append((label, who, _with_interval(mine, "median"), _with_interval(mine, "mean")))
    heads = ("parameter", "group", "typical subject", "average subject")
    return table(f"{name}: the population in the units of the data, with {NAME}", heads, rows)


def _with_interval(rows: pd.DataFrame, quantity: str) -> Cell:
    row = rows.loc[quantity]
    outside = not row[LOW] <= row["estimate"] <= row[HIGH]
    return Cell(number(row["estimate"]), span(row[LOW], row[HIGH]) + (f", {LONG_TAIL}" if outside else ""))


def spoken(cell: str) -> str:
    """A cell without the names of its covariates."""
    levels = levels_of(cell)
    return ", ".join(levels.values()) if levels else "everybody"


def _differences(name: str, found: pd.DataFrame) -> Table:
    rows = []
    for row in records(found):
        if row["quantity"] == "mu" and _has_natural(found, row):
            continue  # the same on another scale
        if row["quantity"] == "mean" and _is_median(found, row):
            continue
        where = f" ({row['at']})" if row["at"] else ""
        rows.append(
            (
                str(row["parameter"]),
                f"{row['contrast']}{where}".replace(" - ", " − "),
                OF_WHOM[str(row["quantity"])],
                Cell(number(row["mean"]), span(row[LOW], row[HIGH])),
                Cell(certainty(float(row["p_direction"]))),
            )
        )
    heads = ("parameter", "difference", "subject", "estimate", "direction")
    return table(f"{name}: differences, with {NAME}", heads, rows)


def _has_natural(found: pd.DataFrame, row: Row) -> bool:
    same = (found["parameter"] == row["parameter"]) & (found["contrast"] == row["contrast"])
    return bool((found.loc[same, "quantity"] == "median").any())


def _is_median(found: pd.DataFrame, row: Row) -> bool:
    """Whether average and typical subject differ alike, as where the link is the identity."""
    same = (
        (found["parameter"] == row["parameter"])
        & (found["contrast"] == row["contrast"])
        & (found["at"] == row["at"])
    )
    return bool((found.loc[same & (found["quantity"] == "median"), "mean"] == row["mean"]).any())


def _numbers(name: str, numbers: pd.DataFrame) -> Table:
    """Every number of the population with its diagnostics."""
    rows = [
        (
            str(row["quantity"]),
            str(row["parameter"]),
            spoken(str(row["of"])) if row["quantity"] in ("median", "mean") else str(row["of"]),
            float(row["estimate"]),
            float(row["sd"]),
            span(row[LOW], row[HIGH]),
            fixed(float(row["rhat"]), 3),
            fixed(float(row["ess_bulk"]), 0),
        )
        for row in records(numbers)
    ]
    heads = ("quantity", "parameter", "of", "estimate", "sd", NAME, "R-hat", "effective draws")
    return table(f"{name}: all numbers of the population", heads, rows)


def _medians(numbers: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """The typical subject of each parameter."""
    medians = numbers.loc[numbers["quantity"] == "median"]
    for parameter, part in medians.groupby("parameter", sort=False):
        if SLOPE in str(parameter):
            continue  # a slope within subjects has no natural scale
        part = part.head(1).assign(of=EVERYBODY) if part["estimate"].nunique() == 1 else part
        told = [
            ("" if row["of"] == EVERYBODY else f"{spoken(str(row['of']))} ")
            + f"{number(row['estimate'])} ({NAME} {span(row[LOW], row[HIGH])})"
            for row in records(part)
        ]
        yield f"{parameter} of a typical subject:", f"{'; '.join(told)}."


def _in_words(found: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Differences between typical subjects, and slopes, which have no natural scale."""
    told = [
        row
        for row in (records(found) if len(found) else [])
        if row["quantity"] == "median" or (row["quantity"] == "mu" and not _has_natural(found, row))
    ]
    for row in told[:HEADLINES]:
        includes = "includes" if row[LOW] <= 0 <= row[HIGH] else "excludes"
        where = f" ({row['at']})" if row["at"] else ""
        scale = "" if row["quantity"] == "median" else " on the link scale"
        yield (
            f"{row['parameter']}, {str(row['contrast']).replace(' - ', ' minus ')}{where}{scale}:",
            f"{number(row['mean'])} ({NAME} {span(row[LOW], row[HIGH])}, which {includes} 0; probability of direction "
            f"{certainty(row['p_direction'])}).",
        )
