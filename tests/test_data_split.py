"""`split` keeps all rows and shares the scored trials out, each to exactly one part."""

import json
from typing import cast

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import hierrl as hr
from hierrl.data import check_behaviour


def study(sizes: list[list[int]], *, seed: int = 0) -> xr.Dataset:
    """A subject per entry, with sessions of these lengths."""
    rng = np.random.default_rng(seed)
    rows = [(s, k, t + 1) for s, lengths in enumerate(sizes) for k, n in enumerate(lengths) for t in range(n)]
    table = pd.DataFrame(rows, columns=["subject", "session", "trial"])
    choice = rng.integers(0, 2, len(table))
    choice[0] = 0  # so that choices plainly count from 0
    choice[-1] = 1
    return hr.behaviour(table.assign(choice=choice, reward=rng.random(len(table))), arms=2)


def scored(data: xr.Dataset) -> np.ndarray:
    return data["scored"].values


def per_subject(data: xr.Dataset) -> list[int]:
    return [int(scored(data)[data["trial_subject"].values == s].sum()) for s in data["subject"].values]


SIZES = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=5), min_size=1, max_size=5)
HOW = st.one_of(
    st.fixed_dictionaries({"last": st.floats(0.05, 0.95)}),
    st.fixed_dictionaries({"sessions": st.integers(1, 3)}),
    st.fixed_dictionaries(
        {"folds": st.integers(2, 5), "random_seed": st.one_of(st.none(), st.integers(0, 9))}
    ),
)


@given(SIZES, HOW, st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_every_scored_trial_is_in_exactly_one_part(sizes, how, seed):
    data = study([[9, 9, 9, 9, 9], *sizes], seed=seed)  # the first can be shared out in every way
    data["scored"] = data["scored"] & (np.random.default_rng(seed).random(data.sizes["trial"]) < 0.9)
    pairs = hr.split(data, **how)
    for train, test in pairs if isinstance(pairs, list) else [pairs]:
        np.testing.assert_array_equal(scored(train) | scored(test), scored(data))
        assert not (scored(train) & scored(test)).any()
        assert scored(test).any()
        for part in (train, test):
            xr.testing.assert_equal(part.drop_vars("scored"), data.drop_vars("scored"))
            check_behaviour(part)
        # whoever has something to be scored has something to be fitted to
        assert [n > 0 for n in per_subject(train)] == [n > 0 for n in per_subject(data)]


@given(SIZES, st.integers(2, 4), st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_folds_hold_out_every_trial_once(sizes, folds, seed):
    data = study([[n + folds for n in lengths] for lengths in sizes], seed=seed)
    pairs = hr.split(data, folds=folds, random_seed=seed)
    assert len(pairs) == folds
    np.testing.assert_array_equal(sum(scored(test).astype(int) for _, test in pairs), scored(data))


def test_last_holds_out_the_end_of_each_subjects_scored_trials():
    data = study([[8], [2, 2], [1], [3]])
    train, test = hr.split(data, last=0.25)
    assert per_subject(train) == [6, 3, 1, 2]
    assert per_subject(test) == [2, 1, 0, 1]
    for subject in data["subject"].values[:2]:
        own = data["trial_subject"].values == subject
        assert np.flatnonzero(scored(train) & own).max() < np.flatnonzero(scored(test) & own).min()


def test_missed_trials_do_not_count_toward_the_fraction():
    table = pd.DataFrame({"subject": 1, "choice": [0, 1, 0, None, None, None, None, 1], "reward": 1.0})
    train, test = hr.split(hr.behaviour(table), last=0.25)
    assert scored(train).tolist() == [True, True, True] + [False] * 5
    assert scored(test).tolist() == [False] * 7 + [True]


def test_sessions_are_held_out_by_label_or_from_the_end():
    data = study([[2, 3, 2], [4, 1]])
    _, second = hr.split(data, sessions=[1])
    assert per_subject(second) == [3, 1]
    _, last = hr.split(data, sessions=1)
    assert per_subject(last) == [2, 1]
    _, several = hr.split(data, sessions=(1, 2))
    assert per_subject(several) == [5, 1]


def test_text_labels_of_sessions():
    table = pd.DataFrame(
        {"subject": 1, "session": ["pre"] * 2 + ["post"] * 2, "choice": [0, 1] * 2, "reward": 1}
    )
    data = hr.behaviour(table)
    for spec in ("post", ["post"], np.array(["post"])):
        assert scored(hr.split(data, sessions=spec)[1]).tolist() == [False, False, True, True]


def test_whoever_would_have_nothing_left_stays_in_train_and_is_named():
    data = study([[3, 3], [3]])
    train, test = hr.split(data, sessions=1)
    assert per_subject(train) == [3, 3]
    assert per_subject(test) == [3, 0]
    for part in (train, test):
        assert "1 subject would have nothing left" in json.loads(part.attrs["notes"])[-1]
        assert json.loads(part.attrs["notes"])[-1].endswith("untested: 1.")


def test_folds_go_by_session_where_everybody_has_enough():
    data = study([[4, 5, 6], [7, 2, 3, 4]])
    pairs = hr.split(data, folds=3)
    session = data["trial_session"].values
    subject = data["trial_subject"].values
    for _, test in pairs:
        held = {(a, b) for a, b in zip(subject[scored(test)], session[scored(test)], strict=True)}
        for a, b in held:
            assert scored(test)[(subject == a) & (session == b)].all()  # whole sessions
    assert json.loads(pairs[0][1].attrs["split"]) == {"folds": 3, "fold": 0, "by": "session", "part": "test"}


def test_folds_are_blocks_of_consecutive_trials_otherwise():
    data = study([[12], [7]])
    pairs = hr.split(data, folds=3)
    assert [per_subject(test) for _, test in pairs] == [[4, 3], [4, 2], [4, 2]]
    for _, test in pairs:
        assert (np.diff(np.flatnonzero(scored(test)[:12])) == 1).all()
    assert json.loads(pairs[0][0].attrs["split"])["by"] == "block"


def test_a_seed_deals_folds_at_random_and_repeatably():
    data = study([[40]] * 10)
    deals = [
        [scored(test).tolist() for _, test in hr.split(data, folds=4, random_seed=seed)] for seed in (1, 1, 2)
    ]
    assert deals[0] == deals[1]
    assert deals[0] != deals[2]
    in_order = [scored(test).tolist() for _, test in hr.split(data, folds=4)]
    assert in_order == [scored(test).tolist() for _, test in hr.split(data, folds=4)]
    assert in_order != deals[0]


def test_a_split_can_be_split_again():
    train, _ = hr.split(study([[16]]), last=0.25)
    inner, validation = hr.split(train, last=0.25)
    assert (scored(inner).sum(), scored(validation).sum()) == (9, 3)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({}, "exactly one of last=, sessions= and folds=; found none"),
        ({"last": 0.2, "folds": 3}, "exactly one of .*found last, folds"),
        ({"last": 0}, "fraction .* between 0 and 1; found 0"),
        ({"last": 25}, "fraction .* between 0 and 1; found 25"),
        ({"last": "0.25"}, "fraction"),
        ({"last": float("nan")}, "fraction"),
        ({"last": 0.001}, "holds out nothing"),
        ({"sessions": ["nope"]}, "no session is called 'nope'.*sessions are 0, 1"),
        ({"sessions": []}, "the list is empty"),
        ({"sessions": 0}, "at least 1; found 0"),
        ({"sessions": [0, 1]}, "holds out nothing"),
        ({"folds": 1}, "at least 2; found 1"),
        ({"folds": 2.0}, "whole number of folds"),
        ({"folds": 99}, "no subject has that many scored trials .at most 10"),
        ({"last": 0.25, "random_seed": 1}, "nothing to chance"),
    ],
)
def test_a_wrong_split_is_refused_in_a_sentence(how, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        hr.split(study([[5, 5], [4, 3]]), **how)


def test_split_takes_behaviour_only():
    with pytest.raises(TypeError, match="hr.behaviour"):
        hr.split(cast(xr.Dataset, pd.DataFrame({"choice": [1]})), last=0.25)


def test_real_sessions_can_be_held_out(shared_data):
    data = hr.behaviour(shared_data("bari_mice_2arm"))
    train, test = hr.split(data, sessions=2)
    held = pd.Series(data["trial_session"].values[scored(test)]).groupby(
        data["trial_subject"].values[scored(test)]
    )
    assert (held.nunique().to_numpy() == 2).sum() >= 14  # but for mice with two sessions, which stay in train
    assert scored(train).sum() + scored(test).sum() == 189_199
