"""`rlfit`, the reference package, on simulated behaviour, subject by subject."""

from __future__ import annotations

import contextlib
import io
import time
import warnings
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from experiments import N_TRIALS, Experiment, policy_at

import hierrl as hr

FloatArray = npt.NDArray[np.float64]

LOOSER = (5e-5, 1e-3, 1e-2, 1e-1)
"""Tolerances of its solver that are tried in turn: its default, and what its authors fall back on."""


class Outcome(NamedTuple):
    """What the package says of some subjects; NaN where its solver failed."""

    relaxed: FloatArray
    """(trial, arm) choice probabilities of the relaxed optimum."""
    estimates: dict[str, FloatArray]
    """Rate or weight -> (S, m)."""
    relaxing: float
    """Seconds until the relaxed optima."""
    recovering: float
    """Seconds from there to the estimates."""
    failures: int
    """Subjects without a relaxed optimum."""


def fit_rlfit(experiment: Experiment, data: xr.Dataset, horizon: int) -> Outcome:
    """Fit and recover all subjects in this process; its own pool of workers costs more than it gives."""
    subjects, arms = data.sizes["subject"], data.sizes["arm"]
    relaxed = np.full((data.sizes["trial"], arms), np.nan)
    estimates = {name: np.full((subjects, arms), np.nan) for name in (*experiment.rates, *experiment.ranges)}
    seconds = np.zeros(2)
    np.random.seed(1)  # noqa: NPY002 - it draws its starts from numpy's global generator
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its solver
        for s, (signals, actions) in enumerate(one_hot(experiment, data)):
            model = _relaxed(experiment, signals, actions, horizon, seconds)
            if model is None:
                continue
            relaxed[s * N_TRIALS : (s + 1) * N_TRIALS] = model.predict(signals)
            _recover(experiment, model, seconds)
            for c, (rate, weight) in enumerate(zip(experiment.rates, experiment.ranges, strict=True)):
                estimates[rate][s], estimates[weight][s] = model.alpha_[c], model.beta_[c]
    failures = int(np.isnan(relaxed[::N_TRIALS, 0]).sum())
    return Outcome(relaxed, estimates, *seconds.tolist(), failures)


def recovered_policy(experiment: Experiment, data: xr.Dataset, outcome: Outcome) -> FloatArray:
    """Choice probabilities (trial, arm) at its estimates.

    Exponentials are not cut at the horizon, as in the authors' evaluation (its `predict` cuts them).
    """
    name = "subvalue" if experiment.name == "subvalue" else "forgetting_q"
    policy = policy_at(hr.model(name, per_arm=True, signed=False), data, _harmless(outcome.estimates))
    failed = np.isnan(outcome.relaxed).any(axis=1)
    policy[failed] = np.nan
    return policy


def one_hot(experiment: Experiment, data: xr.Dataset) -> list[tuple[list[FloatArray], FloatArray]]:
    """(signals, actions) of each subject as the package wants them."""
    actions = np.eye(data.sizes["arm"])[data["choice"].values]
    rewards = actions * data["reward"].values[:, None]
    shape = (-1, N_TRIALS, data.sizes["arm"])
    both = zip(rewards.reshape(shape), actions.reshape(shape), strict=True)
    if experiment.name == "subvalue":
        return [([reward, action], action) for reward, action in both]
    return [([reward], action) for reward, action in both]


def _relaxed(
    experiment: Experiment, signals: list[FloatArray], actions: FloatArray, horizon: int, seconds: FloatArray
) -> Any:
    """Its relaxed optimum, at a looser tolerance where its solver fails; None where it fails at all of them."""
    from rlfit import RLFit

    model: Any = RLFit(horizon_len=horizon, share_param=not experiment.per_arm)
    began = time.perf_counter()
    try:
        for gap in LOOSER:
            with contextlib.suppress(RuntimeError):
                model.fit(signals, actions, reduced_tol_gap_abs=gap, reduced_tol_gap_rel=gap)
                if all(kernel is not None for kernel in model.G_):
                    return model
    finally:
        seconds[0] += time.perf_counter() - began
    return None


def _recover(experiment: Experiment, model: Any, seconds: FloatArray) -> None:
    low, high = ([float(ends[k]) for ends in experiment.ranges.values()] for k in (0, 1))
    began = time.perf_counter()
    model.fit_param(low, high, concurrent=False)
    seconds[1] += time.perf_counter() - began


def _harmless(estimates: dict[str, FloatArray]) -> dict[str, FloatArray]:
    """Estimates with something in place of what is missing."""
    return {name: np.nan_to_num(values, nan=0.5) for name, values in estimates.items()}
