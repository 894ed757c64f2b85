"""The methods that are compared: each takes a study (or its first subjects) and gives a `Result`."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from brute import brute_force_all, policy_of_points
from experiments import (
    Experiment,
    Start,
    distance,
    first,
    kl_by_subject,
    loglik_by_subject,
    policy_at,
    policy_of,
    relaxed_policy,
    stat,
)
from rival import fit_rlfit, recovered_policy
from scores import Result

import hierrl as hr

FloatArray = npt.NDArray[np.float64]
Results = Iterator[tuple[str, Result]]

TOLERANCE = 1e-3
"""Nats to which optima are certified."""
HORIZON = 5
FULL = -1
"""How the reference package is asked for all lags."""


class Study(NamedTuple):
    """Simulated subjects of one experiment, and their true choice probabilities."""

    experiment: Experiment
    data: xr.Dataset
    true: FloatArray

    @classmethod
    def of(cls, experiment: Experiment, n_subjects: int, seed: int) -> Study:
        """Simulate."""
        data = experiment.simulated(n_subjects, seed=seed)
        return cls(experiment, data, experiment.true_policy(data))

    def first(self, n_subjects: int) -> Study:
        """Its first subjects."""
        data = first(self.data, n_subjects)
        return Study(self.experiment, data, self.true[: data.sizes["trial"]])

    @property
    def nothing(self) -> FloatArray:
        """(S,) NaN."""
        return np.full(self.data.sizes["subject"], np.nan)

    def result(
        self,
        policy: FloatArray,
        seconds: float,
        *,
        estimates: xr.Dataset | dict[str, Any] | None = None,
        bound: FloatArray | None = None,
    ) -> Result:
        """What a policy (trial, arm) is worth, and the estimates behind it."""
        names = self.experiment.rates, list(self.experiment.ranges)
        errors = [
            self.nothing if estimates is None else distance(self.data, estimates, each) for each in names
        ]
        loglik = loglik_by_subject(self.data, policy)
        return Result(
            kl_by_subject(self.true, policy),
            *errors,
            loglik,
            self.nothing if bound is None else bound,
            seconds,
        )


def fast(study: Study, start: Start, budget: float) -> Results:
    """Hull relaxation, maximum likelihood, and the latter certified (where the model allows it)."""
    model = study.experiment.model(start)
    quick, relaxing = _timed(lambda: hr.fit_convex(model, study.data, progress=False))
    bound = stat(quick, "bound")
    yield "hull", study.result(relaxed_policy(quick), np.nan, bound=bound)
    yield "hull_recovery", _of_fit(study, quick, relaxing)
    mle, climbing = _timed(lambda: hr.fit_mle(model, study.data, start=quick, progress=False))
    yield "mle", _of_fit(study, mle, relaxing + climbing)
    proof = {"certify": TOLERANCE, "budget": budget} if model.supports.bound else {}
    certified, proving = _timed(lambda: hr.fit_mle(model, study.data, start=quick, progress=False, **proof))
    yield "certified", _of_fit(study, certified, relaxing + proving)


def monotone(study: Study) -> Results:
    """The monotone relaxation through CVXPY, and its recoveries."""
    model = study.experiment.model()
    fit, seconds = _timed(lambda: hr.fit_convex(model, study.data, relaxation="monotone", progress=False))
    yield "monotone", study.result(relaxed_policy(fit), np.nan, bound=stat(fit, "bound"))
    for weighting in ("plain", "fisher"):
        estimates = _recovery(fit, weighting)
        policy = policy_at(model, study.data, estimates)
        yield f"monotone_{weighting}", study.result(policy, np.nan, estimates=estimates)
    yield "monotone_recovery", _of_fit(study, fit, seconds)


def reference(study: Study, horizon: int) -> Results:
    """`rlfit`. Its relaxed log-likelihood stands where a bound would."""
    name = "rlfit" if horizon == FULL else f"rlfit{horizon}"
    outcome = fit_rlfit(study.experiment, study.data, horizon)
    relaxed = loglik_by_subject(study.data, outcome.relaxed)
    yield name, study.result(outcome.relaxed, outcome.relaxing, bound=relaxed)
    policy = recovered_policy(study.experiment, study.data, outcome)
    estimates = outcome.estimates
    if not study.experiment.per_arm:  # it recovers the one kernel once for each arm
        estimates = {parameter: values[:, 0] for parameter, values in estimates.items()}
    seconds = outcome.relaxing + outcome.recovering
    yield f"{name}_recovery", study.result(policy, seconds, estimates=estimates)


def brute(study: Study) -> Results:
    """Brute force, for one shared rate."""
    points, seconds = _timed(lambda: brute_force_all(study.data, study.experiment.ranges["beta"]))
    estimates = {"alpha": points[:, 0], "beta": points[:, 1]}
    yield "brute", study.result(policy_of_points(study.data, points), seconds, estimates=estimates)


def warm_up(study: Study) -> None:
    """Load or compile what the timed calls need."""
    few = study.first(2)
    for start in ("zero", "learned"):
        list(fast(few, start, 0.01))
    list(monotone(few))


def _of_fit(study: Study, fit: xr.DataTree, seconds: float) -> Result:
    estimates = fit["posterior"].to_dataset().isel(chain=0, draw=0)
    return study.result(policy_of(fit), seconds, estimates=estimates, bound=stat(fit, "bound"))


def _recovery(fit: xr.DataTree, weighting: str) -> dict[str, FloatArray]:
    """Name -> (S) or (S, m): parameters closest to the kernels of a monotone fit."""
    known = fit["relaxation"]["recovery"].sel(weighting=weighting)
    arms = fit["posterior"]["arm"].values if "arm" in fit["posterior"].coords else []
    found = {}
    for name, values in fit["posterior"].data_vars.items():
        labels = [f"{name}[{arm}]" for arm in arms] if "arm" in values.dims else str(name)
        found[str(name)] = known.sel(parameter=labels).values
    return found


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # of subjects that did not converge: they are counted by their results
        result = work()
    return result, time.perf_counter() - began
