"""`contrast`: how groups differ in a parameter, according to a posterior."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from hierrl.contrast.differences import differences
from hierrl.contrast.intervals import Rope, interval_of, regions_of, share_inside
from hierrl.data.table import nearest
from hierrl.fits import check_fit, model_of

FloatArray = npt.NDArray[np.float64]


def contrast(
    posterior: xr.DataTree,
    parameter: str,
    covariate: str,
    *,
    within: str | None = None,
    interval: Literal["eti", "hdi"] = "eti",
    prob: float = 0.95,
    rope: Rope = None,
) -> pd.DataFrame:
    r"""Differences between groups in the population of a parameter, for all pairs of levels of a covariate.

    For levels a and b, the second minus the first, of three quantities: the population **median**
    :math:`\mathrm{link}^{-1}(\mu)` (a typical subject of the group) and the population **mean**
    :math:`E[\mathrm{link}^{-1}(\theta)]` (the average over its subjects), which differ wherever subjects do,
    and **mu**, the population mean on the link scale. Where the formula has further categorical covariates,
    their levels count alike; `within` keeps those of one covariate apart. Numeric covariates are at their
    mean. A numeric `covariate` gives its slope. Groups with spreads of their own (``spread_by``) are contrasted
    in **log_sigma** too, the logarithm of the standard deviation between subjects on the link scale: its
    difference is the log ratio of spreads.

    Parameters
    ----------
    posterior : DataTree
        From `fit_posterior`, with a formula that names the covariate for this parameter.
    parameter : str
        A parameter (``"alpha"``; per arm, all arms), one arm's (``"alpha[A]"``), or a slope within subjects
        (``"alpha:drug[on]"``: does the drug change the rate of one group more than that of another?).
    covariate : str
        A covariate of that formula, of subjects or of sessions.
    within : str, optional
        Another categorical covariate: contrasts within each of its levels.
    interval : {"eti", "hdi"}
        Equal-tailed interval, or highest-density interval (the narrowest).
    prob : float
        Probability of the interval, in (0, 1).
    rope : float, (float, float) or mapping, optional
        Region of practical equivalence: differences that are as good as none. A number r means (-r, r); it
        holds on the natural scale, for median and mean (for a slope, its only quantity: mu). A mapping gives each
        quantity its own: ``{"mean": 0.02, "mu": (-0.1, 0.1)}``.

    Returns
    -------
    DataFrame
        One row per contrast and quantity. ``parameter``, ``contrast`` (``"young - old"``), ``at`` (what the
        contrast holds for), ``quantity`` (``"median"``, ``"mean"``, ``"mu"``), ``scale``; of the difference's
        posterior: ``mean``, ``sd``, the ends of the interval under its name (``eti95_low``, ``eti95_high``),
        and the probability of direction ``p_direction``, the larger one of P(difference > 0) and P(< 0); with
        `rope`, ``p_rope``, the probability that the difference lies in that region (NaN for quantities without).
        Natural scales are in raw reward units; ``attrs["interval"]`` names the interval.

    Raises
    ------
    TypeError
        If `posterior` is not a fit.
    ValueError
        If it has no population (a point fit), the parameter or covariate is not in it, the parameter's
        formula does not depend on the covariate, or `rope` is no region.

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
    ends, name = interval_of(interval, prob), f"{interval}{100 * prob:g}"
    found = [
        ({"parameter": label, **place, "scale": scale}, draws)
        for label in _labels(population, parameter)
        for place, draws, scale in differences(
            population, label, covariate, within=within, link=_link(posterior, label)
        )
    ]
    regions = regions_of(rope, {row["quantity"] for row, _ in found})
    rows = [
        row
        | _summary(draws, ends, name)
        | ({} if rope is None else {"p_rope": share_inside(draws, regions.get(row["quantity"]))})
        for row, draws in found
    ]
    table = pd.DataFrame(rows)
    table.attrs["interval"] = f"{100 * prob:g} % {interval.upper()}"
    return table


def _link(posterior: xr.DataTree, label: str) -> str:
    """Link of a parameter (``alpha``, ``alpha[A]``), or of what a slope is of (``alpha:drug[on]``)."""
    return model_of(posterior).parameter(re.split(r"[\[:]", label)[0]).link


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
