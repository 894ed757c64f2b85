"""A model meeting data: names and units of parameters, what must not change the likelihood, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from builders import random_behaviour, random_theta
from hypothesis import given, settings
from vocabulary import few_examples, models, seeds, some

import hierrl as hr
from hierrl.kernels.problem import prepare

EXACT = 1e-10


@given(model=models(), seed=seeds)
@settings(few_examples, max_examples=25)
def test_parameters_survive_unpacking_and_packing(model, seed):
    problem = prepare(model, random_behaviour(3, 12, 4, graded=True, rich=True, seed=seed))
    theta = np.stack([random_theta(problem, seed=seed + k) for k in range(6)]).reshape(2, 3, 3, -1)
    named = problem.unpack(theta)
    np.testing.assert_allclose(
        problem.pack({name: values for name, (_, values) in named.items()}), theta, rtol=1e-12
    )
    coords = {"subject": problem.subjects, "arm": problem.arms}
    posterior = xr.Dataset(
        {k: (("chain", "draw", *dims), v) for k, (dims, v) in named.items()}, coords=coords
    )
    np.testing.assert_allclose(problem.pack(posterior), theta, rtol=1e-12)


def test_unpacked_parameters_are_in_reward_units_and_arm_zero_has_bias_zero():
    data = random_behaviour(2, 20, 3)
    data["reward"] *= 50.0
    problem = prepare(hr.model("rw", per_arm=True, bias=True, start="start"), data)
    assert problem.reward_scale == 50.0
    theta = np.ones((2, problem.n_parameters))
    named = problem.unpack(theta)
    assert {name: dims for name, (dims, _) in named.items()} == dict.fromkeys(
        ("alpha", "start", "beta", "bias"), ("subject", "arm")
    )
    np.testing.assert_array_equal(named["alpha"][1], 1.0)
    np.testing.assert_array_equal(named["beta"][1], 1.0 / 50.0)
    np.testing.assert_array_equal(named["start"][1], 50.0)
    np.testing.assert_array_equal(named["bias"][1], [[0, 1, 1]] * 2)


def test_selected_subjects_keep_their_likelihood_in_the_order_asked_for():
    model = hr.Model(
        channels=(hr.Channel(context="context"),), regressors=(hr.Regressor("side"),), lapse=True
    )
    problem = prepare(model, random_behaviour(5, 40, 4, rich=True))
    theta, chosen = random_theta(problem), [3, 0, 4]
    part = problem.select(chosen)
    assert part.subjects.tolist() == ["s3", "s0", "s4"]
    for whole, selected in zip(problem.derivatives(theta), part.derivatives(theta[chosen]), strict=True):
        np.testing.assert_array_equal(selected, whole[chosen])
    np.testing.assert_array_equal(part.n_scored, problem.n_scored[chosen])


@pytest.mark.parametrize("name", ["rw", "subvalue"])
def test_the_same_bias_on_every_arm_changes_nothing(name):
    data = random_behaviour(3, 40, 3, rich=True)
    with_constant = data.assign(constant=(("trial", "arm"), np.ones((data.sizes["trial"], 3))))
    model = hr.model(name)
    shifted = prepare(model.replace(regressors=(hr.Regressor("constant"),)), with_constant)
    theta = random_theta(shifted)
    plain = prepare(model, data).loglik(
        theta[:, [shifted.labels.index(label) for label in model.labels(["A", "B", "C"])]]
    )
    np.testing.assert_allclose(shifted.loglik(theta), plain, rtol=EXACT)


@given(model=models(), seed=seeds)
@settings(few_examples, max_examples=25)
def test_arms_in_another_order_have_the_same_likelihood(model, seed):
    model = model.replace(bias=False, regressors=())  # both single out arm 0
    data = random_behaviour(3, 30, 4, graded=True, rich=True, seed=seed)
    order = np.random.default_rng(seed).permutation(4)
    place = np.append(np.argsort(order), -1)  # the last entry keeps -1, a missed choice
    other = data.isel(arm=order).assign(choice=("trial", place[data["choice"].values]))
    problem = prepare(model, data)
    named = {name: values for name, (_, values) in problem.unpack(random_theta(problem, seed=seed)).items()}
    turned = {
        name: values[:, order] if model.parameter(name).per_arm else values for name, values in named.items()
    }
    again = prepare(model, other)
    np.testing.assert_allclose(
        again.loglik(again.pack(turned)), problem.loglik(problem.pack(named)), rtol=EXACT
    )


@given(model=models(), seed=seeds)
@settings(few_examples, max_examples=25)
def test_sessions_are_as_independent_as_subjects(model, seed):
    data = random_behaviour(3, 40, 2, graded=True, rich=True, seed=seed)
    label = np.char.add(
        np.char.add(data["trial_subject"].values, "/"), data["trial_session"].values.astype(str)
    )
    first = np.flatnonzero(np.append(True, label[1:] != label[:-1]))
    apart = data.drop_dims("subject").assign_coords(subject=label[first], trial_subject=("trial", label))
    problem, parts = prepare(model, data), prepare(model, apart)
    theta = random_theta(problem, seed=seed)
    owner = [problem.subjects.tolist().index(one.split("/")[0]) for one in parts.subjects]
    loglik = parts.loglik(theta[owner])
    np.testing.assert_allclose(np.bincount(owner, loglik), problem.loglik(theta), rtol=EXACT, atol=EXACT)


def _with_free_starts(channel: hr.Channel, k: int) -> hr.Channel:
    shape = {**channel.shape, "centre": f"centre{k}"} if "centre" in channel.shape else channel.shape
    return hr.Channel(**{**vars(channel), "start": f"s{k}", "shape": shape})


@given(model=models(), unit=some(0.01, 98.0), seed=seeds)
@settings(few_examples, max_examples=25)
def test_the_unit_of_rewards_changes_parameters_and_nothing_else(model, unit, seed):
    # a fixed start, or centre, has a unit of its own
    model = model.replace(channels=tuple(_with_free_starts(c, k) for k, c in enumerate(model.channels)))
    data = random_behaviour(3, 30, 2, graded=True, rich=True, seed=seed)
    outcomes = ("reward", "gain", "loss", "forgone")
    problem = prepare(model, data)
    other = prepare(model, data.assign({name: data[name] * unit for name in outcomes}))
    theta = random_theta(problem, seed=seed)
    np.testing.assert_allclose(other.reward_scale, problem.reward_scale * unit)
    np.testing.assert_allclose(other.loglik(theta), problem.loglik(theta), rtol=EXACT)
    raw, there = problem.unpack(theta), other.unpack(theta)
    for parameter in model.parameters:
        factor = unit**parameter.unit
        np.testing.assert_allclose(there[parameter.name][1], raw[parameter.name][1] * factor, rtol=EXACT)
    if not model.is_linear:
        return  # what rewards are divided by is part of a utility
    in_old_units = prepare(
        model, data.assign({name: data[name] * unit for name in outcomes}), reward_scale=1.0
    )
    np.testing.assert_allclose(
        in_old_units.loglik(in_old_units.pack({k: v for k, (_, v) in there.items()})),
        problem.loglik(theta),
        rtol=EXACT,
    )


def test_subjects_in_another_order_have_the_same_likelihood():
    data = random_behaviour(4, 40, 2)
    order = [2, 0, 3, 1]
    rows = np.concatenate([np.flatnonzero(data["trial_subject"] == f"s{s}") for s in order])
    problem, other = (
        prepare(hr.model("subvalue"), data),
        prepare(hr.model("subvalue"), data.isel(subject=order, trial=rows)),
    )
    theta = random_theta(problem)
    np.testing.assert_array_equal(other.loglik(theta[order]), problem.loglik(theta)[order])


def test_unscored_trials_teach_but_do_not_count():
    data = random_behaviour(3, 40, 2, gaps=False)
    held = data.assign(scored=data["trial_number"] <= 20)
    rest = data.assign(scored=data["trial_number"] > 20)
    theta = random_theta(prepare(hr.model("subvalue"), data))
    whole, first, last = (prepare(hr.model("subvalue"), one).loglik(theta) for one in (data, held, rest))
    np.testing.assert_allclose(first + last, whole, rtol=EXACT)


def test_many_subjects_on_threads_give_what_one_thread_gives():
    data = random_behaviour(300, 200, 2, gaps=False)
    problem = prepare(hr.model("subvalue"), data)
    assert problem.n_trials > 40_000  # enough for several chunks
    theta = random_theta(problem)
    parts = [problem.select([s]).derivatives(theta[[s]]) for s in (0, 150, 299)]
    whole = problem.derivatives(theta)
    for part, s in zip(parts, (0, 150, 299), strict=True):
        for one, all_of_them in zip(part, whole, strict=True):
            np.testing.assert_array_equal(one[0], all_of_them[s])


def test_reward_scale_is_the_largest_outcome_of_any_kind():
    data = random_behaviour(2, 20, 2, gaps=False, graded=True, rich=True)
    for name in ("reward", "gain", "loss", "forgone"):
        data[name] = data[name] * 0 + 1.0
    assert prepare(hr.model("rw"), data).reward_scale == 1.0
    data["loss"][3] = -7.0
    data["reward"][4] = np.nan
    assert prepare(hr.model("rw"), data).reward_scale == 7.0
    data["forgone"][5, 1] = 9.0
    assert prepare(hr.model("rw"), data).reward_scale == 9.0
    assert prepare(hr.model("rw"), data, reward_scale=3.0).reward_scale == 3.0


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_without_any_outcome_the_reward_scale_is_one(value):
    data = random_behaviour(2, 20, 2, gaps=False)
    data["reward"][:] = value
    assert prepare(hr.model("rw"), data).reward_scale == 1.0


def test_a_start_value_ranges_over_the_scaled_signal_unless_bounds_say_otherwise():
    data = random_behaviour(2, 20, 2, gaps=False)
    data["reward"][:] = np.where(data["reward"] > 0, 20.0, -5.0)
    model = hr.model("rw", start="start")
    problem = prepare(model, data)
    k = problem.labels.index("start")
    assert (problem.lower[k], problem.upper[k]) == (-0.25, 1.0)
    bounded = prepare(hr.model("rw", start="start", bounds={"start": (0.1, 0.2)}), data)
    assert (bounded.lower[k], bounded.upper[k]) == (0.1, 0.2)


def test_parameters_of_the_wrong_shape_are_refused_with_their_names():
    problem = prepare(hr.model("rw"), random_behaviour(3, 20, 2))
    with pytest.raises(
        ValueError, match=r"\(subjects, parameters\) = \(3, 2\) for alpha, beta; found \(2, 2\)"
    ):
        problem.loglik(np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"for alpha, beta; found \(2, 2\)"):
        problem.draws_loglik(np.ones((5, 2, 2)))
    with pytest.raises(ValueError, match=r"for alpha, beta; found \(1, 3, 2\)"):
        problem.draws_loglik(np.ones((3, 2)))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            hr.Model(channels=(hr.Channel("gain"),)),
            r"The channel with signal='gain' needs the column 'gain' by trial",
        ),
        (
            hr.Model(channels=(hr.Channel("forgone"),)),
            r"A channel that learns from forgone rewards needs the column 'forgone'",
        ),
        (
            hr.Model(channels=(hr.Channel(unchosen="forgone"),)),
            r"needs the column 'forgone' by trial.*has choice, reward",
        ),
        (
            hr.Model(channels=(hr.Channel(context="hue"),)),
            r"context='hue' needs the column 'hue'.*Pass it to hr.behaviour",
        ),
        (
            hr.Model(channels=(), regressors=(hr.Regressor("mood"),)),
            r"The regressor 'mood' needs the column 'mood'",
        ),
    ],
)
def test_a_column_that_the_model_needs_and_the_data_lack_is_named(model, message):
    with pytest.raises(ValueError, match=message):
        prepare(model, random_behaviour(2, 20, 2))


def test_a_covariate_by_subject_is_as_good_as_the_same_column_by_trial():
    data = random_behaviour(4, 30, rich=True)
    row = {
        "subject": xr.DataArray(
            data.indexes["subject"].get_indexer(data["trial_subject"].values), dims="trial"
        )
    }
    spread = data.assign({name: data[name].isel(row).drop_vars("subject") for name in ("group", "age")})
    assert spread["age"].dims == ("trial",)
    model = hr.Model(
        channels=(hr.Channel("age", weight="w"), hr.Channel(context="group")),
        regressors=(hr.Regressor("age"),),
    )
    theta = random_theta(prepare(model, data)) / 50
    np.testing.assert_array_equal(prepare(model, data).loglik(theta), prepare(model, spread).loglik(theta))


def test_a_signal_by_arm_and_a_regressor_with_holes_are_refused():
    data = random_behaviour(2, 20, 2, rich=True, gaps=False)
    with pytest.raises(
        ValueError, match=r"'side' must have one value per trial; found dims \('trial', 'arm'\)"
    ):
        prepare(hr.Model(channels=(hr.Channel("side"),)), data)
    data["mood"][25] = np.nan
    with pytest.raises(
        ValueError, match=r"'mood' is missing or infinite at row 25 \(subject s1\).*finite value"
    ):
        prepare(hr.Model(channels=(), regressors=(hr.Regressor("mood"),)), data)
