"""`contrast`: how groups differ in a parameter, according to a posterior."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from hierrl.data.table import nearest
from hierrl.fits import check_fit, model_of
from hierrl.formulas.cells import levels_of

FloatArray = npt.NDArray[np.float64]

DIFFERENCE_OF_LINKS = {"logit": "log odds ratio", "log": "log ratio", "identity": "difference"}


def contrast(
    posterior: xr.DataTree,
    parameter: str,
    covariate: str,
    *,
    within: str | None = None,
    interval: Literal["eti", "hdi"] = "eti",
    prob: float = 0.95,
) -> pd.DataFrame:
    r"""Differences between groups in the population of a parameter, for all pairs of levels of a covariate.

    For levels a and b, the second minus the first, of three quantities: the population **median**
    :math:`\mathrm{link}^{-1}(\mu)` (a typical subject of the group) and the population **mean**
    :math:`E[\mathrm{link}^{-1}(\theta)]` (the average over its subjects), which differ wherever subjects do,
    and **mu**, the population mean on the link scale. Where the formula has further categorical covariates,
    their levels count alike; `within` keeps those of one covariate apart. Numeric covariates are at their
    mean. A numeric `covariate` gives its slope.

    Parameters
    ----------
    posterior : DataTree
        From `fit_posterior`, with a formula that names the covariate for this parameter.
    parameter : str
        A parameter (``"alpha"``; per arm, all arms), or one arm's (``"alpha[A]"``).
    covariate : str
        A covariate of that formula.
    within : str, optional
        Another categorical covariate: contrasts within each of its levels.
    interval : {"eti", "hdi"}
        Equal-tailed interval, or highest-density interval (the narrowest).
    prob : float
        Probability of the interval, in (0, 1).

    Returns
    -------
    DataFrame
        One row per contrast and quantity. ``parameter``, ``contrast`` (``"young - old"``), ``at`` (what the
        contrast holds for), ``quantity`` (``"median"``, ``"mean"``, ``"mu"``), ``scale``; of the difference's
        posterior: ``mean``, ``sd``, the ends of the interval under its name (``eti95_low``, ``eti95_high``),
        and the probability of direction ``p_direction``, the larger one of P(difference > 0) and P(< 0).
        Natural scales are in raw reward units; ``attrs["interval"]`` names the interval.

    Raises
    ------
    TypeError
        If `posterior` is not a fit.
    ValueError
        If it has no population (a point fit), the parameter or covariate is not in it, or the parameter's
        formula does not depend on the covariate.

    Notes
    -----
    Do not test differences of the subjects' posterior means instead (t-tests and correlations on shrunken
    estimates): they are pulled together, and their uncertainty is lost.

    Examples
    --------
    >>> import hierrl as hr
    >>> post = hr.load("posterior.nc")  # doctest: +SKIP
    >>> hr.contrast(post, "alpha", "age_group")  # doctest: +SKIP
    """
    population = population_of(posterior)
    ends = interval_of(interval, prob)
    labels = _labels(population, parameter)
    rows = []
    for label in labels:
        link = model_of(posterior).parameter(label.partition("[")[0]).link
        one = population.sel(parameter=label)
        for place, draws, scale in _differences(one, covariate, within, link=link):
            rows.append(
                {
                    "parameter": label,
                    **place,
                    "scale": scale,
                    **_summary(draws, ends, f"{interval}{100 * prob:g}"),
                }
            )
    table = pd.DataFrame(rows)
    table.attrs["interval"] = f"{100 * prob:g} % {interval.upper()}"
    return table


def population_of(posterior: xr.DataTree) -> xr.Dataset:
    """The group ``population`` of a posterior."""
    check_fit(posterior)
    if "population" not in posterior.children:
        raise ValueError(
            "This is about the population, and this fit has none: it holds a point estimate for each subject. "
            "Fit a posterior: hr.fit_posterior(model, data, formula={'<parameter>': '1 + <covariate>'})."
        )
    return posterior["population"].to_dataset()


def _labels(population: xr.Dataset, parameter: str) -> list[str]:
    known = [str(label) for label in population["parameter"].values]
    found = [label for label in known if parameter in (label, label.partition("[")[0])]
    if not found:
        raise ValueError(
            f"There is no parameter {parameter!r} in this population.{nearest(parameter, known)} "
            f"It has {', '.join(known)}."
        )
    return found


Difference = tuple[dict[str, str], FloatArray, str]


def _differences(
    population: xr.Dataset, covariate: str, within: str | None, *, link: str
) -> Iterator[Difference]:
    """What is contrasted, draws of the difference, and the scale it is on."""
    cells = [levels_of(str(cell)) for cell in population["cell"].values]
    categorical = list(cells[0])
    if covariate in categorical:
        yield from _of_groups(
            population, cells, covariate, within=_checked_within(within, covariate, categorical), link=link
        )
        return
    slopes = _slopes(population, covariate)
    if slopes is None:
        numeric = [
            str(name)
            for name in population["coefficient"].values
            if "[" not in str(name) and name != "Intercept"
        ]
        known = ", ".join([*categorical, *numeric]) or "none: its formula was '1' for every parameter"
        raise ValueError(
            f"{covariate!r} is not a covariate of this population (it has {known}). "
            f"Fit again with it in the formula, such as formula={{'<parameter>': '1 + {covariate}'}}."
        )
    place = {"contrast": f"{covariate} + 1", "at": "", "quantity": "mu"}
    yield place, slopes, f"link ({DIFFERENCE_OF_LINKS[link]})"


def _checked_within(within: str | None, covariate: str, categorical: list[str]) -> str | None:
    if within is not None and (within not in categorical or within == covariate):
        others = [name for name in categorical if name != covariate]
        raise ValueError(
            f"within={within!r} must be another categorical covariate of the formula; "
            f"found besides {covariate!r}: {', '.join(others) or 'none'}."
        )
    return within


def _of_groups(
    population: xr.Dataset, cells: list[dict[str, str]], covariate: str, *, within: str | None, link: str
) -> Iterator[Difference]:
    _check_dependence(population, cells, covariate)
    others = [name for name in cells[0] if name not in (covariate, within)]
    averaged = f"averaged over {', '.join(others)}" if others else ""
    quantities = {
        "median": (population["median"], "natural"),
        "mean": (population["mean"], "natural"),
        "mu": (_to_link(population["median"], link), f"link ({DIFFERENCE_OF_LINKS[link]})"),
    }
    levels = list(dict.fromkeys(cell[covariate] for cell in cells))
    for where in dict.fromkeys(cell[within] if within else "" for cell in cells):
        at = ", ".join(part for part in (f"{within}={where}" if within else "", averaged) if part)
        for first, second in combinations(levels, 2):
            for quantity, (values, scale) in quantities.items():
                sides = [
                    _side(values, cells, {covariate: level} | ({within: where} if within else {}))
                    for level in (first, second)
                ]
                yield (
                    {"contrast": f"{second} - {first}", "at": at, "quantity": quantity},
                    sides[1] - sides[0],
                    scale,
                )


def _side(values: xr.DataArray, cells: list[dict[str, str]], wanted: dict[str, str]) -> FloatArray:
    """Draws (D,) of a quantity averaged over the cells with the wanted levels."""
    index = [k for k, cell in enumerate(cells) if wanted.items() <= cell.items()]
    return values.isel(cell=index).mean("cell").transpose("chain", "draw").values.ravel()


def _check_dependence(population: xr.Dataset, cells: list[dict[str, str]], covariate: str) -> None:
    """Raise if the parameter's median is the same at all levels of a covariate: its formula lacks it."""
    median = population["median"].transpose("cell", ...).values
    for one, other in combinations(range(len(cells)), 2):
        if (
            cells[one] | {covariate: ""} == cells[other] | {covariate: ""}
            and (median[one] != median[other]).any()
        ):
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


def _slopes(population: xr.Dataset, covariate: str) -> FloatArray | None:
    """Draws (D,) of the coefficient of a numeric covariate, if there is one."""
    if covariate not in population["coefficient"].values:
        return None
    draws = population["mu"].sel(coefficient=covariate).transpose("chain", "draw").values.ravel()
    return None if np.isnan(draws).all() else draws


def interval_of(interval: str, prob: float) -> Callable[[FloatArray], tuple[float, float]]:
    """A function from draws (D,) to the ends of their interval."""
    if not 0 < prob < 1:
        raise ValueError(f"prob= is the probability of the interval, between 0 and 1; found {prob!r}.")
    if interval == "eti":
        return lambda draws: equal_tailed(draws, prob)
    if interval == "hdi":
        return lambda draws: highest_density(draws, prob)
    raise ValueError(f"interval={interval!r} is not one of ('eti', 'hdi').")


def equal_tailed(draws: FloatArray, prob: float) -> tuple[float, float]:
    """Quantiles that leave (1 - prob) / 2 on both sides."""
    low, high = np.quantile(draws, [(1 - prob) / 2, (1 + prob) / 2])
    return float(low), float(high)


def highest_density(draws: FloatArray, prob: float) -> tuple[float, float]:
    """The narrowest interval that holds a share `prob` of the draws."""
    ordered = np.sort(draws)
    inside = min(int(np.floor(prob * ordered.size)), ordered.size - 1)
    width = ordered[inside:] - ordered[: ordered.size - inside]
    first = int(np.argmin(width))
    return float(ordered[first]), float(ordered[first + inside])


def _summary(
    draws: FloatArray, ends: Callable[[FloatArray], tuple[float, float]], name: str
) -> dict[str, Any]:
    low, high = ends(draws)
    return {
        "mean": draws.mean(),
        "sd": draws.std(ddof=1),
        f"{name}_low": low,
        f"{name}_high": high,
        "p_direction": max((draws > 0).mean(), (draws < 0).mean()),
    }
