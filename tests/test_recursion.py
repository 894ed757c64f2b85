"""The likelihood of recursions: that of the channel models where they say the same, and of loops by hand."""

import math

import numpy as np
import pytensor.tensor as pt
import pytest

import hierrl as hr
from hierrl.kernels import recursion_code
from hierrl.kernels.problem import prepare
from hierrl.models.recursion import source
from tests.builders import random_behaviour
from tests.recursions import forgetting, rescorla_wagner, working_memory, working_memory_by_hand

TWINS = {"rw": rescorla_wagner, "forgetting_q": forgetting}


def rates_and_weights(n_subjects: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.random(n_subjects), 6 * rng.random(n_subjects)])


@pytest.fixture(scope="module", params=sorted(TWINS))
def twins(request):
    """A recursion and the channel model that says the same, on data with every kind of gap."""
    data = random_behaviour(6, 50, 3, rich=True, graded=True, seed=4)
    return prepare(TWINS[request.param](), data), prepare(hr.model(request.param), data)


def test_derivatives_are_those_of_the_channel_model(twins):
    mine, channels = twins
    theta = rates_and_weights(6)
    for found, wanted in zip(mine.derivatives(theta), channels.derivatives(theta), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-11)
    for found, wanted in zip(mine.link_derivatives(theta), channels.link_derivatives(theta), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-11)


def test_trials_are_those_of_the_channel_model(twins):
    mine, channels = twins
    theta = rates_and_weights(6, seed=1)
    for found, wanted in zip(mine.by_trial(theta), channels.by_trial(theta), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-12)
    draws = np.stack([theta, theta[::-1]])
    np.testing.assert_allclose(mine.draws_loglik(draws), channels.draws_loglik(draws), atol=1e-12)
    np.testing.assert_array_equal(mine.lower, channels.lower)
    np.testing.assert_array_equal(mine.raw_factor(), channels.raw_factor())


def test_a_selection_of_subjects_scores_as_it_does_among_all(twins):
    mine, _ = twins
    theta = rates_and_weights(6)
    np.testing.assert_array_equal(mine.select([4, 1]).loglik(theta[[4, 1]]), mine.loglik(theta)[[4, 1]])


@pytest.fixture(scope="module")
def memory():
    """Working memory on data with gaps, and parameters."""
    data = random_behaviour(5, 40, 3, rich=True, seed=7)
    theta = np.random.default_rng(3).random((5, 4)) * [0.9, 5.0, 0.8, 0.8] + 0.05
    return data, prepare(working_memory(), data, reward_scale=1.0), theta


def test_working_memory_scores_as_by_hand(memory):
    data, problem, theta = memory
    loglik, told = working_memory_by_hand(data, theta)
    np.testing.assert_allclose(problem.trial_loglik(theta), loglik, atol=1e-12)
    np.testing.assert_allclose(problem.probabilities(theta) * data["available"].values, told, atol=1e-12)
    by_subject = [
        np.nansum(loglik[a:b]) for a, b in zip(*[problem.trials.offset[i:] for i in (0, 1)], strict=False)
    ]
    np.testing.assert_allclose(problem.loglik(theta), by_subject, atol=1e-11)
    assert np.isnan(
        data["reward"].values[data["choice"].values >= 0]
    ).any()  # an outcome is unknown somewhere
    assert (data["choice"].values < 0).any() and not data["available"].values.all()


def test_working_memory_has_the_slopes_of_differences(memory):
    _, problem, theta = memory
    _, gradient, hessian = problem.derivatives(theta)
    h = 1e-6
    for p in range(4):
        ends = [theta + sign * h * np.eye(4)[p] for sign in (1, -1)]
        (up, up_slope), (down, down_slope) = (problem.derivatives(end, order=1) for end in ends)
        np.testing.assert_allclose(gradient[:, p], (up - down) / (2 * h), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(hessian[:, :, p], (up_slope - down_slope) / (2 * h), rtol=1e-5, atol=1e-5)


def test_differences_take_the_place_of_many_second_derivatives(memory, monkeypatch):
    data, problem, theta = memory
    monkeypatch.setattr(source, "MOST_SECOND_DERIVATIVES", 3)
    monkeypatch.setattr(recursion_code, "_source", lambda _, model, m: source.source_of(model.unrolled(m)))
    other = prepare(working_memory(), data, reward_scale=1.0)
    assert not hasattr(other.tables.loops, "pass_2")
    np.testing.assert_allclose(
        other.derivatives(theta)[2], problem.derivatives(theta)[2], rtol=1e-4, atol=1e-4
    )


def counting(**changes):
    """A state that counts how often it was updated, and what was known then."""
    return hr.Recursion(
        **{
            "name": "counting",
            "parameters": {"beta": "weight"},
            "states": {"n": 0.0, "known": ("scalar", 0.0), "r": 0.0},
            "update": lambda state, trial, p: {
                "n": state["n"] + trial["chosen"],
                "known": state["known"] + trial["known"],
                "r": state["r"] + trial["reward"],
            },
            "logits": lambda state, trial, p: p["beta"] * state["n"] / 100,
            **changes,
        }
    )


@pytest.mark.parametrize("updates", ["outcomes", "choices", "trials"])
def test_updates_happen_where_they_are_asked_for(updates):
    data = random_behaviour(3, 40, 2, seed=2)
    problem = prepare(counting(updates=updates), data)
    count, known, total = problem.by_trial(np.ones((3, 1)))[0]
    choice, reward = data["choice"].values, data["reward"].values
    starts = problem.trials.reset
    n, k, r = np.zeros(2), 0, 0.0
    for t in range(choice.size):
        if starts[t]:
            n, k, r = np.zeros(2), 0, 0.0
        assert (count[:, t] == n).all() and (known[:, t] == k).all() and (total[:, t] == r).all()
        told = choice[t] >= 0 and not math.isnan(reward[t])
        if told or (updates != "outcomes" and choice[t] >= 0):
            n[choice[t]] += 1
        k, r = k + told, r + (reward[t] if told else 0.0)


def test_forced_choices_are_learned_from_and_not_scored():
    data = random_behaviour(1, 6, 2, gaps=False, seed=1)
    forced = data.assign(scored=("trial", [True, False, True, False, True, True]))
    theta = np.array([[0.4, 3.0]])
    free, some = (prepare(rescorla_wagner(), each).trial_loglik(theta) for each in (data, forced))
    assert np.isnan(some[[1, 3]]).all()
    np.testing.assert_array_equal(some[[0, 2, 4, 5]], free[[0, 2, 4, 5]])


def test_columns_forgone_rewards_biases_and_starts_reach_the_functions():
    data = random_behaviour(3, 30, 3, rich=True, seed=5)
    data = data.assign(points=data["points"].fillna(0.5))
    model = hr.Recursion(
        name="all",
        parameters={
            "alpha": "rate",
            "beta": ("weight", 0, 9),
            "side": "signed",
            "bias": "bias",
            "first": "start",
        },
        per_arm=("alpha",),
        states={"q": "first"},
        columns=("forgone", "points", ("side", "arm")),
        update=lambda state, trial, p: {
            "q": state["q"]
            + p["alpha"]
            * (trial["forgone"] + trial["chosen"] * trial["reward"] - state["q"])
            * trial["points"]
        },
        logits=lambda state, trial, p: p["beta"] * state["q"] + p["bias"] + p["side"] * trial["side"],
    )
    problem = prepare(model, data, reward_scale=2.0)
    assert problem.labels == (
        "alpha[A]",
        "alpha[B]",
        "alpha[C]",
        "beta",
        "side",
        "bias[B]",
        "bias[C]",
        "first",
    )
    theta = np.random.default_rng(0).random((3, 8))
    loglik = np.full(data.sizes["trial"], np.nan)
    owner = np.repeat(np.arange(3), problem.n_rows)
    for t, s in enumerate(owner):
        alpha, beta, side, bias = theta[s, :3], theta[s, 3], theta[s, 4], np.append(0.0, theta[s, 5:7])
        q = np.full(3, theta[s, 7]) if problem.trials.reset[t] else q  # noqa: F821
        choice = int(data["choice"].values[t])
        x = beta * q + bias + side * data["side"].values[t]
        x = np.where(data["available"].values[t], x, -np.inf)
        if choice >= 0 and data["scored"].values[t]:
            loglik[t] = x[choice] - np.log(np.exp(x).sum())
        paid = data["forgone"].values[t].copy() / 2
        paid[choice] = data["reward"].values[t] / 2
        if choice >= 0 and np.isfinite(paid).all():
            q = q + alpha * (paid - q) * data["points"].values[t]
    np.testing.assert_allclose(problem.trial_loglik(theta), loglik, atol=1e-12)
    step = 1e-6 * np.eye(8)
    slopes = [(problem.loglik(theta + e) - problem.loglik(theta - e)) / 2e-6 for e in step]
    np.testing.assert_allclose(problem.derivatives(theta, order=1)[1].T, slopes, atol=1e-5)


def with_stimuli(updates: str) -> hr.Recursion:
    """A memory for each stimulus that fades on every trial, whatever stimulus this is about."""

    def faded(state, trial, p):
        return state["w"] * (1 - p["phi"]) ** trial["since"]

    return hr.Recursion(
        name="stimuli",
        parameters={"phi": "rate", "beta": "weight"},
        states={"w": 0.0},
        context="context",
        updates=updates,
        update=lambda s, t, p: {"w": pt.switch(t["chosen"] * t["known"], t["reward"], faded(s, t, p))},
        logits=lambda s, t, p: p["beta"] * faded(s, t, p),
    )


@pytest.mark.parametrize("updates", ["outcomes", "trials"])
def test_each_context_has_a_state_that_knows_how_old_it_is(updates):
    data = random_behaviour(3, 40, 2, rich=True, seed=11)
    assert np.unique(data["context"]).size > 1
    problem, theta = (
        prepare(with_stimuli(updates), data, reward_scale=1.0),
        np.array([[0.1, 3.0], [0.2, 1.0], [0.3, 2.0]]),
    )
    loglik = np.full(data.sizes["trial"], np.nan)
    for t, s in enumerate(np.repeat(np.arange(3), problem.n_rows)):
        # All states fade by hand on every trial, and those that are written down fade from then on.
        if problem.trials.reset[t]:
            w = {context: np.zeros(2) for context in np.unique(data["context"])}
        own, choice, reward = data["context"].values[t], data["choice"].values[t], data["reward"].values[t]
        x = np.where(data["available"].values[t], theta[s, 1] * w[own], -np.inf)
        if choice >= 0 and data["scored"].values[t]:
            loglik[t] = x[choice] - np.log(np.exp(x).sum())
        if choice >= 0 and np.isfinite(reward):
            w[own] = w[own].copy()
            w[own][choice] = reward
        w = {context: value * (1 - theta[s, 0]) for context, value in w.items()}
    np.testing.assert_allclose(problem.trial_loglik(theta), loglik, atol=1e-12)
    _, gradient, hessian = problem.derivatives(theta)
    for p in range(2):
        step = 1e-6 * np.eye(2)[p]
        (up, up_slope), (down, down_slope) = (problem.derivatives(theta + e, order=1) for e in (step, -step))
        np.testing.assert_allclose(gradient[:, p], (up - down) / 2e-6, atol=1e-5)
        np.testing.assert_allclose(hessian[:, :, p], (up_slope - down_slope) / 2e-6, atol=1e-4)


def test_slopes_exist_where_nothing_is_left_of_the_past():
    data = random_behaviour(1, 30, 2, rich=True, seed=11)
    value, gradient, hessian = prepare(with_stimuli("outcomes"), data).derivatives(np.array([[1.0, 2.0]]))
    assert np.isfinite(value).all() and np.isfinite(gradient).all() and np.isfinite(hessian).all()


def test_a_simulation_keeps_contexts_apart_as_the_likelihood_does():
    data = random_behaviour(2, 200, 2, rich=True, seed=3)
    task = hr.Bandit.recorded(data.drop_vars(["forgone", "gain", "loss"]))
    model = with_stimuli("outcomes")
    played = hr.simulate(model, task, {"phi": 0.05, "beta": 400.0}, random_seed=1)
    problem = prepare(model, played)
    told = problem.trial_loglik(np.array([[0.05, 400.0], [0.05, 400.0]]))
    # With so large a weight every choice but those among equals is certain.
    assert (np.exp(told[problem.trials.scored]) > 0.49).all()
    assert (np.exp(told[problem.trials.scored]) > 0.99).mean() > 0.5


def test_rewards_are_scaled_unless_told_otherwise():
    data = random_behaviour(2, 30, 2, graded=True, seed=3)
    theta = np.array([[0.3, 0.2], [0.6, 0.1]])
    raw = prepare(rescorla_wagner(scale=False, units={}), data)
    scaled = prepare(rescorla_wagner(), data)
    assert raw.reward_scale == 1.0 < scaled.reward_scale
    np.testing.assert_allclose(raw.loglik(theta), scaled.loglik(theta * [1, scaled.reward_scale]), rtol=1e-12)


def test_a_probability_of_zero_costs_much_and_breaks_nothing():
    def sure(state, trial, p):
        return pt.switch(pt.eq(pt.arange(2), 0), p["alpha"], 0.0) + 0 * state["q"]

    data = random_behaviour(2, 20, 2, gaps=False, seed=1)
    model = rescorla_wagner(
        name="sure", parameters={"alpha": "rate"}, units={}, logits=None, probabilities=sure
    )
    value, gradient = prepare(model, data).derivatives(np.full((2, 1), 0.4), order=1)
    assert (value < -500).all() and np.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"columns": ("mood_",)}, "needs the column 'mood_' by trial"),
        (
            {"columns": ("side",)},
            r"dims \('trial', 'arm'\) in these data; name it in columns= as \('side', 'arm'\)",
        ),
        ({"columns": (("points", "arm"),)}, r"name it in columns= as 'points'"),
        ({"columns": ("group",)}, "has to hold numbers; found .*'b'"),
        ({"columns": ("holes",)}, r"'holes' is missing or infinite at row 3 \(subject s0\)"),
    ],
)
def test_a_column_that_is_not_as_named_is_explained(changes, message):
    data = random_behaviour(3, 20, 2, rich=True, seed=6)
    holes = np.zeros(data.sizes["trial"])
    holes[3] = np.nan
    data = data.assign(holes=("trial", holes), group=("subject", np.array(["b", "a", "b"])))
    with pytest.raises(ValueError, match=message):
        prepare(rescorla_wagner(**changes), data)


def test_a_machine_without_a_folder_to_write_to_compiles_anew(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))
    loops = recursion_code.loops_of("VALUE = 7\n")
    assert loops.VALUE == 7 and str(tmp_path) not in str(loops.__file__)
