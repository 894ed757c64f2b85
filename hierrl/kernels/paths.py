"""Paths of all channels for one subject, with exact derivatives: whatever learner makes them.

The delta rule is in `hierrl.kernels.rule`, learners with a second state in `hierrl.kernels.learners`.
"""

from __future__ import annotations

import numpy as np

from hierrl.kernels.jit import njit
from hierrl.kernels.learners import walk_learner, walk_values
from hierrl.kernels.loops import INNER
from hierrl.kernels.rule import curvature, pair, powers, sensitivity, shape_of, walk_path
from hierrl.kernels.tables import EXPONENT
from hierrl.models.learners import DELTA


@njit(**INNER)
def _widest(n_slots):
    """Slots of the channel that has most."""
    width = 0
    for c in range(n_slots.size):
        width = n_slots[c] if n_slots[c] > width else width
    return width


@njit(**INNER)
def channel_paths(tables, trials, s, theta, order):
    """Paths (C, m, T) of subject `s`, first derivatives (C, m, slots, T), second ones (C, m, pairs, T) up to
    `order`.
    """
    rows = slice(trials.offset[s], trials.offset[s + 1])
    n_trials = trials.offset[s + 1] - trials.offset[s]
    n_channels, n_arms, _ = tables.value.shape
    width = _widest(tables.n_slots)
    path = np.empty((n_channels, n_arms, n_trials))
    dpath = np.empty((n_channels, n_arms, width if order > 0 else 0, n_trials))
    ddpath = np.empty((n_channels, n_arms, pair(width, 0) if order > 1 else 0, n_trials))
    reset, context, n_contexts = trials.reset[rows], trials.context[:, rows], tables.n_contexts[0]
    no_size = np.empty(0)
    for c in range(n_channels):
        slots = tables.n_slots[c]
        for i in range(n_arms):
            shape = shape_of(tables.value[c, i], theta, tables.constants)
            kind, d, dd = trials.kind[c, i, rows], dpath[c, i, :slots], ddpath[c, i]
            learner, target = tables.learner[c], trials.target[c, i, rows]
            if learner != DELTA and order == 0:
                walk_values(learner, kind, target, reset, context[c], n_contexts, shape, path[c, i])
            elif learner != DELTA:
                walk_learner(
                    learner,
                    kind,
                    target,
                    reset,
                    context[c],
                    n_contexts,
                    shape,
                    tables.slot[c],
                    path[c, i],
                    d,
                    dd,
                )
            else:
                log_size = trials.log_size[c, i, rows] if tables.power[c] == 1 else no_size
                if tables.power[c] == 1:
                    raised = np.empty(n_trials)
                    powers(target, log_size, shape[EXPONENT], raised)
                    target = raised
                _delta_paths(
                    kind, target, log_size, reset, context[c], n_contexts, shape, tables.slot[c], tables.split[c] == 1,
                    tables.accumulate[c] == 1, order, path[c, i], d, dd,
                )  # fmt: skip
    return path, dpath, ddpath


@njit(**INNER)
def _delta_paths(
    kind, target, log_size, reset, context, n_contexts, shape, slot, split, accumulate, order, path, dpath, ddpath
):  # fmt: skip
    """Path (T,) of one arm and its derivatives up to `order`."""
    walk_path(kind, target, reset, context, n_contexts, shape, split, accumulate, path)
    if order > 0:
        sensitivity(
            kind, target, log_size, reset, context, n_contexts, shape, slot, split, accumulate, path, dpath
        )  # fmt: skip
    if order > 1:
        curvature(
            kind, target, log_size, reset, context, n_contexts, shape, slot, split, accumulate, path, dpath, ddpath
        )  # fmt: skip
