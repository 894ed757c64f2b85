"""Predictive checks: statistics as by hand, choices as probable as the model says, wrong models caught."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from builders import random_behaviour, random_theta

import hierrl as hr
from hierrl.checks import PredictiveCheck
from hierrl.checks.judge import joint_p, p_values, predictive_interval
from hierrl.checks.replicates import generations, replays, spread
from hierrl.checks.rows import rows_of, winning
from hierrl.checks.statistics import RUNS, chosen, layout_of
from hierrl.fits import build_fit
from hierrl.kernels.problem import prepare
from hierrl.told import told_of

QUIET: dict[str, Any] = {"progress": False}
ALL = ("learning_curve", "arm_curve", "choice_proportions", "win_stay", "lose_shift", "reward_effect")
ALL += ("repeat_by_run", "after_reversal", "run_lengths")


def gapped(seed: int = 3) -> xr.Dataset:
    """Three arms, gaps of every kind, a best arm that is sometimes unknown, and reversals of its own."""
    data = random_behaviour(4, 80, 3, rich=True, seed=seed)
    rng = np.random.default_rng(seed)
    n = data.sizes["trial"]
    best = np.repeat(rng.choice(["A", "B", "C"], n // 7 + 1), 7)[:n]
    best[rng.random(n) < 0.05] = ""
    return data.assign(good=("trial", best), turned=("trial", rng.random(n) < 0.1))


def walk(data: xr.Dataset, reversals: str | None) -> list[dict[str, Any]]:
    """What a plain loop over the rows knows before each choice."""
    rows, before = [], None
    choice, reward = data["choice"].values.tolist(), data["reward"].values.tolist()
    arms = data["arm"].values.tolist()
    for t in range(data.sizes["trial"]):
        here = (data["trial_subject"].values[t], data["trial_session"].values[t])
        new = here != before
        if new:
            position, last, run, since, previous, before = 0, -1, 0, -1, None, here
        good = str(data["good"].values[t])
        if reversals:
            turned = bool(data[reversals].values[t]) and not new
        else:
            earlier = "" if new else str(data["good"].values[t - 1])
            turned = bool(good) and bool(earlier) and good != earlier
        since = 0 if turned else since + (since >= 0)
        rows.append(
            {
                "subject": here[0],
                "counts": bool(data["scored"].values[t]),
                "choice": choice[t],
                "previous": previous,
                "last": last,
                "run": run,
                "position": position,
                "since": since,
                "best": arms.index(good) if good else -1,
            }
        )
        position += 1
        previous = (choice[t], reward[t]) if choice[t] >= 0 else None
        if choice[t] >= 0:
            run = run + 1 if choice[t] == last else 1
            last = choice[t]
    return rows


def by_hand(data: xr.Dataset, name: str, *, edges: list[int], reversals: str | None) -> np.ndarray:
    """(S, K) a statistic from plain lists; wins are rewards above 0."""
    lists: dict[tuple[str, int], list[float]] = defaultdict(list)
    n_arms = data.sizes["arm"]
    sizes = {"learning_curve": len(edges), "arm_curve": n_arms * len(edges), "choice_proportions": n_arms}
    sizes |= {"win_stay": 1, "lose_shift": 1, "reward_effect": 2, "repeat_by_run": len(RUNS)}
    sizes |= {"after_reversal": 12, "run_lengths": len(RUNS)}
    for row in walk(data, reversals):
        if not row["counts"]:
            continue
        who, choice = row["subject"], row["choice"]
        chunk = max(k for k, edge in enumerate(edges) if edge <= row["position"])
        length = max((k for k, low in enumerate(RUNS) if low <= row["run"]), default=-1)
        stay = row["previous"] is not None and row["previous"][0] == choice
        won = row["previous"] is not None and row["previous"][1] > 0
        lost = row["previous"] is not None and row["previous"][1] <= 0
        if name == "learning_curve" and row["best"] >= 0:
            lists[who, chunk].append(choice == row["best"])
        if name == "arm_curve":
            for i in range(n_arms):
                lists[who, i * len(edges) + chunk].append(choice == i)
        if name == "choice_proportions":
            for i in range(n_arms):
                lists[who, i].append(choice == i)
        if (name == "win_stay" and won) or (name == "reward_effect" and won):
            lists[who, 0].append(stay)
        if name == "lose_shift" and lost:
            lists[who, 0].append(not stay)
        if name == "reward_effect" and lost:
            lists[who, 1].append(stay)
        if name == "repeat_by_run" and length >= 0:
            lists[who, length].append(choice == row["last"])
        if name == "after_reversal" and 0 <= row["since"] < 12:
            lists[who, row["since"]].append(choice == row["best"])
        if name == "run_lengths" and length >= 0 and choice != row["last"]:
            for k in range(len(RUNS)):
                lists[who, k].append(k == length)
    mean = [
        [float(np.mean(lists[who, k])) if lists[who, k] else math.nan for k in range(sizes[name])]
        for who in data["subject"].values.tolist()
    ]
    table = np.array(mean)
    return table[:, :1] - table[:, 1:] if name == "reward_effect" else table


@pytest.mark.parametrize("reversals", [None, "turned"])
@pytest.mark.parametrize("name", ALL)
def test_statistics_are_those_of_a_plain_loop(name, reversals):
    data = gapped()
    rows = rows_of(data, best="good", reversal=reversals, win=0.0)
    layout = layout_of(rows, bins=4)
    (statistic,) = chosen([name], mode="generate", knows_best=True)
    found = statistic.of(rows, layout)
    expected = by_hand(data, name, edges=layout.edges.tolist(), reversals=reversals)
    np.testing.assert_allclose(found.values.reshape(expected.shape), expected)
    assert np.isfinite(expected).any()


def test_a_share_of_one_of_two_arms_says_it_all():
    rows = rows_of(random_behaviour(3, 30))
    (statistic,) = chosen(["choice_proportions"], mode="replay", knows_best=False)
    found = statistic.of(rows, layout_of(rows, bins=2))
    assert found["arm"].values.tolist() == ["B"]
    np.testing.assert_allclose(found[:, 0], rows.mean(rows.choice == 1))


def test_a_win_is_what_exceeds_the_smaller_amount_zero_or_the_median():
    data = random_behaviour(2, 20, gaps=False)

    def with_rewards(values):
        return data.assign(reward=("trial", np.resize(np.array(values, dtype=float), 40)))

    assert winning(with_rewards([0, 1])) == 0
    assert winning(with_rewards([5, 20])) == 5
    assert winning(with_rewards([-3, 1, 7])) == 0
    assert winning(with_rewards([1, 2, 3, 90])) == 2.5
    assert winning(with_rewards([np.nan])) == 0


def point_fit(model: hr.Model, data: xr.Dataset, *, seed: int = 0, draws: int = 1) -> xr.DataTree:
    problem = prepare(model, data)
    theta = np.array([[random_theta(problem, seed=seed + k) for k in range(draws)]])
    return build_fit(problem, data, theta, stats={}, settings={})


def test_replayed_choices_are_as_frequent_as_the_model_says_and_only_among_arms_shown():
    data = random_behaviour(3, 40, 3, rich=True, seed=1)
    fit = point_fit(hr.model("subvalue", bias=True, lapse=True), data)
    told = told_of(fit, None, None, None)
    made = np.array(list(replays(told, 4000, np.random.default_rng(1))))
    p = told.problem.probabilities(told.theta[0, 0])
    share = np.stack([(made == i).mean(axis=0) for i in range(3)], axis=1)
    z = (share - p) / np.sqrt(np.maximum(p * (1 - p), 1e-12) / 4000)
    assert np.abs(z[p > 0]).max() < 5
    assert (share[~data["available"].values] == 0).all()


def test_replicates_take_draws_evenly_over_chains_and_draws():
    fit = point_fit(hr.model("rw"), random_behaviour(2, 20), draws=6)
    told = told_of(fit, None, None, None)
    assert spread(told, 3) == [(0, 0), (0, 2), (0, 4)]
    assert spread(told, 12) == [(0, k // 2) for k in range(12)]


def test_each_replicate_of_a_generation_has_the_parameters_of_its_draw():
    data = random_behaviour(2, 60, gaps=False).assign(reward=("trial", np.ones(120)))
    problem = prepare(hr.model("rw"), data)
    theta = np.array([[[[1.0, 1e-9]] * 2, [[1.0, 50.0]] * 2]])  # two draws: nothing is learned; all is
    fit = build_fit(problem, data, theta, stats={}, settings={})
    told = told_of(fit, None, None, None)
    task = hr.Bandit.recorded(data)
    never, always = generations(fit, told, task, 2, np.random.default_rng(1))
    assert 0.35 < (np.diff(never["choice"].values[:60]) == 0).mean() < 0.65
    assert (np.diff(always["choice"].values[:60]) == 0).mean() > 0.95


@pytest.fixture(scope="module")
def reversal() -> xr.Dataset:
    task = hr.Bandit((0.8, 0.2), n_trials=200, reverse_every=25, missed=0.03)
    truth = {"alpha": 0.4, "beta": 4.0, "alpha_choice": 0.8, "beta_choice": -2.5}
    group = {"group": ["a"] * 10 + ["b"] * 10}
    return hr.simulate(hr.model("subvalue"), task, truth, n_subjects=20, covariates=group, random_seed=2)


@pytest.fixture(scope="module")
def fits(reversal) -> dict[str, xr.DataTree]:
    return {name: hr.fit_mle(hr.model(name), reversal, **QUIET) for name in ("rw", "subvalue")}


@pytest.mark.parametrize("mode", ["replay", "generate"])
def test_a_model_that_lacks_what_subjects_do_fails_and_the_one_they_follow_passes(fits, mode):
    options: dict[str, Any] = {"mode": mode, "replicates": 200, "random_seed": 1, **QUIET}
    wrong, right = (hr.predictive_check(fits[name], **options) for name in ("rw", "subvalue"))
    assert {"reward_effect", "repeat_by_run"} & set(wrong.failed)
    assert (wrong.verdicts["joint_p"] < 0.01).any()
    assert (right.verdicts["joint_p"] > 0.01).all()
    assert right.verdicts["passed"].mean() > 0.7


def test_the_same_seed_gives_the_same_check_and_another_another(fits):
    def run(seed, mode):
        options: dict[str, Any] = {"statistics": ["win_stay"], "replicates": 5, **QUIET}
        return hr.predictive_check(fits["rw"], mode=mode, random_seed=seed, **options).simulated

    for mode in ("replay", "generate"):
        xr.testing.assert_identical(run(1, mode), run(1, mode))
        assert not run(1, mode).equals(run(2, mode))


def test_groups_are_means_over_their_subjects(fits):
    check = hr.predictive_check(fits["rw"], by="group", replicates=40, random_seed=1, **QUIET)
    assert check.groups == ("a", "b")
    table = check.table.set_index(["statistic", "group", "class"])
    for group, part in (("a", slice(0, 10)), ("b", slice(10, 20))):
        row = table.loc[("win_stay", group, "")]
        made = check.simulated["win_stay"][:, part].mean("subject").values
        assert row["subjects"] == 10
        np.testing.assert_allclose(row["observed"], check.observed["win_stay"][part].mean())
        np.testing.assert_allclose(row["predicted"], made.mean())
        np.testing.assert_allclose([row["eti95_low"], row["eti95_high"]], np.sort(made)[[1, -2]])
    assert len(check.sentences) == len(check.verdicts) == 2 * len(check.observed)
    assert set(check.simulated["repeat_by_run"].dims) == {"replicate", "subject", "run"}


def test_sentences_say_what_lies_outside(fits):
    check = hr.predictive_check(fits["rw"], replicates=100, random_seed=1, **QUIET)
    for verdict, sentence in zip(check.verdicts.to_dict("records"), check.sentences, strict=True):
        assert sentence.startswith(f"{verdict['statistic']}: ")
        rows = check.table.loc[check.table["statistic"] == verdict["statistic"]]
        if verdict["points"] == 1:
            row = rows.iloc[0]
            beyond = "above" if row["observed"] > row["predicted"] else "below"
            side = beyond if row["outside"] else "within"
            assert f"{side} the 95 % predictive interval" in sentence
            assert verdict["passed"] == (not row["outside"])
        elif rows["outside"].any():
            assert f"{rows['outside'].sum()} of {len(rows)} points lie" in sentence
        else:
            assert f"all {len(rows)} points lie within" in sentence
    assert "fails" in repr(check)
    assert "20 subjects, 100 replicates from a point fit" in repr(check)


def test_a_check_is_itself_again_from_a_file(fits, tmp_path):
    check = hr.predictive_check(fits["rw"], by="group", replicates=20, random_seed=1, **QUIET)
    check.tree.to_netcdf(tmp_path / "check.nc", engine="h5netcdf")
    again = PredictiveCheck(xr.load_datatree(tmp_path / "check.nc", engine="h5netcdf"))
    pd.testing.assert_frame_equal(again.table, check.table)
    assert repr(again) == repr(check)


def test_p_values_are_shares_of_replicates_and_agree_with_the_interval():
    rng = np.random.default_rng(1)
    for n in (60, 100, 200, 333):
        made = rng.normal(size=n)
        low, high = predictive_interval(made)
        for end, share in ((low, 0.025), (high, 0.975)):
            around = [np.quantile(made, share, method=way) for way in ("lower", "higher")]
            assert around[0] <= end <= around[1]
        for value in [*made, *rng.normal(0, 2, 50)]:
            p = float(p_values(np.array(value), made))
            above, below = (made >= value).mean(), (made <= value).mean()
            np.testing.assert_allclose(p, min(1.0, 2 * min(above, below)))
            assert (p <= 2 * int(n * 0.025) / n) == (value < low or value > high)


def test_the_joint_p_value_is_uniform_where_data_and_replicates_are_alike():
    rng = np.random.default_rng(2)
    shape = np.linalg.cholesky(0.6 * np.ones((5, 5)) + 0.4 * np.eye(5))
    found = [joint_p((x := rng.normal(size=(40, 5)) @ shape.T)[0], x[1:]) for _ in range(1500)]
    for level in (0.05, 0.1, 0.3, 0.7):
        assert abs(np.mean(np.array(found) <= level) - level) < 4 * math.sqrt(level * (1 - level) / 1500)
    assert joint_p(np.full(3, 99.0), rng.normal(size=(39, 3))) == 1 / 40
    assert math.isnan(joint_p(np.array([np.nan]), np.ones((3, 1))))


def test_own_functions_may_give_numbers_rows_or_labelled_arrays(fits):
    def first_half(rows):
        return rows.mean(rows.choice == 0, rows.position < 100)

    def both(rows):
        return np.stack([first_half(rows), rows.mean(rows.choice == 0, rows.position >= 100)], axis=1)

    def named(rows):
        return xr.DataArray(both(rows), {"half": ["first", "second"]}, ("subject", "half"))

    check = hr.predictive_check(
        fits["rw"], statistics={"x": first_half, "y": both, "z": named}, replicates=10, random_seed=1, **QUIET
    )
    assert check.observed["y"].dims == ("subject", "y_class")
    assert check.observed["z"]["half"].values.tolist() == ["first", "second"]
    np.testing.assert_array_equal(check.observed["y"].values, check.observed["z"].values)
    np.testing.assert_array_equal(check.simulated["y"].values[..., 0], check.simulated["x"].values)
    choice, number = (
        fits["rw"]["observed_data"]["choice"].values,
        fits["rw"]["constant_data"]["trial_number"].values,
    )
    mine = choice[:200][(number[:200] <= 100) & (choice[:200] >= 0)]
    np.testing.assert_allclose(check.observed["x"][0], (mine == 0).mean())


def test_a_task_from_a_description_is_played_by_the_fitted_subjects(fits, reversal):
    task = hr.Bandit((0.8, 0.2), n_trials=200, reverse_every=25, missed=0.03)
    check = hr.predictive_check(
        fits["subvalue"], mode="generate", task=task, replicates=60, random_seed=1, **QUIET
    )
    assert check.simulated.sizes["subject"] == 20
    curve = check.verdicts.set_index("statistic").loc["after_reversal"]
    assert curve["joint_p"] > 0.01
    easier = hr.predictive_check(
        fits["subvalue"],
        mode="generate",
        task=hr.Bandit((1.0, 0.0), n_trials=200),
        statistics=["learning_curve"],
        replicates=20,
        random_seed=1,
        **QUIET,
    )
    assert (easier.table["predicted"] > easier.table["observed"] + 0.03).all()


def test_held_out_trials_are_checked_alone(fits, reversal):
    train, test = hr.split(reversal, last=0.25)
    fit = hr.fit_mle(hr.model("subvalue"), train, **QUIET)
    check = hr.predictive_check(
        fit, data=test, statistics=["win_stay"], replicates=30, random_seed=1, **QUIET
    )
    rows = rows_of(test)
    late = reversal["trial_number"].values > 140
    assert rows.made.any()
    assert not rows.made[~late].any()
    np.testing.assert_allclose(check.observed["win_stay"], rows.mean(rows.stayed, rows.won))


def test_missing_statistics_are_nan_and_said(fits, reversal):
    silent = reversal.assign(reward=("trial", np.full(reversal.sizes["trial"], np.nan)))
    check = hr.predictive_check(
        fits["rw"], data=silent, statistics=["win_stay"], replicates=5, random_seed=1, **QUIET
    )
    assert check.sentences == ("win_stay: nobody has it, in the data or in the replicates.",)
    assert check.failed == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "predict"}, r"mode='predict' is not one of \('replay', 'generate'\)"),
        ({"task": hr.Bandit((0.5, 0.5))}, "replay goes over the subjects' own trials and takes no task"),
        ({"replicates": 0}, "replicates must be a whole number of at least 1; found 0"),
        ({"bins": 2.5}, "bins must be a whole number of at least 1; found 2.5"),
        ({"statistics": ["win_sty"]}, "There is no statistic 'win_sty'.*win_stay"),
        (
            {"statistics": ["run_lengths"]},
            "'run_lengths' needs choices that build on each other.*repeat_by_run",
        ),
        ({"statistics": [len, len]}, "Two statistics are called 'len'"),
        (
            {"statistics": {"odd": lambda rows: np.ones(3)}},
            r"'odd' must give one number.*20 subjects.*\(3,\)",
        ),
        (
            {"statistics": {"odd": lambda rows: xr.DataArray(np.ones(3), dims="who")}},
            r"'odd' gave a DataArray with dims \('who',\)",
        ),
        ({"by": "sex"}, "by='sex' is not a covariate of the subjects. The data have .*group"),
        ({"best": "right"}, "best='right' is no variable by trial of the data, which have .*choice"),
        ({"best": "scored"}, "best='scored' must hold labels of arms"),
        ({"reversal": "choice"}, "reversal='choice' must hold true and false"),
        ({"mode": "generate", "task": hr.Bandit((0.5,) * 3)}, "task has 3 arms, the data have 2"),
    ],
)
def test_what_cannot_be_checked_is_refused_with_the_reason(fits, options, message):
    with pytest.raises(ValueError, match=message):
        hr.predictive_check(fits["rw"], **{**QUIET, **options})


def test_other_things_are_refused(fits, reversal):
    with pytest.raises(TypeError, match=r"task must be hr.Bandit\(...\).*found str"):
        hr.predictive_check(fits["rw"], mode="generate", task="2arm", **QUIET)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="A fit is the DataTree"):
        hr.predictive_check(reversal)  # type: ignore[arg-type]
    others = hr.Bandit.recorded(random_behaviour(20, 10))
    with pytest.raises(ValueError, match="recorded schedule is of other subjects"):
        hr.predictive_check(fits["rw"], mode="generate", task=others, **QUIET)
    plain = hr.fit_mle(hr.model("rw"), random_behaviour(2, 20), **QUIET)
    with pytest.raises(ValueError, match="'learning_curve' needs to know the best arm.*best='best'"):
        hr.predictive_check(plain, statistics=["learning_curve"], **QUIET)
    with pytest.raises(ValueError, match="reversal='turned' needs best= too"):
        hr.predictive_check(plain, reversal="turned", **QUIET)
    nothing = reversal.assign(scored=("trial", np.zeros(reversal.sizes["trial"], dtype=bool)))
    with pytest.raises(ValueError, match="No trial of the data is scored"):
        hr.predictive_check(fits["rw"], data=nothing, **QUIET)


def test_the_plot_shows_observed_over_predicted_for_each_group(fits):
    check = hr.predictive_check(fits["rw"], by="group", replicates=40, random_seed=1, **QUIET)
    figure = hr.plot_predictive_check(check)
    panels = {axes.get_label(): axes for axes in figure.axes}
    assert list(panels) == ["learning_curve", "numbers", "repeat_by_run", "after_reversal"]
    rows = check.table[(check.table["statistic"] == "repeat_by_run") & (check.table["group"] == "a")]
    marks = [line for line in panels["repeat_by_run"].lines if line.get_linestyle() == "None"]
    filled = np.concatenate([m.get_ydata() for m in marks if m.get_markerfacecolor() != "white"])
    hollow = np.concatenate([m.get_ydata() for m in marks if m.get_markerfacecolor() == "white"])
    assert set(rows.loc[~rows["outside"], "observed"]) <= set(filled)
    assert set(rows.loc[rows["outside"], "observed"]) <= set(hollow)
    assert [text.get_text() for text in figure.legends[0].get_texts()][:2] == ["a", "b"]
    numbers = [text.get_text() for text in panels["numbers"].get_xticklabels()]
    assert numbers == ["share of\narm 1", "win-\nstay", "lose-\nshift", "reward\neffect"]
    figure.canvas.draw()
    one = hr.plot_predictive_check(check, statistics=["win_stay"])
    assert [axes.get_label() for axes in one.axes] == ["numbers"]
    with pytest.raises(ValueError, match="The check has no 'win_sta'.*win_stay"):
        hr.plot_predictive_check(check, statistics=["win_sta"])
    with pytest.raises(TypeError, match="no result of hr.predictive_check: found DataTree"):
        hr.plot_predictive_check(fits["rw"])


def test_arms_of_a_study_with_more_than_two_stand_side_by_side():
    data = random_behaviour(4, 60, 3)
    check = hr.predictive_check(point_fit(hr.model("rw"), data), replicates=10, random_seed=1, **QUIET)
    panel = next(a for a in hr.plot_predictive_check(check).axes if a.get_label() == "arm_curve")
    assert [text.get_text() for text in panel.get_xticklabels()] == ["A", "B", "C"]


def test_plain_learning_is_caught_on_a_real_reversal_task(shared_data):
    data = hr.behaviour(shared_data("fitzgerald_reversal"), covariates=["best"])
    fit = hr.fit_mle(hr.model("rw"), data, **QUIET)
    check = hr.predictive_check(fit, best="best", replicates=100, random_seed=1, **QUIET)
    assert {"learning_curve", "repeat_by_run", "after_reversal"} <= set(check.failed)


def test_switching_after_reward_is_caught_and_a_signed_weight_mends_it(shared_data):
    table = pd.read_csv(shared_data("dezfouli_clinical_2arm"))
    table = table[table["subject"].isin(table["subject"].unique()[:15])]
    data = hr.behaviour(table)
    trace = hr.Channel("choice", unchosen="decay", rate="alpha_choice", weight="beta_choice", signed=True)
    signed = hr.Model(channels=(hr.Channel("reward", unchosen="decay", signed=True), trace))
    verdicts = {}
    for name, model in (("rw", hr.model("rw")), ("signed", signed)):
        check = hr.predictive_check(hr.fit_mle(model, data, **QUIET), replicates=100, random_seed=1, **QUIET)
        verdicts[name] = check.verdicts.set_index("statistic")["joint_p"]
    assert verdicts["rw"]["reward_effect"] < 0.01
    assert verdicts["signed"]["reward_effect"] > 0.05
