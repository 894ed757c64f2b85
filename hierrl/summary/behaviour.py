"""A study in numbers, and what is odd in it, before anything is fitted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

MANY_MISSED = 0.2
"""Share of missed trials above which a subject is named."""
LONG_RUN = 10
"""Missed trials in a row from which on a subject is named: it looks like a break, not like a lapse."""
FEW_TRIALS = 20
"""Scored trials below which estimates of one subject say little."""
TOLD = "missed: kept, not scored"
"""A note of `behaviour` that the line on trials tells already."""
FIRST_FEW = 4
"""So many names or levels are shown; more are counted."""


@dataclass(frozen=True)
class StudySummary:
    """What a reader wants to know of a study before its fit; every line is a pair of a heading and a text."""

    columns: dict[str, Any]
    """Role -> column, as it was understood."""
    lines: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    """Sentences on how the table was understood."""
    oddities: tuple[str, ...]
    """Sentences on subjects whose data are unlike the others'."""


def summarise(data: xr.Dataset) -> StudySummary:
    """Sum up behaviour.

    Parameters
    ----------
    data : Dataset
        From `behaviour`.

    Returns
    -------
    StudySummary
    """
    rows = _by_trial(data)
    lines = (
        ("Subjects", _subjects(rows)),
        ("Trials", _trials(rows)),
        ("Arms", _arms(data)),
        *((role.capitalize(), _outcome(data[role])) for role in ("reward", "gain", "loss") if role in data),
        *((name, _covariate(data[name])) for name in _covariates(data)),
    )
    notes = tuple(note for note in json.loads(data.attrs.get("notes", "[]")) if TOLD not in note)
    columns = json.loads(data.attrs.get("columns", "{}"))
    return StudySummary(columns, lines, notes, tuple(_oddities(rows)))


def counts(data: xr.Dataset) -> pd.DataFrame:
    """Trials, missed choices and scored choices of each subject (index: its label)."""
    rows = _by_trial(data)
    grouped = rows.groupby("subject", sort=False)
    return pd.DataFrame(
        {"trials": grouped.size(), "missed": grouped["missed"].sum(), "scored": grouped["scored"].sum()}
    )


def _by_trial(data: xr.Dataset) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "subject": data["trial_subject"].values,
            "session": data["trial_session"].values,
            "choice": data["choice"].values,
            "missed": data["choice"].values < 0,
            "scored": data["scored"].values,
        }
    )


def _subjects(rows: pd.DataFrame) -> str:
    each = rows.groupby("subject", sort=False).size()
    sessions = rows.drop_duplicates(["subject", "session"]).groupby("subject", sort=False).size()
    in_sessions = "" if sessions.max() == 1 else f" in {_range(sessions, 'session')}"
    return f"{len(each):,}, with {_range(each, 'trial')}{in_sessions} each"


def _range(values: pd.Series, noun: str) -> str:
    low, high = int(values.min()), int(values.max())
    plural = "" if high == 1 else "s"
    return f"{low:,} {noun}{plural}" if low == high else f"{low:,} to {high:,} {noun}{plural}"


def _trials(rows: pd.DataFrame) -> str:
    missed = int(rows["missed"].sum())
    unscored = int((~rows["missed"] & ~rows["scored"]).sum())
    parts = [f"{len(rows):,}"]
    parts += [f"{missed:,} missed ({missed / len(rows):.1%}; kept, not scored)"] if missed else []
    parts += [f"{unscored:,} not scored"] if unscored else []
    return ", ".join(parts)


def _arms(data: xr.Dataset) -> str:
    choice = data["choice"].values
    share = np.bincount(choice[choice >= 0], minlength=data.sizes["arm"]) / max((choice >= 0).sum(), 1)
    shown = [f"{arm} ({part:.0%} of choices)" for arm, part in zip(data["arm"].values, share, strict=True)]
    return f"{len(shown)}: {_first(shown, 6)}"


def _outcome(values: xr.DataArray) -> str:
    known = values.values[np.isfinite(values.values)]
    if known.size == 0:
        return "never known"
    if set(np.unique(known)) <= {0.0, 1.0}:
        return f"0 or 1, {known.mean():.0%} are 1"
    return f"{known.min():g} to {known.max():g}, mean {known.mean():.3g}"


def _covariates(data: xr.Dataset) -> list[str]:
    """Names of the covariates of the subjects."""
    return [str(name) for name in data.data_vars if data[name].dims == ("subject",)]


def _covariate(values: xr.DataArray) -> str:
    if values.dtype.kind in "fi":
        known = values.values[np.isfinite(values.values.astype(float))]
        return f"{known.min():g} to {known.max():g}, mean {known.mean():.3g}"
    levels, n = np.unique(values.values.astype(str), return_counts=True)
    return _first([f"{level or 'missing'} ({count:,})" for level, count in zip(levels, n, strict=True)], 8)


def _oddities(rows: pd.DataFrame) -> list[str]:
    grouped = rows.groupby("subject", sort=False)
    made = rows[~rows["missed"]].groupby("subject", sort=False)["choice"]
    scored, missed = grouped["scored"].sum(), grouped["missed"].mean()
    runs = pd.Series({label: _longest_run(part["missed"].to_numpy()) for label, part in grouped})
    found = (
        (made.nunique().eq(1), "chose the same arm on every trial"),
        (missed.gt(MANY_MISSED), f"missed more than {MANY_MISSED:.0%} of the trials"),
        (runs.ge(LONG_RUN) & missed.le(MANY_MISSED), f"missed {LONG_RUN} or more trials in a row"),
        (scored.lt(FEW_TRIALS), f"made fewer than {FEW_TRIALS} choices that are scored"),
    )
    return [_sentence(flags.index[flags].tolist(), what) for flags, what in found if flags.any()]


def _longest_run(missed: npt.NDArray[np.bool_]) -> int:
    ends = np.flatnonzero(np.diff(np.concatenate([[False], missed, [False]]).astype(int)))
    return int((ends[1::2] - ends[::2]).max(initial=0))


def _sentence(labels: list[Any], what: str) -> str:
    noun = "subject" if len(labels) == 1 else "subjects"
    return f"{len(labels)} {noun} {what}: {_first([str(label) for label in labels], FIRST_FEW)}."


def _first(texts: list[str], n: int) -> str:
    return ", ".join(texts[:n]) + (f" and {len(texts) - n:,} more" if len(texts) > n else "")
