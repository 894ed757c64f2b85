"""Simulated behaviour: as by hand, as probable as the model says, in the format of all behaviour."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import xarray as xr
from builders import random_behaviour
from hypothesis import given, settings
from naive import enact, values_by_subject
from vocabulary import few_examples, models, seeds, some

import hierrl as hr
from hierrl.data import check_behaviour
from hierrl.kernels.problem import prepare
from hierrl.models.values import gather
from hierrl.simulate import truth_of

TASKS = {
    "fixed": hr.Bandit((0.8, 0.2), n_trials=40, n_sessions=2),
    "every": hr.Bandit((0.8, 0.2, 0.5), n_trials=40, reverse_every=7, missed=0.1),
    "chance": hr.Bandit((0.9, 0.1), n_trials=range(20, 41), reverse_chance=0.1, shuffle=True, forgone=True),
    "after": hr.Bandit((0.9, 0.3, 0.1), n_trials=60, n_sessions=2, reverse_after=3),
    "after, shuffled": hr.Bandit((0.9, 0.3, 0.1), n_trials=60, reverse_after=3, shuffle=True, forgone=True),
    "means": hr.Bandit(means=(10.0, -5.0, 2.0, 0.0), sd=4.0, n_trials=40, shown=2, forgone=True, missed=0.1),
    "drifting": hr.Bandit(
        means=(40.0, 50.0, 60.0), sd=4.0, limits=(1.0, 98.0), drift=5.0, n_trials=(30, 40, 35)
    ),
    "gains and losses": hr.Bandit(
        (0.7, 0.3),
        loss_odds=(0.5, 0.1),
        loss=-3.0,
        amounts=(0.0, 2.0),
        drift=0.05,
        reverse_chance=0.1,
        n_trials=40,
    ),
    "pairs": hr.Bandit((0.8, 0.2, 0.7, 0.3), shown=((0, 1), (2, 3)), n_trials=41, forgone=True, n_sessions=2),
    "shared": hr.Bandit(
        means=(5.0, 8.0), step=1.0, drift=1.0, n_trials=range(30, 41), shared=True, missed=0.2
    ),
    "decks": hr.Decks.iowa(n_trials=45),
    "decks, sessions": hr.Decks(((1.0, 2.0), (0.0, 5.0)), ((0.0, -1.0), (0.0, -2.0)), 15, 3, missed=0.2),
}


def some_values(model: hr.Model, arms: list[Any], *, n_subjects: int = 3, seed: int = 0) -> dict[str, Any]:
    """Random parameters in raw units for rewards of any size."""
    rng = np.random.default_rng(seed)
    drawn = {"logit": lambda s: rng.uniform(0.05, 0.95, s), "log": lambda s: rng.uniform(0.1, 1.0, s)}
    values = {}
    for p in model.parameters:
        shape = (n_subjects, len(arms)) if p.per_arm else (n_subjects,)
        values[p.name] = drawn.get(p.link, lambda s: rng.normal(0.0, 0.5, s))(shape)
        if p.kind == "bias":
            values[p.name][:, 0] = 0.0
    return values


def assert_as_by_hand(
    model: hr.Model, task: Any, values: dict[str, Any], *, n_subjects: int, seed: int
) -> None:
    data = hr.simulate(model, task, values, n_subjects=n_subjects, random_seed=seed)
    rng = np.random.default_rng(seed)  # the schedule first, then one uniform number for each row
    schedule = task.schedule(n_subjects, rng)
    uniform = rng.random(data.sizes["trial"])
    subjects, arms = data["subject"].values, data["arm"].values.tolist()
    scale = data.attrs.get("reward_scale", 1.0)  # models that are linear in rewards don't need one
    problem = prepare(model, schedule_as_behaviour(schedule.frame), reward_scale=scale)
    theta = gather(model, values, subjects=subjects.tolist(), arms=arms) / problem.raw_factor()
    named = values_by_subject(problem.unpack(theta), subjects, model=model, reward_scale=scale)
    told = enact(model, schedule, uniform, named)
    np.testing.assert_array_equal(data["choice"], [row["choice"] for row in told])
    np.testing.assert_array_equal(data["reward"], [row["reward"] for row in told])
    if "forgone" in data:
        forgone = np.array([row["forgone"] for row in told])
        chosen = data["choice"].values >= 0
        forgone[chosen, data["choice"].values[chosen]] = np.nan
        np.testing.assert_array_equal(data["forgone"].values[chosen], forgone[chosen])
    again = prepare(model, data, reward_scale=scale)
    np.testing.assert_allclose(again.probabilities(theta), [row["probability"] for row in told], atol=1e-12)


def schedule_as_behaviour(frame: xr.Dataset) -> xr.Dataset:
    """What names subjects and arms; nothing is chosen."""
    n, m = frame.sizes["trial"], frame.sizes["arm"]
    return frame.assign(
        {name: ("trial", np.full(n, np.nan)) for name in ("reward", "gain", "loss", "points", "mood")}
    ).assign(
        choice=("trial", np.full(n, -1)),
        scored=("trial", np.zeros(n, dtype=bool)),
        forgone=(("trial", "arm"), np.zeros((n, m))),
        side=(("trial", "arm"), np.zeros((n, m))),
        mood=("trial", np.zeros(n)),
        context=("trial", np.array(["blue", "red"])[np.arange(n) % 2]),
    )


NAMED = [
    hr.model("rw", start=1.0),
    hr.model("forgetting_q", bias=True, lapse=True, missed="decay"),
    hr.model("subvalue", per_arm=True, start="start"),
    hr.Model(channels=(hr.Channel(rate=("up", "down")),)),
    hr.Model(channels=(hr.Channel("gain"), hr.Channel("loss", rate="a2", weight="-beta*lambda"))),
    hr.Model(channels=(hr.Channel(update="accumulate", unchosen="decay"),)),
    hr.Model(channels=(hr.Channel(unchosen="mirror"),)),
]
COUNTERFACTUAL = [
    hr.Model(channels=(hr.Channel(unchosen="forgone"),)),
    hr.Model(channels=(hr.Channel(), hr.Channel("forgone", rate="a2", weight="b2", signed=True))),
]


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS.keys())
@pytest.mark.parametrize("model", NAMED)
def test_a_simulation_with_given_random_numbers_is_that_of_a_loop_by_hand(model, task):
    arms = task.labels
    assert_as_by_hand(model, task, some_values(model, arms), n_subjects=3, seed=1)


@pytest.mark.parametrize("task", [task for task in TASKS.values() if getattr(task, "forgone", False)])
@pytest.mark.parametrize("model", COUNTERFACTUAL)
def test_a_counterfactual_simulation_is_that_of_a_loop_by_hand(model, task):
    arms = task.labels
    assert_as_by_hand(model, task, some_values(model, arms), n_subjects=3, seed=2)


@given(model=models(), n_arms=some(2, 4), seed=seeds)
@settings(few_examples, max_examples=40)
def test_any_model_replays_a_recorded_schedule_as_a_loop_by_hand_does(model, n_arms, seed):
    # Gains and losses of their own are left out: by hand they are the parts of the reward.
    recorded = random_behaviour(3, 30, n_arms, graded=True, rich=True, seed=seed).drop_vars(["gain", "loss"])
    task = hr.Bandit.recorded(recorded)
    values = some_values(model, recorded["arm"].values.tolist(), seed=seed)
    assert_as_by_hand(model, task, values, n_subjects=3, seed=seed)


@given(model=models(), seed=seeds)
@settings(few_examples, max_examples=15)
def test_arms_are_chosen_as_often_as_the_likelihood_says(model, seed):
    recorded = random_behaviour(8, 400, 3, rich=True, seed=seed, gaps=False)
    data = hr.simulate(
        model,
        hr.Bandit.recorded(recorded),
        some_values(model, ["A", "B", "C"], n_subjects=8),
        random_seed=seed,
    )
    problem = prepare(model, data)
    theta = problem.pack(truth_of(data))
    p, choice = problem.probabilities(theta), data["choice"].values
    chosen = np.eye(3)[choice]
    for part in (slice(None), np.arange(choice.size) % 400 < 40):
        z = (chosen - p)[part].sum(axis=0) / np.sqrt(1.0 + (p * (1 - p))[part].sum(axis=0))
        assert np.abs(z).max() < 4.5  # three arms, two parts: 1 in 20,000 for each example
    sure = p.max(axis=1) > 0.8
    hits, expected = chosen[sure, p[sure].argmax(axis=1)], p[sure].max(axis=1)
    assert abs((hits - expected).sum()) <= 4.5 * np.sqrt(1.0 + (expected * (1 - expected)).sum())


@pytest.mark.parametrize("name", ["rw", "forgetting_q", "subvalue"])
def test_the_truth_is_more_likely_than_its_surroundings_on_average(name):
    model = hr.model(name, bias=True, start=1.0)
    truth = {"alpha": 0.3, "beta": 3.0, "alpha_choice": 0.5, "beta_choice": -1.0, "bias": [0.0, 0.5]}
    truth = {key: value for key, value in truth.items() if key in model.names}
    data = hr.simulate(model, hr.Bandit.zhu_2arm(), truth, n_subjects=200, random_seed=1)
    problem = prepare(model, data)
    theta = problem.pack(truth_of(data))
    best = problem.loglik(theta).mean()
    for k, factor in np.ndindex(problem.n_parameters, 2):
        elsewhere = theta.copy()
        elsewhere[:, k] *= (0.6, 1.5)[factor]
        assert problem.loglik(elsewhere).mean() < best, problem.labels[k]


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS.keys())
def test_simulated_behaviour_is_behaviour(task, tmp_path):
    n = task.size or 4
    data = hr.simulate(hr.model("rw"), task, {"alpha": 0.3, "beta": 0.5}, n_subjects=n, random_seed=3)
    check_behaviour(data)
    table = hr.to_table(data)
    again = hr.behaviour(table, arms=data["arm"].values.tolist())
    for name in ("choice", "reward", "scored", "true_alpha"):
        np.testing.assert_array_equal(again[name], data[name])
    data.to_netcdf(tmp_path / "data.nc", engine="h5netcdf")
    xr.testing.assert_identical(xr.load_dataset(tmp_path / "data.nc", engine="h5netcdf"), data)
    assert data.attrs["n_missed"] == int((data["choice"] < 0).sum())


def test_the_same_seed_gives_the_same_behaviour_and_another_another():
    def run(seed):
        values = {"alpha": 0.3, "beta": 3.0}
        return hr.simulate(hr.model("rw"), TASKS["chance"], values, n_subjects=5, random_seed=seed)

    xr.testing.assert_identical(run(1), run(1))
    assert run(1).sizes != run(2).sizes or (run(1)["choice"] != run(2)["choice"]).any()
    xr.testing.assert_equal(run(1), run(np.random.default_rng(1)))


def test_the_truth_comes_back_as_a_fit_reports_it():
    model = hr.model("rw", per_arm=True, bias=True, lapse=True)
    truth = {
        "alpha": np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]),
        "beta": [1.0, 2.0, 3.0],
        "bias": [[0.0, 0.5, 1.0], [0.0, -1.0, 2.0]],
        "lapse": 0.05,
    }
    data = hr.simulate(model, TASKS["every"], truth, random_seed=1)
    found = truth_of(data)
    assert {name: found[name].dims for name in found} == {
        "alpha": ("subject", "arm"),
        "beta": ("subject", "arm"),
        "bias": ("subject", "arm"),
        "lapse": ("subject",),
    }
    for name in found:
        np.testing.assert_array_equal(found[name], np.broadcast_to(truth[str(name)], found[name].shape))
    xr.testing.assert_identical(truth_of(data, model), found)
    record = json.loads(data.attrs["simulation"])
    assert (record["random_seed"], record["task"]) == (1, repr(TASKS["every"]))
    with pytest.raises(ValueError, match="does not come from hr.simulate"):
        truth_of(random_behaviour())


def test_a_draw_of_labelled_parameters_names_subjects_and_arms():
    coords = {"chain": [0], "draw": [7], "subject": ["ann", "bob"], "arm": ["left", "right"]}
    draw = xr.Dataset(
        {
            "alpha": (("chain", "draw", "subject"), [[[0.2, 0.4]]]),
            "beta": (("subject", "arm"), np.ones((2, 2))),
        },
        coords=coords,
    )
    model = hr.Model(
        channels=(hr.Channel(rate=0.3, per_arm=True), hr.Channel(rate="alpha", weight="alpha_weight"))
    )
    draw = draw.assign(alpha_weight=("subject", [1.0, 2.0]))
    data = hr.simulate(model, TASKS["fixed"], draw, random_seed=1)
    assert data["subject"].values.tolist() == ["ann", "bob"]
    assert data["arm"].values.tolist() == ["left", "right"]
    check_behaviour(data)
    several = draw.isel(draw=[0, 0])
    with pytest.raises(ValueError, match="choose one draw"):
        hr.simulate(model, TASKS["fixed"], several)


def test_covariates_are_kept_by_subject():
    data = hr.simulate(
        hr.model("rw"),
        TASKS["fixed"],
        {"alpha": 0.3, "beta": 3.0},
        covariates={"group": ["old", "young", "old"], "age": [70, 20, 71]},
        random_seed=1,
    )
    assert data["group"].dims == data["age"].dims == ("subject",)
    assert data["group"].values.tolist() == ["old", "young", "old"]
    check_behaviour(data)


def test_covariates_may_be_regressors_of_the_model():
    model = hr.Model(channels=(), regressors=(hr.Regressor("age"),))
    ages = {"age": [5.0, -5.0]}
    data = hr.simulate(model, TASKS["fixed"], {"weight_age": 10.0}, covariates=ages, random_seed=1)
    np.testing.assert_array_equal(data["choice"], (data["trial_subject"] == 1).astype(int))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": {"alpha": 0.3}}, "The parameters lack 'beta'; the model needs alpha, beta"),
        ({"values": {"alpha": 0.3, "beta": 1, "gamma": 1}}, "name 'gamma', which the model does not have"),
        ({"values": {"alpha": 1.3, "beta": 1}}, r"'alpha' \(rate\) must be within \[0, 1\]; found 1.3"),
        ({"values": {"alpha": 0.3, "beta": -1}}, r"'beta' \(weight\) must be within \[0, inf\]; found -1"),
        ({"values": {"alpha": 0.3, "beta": np.nan}}, "found nan"),
        (
            {"values": {"alpha": [0.3, 0.4], "beta": 1}, "n_subjects": 3},
            "n_subjects says 3, the parameter 'alpha' says 2",
        ),
        ({"values": {"alpha": [0.3, 0.4], "beta": [1, 2, 3]}}, "disagree: the parameter 'alpha' says 2"),
        ({"covariates": {"age": [1, 2]}, "n_subjects": 3}, "n_subjects says 3, the covariate 'age' says 2"),
        ({"n_subjects": 0}, "n_subjects must be at least 1; found 0"),
        ({"task": TASKS["drifting"], "n_subjects": 2}, "n_subjects says 2, the task says 3"),
        (
            {"model": hr.Model(channels=(hr.Channel(context="hue"),))},
            "needs the column 'hue' by trial.*recorded",
        ),
        ({"model": COUNTERFACTUAL[0]}, r"does not tell. Use hr.Bandit\(..., forgone=True\)"),
        (
            {"model": hr.model("rw", bias=True), "values": {"alpha": 0.3, "beta": 1, "bias": [1, 2]}},
            "bias of the first arm is 0 by definition; found 1",
        ),
        (
            {"model": hr.model("rw", per_arm=True), "values": {"alpha": [0.1, 0.2, 0.3], "beta": 1}},
            r"'alpha' must be a number or have the shape \(subjects, arms\) = \(1, 2\); found \(1, 3\)",
        ),
    ],
)
def test_what_cannot_be_simulated_is_refused_with_the_reason(change, message):
    arguments = {
        "model": hr.model("rw"),
        "task": TASKS["fixed"],
        "values": {"alpha": 0.3, "beta": 1.0},
        **change,
    }
    with pytest.raises(ValueError, match=message):
        hr.simulate(arguments.pop("model"), arguments.pop("task"), arguments.pop("values"), **arguments)


def test_a_task_of_another_kind_is_refused():
    with pytest.raises(TypeError, match=r"must be hr.Bandit\(...\), hr.Decks.*; found str"):
        hr.simulate(hr.model("rw"), "2arm", {"alpha": 0.3, "beta": 1.0})  # type: ignore[arg-type]
