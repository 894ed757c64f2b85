"""What speaks for a model, subject by subject: information criteria, Laplace evidence, held-out trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.compare.point_evidence import laplace
from hierrl.data import split
from hierrl.fits import problem_of, theta_of
from hierrl.importance import highest_modes
from hierrl.kernels.problem import Problem
from hierrl.models.model import Model
from hierrl.prior import weak_prior
from hierrl.prior.empirical import starts
from hierrl.studies.designs import joined, laid_out_alike, split_by_set
from hierrl.studies.estimates import point_fit

FloatArray = npt.NDArray[np.float64]

CRITERIA = ("aic", "bic", "laplace", "held_out")
NAMES = {"aic": "AIC", "bic": "BIC", "laplace": "Laplace evidence", "held_out": "held-out trials"}


def check_criteria(criteria: Sequence[str], last: float | None) -> tuple[str, ...]:
    """The criteria, in the order of `CRITERIA`."""
    wanted = (criteria,) if isinstance(criteria, str) else tuple(criteria)
    if unknown := [name for name in wanted if name not in CRITERIA]:
        raise ValueError(f"criteria= names {unknown[0]!r}, which is not one of {CRITERIA}.")
    if not wanted:
        raise ValueError(f"criteria= names nothing; give one or more of {CRITERIA}.")
    if ("held_out" in wanted) != (last is not None):
        raise ValueError(
            "'held_out' and last= belong together: criteria=('held_out',), last=0.25 scores the last quarter of each "
            f"subject's trials after a fit to the others; found criteria={wanted}, last={last}."
        )
    return tuple(name for name in CRITERIA if name in wanted)


def scores_of(
    model: Model,
    sets: Sequence[xr.Dataset],
    *,
    criteria: Sequence[str],
    last: float | None,
    estimator: str,
    options: Mapping[str, Any],
) -> dict[str, list[FloatArray]]:
    """Criterion -> for each data set the scores (S,) of its subjects in nats; more is better.

    AIC and BIC are on the scale of a log-likelihood: minus half of what they usually are.
    """
    found: dict[str, dict[int, FloatArray]] = {name: {} for name in criteria}
    for group in laid_out_alike(model, sets):
        some = [sets[k] for k in group]
        how = {"last": last, "estimator": estimator, "options": options}
        scores = _together(model, joined(some), criteria, **how)
        sizes = [data.sizes["subject"] for data in some]
        for name, values in scores.items():
            found[name] |= dict(zip(group.tolist(), split_by_set(values, sizes), strict=True))
    return {name: [by_set[k] for k in range(len(sets))] for name, by_set in found.items()}


def _together(
    model: Model,
    data: xr.Dataset,
    criteria: Sequence[str],
    *,
    last: float | None,
    estimator: str,
    options: Mapping[str, Any],
) -> dict[str, FloatArray]:
    found: dict[str, FloatArray] = {}
    if {"aic", "bic", "laplace"} & set(criteria):
        fit = point_fit(model, data, estimator, options)
        problem, loglik = problem_of(fit), fit.children["fit_stats"].dataset["loglik"].values
        found["laplace"] = _laplace(problem, fit, data)
        found["aic"] = loglik - problem.n_parameters
        found["bic"] = loglik - 0.5 * problem.n_parameters * np.log(np.maximum(problem.n_scored, 1))
    if "held_out" in criteria:
        train, test = split(data, last=last)
        fit = point_fit(model, train, estimator, options)
        problem = problem_of(fit, test)
        found["held_out"] = problem.loglik(theta_of(fit, problem)[0, 0])
    return {name: found[name] for name in criteria}


def _laplace(problem: Problem, fit: xr.DataTree, data: xr.Dataset) -> FloatArray:
    """Log evidence (S,) by Laplace's approximation at the highest mode under the weak prior of one subject."""
    mean, sd = subject_prior(problem, data)
    return laplace(highest_modes(problem, mean, sd, starts=(starts(problem, fit), mean)))


def subject_prior(problem: Problem, data: xr.Dataset) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation (P,) of one subject under the weak prior, link scale and scaled signal.

    The spread of subjects, at its prior median, comes on top of what is not known of the population's mean.
    """
    prior = weak_prior(problem.model, data)
    by_role = {role: [t for t in prior.terms if t.role == role] for role in ("mu", "log_sigma")}
    mean = np.array([t.loc for t in by_role["mu"]])
    spread = np.exp([t.loc for t in by_role["log_sigma"]])
    return mean, np.sqrt(np.array([t.scale for t in by_role["mu"]]) ** 2 + spread**2)
