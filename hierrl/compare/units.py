"""What is scored together: trials, sessions or subjects, and the subject of each."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
By = Literal["trial", "session", "subject"]


@dataclass(frozen=True)
class Units:
    """U units of the scored trials of a behaviour."""

    by: By
    rows: IntArray
    """Rows that are scored."""
    of_row: IntArray
    """The unit of each of these, from 0 on in order."""
    subject: IntArray
    """(U,) index of each unit's subject in the behaviour."""
    part: IntArray
    """(U,) number of each unit's session (or subject, if by subject) among all of the behaviour."""
    coords: dict[Hashable, Any]

    @property
    def size(self) -> int:
        """U."""
        return self.subject.size

    @property
    def n_trials(self) -> IntArray:
        """(U,)"""
        return np.bincount(self.of_row, minlength=self.size)

    def sums(self, scores: FloatArray) -> FloatArray:
        """Sums (U,) of the scores (n,) of rows."""
        return np.bincount(self.of_row, scores[self.rows], minlength=self.size)

    def rows_of(self, unit: int) -> IntArray:
        """The scored rows of a unit."""
        return self.rows[self.of_row == unit]

    def only(self, unit: int) -> Units:
        """One unit alone, without its coordinates."""
        rows = self.rows_of(unit)
        alone = np.zeros(rows.size, dtype=np.int64)
        return Units(self.by, rows, alone, self.subject[[unit]], self.part[[unit]], {})


def subject_of_rows(data: xr.Dataset) -> IntArray:
    """(n,) index of each row's subject."""
    return data.indexes["subject"].get_indexer(data["trial_subject"].values).astype(np.int64)


def session_of_rows(data: xr.Dataset) -> IntArray:
    """(n,) number of each row's session among all of the behaviour."""
    subject, session = data["trial_subject"].values, data["trial_session"].values
    return np.cumsum(np.append(True, (subject[1:] != subject[:-1]) | (session[1:] != session[:-1]))) - 1


def units_of(data: xr.Dataset, by: By, scored: npt.NDArray[np.bool_] | None = None) -> Units:
    """Units of the `scored` rows (n,), which are those of the behaviour if not given."""
    rows = np.flatnonzero(data["scored"].values if scored is None else scored)
    subject = subject_of_rows(data)
    number = {"trial": np.arange(subject.size), "session": session_of_rows(data), "subject": subject}[by]
    part, first, of_row = np.unique(number[rows], return_index=True, return_inverse=True)
    names = data["trial_subject"].values[rows[first]]
    if by == "subject":
        coords: dict[Hashable, Any] = {"subject": names}
    elif by == "session":
        labels = data["trial_session"].values[rows[first]]
        coords = {
            "session": part,
            "session_subject": ("session", names),
            "session_label": ("session", labels),
        }
    else:
        coords = {
            name: ("trial", data[name].values[rows])
            for name in ("trial_subject", "trial_session", "trial_number")
        }
        coords["trial"] = data["trial"].values[rows]
    return Units(by, rows, of_row.astype(np.int64), subject[rows[first]], part.astype(np.int64), coords)
