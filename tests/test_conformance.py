"""What every model must do: one table of models, one set of tests. Here what is computed of choices; fits elsewhere."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytensor
import pytest
import xarray as xr
from scipy.stats import norm

import hierrl as hr
from hierrl.fits import build_fit
from hierrl.kernels.problem import Problem, prepare
from hierrl.kernels.symbols import pack_tables
from hierrl.marginal import importance_points
from hierrl.models.notation import LATEX
from hierrl.posterior.layout import lay_out
from hierrl.posterior.model import trial_data, write_model
from hierrl.posterior.op import SubjectLogLik
from hierrl.posterior.recursion import RecursionLogLik
from hierrl.posterior.samplers import start_of_chain
from hierrl.prior import weak_prior
from tests.builders import random_theta
from tests.densities import SLOWLY, at
from tests.every_model import CATALOGUE, EVERY, N_ARMS, Row, by_hand, rich_behaviour

EXACT = 1e-10
STEP = 1e-6
UNIT = 40.0
"""Rewards in another unit are so many times larger."""


@pytest.fixture(params=EVERY)
def row(request) -> Row:
    return EVERY[request.param]


@cache
def data() -> xr.Dataset:
    return rich_behaviour()


def laid_out(row: Row, seed: int = 0) -> tuple[Problem, np.ndarray]:
    """The model on rich behaviour, and random parameters."""
    problem = prepare(row.model, data())
    return problem, random_theta(problem, seed=seed)


# --- the likelihood
def test_choices_are_scored_as_by_hand(row):
    """With missed choices, unknown outcomes, forced choices, hidden arms, contexts, gains, losses, forgone rewards."""
    for seed in range(2):
        problem, theta = laid_out(row, seed)
        loglik, probability = by_hand(row, problem, data(), theta)
        np.testing.assert_allclose(problem.trial_loglik(theta), loglik, rtol=EXACT, atol=EXACT)
        np.testing.assert_allclose(problem.probabilities(theta), probability, rtol=EXACT, atol=EXACT)
        total = [np.nansum(loglik[data()["trial_subject"].values == subject]) for subject in problem.subjects]
        np.testing.assert_allclose(problem.loglik(theta), total, rtol=EXACT)


@pytest.mark.parametrize(("study", "n_subjects"), [("fitzgerald_reversal", 3), ("dezfouli_clinical_2arm", 1)])
def test_real_choices_are_scored_as_by_hand(study, n_subjects, shared_data):
    """By every model that needs no column which the study lacks."""
    real = hr.behaviour(shared_data(study))
    of = real["subject"].values[:n_subjects]
    real = real.isel(trial=np.flatnonzero(np.isin(real["trial_subject"].values, of))).sel(subject=of)
    real = real.assign_coords(trial=np.arange(real.sizes["trial"]))
    for name, row in CATALOGUE.items():
        if name.startswith("gain_loss") or name == "counterfactual":
            continue
        problem = prepare(row.model, real)
        theta = random_theta(problem, seed=5)
        loglik, _ = by_hand(row, problem, real, theta)
        np.testing.assert_allclose(problem.trial_loglik(theta), loglik, rtol=EXACT, atol=EXACT, err_msg=name)


def test_gradient_and_hessian_are_those_of_differences(row):
    problem, theta = laid_out(row)
    _, gradient, hessian = problem.derivatives(theta)
    for k in range(problem.n_parameters):
        step = np.zeros_like(theta)
        step[:, k] = STEP
        ends = [problem.derivatives(theta + sign * step, order=1) for sign in (1, -1)]
        for exact, (low, high) in (
            (gradient[:, k], (ends[1][0], ends[0][0])),
            (hessian[:, :, k], (ends[1][1], ends[0][1])),
        ):
            scale = 1 + np.abs(exact).max()
            np.testing.assert_allclose(exact / scale, (high - low) / (2 * STEP) / scale, atol=3e-7)


def test_kernels_side_by_side_and_for_many_values_are_the_scalar_one(row):
    problem, theta = laid_out(row)
    value, gradient = in_a_graph(problem, theta)
    expected = problem.derivatives(theta, order=1)
    np.testing.assert_allclose(value, expected[0], rtol=EXACT)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-9, atol=1e-9)
    points = importance_points(problem, 0.0, 1.0, n_points=4)
    for j in range(4):
        at = problem.from_link(points.eta[:, :, j])
        np.testing.assert_allclose(points.loglik[:, j], problem.loglik(at), rtol=EXACT, atol=EXACT)
        np.testing.assert_allclose(
            problem.draws_loglik(at[None])[0], problem.trial_loglik(at), rtol=EXACT, atol=EXACT
        )


def in_a_graph(problem: Problem, theta: np.ndarray) -> list[np.ndarray]:
    """Log-likelihood and gradient as samplers have them: eight subjects side by side where the model has channels."""
    if hasattr(problem.tables, "loops"):
        node = RecursionLogLik(problem.tables).make_node(theta, *problem.trials)
    else:
        lanes = [values for name, values in trial_data(problem).items() if name.startswith("lanes")]
        node = SubjectLogLik().make_node(theta, *lanes, *pack_tables(problem.tables))
    return pytensor.function([], node.outputs, mode=SLOWLY)()


def start_of(row: Row) -> xr.DataTree:
    """A fit that has climbed nowhere: coordinates are centred around it, the density is the same anywhere."""
    problem, theta = laid_out(row)
    nothing = np.zeros(problem.n_subjects)
    return build_fit(problem, data(), theta, stats={"loglik": nothing}, settings={"estimator": "none"})


def test_the_density_in_pymc_is_likelihood_times_population(row):
    prior = weak_prior(row.model, data())
    layout = lay_out(row.model, data(), prior=prior, start=start_of(row), parametrization="centered")
    pm_model = write_model(layout)
    values = start_of_chain(layout, 3)
    population = layout.population
    expected = (
        layout.problem.loglik(layout.problem.from_link(values.eta)).sum()
        + norm.logpdf(values.effects, *population.effects_prior).sum()
        + norm.logpdf(values.log_sigma, *population.spread_prior).sum()
        + norm.logpdf(values.eta, population.mean(values.effects), np.exp(values.log_sigma)).sum()
    )
    logp = pm_model.compile_logp(jacobian=False, mode=SLOWLY)
    assert logp(at(pm_model, layout, values)) == pytest.approx(expected, rel=EXACT)


# --- what must not matter
def test_names_and_order_of_arms_do_not_matter(row):
    """Arm i becomes arm order[i]; a column by trial is about all arms but the first, which then stays the first."""
    by_trial = any(data()[r.column].ndim == 1 for r in row.model.regressors)
    order = np.array([0, 2, 1] if by_trial else [2, 0, 1])
    problem, theta = laid_out(row)
    columns = {
        name: (values.dims, values.values[:, order])
        for name, values in data().items()
        if "arm" in values.dims
    }
    choice = data()["choice"]
    columns["choice"] = ("trial", np.where(choice >= 0, np.argsort(order)[choice], -1))
    named = {}
    for name, (dims, values) in problem.unpack(theta).items():
        moved = values[:, order] if "arm" in dims else values
        named[name] = moved - moved[:, :1] if name == "bias" else moved
    again = prepare(row.model, data().assign(columns).assign_coords(arm=data()["arm"].values[order]))
    np.testing.assert_allclose(again.loglik(again.pack(named)), problem.loglik(theta), rtol=EXACT)
    np.testing.assert_allclose(
        again.probabilities(again.pack(named)), problem.probabilities(theta)[:, order], atol=1e-12
    )


def test_sessions_may_as_well_be_subjects(row):
    problem, theta = laid_out(row)
    subject, session = data()["trial_subject"].values, data()["trial_session"].values
    label = np.array([f"{a}/{b}" for a, b in zip(subject, session, strict=True)])
    order = list(dict.fromkeys(label.tolist()))
    apart = data().drop_vars(["group", "age", "subject"])
    apart = apart.assign_coords(subject=order, trial_subject=("trial", label))
    owner = [problem.subjects.tolist().index(one.split("/")[0]) for one in order]
    parts = prepare(row.model, apart, reward_scale=problem.reward_scale).loglik(theta[owner])
    assert len(order) > problem.n_subjects
    np.testing.assert_allclose(np.bincount(owner, parts), problem.loglik(theta), rtol=EXACT)


def test_train_and_test_make_up_the_whole(row):
    problem, theta = laid_out(row)
    halves = [prepare(row.model, part).loglik(theta) for part in hr.split(data(), last=0.3)]
    np.testing.assert_allclose(sum(halves), problem.loglik(theta), rtol=EXACT)
    assert (halves[1] < 0).all()


def test_what_all_arms_have_in_common_does_not_matter(row):
    if row.is_own:
        pytest.skip("has no regressors")
    problem, theta = laid_out(row)
    flat = np.repeat(np.random.default_rng(0).normal(size=(data().sizes["trial"], 1)), N_ARMS, axis=1)
    model = row.model.replace(regressors=(*row.model.regressors, hr.Regressor("flat")))
    more = prepare(model, data().assign(flat=(("trial", "arm"), flat)))
    named = {name: values for name, (_, values) in problem.unpack(theta).items()}
    named["weight_flat"] = np.linspace(-3, 3, problem.n_subjects)
    np.testing.assert_allclose(more.loglik(more.pack(named)), problem.loglik(theta), rtol=EXACT)
    slope = more.derivatives(more.pack(named), order=1)[1][:, list(more.labels).index("weight_flat")]
    np.testing.assert_allclose(slope, 0, atol=1e-10)


def test_the_unit_of_rewards_does_not_matter(row):
    """Bounds and parameters on the scaled signal are the same, whatever the model; raw ones have the unit they say."""
    problem, theta = laid_out(row)
    outcomes = ("reward", "gain", "loss", "forgone")
    cents = data().assign({name: data()[name] * UNIT for name in outcomes})
    named = {name: values for name, (_, values) in problem.unpack(theta).items()}
    every = row.model.parameters if row.is_own else row.model.all_parameters
    units = {parameter.name: parameter.unit for parameter in every}
    raw = {name: values * UNIT ** units[name] for name, values in named.items()}
    model = row.model
    if model.fixed:
        model = model.replace(
            fixed={name: value * UNIT ** units[name] for name, value in model.fixed.items()}
        )
    again = prepare(model, cents)
    assert again.reward_scale == pytest.approx(UNIT * problem.reward_scale)
    np.testing.assert_allclose(again.pack(raw), theta, rtol=1e-12)
    np.testing.assert_allclose(again.lower, problem.lower, rtol=1e-12)
    np.testing.assert_allclose(again.loglik(theta), problem.loglik(theta), rtol=EXACT)
    # Linear models, and no others, need not even know the scale.
    unscaled = prepare(model, cents, reward_scale=problem.reward_scale)
    same = np.allclose(unscaled.loglik(unscaled.pack(raw)), problem.loglik(theta), rtol=EXACT)
    assert same == row.model.is_linear


# --- what gaps in the data mean
def test_trials_that_are_not_scored_teach_all_the_same(row):
    problem, theta = laid_out(row)
    half = data().assign(scored=data()["scored"] & (data()["trial"] % 2 == 0))
    whole, found = problem.trial_loglik(theta), prepare(row.model, half).trial_loglik(theta)
    np.testing.assert_allclose(
        found, np.where(half["scored"] & (data()["choice"] >= 0), whole, np.nan), rtol=EXACT
    )


def test_a_missed_choice_is_as_if_the_trial_had_not_been(row):
    """Unless it lets traces fade; and where trials are counted, as memory does in the model of one's own."""
    if row.model.missed == "decay" or row.is_own:
        pytest.skip("trials count, with a choice or without one")
    problem, theta = laid_out(row)
    kept = data().isel(trial=np.flatnonzero(data()["choice"] >= 0))
    fewer = prepare(row.model, kept.assign_coords(trial=np.arange(kept.sizes["trial"])))
    assert fewer.n_trials < problem.n_trials
    np.testing.assert_allclose(fewer.loglik(theta), problem.loglik(theta), rtol=EXACT)


def test_only_arms_shown_have_a_chance_and_only_the_past_counts(row):
    problem, theta = laid_out(row)
    chance = problem.probabilities(theta)
    assert (chance[~data()["available"].values] == 0).all()
    np.testing.assert_allclose(chance.sum(axis=1), 1, rtol=1e-12)
    last = np.append(problem.trials.offset[1:-1], problem.n_trials) - 1
    changed = data().copy(deep=True)
    changed["choice"][last], changed["reward"][last] = -1, np.nan
    again = prepare(row.model, changed, reward_scale=problem.reward_scale).probabilities(theta)
    np.testing.assert_array_equal(again, chance)


def test_contexts_are_apart_as_sessions_are():
    row = EVERY["context"]
    problem, theta = laid_out(row)
    order = np.lexsort((data()["context"].values, data()["trial_session"].values, problem_rows(problem)))
    moved = data().isel(trial=order)
    session = [
        f"{a}/{b}" for a, b in zip(moved["trial_session"].values, moved["context"].values, strict=True)
    ]
    moved = moved.assign_coords(trial=np.arange(order.size), trial_session=("trial", session))
    model = hr.Model(channels=tuple(replace(channel, context=None) for channel in row.model.channels))
    np.testing.assert_allclose(prepare(model, moved).loglik(theta), problem.loglik(theta), rtol=EXACT)


def problem_rows(problem: Problem) -> np.ndarray:
    """(n,) index of each row's subject."""
    return np.repeat(np.arange(problem.n_subjects), problem.n_rows)


# --- what a model says of itself
def test_a_model_survives_json_and_names_its_parameters(row):
    again = hr.Model.from_json(row.model.to_json())
    assert again == row.model and hash(again) == hash(row.model) and again.parameters == row.model.parameters
    told = repr(row.model)
    equations = told.split("parameters:")[0] if not row.is_own else told
    assert all(re.search(rf"\b{name}\b", equations) for name in row.model.names)
    if not row.is_own:
        names = [name for name in row.model.names if name != "lapse"]
        # not as part of an index: sd_start is not start
        assert all(
            re.search(rf"(?<!_{{){re.escape(LATEX.parameter(name))}", row.model.latex) for name in names
        )
        assert (r"\xi" in row.model.latex) == row.model.lapse
