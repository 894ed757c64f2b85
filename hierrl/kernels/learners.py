"""Learners with a second state, compiled: the equations of `hierrl.models.learners` on floats, on jets, on eight lanes.

``walk_learner`` is to them what `hierrl.kernels.rule.walk` and its derivatives are to the delta rule.
"""

from __future__ import annotations

import numpy as np

from hierrl.kernels.jets import SECOND, read_second, variables_second, write_jet
from hierrl.kernels.jit import njit
from hierrl.kernels.loops import INNER, fill, fill_rows
from hierrl.kernels.rule import HOLD, LEARN, pair
from hierrl.kernels.tables import N_ROLES
from hierrl.models import learners as equations

WITHIN = {**INNER, "forceinline": True}

begin, learn, drift = (njit(**WITHIN)(f) for f in (equations.begin, equations.learn, equations.drift))

SECOND_SIZE = SECOND.size


@njit(**INNER)
def stepped(learner, kind, q, v, target, a, b, c, d, e):
    """Value and second state after a trial on which the arm did `kind`."""
    if kind == LEARN:
        q, v = learn(learner, q, v, target, a, b, c, d, e)
    return drift(learner, q, v, a, b, c, d, e) if kind != HOLD else (q, v)


@njit(**INNER)
def walk_values(learner, kind, target, reset, context, n_contexts, shape, path):
    """Path (T,) of one arm before each trial; shape (roles + 1,)."""
    a, b, c, d, e = shape[0], shape[1], shape[2], shape[3], shape[4]
    q, v = np.empty(n_contexts), np.empty(n_contexts)
    first, second = begin(learner, a, b, c, d, e)
    for t in range(path.size):
        if reset[t] or t == 0:
            fill(q, first)
            fill(v, second)
        x = context[t] if context.size > 0 else 0
        path[t] = q[x]
        q[x], v[x] = stepped(learner, kind[t], q[x], v[x], target[t], a, b, c, d, e)


@njit(**INNER)
def walk_learner(learner, kind, target, reset, context, n_contexts, shape, slot, path, dpath, ddpath):
    """Path (T,) with derivatives in the channel's slots: dpath (slots, T), ddpath (pairs or 0, T), slot (roles,)."""
    roles = variables_second(shape[0], shape[1], shape[2], shape[3], shape[4])
    q, v = np.empty((n_contexts, SECOND_SIZE)), np.empty((n_contexts, SECOND_SIZE))
    first, second = begin(learner, *roles)
    fill_rows(dpath, 0.0)
    fill_rows(ddpath, 0.0)
    for t in range(path.size):
        if reset[t] or t == 0:
            for x in range(n_contexts):
                write_jet(q, x * SECOND_SIZE, 1, first)
                write_jet(v, x * SECOND_SIZE, 1, second)
        x = context[t] if context.size > 0 else 0
        path[t] = q[x, 0]
        _to_slots(q[x], slot, t, dpath, ddpath)
        if kind[t] == HOLD:
            continue
        at = x * SECOND_SIZE
        value, state = read_second(q, at, 1), read_second(v, at, 1)
        value, state = stepped(learner, kind[t], value, state, target[t], *roles)
        write_jet(q, at, 1, value)
        write_jet(v, at, 1, state)


@njit(**INNER)
def _to_slots(jet, slot, t, dpath, ddpath):
    """Derivatives by role, at trial t, added up by slot: two roles may have the same parameter."""
    for k in range(N_ROLES):
        if slot[k] < 0:
            continue
        dpath[slot[k], t] += jet[1 + k]
        if ddpath.shape[0] == 0:
            continue
        for j in range(N_ROLES):
            # every pair of roles once in each order, so that equal slots get both
            if slot[j] >= 0 and slot[k] >= slot[j]:
                ddpath[pair(slot[k], slot[j]), t] += jet[1 + N_ROLES + pair(k, j)]
