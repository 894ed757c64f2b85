"""Modes, importance points, marginal likelihoods and sites, against quadrature and finite differences."""

import numpy as np
import pytest
from arviz_stats.base.array import array_stats
from builders import random_behaviour
from learners import learners, population
from scipy.special import logsumexp
from scipy.stats import norm

import hierrl as hr
from hierrl.importance import pareto_k, penalised_modes, proposal_at
from hierrl.kernels.problem import Problem, prepare
from hierrl.marginal import (
    Points,
    diagnose,
    importance_points,
    log_marginals,
    posterior_moments,
    sites,
    weights,
)

ONE = hr.Model(channels=(hr.Channel(rate=0.4, unchosen="decay"),))  # beta only
MEAN, SD = 1.0, 0.8


@pytest.fixture(scope="module")
def one() -> Problem:
    alpha, beta = population([0.0, MEAN], [0.0, SD], 20, seed=1)
    return prepare(ONE, learners(alpha, beta, n_trials=60, seed=2))


@pytest.fixture(scope="module")
def two() -> Problem:
    alpha, beta = population([0.0, MEAN], [1.0, SD], 12, seed=3)
    return prepare(hr.model("forgetting_q"), learners(alpha, beta, n_trials=60, seed=4))


def quadrature(problem: Problem, mean: float, sd: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log marginal likelihood, mean and variance (S,) of a one-parameter problem, by brute force."""
    grid = np.linspace(mean - 10 * sd, mean + 10 * sd, 2001)
    loglik = np.stack(
        [problem.link_derivatives(np.full((problem.n_subjects, 1), x), order=0)[0] for x in grid]
    )
    log_joint = loglik + norm.logpdf(grid, mean, sd)[:, None] + np.log(grid[1] - grid[0])
    total = np.asarray(logsumexp(log_joint, axis=0))
    weight = np.exp(log_joint - total)
    centre = grid @ weight
    return total, centre, (grid**2) @ weight - centre**2


def test_the_mode_has_no_gradient_and_no_better_neighbour(two):
    mean, sd = np.array([0.3, 0.8]), np.array([1.5, 1.0])
    modes = penalised_modes(two, mean, sd)
    assert modes.converged.all()

    def log_posterior(eta):
        return two.link_derivatives(eta, order=0)[0] + norm.logpdf(eta, mean, sd).sum(axis=1)

    _, gradient = two.link_derivatives(modes.eta, order=1)
    np.testing.assert_allclose(gradient, (modes.eta - mean) / sd**2, atol=2e-3)
    np.testing.assert_allclose(modes.value, log_posterior(modes.eta), atol=1e-9)
    away = np.random.default_rng(0).normal(0, 0.05, (20, *modes.eta.shape))
    assert all((log_posterior(modes.eta + step) < modes.value + 1e-6).all() for step in away)


def test_the_mode_does_not_depend_on_the_start(two):
    mean, sd = np.array([0.0, 1.0]), np.array([1.0, 1.0])
    far = np.tile([5.0, -5.0], (two.n_subjects, 1))
    here, there = penalised_modes(two, mean, sd), penalised_modes(two, mean, sd, start=far)
    np.testing.assert_allclose(here.eta, there.eta, atol=5e-3)


def test_a_subject_without_scored_choices_is_the_population():
    data = learners([0.5, 0.5], [3.0, 3.0], n_trials=30)
    data["scored"] = data["scored"].where(data["trial_subject"] != data["subject"].values[0], False)
    problem = prepare(hr.model("forgetting_q"), data)
    mean, sd = np.array([0.5, 1.0]), np.array([1.2, 0.7])
    modes = penalised_modes(problem, mean, sd, start=np.zeros((2, 2)))
    np.testing.assert_allclose(modes.eta[0], mean, atol=1e-6)
    np.testing.assert_allclose(modes.covariance[0], np.diag(sd**2), atol=1e-6)
    points = importance_points(problem, mean, sd, n_points=256)
    np.testing.assert_allclose(log_marginals(points, mean, sd)[0][0], 0.0, atol=1e-2)


@pytest.mark.parametrize(("mean", "sd"), [(MEAN, SD), (0.5, 0.4), (2.0, 1.5)])
def test_marginal_likelihoods_and_moments_agree_with_quadrature(one, mean, sd):
    points = importance_points(one, mean, sd, n_points=1024)
    total, centre, variance = quadrature(one, mean, sd)
    np.testing.assert_allclose(log_marginals(points, mean, sd)[0], total, atol=1e-2)
    found, covariance = posterior_moments(points, mean, sd)
    np.testing.assert_allclose(found[:, 0], centre, atol=1e-2)
    np.testing.assert_allclose(covariance[:, 0, 0], variance, rtol=0.03)


def test_points_serve_populations_near_the_one_they_were_drawn_for(one):
    points = importance_points(one, MEAN, SD, n_points=1024)
    for mean, sd in [(MEAN + 0.5, SD), (MEAN - 0.5, 0.7 * SD), (MEAN, 1.5 * SD)]:
        total = quadrature(one, mean, sd)[0]
        np.testing.assert_allclose(log_marginals(points, mean, sd)[0], total, atol=2e-2)


def test_derivatives_of_the_marginal_likelihood_are_exact(two):
    rng = np.random.default_rng(5)
    mean, sd = rng.normal(0.5, 0.3, (12, 2)), rng.uniform(0.5, 1.5, (12, 2))
    points = importance_points(two, mean, sd, n_points=128)
    _, gradient, hessian = log_marginals(points, mean, sd, order=2)
    x, step = np.concatenate([mean, np.log(sd)], axis=1), 1e-5

    def look(x):
        return log_marginals(points, x[:, :2], np.exp(x[:, 2:]), order=1)

    for k in range(4):
        up, down = look(x + step * np.eye(4)[k]), look(x - step * np.eye(4)[k])
        np.testing.assert_allclose(gradient[:, k], (up[0] - down[0]) / (2 * step), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(hessian[:, k], (up[1] - down[1]) / (2 * step), rtol=1e-5, atol=1e-6)


def test_the_same_seed_gives_the_same_points_whatever_the_cores(two):
    first, second, other = (
        importance_points(two, 0.0, 1.0, n_points=64, random_seed=seed, cores=cores)
        for seed, cores in [(7, 1), (7, 3), (8, 1)]
    )
    np.testing.assert_array_equal(first.eta, second.eta)
    np.testing.assert_array_equal(first.loglik, second.loglik)
    assert (first.eta != other.eta).all()


def test_points_of_different_subjects_are_different():
    still = prepare(ONE, learners(np.full(6, 0.4), np.full(6, 3.0), n_trials=40))
    eta = importance_points(still, 0.0, 1.0, n_points=64).eta[:, 0]
    assert np.unique(eta.round(9)).size == eta.size


@pytest.mark.parametrize("n_points", [64, 100, 1024])
def test_the_proposal_density_is_that_of_the_points(n_points):
    rng = np.random.default_rng(9)
    factor = rng.normal(size=(5, 3, 3))
    covariance = factor @ factor.transpose(0, 2, 1) + np.eye(3)
    proposal = proposal_at(np.zeros((5, 3)), np.full((5, 3), 2.0), (rng.normal(size=(5, 3)), covariance))
    eta = proposal.draw(n_points, 1)
    assert eta.shape == (5, 3, n_points)
    # Importance sampling with the density must find that another density integrates to one.
    log_target = norm.logpdf(eta, 0.2, 1.5).sum(axis=1)
    mass = np.exp(log_target - proposal.log_density(eta)).mean(axis=1)
    np.testing.assert_allclose(mass, 1.0, atol=1.5 / np.sqrt(n_points))


@pytest.mark.parametrize("tail", [1.2, 2.0, 4.0, 20.0])
def test_pareto_k_agrees_with_arviz(tail):
    log_weight = np.log1p(np.random.default_rng(3).pareto(tail, (10, 1024)))
    weight = np.exp(log_weight - logsumexp(log_weight, axis=1, keepdims=True))
    theirs = [array_stats.psislw(-row)[1] for row in log_weight]
    np.testing.assert_allclose(pareto_k(weight), theirs, atol=0.02)


def test_pareto_k_of_equal_weights_is_minus_infinity():
    assert (pareto_k(np.full((2, 256), 1 / 256)) == -np.inf).all()


def test_weights_add_up_and_diagnostics_see_a_bad_population(two):
    points = importance_points(two, np.array([0.0, 1.0]), 1.0, n_points=512)
    np.testing.assert_allclose(weights(points, np.array([0.0, 1.0]), 1.0).sum(axis=1), 1.0)
    size, k_hat = diagnose(points, np.array([0.0, 1.0]), 1.0)
    assert (size > 150).all()
    assert (k_hat < 0.7).all()
    far_size, far_k = diagnose(points, np.array([0.0, 30.0]), 0.1)
    assert (far_size < 10).all()
    assert (far_k > 0.7).all()


def test_points_can_be_taken_and_put(two):
    points, others = (importance_points(two, 0.0, 1.0, n_points=32, random_seed=seed) for seed in (1, 2))
    mixed = points.put(np.array([3, 5]), others.take(np.array([3, 5])))
    assert isinstance(mixed, Points)
    np.testing.assert_array_equal(mixed.eta[[3, 5]], others.eta[[3, 5]])
    np.testing.assert_array_equal(mixed.loglik[0], points.loglik[0])


def test_sites_give_back_the_moments_they_were_matched_to(two):
    mean, sd = np.array([0.0, 1.0]), np.array([1.0, 0.8])
    found = sites(two, mean, sd, random_seed=1)
    assert (found.method == "moments").all()
    centre, covariance = posterior_moments(importance_points(two, mean, sd, random_seed=1), mean, sd)
    precision = found.curvature + np.diag(sd**-2)
    pull = np.einsum("sij,sj->si", found.curvature, found.centre) + found.gradient + mean / sd**2
    np.testing.assert_allclose(np.linalg.solve(precision, pull[:, :, None])[:, :, 0], centre, atol=1e-6)
    spread = np.linalg.inv(precision)
    assert (np.linalg.eigvalsh(found.curvature) > -1e-9).all()
    np.testing.assert_allclose(spread, covariance, atol=0.12)  # the positive part costs a little


def test_sites_of_many_parameters_fall_back_to_modes_and_say_so():
    data = random_behaviour(5, 40, 4)
    problem = prepare(hr.model("subvalue", per_arm=True, bias=True), data)
    assert problem.n_parameters == 19
    found = sites(problem, 0.0, 1.0, n_points=256)
    assert (found.method == "laplace").all()
    for array in (found.centre, found.gradient, found.curvature):
        assert np.isfinite(array).all()
    assert (np.linalg.eigvalsh(found.curvature) > -1e-9).all()


def test_points_exist_with_every_kind_of_gap_and_extreme_populations():
    data = random_behaviour(4, 30, 3, rich=True)
    problem = prepare(hr.model("subvalue", bias=True, lapse=True), data)
    for mean, sd in [(0.0, 1.0), (-20.0, 5.0), (20.0, 5.0), (0.0, 0.01)]:
        points = importance_points(problem, mean, sd, n_points=64)
        assert np.isfinite(points.loglik).all()
        assert np.isfinite(log_marginals(points, mean, sd)[0]).all()
