"""A study in numbers, and what is odd in it, before anything is fitted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.data.validity import subject_index
from hierrl.simulate.run import TRUE

IntArray = npt.NDArray[np.int64]

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
    others: dict[str, list[str]]
    """Columns that nothing was read from -> their groups, if they divide the subjects into groups."""
    lines: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    """Sentences on how the table was understood."""
    oddities: tuple[str, ...]
    """Sentences on subjects whose data are unlike the others'."""


@dataclass(frozen=True)
class Counts:
    """Numbers of each of the S subjects."""

    trials: IntArray
    missed: IntArray
    scored: IntArray
    sessions: IntArray


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
    each = counts(data)
    lines = (
        ("Subjects", _subjects(each)),
        ("Trials", _trials(each)),
        ("Arms", _arms(data)),
        *((role.capitalize(), _outcome(data[role])) for role in ("reward", "gain", "loss") if role in data),
        *((name, _covariate(data[name])) for name in _covariates(data)),
    )
    notes = tuple(note for note in json.loads(data.attrs.get("notes", "[]")) if TOLD not in note)
    columns = json.loads(data.attrs.get("columns", "{}"))
    return StudySummary(columns, others_in(data), lines, notes, tuple(_oddities(data, each)))


def others_in(data: xr.Dataset) -> dict[str, list[str]]:
    """Columns of the table that nothing was read from -> their groups, if they divide the subjects into groups."""
    return json.loads(data.attrs.get("other_columns", "{}"))


def counts(data: xr.Dataset) -> Counts:
    """Trials, missed choices, scored choices and sessions of each subject, as in ``data["subject"]``."""
    subject, size = subject_index(data), data.sizes["subject"]
    session = data["trial_session"].values
    new = np.append(True, (subject[1:] != subject[:-1]) | (session[1:] != session[:-1]))
    flags = (np.ones(subject.size, dtype=bool), data["choice"].values < 0, data["scored"].values, new)
    return Counts(*(np.bincount(subject[flag], minlength=size) for flag in flags))


def _subjects(each: Counts) -> str:
    in_sessions = "" if each.sessions.max() == 1 else f" in {_range(each.sessions, 'session')}"
    every = " each" if each.trials.size > 1 else ""
    return f"{each.trials.size:,}, with {_range(each.trials, 'trial')}{in_sessions}{every}"


def _range(values: IntArray, noun: str) -> str:
    low, high = int(values.min()), int(values.max())
    plural = "" if high == 1 else "s"
    return f"{low:,} {noun}{plural}" if low == high else f"{low:,} to {high:,} {noun}{plural}"


def _trials(each: Counts) -> str:
    n, missed = int(each.trials.sum()), int(each.missed.sum())
    unscored = n - missed - int(each.scored.sum())
    parts = [f"{n:,}"]
    parts += [f"{missed:,} missed ({missed / n:.1%}; kept, not scored)"] if missed else []
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
    return _span(known)


def _span(known: npt.NDArray[Any]) -> str:
    if known.size == 0:
        return "never known"
    largest = max(float(np.abs(known).max()), 1.0)  # sums of numbers near the largest float overflow
    return f"{known.min():g} to {known.max():g}, mean {largest * (known / largest).mean():.3g}"


def _covariates(data: xr.Dataset) -> list[str]:
    """Names of the covariates of the subjects, but for the true parameters of a simulation."""
    names = (str(name) for name in data.data_vars if data[name].dims == ("subject",))
    return [name for name in names if not name.startswith(TRUE)]


def _covariate(values: xr.DataArray) -> str:
    if values.dtype.kind in "fi":
        return _span(values.values[np.isfinite(values.values.astype(float))])
    levels, n = np.unique(values.values.astype(str), return_counts=True)
    return _first([f"{level or 'missing'} ({count:,})" for level, count in zip(levels, n, strict=True)], 8)


def _oddities(data: xr.Dataset, each: Counts) -> list[str]:
    by_subject = np.split(data["choice"].values, np.cumsum(each.trials)[:-1])
    same = np.array([np.unique(choice[choice >= 0]).size == 1 for choice in by_subject])
    often = each.missed > MANY_MISSED * each.trials
    runs = np.array([_longest_run(choice < 0) for choice in by_subject])
    found = (
        (same, "chose the same arm on every trial"),
        (often, f"missed more than {MANY_MISSED:.0%} of the trials"),
        ((runs >= LONG_RUN) & ~often, f"missed {LONG_RUN} or more trials in a row"),
        (each.scored < FEW_TRIALS, f"made fewer than {FEW_TRIALS} choices that are scored"),
    )
    labels = data["subject"].values
    return [_sentence(labels[flags].tolist(), what) for flags, what in found if flags.any()]


def _longest_run(missed: npt.NDArray[np.bool_]) -> int:
    ends = np.flatnonzero(np.diff(np.concatenate([[False], missed, [False]]).astype(int)))
    return int((ends[1::2] - ends[::2]).max(initial=0))


def _sentence(labels: list[Any], what: str) -> str:
    noun = "subject" if len(labels) == 1 else "subjects"
    return f"{len(labels)} {noun} {what}: {_first([str(label) for label in labels], FIRST_FEW)}."


def _first(texts: list[str], n: int) -> str:
    return ", ".join(texts[:n]) + (f" and {len(texts) - n:,} more" if len(texts) > n else "")
