"""Behaviour with subjects side by side: one lane each, so that one vector instruction serves several of them.

Subjects go through in blocks of at most `LANES`, longest first, so that those of a block have about as many trials
as each other; trials that a lane has not are never looked at, or (up to a vector's width) count for nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hierrl.kernels.jit import njit
from hierrl.kernels.loops import JIT
from hierrl.kernels.rule import HOLD
from hierrl.kernels.trials import Trials

LANES = 64
"""Lanes of a block at most: many enough to pay for the calls of each trial, few enough for the fastest cache."""

VECTOR = 8
"""Numbers in the widest vector; a block has a multiple of it."""

NOT_SCORED = -1
"""In place of a choice."""


class Lanes(NamedTuple):
    """`Trials` side by side: K blocks of W lanes, h rows (trials of all blocks, one after the other).

    Small integers are unsigned once all trials are in, since PyMC changes the type of signed ones; so
    that the choice -1 is 65,535.
    """

    subject: npt.NDArray[np.int64]
    """(K, W): whom each lane holds, -1 = nobody."""
    first: npt.NDArray[np.int64]
    """(K + 1,): block k has the rows ``first[k]:first[k + 1]``."""
    active: npt.NDArray[np.int64]
    """(h,): so many lanes may have a trial in this row, a multiple of `VECTOR`."""
    starts: npt.NDArray[np.int8 | np.uint8]
    """(h,): whether a session starts in any lane."""
    choice: npt.NDArray[np.int16 | np.uint16]
    """(h, W): index of the arm, or `NOT_SCORED`."""
    reset: npt.NDArray[np.int8 | np.uint8]
    """(h, W)"""
    kind: npt.NDArray[np.int8 | np.uint8]
    """(C, m, h, W)"""
    target: npt.NDArray[np.float64]
    """(C, m, h, W)"""
    log_size: npt.NDArray[np.float64]
    """(C, m, h or 0, W)"""
    available: npt.NDArray[np.int8 | np.uint8]
    """(m, h or 0, W); all arms where there is no choice to score."""
    regressor: npt.NDArray[np.float64]
    """(R, m, h or 0, W)"""
    context: npt.NDArray[np.int64]
    """(C, h or 0, W)"""


def side_by_side(trials: Trials) -> Lanes:
    """The subjects of `trials` in lanes."""
    length = np.diff(trials.offset)
    order = np.argsort(-length, kind="stable")
    width = min(LANES, -(-order.size // VECTOR) * VECTOR)
    n_blocks = -(-order.size // width)
    subject = np.full(n_blocks * width, -1)
    subject[: order.size] = order
    subject = subject.reshape(n_blocks, width)
    own = np.where(subject >= 0, length[subject], 0)
    active = np.concatenate([_active(lengths) for lengths in own])
    lanes = _empty(trials, subject, np.append(0, np.cumsum(own[:, 0])), active)
    _fill(trials, lanes)
    small = {name: getattr(lanes, name).view(np.uint8) for name in ("starts", "reset", "kind", "available")}
    return lanes._replace(choice=lanes.choice.view(np.uint16), **small)


def _active(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """For each trial of a block, longest lane first: how many lanes have it, to the next multiple of `VECTOR`."""
    at_least = np.searchsorted(-lengths, -np.arange(lengths[0]), side="left")
    return -(-at_least // VECTOR) * VECTOR


def _empty(
    trials: Trials,
    subject: npt.NDArray[np.int64],
    first: npt.NDArray[np.int64],
    active: npt.NDArray[np.int64],
) -> Lanes:
    """Lanes without a trial in them."""
    n_channels, m, _ = trials.kind.shape
    by_lane = (active.size, subject.shape[1])

    def rows(values: npt.NDArray) -> tuple[int, int]:
        return by_lane if values.shape[-1] else (0, by_lane[1])

    return Lanes(
        subject,
        first,
        active,
        np.zeros(active.size, np.int8),
        np.full(by_lane, NOT_SCORED, np.int16),
        np.zeros(by_lane, np.int8),
        np.full((n_channels, m, *by_lane), HOLD, np.int8),
        np.zeros((n_channels, m, *by_lane)),
        np.zeros((n_channels, m, *rows(trials.log_size))),
        np.ones((m, *rows(trials.available)), np.int8),
        np.zeros((len(trials.regressor), m, *rows(trials.regressor))),
        np.zeros((n_channels, *rows(trials.context)), np.int64),
    )


@njit(**JIT)
def _fill(trials, lanes):
    """Copy the trials of every subject into its lane."""
    n_channels, m, _ = trials.kind.shape
    shown, described, placed, raised = (
        trials.available.shape[1] > 0,
        trials.regressor.shape[2] > 0,
        trials.context.shape[1] > 0,
        trials.log_size.shape[2] > 0,
    )
    for block in range(lanes.subject.shape[0]):
        for b in range(lanes.subject.shape[1]):
            s = lanes.subject[block, b]
            if s < 0:
                continue
            for t in range(trials.offset[s], trials.offset[s + 1]):
                row = lanes.first[block] + t - trials.offset[s]
                if trials.reset[t] or t == trials.offset[s]:
                    lanes.reset[row, b], lanes.starts[row] = 1, 1
                if trials.scored[t]:
                    lanes.choice[row, b] = trials.choice[t]
                for i in range(m):
                    if shown and trials.scored[t]:
                        lanes.available[i, row, b] = trials.available[i, t]
                    if described:
                        for r in range(trials.regressor.shape[0]):
                            lanes.regressor[r, i, row, b] = trials.regressor[r, i, t]
                    for c in range(n_channels):
                        lanes.kind[c, i, row, b] = trials.kind[c, i, t]
                        lanes.target[c, i, row, b] = trials.target[c, i, t]
                        if raised:
                            lanes.log_size[c, i, row, b] = trials.log_size[c, i, t]
                for c in range(n_channels):
                    if placed:
                        lanes.context[c, row, b] = trials.context[c, t]
