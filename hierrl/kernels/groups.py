"""Groups of paths: a channel (of one arm if it is per arm) with a sign, as a function of its rate.

A group adds over its arms what `prices` and `walk` do for one. ``layout`` describes groups as arrays; see
`hierrl.convex.hull.Layout`. ``box`` (2, G) holds the smallest and largest rate of each group.
"""

from __future__ import annotations

import numpy as np

from hierrl.kernels.jit import njit
from hierrl.kernels.loops import INNER, fill_rows
from hierrl.kernels.prices import curvature_bound, parabola_bound, prices
from hierrl.kernels.rule import walk, walk_contexts

SLACK = 2.5e-5
"""Nats that a bound may leave between intervals of rates, per group."""
REFINEMENTS = 5
MAX_INTERVALS = 20_000


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
def rate_grid(layout, box, g):
    """Rates spread evenly in logit over the bounds of a group's rate, ends included."""
    grid = layout.grid
    rates = np.empty(grid.size)
    for k in range(grid.size):
        rates[k] = box[0, g] + (box[1, g] - box[0, g]) * grid[k]
    return rates


@njit(**INNER)
def largest(values):
    """The largest of some values."""
    best = -np.inf
    for k in range(values.size):
        best = values[k] if values[k] > best else best
    return best


@njit(**INNER)
def largest_price(tables, trials, s, layout, box, g, r):
    """An upper bound on the group's price over all rates: intervals are split until the slack they leave is
    small.
    """
    grid = rate_grid(layout, box, g)
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
def peaks(tables, trials, s, layout, box, g, r):
    """Rates at local maxima of the group's price and their prices, the highest first; refined by Newton in
    brackets.
    """
    rates = rate_grid(layout, box, g)
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
                walk_contexts(
                    kind, target, reset, trials.context[c, rows], n_contexts, shape, False, accumulate, out[i]
                )
            else:
                walk(kind, target, reset, shape, False, accumulate, out[i])
            if layout.sign[g] < 0.0:
                for t in range(out.shape[1]):
                    out[i, t] = -out[i, t]
