r"""The hull relaxation of one subject: column generation with an active-set Newton method, and its
certificate.

The relaxed logits are :math:`x = \sum_g \sum_k w_{gk} F_g(a_{gk}) + \sum_j b_j E_j`. A *group* g is a channel
(of one arm if it is per arm) with a sign; its *atoms* are paths at some rates with weights ``w >= 0`` whose
sum lies in ``[low_g, high_g]``. Linear columns E (biases, regressors, paths without a free rate) have
coefficients in a box.

*Master*: the concave problem in the weights. *Pricing*: the rate at which a new atom would help most.
*Certificate*: for any logits x with residual r the concavity of the log-likelihood gives, for every x' in the
hull,

.. math:: \ell(x') \le \ell(x) - \langle r, x\rangle + \sum_g \max(B_g M_g, L_g M_g) + \sum_j \max(l_j R_j,
u_j R_j)

with :math:`M_g` an upper bound on the price over the continuum of rates (`hierrl.kernels.prices`) and R_j the
price of a column. It holds whatever the solver did.
"""

from __future__ import annotations

import numpy as np

from hierrl.kernels.groups import group_value, largest_price, path_of, peaks
from hierrl.kernels.jit import njit
from hierrl.kernels.loops import INNER, JIT, add_scaled, copy, copy_rows, dot, fill, fill_rows
from hierrl.kernels.master import combine, evaluate, information, one_if, solve_master, store
from hierrl.kernels.moves import moved_point, n_moves, newton_move, tangents

CONVERGED, STALLED, CROWDED, UNFINISHED = range(4)
BIAS, REGRESSOR, FIXED_PATH = range(3)

GAP = 5e-5
"""Column generation stops when the bound on the grid is this close to the relaxed log-likelihood (nats)."""
MAX_ROUNDS = 60
SECOND_LOOKS = 4
"""How often the search goes on from a peak that it missed and the certificate found."""
MISSED = 1e-4
"""Nats that such a peak must promise."""
ATOMS_PER_GROUP = 12
ATOMS_PER_ROUND = 2


@njit(**INNER)
def linear_path(tables, trials, s, layout, j, path):
    """What linear term `j` adds to the logits (m, T) per unit: a bias, a regressor, or a path without a free
    rate.
    """
    kind, which = layout.linear[j, 0], layout.linear[j, 1]
    if kind == FIXED_PATH:
        path_of(tables, trials, s, layout, which, np.zeros(1), path)
    elif kind == REGRESSOR:
        copy_rows(trials.regressor[which, :, trials.offset[s] : trials.offset[s + 1]], path)
    else:
        fill_rows(path, 0.0)
        fill(path[which], 1.0)


@njit(**INNER)
def linear_columns(tables, trials, s, layout, columns):
    """Fill the first columns with the linear terms."""
    n_arms, n_trials = tables.bias_value.size, columns.shape[2]
    path = np.zeros((n_arms, n_trials))
    for j in range(layout.linear.shape[0]):
        linear_path(tables, trials, s, layout, j, path)
        store(path, columns[j])


@njit(**INNER)
def tangent(value, x, r):
    """The tangent plane of the log-likelihood at logits x, at the origin."""
    for i in range(x.shape[0]):
        value -= dot(r[i], x[i])
    return value


@njit(**INNER)
def certificate(tables, trials, s, layout, active, box, columns, value, state, price, point):
    """The bound at the logits of `state`: concavity, prices over the continuum of rates, linear columns.

    Fills price (G,) and point (G, D), the highest price found of each active group and where.
    """
    x, _, r, _ = state
    bound = tangent(value, x, r)
    for g in range(layout.n_groups):
        if active[g]:
            most, price[g] = largest_price(tables, trials, s, layout, box, g, r, point[g])
            bound += group_value(layout, g, most)
    return bound + linear_value(layout, columns, r)


@njit(**INNER)
def linear_value(layout, columns, r):
    """What the linear columns add to the bound."""
    total, first = 0.0, (1 if columns.shape[1] == 1 else 0)
    for j in range(layout.linear.shape[0]):
        price = 0.0
        for i in range(columns.shape[1]):
            price += dot(r[first + i], columns[j, i])
        total += max(layout.linear_low[j] * price, layout.linear_high[j] * price)
    return total


@njit(**INNER)
def compress(columns, n, n_linear, coefficient, group, point):
    """Drop atoms without weight; returns how many columns are left."""
    kept = n_linear
    for k in range(n_linear, n):
        if coefficient[k] > 0.0:
            if kept < k:
                copy_rows(columns[k], columns[kept])
                coefficient[kept], group[kept] = coefficient[k], group[k]
                copy(point[k], point[kept])
            kept += 1
    return kept


@njit(**INNER)
def add_atom(tables, trials, s, layout, g, at, columns, n, group, point, path):
    """Put the path of group `g` at the point `at` (axes,) into column n."""
    group[n] = g
    for a in range(point.shape[1]):
        point[n, a] = at[a] if a < layout.n_axes[g] else np.nan
    path_of(tables, trials, s, layout, g, point[n], path)
    store(path, columns[n])


@njit(**INNER)
def first_columns(
    tables, trials, s, layout, active, box, columns, coefficient, low, high, group, point, path
):
    """Linear terms, and a few atoms for each active group; returns how many columns there are."""
    for k in range(coefficient.size):
        coefficient[k], group[k], low[k], high[k] = 0.0, -1, 0.0, np.inf
        fill(point[k], np.nan)
    linear_columns(tables, trials, s, layout, columns)
    n = layout.linear.shape[0]
    for j in range(n):
        low[j], high[j] = layout.linear_low[j], layout.linear_high[j]
        coefficient[j] = min(max(0.0, low[j]), high[j])
    at = np.empty(point.shape[1])
    for g in range(layout.n_groups):
        if active[g]:
            for k in range(layout.first.size):
                for a in range(at.size):
                    at[a] = box[0, g, a] + (box[1, g, a] - box[0, g, a]) * layout.first[k]
                if layout.ends[g]:
                    at[layout.n_axes[g] - 1] = box[k % 2, g, layout.n_axes[g] - 1]
                add_atom(tables, trials, s, layout, g, at, columns, n, group, point, path)
                coefficient[n] = layout.low[g] / layout.first.size
                n += 1
    return n


@njit(**INNER)
def add_peaks(tables, trials, s, layout, box, g, r, columns, n, coefficient, group, point, path):
    """Add the group's best new atoms; returns (columns, whether there was no room, the group's part of the bound)."""
    found, price = peaks(tables, trials, s, layout, box, g, r)
    paid = paid_price(coefficient, group, columns, r, n, g)
    added = 0
    for k in range(price.size):
        if added == ATOMS_PER_ROUND or layout.high[g] * (price[k] - paid) <= 0.1 * GAP:
            break
        if not _known(point, group, n, g, found[k]):
            if n == coefficient.size:
                return n, True, group_value(layout, g, price[0])
            add_atom(tables, trials, s, layout, g, found[k], columns, n, group, point, path)
            coefficient[n] = 0.0
            n, added = n + 1, added + 1
    return n, False, group_value(layout, g, price[0])


@njit(**INNER)
def add_moved(tables, trials, s, layout, box, columns, n, coefficient, group, point, scored, state, path):
    """Add atoms where a Newton step on all places and weights would put them; returns how many columns there are."""
    _, p, r, _ = state
    n_linear, total = layout.linear.shape[0], n
    for k in range(n_linear, n):
        total += n_moves(layout, group[k])
    if total == n or 2 * n - n_linear > coefficient.size:
        return n
    wide = np.empty((total, columns.shape[1], columns.shape[2]))
    for k in range(n):
        copy_rows(columns[k], wide[k])
    own, gradient, matrix = np.zeros((total, total)), np.zeros(total), np.empty((total, total))
    tangents(tables, trials, s, layout, n_linear, n, coefficient, group, point, r, wide, own, gradient)
    information(wide, p, one_if(scored), matrix)
    for a in range(total):
        add_scaled(matrix[a], 1.0, own[a])
    step, gain = newton_move(matrix, gradient, total)
    if not gain > 0.1 * GAP:
        return n
    at, place, end = np.empty(point.shape[1]), n, n
    for k in range(n_linear, n):
        g, live = group[k], n_moves(layout, group[k])
        moved_point(layout, box, g, point[k], step[place : place + live], at)
        place += live
        if not _known(point, group, end, g, at[: layout.n_axes[g]]):
            add_atom(tables, trials, s, layout, g, at, columns, end, group, point, path)
            coefficient[end] = 0.0
            end += 1
    return end


@njit(**INNER)
def generate(
    tables, trials, s, layout, active, box, columns, n, coefficient, low, high, group, point, data, state
):
    """Column generation from `n` columns: returns (columns, outcome, rounds); x, p, r are left in `state`."""
    group_low, group_high = layout.low[: layout.n_groups], layout.high[: layout.n_groups]
    x, _, r, _ = state
    path, n_linear = np.zeros(x.shape), layout.linear.shape[0]
    for rounds in range(1, MAX_ROUNDS + 1):
        value = solve_master(columns, n, coefficient, low, high, group, group_low, group_high, data, state)
        n = compress(columns, n, n_linear, coefficient, group, point)
        bound, before, crowded = tangent(value, x, r) + linear_value(layout, columns, r), n, False
        if rounds > 1:
            n = add_moved(
                tables, trials, s, layout, box, columns, n, coefficient, group, point, data[1], state, path
            )
        for g in range(layout.n_groups):
            if active[g]:
                n, full, part = add_peaks(
                    tables, trials, s, layout, box, g, r, columns, n, coefficient, group, point, path
                )
                crowded, bound = crowded or full, bound + part
        if bound - value <= GAP:
            return n, CONVERGED, rounds
        if n == before:
            return n, CROWDED if crowded else STALLED, rounds
    return n, UNFINISHED, MAX_ROUNDS


@njit(**INNER)
def add_missed(tables, trials, s, layout, active, columns, n, coefficient, group, point, r, price, where):
    """Add atoms that the search for peaks missed and the certificate came across; returns how many columns there are.

    price (G,), where (G, D): the highest price of each group found.
    """
    path = np.zeros(r.shape)
    for g in range(layout.n_groups):
        if active[g] and n < coefficient.size:
            paid = paid_price(coefficient, group, columns, r, n, g)
            at = where[g, : layout.n_axes[g]]
            if layout.high[g] * (price[g] - paid) > MISSED and not _known(point, group, n, g, at):
                add_atom(tables, trials, s, layout, g, at, columns, n, group, point, path)
                coefficient[n] = 0.0
                n += 1
    return n


@njit(**INNER)
def solve_subject(tables, trials, s, layout, active, box, coefficient, group, point, size):
    """Solve the relaxation of subject `s` with the `active` groups (G,) and their shape parameters in `box` (2, G, D).

    Fills coefficient, group (-1 = linear), point (K, D), and size (K,), what a column contributes to the logits: its
    coefficient times the root of its Fisher information. Returns (log-likelihood of the relaxation, bound, columns
    used, CONVERGED | STALLED | CROWDED | UNFINISHED, rounds).
    """
    rows = slice(trials.offset[s], trials.offset[s + 1])
    n_trials, n_arms = rows.stop - rows.start, tables.bias_value.size
    data = (trials.choice[rows], trials.scored[rows], trials.available[:, rows])
    x, p, r = np.zeros((n_arms, n_trials)), np.zeros((n_arms, n_trials)), np.zeros((n_arms, n_trials))
    state, path = (x, p, r, np.zeros((3, n_trials))), np.zeros((n_arms, n_trials))
    columns = np.zeros((coefficient.size, 1 if n_arms == 2 else n_arms, n_trials))
    low, high, n_linear = np.zeros(coefficient.size), np.empty(coefficient.size), layout.linear.shape[0]
    price, where = np.full(layout.n_groups, -np.inf), np.zeros((layout.n_groups, point.shape[1]))
    n = first_columns(
        tables, trials, s, layout, active, box, columns, coefficient, low, high, group, point, path
    )
    bound, rounds, value, outcome = np.inf, 0, -np.inf, UNFINISHED
    for _ in range(SECOND_LOOKS + 1):
        n, outcome, used = generate(
            tables,
            trials,
            s,
            layout,
            active,
            box,
            columns,
            n,
            coefficient,
            low,
            high,
            group,
            point,
            data,
            state,
        )
        n = compress(columns, n, n_linear, coefficient, group, point)
        combine(columns, n, coefficient, x)
        value = evaluate(data[0], data[1], data[2], x, p, r, state[3])
        above = certificate(tables, trials, s, layout, active, box, columns, value, state, price, where)
        bound, rounds = min(bound, above), rounds + used
        before = n
        n = add_missed(
            tables, trials, s, layout, active, columns, n, coefficient, group, point, r, price, where
        )
        if n == before:
            break
    contributions(columns, n, coefficient, p, data[1], size)
    # Log-probabilities are never positive, so 0 is a bound too; rounding may add its share of the terms.
    return value, min(bound + 1e-12 * (1.0 + abs(bound)), 0.0), n, outcome, rounds


@njit(**INNER)
def contributions(columns, n, coefficient, p, scored, size):
    """What each of n columns contributes to the logits, into size."""
    matrix = np.empty((n, n))
    information(columns, p, one_if(scored), matrix)
    for k in range(n):
        size[k] = abs(coefficient[k]) * np.sqrt(max(matrix[k, k], 0.0))


@njit(**INNER)
def paid_price(coefficient, group, columns, r, n, g):
    """The price that the group pays now: that of its atoms where its mass is at the upper bound, else 0."""
    first = 1 if columns.shape[1] == 1 else 0
    mass, paid = 0.0, 0.0
    for k in range(n):
        if group[k] == g and coefficient[k] > 0.0:
            for i in range(columns.shape[1]):
                paid += coefficient[k] * dot(r[first + i], columns[k, i])
            mass += coefficient[k]
    return paid / mass if mass > 0.0 else 0.0


@njit(**INNER)
def _known(point, group, n, g, candidate):
    """Whether the group has an atom at (nearly) this point (axes,) already."""
    for k in range(n):
        near = group[k] == g
        for a in range(candidate.size):
            scale = 1e-3 + min(abs(candidate[a]), abs(1.0 - candidate[a]))
            near = near and abs(point[k, a] - candidate[a]) <= 1e-9 * scale
        if near:
            return True
    return False


@njit(**JIT)
def solve_batch(
    tables, trials, tasks, subject, layout, active, box, coefficient, group, point, size, value, bound, n,
    outcome, rounds
):  # fmt: skip
    """`solve_subject` for an index array of tasks: task k is subject[k] with active[k] (G,) and box[k] (2, G, D)."""
    for k in tasks:
        value[k], bound[k], n[k], outcome[k], rounds[k] = solve_subject(
            tables, trials, subject[k], layout, active[k], box[k], coefficient[k], group[k], point[k], size[k]
        )


@njit(**JIT)
def weigh_batch(tables, trials, subjects, layout, chosen, low, high, points, coefficient, value):
    """Best coefficients of the `chosen` groups (C,), one atom each, and of the linear terms, at K places.

    points (S, K, C, D), NaN where there is nothing to try; low, high (C,) bound the coefficients. Fills coefficient
    (S, K, linear terms + C) and value (S, K), -inf where nothing was tried.
    """
    n_linear, no_groups = layout.linear.shape[0], np.empty(0)
    n, n_arms = n_linear + chosen.size, tables.bias_value.size
    lower, upper, group = np.empty(n), np.empty(n), np.empty(n, dtype=np.int64)
    for j in range(n):
        group[j] = -1
        lower[j] = layout.linear_low[j] if j < n_linear else low[j - n_linear]
        upper[j] = layout.linear_high[j] if j < n_linear else high[j - n_linear]
    for s in subjects:
        rows = slice(trials.offset[s], trials.offset[s + 1])
        n_trials = rows.stop - rows.start
        data = (trials.choice[rows], trials.scored[rows], trials.available[:, rows])
        x, p, r = np.zeros((n_arms, n_trials)), np.zeros((n_arms, n_trials)), np.zeros((n_arms, n_trials))
        state, path = (x, p, r, np.zeros((3, n_trials))), np.zeros((n_arms, n_trials))
        columns = np.zeros((n, 1 if n_arms == 2 else n_arms, n_trials))
        linear_columns(tables, trials, s, layout, columns)
        for k in range(points.shape[1]):
            value[s, k] = -np.inf
            if chosen.size > 0 and np.isnan(points[s, k, 0, 0]):
                continue
            for j in range(chosen.size):
                path_of(tables, trials, s, layout, chosen[j], points[s, k, j], path)
                store(path, columns[n_linear + j])
            # the first place starts from the coefficients handed over, the others from what it found
            for j in range(n):
                known = coefficient[s, max(k - 1, 0), j]
                coefficient[s, k, j] = min(max(known, lower[j]), upper[j])
            value[s, k] = solve_master(
                columns, n, coefficient[s, k], lower, upper, group, no_groups, no_groups, data, state
            )


@njit(**JIT)
def relaxed_logits(tables, trials, layout, subjects, coefficient, group, point, n, out):
    """Logits (m, n_trials) of the relaxed optimum; coefficient, group (S, K), point (S, K, D), n (S,)."""
    for s in subjects:
        rows = slice(trials.offset[s], trials.offset[s + 1])
        path = np.zeros((out.shape[0], rows.stop - rows.start))
        total = out[:, rows]
        fill_rows(total, 0.0)
        for k in range(n[s]):
            if group[s, k] >= 0:
                path_of(tables, trials, s, layout, group[s, k], point[s, k], path)
            else:
                linear_path(tables, trials, s, layout, k, path)
            for i in range(path.shape[0]):
                add_scaled(total[i], coefficient[s, k], path[i])
