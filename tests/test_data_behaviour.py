"""What `behaviour` makes of a table: order, coding of choices, outcomes, what is scored."""

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import hierrl as hr
from hierrl.data import check_behaviour

REAL = {  # name -> (subjects, arms, rows, missed choices, covariates)
    "fitzgerald_reversal": (79, 2, 10_112, 295, ["age_group", "age", "sex", "raven", "twoback"]),
    "dezfouli_clinical_2arm": (101, 2, 132_251, 0, ["group", "mania", "outcome"]),
    "bari_mice_2arm": (16, 2, 189_199, 0, ["schedule", "p_left"]),
    "bahrami_4arm": (965, 4, 144_750, 4_934, ["payoff_group", "rt_ms"]),
    "ahn_igt_3groups": (129, 4, 12_883, 0, ["group"]),
}


def small(**columns) -> pd.DataFrame:
    """Two subjects with four trials each."""
    table = {
        "subject": ["a"] * 4 + ["b"] * 4,
        "trial": [1, 2, 3, 4] * 2,
        "choice": [0, 1, 1, 0, 1, 0, 0, 1],
        "reward": [1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0],
    }
    return pd.DataFrame(table | columns)


def notes(data: xr.Dataset) -> str:
    return " ".join(json.loads(data.attrs["notes"]))


def columns(data: xr.Dataset) -> dict:
    return json.loads(data.attrs["columns"])


# Real data


@pytest.mark.parametrize("name", REAL)
def test_real_data_are_read_without_options(shared_data, name):
    subjects, arms, rows, missed, covariates = REAL[name]
    data = hr.behaviour(shared_data(name), covariates=covariates)
    assert dict(data.sizes) == {"trial": rows, "subject": subjects, "arm": arms}
    assert (data["choice"] == -1).sum() == data.attrs["n_missed"] == missed
    np.testing.assert_array_equal(data["scored"], data["choice"] >= 0)
    assert set(covariates) <= set(data.data_vars)
    check_behaviour(data)


@pytest.mark.parametrize("name", REAL)
def test_real_rows_keep_their_choices_and_rewards(shared_data, name):
    table = pd.read_csv(shared_data(name))
    data = hr.behaviour(table)
    back = hr.to_table(data)
    keys = ["subject", "session", "trial"]
    both = table.merge(back, on=keys, validate="one_to_one", suffixes=("", "_back"))
    assert len(both) == len(table)
    np.testing.assert_array_equal(both["choice"].astype(float), both["choice_back"].astype(float))
    np.testing.assert_array_equal(both["reward"], both["reward_back"])


def test_levels_of_real_covariates(shared_data):
    mice = hr.behaviour(shared_data("bari_mice_2arm"), covariates=["schedule", "p_left"])
    assert {name: mice[name].attrs["level"] for name in ("schedule", "p_left")} == {
        "schedule": "session",
        "p_left": "trial",
    }
    people = hr.behaviour(shared_data("fitzgerald_reversal"), covariates=["age_group", "twoback"])
    assert people["age_group"].dims == people["twoback"].dims == ("subject",)
    assert people["age_group"].sel(subject="sub-3107").item() == "young"
    assert people["twoback"].isnull().any()  # kept, not dropped


# Order


def test_rows_are_gathered_by_subject_and_sorted_by_trial():
    shuffled = small().sample(frac=1, random_state=1)
    data = hr.behaviour(shuffled)
    assert data["subject"].values.tolist() == list(dict.fromkeys(shuffled["subject"]))
    assert data["trial_number"].values.tolist() == [1, 2, 3, 4] * 2
    ordered = hr.behaviour(small())
    for subject in "ab":
        own, other = (d["choice"][d["trial_subject"].values == subject] for d in (data, ordered))
        np.testing.assert_array_equal(own, other)
    assert "gathered" in notes(data)
    assert "sorted by the trial number" in notes(data)


def test_without_trial_numbers_the_order_of_rows_counts():
    table = small().drop(columns="trial").iloc[[0, 4, 1, 5, 2, 6, 3, 7]]
    data = hr.behaviour(table)
    assert data["choice"].values.tolist() == [0, 1, 1, 0, 1, 0, 0, 1]
    assert data["trial_number"].values.tolist() == [1, 2, 3, 4] * 2
    assert "order of the rows is the order of the trials" in notes(data)


def test_sessions_keep_the_order_of_first_appearance_and_are_gathered():
    table = small(session=["late", "early", "late", "early"] * 2).drop(columns="trial")
    data = hr.behaviour(table)
    assert data["trial_session"].values.tolist() == ["late", "late", "early", "early"] * 2
    assert data["choice"].values.tolist() == [0, 1, 1, 0, 1, 0, 0, 1]
    assert "Rows of one session" in notes(data)


def test_numbered_sessions_out_of_order_are_noted():
    assert "not that of their numbers" in notes(hr.behaviour(small(session=[2, 2, 1, 1] * 2)))


def test_gaps_in_trial_numbers_are_noted():
    data = hr.behaviour(small(trial=[1, 2, 7, 8] * 2))
    assert "skip 2 times, first after subject 'a', trial 2 (table.iloc[1])" in notes(data)


def test_blocks_are_sessions_if_trial_numbers_start_again():
    block = [1, 1, 2, 2] * 2
    again = hr.behaviour(small(trial=[1, 2] * 4, block=block))
    assert again["trial_session"].values.tolist() == block
    assert "Each block (column 'block') is a session" in notes(again)
    running_on = hr.behaviour(small(block=block))
    assert set(running_on["trial_session"].values) == {1}
    assert "'block' is not a session" in notes(running_on)
    assert set(hr.behaviour(small(block=block), session="block")["trial_session"].values) == {1, 2}
    unnumbered = small(block=block).drop(columns="trial")
    assert set(hr.behaviour(unnumbered)["trial_session"].values) == {1, 2}
    assert set(hr.behaviour(unnumbered, session=False)["trial_session"].values) == {1}


def test_the_table_is_left_as_it_was():
    table = small(age=[30] * 4 + [40] * 4, choice=[1, 2] * 4)
    before = table.copy(deep=True)
    hr.behaviour(table, covariates=["age"])
    pd.testing.assert_frame_equal(table, before)


# Columns


def test_columns_are_found_by_common_names_in_any_case():
    found = {
        "subject": "Subj_ID",
        "choice": "Response",
        "reward": "OUTCOME",
        "session": "run",
        "trial": "Trial.Number",
    }
    data = hr.behaviour(small(session=1).rename(columns=found))
    assert columns(data) == found
    assert "choice from 'Response'" in notes(data)


def test_the_name_of_the_role_comes_before_synonyms():
    data = hr.behaviour(small(response="x", outcome="y", run=1, session=2))
    assert columns(data)["reward"] == "reward"
    assert set(data["trial_session"].values) == {2}


def test_given_columns_are_not_found_again_for_another_role():
    table = small(id=range(8)).rename(columns={"subject": "who"})
    assert columns(hr.behaviour(table, subject="who"))["subject"] == "who"
    assert columns(hr.behaviour(small(outcome=2), reward="outcome"))["reward"] == "outcome"


def test_columns_may_have_numbers_for_names():
    table = small().set_axis([0, 1, 2, 3], axis=1)
    data = hr.behaviour(table, subject=0, trial=1, choice=2, reward=3)
    xr.testing.assert_equal(data, hr.behaviour(small()))


def test_index_levels_with_names_are_columns():
    xr.testing.assert_equal(hr.behaviour(small().set_index(["subject", "trial"])), hr.behaviour(small()))


def test_one_subject_needs_no_column():
    data = hr.behaviour(small().iloc[:4].drop(columns="subject"), subject=False)
    assert data["subject"].values.tolist() == [1]


# Choices


@pytest.mark.parametrize(
    ("choice", "arms", "index"),
    [
        ([0, 1, 2, 0], [0, 1, 2], [0, 1, 2, 0]),
        ([1, 2, 3, 1], [1, 2, 3], [0, 1, 2, 0]),
        ([1.0, 2.0, np.nan, 1.0], [1, 2], [0, 1, -1, 0]),
        ([0, 1, -1, 0], [0, 1], [0, 1, -1, 0]),
        ([3, 7, 3, 7], [3, 7], [0, 1, 0, 1]),
        (["1", "2", "", "1"], [1, 2], [0, 1, -1, 0]),
        (["right", "left", None, "left "], ["left", "right"], [1, 0, -1, 0]),
        (["B", "A", "NA", "B"], ["A", "B"], [1, 0, -1, 1]),
        ([True, False, True, True], ["False", "True"], [1, 0, 1, 1]),
        ([True, None, True, True], ["False", "True"], [1, -1, 1, 1]),
        ([b"r", b"l", b"l", b"r"], ["l", "r"], [1, 0, 0, 1]),
        (pd.array([1, 2, None, 1], dtype="Int64"), [1, 2], [0, 1, -1, 0]),
        (pd.Categorical(["b", "a", None, "b"], categories=["b", "c", "a"]), ["b", "c", "a"], [0, 2, -1, 0]),
        (pd.Categorical([2, 1, None, 2], categories=[1, 2, 3]), [1, 2, 3], [1, 0, -1, 1]),
    ],
)
def test_choices_are_understood_however_they_are_coded(choice, arms, index):
    data = hr.behaviour(pd.DataFrame({"subject": 1, "choice": choice, "reward": 1.0}))
    assert data["arm"].values.tolist() == arms
    assert data["choice"].values.tolist() == index
    assert data["choice"].dtype == np.int64


@pytest.mark.parametrize(
    ("choice", "arms", "labels", "index"),
    [
        ([0, 1], [0, 1, 2], [0, 1, 2], [0, 1]),
        ([1, 2], [0, 1, 2], [0, 1, 2], [1, 2]),
        ([1, 2], [1, 2, 3], [1, 2, 3], [0, 1]),
        ([0, 1], ["x", "y", "z"], ["x", "y", "z"], [0, 1]),
        ([3, 1], ["x", "y", "z"], ["x", "y", "z"], [2, 0]),
        (["z", "x"], ["x", "y", "z"], ["x", "y", "z"], [2, 0]),
        ([0, 1], 3, [0, 1, 2], [0, 1]),
        ([3, 1], 3, [1, 2, 3], [2, 0]),
        (["b", "a"], 2, ["a", "b"], [1, 0]),
        ([0, 1], np.int64(3), [0, 1, 2], [0, 1]),
        ([0, 1], np.array([0, 1, 2]), [0, 1, 2], [0, 1]),
        (["z", "x"], iter("xyz"), ["x", "y", "z"], [2, 0]),
        ([-1, 1], [-1, 1], [-1, 1], [0, 1]),
        ([True, False], ["True", "False"], ["True", "False"], [0, 1]),
        ([True, True], ["no", "yes"], ["no", "yes"], [1, 1]),
        ([0, 3, 1], [0, 1, 3], [0, 1, 3], [0, 2, 1]),
        (["miss", "hit"], ["hit", "miss"], ["hit", "miss"], [1, 0]),
    ],
)
def test_named_arms_settle_what_choices_mean(choice, arms, labels, index):
    data = hr.behaviour(pd.DataFrame({"subject": 1, "choice": choice, "reward": 1.0}), arms=arms)
    assert data["arm"].values.tolist() == labels
    assert data["choice"].values.tolist() == index


def test_coding_from_one_is_judged_over_the_whole_table():
    data = hr.behaviour(small(choice=[1, 1, 1, 1, 1, 2, 2, 1]))  # the first subject only ever took arm 1
    assert data["choice"].values.tolist() == [0, 0, 0, 0, 0, 1, 1, 0]
    assert "coded 1..2: `choice` holds 0..1" in notes(data)


# Outcomes


def test_a_missed_choice_keeps_its_row_and_loses_its_outcome():
    data = hr.behaviour(small(choice=[0, None, 1, 0, 1, 0, 0, 1]))
    assert data.sizes["trial"] == 8
    assert not data["scored"].values[1]
    assert np.isnan(data["reward"].values[1])
    assert "1 missed trial had a value in reward, first subject 'a', trial 2 (table.iloc[1])" in notes(data)
    assert (data.attrs["n_missed"], data.attrs["n_unknown"]) == (1, 0)


def test_minus_one_is_a_missed_choice_and_said_to_be():
    data = hr.behaviour(small(choice=[0, -1, 1, 0, 1, 0, 0, 1]))
    assert data.attrs["n_missed"] == 1
    assert "-1 was read as a missed one" in notes(data)


def test_a_choice_with_unknown_reward_is_scored():
    data = hr.behaviour(small(reward=[1, None, 1, 0, 0, 1, 1, 1]))
    assert data["scored"].values.all()
    assert (data.attrs["n_missed"], data.attrs["n_unknown"]) == (0, 1)
    assert "1 choice with an unknown reward" in notes(data)


@pytest.mark.parametrize(
    "reward",
    [
        [-3.5, 2, 98, 0, 1, 2, 3, 4],
        ["-3.5", "2", "98", "0", "1", "2", "3", "4"],
        pd.array([-3.5, 2, 98, 0, 1, 2, 3, 4], dtype="Float64"),
        pd.Categorical([-3.5, 2, 98, 0, 1, 2, 3, 4]),
    ],
)
def test_rewards_of_any_size_and_sign_stay_as_they_are(reward):
    data = hr.behaviour(small(reward=reward))
    assert data["reward"].values.tolist() == [-3.5, 2, 98, 0, 1, 2, 3, 4]
    assert data["reward"].dtype == np.float64


def test_flags_count_as_rewards_of_one_and_zero():
    assert hr.behaviour(small(reward=[True, False] * 4))["reward"].values.tolist() == [1, 0] * 4


def test_gain_and_loss_add_up_to_a_missing_reward():
    table = small(gain=[10, 20] * 4, loss=[0, -50] * 4).drop(columns="reward")
    data = hr.behaviour(table)
    assert data["reward"].values.tolist() == [10, -30] * 4
    assert columns(data)["reward"] == "gain + loss"
    assert "sum of gain and loss" in notes(data)


def test_a_reward_that_is_not_gain_plus_loss_is_noted_and_kept():
    data = hr.behaviour(small(gain=1, loss=0))
    assert data["reward"].values.tolist() == small()["reward"].tolist()
    assert "not gain + loss in 3 rows, first at subject 'a', trial 2" in notes(data)
    assert "gain" not in hr.behaviour(small(gain=1, loss=0), gain=False)


def test_forgone_rewards_of_two_arms_may_stand_in_one_column():
    data = hr.behaviour(small(forgone=np.arange(8.0), choice=[0, 1, None, 0, 1, 0, 0, 1]))
    expected = np.full((8, 2), np.nan)
    chosen = [0, 1, None, 0, 1, 0, 0, 1]
    for row, arm in enumerate(chosen):
        if arm is not None:
            expected[row, 1 - arm] = row
    np.testing.assert_array_equal(data["forgone"], expected)
    assert "1 missed trial had a value in forgone" in notes(data)


@pytest.mark.parametrize("spec", [["p0", "p1", "p2"], {2: "p2", 0: "p0", 1: "p1"}, ("p0", "p1", "p2")])
def test_forgone_rewards_by_arm_leave_out_the_chosen_one(spec):
    table = small(choice=[0, 1, 1, 0, 1, 0, 0, 1], p0=1.0, p1=2.0, p2=3.0, reward=[1, 2, 2, 1, 2, 1, 1, 2])
    data = hr.behaviour(table, forgone=spec, arms=3)
    np.testing.assert_array_equal(data["forgone"].values[0], [np.nan, 2, 3])
    np.testing.assert_array_equal(data["forgone"].values[1], [1, np.nan, 3])
    assert "forgone reward of the chosen arm" not in notes(data)


def test_columns_by_arm_say_how_many_arms_there_are():
    table = small(p0=1.0, p1=2.0, p2=3.0)  # arm 2 is never chosen
    assert hr.behaviour(table, forgone=["p0", "p1", "p2"]).sizes["arm"] == 3


def test_forgone_columns_in_the_wrong_order_are_noted():
    table = small(p0=5.0, p1=[1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    data = hr.behaviour(table, forgone=["p1", "p0"])
    assert "In 4 rows the forgone reward of the chosen arm is not the reward" in notes(data)


# Arms on offer, forced choices


def test_available_arms_from_marks():
    table = small(a0=1, a1=[1, 1, 1, 0, 1, 1, 1, 1])
    data = hr.behaviour(table, available=["a0", "a1"])
    assert data["available"].values.tolist() == [[True, True]] * 3 + [[True, False]] + [[True, True]] * 4
    assert data["scored"].values.tolist() == [True] * 3 + [False] + [True] * 4
    assert "1 trial offered one arm only" in notes(data)


def test_available_arms_from_the_labels_of_those_shown():
    table = pd.DataFrame(
        {"subject": 1, "choice": ["A", "C", None, "D"], "reward": 1, "s1": list("ACEC"), "s2": list("BDFD")}
    )
    data = hr.behaviour(table, available=["s1", "s2"])
    assert data["arm"].values.tolist() == list("ABCDEF")  # also those never chosen
    shown = [[arm for arm, on in zip("ABCDEF", row, strict=True) if on] for row in data["available"].values]
    assert shown == [["A", "B"], ["C", "D"], ["E", "F"], ["C", "D"]]


def test_a_missed_trial_without_any_arm_offers_all():
    table = small(choice=[None, 1, 1, 0, 1, 0, 0, 1], a0=[0] + [1] * 7, a1=[0] + [1] * 7)
    data = hr.behaviour(table, available=["a0", "a1"])
    assert data["available"].values.all()
    assert "1 missed trial offered no arm" in notes(data)


@pytest.mark.parametrize("marks", [[True, False] * 4, [1, 0] * 4, ["yes", "no"] * 4, ["TRUE", "FALSE"] * 4])
def test_forced_choices_are_kept_and_not_scored(marks):
    for data in (hr.behaviour(small(forced=marks)), hr.behaviour(small(f=marks), forced="f")):
        assert data["scored"].values.tolist() == [False, True] * 4
        assert not data["reward"].isnull().any()
        assert "4 choices forced" in notes(data)


def test_forced_choices_may_be_given_as_a_list_in_table_order():
    table = small().iloc[::-1]
    data = hr.behaviour(table, forced=(table["trial"] == 1).to_list())
    assert data["scored"].values.tolist() == [False, True, True, True] * 2


def test_subjects_without_a_scored_choice_are_kept_and_named():
    data = hr.behaviour(small(choice=[None] * 4 + [1, 0, 0, 1]))
    assert data.sizes["subject"] == 2
    assert "1 subject without a scored choice: 'a'" in notes(data)


# Covariates and labels


def test_covariates_live_where_they_are_constant():
    table = small(session=[1, 1, 2, 2] * 2, age=[30] * 4 + [40] * 4, drug=[0, 0, 1, 1] * 2)
    table = table.assign(side=["l", "r"] * 4, context=[1, 2] * 4)
    data = hr.behaviour(table, covariates=["age", "drug", "side"])
    assert {name: (data[name].dims, data[name].attrs["level"]) for name in ("age", "drug", "side")} == {
        "age": (("subject",), "subject"),
        "drug": (("trial",), "session"),
        "side": (("trial",), "trial"),
    }
    assert data["age"].sel(subject="b").item() == 40
    assert data["context"].values.tolist() == [1, 2] * 4


@pytest.mark.parametrize(
    ("values", "kind", "stored"),
    [
        (["x", None], "U", ["x", ""]),
        ([1, None], "f", [1.0, np.nan]),
        ([1, 2], "i", [1, 2]),
        ([True, False], "b", [True, False]),
        ([True, None], "f", [1.0, np.nan]),
        (["x", 3], "U", ["x", "3"]),
        (pd.to_datetime(["2020-01-02", None]), "U", ["2020-01-02 00:00:00", ""]),
        (pd.Categorical(["hi", "lo"], categories=["lo", "hi"]), "U", ["hi", "lo"]),
        (pd.Categorical([2, None]), "f", [2.0, np.nan]),
        (pd.array([1, None], dtype="Int64"), "f", [1.0, np.nan]),
        ([None, None], "U", ["", ""]),
        ([np.nan, np.nan], "f", [np.nan, np.nan]),
    ],
)
def test_covariates_keep_their_type_and_their_gaps(values, kind, stored):
    column = pd.Series(values).repeat(4).reset_index(drop=True)
    data = hr.behaviour(small(x=column), covariates="x")
    assert data["x"].dtype.kind == kind
    np.testing.assert_array_equal(data["x"].values, stored)


def test_the_order_of_categories_is_kept():
    group = pd.Categorical(["patient"] * 4 + ["control"] * 4, categories=["patient", "control"])
    data = hr.behaviour(small(group=group), covariates="group")
    assert json.loads(data["group"].attrs["levels"]) == ["patient", "control"]


def test_a_covariate_of_the_subject_with_holes_is_noted():
    data = hr.behaviour(small(age=[30, None, 30, 30] + [40] * 4), covariates="age")
    assert data["age"].dims == ("trial",)
    assert "'age' is constant within each subject, but empty in 1 row" in notes(data)


def test_covariates_may_have_a_column_for_each_arm():
    table = small(choice=list("xyyxyxxy")).assign(**{"novelty[y]": range(8), "novelty[x]": 0})
    data = hr.behaviour(table, covariates="novelty")
    assert data["novelty"].dims == ("trial", "arm")
    assert data["novelty"].sel(arm="y").values.tolist() == list(range(8))


@pytest.mark.parametrize(
    ("labels", "stored"),
    [
        ([7, 3], [7, 3]),
        ([7.0, 3.0], [7, 3]),
        (["07", "7"], ["07", "7"]),
        ([1, "b"], ["1", "b"]),
        (pd.Categorical(["z", "a"]), ["z", "a"]),
        (pd.to_datetime(["2020-01-02", "2020-01-01"]), ["2020-01-02 00:00:00", "2020-01-01 00:00:00"]),
        (["Ünal", "Ōe"], ["Ünal", "Ōe"]),
    ],
)
def test_labels_of_subjects_keep_their_type_and_order(labels, stored):
    table = small(subject=pd.Series(labels).repeat(4).reset_index(drop=True))
    assert hr.behaviour(table)["subject"].values.tolist() == stored


def test_alike_labels_are_noted():
    assert "both 'S1' and 's1'" in notes(hr.behaviour(small(subject=["S1"] * 4 + ["s1"] * 4)))


def test_every_index_of_the_table_gives_the_same_behaviour():
    table = small(choice=[1, 2, None, 1, 2, 1, 1, 2], age=[30] * 4 + [None] * 4)
    expected = hr.behaviour(table, covariates="age")
    for index in ([0] * 8, list("abcdefgh"), pd.date_range("2020", periods=8)):
        xr.testing.assert_equal(hr.behaviour(table.set_axis(index), covariates="age"), expected)
