"""Groups of paths: a channel (of one arm if it is per arm) with a sign, as a function of its shape parameters.

A group adds over its arms what `prices` and `walk` do for one. ``layout`` describes groups as arrays; see
`hierrl.convex.layout.Layout`. ``box`` (2, G, D) holds the smallest and largest shape parameters of each group.

Most groups lie along a *line*: one rate, and perhaps a start value in which the path is affine, so that the ends of
its interval stand for all between. The others have several axes and go to `hierrl.kernels.planes`.
"""

from __future__ import annotations

import numpy as np

from hierrl.kernels.boxes import by_role
from hierrl.kernels.jit import njit
from hierrl.kernels.learners import walk_values
from hierrl.kernels.loops import INNER, copy, fill, fill_rows
from hierrl.kernels.planes import (
    descending,
    has_arm,
    plane_bound,
    plane_peaks,
    plane_prices,
    raised_of,
    target_of,
)
from hierrl.kernels.prices import curvature_bound, parabola_bound, prices
from hierrl.kernels.rule import walk_path
from hierrl.kernels.subdivide import between
from hierrl.kernels.tables import START
from hierrl.models.learners import DELTA

SLACK = 2.5e-5
"""Nats that a bound may leave between intervals of rates, per group along a line."""
PLANE_SLACK = 2e-4
"""The same for groups with several axes, whose intervals are many."""
POWER_SLACK = 2e-2
"""The same for groups with an exponent, where mixtures lie above the model by a nat or so and weights may be large."""
REFINEMENTS = 3
REFINED = 4
"""Steps of Newton's method towards each of so many peaks."""
COARSE = 3
"""Steps of the grid in one interval that the certificate begins with."""
MAX_INTERVALS = 20_000


@njit(**INNER)
def line_shape(layout, g, start):
    """Constants by role (roles + 1,) of a group along a line, with this start value if it is an axis."""
    shape = np.empty(layout.shape.shape[1])
    copy(layout.shape[g], shape)
    if layout.axis[g, START] >= 0:
        shape[START] = start
    return shape


@njit(**INNER)
def on_line(layout, g):
    """By role (roles + 1,), whether it has the rate of the line."""
    out = np.empty(layout.axis.shape[1], dtype=np.bool_)
    for role in range(out.size):
        out[role] = layout.axis[g, role] == 0
    return out


@njit(**INNER)
def n_ends(layout, box, g):
    """How many start values atoms of a group need: both ends of their interval where the path is affine in it."""
    a = layout.axis[g, START]
    return 2 if layout.ends[g] and box[1, g, a] > box[0, g, a] else 1


@njit(**INNER)
def box_at_end(layout, box, g, end):
    """Corners (D,) of a group's box, the start value held at one end (0 or 1) where that is enough."""
    n = layout.n_axes[g]
    low, high = np.empty(n), np.empty(n)
    for a in range(n):
        low[a], high[a] = box[0, g, a], box[1, g, a]
    if layout.ends[g]:
        low[n - 1] = high[n - 1] = box[end, g, n - 1]
    return low, high


@njit(**INNER)
def price_line(tables, trials, s, layout, g, start, r, rates):
    """Price, slope and bend (3, N) of group `g` at `rates` and a start value, its sign included: r (m, T)."""
    out = np.zeros((3, rates.size))
    shape, free = line_shape(layout, g, start), on_line(layout, g)
    rows = slice(trials.offset[s], trials.offset[s + 1])
    c, accumulate = layout.channel[g], tables.accumulate[layout.channel[g]] == 1
    for i in range(r.shape[0]):
        if has_arm(layout, g, i):
            prices(
                trials.kind[c, i, rows], target_of(trials, layout, g, i, rows), trials.reset[rows],
                trials.context[c, rows],
                tables.n_contexts[0], shape, free, accumulate, rates, r[i], out,
            )  # fmt: skip
    for j in range(3):
        for k in range(rates.size):
            out[j, k] *= layout.sign[g]
    return out


@njit(**INNER)
def bend_bound(tables, trials, s, layout, g, start, r, low, high):
    """Upper bounds (N,) on the second derivative of the group's price over intervals of rates."""
    out = np.zeros(low.size)
    shape, free = line_shape(layout, g, start), on_line(layout, g)
    rows = slice(trials.offset[s], trials.offset[s + 1])
    c, accumulate = layout.channel[g], tables.accumulate[layout.channel[g]] == 1
    signed = np.empty(r.shape[1])
    for i in range(r.shape[0]):
        if has_arm(layout, g, i):
            for t in range(signed.size):
                signed[t] = layout.sign[g] * r[i, t]
            curvature_bound(
                trials.kind[c, i, rows], target_of(trials, layout, g, i, rows), trials.reset[rows],
                trials.context[c, rows],
                tables.n_contexts[0], shape, free, accumulate, low, high, signed, out,
            )  # fmt: skip
    return out


@njit(**INNER)
def group_value(layout, g, price):
    """What a group adds to the bound at this largest price."""
    return max(layout.high[g] * price, layout.low[g] * price)


@njit(**INNER)
def rate_grid(layout, low, high):
    """Rates in [low, high], spread evenly in logit if that is [0, 1], ends included."""
    grid = layout.grid
    rates = np.empty(grid.size)
    for k in range(grid.size):
        rates[k] = between(low, high, grid[k])
    return rates


@njit(**INNER)
def largest(price, rate, best, where):
    """The highest of the best price so far and these, and its rate."""
    for k in range(price.size):
        if price[k] > best:
            best, where = price[k], rate[k]
    return best, where


@njit(**INNER)
def largest_price(tables, trials, s, layout, box, g, r, point):
    """An upper bound on the group's price over its box, and the highest price found, at `point` (D,)."""
    bound, best = -np.inf, -np.inf
    for end in range(n_ends(layout, box, g)):
        low, high = box_at_end(layout, box, g, end)
        at = low.copy()
        if layout.curved[g]:
            nats = POWER_SLACK if tables.power[layout.channel[g]] == 1 else PLANE_SLACK
            slack = nats / max(layout.high[g], 1e-12)
            above, price = plane_bound(tables, trials, s, layout, low, high, g, r, slack, at)
        else:
            above, price, at[0] = line_bound(tables, trials, s, layout, low, high, g, r)
        bound = max(bound, above)
        if price > best:
            best = price
            for a in range(at.size):
                point[a] = at[a]
    return bound, best


@njit(**INNER)
def line_bound(tables, trials, s, layout, bottom, top, g, r):
    """An upper bound on the price over an interval of rates, the highest price found, and its rate.

    Intervals are split until the slack they leave is small.
    """
    grid, start = rate_grid(layout, bottom[0], top[0]), bottom[-1]
    low, high = coarse_intervals(grid)
    best, where = largest(grid_prices(tables, trials, s, layout, g, start, r, grid), grid, -np.inf, grid[0])
    bound, used = best, 0
    while low.size > 0:
        n = low.size
        centre, split = np.empty(n), np.empty(n, dtype=np.bool_)
        for k in range(n):
            centre[k] = 0.5 * (low[k] + high[k])
        used += n
        price = price_line(tables, trials, s, layout, g, start, r, centre)
        bend = bend_bound(tables, trials, s, layout, g, start, r, low, high)
        best, where = largest(price[0], centre, best, where)
        target = group_value(layout, g, best) + SLACK
        n_split = 0
        for k in range(n):
            end = parabola_bound(price[0, k], price[1, k], bend[k], centre[k], low[k], high[k])
            split[k] = used < MAX_INTERVALS and group_value(layout, g, end) > target
            n_split += split[k]
            if not split[k] and end > bound:
                bound = end
        low, high = halves(low, centre, high, split, n_split)
    return bound, best, where


@njit(**INNER)
def grid_prices(tables, trials, s, layout, g, start, r, rates):
    """Prices (N,) of group `g` at `rates` and a start value."""
    points = np.empty((layout.n_axes[g], rates.size))
    for a in range(points.shape[0]):
        fill(points[a], start)
    copy(rates, points[0])
    return plane_prices(tables, trials, s, layout, g, r, points)


@njit(**INNER)
def coarse_intervals(grid):
    """Intervals that cover a grid, a few of its steps each."""
    n = (grid.size - 2 + COARSE) // COARSE
    low, high = np.empty(n), np.empty(n)
    for k in range(n):
        low[k], high[k] = grid[k * COARSE], grid[min((k + 1) * COARSE, grid.size - 1)]
    return low, high


@njit(**INNER)
def keep_highest(count, found, low, high, best, best_price):
    """Move the highest few of `count` peaks to the front; returns how many."""
    kept = min(count, REFINED)
    for j in range(kept):
        top = j
        for k in range(j + 1, count):
            top = k if best_price[k] > best_price[top] else top
        found[j], found[top] = found[top], found[j]
        low[j], low[top] = low[top], low[j]
        high[j], high[top] = high[top], high[j]
        best[j], best[top] = best[top], best[j]
        best_price[j], best_price[top] = best_price[top], best_price[j]
    return kept


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
    """Points (K, D) at local maxima of the group's price and their prices (K,), the highest first."""
    point, price = np.empty((0, layout.n_axes[g])), np.empty(0)
    for end in range(n_ends(layout, box, g)):
        low, high = box_at_end(layout, box, g, end)
        if layout.curved[g]:
            more, their_price = plane_peaks(tables, trials, s, layout, low, high, g, r)
        else:
            more, their_price = line_peaks(tables, trials, s, layout, low, high, g, r)
        point, price = stacked(point, price, more, their_price)
    order = descending(price)
    sorted_point, sorted_price = np.empty(point.shape), np.empty(price.size)
    for k in range(order.size):
        sorted_price[k] = price[order[k]]
        copy(point[order[k]], sorted_point[k])
    return sorted_point, sorted_price


@njit(**INNER)
def stacked(point, price, more, their_price):
    """Points (K, D) with prices (K,) of two lots as one."""
    n = price.size
    points, prices = np.empty((n + their_price.size, point.shape[1])), np.empty(n + their_price.size)
    for k in range(prices.size):
        prices[k] = price[k] if k < n else their_price[k - n]
        copy(point[k] if k < n else more[k - n], points[k])
    return points, prices


@njit(**INNER)
def line_peaks(tables, trials, s, layout, bottom, top, g, r):
    """Local maxima of the price along the rate, refined by Newton's method in brackets: points (K, D), prices (K,)."""
    rates, start = rate_grid(layout, bottom[0], top[0]), bottom[-1]
    price = grid_prices(tables, trials, s, layout, g, start, r, rates)
    n, count = rates.size, 0
    found, low, high, best, best_price = np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    for k in range(n):
        if (k == 0 or price[k] >= price[k - 1]) and (k == n - 1 or price[k] > price[k + 1]):
            found[count] = best[count] = rates[k]
            best_price[count] = price[k]
            low[count], high[count] = rates[max(k - 1, 0)], rates[min(k + 1, n - 1)]
            count += 1
    count = keep_highest(count, found, low, high, best, best_price)
    found = found[:count]
    for _ in range(REFINEMENTS):
        here = price_line(tables, trials, s, layout, g, start, r, found)
        for k in range(count):
            if here[0, k] > best_price[k]:
                best[k], best_price[k] = found[k], here[0, k]
            if here[1, k] > 0.0:
                low[k] = found[k]
            else:
                high[k] = found[k]
            step = found[k] - here[1, k] / here[2, k] if here[2, k] < 0.0 else 0.5 * (low[k] + high[k])
            found[k] = step if low[k] < step < high[k] else 0.5 * (low[k] + high[k])
    out = np.empty((count, layout.n_axes[g]))
    for k in range(count):
        fill(out[k], start)
        out[k, 0] = best[k]
    return out, best_price[:count].copy()


@njit(**INNER)
def path_of(tables, trials, s, layout, g, point, out):
    """Signed paths (m, T) of a group at a point (D,); arms outside the group get 0."""
    rows = slice(trials.offset[s], trials.offset[s + 1])
    c = layout.channel[g]
    shape = by_role(layout.shape[g], layout.axis[g], point.reshape(-1, 1))[:, 0].copy()
    split = tables.split[c] == 1
    fill_rows(out, 0.0)
    for i in range(out.shape[0]):
        if has_arm(layout, g, i):
            kind, target = trials.kind[c, i, rows], raised_of(tables, trials, layout, g, i, rows, shape)
            reset, context, n_contexts = trials.reset[rows], trials.context[c, rows], tables.n_contexts[0]
            if tables.learner[c] != DELTA:
                walk_values(tables.learner[c], kind, target, reset, context, n_contexts, shape, out[i])
            else:
                accumulate = tables.accumulate[c] == 1
                walk_path(kind, target, reset, context, n_contexts, shape, split, accumulate, out[i])
            if layout.sign[g] < 0.0:
                for t in range(out.shape[1]):
                    out[i, t] = -out[i, t]
