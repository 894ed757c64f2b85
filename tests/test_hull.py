"""The hull relaxation: its bound is a bound, its optimum an optimum, and hard subjects end in sentences."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from builders import random_behaviour
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hierrl as hr
from hierrl.convex.hull import logits_of, solve_hull
from hierrl.convex.layout import lay_out
from hierrl.convex.recovery import concave_scalars, recover
from hierrl.kernels.jit import njit
from hierrl.kernels.newton import maximise
from hierrl.kernels.prices import curvature_bound, prices
from hierrl.kernels.problem import Problem, prepare

MODELS = {
    "rw": hr.model("rw"),
    "forgetting_q, bias": hr.model("forgetting_q", bias=True),
    "start value": hr.model("rw", start=0.5),
    "tight weights": hr.model("forgetting_q", bounds={"beta": (0.5, 2.0), "alpha": (0.1, 0.7)}),
    "signed": hr.model("rw", signed=True),
    "subvalue": hr.model("subvalue"),
    "subvalue per arm": hr.model("subvalue", per_arm=True, signed=False),
    "sticky": hr.Model(
        channels=(hr.Channel(), hr.Channel("choice", rate=1.0, weight="kappa", unchosen="decay", signed=True))
    ),
    "product of weights": hr.Model(
        channels=(hr.Channel(weight="-beta*lambda"),), bounds={"beta": (0, 4), "lambda": (0.5, 2)}
    ),
    "accumulating": hr.Model(
        channels=(hr.Channel(update="accumulate", unchosen="decay"),), bounds={"beta": (0, 3)}
    ),
    "own fixed decay": hr.Model(channels=(hr.Channel(unchosen="decay", decay=0.1),)),
    "mirror": hr.Model(channels=(hr.Channel(unchosen="mirror"),), bias=True),
    "learned start": hr.model("rw", start="start", bias=True),
    "two rates": hr.Model(channels=(hr.Channel(rate=("up", "down")),)),
    "two rates, learned start": hr.Model(
        channels=(hr.Channel(rate=("up", "down"), start="start", signed=True),), bounds={"beta": (-5, 8)}
    ),
    "a rate beside a number": hr.Model(channels=(hr.Channel(rate=(0.3, "down")),)),
    "own decay": hr.Model(channels=(hr.Channel(unchosen="decay", decay="fade", start=0.2),)),
    "three rates": hr.Model(
        channels=(hr.Channel(rate=("up", "down"), unchosen="decay", decay="fade"),), bounds={"beta": (0, 10)}
    ),
    "start only": hr.Model(channels=(hr.Channel(rate=0.3, start="start"),)),
    "starts per arm": hr.model("forgetting_q", start="start", per_arm=True),
}
SLOW_TO_BOUND = ("two rates, learned start", "three rates")
"""Boxes of three and more axes are many, so their bound is looser than the relaxation."""


def some_theta(problem: Problem, rng: np.random.Generator, n: int) -> np.ndarray:
    """Parameter vectors (n, S, P) all over the box, its edges included."""
    share = rng.uniform(size=(n, problem.n_subjects, problem.n_parameters))
    share = np.where(rng.uniform(size=share.shape) < 0.2, np.round(share), share**2)
    return problem.lower + share * (problem.upper - problem.lower)


def violation(bound: np.ndarray, loglik: np.ndarray) -> float:
    """By how much a log-likelihood exceeds its bound, beyond rounding."""
    return float((loglik - bound - 1e-7 * (1 + np.abs(loglik))).max())


def biased_behaviour(seed: int, n_arms: int, graded: bool) -> xr.Dataset:
    """Choices that follow rewards, so that weights matter: random ones make every weight tiny."""
    data = random_behaviour(3, 45, n_arms, graded=graded, seed=seed)
    rng = np.random.default_rng(seed)
    choice, reward = data["choice"].values.copy(), data["reward"].values
    for t in range(1, choice.size):
        if choice[t] >= 0 and choice[t - 1] >= 0 and rng.uniform() < 0.6:
            choice[t] = choice[t - 1] if reward[t - 1] > 0 else (choice[t - 1] + 1) % n_arms
    return data.assign(choice=("trial", choice))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    name=st.sampled_from(sorted(MODELS.keys() - set(SLOW_TO_BOUND))),
    seed=st.integers(0, 10_000),
    n_arms=st.sampled_from([2, 3]),
    graded=st.booleans(),
)
def test_no_parameter_value_beats_the_bound(name, seed, n_arms, graded):
    data = biased_behaviour(seed, n_arms, graded)
    problem = prepare(MODELS[name], data)
    hull = lay_out(problem)
    assert hull.reasons == ()
    bound = solve_hull(problem, hull).bound
    assert np.isfinite(bound).all() and (bound <= 0).all()
    rng = np.random.default_rng(seed)
    points = some_theta(problem, rng, 30)
    for theta in points:
        assert violation(bound, problem.loglik(theta)) <= 0
    climbed = maximise(problem, np.moveaxis(points[:8], 0, 1))
    assert violation(bound, climbed.loglik) <= 0


@pytest.mark.slow
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    name=st.sampled_from(sorted(MODELS)),
    seed=st.integers(0, 10**6),
    n_arms=st.sampled_from([2, 3, 4]),
    graded=st.booleans(),
)
def test_brute_force_does_not_beat_the_bound(name, seed, n_arms, graded):
    problem = prepare(MODELS[name], biased_behaviour(seed, n_arms, graded))
    bound = solve_hull(problem, lay_out(problem)).bound
    points = some_theta(problem, np.random.default_rng(seed), 60)
    assert violation(bound, maximise(problem, np.moveaxis(points, 0, 1)).loglik) <= 0


@pytest.mark.parametrize("name", sorted(MODELS))
def test_the_relaxed_optimum_is_optimal_and_its_logits_are_what_it_says(name):
    problem = prepare(MODELS[name], biased_behaviour(5, 2, False))
    hull = lay_out(problem)
    relaxation = solve_hull(problem, hull)
    assert (relaxation.bound - relaxation.value < (0.5 if name in SLOW_TO_BOUND else 5e-3)).all()
    x = logits_of(problem, hull, relaxation)
    log_p = (
        x
        - np.log(np.exp(x - x.max(axis=1, keepdims=True)).sum(axis=1, keepdims=True))
        - x.max(axis=1, keepdims=True)
    )
    rows = np.arange(problem.n_trials)
    per_trial = np.where(problem.trials.scored, log_p[rows, problem.trials.choice], 0.0)
    by_subject = np.add.reduceat(per_trial, problem.trials.offset[:-1])
    np.testing.assert_allclose(by_subject, relaxation.value, atol=1e-8)


def test_the_bound_of_single_rate_models_is_tight():
    task = hr.Bandit(odds=(0.8, 0.2), n_trials=200, reverse_every=25)
    truth = {"alpha": np.linspace(0.1, 0.8, 20), "beta": np.linspace(2, 6, 20)}
    data = hr.simulate(hr.model("rw"), task, truth, n_subjects=20, random_seed=3)
    fit = hr.fit_mle(hr.model("rw"), data, progress=False)
    assert float(fit["fit_stats"]["gap"].median()) < 0.1
    assert float(fit["fit_stats"]["gap"].min()) >= -1e-7


def test_arms_may_be_relabelled():
    data = biased_behaviour(2, 3, True)
    swapped = data.assign(choice=("trial", np.where(data["choice"] >= 0, 2 - data["choice"], -1)))
    for name in ("forgetting_q, bias", "subvalue"):
        one, other = (
            solve_hull(problem := prepare(MODELS[name], version), lay_out(problem))
            for version in (data, swapped)
        )
        # The reference arm of the biases changes, and with it the box they lie in.
        atol = 5e-3 if name == "subvalue" else 0.05
        np.testing.assert_allclose(one.bound, other.bound, atol=atol)


@njit(nogil=True)
def run_prices(kind, target, reset, context, shape, free, accumulate, rates, r, out):
    prices(kind, target, reset, context, 1, shape, free, accumulate, rates, r, out)


@njit(nogil=True)
def run_curvature(kind, target, reset, context, shape, free, accumulate, low, high, r, out):
    curvature_bound(kind, target, reset, context, 1, shape, free, accumulate, low, high, r, out)


@pytest.mark.parametrize("name", ["rw", "forgetting_q, bias", "accumulating", "start value"])
def test_prices_agree_with_paths_and_their_curvature_stays_below_its_bound(name):
    problem = prepare(MODELS[name], random_behaviour(1, 80, 2, seed=4))
    layout, trials = lay_out(problem).layout, problem.trials
    rng = np.random.default_rng(0)
    r = rng.normal(size=problem.n_trials)
    accumulate = bool(problem.tables.accumulate[0])
    arm = (
        trials.kind[0, 0],
        trials.target[0, 0],
        trials.reset,
        trials.context[0],
        layout.shape[0],
        layout.axis[0] == 0,
        accumulate,
    )
    edges = np.linspace(0.0, 1.0, 21)
    bound = np.zeros(20)
    run_curvature(*arm, edges[:-1].copy(), edges[1:].copy(), r, bound)
    step = 1e-5
    for k in range(20):
        rates = np.clip(np.linspace(edges[k], edges[k + 1], 7), 2 * step, 1 - 2 * step)
        here, above, below = np.zeros((3, 7)), np.zeros((3, 7)), np.zeros((3, 7))
        for rate, out in ((rates, here), (rates + step, above), (rates - step, below)):
            run_prices(*arm, rate, r, out)
        np.testing.assert_allclose((above[0] - below[0]) / (2 * step), here[1], rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose((above[1] - below[1]) / (2 * step), here[2], rtol=1e-4, atol=1e-2)
        assert (here[2] <= bound[k] + 1e-9).all()
        theta = np.tile(problem.clip(np.full(problem.n_parameters, 1.0)), (1, 1))
        theta[0, 0] = rates[3]
        assert here[0, 3] == pytest.approx(r @ problem.paths(theta)[0, :, 0], abs=1e-9)


HARD = {
    "one arm only": (np.zeros(30, int), np.ones(30)),
    "no reward": (np.tile([0, 1], 15), np.zeros(30)),
    "separable": (np.repeat([0, 1], 15), np.concatenate([np.ones(14), [0.0], np.ones(15)])),
    "five trials": (np.array([0, 1, 1, 0, 1]), np.array([1.0, 0, 1, 1, 0])),
    "all missed": (np.full(30, -1), np.full(30, np.nan)),
    "outcomes unknown": (np.tile([0, 1, 1], 10), np.full(30, np.nan)),
}


@pytest.mark.parametrize("case", sorted(HARD))
@pytest.mark.parametrize("name", ["rw", "forgetting_q, bias", "subvalue", "subvalue per arm"])
def test_hard_subjects_end_with_a_sentence_and_a_finite_bound(case, name):
    easy = random_behaviour(1, 30, 2, gaps=False, seed=1)
    choice, reward = HARD[case]
    n = choice.size
    hard = easy.isel(trial=slice(0, n)).assign(choice=("trial", choice), reward=("trial", reward))
    hard = hard.assign_coords(subject=["odd"], trial_subject=("trial", np.full(n, "odd")))
    data = xr.concat([easy.drop_vars("subject"), hard.drop_vars("subject")], "trial", join="outer")
    data = data.assign_coords(subject=["s0", "odd"], trial=np.arange(30 + n))
    data = data.assign(
        choice=data["choice"].astype(int), scored=data["scored"].astype(bool) & (data["choice"] >= 0)
    )
    fit = hr.fit_mle(MODELS[name], data, progress=False)
    stats = fit["fit_stats"].sel(subject="odd")
    assert np.isfinite(stats["bound"]) and np.isfinite(stats["loglik"])
    assert float(stats["bound"]) >= float(stats["loglik"]) - 1e-7
    assert str(stats["status"].item()).endswith(".")
    if case == "one arm only":
        assert "Only arm A was chosen." in stats["status"].item()
    if case == "all missed":
        assert "No trial is scored" in stats["status"].item()


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (hr.model("rw", lapse=True), "lapse is outside the softmax"),
    ],
)
def test_models_outside_the_hull_have_an_estimate_and_no_bound(model, reason):
    data = biased_behaviour(1, 2, False)
    fit = hr.fit_convex(model, data, progress=False)
    assert np.isnan(fit["fit_stats"]["bound"]).all() and np.isnan(fit["fit_stats"]["gap"]).all()
    assert reason in fit["fit_stats"]["bound"].attrs["reason"]
    assert np.isfinite(fit["fit_stats"]["loglik"]).all()
    assert not fit["fit_stats"]["certified"].any()


def test_recovery_solves_the_concave_problem_at_its_rates():
    problem = prepare(MODELS["subvalue"], data := biased_behaviour(9, 2, False))
    fit = hr.fit_convex(MODELS["subvalue"], data, progress=False)
    theta = problem.pack(fit["posterior"].to_dataset())[0, 0]
    rng = np.random.default_rng(0)
    free = concave_scalars(problem)
    for _ in range(20):
        other = np.where(free, problem.clip(theta + rng.normal(0, 0.3, theta.shape)), theta)
        assert (problem.loglik(other) <= fit["fit_stats"]["loglik"].values + 1e-6).all()


def test_real_subjects_are_mostly_proven_optimal(shared_data):
    data = hr.behaviour(shared_data("fitzgerald_reversal"))
    for name in ("rw", "forgetting_q"):
        quick = hr.fit_convex(hr.model(name), data, progress=False)
        mle = hr.fit_mle(hr.model(name), data, start=quick, progress=False)
        bound, best, convex = (
            quick["fit_stats"]["bound"].values, mle["fit_stats"]["loglik"].values, quick["fit_stats"]["loglik"].values
        )  # fmt: skip
        assert (bound >= best - 1e-7).all() and (best >= convex - 1e-9).all()
        assert np.median(bound - best) < 0.01
        assert mle["fit_stats"]["certified"].mean() > 0.5


def test_splits_tighten_the_bound_and_better_the_estimate_and_never_the_reverse():
    data = biased_behaviour(4, 2, False)
    for name in ("forgetting_q, bias", "subvalue", "two rates", "learned start"):
        plain, once, twice = (hr.fit_convex(MODELS[name], data, splits=k, progress=False) for k in (0, 1, 2))
        for looser, tighter in ((plain, once), (once, twice)):
            assert (tighter["fit_stats"]["bound"] <= looser["fit_stats"]["bound"] + 1e-9).all()
            assert (tighter["fit_stats"]["loglik"] >= looser["fit_stats"]["loglik"] - 1e-9).all()
        assert (twice["fit_stats"]["bound"] >= twice["fit_stats"]["loglik"]).all()
    with pytest.raises(TypeError, match="does not take speed"):
        hr.fit_convex(MODELS["subvalue"], data, speed=3)


@pytest.mark.parametrize(
    "name", ["forgetting_q, bias", "subvalue", "subvalue per arm", "two rates", "sticky"]
)
def test_weights_from_the_relaxations_solver_are_those_of_newton_on_the_likelihood(name):
    problem = prepare(MODELS[name], biased_behaviour(6, 3, True))
    rng = np.random.default_rng(2)
    starts = np.moveaxis(some_theta(problem, rng, 3), 0, 1).copy()
    starts[0, 1] = np.nan
    solved = recover(problem, starts)
    expected = maximise(problem, starts, free=concave_scalars(problem))
    np.testing.assert_allclose(solved.loglik, expected.loglik, atol=1e-5)
    np.testing.assert_allclose(problem.loglik(solved.theta), solved.loglik, atol=1e-9)


def test_a_rate_of_zero_under_a_weight_that_must_not_be_small_is_recovered():
    # the choices say nothing but "at random", which a weight of 5 or more allows at rate 0 only
    data = random_behaviour(1, 200, 4, gaps=False, seed=3)
    fit = hr.fit_convex(hr.model("forgetting_q", bounds={"beta": (5, 10)}), data, splits=0, progress=False)
    assert float(fit["fit_stats"]["gap"].max()) < 2.0


def test_the_bound_of_a_long_session_is_near_the_relaxed_optimum_although_boxes_run_out():
    model = hr.model("fictitious_dual")
    truth = {"alpha_pos": [0.3, 0.5], "alpha_neg": [0.2, 0.6], "beta": [2.0, 3.0]}
    task = hr.Bandit((0.8, 0.2), n_trials=400, reverse_every=25)
    problem = prepare(model, hr.simulate(model, task, truth, random_seed=1))
    found = solve_hull(problem, lay_out(problem))
    assert (found.bound >= found.value).all()
    assert (found.bound - found.value).max() < 5
