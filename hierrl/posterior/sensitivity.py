"""`prior_sensitivity`: how much a posterior depends on the width of its prior."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from hierrl.fits import data_of, model_of, settings_of
from hierrl.posterior.sample import fit_posterior
from hierrl.prior import Prior, weak_prior
from hierrl.prior.empirical import empirical_priors

FloatArray = npt.NDArray[np.float64]

WIDTHS = (1.0, 2.0, 3.0, 5.0, 10.0)
WEAK = "weak"

KEPT = ("method", "sampler", "parametrization", "tune", "chains", "target_accept")
"""Settings of a posterior that its refits share."""

QUANTITIES = ("mu", "sigma", "correlation", "median", "mean")
TAIL = 0.025


def prior_sensitivity(
    posterior: xr.DataTree,
    *,
    widen: Sequence[float] = WIDTHS,
    weak: bool = True,
    draws: int = 500,
    random_seed: int = 0,
    cores: int | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    r"""Refit a posterior under empirical priors of several widths and under the weak prior, and compare.

    The empirical prior uses the data twice. With w standard errors the posterior sd of a number shrinks by about
    :math:`w / \sqrt{1 + w^2}`: .71 for 1, .95 for 3, .98 for 5, the default. What moves by more than that, or in its
    mean by a good part of its sd, hangs on the prior: report it under the weak prior too.

    Parameters
    ----------
    posterior : DataTree
        From `fit_posterior`; its model, data, formula, groups of spreads, correlations and sampler are used again.
    widen : sequence of float
        Widths of the empirical prior, in standard errors, each above 0.
    weak : bool
        The weak prior too.
    draws : int
        Per chain and fit; means and sds need fewer than a final fit.
    random_seed : int
    cores : int, optional
        Chains at a time; all cores if not given.
    progress : bool
        Show progress bars.

    Returns
    -------
    DataFrame
        A row per prior and number of the population: ``prior`` (``"1 se"``, ..., ``"weak"``), ``widen`` (infinite for
        the weak prior), ``quantity`` (``mu``, ``sigma``, ``correlation`` on the link scale; ``median``, ``mean`` on
        the natural scale, raw reward units), ``parameter``, ``of`` (coefficient, group, other parameter or cell); of
        its posterior ``mean``, ``sd``, ``eti95_low``, ``eti95_high``; ``shift``, the mean minus that under the last
        prior in sds of the latter, and ``sd_ratio``; ``converged``, whether that fit did.
        ``attrs["reference"]`` names the last prior. `plot_prior_sensitivity` draws it.

    Raises
    ------
    ValueError
        If the fit is no posterior, or there is no width to compare.

    Examples
    --------
    >>> import hierrl as hr
    >>> post = hr.load("posterior.nc")  # doctest: +SKIP
    >>> table = hr.prior_sensitivity(post)  # doctest: +SKIP
    >>> hr.plot_prior_sensitivity(table).savefig("sensitivity.pdf")  # doctest: +SKIP
    """
    settings = settings_of(posterior)
    if settings["estimator"] != "posterior":
        raise ValueError(
            f"Priors matter to posteriors; this fit is by {settings['estimator']!r}. Fit hr.fit_posterior first."
        )
    priors = _priors(posterior, settings, widths=sorted(set(map(float, widen))), weak=weak)
    options = {name: settings[name] for name in KEPT} | {
        "draws": draws,
        "random_seed": random_seed,
        "cores": cores,
        "progress": progress,
    }
    rows = []
    for (name, width), prior in priors.items():
        with warnings.catch_warnings():
            # The column `converged` says it.
            warnings.simplefilter("ignore", UserWarning)
            fit = fit_posterior(
                model_of(posterior), data_of(posterior), prior=prior, start=posterior, **options
            )
        converged = settings_of(fit)["diagnostics"]["converged"]
        place = {"prior": name, "widen": width}
        rows += [place | row | {"converged": converged} for row in _rows(fit["population"].to_dataset())]
    return _against_last(pd.DataFrame(rows))


def _priors(
    posterior: xr.DataTree, settings: dict[str, Any], *, widths: list[float], weak: bool
) -> dict[tuple[str, float], Prior]:
    """Priors by name and width, from narrow to wide."""
    if len(widths) + weak < 2:
        raise ValueError("A comparison needs two priors: give two widths, or one and weak=True.")
    used = Prior.from_json(settings["prior"])
    model, data = model_of(posterior), data_of(posterior)
    structure = {"formula": dict(used.formula), "spread_by": used.spread_by}
    made = {}
    if widths:
        empirical = empirical_priors(model, data, start=posterior, widens=widths, **structure)
        made = {(f"{w:g} se", w): prior for w, prior in zip(widths, empirical, strict=True)}
    if weak:
        made[WEAK, np.inf] = weak_prior(model, data, **structure)
    return {name: replace(prior, lkj=used.lkj) for name, prior in made.items()}


def _rows(population: xr.Dataset) -> Iterator[dict[str, Any]]:
    """Every number of a population: which one it is, and its posterior in figures."""
    for quantity in (name for name in QUANTITIES if name in population):
        values = population[quantity]
        others = [dim for dim in values.dims if dim not in ("chain", "draw", "parameter")]
        stacked = values.transpose("parameter", *others, "chain", "draw")
        for index in np.ndindex(*stacked.shape[:-2]):
            draws = stacked.values[index].ravel()
            if np.isnan(draws).any() or (quantity == "correlation" and index[0] <= index[1]):
                continue
            names = [str(values[dim].values[i]) for dim, i in zip(("parameter", *others), index, strict=True)]
            low, high = np.quantile(draws, [TAIL, 1 - TAIL])
            yield {
                "quantity": quantity,
                "parameter": names[0],
                "of": ", ".join(names[1:]),
                "mean": draws.mean(),
                "sd": draws.std(ddof=1),
                "eti95_low": low,
                "eti95_high": high,
            }


def _against_last(table: pd.DataFrame) -> pd.DataFrame:
    """With ``shift`` and ``sd_ratio`` against the last prior."""
    reference = table["prior"].iloc[-1]
    key = ["quantity", "parameter", "of"]
    last = table.loc[table["prior"] == reference, [*key, "mean", "sd"]]
    both = table.merge(last, on=key, suffixes=("", "_last"), how="left")
    both["shift"] = (both["mean"] - both["mean_last"]) / both["sd_last"]
    both["sd_ratio"] = both["sd"] / both["sd_last"]
    columns = [name for name in both if name not in ("mean_last", "sd_last", "converged")]
    found = both.loc[:, [*columns, "converged"]]
    found.attrs["reference"] = reference
    return found
