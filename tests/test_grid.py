"""The hull on a grid of rates: against a textbook program, the native solver, and the monotone relaxation."""

from __future__ import annotations

from typing import Any

import cvxpy as cp
import numpy as np
import pytest
from builders import random_behaviour

import hierrl as hr
from hierrl.convex.grid import solve_grid
from hierrl.convex.hull import solve_hull
from hierrl.convex.layout import lay_out
from hierrl.convex.monotone import solve_monotone
from hierrl.kernels.newton import maximise
from hierrl.kernels.problem import Problem, prepare

SOLVER = 1e-5
RATES = np.concatenate([[0.0], 1 / (1 + np.exp(-np.linspace(-7, 7, 60))), [1.0]])

MODELS = {
    "rw": (hr.model("rw"), 2),
    "tight": (hr.model("forgetting_q", bounds={"beta": (1, 3)}), 3),
    "start": (hr.model("rw", start=0.5), 3),
    "bias": (hr.model("forgetting_q", bias=True), 2),
    "two channels": (hr.model("subvalue", signed=False), 2),
    "per arm": (hr.model("rw", per_arm=True), 3),
}


def textbook(problem: Problem, upper: dict[str, Any]) -> float:
    """One subject, one channel: mixtures of the paths at RATES, one term per trial."""
    weight = cp.Variable(RATES.size, nonneg=True)
    low, high = upper["beta"]
    paths = np.stack([problem.paths(np.array([[rate, 1.0]]))[0] for rate in RATES], axis=-1)
    terms = []
    for t in np.flatnonzero(problem.trials.scored):
        logits = paths[t] @ weight
        terms.append(logits[int(problem.trials.choice[t])] - cp.log_sum_exp(logits))
    conditions = [cp.sum(weight) <= high, cp.sum(weight) >= low]
    optimum: Any = cp.Problem(cp.Maximize(cp.sum(terms)), conditions).solve(solver="CLARABEL")
    return float(optimum)


@pytest.mark.parametrize("name", ["rw", "tight"])
def test_grid_optimum_is_that_of_a_textbook_program(name):
    model, n_arms = MODELS[name]
    problem = prepare(model, random_behaviour(1, 30, n_arms, seed=3))
    bounds = {parameter.name: (parameter.lower, parameter.upper) for parameter in model.parameters}
    result = solve_grid(problem, RATES)
    assert result.loglik[0] == pytest.approx(textbook(problem, bounds), abs=SOLVER)


@pytest.mark.parametrize("name", MODELS)
def test_fine_grid_reaches_the_hull_from_below(name):
    model, n_arms = MODELS[name]
    problem = prepare(model, random_behaviour(4, 50, n_arms, seed=5))
    grid = solve_grid(problem, RATES)
    hull = lay_out(problem)
    native = solve_hull(problem, hull)
    assert grid.solved.all()
    assert np.all(grid.loglik <= native.bound + SOLVER)
    np.testing.assert_allclose(grid.loglik, native.value, atol=0.02)


@pytest.mark.parametrize("name", ["rw", "bias", "two channels"])
def test_hull_lies_inside_the_monotone_set(name):
    model, n_arms = MODELS[name]
    problem = prepare(model, random_behaviour(4, 50, n_arms, seed=5))
    assert np.all(solve_grid(problem, RATES).loglik <= solve_monotone(problem).loglik + SOLVER)


def test_weights_make_the_logits_and_respect_the_bounds_of_the_weight():
    problem = prepare(MODELS["tight"][0], random_behaviour(3, 50, 3, seed=5))
    result = solve_grid(problem, RATES)
    mass = result.weight[:, 0, 0].sum(axis=-1)
    assert np.all((mass >= 1 - SOLVER) & (mass <= 3 + SOLVER))
    for s in range(3):
        one = problem.select([s])
        paths = np.stack([one.paths(np.array([[rate, 1.0]]))[0] for rate in RATES], axis=-1)
        rows = slice(problem.trials.offset[s], problem.trials.offset[s + 1])
        np.testing.assert_allclose(paths @ result.weight[s, 0, 0], result.logits[rows], atol=1e-8)


def test_atoms_of_two_rates_are_given_as_parameter_vectors():
    model = hr.Model(channels=(hr.Channel(rate=("up", "down")),))
    problem = prepare(model, random_behaviour(2, 50, 2, seed=5))
    up, down = np.meshgrid(np.linspace(0, 1, 9), np.linspace(0, 1, 9))
    grid = np.column_stack([up.ravel(), down.ravel(), np.ones(up.size)])
    result = solve_grid(problem, grid)
    starts = np.tile(grid, (2, 1, 1))
    rates_held = maximise(problem, starts, free=[False, False, True])[1]
    assert np.all(result.loglik >= rates_held - SOLVER)


def test_rates_outside_of_the_unit_interval_are_refused():
    problem = prepare(hr.model("rw"), random_behaviour(1, 10, 2))
    with pytest.raises(ValueError, match="numbers in \\[0, 1\\]"):
        solve_grid(problem, [0.5, 1.5])
