"""Is this Dataset behaviour? Whoever takes one asks here first."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from hierrl.data.table import listed

# Name -> dims, and the kinds of numpy dtype it may have.
NEEDED = {
    "choice": (("trial",), "iu"),
    "reward": (("trial",), "f"),
    "scored": (("trial",), "b"),
    "trial_subject": (("trial",), "iuUOT"),
    "trial_session": (("trial",), "iuUOT"),
    "trial_number": (("trial",), "iuf"),
    "subject": (("subject",), "iuUOT"),
    "arm": (("arm",), "iuUOT"),
}
OPTIONAL = {
    "gain": (("trial",), "f"),
    "loss": (("trial",), "f"),
    "forgone": (("trial", "arm"), "f"),
    "available": (("trial", "arm"), "b"),
    "context": (("trial",), "iuUOT"),
}
RANGES = {"gain": (0.0, np.inf), "loss": (-np.inf, 0.0)}


def check_behaviour(data: xr.Dataset) -> None:
    """Raise unless `data` is behaviour as `behaviour` makes it.

    Meant for Datasets that were made or changed by hand; takes milliseconds on 200,000 trials.

    Parameters
    ----------
    data : Dataset
        See `behaviour` for dims, coordinates and variables.

    Raises
    ------
    TypeError
        If it isn't a Dataset.
    ValueError
        If a variable is missing or of the wrong kind, a value is outside its range, or rows are out of order.

    Examples
    --------
    >>> import hierrl as hr, pandas as pd
    >>> from hierrl.data import check_behaviour
    >>> data = hr.behaviour(pd.DataFrame({"subject": 1, "choice": [0, 1], "reward": [1, 0]}))
    >>> check_behaviour(data)
    >>> check_behaviour(data.drop_vars("scored"))
    Traceback (most recent call last):
        ...
    ValueError: This is not behaviour: it lacks 'scored'. Make it from a table with hr.behaviour(table).
    """
    if not isinstance(data, xr.Dataset):
        a_fit = (
            " A fit carries its own data: pass the fit where a fit is asked for."
            if isinstance(data, xr.DataTree)
            else ""
        )
        raise TypeError(
            "The data must be the Dataset that hr.behaviour(table) makes; found "
            f"{type(data).__name__}.{a_fit}"
        )
    _check_parts(data)
    _check_values(data)
    _check_rows(data)


def _check_parts(data: xr.Dataset) -> None:
    lacking = [name for name in NEEDED if name not in data.variables]
    if lacking:
        raise ValueError(
            f"This is not behaviour: it lacks {listed(lacking)}. Make it from a table with "
            "hr.behaviour(table)."
        )
    for name, (dims, kinds) in (
        NEEDED | {name: what for name, what in OPTIONAL.items() if name in data}
    ).items():
        found = data[name]
        if found.dims != dims or found.dtype.kind not in kinds:
            raise ValueError(
                f"In this behaviour {name!r} has dims {found.dims} and dtype {found.dtype}; it needs dims "
                f"{dims} and {' or '.join(_KINDS[kind] for kind in kinds if kind in _KINDS)}."
            )
    for dim in ("trial", "subject"):
        if data.sizes[dim] == 0:
            raise ValueError(f"This behaviour has no {dim}: the selection is empty.")
    if data.sizes["arm"] < 2:
        raise ValueError(
            f"This behaviour has one arm only ({listed(data['arm'].values)}); a choice needs two."
        )


_KINDS = {"i": "integers", "f": "floats", "b": "True and False", "U": "text"}


def _check_values(data: xr.Dataset) -> None:
    choice, rows = data["choice"].values, np.arange(data.sizes["trial"])
    outside = (choice < -1) | (choice >= data.sizes["arm"])
    _refuse(data, outside, name="choice", what=f"is outside -1..{data.sizes['arm'] - 1}")
    scored = data["scored"].values & (choice < 0)
    _refuse(data, scored, name="scored", what="is true although the choice was missed")
    for name in ("reward", "gain", "loss", "forgone"):
        if name in data:
            low, high = RANGES.get(name, (-np.inf, np.inf))
            bad = np.isinf(data[name].values) | (data[name].values < low) | (data[name].values > high)
            limits = f" and within {low:g}..{high:g}" if name in RANGES else ""
            _refuse(data, bad, name=name, what=f"must be finite{limits}")
    if "available" in data:
        hidden = (choice >= 0) & ~data["available"].values[rows, choice]
        _refuse(data, hidden, name="available", what="is false for the arm that was chosen")


def _refuse(data: xr.Dataset, bad: npt.NDArray[np.bool_], *, name: str, what: str) -> None:
    if bad.any():
        row = int(np.flatnonzero(bad.reshape(len(bad), -1).any(axis=1))[0])
        value = data[name].values[row].tolist()
        raise ValueError(
            f"In this behaviour {name!r} {what}: found {value} at trial {row} (subject "
            f"{data['trial_subject'].values[row]!s}, trial_number {data['trial_number'].values[row]}). Make "
            "it anew with hr.behaviour(table)."
        )


def subject_index(data: xr.Dataset) -> npt.NDArray[np.int64]:
    """(n,): for each trial the index of its subject; -1 if the subject is unknown."""
    label = data["trial_subject"].values
    starts = np.flatnonzero(np.append(True, label[1:] != label[:-1]))  # few: looking up all n is slow
    index = data.indexes["subject"].get_indexer(label[starts])
    return np.repeat(index, np.diff(np.append(starts, label.size))).astype(np.int64)


def session_starts(data: xr.Dataset) -> npt.NDArray[np.bool_]:
    """(n,): trials at which values start anew, as the subject or the session changes."""
    subject, session = data["trial_subject"].values, data["trial_session"].values
    return np.append(True, (subject[1:] != subject[:-1]) | (session[1:] != session[:-1]))


def _check_rows(data: xr.Dataset) -> None:
    subject = subject_index(data)
    advice = (
        "Rows must stand together by subject, in the order of `subject`. Select subjects in the table, "
        "before hr.behaviour; or keep `subject` and `trial` in step: "
        "data.isel(trial=data.trial_subject.isin(chosen).values).sel(subject=chosen)."
    )
    if data["subject"].to_index().has_duplicates or (subject < 0).any():
        strangers = pd.unique(data["trial_subject"].values[subject < 0])
        raise ValueError(
            f"Trials and subjects do not match: no `subject` for trials of {listed(strangers)}. {advice}"
        )
    step = np.diff(subject)
    if subject[0] != 0 or ((step != 0) & (step != 1)).any() or subject[-1] != data.sizes["subject"] - 1:
        idle = np.setdiff1d(np.arange(data.sizes["subject"]), subject)
        which = f" Without trials: {listed(data['subject'].values[idle])}." if idle.size else ""
        raise ValueError(
            f"Trials and subjects do not match: rows are out of order, or missing.{which} {advice}"
        )
    starts = session_starts(data)
    sessions = pd.MultiIndex.from_arrays([subject[starts], data["trial_session"].values[starts]])
    if sessions.has_duplicates:
        raise ValueError(
            "The rows of one session do not stand together: a session's label comes again after another "
            "one of the same subject. Make the behaviour anew with hr.behaviour(table), which gathers "
            "them."
        )
