"""Hundreds of broken tables on the command line: read as they stand, or refused in a sentence for its users."""

from __future__ import annotations

import gzip
import io
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.command_line import run, said

LONGEST = 1200
"""Characters of a message that somebody still reads."""
PATIENCE = 60
"""Seconds after which a command hangs; a reading takes some hundredths of one."""
PYTHON = re.compile(
    r"Traceback|pandas\.|numpy|\bhr\.|table\.\w|table\[|\barray\(|dtype|NoneType|<class|"
    r"\b(subject|choice|reward|session|trial|gain|loss|forced|arms|covariates)=(?!=)|(Value|Type|Key|Index)Error"
)
"""What nobody should see who has never written Python."""


def sound() -> pd.DataFrame:
    """Three subjects with two sessions of eight trials."""
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "subject": np.repeat(["ann", "bob", "eve"], 16),
            "session": np.tile(np.repeat([1, 2], 8), 3),
            "trial": np.tile(np.arange(1, 9), 6),
            "choice": rng.integers(0, 2, 48),
            "reward": rng.integers(0, 2, 48),
            "age": np.repeat([20, 30, 40], 16),
        }
    )


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """Fail if the block takes longer."""

    def too_long(*_: object) -> None:
        raise AssertionError(f"no answer within {seconds} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def judge(path: Path, *options: object, rows: int | None = None) -> str:
    """Check the answer to a table; give the sentence by which it was refused, empty if it was read."""
    with within(PATIENCE):
        result = run("fit", path, "--dry-run", "--model", "rw", *options)
    if result.exit_code == 0:
        assert "All is well" in said(result.output)
        if rows is not None:  # none is dropped
            found = re.search(r"Trials\s+([\d,]+)", result.output)
            assert found is not None and int(found[1].replace(",", "")) == rows, result.output
        return ""
    sentence = said(result.stderr)
    assert result.exit_code == 2, f"{sentence}\n{result.exception!r}"
    assert sentence.startswith("Error: ")
    assert sentence[-1] in ".?)", sentence
    assert not PYTHON.search(sentence), sentence
    assert len(sentence) < LONGEST, sentence
    return sentence


VALUES = [
    "", " ", "NA", "nan", "None", "null", "-1", "-7", "99", "1e400", "inf", "-inf", "1e308", "0.5", "1,5", "1_0",
    "0x1A", "True", "yes", "x", "x" * 5000, "é", "日本", "\u200b", "'; drop table", '"', "[1, 2]", "2024-01-01",
    "12:30", "1+2j", "9" * 40, "007", "#N/A", "=A1", "\x00",
]  # fmt: skip
COLUMNS = ("subject", "session", "trial", "choice", "reward", "age")


@pytest.mark.parametrize("column", COLUMNS)
def test_any_value_in_one_cell_and_in_a_whole_column(tmp_path, column):
    answers = {}
    for k, value in enumerate(VALUES):
        for rows in (slice(17, 18), slice(None)):
            table = sound().astype(object)
            table.iloc[rows, table.columns.get_loc(column)] = value
            path = tmp_path / f"{k}.csv"
            table.to_csv(path, index=False)
            answers[value, rows.stop] = judge(path, "--covariate", "age", rows=48)
    refused = [key for key, answer in answers.items() if answer]
    assert 0 < len(refused) < len(answers) or column == "age"


def of_types() -> dict[str, Callable[[pd.Series], object]]:
    n = 48
    return {
        "moments": lambda s: pd.date_range("2024", periods=n),
        "durations": lambda s: pd.to_timedelta(np.arange(n), unit="s"),
        "complex": lambda s: [str(complex(1, k)) for k in range(n)],
        "categories": lambda s: s.astype("category"),
        "flags": lambda s: np.arange(n) % 2 == 0,
        "nullable": lambda s: pd.array([None, *range(n - 1)], dtype="Int64"),
        "floats": lambda s: np.linspace(0, 1, n),
        "large": lambda s: np.arange(n) + 2.0**60,
        "tiny": lambda s: np.full(n, 5e-324),
        "lists": lambda s: [[1, 2]] * n,
        "bytes": lambda s: [b"a"] * n,
        "mixed": lambda s: [str(k) if k % 2 else f"arm {k % 3}" for k in range(n)],
        "nothing": lambda s: [None] * n,
        "constant": lambda s: [1] * n,
        "unique": lambda s: [f"u{k}" for k in range(n)],
    }


@pytest.mark.parametrize("column", COLUMNS)
def test_any_type_of_column_in_parquet(tmp_path, column):
    for name, make in of_types().items():
        table = sound()
        table[column] = make(table[column])
        path = tmp_path / f"{name}.parquet"
        table.to_parquet(path)
        judge(path, "--covariate", "age", rows=48)


def csv(table: pd.DataFrame, **how) -> bytes:
    return table.to_csv(index=False, **how).encode()


def ragged() -> bytes:
    lines = csv(sound()).splitlines()
    return b"\n".join([*lines[:9], lines[9] + b",1,2", *lines[10:]])


def trailing() -> bytes:
    lines = csv(sound()).splitlines()
    return b"\n".join([lines[0], *(line + b"," for line in lines[1:])])


def short() -> bytes:
    lines = csv(sound()).splitlines()
    return b"\n".join([*lines[:9], lines[9].rsplit(b",", 3)[0], *lines[10:]])


def parquet() -> bytes:
    stream = io.BytesIO()
    sound().to_parquet(stream)
    return stream.getvalue()


FILES: dict[str, tuple[str, Callable[[], bytes], str | None]] = {
    # name: file, content, what the refusal says (None = it is read, all rows of it)
    "utf-16": ("t.csv", lambda: csv(sound()).decode().encode("utf-16"), None),
    "byte order mark": ("t.csv", lambda: b"\xef\xbb\xbf" + csv(sound()), None),
    "windows-1252": ("t.csv", lambda: csv(sound().replace("bob", "Zoë")).decode().encode("cp1252"), None),
    "semicolons and commas": ("t.csv", lambda: csv(sound().assign(reward=0.5), sep=";", decimal=","), None),
    "bars": ("t.txt", lambda: csv(sound(), sep="|"), None),
    "spaces": ("t.dat", lambda: csv(sound(), sep=" "), None),
    "tabs called csv": ("t.csv", lambda: csv(sound(), sep="\t"), None),
    "windows lines": ("t.csv", lambda: csv(sound()).replace(b"\n", b"\r\n"), None),
    "blank lines before": ("t.csv", lambda: b"\n\n" + csv(sound()), None),
    "packed without saying so": ("t.csv", lambda: gzip.compress(csv(sound())), None),
    "header in capitals": ("t.csv", lambda: csv(sound().rename(columns=str.upper)), None),
    "header with blanks": ("t.csv", lambda: csv(sound().rename(columns=lambda c: f"  {c} ")), None),
    "row names of R": ("t.csv", lambda: sound().to_csv().encode(), None),
    "cut gzip": ("t.csv.gz", lambda: gzip.compress(csv(sound()))[:-20], "can't be unpacked"),
    "cut parquet": ("t.parquet", lambda: parquet()[:-30], "can't be read as parquet"),
    "csv called parquet": ("t.parquet", lambda: csv(sound()), "can't be read as parquet"),
    "parquet called csv": ("t.csv", parquet, "not text"),
    "zip": ("t.csv", lambda: b"PK\x03\x04" + bytes(100), "Excel"),
    "noise": ("t.csv", lambda: np.random.default_rng(0).bytes(3000), ""),
    "web page": ("t.csv", lambda: b"<!DOCTYPE html><html><body>Sign in</body></html>", ""),
    "nothing": ("t.csv", lambda: b"", "is empty"),
    "blanks": ("t.csv", lambda: b" \n\n  ", "is empty"),
    "header alone": ("t.csv", lambda: csv(sound().iloc[:0]), "has no rows"),
    "no header": ("t.csv", lambda: csv(sound(), header=False), "no header"),
    "two headers": ("t.csv", lambda: csv(sound()) + csv(sound()), ""),
    "one column": ("t.csv", lambda: csv(sound()[["choice"]]), "No column for the subject"),
    "column twice": ("t.csv", lambda: csv(pd.concat([sound(), sound()[["choice"]]], axis=1)), "choice"),
    "ragged": ("t.csv", ragged, "can't be read as a table"),
    "short line": ("t.csv", short, ""),
    "trailing commas": ("t.csv", trailing, "more fields than its header"),
    "open quote": ("t.csv", lambda: csv(sound()).replace(b"bob", b'"bob', 1), ""),
    "unknown kind": ("t.xlsx", lambda: b"x", "of no known kind"),
    "line without end": ("t.csv", lambda: b"subject," * 50_000, "Write one row per trial"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_any_file(tmp_path, name):
    file, content, refusal = FILES[name]
    (tmp_path / file).write_bytes(content())
    answer = judge(tmp_path / file, rows=48 if refusal is None else None)
    assert (answer == "") == (refusal is None) if refusal != "" else True, answer
    assert refusal is None or refusal in answer


def test_a_file_with_holes_punched_into_it(tmp_path):
    rng = np.random.default_rng(2)
    content = csv(sound())
    for k in range(120):
        spoilt = bytearray(content)
        for _ in range(int(rng.integers(1, 4))):
            at, length = int(rng.integers(len(spoilt))), int(rng.integers(0, 8))
            spoilt[at : at + length] = rng.bytes(int(rng.integers(0, 5)))
        path = tmp_path / f"{k}.csv"
        path.write_bytes(bytes(spoilt))
        judge(path)


def without(column: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda table: table.drop(columns=column)


SHAPES: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str | None]] = {
    "shuffled": (lambda t: t.sample(frac=1, random_state=0), None),
    "upside down": (lambda t: t.iloc[::-1], None),
    "every row twice": (lambda t: pd.concat([t, t]), "twice"),
    "one row twice": (lambda t: pd.concat([t, t.iloc[[5]]]), "twice"),
    "gap in trials": (lambda t: t.drop(index=[3, 4]), None),
    "gap in sessions": (lambda t: t.replace({"session": {2: 9}}), None),
    "subject in two places": (lambda t: pd.concat([t.iloc[:8], t.iloc[16:], t.iloc[8:16]]), None),
    "one subject": (lambda t: t.iloc[:16], None),
    "one trial each": (lambda t: t[(t["trial"] == 1) & (t["session"] == 1)].assign(choice=[0, 1, 0]), None),
    "one row": (lambda t: t.iloc[:1], "Only one arm"),
    "one arm": (lambda t: t.assign(choice=1), "Only one arm"),
    "nobody chooses": (lambda t: t.assign(choice=-1), "choice"),
    "no reward known": (lambda t: t.assign(reward=np.nan), ""),
    "no reward ever": (lambda t: t.assign(reward=0), None),
    "choices with a gap": (lambda t: t.assign(choice=t["choice"] * 7), "--arms"),
    "thousands of arms": (lambda t: many_arms(), ""),
    "rewards in scientific notation": (lambda t: t.assign(reward=t["reward"] * 1e300), None),
    "negative trial numbers": (lambda t: t.assign(trial=-t["trial"]), None),
    "trials with halves": (lambda t: t.assign(trial=t["trial"] / 2), ""),
    "trials that start again": (lambda t: t.assign(session=1), ""),
    "without subjects": (without("subject"), "--subject none"),
    "without choices": (without("choice"), "--choice COLUMN"),
    "without rewards": (without("reward"), "--reward COLUMN"),
    "without trials": (without("trial"), None),
    "without sessions": (lambda t: t.drop(columns="session"), ""),
    "two columns for choices": (lambda t: t.rename(columns={"choice": "key_choice"}).assign(response=0, action=1), ""),
    "no columns": (lambda t: t[[]], ""),
    "covariate that changes": (lambda t: t.assign(age=np.arange(48)), None),
    "covariate with holes": (lambda t: t.assign(age=np.where(t["trial"] == 1, 20, np.nan)), None),
}  # fmt: skip


def many_arms() -> pd.DataFrame:
    n = 3000
    return pd.DataFrame({"subject": 1, "trial": np.arange(n), "choice": np.arange(n) * 3, "reward": 1})


@pytest.mark.parametrize("name", SHAPES)
def test_any_shape(tmp_path, name):
    change, refusal = SHAPES[name]
    table = change(sound())
    table.to_csv(tmp_path / "t.csv", index=False)
    answer = judge(tmp_path / "t.csv", rows=len(table) if refusal is None else None)
    assert (answer == "") == (refusal is None) if refusal != "" else True, answer
    assert refusal is None or refusal in answer


OPTIONS = {
    "column that isn't there": (["--reward", "payof"], "There is no column 'payof'"),
    "column given twice": (["--reward", "age", "--gain", "age"], "Each needs its own"),
    "column of choices as reward": (["--reward", "choice"], "is used already: --reward choice"),
    "no choices": (["--choice", "none"], "--choice"),
    "arms that don't fit": (["--arms", "1,5"], "arm"),
    "too few arms": (["--arms", "0"], "at least two arms"),
    "arms twice": (["--arms", "0,0,1"], "two different arms"),
    "no arms": (["--arms", ","], "is empty"),
    "context that isn't there": (["--context", "cue"], "There is no column 'cue'"),
    "covariate of another meaning": (["--covariate", "trial"], "trial"),
    "column of the model": (["--model", "rw+regressor=side"], "There is no column 'side'"),
    "regressor that is text": (["--model", "rw+regressor=subject"], "subject"),
    "model without its data": (["--model", "gain_loss"], "gain"),
    "model without counterfactuals": (["--model", "counterfactual"], "forgone"),
    "formula of an age": (["--formula", "alpha ~ age"], None),
    "formula of everything": (["--formula", "age"], None),
    "formula with nothing": (["--formula", ""], "incomplete"),
    "formula of code": (["--formula", "alpha ~ __import__('os')"], "can't be read|There is no column"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_any_options(tmp_path, name):
    options, refusal = OPTIONS[name]
    sound().to_csv(tmp_path / "t.csv", index=False)
    models = [] if "--model" in options else ["--model", "rw"]
    with within(PATIENCE):
        result = run("fit", tmp_path / "t.csv", "--dry-run", *models, *options)
    assert result.exit_code == (0 if refusal is None else 2), result.output
    if refusal is not None:
        sentence = said(result.stderr)
        assert any(part in sentence for part in refusal.split("|")), sentence
        assert not PYTHON.search(sentence), sentence


HARD = (
    "one subject", "one trial each", "no reward known", "no reward ever", "rewards in scientific notation",
    "gap in sessions", "negative trial numbers",
)  # fmt: skip


@pytest.mark.parametrize("name", HARD)
def test_what_is_read_is_fitted_too(tmp_path, name):
    SHAPES[name][0](sound()).to_csv(tmp_path / "t.csv", index=False)
    methods = ["--method", "convex", "--method", "mle"]
    with within(PATIENCE):
        result = run("fit", tmp_path / "t.csv", "--model", "rw", *methods, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    table = pd.read_csv(tmp_path / "out" / "subjects.csv")
    assert np.isfinite(table[["alpha_mle", "beta_mle", "loglik_mle"]]).all(axis=None)
