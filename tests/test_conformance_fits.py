"""What fits of every model must do: find at least the truth, within bounds, and recover it where data tell it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
import xarray as xr
from scipy.stats import spearmanr

import hierrl as hr
from hierrl.kernels.problem import Problem, prepare
from tests.every_model import EVERY, Row, task_of

CHANCE = 4.0
"""Standard errors within which means of simulated subjects must lie; seeds are fixed."""
SMALL_SAMPLE = 0.25
"""Share by which deviances may exceed their limit at the trials that tests can afford."""
N_CENTRES, N_AROUND = 12, 60
"""Of the brute force: boxes, and points in each."""
FEWEST = 8
"""Subjects that tell something of a spread."""
CLEAR = 0.7
"""How large a correlation must be, by the standard errors, to be looked at."""
HALF_NORMAL = 0.674
"""Median size of what is standard normal."""


@dataclass(frozen=True)
class Study:
    """A row of the table, simulated and fitted by maximum likelihood."""

    row: Row
    truth: dict[str, np.ndarray]
    data: xr.Dataset
    fit: xr.DataTree
    problem: Problem

    @property
    def theta(self) -> np.ndarray:
        """Estimates (S, P) on the scaled signal."""
        return self.problem.pack(self.fit["posterior"].to_dataset())[0, 0]

    @property
    def true_loglik(self) -> np.ndarray:
        return self.problem.loglik(self.problem.pack(self.truth))


@cache
def study_of(name: str) -> Study:
    row = EVERY[name]
    truth = row.truth(np.random.default_rng(1))
    data = hr.simulate(row.model, task_of(row), truth, random_seed=2)
    fit = hr.fit_mle(row.model, data, progress=False)
    return Study(row, truth, data, fit, prepare(row.model, data))


@pytest.fixture(params=EVERY)
def study(request) -> Study:
    return study_of(request.param)


def test_simulated_choices_have_the_probabilities_of_the_kernel(study):
    """Choices minus their probabilities at the truth are noise: of the mean, and along the probabilities."""
    problem = study.problem
    chance = problem.probabilities(problem.pack(study.truth))
    scored = problem.trials.scored
    chosen = np.eye(chance.shape[1])[study.data["choice"].values[scored]]
    surprise, variance = (chosen - chance[scored]).ravel(), (chance[scored] * (1 - chance[scored])).ravel()
    for weight in (np.tile(np.arange(chance.shape[1]) == 0, scored.sum()), chance[scored].ravel()):
        assert abs((weight * surprise).sum()) < CHANCE * np.sqrt(2 * (weight**2 * variance).sum())


def test_estimates_are_likelier_than_the_truth_by_what_the_theory_says(study):
    """Twice the excess is chi squared with as many degrees of freedom as parameters, on average their number."""
    excess = 2 * (study.fit["fit_stats"]["loglik"].values - study.true_loglik)
    assert (excess >= 0).all()
    n, s = study.problem.n_parameters, excess.size
    chance = CHANCE * np.sqrt(2 * n / s)
    assert n - chance - SMALL_SAMPLE * n < excess.mean() < n + chance + SMALL_SAMPLE * n


def test_over_all_models_the_excess_is_the_number_of_parameters():
    excess, expected = 0.0, 0.0
    for name in EVERY:
        study = study_of(name)
        excess += 2 * (study.fit["fit_stats"]["loglik"].values - study.true_loglik).sum()
        expected += study.problem.n_parameters * study.problem.n_subjects
    assert expected > 1000
    assert excess == pytest.approx(expected, rel=0.15)


def test_estimates_are_maxima_within_their_bounds(study):
    """The gradient vanishes, but where it points out of the bounds; all subjects converged and say so."""
    stats, theta = study.fit["fit_stats"], study.theta
    problem = study.problem
    assert stats["converged"].all() and (stats["status"] != "").all()
    np.testing.assert_allclose(stats["loglik"], problem.loglik(theta), rtol=1e-9)
    width = problem.upper - problem.lower
    low, high = theta <= problem.lower + 1e-6 * width, theta >= problem.upper - 1e-6 * width
    assert (theta >= problem.lower - 1e-9).all() and (theta <= problem.upper + 1e-9).all()
    gradient, hessian = problem.derivatives(theta)[1:]
    # What a Newton step within the bounds would still gain.
    for s in range(problem.n_subjects):
        open_ = ~((low[s] & (gradient[s] <= 0)) | (high[s] & (gradient[s] >= 0)))
        g, h = gradient[s, open_], -hessian[s][np.ix_(open_, open_)]
        promised = 0.5 * g @ np.linalg.lstsq(h, g, rcond=1e-8)[0] if g.size else 0.0
        assert abs(promised) < 1e-4


def test_bounds_hold_at_the_estimate_at_the_truth_and_anywhere(study):
    bound, supports = study.fit["fit_stats"]["bound"].values, study.row.model.supports
    if not supports.bound:
        assert np.isnan(bound).all() and study.fit["fit_stats"]["bound"].attrs["reason"]
        return
    problem = study.problem
    assert (bound >= study.fit["fit_stats"]["loglik"].values - 1e-7).all()
    assert (bound >= study.true_loglik - 1e-7).all()
    rng = np.random.default_rng(0)
    for _ in range(20):
        share = rng.uniform(size=(problem.n_subjects, problem.n_parameters)) ** 2
        anywhere = problem.lower + share * (problem.upper - problem.lower)
        assert (problem.loglik(anywhere) <= bound + 1e-7).all()


@pytest.mark.parametrize(
    "name", ["rw", "forgetting_q", "sticky", "dual_rate", "counterfactual", "shared and fixed"]
)
def test_certified_maxima_are_not_below_brute_force(name):
    """On a few trials, where there are several maxima."""
    row = replace(EVERY[name], n_subjects=2)
    task = replace(task_of(row), n_trials=40)
    truth = {key: values[:2] for key, values in row.truth(np.random.default_rng(4)).items()}
    data = hr.simulate(row.model, task, truth, random_seed=4)
    fit = hr.fit_mle(row.model, data, certify=1e-3, progress=False)
    assert fit["fit_stats"]["certified"].all()
    for s in range(2):
        found = brute_force(prepare(row.model, data).select([s]))
        loglik = float(fit["fit_stats"]["loglik"][s])
        assert loglik >= found - 1e-3
        assert float(fit["fit_stats"]["bound"][s]) >= found - 1e-7
        assert loglik == pytest.approx(found, abs=0.01)


def brute_force(problem: Problem) -> float:
    """The best log-likelihood of one subject: random points, then boxes that shrink around the best of them."""
    rng, width = np.random.default_rng(0), problem.upper - problem.lower
    crowd = problem.select([0] * (N_CENTRES * N_AROUND))
    anywhere = problem.lower + rng.uniform(size=(crowd.n_subjects, width.size)) ** 2 * width
    centre = anywhere[np.argsort(crowd.loglik(anywhere))[-N_CENTRES:]]
    for size in 0.25 * 0.75 ** np.arange(40):
        moved = centre[:, None] + size * width * rng.uniform(-1, 1, (N_CENTRES, N_AROUND, width.size))
        moved[:, 0] = centre
        moved = problem.clip(moved)
        best = crowd.loglik(moved.reshape(-1, width.size)).reshape(N_CENTRES, N_AROUND).argmax(axis=1)
        centre = moved[np.arange(N_CENTRES), best]
    return float(problem.select([0] * N_CENTRES).loglik(centre).max())


def test_any_fit_is_scored_and_told_trial_by_trial(study):
    scores = hr.log_likelihood(study.fit, by="subject").values[0, 0]
    np.testing.assert_allclose(scores, study.fit["fit_stats"]["loglik"].values, rtol=1e-9)
    np.testing.assert_allclose(hr.latents(study.fit)["probability"].sum("arm"), 1, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_estimates_follow_the_truth_as_closely_as_their_standard_errors_say(name):
    """On the link scale, for subjects with no estimate on a bound; medians, as near a bound there are long tails."""
    row, task = EVERY[name], task_of(EVERY[name])
    slow_hull = row.n_subjects <= 6
    row = replace(row, n_subjects=16 if slow_hull else 60)
    task = replace(task, n_trials=200 if slow_hull else 400) if isinstance(task, hr.Bandit) else task
    truth = row.truth(np.random.default_rng(8))
    data = hr.simulate(row.model, task, truth, random_seed=9)
    fit = hr.fit_mle(row.model, data, progress=False)
    problem = prepare(row.model, data)
    inside = ~fit["fit_stats"]["at_bound"].values.any(axis=1) & np.isfinite(
        fit["fit_stats"]["se"].values
    ).all(axis=1)
    if inside.sum() < FEWEST:
        pytest.skip(f"only {inside.sum()} of {inside.size} subjects have no estimate on a bound")
    true = problem.to_link(problem.pack(truth))[inside]
    found = problem.to_link(problem.pack(fit["posterior"].to_dataset())[0, 0])[inside]
    error = fit["fit_stats"]["se"].values[inside]
    off = np.median(np.abs(found - true) / error, axis=0)
    low, high = (
        HALF_NORMAL * (1 - CHANCE / np.sqrt(len(true))),
        HALF_NORMAL * (1 + CHANCE / np.sqrt(len(true))),
    )
    assert ((off > low) & (off < high)).all(), dict(zip(problem.labels, off, strict=True))
    promised = 1 / np.sqrt(1 + np.median(error, axis=0) ** 2 / true.var(axis=0))
    for k in np.flatnonzero(promised > CLEAR):
        assert spearmanr(found[:, k], true[:, k])[0] > promised[k] - CHANCE / 2 / np.sqrt(len(true)), (
            problem.labels[k]
        )
