"""Whatever the table is: it gives behaviour as it should be, or is refused in a sentence of ours."""

import traceback
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hierrl as hr
from hierrl.data import check_behaviour

CELL = st.one_of(
    st.sampled_from(
        [None, 10**40, 1j, (1,), pd.Timestamp(0), b"a", pd.NA, -1, 99, "", " ", "1,5", "x", -0.0]
    ),
    st.lists(st.integers(), max_size=1),
    st.integers(-2, 4),
    st.floats(),
    st.text(max_size=3),
)
TAME = st.sampled_from([0, 1, 2, "a", "b", None, 1.0, np.nan, True])
NAMES = st.sampled_from(
    "subject id choice response reward outcome trial session block gain loss forced context age "
    "forgone forgone[0] forgone[1] available[0] available[1]".split()
) | st.sampled_from(["", 0, None])
ARGUMENTS = st.lists(
    st.tuples(st.sampled_from(["choice", "reward", "trial", "loss", "covariates"]), NAMES), max_size=2
).map(dict)


def check(table: pd.DataFrame | Path, arguments: dict) -> None:
    """Read a table; be content with behaviour that has all its rows, or with a sentence."""
    try:
        data = hr.behaviour(table, **arguments)
    except (ValueError, TypeError) as error:
        data, refusal = None, error
    if data is None:
        source = Path(traceback.extract_tb(refusal.__traceback__)[-1].filename)
        assert source.is_relative_to(Path(hr.__file__).parent)  # not somebody else's
        assert str(refusal)[-1] in ".?)"
        return
    check_behaviour(data)
    if isinstance(table, pd.DataFrame):
        assert data.sizes["trial"] == len(table)
        assert hr.behaviour(hr.to_table(data)).equals(data)


@given(
    st.lists(st.tuples(NAMES, st.one_of(st.lists(CELL, max_size=6), st.lists(TAME, max_size=6)))),
    st.integers(0, 6),
    ARGUMENTS,
)
@settings(max_examples=150, deadline=None)
def test_any_columns(columns, n, arguments):
    series = [
        pd.Series((cells * 6)[:n] if cells else [None] * n, dtype=object).infer_objects()
        for _, cells in columns
    ]
    table = pd.concat(series, axis=1) if series else pd.DataFrame()
    table.columns = pd.Index([name for name, _ in columns], dtype=object)
    check(table, arguments)


def sound() -> pd.DataFrame:
    """Two subjects with two sessions of three trials, and every optional column."""
    n = 12
    return pd.DataFrame(
        {
            "subject": ["a"] * 6 + ["b"] * 6,
            "session": [1, 1, 1, 2, 2, 2] * 2,
            "trial": [1, 2, 3] * 4,
            "choice": [0, 1, 1, 0, 1, 0] * 2,
            "reward": [5, -5, 0, 5, -5, 0] * 2,
            "gain": [5, 0, 0] * 4,
            "loss": [0, -5, 0] * 4,
            "forgone[0]": np.arange(n),
            "forgone[1]": 1.5,
            "available[0]": True,
            "available[1]": True,
            "context": ["x", "y"] * 6,
            "forced": [True] + [False] * 11,
            "age": [30] * 6 + [40] * 6,
        }
    )


@st.composite
def spoilt_tables(draw) -> pd.DataFrame:
    table = sound()
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(list(table.columns))) if len(table.columns) else None
        column = table[name] if name is not None and table.columns.is_unique else None
        match draw(
            st.sampled_from("cell column text category drop rename double rows shuffle index".split())
        ):
            case "cell" if column is not None and len(table):
                values = column.astype(object).tolist()
                values[draw(st.integers(0, len(values) - 1))] = draw(CELL)
                table[name] = pd.Series(values, index=table.index, dtype=object)
            case "column" if column is not None:
                table[name] = pd.Series([draw(CELL)] * len(table), index=table.index, dtype=object)
            case "text" if column is not None:
                table[name] = column.astype(str)
            case "category" if column is not None and not any(isinstance(v, list) for v in column):
                table[name] = column.astype("category")
            case "drop" if column is not None:
                table = table.drop(columns=name)
            case "rename":
                table = table.rename(columns={name: draw(NAMES)})
            case "double" if column is not None:
                table = pd.concat([table, column], axis=1)
            case "rows":
                table = table.iloc[
                    draw(st.lists(st.integers(0, len(table) - 1), max_size=15)) if len(table) else []
                ]
            case "shuffle":
                table = table.sample(frac=1, random_state=draw(st.integers(0, 9)))
            case "index":
                table = table.set_axis([0] * len(table))
    return table


@given(spoilt_tables(), ARGUMENTS | st.just({"covariates": ["age"]}) | st.just({}))
@settings(max_examples=200, deadline=None)
def test_spoilt_tables(table, arguments):
    check(table, arguments)


@given(
    st.lists(
        st.tuples(st.integers(0, 10**6), st.binary(max_size=4), st.integers(0, 9)), min_size=1, max_size=4
    )
)
@settings(max_examples=150, deadline=None)
def test_spoilt_files(tmp_path_factory, spots):
    content = sound().drop(columns=["forgone[0]", "forgone[1]"]).to_csv(index=False).encode()
    for place, new, length in spots:
        place %= len(content) + 1
        content = content[:place] + new + content[place + length :]
    path = tmp_path_factory.mktemp("spoilt") / "table.csv"
    path.write_bytes(content)
    check(path, {"covariates": "age"})


@pytest.mark.parametrize("dtype", [object, "uint64"])
def test_whole_numbers_beyond_64_bits_keep_their_size(dtype):
    large = 2**63 + 2**20 if dtype == "uint64" else 10**40
    table = sound().assign(age=pd.Series([large] * 6 + [40] * 6, dtype=dtype))
    age = hr.behaviour(table, covariates="age")["age"]
    assert age.values.tolist() == [float(large), 40.0]


def test_whole_numbers_beyond_floats_are_called_infinite():
    table = sound().assign(age=pd.Series([10**400] * 6 + [40] * 6, dtype=object))
    with pytest.raises(ValueError, match="'age' is infinite at subject 'a'"):
        hr.behaviour(table, covariates="age")


def test_a_line_that_never_ends_is_refused_at_once(tmp_path):
    (tmp_path / "t.csv").write_text("subject," * 50_000)
    with pytest.raises(ValueError, match="has 50,001 fields"):
        hr.behaviour(tmp_path / "t.csv")


def test_long_labels_are_shortened_where_they_are_mixed_with_numbers():
    table = sound()[["subject", "session", "trial", "reward"]].assign(choice=["x" * 5000, *[0, 1] * 5, 0])
    with pytest.raises(ValueError, match="mixes labels and numbers") as refused:
        hr.behaviour(table)
    assert len(str(refused.value)) < 500


def test_rewards_near_the_largest_number_are_told_without_overflow():
    from hierrl.summary import summarise

    data = hr.behaviour(
        sound().assign(reward=1e308).drop(columns=["gain", "loss", "forgone[0]", "forgone[1]"])
    )
    assert ("Reward", "1e+308 to 1e+308, mean 1e+308") in summarise(data).lines
