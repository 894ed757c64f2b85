"""The *basic* experiments of Zhu et al. (2025), and how far a fitted policy is from the true one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import xarray as xr

import hierrl as hr
from hierrl.fits import problem_of, theta_of
from hierrl.kernels.problem import prepare
from hierrl.simulate.run import truth_of

FloatArray = npt.NDArray[np.float64]

N_TRIALS = 200
ODDS_10 = (0.30, 0.27, 0.95, 0.67, 0.69, 0.29, 0.42, 0.05, 0.73, 1.00)
TASKS = {
    "2arm": (hr.Bandit((0.9, 0.1), n_trials=N_TRIALS, reverse_chance=0.02, shuffle=True), (0.0, 5.0)),
    "10arm": (hr.Bandit(ODDS_10, n_trials=N_TRIALS), (5.0, 10.0)),
}
"""Task, and the range of beta; rates are uniform in [0, 1]."""


def basic(task: str, n_subjects: int, *, seed: int = 1) -> tuple[xr.Dataset, hr.Model]:
    """Subjects whose values start at 1, and the model that is fitted to them, whose values start at 0.

    With one rate for all arms the start value does not show in the choices. The bounds are the true ranges.
    """
    bandit, betas = TASKS[task]
    rng = np.random.default_rng(seed)
    truth = {"alpha": rng.uniform(0, 1, n_subjects), "beta": rng.uniform(*betas, n_subjects)}
    data = hr.simulate(hr.model("forgetting_q", start=1.0), bandit, truth, random_seed=seed)
    return data, hr.model("forgetting_q", bounds={"beta": betas})


def true_policy(data: xr.Dataset) -> FloatArray:
    """Choice probabilities (trial, arm) at the true parameters."""
    problem = prepare(hr.model("forgetting_q", start=1.0), data)
    return problem.probabilities(problem.pack(truth_of(data)))


def policy_of(fit: xr.DataTree) -> FloatArray:
    """Choice probabilities (trial, arm) at the estimates of a point fit."""
    problem = problem_of(fit)
    return problem.probabilities(theta_of(fit, problem)[0, 0])


def relaxed_policy(fit: xr.DataTree) -> FloatArray:
    """Choice probabilities (trial, arm) at the relaxed optimum of a convex fit."""
    logit = np.asarray(fit["relaxation"].to_dataset()["logit"])
    shifted = np.exp(logit - logit.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def stat(fit: xr.DataTree, name: str) -> FloatArray:
    """(S,) a column of ``fit_stats``."""
    return np.asarray(fit["fit_stats"].to_dataset()[name], dtype=np.float64)


def kl_by_subject(true: FloatArray, fitted: FloatArray) -> FloatArray:
    """(S,) mean over trials of the divergence of the fitted policy from the true one, in nats."""
    by_trial = (true * (np.log(true) - np.log(np.maximum(fitted, 1e-300)))).sum(axis=1)
    return by_trial.reshape(-1, N_TRIALS).mean(axis=1)
