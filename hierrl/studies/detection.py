"""Is the effect seen? Tests on point estimates, or the interval of a hierarchical posterior."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.stats import mannwhitneyu, pearsonr, spearmanr, ttest_ind

from hierrl.compare.estimates import raw_link
from hierrl.fits import problem_of, theta_of
from hierrl.models.model import Model
from hierrl.replications.store import Row
from hierrl.studies.designs import joined, laid_out_alike, split_by_set
from hierrl.studies.effects import COVARIATE, GROUPS, Effect
from hierrl.studies.estimates import point_fit

FloatArray = npt.NDArray[np.float64]

TESTS = {"group": ("Welch's t", "Mann-Whitney"), "correlation": ("Pearson", "Spearman")}
"""On link-scale point estimates: one that believes in their normal distribution, one that takes ranks only."""
POSTERIOR = "posterior"


def rows_of_points(
    model: Model, sets: Sequence[xr.Dataset], effect: Effect, *, estimator: str, options: Mapping[str, Any]
) -> list[Row]:
    """For each data set the p-values of both tests and the estimate of the effect, from point fits."""
    found: dict[int, Row] = {}
    for group in laid_out_alike(model, sets):
        some = [sets[k] for k in group]
        fit = point_fit(model, joined(some), estimator, options)
        problem = problem_of(fit)
        link = raw_link(problem, theta_of(fit, problem)[0, 0])[:, problem.labels.index(effect.parameter)]
        parts = split_by_set(link, [data.sizes["subject"] for data in some])
        for k, data, values in zip(group.tolist(), some, parts, strict=True):
            found[k] = detect(values, data[COVARIATE[effect.kind]].values, effect.kind)
    return [found[k] for k in range(len(sets))]


def detect(values: FloatArray, covariate: npt.NDArray[Any], kind: str) -> Row:
    """Two-sided p-values by test, and the estimate: difference of means (B - A), or correlation."""
    first, second = TESTS[kind]
    with warnings.catch_warnings():
        # Estimates that are all alike say nothing: a p-value of NaN, which is no detection.
        warnings.simplefilter("ignore")
        if kind == "group":
            a, b = (values[covariate == name] for name in GROUPS)
            one, other = ttest_ind(b, a, equal_var=False), mannwhitneyu(b, a)
            estimate = b.mean() - a.mean()
        else:
            one, other = pearsonr(values, covariate), spearmanr(values, covariate)
            estimate = np.corrcoef(values, covariate)[0, 1]
    p = {name: _number(result[1]) for name, result in ((first, one), (second, other))}
    return {
        "p": p,
        "estimate": _number(estimate),
        "converged": True,
    }


def _number(value: Any) -> float | None:
    """None for NaN, which JSON doesn't know."""
    return float(value) if np.isfinite(value) else None


def row_of_posterior(
    model: Model, data: xr.Dataset, effect: Effect, *, alpha: float, seed: int, options: Mapping[str, Any]
) -> Row:
    """Whether the central 1 - alpha interval of the effect's posterior leaves out 0, and its mean."""
    # PyMC takes seconds to import, which point fits do not need to pay
    from hierrl.contrast import contrast
    from hierrl.posterior import fit_posterior

    covariate = COVARIATE[effect.kind]
    given = {"method": "marginal", **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        fit = fit_posterior(
            model,
            data,
            formula={effect.parameter: f"1 + {covariate}"},
            random_seed=seed,
            progress=False,
            **given,
        )
    table = contrast(fit, effect.parameter, covariate, prob=1 - alpha)
    row = table[table["quantity"] == "mu"].iloc[0]
    low, high = (next(row[c] for c in table.columns if c.endswith(end)) for end in ("_low", "_high"))
    return {
        "p": {POSTERIOR: 0.0 if low > 0 or high < 0 else 1.0},
        "estimate": float(row["mean"]),
        "converged": bool(fit.children["fit_stats"].dataset["converged"].all()),
    }
