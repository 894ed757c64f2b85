"""The likelihood against a loop by hand, and its derivatives against differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from builders import random_behaviour, random_theta
from hypothesis import given, settings
from naive import Told, by_subject, retell, values_by_subject
from vocabulary import few_examples, has_learner, models, numbers_of_arms, seeds, some

import hierrl as hr
from hierrl.kernels.problem import Problem, prepare

EXACT = 1e-10
STEP = 1e-6


def told_by_hand(problem: Problem, data: xr.Dataset, theta: np.ndarray) -> Told:
    return retell(
        problem.model,
        data,
        values_by_subject(
            problem.unpack(theta), problem.subjects, model=problem.model, reward_scale=problem.reward_scale
        ),
    )


def signal_scales(problem: Problem) -> np.ndarray:
    """(C, 1, 1) what each channel's signal was divided by."""
    return np.array([problem.reward_scale**c.unit for c in problem.model.channels], dtype=float)[
        :, None, None
    ]


def assert_as_by_hand(model: hr.Model, data: xr.Dataset, *, seed: int = 0) -> None:
    problem = prepare(model, data)
    theta = random_theta(problem, seed=seed)
    told = told_by_hand(problem, data, theta)
    np.testing.assert_allclose(problem.loglik(theta), by_subject(told.loglik, data), rtol=EXACT, atol=EXACT)
    np.testing.assert_allclose(problem.trial_loglik(theta), told.loglik, rtol=EXACT, atol=EXACT)
    np.testing.assert_allclose(problem.probabilities(theta), told.probability, rtol=EXACT, atol=EXACT)
    paths = np.array(told.path).reshape(data.sizes["trial"], -1, data.sizes["arm"]).transpose(1, 0, 2)
    np.testing.assert_allclose(problem.paths(theta) * signal_scales(problem), paths, rtol=EXACT, atol=EXACT)


@given(model=models(), n_arms=numbers_of_arms, seed=seeds)
@few_examples
def test_likelihood_paths_and_probabilities_are_those_of_a_loop_by_hand(model, n_arms, seed):
    data = random_behaviour(3, 30, n_arms, graded=True, rich=True, seed=seed)
    assert_as_by_hand(model, data, seed=seed)


OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"bias": True},
    {"lapse": True},
    {"per_arm": True},
    {"signed": True},
    {"signed": False},
    {"start": 0.5},
    {"start": "start"},
    {"missed": "decay"},
    {"bias": True, "lapse": True, "per_arm": True, "start": "start", "missed": "decay"},
)


def needs_columns(model: hr.Model) -> bool:
    """Whether a model remembers gains, losses or what other arms would have paid."""
    return any({c.signal, c.unchosen} & {"gain", "loss", "forgone"} for c in model.channels)


NAMED = [
    pytest.param(hr.model(name, **options), id=f"{name}-{'-'.join(options)}")
    for name in hr.models()
    for options in OPTIONS
    if not needs_columns(hr.model(name))
]
COMPOSED = [
    pytest.param(hr.Model(channels=(hr.Channel(rate=("alpha_pos", "alpha_neg")),)), id="dual_rate"),
    pytest.param(
        hr.Model(
            channels=(
                hr.Channel(),
                hr.Channel("choice", rate=1.0, weight="kappa", unchosen="decay", signed=True),
            )
        ),
        id="sticky",
    ),
    pytest.param(
        hr.Model(
            channels=(
                hr.Channel("gain", rate="Arew", weight="R", unchosen="decay"),
                hr.Channel("loss", rate="Apun", weight="P", unchosen="decay"),
            ),
            lapse=True,
        ),
        id="bandit4arm_lapse",
    ),
    pytest.param(hr.Model(channels=(hr.Channel(unchosen="mirror"),)), id="fictitious"),
    pytest.param(hr.Model(channels=(hr.Channel(unchosen="forgone"),)), id="counterfactual"),
    pytest.param(
        hr.Model(channels=(), regressors=(hr.Regressor("mood"),), bias=True, lapse=True), id="no_channel"
    ),
]


@pytest.mark.parametrize("model", NAMED + COMPOSED)
@pytest.mark.parametrize("n_arms", [2, 4])
def test_named_and_composed_models_are_those_of_a_loop_by_hand(model, n_arms):
    assert_as_by_hand(model, random_behaviour(3, 40, n_arms, rich=True, seed=1), seed=2)


@pytest.mark.parametrize("model", NAMED)
def test_named_models_need_no_optional_column(model):
    assert_as_by_hand(model, random_behaviour(3, 40, 2, seed=3), seed=4)


def differences(function, point: np.ndarray) -> np.ndarray:
    """Central differences of function(point) in the columns of `point` (S, P), as a new last axis."""
    columns = []
    for k in range(point.shape[1]):
        step = np.zeros_like(point)
        step[:, k] = STEP
        columns.append((function(point + step) - function(point - step)) / (2 * STEP))
    return np.stack(columns, axis=-1)


def assert_close_to_differences(exact: np.ndarray, approximate: np.ndarray) -> None:
    scale = 1.0 + np.abs(exact).max()
    np.testing.assert_allclose(exact / scale, approximate / scale, atol=3e-7)


@given(model=models(), n_arms=some(2, 4), seed=seeds)
@few_examples
def test_gradient_and_hessian_are_those_of_differences(model, n_arms, seed):
    problem = prepare(model, random_behaviour(3, 30, n_arms, graded=True, rich=True, seed=seed))
    theta = random_theta(problem, seed=seed)
    value, gradient, hessian = problem.derivatives(theta)
    # learners' equations run on other numbers when derivatives are asked for, and may round differently
    np.testing.assert_allclose(value, problem.loglik(theta), rtol=1e-13 if has_learner(model) else 0)
    np.testing.assert_array_equal(gradient, problem.derivatives(theta, order=1)[1])
    np.testing.assert_array_equal(hessian, hessian.transpose(0, 2, 1))
    assert_close_to_differences(gradient, differences(problem.loglik, theta))
    assert_close_to_differences(
        hessian, differences(lambda point: problem.derivatives(point, order=1)[1], theta)
    )


@given(model=models(), seed=seeds)
@settings(few_examples, max_examples=25)
def test_derivatives_on_the_link_scale_are_those_of_differences(model, seed):
    problem = prepare(model, random_behaviour(3, 30, 2, graded=True, rich=True, seed=seed))
    eta = problem.to_link(random_theta(problem, seed=seed))
    np.testing.assert_allclose(problem.to_link(problem.from_link(eta)), eta, atol=1e-12)
    value, gradient, hessian = problem.link_derivatives(eta)
    np.testing.assert_allclose(
        value, problem.link_derivatives(eta, order=0)[0], rtol=1e-13 if has_learner(model) else 0
    )
    np.testing.assert_allclose(
        value, problem.loglik(problem.from_link(eta)), rtol=1e-13 if has_learner(model) else 0
    )
    assert_close_to_differences(
        gradient, differences(lambda point: problem.link_derivatives(point, order=0)[0], eta)
    )
    assert_close_to_differences(
        hessian, differences(lambda point: problem.link_derivatives(point, order=1)[1], eta)
    )


@pytest.mark.parametrize("lapse", [0.0, 1.0])
def test_derivatives_hold_at_the_bounds_of_the_lapse(lapse):
    problem = prepare(hr.model("rw", lapse=True, bias=True), random_behaviour(3, 60))
    inward = 1.0 if lapse == 0.0 else -1.0
    theta = random_theta(problem)
    theta[:, problem.labels.index("lapse")] = lapse
    inside = theta.copy()
    inside[:, problem.labels.index("lapse")] += inward * STEP
    at, near = problem.derivatives(theta), problem.derivatives(inside)
    k = problem.labels.index("lapse")
    assert_close_to_differences(
        at[1][:, k], inward * (near[0] - at[0]) / STEP - inward * STEP / 2 * at[2][:, k, k]
    )
    np.testing.assert_allclose(at[2], near[2], atol=1e-3 * (1 + np.abs(near[2]).max()))


def test_extreme_weights_neither_overflow_nor_underflow():
    problem = prepare(hr.model("forgetting_q", bounds={"beta": (0, 5000)}), random_behaviour(3, 60, 4))
    theta = np.tile([0.9, 5000.0], (3, 1))
    value, gradient, hessian = problem.derivatives(theta)
    assert np.isfinite(value).all()
    assert np.isfinite(gradient).all()
    assert np.isfinite(hessian).all()
    np.testing.assert_allclose(problem.probabilities(theta).sum(axis=1), 1.0)


def test_arms_not_shown_have_probability_zero_whatever_the_lapse():
    data = random_behaviour(3, 60, 4, rich=True)
    problem = prepare(hr.model("rw", lapse=True), data)
    p = problem.probabilities(random_theta(problem))
    assert (p[~data["available"].values] == 0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1.0)
