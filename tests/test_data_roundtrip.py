"""Behaviour survives the way to a table, to csv, parquet and NetCDF, and back."""

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import hierrl as hr
from hierrl.data import check_behaviour

ARMS = st.sampled_from(
    [
        [0, 1],
        [1, 2, 3],
        ["left", "right"],
        ["b", "a", "ü c"],
        [3, 7],
        [-1, 1],
        ["False", "True"],
        list("abcdefgh"),
    ]
)
LABELS = st.sampled_from(
    [list(range(9)), ["s10", "s2", "s1", "ä", "e e", "f", "g", "h", "i"], [5, 3, 9, 1, 0, 2, 4, 6, 8]]
)
REWARDS = st.one_of(
    st.sampled_from([0.0, 1.0]), st.floats(-1e6, 1e6, allow_subnormal=False), st.just(np.nan), st.just(-2.5)
)


@st.composite
def tables(draw) -> tuple[pd.DataFrame, dict]:
    """A table in canonical columns with every optional column now and then, and the arguments to read it."""
    lengths = draw(st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=3), min_size=1, max_size=4))
    subjects, sessions, arms = draw(LABELS), draw(LABELS), draw(ARMS)
    rows = [
        (subjects[s], sessions[k], t)
        for s, own in enumerate(lengths)
        for k, length in enumerate(own)
        for t in range(length)
    ]
    table = pd.DataFrame(rows, columns=["subject", "session", "trial"])
    n = len(table)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    index = rng.integers(0 if draw(st.booleans()) else -1, len(arms), n)
    index[0] = 0  # some choice is made
    table["choice"] = pd.Categorical.from_codes(np.maximum(index, -1), categories=arms)
    table["reward"] = draw(st.lists(REWARDS, min_size=n, max_size=n))
    table.attrs["hierrl"] = {"arms": arms}  # -1 and 1 may be arms
    options = draw(
        st.sets(st.sampled_from(["money", "forgone", "available", "context", "forced", "covariates"]))
    )
    if "money" in options:
        table = table.assign(gain=rng.integers(0, 9, n), loss=-rng.integers(0, 9, n))
    if "forgone" in options:
        table = table.assign(**{f"forgone[{arm}]": rng.normal(size=n) for arm in arms})
    if "available" in options:
        shown = rng.random((n, len(arms))) < 0.7
        shown[np.arange(n), np.maximum(index, 0)] = True
        table = table.assign(**{f"available[{arm}]": shown[:, i] for i, arm in enumerate(arms)})
    if "context" in options:
        table["context"] = rng.choice(["x", "y"], n) if draw(st.booleans()) else rng.integers(0, 3, n)
    if "forced" in options:
        table["forced"] = rng.random(n) < 0.3
    return (
        (_with_covariates(table, rng), {"covariates": COVARIATES}) if "covariates" in options else (table, {})
    )


COVARIATES = ["group", "age", "flag", "drug", "side", "rt", "level"]


def _with_covariates(table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    subject = pd.factorize(table["subject"])[0]
    pair = table.groupby(["subject", "session"], sort=False).ngroup()
    n = len(table)
    return table.assign(
        group=np.array(["young", None, "old"], dtype=object)[subject % 3],
        age=subject * 1.5 + 20,
        flag=subject % 2 == 0,
        drug=pair,
        side=rng.choice(["l", "r"], n),
        rt=np.where(rng.random(n) < 0.2, np.nan, rng.random(n)),
        level=pd.Categorical(rng.choice(["hi", "lo"], n), categories=["lo", "hi"]),
    )


def assert_same(one: xr.Dataset, other: xr.Dataset) -> None:
    xr.testing.assert_equal(one, other)
    assert {name: one[name].dtype.kind for name in one.variables} == {
        name: other[name].dtype.kind for name in other.variables
    }
    assert {name: one[name].attrs for name in one.data_vars} == {
        name: other[name].attrs for name in other.data_vars
    }


@given(tables())
@settings(max_examples=80, deadline=None)
def test_a_table_of_behaviour_gives_the_same_behaviour(case):
    table, arguments = case
    data = hr.behaviour(table, **arguments)
    check_behaviour(data)
    assert data.sizes["trial"] == len(table)
    assert_same(hr.behaviour(hr.to_table(data)), data)


@given(tables(), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_order_of_rows_within_subjects_does_not_matter(case, random):
    table, arguments = case
    data = hr.behaviour(table, **arguments)
    order = list(range(len(table)))
    random.shuffle(order)
    first = dict.fromkeys(table["subject"])
    sessions = dict.fromkeys(zip(table["subject"], table["session"], strict=True))
    shuffled = table.iloc[order]
    # Subjects and sessions keep the order in which they appear: put the first row of each in front.
    heads = pd.concat([table[(table["subject"] == a) & (table["session"] == b)].head(1) for a, b in sessions])
    assert list(first) == list(dict.fromkeys(heads["subject"]))
    rest = shuffled.drop(index=heads.index)
    assert_same(hr.behaviour(pd.concat([heads, rest]), **arguments), data)


@given(tables())
@settings(max_examples=15, deadline=None)
def test_behaviour_survives_netcdf(tmp_path_factory, case):
    table, arguments = case
    data = hr.behaviour(table, **arguments)
    path = tmp_path_factory.mktemp("netcdf") / "data.nc"
    data.to_netcdf(path, engine="h5netcdf")
    with xr.open_dataset(path, engine="h5netcdf") as stored:
        back = stored.load()
    assert_same(back, data)
    assert json.loads(back.attrs["columns"]) == json.loads(data.attrs["columns"])
    assert back.attrs["n_missed"] == data.attrs["n_missed"]
    check_behaviour(back)
    assert_same(hr.behaviour(hr.to_table(back)), data)


@given(tables())
@settings(max_examples=15, deadline=None)
def test_behaviour_survives_parquet(tmp_path_factory, case):
    table, arguments = case
    data = hr.behaviour(table, **arguments)
    path = tmp_path_factory.mktemp("parquet") / "data.parquet"
    hr.to_table(data).to_parquet(path)
    assert_same(hr.behaviour(path), data)


def test_behaviour_survives_csv_if_covariates_and_arms_are_named(tmp_path):
    table = pd.DataFrame(
        {
            "subject": ["007"] * 3 + ["7"] * 3,
            "choice": ["left", None, "right"] * 2,
            "reward": [0.1, None, None, 1 / 3, None, -2],
            "forced": [True, False, False] * 2,
            "group": ["a"] * 3 + [None] * 3,
        }
    )
    arms = ["left", "right", "never"]
    data = hr.behaviour(table, covariates="group", arms=arms)
    hr.to_table(data).to_csv(tmp_path / "t.csv", index=False)
    assert_same(hr.behaviour(tmp_path / "t.csv", covariates="group", arms=arms), data)


def test_a_held_out_part_survives_as_forced_choices():
    data = hr.behaviour(pd.DataFrame({"subject": 1, "choice": [0, 1, -1, 1], "reward": 1.0}))
    for part in hr.split(data, last=0.4):
        assert_same(hr.behaviour(hr.to_table(part)), part)


def test_covariates_of_a_table_of_behaviour_can_be_chosen_anew():
    table = pd.DataFrame({"subject": 1, "choice": [0, 1], "reward": 1.0, "age": 30, "iq": 100})
    back = hr.to_table(hr.behaviour(table, covariates=["age", "iq"]))
    assert "iq" not in hr.behaviour(back, covariates="age")
    assert "age" not in hr.behaviour(back, covariates=[])
    assert "iq" in hr.behaviour(back.drop(columns="age"))


@pytest.mark.parametrize("name", ["ahn_igt_3groups", "fitzgerald_reversal"])
def test_real_data_survive_every_way(shared_data, tmp_path, name):
    covariates = {
        "ahn_igt_3groups": ["group"],
        "fitzgerald_reversal": ["age_group", "sex", "twoback", "best"],
    }
    data = hr.behaviour(shared_data(name), covariates=covariates[name])
    assert_same(hr.behaviour(hr.to_table(data)), data)
    data.to_netcdf(tmp_path / "data.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "data.nc", engine="h5netcdf") as stored:
        assert_same(stored.load(), data)
