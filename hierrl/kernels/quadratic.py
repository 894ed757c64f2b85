"""A small quadratic program: coefficients in boxes, sums over groups of them in intervals. Primal active set, dense.

Each coefficient belongs to one group or to none (-1). A coefficient on a bound is *held*, a group whose sum is on a
bound is *tight* (1 = upper, -1 = lower).
"""

from __future__ import annotations

import numpy as np

from hierrl.kernels.jit import njit
from hierrl.kernels.loops import INNER, copy, copy_rows, dot, fill
from hierrl.kernels.newton import cholesky, cholesky_solve

RELEASE = 1e-6
"""Gain that moving a held coefficient over its whole range must promise before it is let go."""
NEGLIGIBLE = 1e-12
"""Gain that a step must promise."""
RIDGE, FLOOR = 1e-9, 1e-13
"""What is added to the diagonal of the Hessian: a share of each entry, and of the largest one. Paths may be equal."""


@njit(**INNER)
def direction(matrix, gradient, group, tight, n_groups, step, multiplier):
    """Newton step of the free coefficients, keeping the sums of tight groups: fills step (n,), multiplier
    (groups,).
    """
    n = gradient.size
    largest = 1e-12
    for a in range(n):
        largest = max(largest, matrix[a, a])
    ridge = FLOOR * largest
    factor = np.empty((n, n))
    while True:
        copy_rows(matrix, factor)
        for a in range(n):
            factor[a, a] += RIDGE * factor[a, a] + ridge
        if cholesky(factor, n):
            break
        ridge *= 100.0
    copy(gradient, step)
    cholesky_solve(factor, step, n)
    fill(multiplier, 0.0)
    rows, k = np.empty(n_groups, dtype=np.int64), 0
    for g in range(n_groups):
        rows[g] = -1
    for a in range(n):
        if group[a] >= 0 and tight[group[a]] != 0 and rows[group[a]] < 0:
            rows[group[a]] = k
            k += 1
    if k == 0:
        return
    spread, small, right = np.zeros((k, n)), np.zeros((k, k)), np.zeros(k)
    for a in range(n):
        if group[a] >= 0 and rows[group[a]] >= 0:
            spread[rows[group[a]], a] = 1.0
            right[rows[group[a]]] += step[a]
    for j in range(k):
        cholesky_solve(factor, spread[j], n)
    for j in range(k):
        for a in range(n):
            if group[a] >= 0 and rows[group[a]] >= 0:
                small[j, rows[group[a]]] += spread[j, a]
        small[j, j] += 1e-14 * abs(small[j, j])
    if not cholesky(small, k):
        fill(step, 0.0)
        return
    cholesky_solve(small, right, k)
    for j in range(k):
        for a in range(n):
            step[a] -= right[j] * spread[j, a]
    balance(matrix, gradient, group, rows, step, multiplier)


@njit(**INNER)
def balance(matrix, gradient, group, rows, step, multiplier):
    """Make the step of each tight group sum to 0, and its multiplier what the slope at the step's end says.

    Nearly equal paths make the factor ill-conditioned; what rounding leaves of the sums would add up over steps.
    """
    for g in range(rows.size):
        if rows[g] >= 0:
            total, members = 0.0, 0
            for a in range(step.size):
                if group[a] == g:
                    total, members = total + step[a], members + 1
            for a in range(step.size):
                if group[a] == g:
                    step[a] -= total / members
    for g in range(rows.size):
        if rows[g] >= 0:
            slope, members = 0.0, 0
            for a in range(step.size):
                if group[a] == g:
                    slope, members = slope + gradient[a] - dot(matrix[a], step), members + 1
            multiplier[g] = slope / members


@njit(**INNER)
def room(coefficient, step, index, low, high, group, group_low, group_high, tight):
    """The longest feasible step (<= 1) and what blocks it: (length, coefficient or -1, group or -1)."""
    length, blocker, crowded = 1.0, -1, -1
    change, mass = np.zeros(group_low.size), np.zeros(group_low.size)
    for k in range(coefficient.size):
        if group[k] >= 0:
            mass[group[k]] += coefficient[k]
    for a in range(index.size):
        k = index[a]
        if group[k] >= 0:
            change[group[k]] += step[a]
        edge = low[k] if step[a] < 0.0 else high[k]
        if step[a] != 0.0 and abs(edge - coefficient[k]) < length * abs(step[a]):
            length, blocker = abs(edge - coefficient[k]) / abs(step[a]), k
    for g in range(group_low.size):
        if tight[g] != 0 or change[g] == 0.0:
            continue
        edge = group_low[g] if change[g] < 0.0 else group_high[g]
        if (change[g] > 0.0 or edge > 0.0) and abs(edge - mass[g]) < length * abs(change[g]):
            length, blocker, crowded = abs(edge - mass[g]) / abs(change[g]), -1, g
    return length, blocker, crowded


@njit(**INNER)
def release(gradient, multiplier, coefficient, held, low, high, group, group_low, group_high, tight):
    """Let go of what would gain most by moving; False if nothing would, that is at the optimum."""
    best, which, loosen = RELEASE, -1, -1
    for k in range(coefficient.size):
        if not held[k]:
            continue
        reduced = gradient[k] - (multiplier[group[k]] if group[k] >= 0 else 0.0)
        width = high[k] - low[k] if group[k] < 0 else group_high[group[k]]
        gain = width * (reduced if coefficient[k] <= low[k] else -reduced)
        if gain > best:
            best, which = gain, k
    for g in range(group_low.size):
        gain = -tight[g] * multiplier[g] * (group_high[g] - group_low[g])
        if tight[g] != 0 and gain > best:
            best, which, loosen = gain, -1, g
    if loosen >= 0:
        tight[loosen] = 0
        return True
    if which >= 0:
        held[which] = False
        return True
    return False


@njit(**INNER)
def free_of(held):
    """Positions that are not held."""
    index, k = np.empty(held.size, dtype=np.int64), 0
    for a in range(held.size):
        if not held[a]:
            index[k] = a
            k += 1
    return index[:k]


@njit(**INNER)
def solve_quadratic(matrix, gradient, coefficient, low, high, group, group_low, group_high, out):
    """Maximise ``gradient' d - d' matrix d / 2`` over feasible ``coefficient + d``, into out (n,): primal active
    set.
    """
    n = coefficient.size
    copy(coefficient, out)
    slope = np.empty(n)
    copy(gradient, slope)
    held = np.empty(n, dtype=np.bool_)
    tight = np.zeros(group_low.size, dtype=np.int64)
    mass, multiplier = np.zeros(group_low.size), np.zeros(group_low.size)
    for k in range(n):
        held[k] = out[k] <= low[k] or out[k] >= high[k]
        if group[k] >= 0:
            mass[group[k]] += out[k]
    for g in range(group_low.size):
        if mass[g] >= group_high[g] * (1.0 - 1e-12):
            tight[g] = 1
        elif group_low[g] > 0.0 and mass[g] <= group_low[g] * (1.0 + 1e-12):
            tight[g] = -1
    for _ in range(50 + 20 * n):
        index = free_of(held)
        step, ahead = np.zeros(index.size), np.empty(index.size)
        fill(multiplier, 0.0)
        predicted = 0.0
        if index.size > 0:
            block, member = np.empty((index.size, index.size)), np.empty(index.size, dtype=np.int64)
            for a in range(index.size):
                ahead[a], member[a] = slope[index[a]], group[index[a]]
                for b in range(index.size):
                    block[a, b] = matrix[index[a], index[b]]
            direction(block, ahead, member, tight, group_low.size, step, multiplier)
            predicted = dot(ahead, step)
        if not predicted > NEGLIGIBLE:
            if release(slope, multiplier, out, held, low, high, group, group_low, group_high, tight):
                continue
            break
        length, blocker, crowded = room(out, step, index, low, high, group, group_low, group_high, tight)
        change = 0.0
        for a in range(index.size):
            k = index[a]
            out[k] = min(max(out[k] + length * step[a], low[k]), high[k])
            change += step[a] if group[k] == crowded else 0.0
            for b in range(n):
                slope[b] -= length * step[a] * matrix[b, k]
        if blocker >= 0:
            out[blocker] = (
                low[blocker] if out[blocker] - low[blocker] < high[blocker] - out[blocker] else high[blocker]
            )
            held[blocker] = True
        elif crowded >= 0:
            tight[crowded] = 1 if change > 0.0 else -1
