"""The concave problem in the coefficients of given columns of logits: the relaxation once its atoms are chosen.

Columns are kept as (R, T): with two arms only the difference of logits matters (R = 1), else R is the number of arms.
"""

from __future__ import annotations

import numpy as np

from hierrl.kernels.jit import njit
from hierrl.kernels.likelihood import residuals, score, softmax
from hierrl.kernels.loops import INNER, add_scaled, copy, copy_rows, dot, dot3, fill_rows, multiply
from hierrl.kernels.quadratic import solve_quadratic

MAX_MASTER = 50
NEAR = 1e-8
"""Predicted gain, relative to ``1 + |loglik|``, from which Newton steps are taken whole."""
POLISH = 1


@njit(**INNER)
def store(path, column):
    """Put a path (m, T) into a column (R, T): with two arms only their difference matters (R = 1)."""
    if column.shape[0] > 1:
        copy_rows(path, column)
    else:
        copy(path[1], column[0])
        add_scaled(column[0], -1.0, path[0])


@njit(**INNER)
def combine(columns, n, coefficient, x):
    """Logits x (m, T) from columns (n, R, T); with two arms the first gets 0."""
    fill_rows(x, 0.0)
    first = 1 if columns.shape[1] == 1 else 0
    for k in range(n):
        if coefficient[k] != 0.0:
            for i in range(columns.shape[1]):
                add_scaled(x[first + i], coefficient[k], columns[k, i])


@njit(**INNER)
def evaluate(choice, scored, available, x, p, r, work):
    """Log-likelihood at logits x (m, T); fills probabilities p and residuals r (m, T). work (3, T)."""
    softmax(x, available, p, work[0])
    value = score(choice, scored, available, x, p, work[0], 0.0, work[1], work[2])
    residuals(choice, work[2], p, r)
    return value


@njit(**INNER)
def information(columns, p, weight, out):
    """Negative Hessian (n, n) of the log-likelihood in the first n coefficients; weight (T,) is 1 on scored
    trials.
    """
    n_rows, first = columns.shape[1], (1 if columns.shape[1] == 1 else 0)
    n, n_trials = out.shape[0], columns.shape[2]
    shared = np.empty(n_trials)
    if n_rows == 1:
        for t in range(n_trials):
            shared[t] = p[1, t] * p[0, t] * weight[t]
        for a in range(n):
            for b in range(a + 1):
                out[a, b] = dot3(shared, columns[a, 0], columns[b, 0])
                out[b, a] = out[a, b]
        return
    centre = np.zeros((n, n_trials))
    for a in range(n):
        for i in range(n_rows):
            for t in range(n_trials):
                centre[a, t] += p[first + i, t] * columns[a, i, t]
    for a in range(n):
        for b in range(a + 1):
            out[a, b] = -dot3(weight, centre[a], centre[b])
    for i in range(n_rows):
        multiply(p[first + i], weight, shared)
        for a in range(n):
            for b in range(a + 1):
                out[a, b] += dot3(shared, columns[a, i], columns[b, i])
    for a in range(n):
        for b in range(a):
            out[b, a] = out[a, b]


@njit(**INNER)
def one_if(flags):
    """1.0 where a flag is set, 0.0 elsewhere."""
    out = np.empty(flags.size)
    for t in range(flags.size):
        out[t] = 1.0 if flags[t] else 0.0
    return out


@njit(**INNER)
def solve_master(columns, n, coefficient, low, high, group, group_low, group_high, data, state):
    """Maximise the log-likelihood in the coefficients of `n` columns, in place; returns it and fills `state`.

    Newton's method: a quadratic program in the coefficients, then a search along the way to its solution.
    """
    choice, scored, available = data
    x, p, r, work = state
    trial, change = np.empty(x.shape), np.empty(x.shape)
    first = 1 if columns.shape[1] == 1 else 0
    weight = one_if(scored)
    gradient, goal, step = np.zeros(n), np.zeros(n), np.zeros(n)
    matrix = np.empty((n, n))
    combine(columns, n, coefficient, x)
    value, polished = evaluate(choice, scored, available, x, p, r, work), 0
    for _ in range(MAX_MASTER):
        for k in range(n):
            gradient[k] = 0.0
            for i in range(columns.shape[1]):
                gradient[k] += dot(r[first + i], columns[k, i])
        information(columns, p, weight, matrix)
        solve_quadratic(
            matrix, gradient, coefficient[:n], low[:n], high[:n], group[:n], group_low, group_high, goal
        )
        copy(goal, step)
        add_scaled(step, -1.0, coefficient[:n])
        predicted = dot(gradient, step)
        if not predicted > 0.0 or polished == POLISH:
            break
        # So close that rounding hides the gain: full steps, whose error falls with the square. The bound multiplies
        # what is left of the gradient by the largest weight, so that it must be small indeed.
        near = predicted <= NEAR * (1.0 + abs(value))
        polished += near
        combine(columns, n, step, change)
        size, reached = 1.0, value
        for _ in range(50):
            copy_rows(x, trial)
            for i in range(x.shape[0]):
                add_scaled(trial[i], size, change[i])
            reached = evaluate(choice, scored, available, trial, p, r, work)
            if near or reached >= value + 1e-4 * size * predicted:
                break
            size *= 0.5
        if not near and not reached > value:
            break
        copy_rows(trial, x)
        value = reached
        if size == 1.0:
            copy(goal, coefficient[:n])
        else:
            add_scaled(coefficient[:n], size, step)
    combine(columns, n, coefficient, x)
    return evaluate(choice, scored, available, x, p, r, work)
