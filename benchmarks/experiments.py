"""The experiments of Zhu et al. (2025): subjects with known parameters, the models fitted to them, and how far a
fit is from the truth.

Three models, each in two tasks of 200 trials. *basic*: one rate, one weight. *per-arm*: each arm has its own.
*subvalue*: a trace of rewards and one of choices, both per arm. Rates are uniform in [0, 1], weights uniform in
the range of the task, which is also what fits are told. Weighted values start at 1 in the simulator: the start
value of a path is one over its weight. Fits hold start values at 0, as published, or learn that of rewards. With
one rate and weight for all arms the start value does not show in the choices.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.special import rel_entr, softmax

import hierrl as hr
from hierrl.fits import problem_of, theta_of
from hierrl.kernels.problem import prepare
from hierrl.models.model import Model
from hierrl.simulate.run import truth_of

FloatArray = npt.NDArray[np.float64]
Range = tuple[float, float]
Start = Literal["zero", "learned"]

N_TRIALS = 200
TASKS: dict[str, tuple[hr.Bandit, Range, Range]] = {
    "2arm": (hr.Bandit.zhu_2arm(N_TRIALS), (0.0, 5.0), (0.0, 2.0)),
    "10arm": (hr.Bandit.zhu_10arm(N_TRIALS), (5.0, 10.0), (0.0, 5.0)),
}
"""Task, and the ranges of the weights of rewards and of choices."""
NAMES = ("basic", "per-arm", "subvalue")
SMALLEST = 1e-300
"""Probability that a fitted policy has at least, so that divergences are finite."""


class Experiment(NamedTuple):
    """One of the three models in one of the two tasks."""

    name: str
    task: str

    @property
    def per_arm(self) -> bool:
        """Whether each arm has its own rates and weights."""
        return self.name != "basic"

    @property
    def ranges(self) -> dict[str, Range]:
        """Weight -> its range in truth, and its bounds in fits."""
        _, beta, beta_choice = TASKS[self.task]
        return {"beta": beta} | ({"beta_choice": beta_choice} if self.name == "subvalue" else {})

    @property
    def rates(self) -> list[str]:
        """Names of the rates, one for each weight."""
        return [weight.replace("beta", "alpha") for weight in self.ranges]

    def simulated(self, n_subjects: int, *, seed: int = 1) -> xr.Dataset:
        """Behaviour of subjects with random parameters; the same seed gives the same subjects."""
        bandit = TASKS[self.task][0]
        rng = np.random.default_rng([seed, NAMES.index(self.name), bandit.base.size])
        shape = (n_subjects, bandit.base.size) if self.per_arm else (n_subjects,)
        truth: dict[str, Any] = {}
        for rate, (weight, ends) in zip(self.rates, self.ranges.items(), strict=True):
            truth[rate] = rng.uniform(0, 1, shape)
            truth[weight] = rng.uniform(*ends, shape)
            truth[weight.replace("beta", "start")] = 1.0 / truth[weight]
        return hr.simulate(self._simulator(), bandit, truth, random_seed=rng)

    def model(self, start: Start = "zero") -> Model:
        """What is fitted."""
        name = "subvalue" if self.name == "subvalue" else "forgetting_q"
        value = "start" if start == "learned" else 0.0
        return hr.model(name, per_arm=self.per_arm, signed=False, start=value, bounds=self.ranges)

    def true_policy(self, data: xr.Dataset) -> FloatArray:
        """Choice probabilities (trial, arm) at the true parameters of simulated behaviour."""
        return policy_at(self._simulator(), data, truth_of(data))

    def _simulator(self) -> Model:
        shared = {"unchosen": "decay", "per_arm": self.per_arm}
        channels = [hr.Channel(start="start", **shared)]
        if self.name == "subvalue":
            names = {"rate": "alpha_choice", "weight": "beta_choice", "start": "start_choice"}
            channels.append(hr.Channel("choice", **names, **shared))
        return hr.Model(channels=tuple(channels))


def first(data: xr.Dataset, n_subjects: int) -> xr.Dataset:
    """The first subjects of simulated behaviour."""
    return data.isel(trial=slice(0, n_subjects * N_TRIALS), subject=slice(0, n_subjects))


def policy_at(model: Model, data: xr.Dataset, parameters: xr.Dataset | dict[str, Any]) -> FloatArray:
    """Choice probabilities (trial, arm) at parameters, name -> (subject) or (subject, arm)."""
    problem = prepare(model, data)
    return problem.probabilities(problem.pack(parameters))


def policy_of(fit: xr.DataTree) -> FloatArray:
    """Choice probabilities (trial, arm) at the estimates of a point fit."""
    problem = problem_of(fit)
    return problem.probabilities(theta_of(fit, problem)[0, 0])


def relaxed_policy(fit: xr.DataTree) -> FloatArray:
    """Choice probabilities (trial, arm) at the relaxed optimum of a convex fit."""
    return softmax(np.asarray(fit["relaxation"].to_dataset()["logit"]), axis=1)


def stat(fit: xr.DataTree, name: str) -> FloatArray:
    """(S,) a column of ``fit_stats``."""
    return np.asarray(fit["fit_stats"].to_dataset()[name], dtype=np.float64)


def kl_by_subject(true: FloatArray, fitted: FloatArray) -> FloatArray:
    """(S,) mean over trials of the divergence of the fitted policy from the true one, in nats."""
    by_trial = rel_entr(true, np.maximum(fitted, SMALLEST)).sum(axis=1)
    return by_trial.reshape(-1, N_TRIALS).mean(axis=1)


def loglik_by_subject(data: xr.Dataset, policy: FloatArray) -> FloatArray:
    """(S,) log-likelihood of the choices at choice probabilities (trial, arm)."""
    chosen = policy[np.arange(policy.shape[0]), data["choice"].values]
    return np.log(np.maximum(chosen, SMALLEST)).reshape(-1, N_TRIALS).sum(axis=1)


def distance(data: xr.Dataset, estimates: xr.Dataset | dict[str, Any], names: list[str]) -> FloatArray:
    """(S,) Euclidean distance of estimates from the truth, over the named parameters and all arms."""
    truth = truth_of(data)
    apart = [np.asarray(estimates[name]) - truth[name].values for name in names]
    return np.sqrt(sum((part.reshape(part.shape[0], -1) ** 2).sum(axis=1) for part in apart))
