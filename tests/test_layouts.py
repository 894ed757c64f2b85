"""Other packages' tables: the same behaviour comes out as from a plain table of the same trials."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import hierrl as hr


def notes(data: xr.Dataset) -> str:
    return " ".join(json.loads(data.attrs["notes"]))


def same(one: xr.Dataset, other: xr.Dataset, *names: str) -> None:
    for name in ("choice", "reward", "scored", *names):
        xr.testing.assert_allclose(
            one[name].drop_vars(["trial_number"]), other[name].drop_vars(["trial_number"])
        )


class TestHBayesDM:
    def test_outcome_table_with_blocks(self, tmp_path):
        rng = np.random.default_rng(4)
        table = pd.DataFrame(
            {"subject": np.repeat(["s1", "s2", "s3"], [4, 6, 5]), "choice": rng.integers(0, 3, 15)}
        )
        table = table.assign(choice=table["choice"].astype(float).where(rng.random(15) > 0.2), reward=1.0)
        theirs = pd.DataFrame(
            {"SubjID": table["subject"], "choice": table["choice"] + 1, "outcome": table["reward"]}
        )
        theirs["block"] = [1, 1, 2, 2] + [1] * 3 + [2] * 3 + [1, 1, 2, 2, 2]
        path = tmp_path / "prl.txt"
        theirs.to_csv(path, sep="\t", index=False)
        read = hr.from_hbayesdm(path)
        ours = hr.behaviour(table.assign(session=theirs["block"]))
        for name in ("choice", "reward", "trial_session", "scored"):
            np.testing.assert_array_equal(read[name].values, ours[name].values)
        assert read["choice"].values.min() == -1

    @pytest.mark.parametrize("sign", [-1, 1])
    def test_losses_of_either_sign(self, sign):
        theirs = pd.DataFrame(
            {"subjID": 1, "choice": [1, 2, 3, 4], "gain": [50, 0, 0, 100], "loss": [0, 50, 25, 0]}
        )
        read = hr.from_hbayesdm(theirs.assign(loss=sign * theirs["loss"]))
        assert read["loss"].values.tolist() == [0, -50, -25, 0]
        assert read["reward"].values.tolist() == [50, -50, -25, 100]
        assert ("sign was turned" in notes(read)) == (sign == 1)

    def test_selection_task_names_the_stimulus_chosen(self):
        theirs = pd.DataFrame({
            "subjID": [1] * 4, "type": [12, 34, 56, 12], "choice": [1, 0, np.nan, 0], "reward": [1, 0, np.nan, 1],
        })  # fmt: skip
        read = hr.from_hbayesdm(theirs)
        assert read["arm"].values.tolist() == [1, 2, 3, 4, 5, 6]
        assert read["choice"].values.tolist() == [0, 3, -1, 1]
        shown = [np.flatnonzero(row).tolist() for row in read["available"].values]
        assert shown == [[0, 1], [2, 3], [4, 5], [0, 1]]
        named = theirs.drop(columns="type").assign(option1=list("ACEA"), option2=list("BDFB"))
        xr.testing.assert_equal(
            hr.from_hbayesdm(named)["available"].drop_vars("arm"), read["available"].drop_vars("arm")
        )
        assert hr.from_hbayesdm(named)["arm"].values.tolist() == list("ABCDEF")

    @pytest.mark.parametrize(
        ("columns", "message"),
        [
            (
                {"choice": [1, 2], "outcome": 1},
                "hBayesDM's tables have a column subjID; this one has 'choice'",
            ),
            ({"subjID": 1, "choice": [1, 2]}, "have a column outcome, or gain and loss"),
            (
                {"subjID": 1, "choice": [1, 0], "outcome": 1},
                "counts choices from 1, but column 'choice' holds 0 at",
            ),
            ({"subjID": 1, "choice": [1, 3], "outcome": 1}, "but 2 never occurs"),
            (
                {"subjID": 1, "choice": [1, 2], "reward": 1, "type": 12},
                r"is 1 \(option1\) or 0 \(option2\); .* holds 2",
            ),
            (
                {"subjID": 1, "choice": [1, 0], "reward": 1, "type": 7},
                "two digits, such as 12; column 'type' holds 7",
            ),
            (
                {"subjID": 1, "choice": [1, 0], "reward": 1, "type": 44},
                "same stimulus 4 is shown twice at subject 1",
            ),
            (
                {"subjID": 1, "choice": [1, 0], "reward": 1, "option1": ["A", None], "option2": "B"},
                "not given at",
            ),
        ],
    )
    def test_what_is_not_theirs_is_said(self, columns, message):
        with pytest.raises(ValueError, match=message):
            hr.from_hbayesdm(pd.DataFrame(columns))


class TestHSSM:
    @pytest.mark.parametrize("low", [0, -1])
    def test_responses_of_either_coding_without_response_times(self, low):
        theirs = pd.DataFrame({
            "participant_id": [0, 0, 0, 1, 1], "trial_id": [0, 1, 2, 0, 1], "rt": 0.4,
            "response": np.where([1, 0, 0, 1, 0], 1, low), "feedback": [1, 0, 1, 0, 1],
        })  # fmt: skip
        read = hr.from_hssm(theirs)
        assert read["choice"].values.tolist() == [1, 0, 0, 1, 0]
        assert "Response times ('rt') are not used" in notes(read)
        assert ("boundaries -1 and 1" in notes(read)) == (low == -1)

    def test_missing_is_minus_999_and_late_is_missed(self):
        theirs = pd.DataFrame({
            "participant_id": 0, "response": [1, -999, 0, 1], "rt": [0.4, -999, -999, 0.3], "feedback": [1, 0, 1, 0],
        })  # fmt: skip
        assert hr.from_hssm(theirs)["choice"].values.tolist() == [1, -1, 0, 1]
        late = hr.from_hssm(theirs.assign(deadline=1.0))
        assert late["choice"].values.tolist() == [1, -1, -1, 1]
        assert "1 choice after the deadline" in notes(late)

    def test_values_of_split_by_have_arms_of_their_own(self):
        theirs = pd.DataFrame({
            "subj_idx": 3, "split_by": [0, 0, 1, 1], "trial": [1, 2, 1, 2], "response": [1, 0, 1, np.nan],
            "feedback": [1.0, 0, 1, np.nan], "q_init": 0.5, "rt": 1.0,
        })  # fmt: skip
        read = hr.from_hssm(theirs)
        assert read["arm"].values.tolist() == ["0: 0", "0: 1", "1: 0", "1: 1"]
        assert read["choice"].values.tolist() == [1, 0, 3, -1]
        assert read["available"].values.astype(int).tolist() == [[1, 1, 0, 0]] * 2 + [[0, 0, 1, 1]] * 2
        assert "start=" in notes(read)
        assert "rows are taken in their order" in notes(read)

    def test_pairs_of_arms_learn_apart(self):
        """What `split_by` says: values of each pair are as if the other pair's trials were not there."""
        theirs = pd.DataFrame({"subj_idx": 1, "split_by": [0, 1] * 20, "response": [0, 0, 1, 1] * 10})
        theirs["feedback"] = np.random.default_rng(2).integers(0, 2, 40).astype(float)
        model, values = hr.model("rw", start=0.5), {"alpha": 0.3, "beta": 2.0}
        both = hr.from_hssm(theirs)
        apart = hr.from_hssm(theirs.assign(subj_idx=theirs["split_by"]).drop(columns="split_by"))
        quick = hr.fit_mle(model, both, progress=False), hr.fit_mle(model, apart, progress=False)
        together, alone = (
            hr.log_likelihood(fit, by="trial", parameters=values).values.ravel() for fit in quick
        )
        np.testing.assert_allclose(together, alone[np.argsort(np.argsort(theirs["split_by"], kind="stable"))])

    @pytest.mark.parametrize(
        ("columns", "message"),
        [
            (
                {"participant_id": 1, "rt": 0.3, "feedback": [1, 0]},
                "HSSM and HDDM's tables have a column response",
            ),
            ({"participant_id": 1, "response": [-1, 0, 1], "feedback": 1}, "holds -1, 0, 1; -1 is at"),
            ({"participant_id": 1, "response": [0, 1], "feedback": 1, "split_by": ["a", None]}, None),
        ],
    )
    def test_what_is_not_theirs_is_said(self, columns, message):
        if message is None:  # a single pair, named now and then
            columns, message = (
                {**columns, "split_by": ["a", "b", None], "response": [0, 1, 1]},
                "split_by is empty at",
            )
        with pytest.raises(ValueError, match=message):
            hr.from_hssm(pd.DataFrame(columns))


CPM = pd.DataFrame({
    "ppt": [1, 1, 1, 2, 2], "trial": [1, 2, 3, 1, 2],
    "arm_left": [2, 2, 3, 1, 4], "arm_right": [4, 1, 1, 4, 3],
    "reward_left": [1, 0, 0, 1, 1], "reward_right": [0, 1, 1, 0, 0], "response": [0, 1, 1, 0, 0],
})  # fmt: skip


class TestCpm:
    def test_positions_become_arms(self):
        read = hr.from_cpm(CPM)
        assert read["arm"].values[read["choice"].values].tolist() == [2, 1, 1, 1, 4]
        assert read["reward"].values.tolist() == [1, 1, 1, 1, 1]
        shown = CPM[["arm_left", "arm_right"]].to_numpy()
        for flags, pair in zip(read["available"].values, shown, strict=True):
            assert set(read["arm"].values[flags]) == set(pair)
        assert "forgone" not in read

    def test_forgone_rewards_only_on_request(self):
        read = hr.from_cpm(CPM, forgone=True)
        assert read["forgone"].sel(arm=4).values[0] == 0
        assert read["forgone"].sel(arm=2).values[1] == 0
        assert np.isnan(read["forgone"].values[np.arange(5), read["choice"].values]).all()

    def test_positions_from_one_with_what_was_paid(self):
        old = CPM.rename(columns={"arm_left": "stimulus_left", "arm_right": "stimulus_right"})
        old = old.drop(columns=["reward_left", "reward_right", "response"])
        read = hr.from_cpm(old.assign(responses=CPM["response"] + 1, feedback=[1, 1, 1, 1, 1]))
        same(read, hr.from_cpm(CPM), "available")

    def test_dicts_of_arrays_are_the_table(self):
        nested = [
            {
                "trials": own[["arm_left", "arm_right"]].to_numpy(),
                "feedback": own[["reward_left", "reward_right"]].to_numpy(),
                "ppt": ppt,
                "observed": own["response"].to_numpy(),
            }
            for ppt, own in CPM.groupby("ppt")
        ]
        same(hr.from_cpm(nested), hr.from_cpm(CPM), "available")
        one = hr.from_cpm(nested[0] | {"feedback": np.ones((3, 1))})
        assert one["reward"].values.tolist() == [1, 1, 1]

    def test_missed_choices_are_kept(self):
        read = hr.from_cpm(CPM.assign(response=[0, np.nan, 1, -1, 0]))
        assert read["choice"].values.tolist() == [1, -1, 0, -1, 3]

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"response": [0, 1, 2, 0, 1]}, "choice 2 at .* is none of the 2 positions"),
            ({"response": [1, 1, 1, 1, 1]}, "unclear whether they count from 0 or from 1"),
            ({"arm_left": [4, 2, 3, 1, 4]}, "same stimulus is shown at two positions at subject 1, trial 1"),
            ({"arm_left": [None, 2, 3, 1, 4]}, "stimulus at a position is not given at"),
            ({"stimulus_left": 1}, "Several sets of columns"),
            ({"reward_3": 1}, "There must be a reward for each position"),
        ],
    )
    def test_what_does_not_fit_is_said(self, change, message):
        with pytest.raises(ValueError, match=message):
            hr.from_cpm(CPM.assign(**change))

    def test_what_is_not_theirs_is_said(self):
        with pytest.raises(ValueError, match="arm_left and arm_right; this one has"):
            hr.from_cpm(CPM.drop(columns=["arm_left", "arm_right"]))
        with pytest.raises(ValueError, match="must be a dict with 'trials'"):
            hr.from_cpm([{"choices": [1, 2]}])
        with pytest.raises(ValueError, match="different numbers of trials"):
            hr.from_cpm({"trials": [[1, 2], [2, 1]], "feedback": [1, 0, 1], "observed": [1, 0]})
        with pytest.raises(ValueError, match="forgone=True needs what each position paid"):
            hr.from_cpm(CPM.drop(columns=["reward_left", "reward_right"]).assign(feedback=1), forgone=True)


def test_no_reader_changes_what_it_was_given():
    theirs = pd.DataFrame({"subjID": 1, "choice": [1, 2], "gain": [1, 0], "loss": [0, 5]})
    for frame, read in ((theirs, hr.from_hbayesdm), (CPM, hr.from_cpm)):
        before = frame.copy()
        read(frame)
        pd.testing.assert_frame_equal(frame, before)


def test_columns_that_were_used_are_recorded():
    read = hr.from_hbayesdm(pd.DataFrame({"subjID": 1, "choice": [1, 2], "outcome": [1, 0]}))
    assert json.loads(read.attrs["columns"]) == {"subject": "subjID", "choice": "choice", "reward": "outcome"}
    assert re.search(r"coded 1\.\.2", notes(read))
