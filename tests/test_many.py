"""Many parameter values of a subject at once have the likelihoods they have one by one."""

import numpy as np
import pytest
from hypothesis import given

import hierrl as hr
from hierrl.kernels.many import LANES, many_pass
from hierrl.kernels.problem import Problem, prepare
from tests.builders import random_behaviour, random_theta
from tests.vocabulary import few_examples, models, numbers_of_arms, seeds


def at_once(problem: Problem, s: int, theta: np.ndarray) -> np.ndarray:
    """Log-likelihoods (J,) of subject s at theta (J, P)."""
    loglik = np.full(len(theta), np.nan)
    many_pass(problem.tables, problem.trials, s, np.ascontiguousarray(theta.T), loglik)
    return loglik


def one_by_one(problem: Problem, s: int, theta: np.ndarray) -> np.ndarray:
    everywhere = np.repeat(theta[:, None], problem.n_subjects, axis=1)
    return np.array([problem.loglik(each)[s] for each in everywhere])


def values(problem: Problem, n: int, seed: int) -> np.ndarray:
    """Parameters (n, P)."""
    return np.concatenate([random_theta(problem, seed=seed + k) for k in range(n)])[:n]


@few_examples
@given(model=models(), n_arms=numbers_of_arms, seed=seeds)
def test_every_model_has_the_likelihood_of_the_kernel(model, n_arms, seed):
    problem = prepare(model, random_behaviour(2, 40, n_arms, rich=True, seed=seed))
    theta = values(problem, 5, seed)
    for s in range(2):
        np.testing.assert_allclose(
            at_once(problem, s, theta), one_by_one(problem, s, theta), rtol=1e-10, atol=1e-10
        )


@pytest.mark.parametrize("n_points", [1, LANES - 1, LANES, 2 * LANES + 3])
def test_any_number_of_values_goes(n_points):
    problem = prepare(hr.model("forgetting_q"), random_behaviour(2, 30, 2))
    theta = values(problem, n_points, 0)
    np.testing.assert_allclose(at_once(problem, 1, theta), one_by_one(problem, 1, theta), rtol=1e-11)


@pytest.mark.parametrize("n_arms", [2, 10])
def test_long_sessions_and_extreme_values_do_not_overflow(n_arms):
    problem = prepare(hr.model("rw"), random_behaviour(1, 3000, n_arms, gaps=False))
    theta = np.array([[0.5, 1.0], [1e-13, 1e13], [1.0, 1e13], [1 - 1e-13, 1e-13]])
    found = at_once(problem, 0, theta)
    np.testing.assert_allclose(found, one_by_one(problem, 0, theta), rtol=1e-10)
    assert np.isfinite(found).all()
