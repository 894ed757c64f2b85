"""Moving the atoms of a mixture along with their weights: candidates for better atoms.

Where a mixture has found its atoms but not yet their exact place, adding one atom at the peak of the price after the
other closes in slowly. A Newton step on the places and weights together gets there at once. What it proposes are
candidates only, which the concave problem in the weights takes or leaves, so nothing depends on the step being good.
"""

from __future__ import annotations

import numpy as np

from hierrl.kernels.jit import njit
from hierrl.kernels.loops import INNER, add_scaled, copy, copy_rows, dot, fill
from hierrl.kernels.newton import cholesky, cholesky_solve
from hierrl.kernels.planes import price_at

LONGEST = 0.3
"""Largest move along an axis, as a share of the interval."""
FIRST_RIDGE = 1e-8


@njit(**INNER)
def n_moves(layout, g):
    """Axes along which atoms of a group move: a start value that is always at an end of its interval does not."""
    return layout.n_axes[g] - (1 if layout.ends[g] else 0)


@njit(**INNER)
def tangents(tables, trials, s, layout, n_linear, n, coefficient, group, point, r, columns, matrix, gradient):
    """Append to n columns the derivatives of their logits along each axis of each atom; returns how many there are.

    columns (N, R, T) with room; matrix (N, N) and gradient (N,) receive what the atoms' own curvature adds to the
    negative Hessian and the slopes; both must be 0 before.
    """
    first = 1 if columns.shape[1] == 1 else 0
    total = n
    for k in range(n_linear, n):
        n_axes = layout.n_axes[group[k]]
        slope, own = np.empty((n_axes, r.shape[0], r.shape[1])), np.empty(n_axes)
        bend = np.empty((n_axes, n_axes))
        price_at(tables, trials, s, layout, group[k], r, point[k, :n_axes], slope, own, bend)
        live = n_moves(layout, group[k])
        for a in range(live):
            for i in range(columns.shape[1]):
                fill(columns[total + a, i], 0.0)
                add_scaled(columns[total + a, i], coefficient[k], slope[a, first + i])
                if first == 1:
                    add_scaled(columns[total + a, i], -coefficient[k], slope[a, 0])
            gradient[total + a] = coefficient[k] * own[a]
            matrix[k, total + a] = matrix[total + a, k] = -own[a]
            for b in range(live):
                matrix[total + a, total + b] = -coefficient[k] * bend[a, b]
        total += live
    return total


@njit(**INNER)
def newton_move(matrix, gradient, n):
    """Newton step (n,) from a negative Hessian (n, n) that may be indefinite, and the gain it promises."""
    largest = 1e-12
    for a in range(n):
        largest = max(largest, matrix[a, a])
    ridge, factor, step = FIRST_RIDGE * largest, np.empty((n, n)), np.empty(n)
    while True:
        copy_rows(matrix[:n, :n], factor)
        for a in range(n):
            factor[a, a] += ridge
        if cholesky(factor, n):
            break
        ridge *= 10.0
    for a in range(n):
        step[a] = gradient[a]
    cholesky_solve(factor, step, n)
    return step, 0.5 * dot(gradient[:n], step)


@njit(**INNER)
def moved_point(layout, box, g, point, step, out):
    """A point (D,) of group g after a step along its axes, kept inside the box and not too far away."""
    copy(point, out)
    for a in range(step.size):
        low, high = box[0, g, a], box[1, g, a]
        most = LONGEST * (high - low)
        move = min(max(step[a], -most), most)
        out[a] = min(max(point[a] + move, low), high)
