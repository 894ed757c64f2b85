"""Subjects side by side have the likelihoods and gradients that they have one by one."""

from __future__ import annotations

from functools import cache

import numba
import numpy as np
import pandas as pd
import pytest
from hypothesis import given

import hierrl as hr
from hierrl.kernels.lanes import LANES, VECTOR, side_by_side
from hierrl.kernels.problem import Problem, prepare
from hierrl.kernels.symbols import loglik_caller, pack_tables
from tests.builders import random_behaviour, random_theta
from tests.vocabulary import few_examples, models, numbers_of_arms, seeds


@cache
def compiled():
    return numba.njit(loglik_caller())


def abreast(problem: Problem, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log-likelihood (S,) and gradient (S, P)."""
    value, gradient = np.full(len(theta), np.nan), np.full(theta.shape, np.nan)
    compiled()(theta, value, gradient, *side_by_side(problem.trials), *pack_tables(problem.tables))
    return value, gradient


def assert_same(problem: Problem, theta: np.ndarray) -> None:
    expected = problem.derivatives(theta, order=1)
    for found, one_by_one in zip(abreast(problem, theta), expected, strict=False):
        np.testing.assert_allclose(found, one_by_one, rtol=1e-9, atol=1e-9)


@few_examples
@given(model=models(), n_arms=numbers_of_arms, seed=seeds)
def test_every_model_has_the_likelihood_and_gradient_of_the_kernel(model, n_arms, seed):
    problem = prepare(model, random_behaviour(11, 30, n_arms, rich=True, seed=seed))
    assert_same(problem, random_theta(problem, seed=seed))


@pytest.mark.parametrize("n_arms", [2, 3])
@pytest.mark.parametrize("n_subjects", [1, VECTOR, VECTOR + 1, LANES, 2 * LANES + 3])
def test_any_number_of_subjects_of_any_length_goes(n_subjects, n_arms):
    problem = prepare(hr.model("subvalue", bias=True), random_behaviour(n_subjects, 60, n_arms))
    assert_same(problem, random_theta(problem))


def test_a_long_subject_among_short_ones():
    parts = [random_behaviour(1, 2000, 2, seed=1), random_behaviour(9, 20, 2, seed=2)]
    lengths = [prepare(hr.model("rw"), part).trials.offset for part in parts]
    assert lengths[0][-1] > 40 * np.diff(lengths[1]).max()
    tables = [hr.to_table(part) for part in parts]
    tables[0]["subject"] = "long"

    problem = prepare(hr.model("forgetting_q"), hr.behaviour(pd.concat(tables)))
    assert_same(problem, random_theta(problem))


@pytest.mark.parametrize("n_arms", [2, 10])
def test_long_sessions_and_extreme_values_do_not_overflow(n_arms):
    problem = prepare(hr.model("rw"), random_behaviour(4, 3000, n_arms, gaps=False))
    theta = np.array([[0.5, 1.0], [1e-13, 1e13], [1.0, 1e13], [1 - 1e-13, 1e-13]])
    assert_same(problem, theta)
    assert all(np.isfinite(found).all() for found in abreast(problem, theta))


def test_only_the_subject_with_a_bad_parameter_has_no_likelihood():
    problem = prepare(hr.model("rw"), random_behaviour(10, 30, 2))
    theta = random_theta(problem)
    expected = abreast(problem, theta)[0]
    theta[3, 0] = np.nan
    found = abreast(problem, theta)[0]
    assert np.isnan(found[3])
    np.testing.assert_array_equal(np.delete(found, 3), np.delete(expected, 3))
