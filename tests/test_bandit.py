"""Tasks: what they hold ready, and which descriptions are refused."""

from __future__ import annotations

import numpy as np
import pytest
from builders import random_behaviour

import hierrl as hr
from hierrl.data import check_behaviour
from hierrl.simulate import Recorded, Task
from hierrl.simulate.schedule import Schedule


def drawn(task: Task, n_subjects: int = 200, seed: int = 0) -> Schedule:
    return task.schedule(n_subjects, np.random.default_rng(seed))


def expected(schedule: Schedule) -> np.ndarray:
    assert schedule.expected is not None
    return schedule.expected


def test_arms_win_with_their_odds_and_pay_the_amounts():
    schedule = drawn(hr.Bandit((0.8, 0.3), amounts=(-1.0, 5.0)))
    assert set(np.unique(schedule.reward)) == {-1.0, 5.0}
    np.testing.assert_allclose((schedule.reward == 5.0).mean(axis=0), [0.8, 0.3], atol=0.01)
    np.testing.assert_allclose(expected(schedule)[0], [-1 + 6 * 0.8, -1 + 6 * 0.3])


def test_payoffs_around_means_are_normal_and_cut_at_the_limits():
    schedule = drawn(hr.Bandit(means=(10.0, 97.0), sd=4.0, limits=(1.0, 98.0)))
    np.testing.assert_allclose(schedule.reward[:, 0].mean(), 10.0, atol=0.1)
    np.testing.assert_allclose(schedule.reward[:, 0].std(), 4.0, atol=0.1)
    assert schedule.reward.max() == 98.0


def test_arms_reverse_after_every_so_many_trials_of_a_session():
    schedule = drawn(hr.Bandit((0.8, 0.2), n_trials=60, n_sessions=2, reverse_every=25), n_subjects=2)
    one_session = [0.8] * 25 + [0.2] * 25 + [0.8] * 10
    np.testing.assert_array_equal(expected(schedule)[:, 0], one_session * 4)
    np.testing.assert_array_equal(expected(schedule).sum(axis=1), 1.0)
    rows = schedule.frame["trial_number"].values[schedule.frame["reversal"].values]
    assert rows.tolist() == [26, 51] * 4


def test_reversed_arms_take_the_place_of_the_next_one():
    schedule = drawn(hr.Bandit((0.1, 0.2, 0.3), n_trials=6, reverse_every=2), n_subjects=1)
    np.testing.assert_array_equal(
        expected(schedule)[::2], [[0.1, 0.2, 0.3], [0.2, 0.3, 0.1], [0.3, 0.1, 0.2]]
    )


def test_arms_reverse_with_the_given_chance_and_shuffling_leaves_half_as_they_were():
    plain = drawn(hr.Bandit((0.9, 0.1), reverse_chance=0.02), n_subjects=1000)
    shuffled = drawn(hr.Bandit.zhu_2arm(), n_subjects=1000)
    np.testing.assert_allclose(plain.frame["reversal"].mean(), 0.02 * 199 / 200, atol=0.001)
    np.testing.assert_allclose(shuffled.frame["reversal"].mean(), 0.01 * 199 / 200, atol=0.001)
    starts = shuffled.frame["trial_number"].values == 1
    np.testing.assert_array_equal(expected(shuffled)[starts], [[0.9, 0.1]] * 1000)
    assert not shuffled.frame["reversal"].values[starts].any()


def test_the_ten_arms_of_the_paper_never_change():
    schedule = drawn(hr.Bandit.zhu_10arm(), n_subjects=1000)
    odds = [0.30, 0.27, 0.95, 0.67, 0.69, 0.29, 0.42, 0.05, 0.73, 1.00]
    np.testing.assert_array_equal(expected(schedule)[[0, -1]], [odds, odds])
    np.testing.assert_allclose(schedule.reward.mean(axis=0), odds, atol=0.005)


def test_drifting_means_are_random_walks_between_reflecting_limits():
    free = drawn(hr.Bandit(means=(0.0, 5.0), drift=1.0, n_trials=101), n_subjects=2000)
    walk = expected(free).reshape(2000, 101, 2)
    np.testing.assert_array_equal(walk[:, 0], [[0.0, 5.0]] * 2000)
    np.testing.assert_allclose((walk[:, 100] - walk[:, 0]).std(axis=0), 10.0, rtol=0.05)
    bounded = expected(drawn(hr.Bandit((0.5, 0.5), drift=0.1, limits=(0.25, 0.75))))
    assert bounded.min() >= 0.25
    assert bounded.max() <= 0.75
    assert (np.abs(np.diff(bounded[:200], axis=0)) < 0.6).all()
    np.testing.assert_allclose(np.histogram(bounded, 5)[0] / bounded.size, 0.2, atol=0.04)


def test_arms_reverse_once_the_best_one_was_chosen_so_often_in_a_row():
    task = hr.Bandit((1.0, 0.0), n_trials=200, reverse_after=4)
    data = hr.simulate(hr.model("rw"), task, {"alpha": 0.5, "beta": 5.0}, n_subjects=20, random_seed=1)
    best = data["arm"].values[data["choice"].values] == data["best_arm"].values
    streak = 0
    for t in range(data.sizes["trial"]):
        first = data["trial_number"].values[t] == 1
        assert data["reversal"].values[t] == (streak == 4 and not first)
        streak = 0 if first or streak == 4 else streak
        streak = streak + 1 if best[t] else 0
    assert data["reversal"].sum() > 100


def test_sessions_are_as_long_as_asked_for():
    lengths = drawn(hr.Bandit((0.5, 0.5), n_trials=(5, 7, 9), n_sessions=2), n_subjects=3).frame
    assert np.bincount(lengths["trial_subject"].values)[1:].tolist() == [10, 14, 18]
    ranged = drawn(hr.Bandit((0.5, 0.5), n_trials=range(10, 13), n_sessions=3)).frame
    number = ranged["trial_number"].values
    last = number[np.append(number[1:] == 1, True)]
    assert set(last) == {10, 11, 12}
    assert last.size == 600


def test_only_so_many_arms_are_shown_and_each_equally_often():
    data = hr.simulate(
        hr.model("rw"),
        hr.Bandit((0.5,) * 6, shown=2),
        {"alpha": 0.2, "beta": 1.0},
        n_subjects=100,
        random_seed=1,
    )
    shown = data["available"].values
    assert (shown.sum(axis=1) == 2).all()
    np.testing.assert_allclose(shown.mean(axis=0), 1 / 3, atol=0.01)
    assert shown[np.arange(data.sizes["trial"]), data["choice"].values].all()


def test_a_share_of_choices_is_missed_and_teaches_nothing():
    task = hr.Bandit((0.5, 0.5), missed=0.1, forgone=True)
    data = hr.simulate(hr.model("rw"), task, {"alpha": 0.2, "beta": 1.0}, n_subjects=100, random_seed=1)
    missed = data["choice"].values < 0
    np.testing.assert_allclose(missed.mean(), 0.1, atol=0.01)
    assert np.isnan(data["reward"].values[missed]).all()
    assert np.isnan(data["forgone"].values[missed]).all()
    assert not data["scored"].values[missed].any()
    assert (np.isnan(data["forgone"].values[~missed]).sum(axis=1) == 1).all()


def test_gains_and_losses_come_independently_with_odds_of_their_own_and_are_both_told():
    task = hr.Bandit((0.8, 0.3), amounts=(0.0, 2.0), loss_odds=(0.5, 0.1), loss=-5.0)
    schedule = drawn(task)
    gain, loss = schedule.gain, schedule.loss
    np.testing.assert_array_equal(schedule.reward, gain + loss)
    assert set(np.unique(gain)) == {0.0, 2.0}
    assert set(np.unique(loss)) == {-5.0, 0.0}
    np.testing.assert_allclose((loss < 0).mean(axis=0), [0.5, 0.1], atol=0.01)
    np.testing.assert_allclose(((gain > 0) & (loss < 0)).mean(axis=0), [0.4, 0.03], atol=0.01)
    np.testing.assert_allclose(expected(schedule)[0], [2 * 0.8 - 5 * 0.5, 2 * 0.3 - 5 * 0.1])
    data = hr.simulate(hr.model("rw"), task, {"alpha": 0.2, "beta": 0.2}, n_subjects=20, random_seed=1)
    np.testing.assert_array_equal(data["reward"], data["gain"] + data["loss"])
    assert (data["best_arm"] == 1).all()  # it gains less and loses much less
    turned = drawn(hr.Bandit((0.8, 0.3), loss_odds=(0.5, 0.1), n_trials=20, reverse_every=10), n_subjects=1)
    np.testing.assert_allclose(expected(turned)[10:], expected(turned)[:10, ::-1])


def test_payoffs_are_rounded_to_whole_points():
    paid = drawn(hr.Bandit(means=(10.0, 30.0), sd=4.0, step=5.0)).reward
    assert set(np.unique(paid % 5)) == {0.0}
    np.testing.assert_allclose(paid.mean(axis=0), [10.0, 30.0], atol=0.1)


def test_sets_of_arms_are_shown_in_turn_each_once_in_a_block():
    pairs = (("A", "B"), ("C", "D"), ("E", "F"))
    task = hr.Bandit(
        (0.8, 0.2, 0.7, 0.3, 0.6, 0.4), arms=tuple("ABCDEF"), shown=pairs, n_trials=20, n_sessions=2
    )
    shown = drawn(task, n_subjects=50).frame["available"].values.reshape(100, 20, 6)
    assert (shown[..., ::2] == shown[..., 1::2]).all()  # a pair is shown whole
    which = shown[..., ::2].argmax(axis=2)
    assert (shown[..., ::2].sum(axis=2) == 1).all()
    blocks = np.sort(which[:, :18].reshape(100, 6, 3), axis=2)
    assert (blocks == [0, 1, 2]).all()
    assert len(np.unique(which[:, :3], axis=0)) == 6  # in every order
    data = hr.simulate(hr.model("rw"), task, {"alpha": 0.2, "beta": 1.0}, n_subjects=9, random_seed=1)
    pair = data["available"].values[:, ::2].argmax(axis=1)
    np.testing.assert_array_equal(data["best_arm"], np.array(["A", "C", "E"])[pair])


def test_a_shared_schedule_is_the_same_for_all_but_for_missed_trials():
    task = hr.Bandit(
        (0.7, 0.4), drift=0.05, reverse_chance=0.05, shown=2, missed=0.2, n_trials=range(30, 60), shared=True,
        loss_odds=(0.2, 0.3),
    )  # fmt: skip
    schedule = drawn(task, n_subjects=6)
    for values in (schedule.reward, schedule.loss, expected(schedule), schedule.frame["reversal"].values):
        by_subject = np.split(values, 6)
        assert all((one == by_subject[0]).all() for one in by_subject)
    missed = np.split(schedule.missed, 6)
    assert any((one != missed[0]).any() for one in missed)
    assert (
        drawn(task, n_subjects=2, seed=9).reward.shape
        != schedule.reward[: schedule.reward.shape[0] // 3].shape
    )


def test_best_arms_are_best_among_those_shown():
    data = hr.simulate(
        hr.model("rw"),
        hr.Bandit((0.9, 0.6, 0.5, 0.1), shown=2),
        {"alpha": 0.2, "beta": 1.0},
        n_subjects=5,
        random_seed=1,
    )
    for best, shown in zip(data["best_arm"].values, data["available"].values, strict=True):
        assert best == np.flatnonzero(shown)[0]  # arms are in order of their odds


def test_cards_are_drawn_without_replacement_from_each_deck():
    data = hr.simulate(
        hr.model("rw"), hr.Decks.iowa(200), {"alpha": 0.1, "beta": 0.001}, n_subjects=8, random_seed=2
    )
    check_behaviour(data)
    losses = {"A": [150, 200, 250, 300, 350], "B": [1250], "C": [25, 25, 50, 75, 75], "D": [250]}
    orders = set()
    for subject in data["subject"].values:
        mine = data.isel(trial=np.flatnonzero(data["trial_subject"] == subject))
        for i, deck in enumerate("ABCD"):
            cards = mine["loss"].values[mine["choice"].values == i]
            assert set(mine["gain"].values[mine["choice"].values == i]) == {100.0 if deck in "AB" else 50.0}
            assert cards.size >= 20
            for k in range(cards.size // 10):
                whole = cards[10 * k : 10 * k + 10]
                assert sorted(-whole[whole < 0]) == losses[deck]
            orders.add(tuple(cards[:10]))
    assert len(orders) > 8
    np.testing.assert_allclose(expected(drawn(hr.Decks.iowa()))[0], [-25, -25, 25, 25])


def test_cards_that_are_not_shuffled_come_as_they_lie():
    task = hr.Decks(
        ((1.0, 2.0, 3.0), (4.0, 5.0, 6.0)), ((0.0,) * 3, (-1.0, 0.0, 0.0)), n_trials=9, shuffle=False
    )
    data = hr.simulate(hr.model("rw"), task, {"alpha": 0.1, "beta": 0.0}, n_subjects=20, random_seed=1)
    for s in range(20):
        rows = slice(9 * s, 9 * s + 9)
        choice, gain = data["choice"].values[rows], data["gain"].values[rows]
        for deck in (0, 1):
            drawn_here = gain[choice == deck]
            np.testing.assert_array_equal(
                drawn_here, np.resize([[1, 2, 3], [4, 5, 6]][deck], drawn_here.size)
            )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gains": ((1.0,),), "losses": ((0.0,),)}, r"two or more decks.*found \[1\] gains and \[1\] losses"),
        ({"losses": ((0.0,), (0.0, 0.0))}, r"as many cards each; found \[1, 1\] gains and \[1, 2\] losses"),
        ({"losses": ((0.0,), (1.0,))}, "Gains must be 0 or more and losses 0 or less"),
        ({"n_trials": 0}, "n_trials must be a whole number of at least 1; found 0"),
        ({"missed": 1.0}, r"missed must lie within \[0, 1\); found 1.0"),
        ({"arms": ("A", "A")}, r"There are 2 decks; arms=\('A', 'A'\) must name each once"),
    ],
)
def test_decks_that_contradict_themselves_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        hr.Decks(**{"gains": ((1.0,), (2.0,)), "losses": ((0.0,), (-1.0,)), **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"odds": (0.5, 0.5), "loss_odds": (0.5,)},
            r"loss_odds must be 2 numbers within \[0, 1\].*found \(0.5,\)",
        ),
        ({"odds": (0.5, 0.5), "loss_odds": (0.5, 1.5)}, "loss_odds must be 2 numbers"),
        ({"odds": (0.5, 0.5), "loss_odds": (0.5, 0.5), "loss": 1.0}, "loss must not be above 0; found 1"),
        ({"means": (0.5, 0.5), "loss_odds": (0.5, 0.5)}, "loss_odds go with odds, not with means"),
        (
            {"odds": (0.5, 0.5), "loss_odds": (0.5, 0.5), "amounts": (-1, 1)},
            "amounts are gains and not below 0",
        ),
        (
            {"odds": (0.5,) * 3, "shown": ((0, 1), (2, 5))},
            r"Each set of shown.*arms \[0, 1, 2\].*found \(2, 5\)",
        ),
        (
            {"odds": (0.5,) * 3, "shown": ((0, 1), (2,))},
            r"Each set of shown must name two or more.*found \(2,\)",
        ),
        (
            {"odds": (0.5,) * 3, "shown": 2, "reverse_after": 3},
            "reverse_after counts choices of the best arm",
        ),
        (
            {"odds": (0.5, 0.5), "shared": True, "n_trials": (5, 6)},
            r"shared schedule has one length.*\(5, 6\)",
        ),
        ({"means": (0.5, 0.5), "step": 0.0}, "step must be above 0; found 0.0"),
        ({}, "Give either odds or means; found odds=None, means=None"),
        ({"odds": (0.5, 0.5), "means": (1, 2)}, "Give either odds or means"),
        ({"odds": (0.5,)}, r"odds must be two or more numbers, one for each arm; found \(0.5,\)"),
        ({"odds": (0.5, 1.5)}, r"odds must lie within \[0, 1\]; found \(0.5, 1.5\)"),
        ({"odds": (0.5, 0.6), "limits": (0.0, 2.0)}, r"limits of odds must lie within \[0, 1\]"),
        ({"means": (5.0, 200.0), "limits": (1, 98)}, r"means must lie within \[1, 98\]; found"),
        ({"odds": (0.5, 0.5), "arms": ["a"]}, r"odds has 2 arms; arms=\('a',\) must name each once"),
        ({"odds": (0.5, 0.5), "n_trials": 0}, "n_trials=0 must be a whole number of at least 1; found 0"),
        ({"odds": (0.5, 0.5), "n_trials": (5, 0)}, r"n_trials=\(5, 0\) must be a whole number"),
        ({"odds": (0.5, 0.5), "n_trials": range(5, 5)}, "must be a whole number of at least 1"),
        ({"odds": (0.5, 0.5), "reverse_every": 2.5}, "reverse_every must be a whole number.*found 2.5"),
        ({"odds": (0.5, 0.5), "missed": 1.0}, r"missed must lie within \[0, 1\); found 1.0"),
        (
            {"odds": (0.5, 0.5), "reverse_chance": -0.1},
            r"reverse_chance must lie within \[0, 1\); found -0.1",
        ),
        ({"odds": (0.5, 0.5, 0.5), "shown": 4}, "shown must lie within 2..3, the number of arms; found 4"),
        ({"odds": (0.5, 0.5), "drift": -1.0}, "drift and sd must not be negative; found -1.0"),
        (
            {"odds": (0.5, 0.5), "reverse_every": 5, "reverse_chance": 0.1},
            "one of reverse_every, reverse_chance",
        ),
    ],
)
def test_a_description_that_contradicts_itself_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        hr.Bandit(**arguments)


def test_a_recorded_schedule_pays_what_was_paid_and_what_others_were_paid():
    data = random_behaviour(6, 40, 3, gaps=False, graded=True)
    schedule = drawn(hr.Bandit.recorded(data), n_subjects=6)
    choice, reward = data["choice"].values, data["reward"].values
    np.testing.assert_array_equal(schedule.reward[np.arange(choice.size), choice], reward)
    for t, arm in ((3, 0), (50, 1), (100, 2)):
        if choice[t] != arm:
            same_trial = data["trial_number"].values == data["trial_number"].values[t]
            lent = reward[same_trial & (choice == arm)]
            assert lent.size == 0 or schedule.reward[t, arm] in lent
    assert not np.isnan(schedule.reward).any()


def test_a_schedule_that_all_subjects_share_is_recovered_exactly_where_somebody_chose_the_arm():
    payoff = np.random.default_rng(1).normal(0.0, 1.0, (40, 2))
    data = random_behaviour(12, 40, 2, gaps=False)
    trial, choice = data["trial_number"].values - 1, data["choice"].values
    data["reward"] = ("trial", payoff[trial, choice])
    schedule = drawn(hr.Bandit.recorded(data), n_subjects=12)
    chosen_by_some = np.array([[(choice[trial == t] == i).any() for i in range(2)] for t in range(40)])
    np.testing.assert_array_equal(
        schedule.reward[chosen_by_some[trial]], payoff[trial][chosen_by_some[trial]]
    )
    assert np.isin(schedule.reward, payoff).all()


def test_subjects_lend_payoffs_only_within_their_schedule():
    data = random_behaviour(8, 30, 2, gaps=False, rich=True).drop_vars("forgone")
    amount = np.where(data["group"].values == "old", 1.0, 100.0)[np.repeat(np.arange(8), 30)]
    data["reward"] = ("trial", amount)
    schedule = drawn(hr.Bandit.recorded(data, by="group"), n_subjects=8)
    np.testing.assert_array_equal(schedule.reward, np.stack([amount, amount], axis=1))


def test_an_arm_that_nobody_chose_in_a_session_has_an_unknown_outcome():
    data = random_behaviour(4, 20, 3, gaps=False)
    data["choice"] = data["choice"] % 2
    assert np.isnan(drawn(hr.Bandit.recorded(data), n_subjects=4).reward[:, 2]).all()


def test_a_recorded_schedule_keeps_missed_forced_and_unknown_trials():
    data = random_behaviour(6, 60, 3, rich=True)
    again = hr.simulate(hr.model("rw"), hr.Bandit.recorded(data), {"alpha": 0.3, "beta": 0.1}, random_seed=1)
    check_behaviour(again)
    for name in ("available", "context", "mood", "side", "group", "trial_number"):
        np.testing.assert_array_equal(again[name], data[name])
    choice = data["choice"].values
    np.testing.assert_array_equal(again["choice"].values < 0, choice < 0)
    forced = (choice >= 0) & ~data["scored"].values
    np.testing.assert_array_equal(again["choice"].values[forced], choice[forced])
    np.testing.assert_array_equal(again["scored"], data["scored"])
    unknown = (choice >= 0) & np.isnan(data["reward"].values)
    assert np.isnan(again["reward"].values[unknown]).all()
    assert (again["choice"].values != choice).any()


def test_held_out_trials_of_a_split_are_free_choices():
    train, _ = hr.split(random_behaviour(4, 40, 2), last=0.5)
    again = hr.simulate(hr.model("rw"), hr.Bandit.recorded(train), {"alpha": 0.3, "beta": 1.0}, random_seed=1)
    np.testing.assert_array_equal(again["scored"], again["choice"] >= 0)


def test_recorded_data_and_their_groups_are_checked():
    data = random_behaviour()
    assert repr(hr.Bandit.recorded(data)) == f"Recorded(4 subjects, {data.sizes['trial']} trials)"
    assert isinstance(hr.Bandit.recorded(data), Recorded)
    with pytest.raises(
        ValueError, match="by='schedule' is no variable of the behaviour, which has choice, reward"
    ):
        hr.Bandit.recorded(data, by="schedule")
    with pytest.raises(ValueError, match="lacks 'scored'"):
        hr.Bandit.recorded(data.drop_vars("scored"))
