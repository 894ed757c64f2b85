"""A schedule: all that a task holds ready before anybody chooses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Schedule:
    """n rows of m places. An arm pays what its place holds; arms may change places during the task."""

    frame: xr.Dataset
    """Behaviour without choices: coordinates, ``available``, contexts and columns, covariates."""
    reward: FloatArray
    """(n, m): NaN = the outcome stays unknown."""
    gain: FloatArray | None = None
    loss: FloatArray | None = None
    """(n, m): None = the positive and the negative part of the reward."""
    missed: Flags = field(default_factory=lambda: np.zeros(0, dtype=bool))
    """(n,): no choice is made."""
    forced: IntArray | None = None
    """(n,): the arm that must be chosen, -1 = free."""
    tells_forgone: bool = False
    """The rewards of arms not chosen are shown too."""
    expected: FloatArray | None = None
    """(n, m): mean payoff of each place, where it is known."""
    turn: IntArray | None = None
    """(n, m): when arms change places after the trial, arm i takes the place of arm ``turn[i]``."""
    by_card: bool = False
    """Places are decks: row k of a session holds the (k + 1)th card of each, whenever it is drawn."""
    streak: int = 0
    """Arms change places after so many best choices in a row; 0 = never."""


def frame_of(lengths: IntArray, arms: list[Any]) -> xr.Dataset:
    """Rows of subjects 1, 2 ... with lengths (S, sessions): sessions and trials count from 1."""
    n_subjects, n_sessions = lengths.shape
    subjects = np.arange(1, n_subjects + 1)
    each = lengths.ravel()
    n = int(each.sum())
    first = np.repeat(np.cumsum(each) - each, each)
    return xr.Dataset(
        coords={
            "trial": np.arange(n),
            "subject": subjects,
            "arm": np.array(arms),
            "trial_subject": ("trial", np.repeat(subjects, lengths.sum(axis=1))),
            "trial_session": ("trial", np.repeat(np.tile(np.arange(1, n_sessions + 1), n_subjects), each)),
            "trial_number": ("trial", np.arange(n) - first + 1),
        }
    )
