r"""The hull relaxation of one subject: column generation with an active-set Newton method, and its certificate.

The relaxed logits are :math:`x = \sum_g \sum_k w_{gk} F_g(a_{gk}) + \sum_j b_j E_j`. A *group* g is a channel (of one arm
if it is per arm) with a sign; its *atoms* are paths at some rates with weights ``w >= 0`` whose sum lies in
``[low_g, high_g]``. Linear columns E (biases, regressors, paths without a free rate) have coefficients in a box.

*Master*: the concave problem in the weights. *Pricing*: the rate at which a new atom would help most. *Certificate*: for
any logits x with residual r the concavity of the log-likelihood gives, for every x' in the hull,

.. math:: \ell(x') \le \ell(x) - \langle r, x\rangle + \sum_g \max(B_g M_g, L_g M_g) + \sum_j \max(l_j R_j, u_j R_j)

with :math:`M_g` an upper bound on the price over the continuum of rates (`hierrl.kernels.prices`) and R_j the price of a
column. It holds whatever the solver did.
"""

from __future__ import annotations

import numpy as np

from hierrl.kernels.jit import njit
from hierrl.kernels.likelihood import residuals, score, softmax
from hierrl.kernels.loops import INNER, JIT, add_scaled, copy, copy_rows, dot, dot3, fill, fill_rows, multiply
from hierrl.kernels.newton import cholesky, cholesky_solve
from hierrl.kernels.prices import curvature_bound, parabola_bound, prices
from hierrl.kernels.rule import walk, walk_contexts

CONVERGED, STALLED, CROWDED, UNFINISHED = range(4)
BIAS, REGRESSOR, FIXED_PATH = range(3)

GAP = 5e-5
"""Column generation stops when the bound on the grid is this close to the relaxed log-likelihood (nats)."""
SLACK = 2.5e-5
"""Nats that the certificate may leave between intervals, per group."""
MAX_ROUNDS = 60
MAX_MASTER = 50
ATOMS_PER_GROUP = 12
REFINEMENTS = 5
MAX_INTERVALS = 20_000
RELEASE = 1e-6
"""Nats that moving a held coefficient over its whole range must promise before it is let go."""
RIDGE = 1e-11
NEGLIGIBLE = 1e-12
"""Nats that a step of the quadratic program must promise."""


@njit(**INNER)
def price_group(tables, trials, s, layout, g, r, rates):
    """Price, slope and bend (3, G) of group `g` at `rates`, its sign included: r (m, T)."""
    out = np.zeros((3, rates.size))
    rows = slice(trials.offset[s], trials.offset[s + 1])
    c, accumulate = layout.channel[g], tables.accumulate[layout.channel[g]] == 1
    for i in range(r.shape[0]):
        if layout.arm[g] < 0 or layout.arm[g] == i:
            prices(
                trials.kind[c, i, rows], trials.target[c, i, rows], trials.reset[rows], trials.context[c, rows],
                tables.n_contexts[0], layout.shape[g], layout.free[g], accumulate, rates, r[i], out,
            )  # fmt: skip
    for j in range(3):
        for k in range(rates.size):
            out[j, k] *= layout.sign[g]
    return out


@njit(**INNER)
def bend_bound(tables, trials, s, layout, g, r, low, high):
    """Upper bounds (G,) on the second derivative of the group's price over intervals of rates."""
    out = np.zeros(low.size)
    rows = slice(trials.offset[s], trials.offset[s + 1])
    c, accumulate = layout.channel[g], tables.accumulate[layout.channel[g]] == 1
    signed = np.empty(r.shape[1])
    for i in range(r.shape[0]):
        if layout.arm[g] < 0 or layout.arm[g] == i:
            for t in range(signed.size):
                signed[t] = layout.sign[g] * r[i, t]
            curvature_bound(
                trials.kind[c, i, rows], trials.target[c, i, rows], trials.reset[rows], trials.context[c, rows],
                tables.n_contexts[0], layout.shape[g], layout.free[g], accumulate, low, high, signed, out,
            )  # fmt: skip
    return out


@njit(**INNER)
def group_value(layout, g, price):
    """What a group adds to the bound at this largest price."""
    return max(layout.high[g] * price, layout.low[g] * price)


@njit(**INNER)
def rate_grid(layout, g):
    """Rates spread evenly in logit over the bounds of a group's rate, ends included."""
    grid = layout.grid
    rates = np.empty(grid.size)
    for k in range(grid.size):
        rates[k] = layout.rate_low[g] + (layout.rate_high[g] - layout.rate_low[g]) * grid[k]
    return rates


@njit(**INNER)
def largest(values):
    """The largest of some values."""
    best = -np.inf
    for k in range(values.size):
        best = values[k] if values[k] > best else best
    return best


@njit(**INNER)
def largest_price(tables, trials, s, layout, g, r):
    """An upper bound on the group's price over all rates: intervals are split until the slack they leave is small."""
    grid = rate_grid(layout, g)
    low, high = grid[:-1].copy(), grid[1:].copy()
    best = largest(price_group(tables, trials, s, layout, g, r, grid)[0])
    bound, used = best, 0
    while low.size > 0:
        n = low.size
        centre, split = np.empty(n), np.empty(n, dtype=np.bool_)
        for k in range(n):
            centre[k] = 0.5 * (low[k] + high[k])
        used += n
        price = price_group(tables, trials, s, layout, g, r, centre)
        bend = bend_bound(tables, trials, s, layout, g, r, low, high)
        best = max(best, largest(price[0]))
        target = group_value(layout, g, best) + SLACK
        n_split = 0
        for k in range(n):
            end = parabola_bound(price[0, k], price[1, k], bend[k], centre[k], low[k], high[k])
            split[k] = used < MAX_INTERVALS and group_value(layout, g, end) > target
            n_split += split[k]
            if not split[k] and end > bound:
                bound = end
        low, high = halves(low, centre, high, split, n_split)
    return bound


@njit(**INNER)
def halves(low, centre, high, split, n_split):
    """Both halves of the intervals to split."""
    new_low, new_high, j = np.empty(2 * n_split), np.empty(2 * n_split), 0
    for k in range(low.size):
        if split[k]:
            new_low[j], new_high[j] = low[k], centre[k]
            new_low[j + 1], new_high[j + 1] = centre[k], high[k]
            j += 2
    return new_low, new_high


@njit(**INNER)
def peaks(tables, trials, s, layout, g, r):
    """Rates at local maxima of the group's price and their prices, the highest first; refined by Newton in brackets."""
    rates = rate_grid(layout, g)
    price = price_group(tables, trials, s, layout, g, r, rates)[0]
    n, count = rates.size, 0
    found, low, high, best, best_price = np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    for k in range(n):
        if (k == 0 or price[k] >= price[k - 1]) and (k == n - 1 or price[k] > price[k + 1]):
            found[count] = best[count] = rates[k]
            best_price[count] = price[k]
            low[count], high[count] = rates[max(k - 1, 0)], rates[min(k + 1, n - 1)]
            count += 1
    found = found[:count]
    for _ in range(REFINEMENTS):
        here = price_group(tables, trials, s, layout, g, r, found)
        for k in range(count):
            if here[0, k] > best_price[k]:
                best[k], best_price[k] = found[k], here[0, k]
            if here[1, k] > 0.0:
                low[k] = found[k]
            else:
                high[k] = found[k]
            step = found[k] - here[1, k] / here[2, k] if here[2, k] < 0.0 else 0.5 * (low[k] + high[k])
            found[k] = step if low[k] < step < high[k] else 0.5 * (low[k] + high[k])
    best, best_price = best[:count], best_price[:count]
    sort_descending(best_price, best)
    return best, best_price


@njit(**INNER)
def sort_descending(key, value):
    """Sort both by `key`, in place; there are a handful."""
    for a in range(1, key.size):
        b = a
        while b > 0 and key[b] > key[b - 1]:
            key[b], key[b - 1] = key[b - 1], key[b]
            value[b], value[b - 1] = value[b - 1], value[b]
            b -= 1


@njit(**INNER)
def path_of(tables, trials, s, layout, g, rate, out):
    """Signed paths (m, T) of a group at a rate; arms outside the group get 0."""
    rows = slice(trials.offset[s], trials.offset[s + 1])
    c = layout.channel[g]
    shape = np.empty(layout.shape.shape[1])
    for role in range(shape.size):
        shape[role] = rate if layout.free[g, role] else layout.shape[g, role]
    fill_rows(out, 0.0)
    for i in range(out.shape[0]):
        if layout.arm[g] < 0 or layout.arm[g] == i:
            kind, target, reset = trials.kind[c, i, rows], trials.target[c, i, rows], trials.reset[rows]
            accumulate, n_contexts = tables.accumulate[c] == 1, tables.n_contexts[0]
            if n_contexts > 1:
                walk_contexts(kind, target, reset, trials.context[c, rows], n_contexts, shape, False, accumulate, out[i])
            else:
                walk(kind, target, reset, shape, False, accumulate, out[i])
            if layout.sign[g] < 0.0:
                for t in range(out.shape[1]):
                    out[i, t] = -out[i, t]


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
    """Negative Hessian (n, n) of the log-likelihood in the first n coefficients; weight (T,) is 1 on scored trials."""
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
def direction(matrix, gradient, group, tight, n_groups, step, multiplier):
    """Newton step of the free coefficients, keeping the sums of tight groups: fills step (n,), multiplier (groups,)."""
    n = gradient.size
    largest = 1e-12
    for a in range(n):
        largest = max(largest, matrix[a, a])
    ridge = RIDGE * largest
    factor = np.empty((n, n))
    while True:
        copy_rows(matrix, factor)
        for a in range(n):
            factor[a, a] += ridge
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
    for g in range(n_groups):
        if rows[g] >= 0:
            multiplier[g] = right[rows[g]]


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
    """Maximise ``gradient' d - d' matrix d / 2`` over feasible ``coefficient + d``, into out (n,): primal active set."""
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
            out[blocker] = low[blocker] if out[blocker] - low[blocker] < high[blocker] - out[blocker] else high[blocker]
            held[blocker] = True
        elif crowded >= 0:
            tight[crowded] = 1 if change > 0.0 else -1


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
    value = evaluate(choice, scored, available, x, p, r, work)
    for _ in range(MAX_MASTER):
        for k in range(n):
            gradient[k] = 0.0
            for i in range(columns.shape[1]):
                gradient[k] += dot(r[first + i], columns[k, i])
        information(columns, p, weight, matrix)
        solve_quadratic(matrix, gradient, coefficient[:n], low[:n], high[:n], group[:n], group_low, group_high, goal)
        copy(goal, step)
        add_scaled(step, -1.0, coefficient[:n])
        predicted = dot(gradient, step)
        if not predicted > 1e-9 * (1.0 + abs(value)):
            break
        combine(columns, n, step, change)
        size, reached = 1.0, value
        for _ in range(50):
            copy_rows(x, trial)
            for i in range(x.shape[0]):
                add_scaled(trial[i], size, change[i])
            reached = evaluate(choice, scored, available, trial, p, r, work)
            if reached >= value + 1e-4 * size * predicted:
                break
            size *= 0.5
        if not reached > value:
            break
        copy_rows(trial, x)
        value = reached
        if size == 1.0:
            copy(goal, coefficient[:n])
        else:
            add_scaled(coefficient[:n], size, step)
    combine(columns, n, coefficient, x)
    return evaluate(choice, scored, available, x, p, r, work)


@njit(**INNER)
def linear_path(tables, trials, s, layout, j, path):
    """What linear term `j` adds to the logits (m, T) per unit: a bias, a regressor, or a path without a free rate."""
    kind, which = layout.linear[j, 0], layout.linear[j, 1]
    if kind == FIXED_PATH:
        path_of(tables, trials, s, layout, which, 0.0, path)
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
def certificate(tables, trials, s, layout, active, columns, value, state):
    """The bound at the logits of `state`: concavity, prices over the continuum of rates, linear columns."""
    x, _, r, _ = state
    bound = value
    for i in range(x.shape[0]):
        bound -= dot(r[i], x[i])
    for g in range(layout.n_groups):
        if active[g]:
            bound += group_value(layout, g, largest_price(tables, trials, s, layout, g, r))
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
def compress(columns, n, n_linear, coefficient, group, rate):
    """Drop atoms without weight; returns how many columns are left."""
    kept = n_linear
    for k in range(n_linear, n):
        if coefficient[k] > 0.0:
            if kept < k:
                copy_rows(columns[k], columns[kept])
                coefficient[kept], group[kept], rate[kept] = coefficient[k], group[k], rate[k]
            kept += 1
    return kept


@njit(**INNER)
def solve_subject(tables, trials, s, layout, active, coefficient, group, rate, size):
    """Solve the relaxation of subject `s` with the `active` groups.

    Fills coefficient, group (-1 = linear), rate (K,), and size (K,), what a column contributes to the logits (the root
    of its Fisher information times its coefficient); returns (log-likelihood of the relaxation, bound, columns used,
    CONVERGED | STALLED | CROWDED | UNFINISHED, rounds).
    """
    rows = slice(trials.offset[s], trials.offset[s + 1])
    n_trials, n_arms = rows.stop - rows.start, tables.bias_value.size
    data = (trials.choice[rows], trials.scored[rows], trials.available[:, rows])
    state = (np.zeros((n_arms, n_trials)), np.zeros((n_arms, n_trials)), np.zeros((n_arms, n_trials)), np.zeros((3, n_trials)))
    room_for, n_linear = coefficient.size, layout.linear.shape[0]
    columns = np.zeros((room_for, 1 if n_arms == 2 else n_arms, n_trials))
    low, high = np.zeros(room_for), np.empty(room_for)
    for k in range(room_for):
        coefficient[k], group[k], rate[k], high[k] = 0.0, -1, np.nan, np.inf
    linear_columns(tables, trials, s, layout, columns)
    for j in range(n_linear):
        low[j], high[j] = layout.linear_low[j], layout.linear_high[j]
        coefficient[j] = min(max(0.0, low[j]), high[j])
    n = n_linear
    path = np.zeros((n_arms, n_trials))
    group_low, group_high = layout.low[: layout.n_groups], layout.high[: layout.n_groups]
    for g in range(layout.n_groups):
        if not active[g]:
            continue
        for k in range(layout.first.size):
            rate[n] = layout.rate_low[g] + (layout.rate_high[g] - layout.rate_low[g]) * layout.first[k]
            group[n], coefficient[n] = g, group_low[g] / layout.first.size
            path_of(tables, trials, s, layout, g, rate[n], path)
            store(path, columns[n])
            n += 1
    outcome, rounds, value = UNFINISHED, 0, 0.0
    for rounds in range(1, MAX_ROUNDS + 1):
        value = solve_master(columns, n, coefficient, low, high, group, group_low, group_high, data, state)
        n = compress(columns, n, n_linear, coefficient, group, rate)
        x, _, r, _ = state
        bound = value + linear_value(layout, columns, r)
        for i in range(n_arms):
            bound -= dot(r[i], x[i])
        added, full = 0, False
        for g in range(layout.n_groups):
            if not active[g]:
                continue
            found, price = peaks(tables, trials, s, layout, g, r)
            bound += group_value(layout, g, price[0])
            added_here = 0
            for k in range(found.size):
                if added_here == 2 or group_high[g] * (price[k] - _mean_price(coefficient, group, columns, r, n - added_here, g)) <= 0.1 * GAP:
                    break
                if _known(rate, group, n, g, found[k]):
                    continue
                if n == room_for:
                    full = True
                    break
                rate[n], group[n], coefficient[n] = found[k], g, 0.0
                path_of(tables, trials, s, layout, g, found[k], path)
                store(path, columns[n])
                n, added, added_here = n + 1, added + 1, added_here + 1
        if bound - value <= GAP:
            outcome = CONVERGED
            break
        if added == 0:
            outcome = CROWDED if full else STALLED
            break
    n = compress(columns, n, n_linear, coefficient, group, rate)
    combine(columns, n, coefficient, state[0])
    value = evaluate(data[0], data[1], data[2], state[0], state[1], state[2], state[3])
    matrix = np.empty((n, n))
    information(columns, state[1], one_if(data[1]), matrix)
    for k in range(n):
        size[k] = abs(coefficient[k]) * np.sqrt(max(matrix[k, k], 0.0))
    bound = certificate(tables, trials, s, layout, active, columns, value, state)
    # Log-probabilities are never positive, so 0 is a bound too; rounding may add its share of the terms.
    return value, min(bound + 1e-12 * (1.0 + abs(bound)), 0.0), n, outcome, rounds


@njit(**INNER)
def _mean_price(coefficient, group, columns, r, n, g):
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
def _known(rate, group, n, g, candidate):
    """Whether the group has an atom at (nearly) this rate already."""
    for k in range(n):
        if group[k] == g and abs(rate[k] - candidate) <= 1e-9 * (1e-3 + min(candidate, 1.0 - candidate)):
            return True
    return False


@njit(**JIT)
def solve_batch(
    tables, trials, tasks, subject, layout, active, coefficient, group, rate, size, value, bound, n, outcome, rounds
):
    """`solve_subject` for an index array of tasks: task k is subject[k] with the groups active[k]."""
    for k in tasks:
        value[k], bound[k], n[k], outcome[k], rounds[k] = solve_subject(
            tables, trials, subject[k], layout, active[k], coefficient[k], group[k], rate[k], size[k]
        )


@njit(**JIT)
def relaxed_logits(tables, trials, layout, subjects, coefficient, group, rate, n, out):
    """Logits (m, n_trials) of the relaxed optimum, arm by arm; coefficient, group, rate (S, K), n (S,)."""
    for s in subjects:
        rows = slice(trials.offset[s], trials.offset[s + 1])
        path = np.zeros((out.shape[0], rows.stop - rows.start))
        total = out[:, rows]
        fill_rows(total, 0.0)
        for k in range(n[s]):
            if group[s, k] >= 0:
                path_of(tables, trials, s, layout, group[s, k], rate[s, k], path)
            else:
                linear_path(tables, trials, s, layout, k, path)
            for i in range(path.shape[0]):
                add_scaled(total[i], coefficient[s, k], path[i])
