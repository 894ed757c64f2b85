"""Log-likelihood and gradient of all subjects at once, each in a lane of its own: what samplers call.

The same sums as `hierrl.kernels.likelihood.subject_pass` with derivatives up to the first, but one trial of all
subjects of a block after the other, in one sweep: values, their derivatives in the channel's slots, and sums of both
against the residuals are numbers of a lane, and nothing is written down by trial (`hierrl.kernels.lane_steps`).
"""

from __future__ import annotations

import numpy as np

from hierrl.kernels.jit import njit
from hierrl.kernels.lane_steps import (
    AGAINST,
    AGAINST_LAPSE,
    AGAINST_ONE,
    AGAINST_REGRESSOR,
    AGAINST_SLOPE,
    ARM,
    BIAS,
    COLUMN,
    LAPSE,
    LOGIT,
    PARTS,
    PATH,
    PRODUCT,
    RATE,
    REGRESSOR,
    SUBJECT,
    TOTAL,
    WEIGHT,
    add_path,
    add_product,
    begin,
    begin_state,
    bring,
    forget,
    learn,
    learn_by_case,
    learn_power,
    learn_state,
    one_if,
    put,
    score,
    score_two,
    start_logit,
    sum_residuals,
    take_logarithms,
)
from hierrl.kernels.lanes import LANES
from hierrl.kernels.likelihood import factor_product
from hierrl.kernels.loops import INNER, JIT, fill
from hierrl.kernels.many import MOST_NATS
from hierrl.kernels.ownership import keep, uncounted
from hierrl.kernels.rule import entry
from hierrl.kernels.tables import N_ROLES, POSITIVE, START, UNCHOSEN_OWN_DECAY
from hierrl.models.learners import DELTA

PLAIN, BY_CASE, BY_POWER, WITH_STATE = range(4)
"""How a channel learns: the quickest of the functions that can do it."""


@njit(**INNER)
def _way(tables, c):
    if tables.learner[c] != DELTA:
        return WITH_STATE
    if tables.power[c] == 1:
        return BY_POWER
    own_decay, two = (
        tables.unchosen[c] == UNCHOSEN_OWN_DECAY,
        tables.split[c] == 1 or tables.by_reward[c] == 1,
    )
    return BY_CASE if two or own_decay or tables.n_slots[c] > 1 else PLAIN


@njit(**INNER)
def _load(tables, lanes, block, theta, w, arms, columns, subject):
    """Parameters of the subjects of a block into their lanes; sums are 0."""
    n_channels, m, _ = tables.value.shape
    constants = tables.constants
    fill(w, 0.0)
    for b in range(LANES):
        w[subject + PRODUCT + b] = 1.0
    for b in range(lanes.subject.shape[1]):
        s = lanes.subject[block, b]
        if s < 0:
            continue
        own = theta[s]
        for c in range(n_channels):
            for i in range(m):
                at = (c * m + i) * PATH + b
                value = tables.value[c, i]
                for role in range(N_ROLES):
                    w[at + RATE + role * LANES] = entry(value[role], own, constants)
                factors, coefficient = tables.weight_value[c, i], tables.coefficient[c]
                w[at + WEIGHT] = factor_product(factors, coefficient, own, constants, -1, -1)
        for i in range(m):
            w[arms + i * ARM + BIAS + b] = entry(tables.bias_value[i], own, constants)
            for r in range(tables.regressor_value.size):
                weight = entry(tables.regressor_value[r], own, constants)
                w[columns + (r * m + i) * COLUMN + REGRESSOR + b] = weight
        w[subject + LAPSE + b] = entry(tables.lapse_value[0], own, constants)


@njit(**INNER)
def _unload(tables, lanes, block, theta, w, arms, columns, subject, loglik, gradient):
    """Sums of the lanes into log-likelihood (S,) and gradient (S, P)."""
    n_channels, m, n_factors = tables.weight_value.shape
    constants = tables.constants
    for b in range(lanes.subject.shape[1]):
        s = lanes.subject[block, b]
        if s < 0:
            continue
        own, slope, check = theta[s], gradient[s], 0.0
        for k in range(own.size):
            slope[k] = 0.0
            check += 0.0 * own[k]
        # Comparisons lose a NaN.
        loglik[s] = w[subject + TOTAL + b] + check
        for c in range(n_channels):
            for i in range(m):
                at = (c * m + i) * PATH + b
                scalars, factors, coefficient = (
                    tables.arm_scalars[i],
                    tables.weight_value[c, i],
                    tables.coefficient[c],
                )
                by_role = tables.learner[c] != DELTA
                for place in range(N_ROLES if by_role else tables.n_slots[c]):
                    k = tables.slot[c, place] if by_role else place
                    if k >= 0:
                        amount = w[at + WEIGHT] * w[at + AGAINST_SLOPE + place * LANES]
                        slope[scalars[tables.slot_local[c, i, k]]] += amount
                for f in range(n_factors):
                    if tables.weight_local[c, i, f] >= 0:
                        rest = factor_product(factors, coefficient, own, constants, f, f)
                        slope[scalars[tables.weight_local[c, i, f]]] += rest * w[at + AGAINST]
        for i in range(m):
            if tables.bias_local[i] >= 0:
                slope[tables.arm_scalars[i, tables.bias_local[i]]] += w[arms + i * ARM + AGAINST_ONE + b]
            for r in range(tables.regressor_value.size):
                at = columns + (r * m + i) * COLUMN + AGAINST_REGRESSOR + b
                slope[tables.arm_scalars[i, tables.regressor_local[r, i]]] += w[at]
        if tables.lapse_scalar[0] >= 0:
            slope[tables.lapse_scalar[0]] += w[subject + AGAINST_LAPSE + b]


@njit(**INNER)
def _block(tables, lanes, rows, w, places, memory, way):
    """All trials of a block. What tuples hold is taken out of them first: each look costs a count of references."""
    arms, columns, subject = places
    n_slots, slot, accumulate, split = tables.n_slots, tables.slot, tables.accumulate, tables.split
    learner, log_size = tables.learner, lanes.log_size.ravel()
    active, starts, choice, reset = lanes.active, lanes.starts, lanes.choice.ravel(), lanes.reset.ravel()
    kind, target, available = lanes.kind.ravel(), lanes.target.ravel(), lanes.available.ravel()
    regressor, context = lanes.regressor.ravel(), lanes.context.ravel()
    n_channels, m, _ = tables.value.shape
    n_regressors, apart, any_lapse = (
        lanes.regressor.shape[0],
        memory.shape[2] > 1,
        tables.lapse_scalar[0] >= 0,
    )
    simple = m == 2 and available.size == 0 and not any_lapse
    stride, width, patience, waiting = choice.size, lanes.choice.shape[1], int(MOST_NATS / np.log(m + 1.0)), 0
    for row in range(rows[0], rows[1]):
        n, here, session = active[row], row * width, starts[row] != 0
        for i in range(m):
            arm = arms + i * ARM
            if n_channels == 0:
                start_logit(w, arm, n)
            for c in range(n_channels):
                path, at = c * m + i, (c * m + i) * PATH
                if session and way[c] == WITH_STATE:
                    begin_state(w, at, reset, here, n, learner[c])
                elif session:
                    begin(w, at, reset, here, n, n_slots[c], slot[c, START])
                if apart:
                    if session:
                        forget(w, at, memory, path, reset, here, n)
                    bring(w, at, memory, path, context, c * stride + here, n)
                add_path(w, at, arm + (BIAS if c == 0 else LOGIT), arm + LOGIT, n)
            for r in range(n_regressors):
                weight = columns + (r * m + i) * COLUMN + REGRESSOR
                add_product(w, weight, regressor, (r * m + i) * stride + here, arm + LOGIT, n)
        if simple:
            score_two(w, arms, subject, choice, here, n)
        else:
            score(w, arms, subject, m, choice, available, here, stride, n, any_lapse)
        for i in range(m):
            residual = arms + i * ARM + LOGIT
            if tables.bias_local[i] >= 0:
                sum_residuals(w, arms + i * ARM, n)
            for r in range(n_regressors):
                to = columns + (r * m + i) * COLUMN + AGAINST_REGRESSOR
                add_product(w, residual, regressor, (r * m + i) * stride + here, to, n)
            for c in range(n_channels):
                path, at = c * m + i, (c * m + i) * PATH
                place, toward = path * stride + here, 1.0 - accumulate[c]
                if way[c] == PLAIN:
                    own = one_if(slot[c, POSITIVE], 0)
                    learn(w, at, residual, kind, target, place, n, toward, own)
                elif way[c] == BY_CASE:
                    learn_by_case(
                        w, at, residual, kind, target, place, n, toward, split[c] == 1, slot[c], n_slots[c]
                    )
                elif way[c] == BY_POWER:
                    learn_power(
                        w, at, residual, kind, target, log_size, place, n, toward, split[c] == 1, slot[c], n_slots[c]
                    )  # fmt: skip
                else:
                    learn_state(w, at, residual, kind, target, place, n, learner[c])
                if apart:
                    put(w, at, memory, path, context, c * stride + here, n)
        waiting += 1
        if waiting == patience:
            take_logarithms(w, subject)
            waiting = 0
    take_logarithms(w, subject)


@njit(**JIT)
def all_pass(tables, lanes, theta, loglik, gradient):
    """Log-likelihood (S,) of the subjects of `lanes` (with int8 and int16) at theta (S, P), and gradient (S, P)."""
    n_channels, m, _ = tables.value.shape
    w = np.empty(n_channels * m * PATH + m * ARM + tables.regressor_value.size * m * COLUMN + SUBJECT)
    n_contexts = tables.n_contexts[0]
    # A single context is what w holds.
    n_remembered = n_channels * m if n_contexts > 1 else 0
    way, n_parts = np.zeros(n_channels, np.int64), PARTS
    for c in range(n_channels):
        way[c] = _way(tables, c)
        n_parts = 2 * PARTS if way[c] == WITH_STATE else n_parts
    memory = np.zeros((n_remembered, n_parts, n_contexts, LANES))
    arms = n_channels * m * PATH
    columns = arms + m * ARM
    subject = columns + tables.regressor_value.size * m * COLUMN
    places = (arms, columns, subject)
    for block in range(lanes.subject.shape[0]):
        _load(tables, lanes, block, theta, w, *places)
        rows = (lanes.first[block], lanes.first[block + 1])
        _block(tables, lanes, rows, uncounted(w), places, uncounted(memory), uncounted(way))
        _unload(tables, lanes, block, theta, w, *places, loglik, gradient)
    keep(w, memory, way)
