"""Arrays become the behaviour that a table of the same trials does."""

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import hierrl as hr
from tests.builders import random_behaviour


def notes(data: xr.Dataset) -> str:
    return " ".join(json.loads(data.attrs["notes"]))


@pytest.fixture
def table() -> pd.DataFrame:
    """Three subjects with 4, 6 and 5 trials of three arms; one missed choice, one unknown reward."""
    rng = np.random.default_rng(4)
    subject = np.repeat(["s1", "s2", "s3"], [4, 6, 5])
    frame = pd.DataFrame({"subject": subject, "choice": rng.integers(0, 3, 15).astype(float)})
    frame["reward"] = rng.integers(0, 2, 15).astype(float)
    frame.loc[[1, 7], "choice"], frame.loc[[1, 7, 9], "reward"] = np.nan, np.nan
    frame.loc[:2, "choice"] = [0, np.nan, 2]
    return frame


def rows(table: pd.DataFrame, column: str) -> list[np.ndarray]:
    return [group[column].to_numpy() for _, group in table.groupby("subject", sort=False)]


def split(data: xr.Dataset, values: np.ndarray) -> list[np.ndarray]:
    return [values[(data["trial_subject"] == subject).values] for subject in data["subject"].values]


class TestArrays:
    def test_ragged_lists_are_the_table_with_the_same_rows(self, table):
        read = hr.from_arrays(rows(table, "choice"), rows(table, "reward"), subjects=["s1", "s2", "s3"])
        xr.testing.assert_identical(read.drop_attrs(), hr.behaviour(table).drop_attrs())

    def test_padded_arrays_with_lengths_are_the_ragged_ones(self, table):
        choice, reward = (np.full((3, 6), np.nan) for _ in range(2))
        for i, (c, r) in enumerate(zip(rows(table, "choice"), rows(table, "reward"), strict=True)):
            choice[i, : len(c)], reward[i, : len(c)] = c, r
        padded = hr.from_arrays(choice, reward, n_trials=[4, 6, 5], subjects=["s1", "s2", "s3"])
        xr.testing.assert_identical(padded.drop_attrs(), hr.behaviour(table).drop_attrs())

    def test_minus_one_is_a_missed_choice_and_one_dimension_is_one_subject(self):
        read = hr.from_arrays([0, -1, 1, 1], [1, 0, 0, 1])
        assert read["choice"].values.tolist() == [0, -1, 1, 1]
        assert read.sizes["subject"] == 1

    def test_everything_that_behaviour_has_comes_back(self):
        data = hr.behaviour(hr.to_table(random_behaviour(rich=True, gaps=True, seed=3)))
        back = hr.from_arrays(
            *(split(data, data[name].values) for name in ("choice", "reward")),
            **{n: split(data, data[n].values) for n in ("gain", "loss", "forgone", "available", "context")},
            session=split(data, data["trial_session"].values),
            forced=split(data, (data["choice"].values >= 0) & ~data["scored"].values),
            covariates={
                "group": data["group"].values,
                "age": data["age"].values,
                "mood": split(data, data["mood"].values),
            },
            subjects=data["subject"].values.tolist(),
            arms=data.sizes["arm"],
        ).assign_coords(arm=data["arm"])
        for name in (
            "choice",
            "reward",
            "gain",
            "loss",
            "forgone",
            "available",
            "context",
            "scored",
            "group",
            "age",
        ):
            np.testing.assert_array_equal(back[name].values, data[name].values, err_msg=name)
        np.testing.assert_array_equal(back["mood"].values, data["mood"].values)
        assert (
            back["trial_session"].values.astype(str).tolist()
            == data["trial_session"].values.astype(str).tolist()
        )

    def test_labels_of_trials_hold_for_all_subjects(self):
        read = hr.from_arrays(np.zeros((2, 4)), np.ones((2, 4)), session=[1, 1, 2, 2], arms=2)
        assert read["trial_session"].values.tolist() == [1, 1, 2, 2] * 2

    def test_arms_may_have_names(self):
        read = hr.from_arrays([["a", "b", None], ["b", "b", "a"]], np.ones((2, 3)))
        assert read["arm"].values.tolist() == ["a", "b"]
        assert read["choice"].values.tolist() == [0, 1, -1, 1, 1, 0]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"rewards": [[1, 0]]}, "reward has 1 row, choices has 2: there must be one for each subject"),
            (
                {"rewards": [[1, 0, 1], [1, 0]]},
                r"reward has 2 trials for subject 2, choices has 3. Arrays must",
            ),
            ({}, "No column for the reward was found"),
            (
                {"rewards": np.ones((2, 3, 2))},
                r"reward must have 2 dimensions, \(subjects, trials\); row 0 has",
            ),
            ({"rewards": np.ones((2, 3)), "subjects": ["a"]}, "names 1 subject, but choices has 2 rows"),
            ({"rewards": np.ones((2, 3)), "covariates": {"age": [1]}}, "'age' has 1 value for 2 subjects"),
            ({"rewards": np.ones((2, 3)), "covariates": {"choice": [1, 2]}}, "can't be called 'choice'"),
            (
                {"rewards": np.ones((2, 3)), "n_trials": [3, 9]},
                "says 9 for subject 2, whose choices have 3 trials",
            ),
            ({"rewards": np.ones((2, 3)), "available": np.ones((2, 3))}, "must have one column for each arm"),
            (
                {"rewards": np.ones((2, 3)), "gain": -np.ones((2, 3)), "loss": np.zeros((2, 3))},
                "A gain must be 0 or",
            ),
        ],
    )
    def test_what_does_not_fit_is_said(self, options, message):
        with pytest.raises(ValueError, match=message):
            hr.from_arrays([[0, 1, 0], [1, 1, 0]], **options)

    def test_a_number_is_no_array(self):
        with pytest.raises(ValueError, match=r"choices must be an array \(subjects, trials\)"):
            hr.from_arrays(3, 4)


class TestRlfit:
    def arrays(self, data: xr.Dataset) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """As `benchmarks/` hands them to rlfit."""
        chosen = (data["choice"].values[:, None] == np.arange(data.sizes["arm"])).astype(float)
        return split(data, chosen * np.nan_to_num(data["reward"].values)[:, None]), split(data, chosen)

    def test_one_hot_arrays_are_the_behaviour_they_came_from(self):
        task = hr.Bandit((0.8, 0.2, 0.5), n_trials=30, missed=0.1)
        data = hr.simulate(hr.model("rw"), task, {"alpha": [0.3, 0.5], "beta": 3.0}, random_seed=2)
        rewards, actions = self.arrays(data)
        read = hr.from_rlfit(rewards, actions, subjects=data["subject"].values.tolist())
        np.testing.assert_array_equal(read["choice"].values, data["choice"].values)
        np.testing.assert_array_equal(read["reward"].values, data["reward"].values)
        named = hr.from_rlfit(dict(enumerate(rewards)), dict(enumerate(actions)), arms=["x", "y", "z"])
        assert named["arm"].values.tolist() == ["x", "y", "z"]
        assert named["subject"].values.tolist() == [0, 1]

    def test_actions_among_the_subrewards_are_the_choice_trace(self):
        actions, rewards = np.eye(2)[[0, 1, 1]], np.eye(2)[[0, 1, 1]] * [[1], [0], [1]]
        read = hr.from_rlfit([rewards, actions], actions)
        assert read["reward"].values.tolist() == [1, 0, 1]
        assert "subvalue" in notes(read)

    @pytest.mark.parametrize(
        ("rewards", "actions", "message"),
        [
            (np.ones((2, 2)), np.eye(2), "has a reward of 1 for arm 1 at trial 1, where it was not chosen"),
            (np.eye(2), np.ones((2, 2)), r"subject 1 has \[1.0, 1.0\] at trial 1"),
            (np.eye(2), np.eye(3), r"have the shape \(2, 2\), actions \(3, 3\)"),
            ([3 * np.eye(2), 2 * np.eye(2)], np.eye(2), "has 2 subrewards beside the actions"),
            ([np.eye(2)], [np.eye(2), np.eye(2)], "rewards are of 1 subject, actions of 2 subjects"),
            ([np.eye(2), np.eye(3)], [np.eye(2), np.eye(3)], "must have the same arms"),
            ({"a": np.eye(2)}, {"b": np.eye(2)}, "dicts with the same subjects"),
        ],
    )
    def test_what_does_not_fit_is_said(self, rewards, actions, message):
        with pytest.raises(ValueError, match=message):
            hr.from_rlfit(rewards, actions)
