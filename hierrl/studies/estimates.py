"""Estimates of many data sets by any estimator, in one form: values, their uncertainty, and the truth beside them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.compare.estimates import raw_link
from hierrl.convex import fit_convex
from hierrl.fits import problem_of, theta_of
from hierrl.kernels.problem import Problem
from hierrl.mle import fit_mle, standard_errors
from hierrl.models.model import Model
from hierrl.simulate import truth_of
from hierrl.studies.designs import joined, laid_out_alike, split_by_set

FloatArray = npt.NDArray[np.float64]

ESTIMATORS = ("convex", "mle", "posterior")
INTERRUPTED = "Not fitted: interrupted"
"""How the status of a subject begins whose point fit Ctrl-C has spared."""
NORMAL_95 = 1.959964
TAILS = (0.025, 0.975)
INTERVALS = {
    "convex": "none (a convex estimate has no standard error)",
    "mle": "95 % Wald interval: estimate ± 1.96 standard errors on the link scale",
    "posterior": "95 % equal-tailed interval (ETI) of the draws",
}


@dataclass(frozen=True)
class Estimates:
    """One data set: S subjects, P scalars, raw reward units."""

    labels: tuple[str, ...]
    subjects: npt.NDArray[Any]
    truth: FloatArray
    """(S, P), as all the following."""
    estimate: FloatArray
    """Of a posterior the mean."""
    low: FloatArray
    high: FloatArray
    """Ends of the 95 % interval; NaN where there is none."""
    link_truth: FloatArray
    link_estimate: FloatArray
    """Where the estimate lies on a bound, at logit ±6 or a thousandth of the largest weight."""
    link_se: FloatArray
    """Standard error, or standard deviation of the posterior."""
    link_se_true: FloatArray
    """Standard error that the data have at the true values: what they can tell at best. NaN: nothing."""
    at_bound: npt.NDArray[np.bool_]
    converged: npt.NDArray[np.bool_]
    """(S,)"""


def check_estimator(estimator: str) -> None:
    """Raise unless there is such an estimator."""
    if estimator not in ESTIMATORS:
        raise ValueError(f"estimator={estimator!r} is not one of {ESTIMATORS}.")


def point_fit(model: Model, data: xr.Dataset, estimator: str, options: Mapping[str, Any]) -> xr.DataTree:
    """A convex or maximum-likelihood fit without its bound, which takes time and which nobody looks at here."""
    given = dict(options)
    cores = given.pop("cores", None)
    with warnings.catch_warnings():
        # Whether it converged is kept with every subject.
        warnings.simplefilter("ignore", UserWarning)
        if estimator == "convex":
            given = {"splits": 0, **given} if given.get("relaxation", "hull") == "hull" else given
            fit = fit_convex(model, data, cores=cores, progress=False, **given)
        else:
            quick = fit_convex(model, data, splits=0, cores=cores, progress=False)
            fit = fit_mle(model, data, start=quick, cores=cores, progress=False, **given)
    status = fit.children["fit_stats"].dataset["status"].values
    if any(str(sentence).startswith(INTERRUPTED) for sentence in status):
        raise KeyboardInterrupt
    return fit


def estimates_of(
    model: Model,
    sets: Sequence[xr.Dataset],
    *,
    estimator: str,
    seeds: Sequence[int],
    options: Mapping[str, Any],
) -> list[Estimates]:
    """Estimates of data sets that were simulated from the model; point fits of all their subjects at once."""
    if estimator == "posterior":
        return [_of_posterior(model, data, seed, options) for data, seed in zip(sets, seeds, strict=True)]
    found: dict[int, Estimates] = {}
    for group in laid_out_alike(model, sets):
        some = [sets[k] for k in group]
        data = joined(some)
        fit = point_fit(model, data, estimator, options)
        whole = _described(problem_of(fit), fit, data)
        found |= dict(zip(group.tolist(), _apart(whole, some), strict=True))
    return [found[k] for k in range(len(sets))]


def _described(problem: Problem, fit: xr.DataTree, data: xr.Dataset) -> Estimates:
    theta = theta_of(fit, problem)[0, 0]
    factor = problem.raw_factor()
    stats = fit["fit_stats"].to_dataset()
    link = problem.to_link(theta * factor)
    se = stats["se"].values * _link_factor(problem)
    with np.errstate(over="ignore"):  # where nothing is known, intervals reach to 0 or infinity
        ends = [problem.from_link(link + sign * NORMAL_95 * se) for sign in (-1, 1)]
    return _with_truth(
        problem,
        data,
        estimate=theta * factor,
        low=ends[0],
        high=ends[1],
        link_estimate=raw_link(problem, theta),
        link_se=se,
        at_bound=stats["at_bound"].values.astype(bool),
        converged=stats["converged"].values.astype(bool),
    )


def _of_posterior(model: Model, data: xr.Dataset, seed: int, options: Mapping[str, Any]) -> Estimates:
    # PyMC takes seconds to import, which point fits do not need to pay
    from hierrl.posterior import fit_posterior

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        fit = fit_posterior(model, data, random_seed=seed, progress=False, **options)
    problem = problem_of(fit)
    theta = theta_of(fit, problem).reshape(-1, problem.n_subjects, problem.n_parameters)
    raw, link = theta * problem.raw_factor(), raw_link(problem, theta)
    low, high = np.quantile(raw, TAILS, axis=0)
    return _with_truth(
        problem,
        data,
        estimate=raw.mean(axis=0),
        low=low,
        high=high,
        link_estimate=link.mean(axis=0),
        link_se=link.std(axis=0, ddof=1),
        at_bound=np.zeros(raw.shape[1:], dtype=bool),
        converged=fit.children["fit_stats"].dataset["converged"].values.astype(bool),
    )


def _with_truth(problem: Problem, data: xr.Dataset, **known: Any) -> Estimates:
    scaled = problem.pack(truth_of(data, problem.model))
    return Estimates(
        labels=problem.labels,
        subjects=problem.subjects,
        truth=scaled * problem.raw_factor(),
        link_truth=raw_link(problem, scaled),
        link_se_true=standard_errors(problem, scaled) * _link_factor(problem),
        **known,
    )


def _link_factor(problem: Problem) -> FloatArray:
    """(P,) what standard errors on the link scale are multiplied by to be in raw units: 1 but for identity links."""
    return np.where(np.array(problem.links) == "identity", problem.raw_factor(), 1.0)


def _apart(whole: Estimates, sets: Sequence[xr.Dataset]) -> list[Estimates]:
    """Estimates of joined data sets, each on its own, with the labels of its subjects."""
    sizes = [data.sizes["subject"] for data in sets]
    parts = {
        name: split_by_set(values, sizes)
        for name, values in vars(whole).items()
        if name not in ("labels", "subjects")
    }
    return [
        Estimates(whole.labels, data["subject"].values, **{name: part[k] for name, part in parts.items()})
        for k, data in enumerate(sets)
    ]
