"""What is wrong with a table is said in a sentence: what, where, and what to do."""

import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import hierrl as hr
from hierrl.data import check_behaviour


def small(**columns) -> pd.DataFrame:
    """Two subjects with four trials each."""
    table = {
        "subject": ["a"] * 4 + ["b"] * 4,
        "trial": [1, 2, 3, 4] * 2,
        "choice": [0, 1, 1, 0, 1, 0, 0, 1],
        "reward": [1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0],
    }
    return pd.DataFrame(table | columns)


def nested(value) -> pd.Series:
    return pd.Series([value] * 8, dtype=object)


# What is wrong -> (table, arguments, pieces of the message)
CASES = {
    # Columns
    "misspelt column": (small(), {"choice": "chioce"}, ["no column 'chioce'", "Did you mean 'choice'?"]),
    "unknown column": (small(), {"subject": 5}, ["no column 5 (subject=)", "'trial', 'choice'"]),
    "several columns for a role": (small(), {"subject": ["subject"]}, ["name of one column"]),
    "no subject": (small().drop(columns="subject"), {}, ["No column for the subject", "subject=False"]),
    "no choice": (small().drop(columns="choice"), {}, ["No column for the choice", "choice='...'"]),
    "no reward": (small().drop(columns="reward"), {}, ["No column for the reward", "gain= and loss="]),
    "gain alone": (small(gain=1).drop(columns="reward"), {}, ["No column for the reward"]),
    "choice=False": (small(), {"choice": False}, ["nothing to fit"]),
    "reward=False": (small(), {"reward": False}, ["No column for the reward"]),
    "two synonyms": (
        small(feedback=1).rename(columns={"reward": "outcome"}),
        {},
        ["could be the reward: 'outcome', 'feedback'", "reward='outcome'"],
    ),
    "same name in two cases": (small(Choice=1), {}, ["could be the choice: 'choice', 'Choice'"]),
    "one column twice": (small(), {"choice": "trial", "trial": "trial"}, ["both for the choice"]),
    "a role's column used elsewhere": (small(), {"choice": "reward"}, ["used already: choice='reward'"]),
    "duplicated column": (
        pd.concat([small(), small()[["choice"]]], axis=1),
        {},
        ["several columns called 'choice'", "Rename or drop"],
    ),
    "header missing": (
        small().set_axis(["a", "1", "0", "1.0"], axis=1),
        {},
        ["look like data", "no header line"],
    ),
    "names on two levels": (
        pd.DataFrame(np.zeros((2, 2)), columns=pd.MultiIndex.from_product([["a"], ["b", "c"]])),
        {},
        ["several levels", "Flatten"],
    ),
    # Rows
    "no columns": (pd.DataFrame(), {}, ["no rows"]),
    "no rows": (small().iloc[:0], {}, ["no rows"]),
    "subject missing": (
        small(subject=["a", None] * 4),
        {},
        ["subject is missing", "iloc[1]) and 3 more rows"],
    ),
    "subject called NA": (small(subject=["a", "NA"] * 4), {}, ["'NA' or 'None' counts as missing"]),
    "session missing": (small(session=[1, None] * 4), {}, ["session is missing", "session=False"]),
    "trial missing": (small(trial=[1, None, 3, 4] * 2), {}, ["trial number is missing", "trial=False"]),
    "trial is text": (
        small(trial=["t1", "t2"] * 4),
        {},
        ["trial number must be numbers", "Number the trials"],
    ),
    "trial is a date": (small(trial=pd.date_range("2020", periods=8)), {}, ["trial number must be numbers"]),
    "trial is infinite": (small(trial=[1, 2, np.inf, 4] * 2), {}, ["trial number is infinite"]),
    "trial twice": (
        small(trial=[1, 2, 2, 4] * 2),
        {},
        ["subject 'a', trial 2 (table.iloc[1]) comes again at table.iloc[2]", "2 rows repeat", "trial=False"],
    ),
    "trial twice, blocks known": (
        small(trial=[1, 2] * 4, block=[1, 1, 2, 2] * 2),
        {"session": False},
        ["start again in each 'block': pass session='block'"],
    ),
    "trial twice within sessions": (
        small(trial=[1, 2] * 4, session=1, run=[1, 1, 2, 2] * 2),
        {},
        ["subject and session", "table['session'].astype(str) + '-' + table['run']", "session='part'"],
    ),
    "nested subjects": (small(subject=nested([1])), {}, ["'subject' holds whole lists"]),
    # Choices
    "one row, one arm": (small().iloc[:1], {}, ["Only one arm", "arms=[0, ...]"]),
    "one arm": (small(choice="left"), {}, ["holds only 'left'", "arms=['left', ...]"]),
    "all missed": (small(choice=None), {}, ["No choice was made in the whole table"]),
    "all missed, arms named": (small(choice=-1), {"arms": 2}, ["No choice was made in the whole table"]),
    "-1 and 1": (small(choice=[-1, 1] * 4), {}, ["-1 and 1", "arms=[-1, 1]"]),
    "negative choice": (small(choice=[0, 1, -2, 1] * 2), {}, ["negative choice -2 at subject 'a', trial 3"]),
    "gap from 0": (
        small(choice=[0, 1, 3, 1] * 2),
        {},
        ["2 never occurs", "arms=[0, 1, 3]", "list(range(0, 4))"],
    ),
    "99 for missed": (small(choice=[1, 2, 99, 1] * 2), {}, ["If 99 stands for a missed choice"]),
    "huge choice": (small(choice=[1, 10**30] * 4), {}, ["2 never occurs", "these are all. If"]),
    "fractions": (small(choice=[0.5, 1] * 4), {}, ["whole number or a label", "holds 0.5"]),
    "infinite choice": (small(choice=[0, np.inf] * 4), {}, ["whole number or a label", "holds inf"]),
    "dates": (
        small(choice=pd.date_range("2020", periods=8)),
        {},
        ["whole number or a label", "right column?"],
    ),
    "tuples": (small(choice=nested((1,))), {}, ["whole number or a label"]),
    "nested choices": (small(choice=nested([1])), {}, ["'choice' holds whole lists"]),
    "labels and numbers": (
        small(choice=[0, 1, "left", 0, 1, 0, 0, 1]),
        {},
        ["mixes labels and numbers", "'left' is at subject 'a', trial 3"],
    ),
    "two spellings": (small(choice=["Left", "left"] * 4), {}, ["differ only in upper and lower case"]),
    "a label for missed": (
        small(choice=["l", "r", "too slow", "r"] * 2),
        {},
        ["'too slow'", "like a missed"],
    ),
    "thousands of choices": (
        pd.DataFrame({"subject": 1, "choice": np.arange(5000), "reward": 1}),
        {},
        ["5,000 different choices", "right column?"],
    ),
    "outside the named arms": (
        small(choice=["left", "rihgt"] * 4),
        {"arms": ["left", "right"]},
        ["'rihgt' at subject 'a', trial 2", "none of the arms", "Did you mean 'right'?"],
    ),
    "number outside the named arms": (small(choice=[0, 4] * 4), {"arms": [0, 1]}, ["choice 4", "arms 0, 1"]),
    "number beyond the names": (
        small(choice=[0, 4] * 4),
        {"arms": ["x", "y"]},
        ["choice 4", "outside the 2"],
    ),
    "0..m for m arms": (small(choice=[0, 2] * 4), {"arms": 2}, ["choice 2", "0..1"]),
    "from 0 or from 1": (
        small(choice=[1, 2] * 4),
        {"arms": 3},
        ["unclear whether they count from 0 or from 1"],
    ),
    "labels for a number of arms": (small(choice=["x", "y"] * 4), {"arms": 3}, ["name all 3 arms"]),
    "arms as one text": (small(), {"arms": "left"}, ["takes a list"]),
    "arms as a dict": (small(), {"arms": {0: "a"}}, ["takes a list"]),
    "arms=True": (small(), {"arms": True}, ["takes a list"]),
    "one named arm": (small(), {"arms": [0]}, ["at least two different arms"]),
    "arms twice": (small(), {"arms": [0, 0, 1]}, ["at least two different arms"]),
    "arms of two kinds": (small(), {"arms": [0, "a"]}, ["all text or all numbers"]),
    "odd arms": (small(), {"arms": [0.5, None]}, ["text or whole numbers"]),
    # Outcomes
    "words for rewards": (
        small(reward=["win", "lose"] * 4),
        {},
        ["must be numbers", "'win', 'lose' at subject 'a', trial 1", "table['reward'].map("],
    ),
    "one word": (
        small(reward=[1, 0, 1, "x", 0, 1, 1, 0]),
        {},
        ["holds 'x' at subject 'a', trial 4 (table.iloc[3])"],
    ),
    "decimal commas": (small(reward=["0,5", "1,5"] * 4), {}, ["decimal commas?", "decimal=','"]),
    "infinite reward": (small(reward=[1, 0, np.inf, 0] * 2), {}, ["reward is infinite", "trial 3"]),
    "complex reward": (small(reward=1j), {}, ["must be numbers"]),
    "dates for rewards": (
        small(reward=pd.date_range("2020", periods=8)),
        {},
        ["must be numbers", "2020-01-01"],
    ),
    "nested rewards": (small(reward=nested({})), {}, ["'reward' holds whole lists"]),
    "a synonym that is something else": (
        small(outcome="O1").drop(columns="reward"),
        {},
        ["'outcome' was taken for the reward by its name"],
    ),
    "positive losses": (
        small(gain=0, loss=[0, 5] * 4),
        {},
        ["0 or less", "holds 5 at subject 'a', trial 2", "table['loss'] = -table['loss']", "loss=False"],
    ),
    "losses of both signs": (small(loss=[-1, 5] * 4), {"loss": "loss"}, ["both signs"]),
    "negative gains": (small(gain=-1), {}, ["0 or more", "exchanged?"]),
    "one forgone column, three arms": (small(choice=[0, 1, 2, 0] * 2, forgone=1), {}, ["one column per arm"]),
    "forgone columns for other arms": (
        small(choice=list("xyyxyxxy"), f=1, g=1, h=1),
        {"forgone": ["f", "g", "h"]},
        ["the arms are 'x', 'y'", "arms=[...]"],
    ),
    "forgone labels that are no arms": (
        small(choice=pd.Categorical(list("xyyxyxxy")), f=1, g=1),
        {"forgone": {"x": "f", "z": "g"}},
        ["columns for the arms 'x', 'z', but the arms are 'x', 'y'"],
    ),
    "forgone column twice": (small(f=1), {"forgone": ["f", "f"]}, ["names a column twice"]),
    "forgone is text": (small(f=1, g="a"), {"forgone": ["f", "g"]}, ["forgone reward must be numbers"]),
    # Arms on offer, forced choices, context, covariates
    "a hidden arm chosen": (
        small(a0=[1, 0] * 4, a1=1),
        {"available": ["a0", "a1"]},
        ["arm 0 was chosen at subject 'a', trial 4", "not its place on the screen"],
    ),
    "too few marks": (small(a0=1), {"available": "a0"}, ["available= has 'a0'", "one column for each arm"]),
    "marks for one arm": (
        small(a=1),
        {"available": {0: "a"}},
        ["columns for the arms 0, but the arms are 0, 1"],
    ),
    "forced is text": (small(forced=["free", "forced"] * 4), {}, ["true or false", "holds 'free', 'forced'"]),
    "forced has holes": (small(forced=[True, None] * 4), {}, ["unclear whether a choice was forced"]),
    "forced is short": (small(), {"forced": [True]}, ["one True or False per row (8); found 1 entries"]),
    "context has holes": (small(context=[1, None] * 4), {}, ["context is missing", "context=False"]),
    "unknown covariate": (
        small(age=3),
        {"covariates": ["agee"]},
        ["no column 'agee'", "Did you mean 'age'?"],
    ),
    "reserved covariate": (small(), {"covariates": ["reward"]}, ["can't be called 'reward'", "rename"]),
    "covariate twice": (small(age=3), {"covariates": ["age", "age"]}, ["names a column twice"]),
    "infinite covariate": (small(age=np.inf), {"covariates": "age"}, ["'age' is infinite"]),
    "nested covariate": (small(x=nested([1])), {"covariates": "x"}, ["'x' holds whole lists", "trial 1"]),
    "covariate of some arms": (
        small(**{"n[0]": 1, "n[2]": 1}),
        {"covariates": "n"},
        ["columns for the arms '0', '2', but the arms are 0, 1"],
    ),
    # Not a table
    "dict": ({"subject": [1]}, {}, ["found dict", "pandas.DataFrame(...)"]),
    "array": (np.zeros((3, 3)), {}, ["found ndarray"]),
    "column": (small()["choice"], {}, ["found Series"]),
    "None": (None, {}, ["found NoneType"]),
    "behaviour": (hr.behaviour(small()), {}, ["behaviour already"]),
}


@pytest.mark.parametrize("case", CASES)
def test_a_broken_table_is_refused_in_a_sentence(case):
    table, arguments, pieces = CASES[case]
    pattern = "(?s)" + "".join(f"(?=.*{re.escape(piece)})" for piece in pieces)
    with pytest.raises((ValueError, TypeError), match=pattern) as caught:
        hr.behaviour(table, **arguments)
    message = str(caught.value)
    assert message[0].isupper() or message[0] in "'`" or re.match(r"[a-z]+=", message)
    assert message[-1] in ".?)"
    assert len(message) < 700
    assert "  " not in message
    assert ".." not in message.replace("...", "").replace("0..", "").replace("1..", "")


# Datasets that aren't behaviour


def without(name: str) -> xr.Dataset:
    return hr.behaviour(small()).drop_vars(name)


def changed(**variables) -> xr.Dataset:
    data = hr.behaviour(small(gain=1, loss=0, a0=1, a1=1), available=["a0", "a1"])
    return data.assign({name: (dims, values) for name, (dims, values) in variables.items()})


NOT_BEHAVIOUR = {
    "a table": (small(), ["hr.behaviour(table) makes", "found DataFrame"]),
    "a fit": (xr.DataTree(), ["found DataTree", "pass the fit"]),
    "no scored": (without("scored"), ["lacks 'scored'"]),
    "no labels of trials": (without("trial_subject"), ["lacks 'trial_subject'"]),
    "floats for choices": (
        changed(choice=("trial", np.zeros(8))),
        ["'choice' has dims", "needs", "integers"],
    ),
    "choice beyond the arms": (
        changed(choice=("trial", [0, 1, 2, 0, 0, 0, 0, 0])),
        ["outside -1..1", "found 2 at trial 2 (subject a, trial_number 3)"],
    ),
    "missed but scored": (changed(choice=("trial", [-1] + [0] * 7)), ["'scored' is true although"]),
    "infinite reward": (changed(reward=("trial", [np.inf] + [0.0] * 7)), ["'reward' must be finite"]),
    "positive loss": (
        changed(loss=("trial", [0.0, 3] + [0.0] * 6)),
        ["'loss' must be", "found 3.0 at trial 1"],
    ),
    "hidden arm chosen": (
        changed(available=(("trial", "arm"), np.array([[False, True]] * 8))),
        ["'available' is false for the arm that was chosen"],
    ),
    "subjects selected, trials not": (
        hr.behaviour(small()).sel(subject=["a"]),
        ["no `subject` for trials of 'b'"],
    ),
    "trials selected, subjects not": (hr.behaviour(small()).isel(trial=slice(4)), ["Without trials: 'b'"]),
    "subjects reordered": (hr.behaviour(small()).sel(subject=["b", "a"]), ["rows are out of order"]),
    "trials shuffled": (hr.behaviour(small()).isel(trial=[0, 4, 1, 5]), ["rows are out of order"]),
    "nothing selected": (hr.behaviour(small()).isel(trial=[]), ["has no trial"]),
    "no subject selected": (hr.behaviour(small()).isel(subject=[]), ["has no subject"]),
    "one arm": (hr.behaviour(small()).isel(arm=[0]), ["one arm only"]),
    "sessions interleaved": (
        changed(trial_session=("trial", [1, 2, 1, 2, 1, 1, 1, 1])),
        ["do not stand together", "label comes again"],
    ),
}


@pytest.mark.parametrize("case", NOT_BEHAVIOUR)
def test_what_is_not_behaviour_is_refused_in_a_sentence(case):
    data, pieces = NOT_BEHAVIOUR[case]
    pattern = "(?s)" + "".join(f"(?=.*{re.escape(piece)})" for piece in pieces)
    with pytest.raises((ValueError, TypeError), match=pattern):
        check_behaviour(data)


def test_subjects_can_be_selected_as_the_message_says():
    data = hr.behaviour(small())
    chosen = ["b"]
    check_behaviour(data.isel(trial=data.trial_subject.isin(chosen).values).sel(subject=chosen))
