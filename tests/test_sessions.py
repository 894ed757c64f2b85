"""Slopes within subjects: what a session's parameters are, and how derivatives come back to the subject."""

import numpy as np
import pytest
from scipy.special import logsumexp

import hierrl as hr
from hierrl.importance import penalised_modes
from hierrl.kernels.problem import prepare
from hierrl.kernels.sessions import SessionProblem, split_sessions
from hierrl.marginal import importance_points, log_marginals
from tests.builders import random_behaviour

MODEL = hr.model("subvalue", bias=True)


@pytest.fixture(scope="module")
def problem():
    return prepare(MODEL, random_behaviour(5, 40, 2, rich=True, seed=3))


@pytest.fixture(scope="module")
def within(problem):
    n_sessions = int(problem.trials.reset.sum())
    rng = np.random.default_rng(0)
    drug, dose = rng.integers(0, 2, n_sessions).astype(float), rng.normal(size=n_sessions)
    slopes = {
        "alpha:drug[on]": ("alpha", drug),
        "beta:drug[on]": ("beta", drug),
        "beta:dose": ("beta", dose),
    }
    return SessionProblem.of(problem, slopes)


def some_eta(within, seed=1):
    return np.random.default_rng(seed).normal(0, 0.7, (within.n_subjects, within.n_parameters))


def test_sessions_are_the_subjects_of_the_kernels(problem):
    sessions, owner = split_sessions(problem)
    assert sessions.n_subjects == problem.trials.reset.sum() > problem.n_subjects
    np.testing.assert_array_equal(sessions.subjects, problem.subjects[owner])
    np.testing.assert_array_equal(np.bincount(owner, sessions.n_rows), problem.n_rows)
    theta = np.random.default_rng(0).uniform(0.1, 0.9, (problem.n_subjects, problem.n_parameters))
    by_session = sessions.loglik(theta[owner])
    np.testing.assert_allclose(np.bincount(owner, by_session), problem.loglik(theta))


def test_a_session_has_the_subjects_parameters_plus_slopes_times_values(within):
    eta = some_eta(within)
    found = within.of_sessions(eta)
    for r, s in enumerate(within.owner):
        expected = eta[s, :5].copy()
        expected[0] += eta[s, 5] * within.values[r, 0]
        expected[1] += eta[s, 6] * within.values[r, 1] + eta[s, 7] * within.values[r, 2]
        np.testing.assert_allclose(found[r], expected)
    np.testing.assert_allclose(np.einsum("rpq,rq->rp", within.loading, eta[within.owner]), found)


def test_without_slopes_nothing_changes(problem, within):
    eta = some_eta(within)
    eta[:, 5:] = 0.0
    ours, theirs = within.link_derivatives(eta), problem.link_derivatives(eta[:, :5])
    np.testing.assert_allclose(ours[0], theirs[0])
    np.testing.assert_allclose(ours[1][:, :5], theirs[1], atol=1e-9)
    np.testing.assert_allclose(ours[2][:, :5, :5], theirs[2], atol=1e-9)


def test_derivatives_agree_with_differences(within):
    eta, step = some_eta(within), 1e-5
    _, gradient, hessian = within.link_derivatives(eta)
    for q in range(within.n_parameters):
        h = step * np.eye(within.n_parameters)[q]
        ends = [within.link_derivatives(eta + sign * h, order=1) for sign in (1, -1)]
        np.testing.assert_allclose(gradient[:, q], (ends[0][0] - ends[1][0]) / (2 * step), atol=1e-6)
        np.testing.assert_allclose(hessian[:, q], (ends[0][1] - ends[1][1]) / (2 * step), atol=1e-5)


def test_selected_subjects_keep_their_sessions(within):
    eta, index = some_eta(within), np.array([1, 3, 4])
    part, whole = within.select(index).link_derivatives(eta[index]), within.link_derivatives(eta)
    for one, other in zip(part, whole, strict=True):
        np.testing.assert_allclose(one, other[index])
    np.testing.assert_array_equal(within.select(index).n_rows, within.n_rows[index])


def test_points_of_subjects_in_any_order_are_scored_in_their_sessions(within):
    eta = np.random.default_rng(2).normal(0, 0.5, (2, 3, within.n_parameters))
    subjects = np.array([4, 0])
    chosen, theta = within.at_points(subjects, eta)
    for row, r in enumerate(chosen):
        s = int(np.flatnonzero(subjects == within.owner[r])[0])
        expected = within.sessions.from_link(eta[s] @ within.loading[r].T)
        np.testing.assert_allclose(theta[row], expected)
    assert set(within.owner[chosen]) == {0, 4}


def test_the_marginal_likelihood_with_a_slope_is_that_of_quadrature():
    model = hr.Model(channels=(hr.Channel(rate=0.4),))
    problem = prepare(model, random_behaviour(4, 40, 2, seed=5))
    drug = np.arange(int(problem.trials.reset.sum())) % 2.0
    within = SessionProblem.of(problem, {"beta:drug": ("beta", drug)})
    mean, sd = np.array([0.5, 0.3]), np.array([0.6, 0.4])
    points = importance_points(within, mean, sd, modes=penalised_modes(within, mean, sd))
    (found,) = log_marginals(points, mean, sd)
    grid = np.linspace(-5, 5, 81)
    total = np.full(within.n_subjects, -np.inf)
    for a in grid:
        for b in grid:
            eta = np.broadcast_to(mean + sd * [a, b], (within.n_subjects, 2))
            total = np.logaddexp(total, within.link_derivatives(eta, order=0)[0] - (a * a + b * b) / 2)
    expected = total + 2 * np.log(grid[1] - grid[0]) - np.log(2 * np.pi)
    np.testing.assert_allclose(found, expected, atol=0.01)
    assert np.isfinite(logsumexp(found))
