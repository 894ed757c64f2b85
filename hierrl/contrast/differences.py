"""Differences between cells of a population, draw by draw."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import combinations

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.formulas.cells import levels_of
from hierrl.formulas.reading import INTERCEPT

FloatArray = npt.NDArray[np.float64]

SLOPE = "mu"
"""The one quantity of a numeric covariate."""

DIFFERENCE_OF_LINKS = {"logit": "log odds ratio", "log": "log ratio", "identity": "difference"}

Difference = tuple[dict[str, str], FloatArray, str]


def differences(
    population: xr.Dataset, label: str, covariate: str, *, within: str | None, link: str
) -> Iterator[Difference]:
    """What is contrasted in the parameter `label`, draws of the difference, and the scale it is on."""
    cells = [levels_of(str(cell)) for cell in population["cell"].values]
    one = population.sel(parameter=label)
    if covariate in cells[0]:
        within = _checked_within(within, covariate, list(cells[0]))
        spreads = list(_of_spreads(one, covariate))
        if spreads and not _depends(one, cells, covariate):
            # Where medians are alike, spreads alone make the means differ.
            yield from _of_cells({"mean": (one["mean"], "natural")}, cells, covariate, within=within)
        else:
            _check_dependence(one, cells, covariate)
            yield from _of_cells(_quantities(one, link), cells, covariate, within=within)
        yield from spreads
        return
    place = {"contrast": f"{covariate} + 1", "at": "", "quantity": SLOPE}
    yield place, _slopes(population, label, covariate), f"link ({DIFFERENCE_OF_LINKS[link]})"


def _checked_within(within: str | None, covariate: str, categorical: list[str]) -> str | None:
    if within is not None and (within not in categorical or within == covariate):
        others = [name for name in categorical if name != covariate]
        raise ValueError(
            f"within={within!r} must be another categorical covariate of the formula; "
            f"found besides {covariate!r}: {', '.join(others) or 'none'}."
        )
    return within


def _quantities(population: xr.Dataset, link: str) -> dict[str, tuple[xr.DataArray, str]]:
    """What cells are contrasted in, by (chain, draw, cell), and its scale; slopes have no natural scale."""
    on_link = f"link ({DIFFERENCE_OF_LINKS[link]})"
    if population["parameter"].item() in json.loads(population.attrs.get("slopes", "[]")):
        return {"mu": (population["median"], on_link)}
    return {
        "median": (population["median"], "natural"),
        "mean": (population["mean"], "natural"),
        "mu": (_to_link(population["median"], link), on_link),
    }


def _of_cells(
    quantities: dict[str, tuple[xr.DataArray, str]],
    cells: list[dict[str, str]],
    covariate: str,
    *,
    within: str | None,
) -> Iterator[Difference]:
    """Differences between all pairs of levels, averaged over other covariates."""
    others = [
        name
        for name in cells[0]
        if name not in (covariate, within)
        and any(_varies(values, cells, name) for values, _ in quantities.values())
    ]
    averaged = f"averaged over {', '.join(others)}" if others else ""
    levels = list(dict.fromkeys(cell[covariate] for cell in cells))
    for where in dict.fromkeys(cell[within] if within else "" for cell in cells):
        at = ", ".join(part for part in (f"{within}={where}" if within else "", averaged) if part)
        for first, second in combinations(levels, 2):
            for quantity, (values, scale) in quantities.items():
                sides = [
                    _side(values, cells, {covariate: level} | ({within: where} if within else {}))
                    for level in (first, second)
                ]
                place = {"contrast": f"{second} - {first}", "at": at, "quantity": quantity}
                yield place, sides[1] - sides[0], scale


def _of_spreads(population: xr.Dataset, covariate: str) -> Iterator[Difference]:
    """Differences between log standard deviations of groups, if these have their own."""
    sigma = population["sigma"]
    if "group" not in sigma.dims or sigma.attrs.get("spread_by") != covariate:
        return
    for first, second in combinations(sigma["group"].values, 2):
        sides = [
            np.log(sigma.sel(group=one).transpose("chain", "draw").values.ravel()) for one in (first, second)
        ]
        place = {"contrast": f"{second} - {first}", "at": "", "quantity": "log_sigma"}
        yield place, sides[1] - sides[0], "link (log ratio of spreads)"


def _side(values: xr.DataArray, cells: list[dict[str, str]], wanted: dict[str, str]) -> FloatArray:
    """Draws (D,) of a quantity averaged over the cells with the wanted levels."""
    index = [k for k, cell in enumerate(cells) if wanted.items() <= cell.items()]
    return values.isel(cell=index).mean("cell").transpose("chain", "draw").values.ravel()


def _depends(population: xr.Dataset, cells: list[dict[str, str]], covariate: str) -> bool:
    """Whether the parameter's median differs between levels of a covariate."""
    return _varies(population["median"], cells, covariate)


def _varies(values: xr.DataArray, cells: list[dict[str, str]], covariate: str) -> bool:
    """Whether a quantity differs between levels of a covariate, all else alike."""
    by_cell = values.transpose("cell", ...).values
    return any(
        cells[one] | {covariate: ""} == cells[other] | {covariate: ""}
        and (by_cell[one] != by_cell[other]).any()
        for one, other in combinations(range(len(cells)), 2)
    )


def _check_dependence(population: xr.Dataset, cells: list[dict[str, str]], covariate: str) -> None:
    if _depends(population, cells, covariate):
        return
    label = population["parameter"].item()
    name = label.partition("[")[0]
    raise ValueError(
        f"The population of {label!r} does not depend on {covariate!r}: the formula of {name!r} lacks it. "
        f"Fit again with formula={{{name!r}: '1 + {covariate}'}}."
    )


def _to_link(median: xr.DataArray, link: str) -> xr.DataArray:
    """mu of each cell: the median is its image."""
    if link == "identity":
        return median
    values = median.values
    return median.copy(data=np.log(values) - (np.log1p(-values) if link == "logit" else 0.0))


def _slopes(population: xr.Dataset, label: str, covariate: str) -> FloatArray:
    """Draws (D,) of the coefficient of a numeric covariate: of subjects, or of sessions."""
    of_sessions = f"{label}:{covariate}"
    place = {"parameter": label, "coefficient": covariate}
    if of_sessions in population["parameter"].values:
        place = {"parameter": of_sessions, "coefficient": INTERCEPT}
    if place["coefficient"] in population["coefficient"].values:
        draws = population["mu"].sel(place).transpose("chain", "draw").values.ravel()
        if not np.isnan(draws).all():
            return draws
    known = ", ".join(_covariates(population)) or "none: its formula was '1' for every parameter"
    raise ValueError(
        f"{covariate!r} is not a covariate of this population (it has {known}). "
        f"Fit again with it in the formula, such as formula={{'<parameter>': '1 + {covariate}'}}."
    )


def _covariates(population: xr.Dataset) -> list[str]:
    """Categorical covariates, then numeric ones of subjects and of sessions."""
    of_sessions = (str(label).partition(":")[2] for label in population["parameter"].values)
    of_subjects = (str(name) for name in population["coefficient"].values if name != INTERCEPT)
    numeric = [name for name in (*of_subjects, *of_sessions) if name and "[" not in name]
    return list(dict.fromkeys([*levels_of(str(population["cell"].values[0])), *numeric]))
