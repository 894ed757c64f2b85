"""What posteriors say about the population: groups with intervals, and their differences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from hierrl.contrast import contrast
from hierrl.fits import model_of, settings_of
from hierrl.formulas.cells import EVERYBODY, levels_of
from hierrl.formulas.reading import covariates_of, parse
from hierrl.report.parts import Table, certainty, fixed, number, span, table
from hierrl.summary import population_table
from hierrl.summary.intervals import HIGH, LOW, NAME

LOW, HIGH = LOW.lstrip("_"), HIGH.lstrip("_")
HEADLINES = 12
"""Sentences on differences that a summary has room for."""


@dataclass(frozen=True)
class PopulationPart:
    """The population of one posterior."""

    name: str
    model: str
    typical: Table
    contrasts: Table | None
    numbers: Table
    covariates: tuple[str, ...]
    sentences: tuple[str, ...]
    """What to take home."""


def population_part(name: str, fit: xr.DataTree, model: str) -> PopulationPart:
    """Tell the population of a posterior."""
    numbers = population_table(fit)
    found = contrasts_of(fit)
    return PopulationPart(
        name=name,
        model=model,
        typical=_typical(name, numbers),
        contrasts=None if found.empty else _differences(name, found),
        numbers=_numbers(name, numbers),
        covariates=tuple(covariates_in(fit)),
        sentences=tuple([*_medians(numbers), *_in_words(found)]),
    )


def covariates_in(fit: xr.DataTree) -> list[str]:
    """Covariates of the formulas of a posterior."""
    formulas = dict(settings_of(fit).get("formula") or {})
    return list(dict.fromkeys(name for text in formulas.values() for name in covariates_of(parse(text))))


def group_of(fit: xr.DataTree) -> str | None:
    """The one categorical covariate of the subjects in the formulas; None if there is none, or more than one."""
    cells = fit["population"].to_dataset()["cell"].values if "population" in fit.children else []
    data = fit["constant_data"].to_dataset()
    names = {name for cell in cells for name in levels_of(str(cell)) if data[name].dims == ("subject",)}
    return names.pop() if len(names) == 1 else None


def contrasts_of(fit: xr.DataTree) -> pd.DataFrame:
    """All contrasts that the formulas allow, of every parameter with every covariate of its own formula."""
    formulas = dict(settings_of(fit).get("formula") or {})
    found = [
        contrast(fit, parameter, covariate)
        for parameter, text in formulas.items()
        if parameter in model_of(fit).names
        for covariate in dict.fromkeys(covariates_of(parse(text)))
    ]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def _typical(name: str, numbers: pd.DataFrame) -> Table:
    """Median, mean and spread of each parameter in each cell, on the natural scale."""
    medians = numbers.loc[numbers["quantity"] == "median"]
    means = numbers.loc[numbers["quantity"] == "mean"].set_index(["parameter", "of"])
    rows = []
    for parameter, part in medians.groupby("parameter", sort=False):
        same = part["estimate"].nunique() == 1
        for row in part.head(1).itertuples() if same else part.itertuples():
            place = (parameter, row.of)
            mean = means.loc[place] if place in means.index and not same else None
            if same and (parameter, row.of) in means.index:
                alike = means.loc[parameter]["estimate"].nunique() == 1
                mean = means.loc[place] if alike else None
            rows.append(
                (
                    str(parameter),
                    spoken(EVERYBODY if same else str(row.of)),
                    float(row.estimate),
                    span(getattr(row, LOW), getattr(row, HIGH)),
                    np.nan if mean is None else float(mean["estimate"]),
                    "" if mean is None else span(mean[LOW], mean[HIGH]),
                )
            )
    heads = ("parameter", "group", "typical subject", f"{NAME}", "average subject", f"{NAME} ")
    return table(f"{name}: the population, in the units of the data", heads, rows)


def spoken(cell: str) -> str:
    """A cell without the names of its covariates."""
    levels = levels_of(cell)
    return ", ".join(levels.values()) if levels else "everybody"


def _differences(name: str, found: pd.DataFrame) -> Table:
    shown = {
        "median": "typical subject",
        "mean": "average subject",
        "mu": "link scale",
        "log_sigma": "spread",
    }
    rows = []
    for row in found.itertuples():
        if row.quantity == "mu" and row.contrast.count(" - ") and _has_natural(found, row):
            continue  # the same on another scale; it is in the full table
        rows.append(
            (
                str(row.parameter),
                f"{row.contrast}{f' ({row.at})' if row.at else ''}".replace(" - ", " − "),
                shown[str(row.quantity)],
                float(row.mean),
                span(row.eti95_low, row.eti95_high),
                certainty(float(row.p_direction)),
            )
        )
    heads = ("parameter", "difference", "of the", "estimate", NAME, "P(direction)")
    return table(f"{name}: differences", heads, rows)


def _has_natural(found: pd.DataFrame, row: object) -> bool:
    same = (found["parameter"] == row.parameter) & (found["contrast"] == row.contrast)  # type: ignore[attr-defined]
    return bool((found.loc[same, "quantity"] == "median").any())


def _numbers(name: str, numbers: pd.DataFrame) -> Table:
    """Every number of the population with its diagnostics."""
    rows = [
        (
            str(row.quantity),
            str(row.parameter),
            spoken(str(row.of)) if row.quantity in ("median", "mean") else str(row.of),
            float(row.estimate),
            float(row.sd),
            span(getattr(row, LOW), getattr(row, HIGH)),
            fixed(float(row.rhat), 3),
            fixed(float(row.ess_bulk), 0),
        )
        for row in numbers.itertuples()
    ]
    heads = ("quantity", "parameter", "of", "estimate", "sd", NAME, "R-hat", "effective draws")
    return table(f"{name}: all numbers of the population", heads, rows)


def _medians(numbers: pd.DataFrame) -> Iterator[str]:
    """The typical subject of each parameter, in a sentence."""
    medians = numbers.loc[numbers["quantity"] == "median"]
    slope = re.compile(":")
    for parameter, part in medians.groupby("parameter", sort=False):
        if slope.search(str(parameter)):
            continue
        part = part.head(1).assign(of=EVERYBODY) if part["estimate"].nunique() == 1 else part
        told = [
            f"{number(row.estimate)} ({NAME} {span(getattr(row, LOW), getattr(row, HIGH))})"
            + ("" if row.of == EVERYBODY else f" in {spoken(str(row.of))}")
            for row in part.itertuples()
        ]
        yield f"{parameter} of a typical subject: {'; '.join(told)}."


def _in_words(found: pd.DataFrame) -> Iterator[str]:
    """Differences of typical subjects, in sentences."""
    if found.empty:
        return
    medians = found.loc[found["quantity"] == "median"].head(HEADLINES)
    for row in medians.itertuples():
        excluded = row.eti95_low > 0 or row.eti95_high < 0
        where = f" ({row.at})" if row.at else ""
        yield (
            f"{row.parameter}, {str(row.contrast).replace(' - ', ' minus ')}{where}: {number(row.mean)} ({NAME} "
            f"{span(row.eti95_low, row.eti95_high)}, which {'excludes' if excluded else 'includes'} 0; probability of "
            f"direction {certainty(float(row.p_direction))})."
        )
