"""The price of a group of paths along several axes: where it peaks, and an upper bound on it over a box.

For groups along a line see `hierrl.kernels.groups`, which sends those with several axes here.
"""

from __future__ import annotations

import numpy as np

from hierrl.kernels.boxes import INSIDE, SMOOTH, box_prices, by_role, point_prices, slope_prices
from hierrl.kernels.jit import njit
from hierrl.kernels.loops import INNER, add_scaled, copy, dot, fill, fill_rows
from hierrl.kernels.newton import newton_step
from hierrl.kernels.rule import curvature, pair, powers, sensitivity, walk_path
from hierrl.kernels.subdivide import (
    adjacent,
    bisect,
    box_bound,
    centres,
    first_boxes,
    grid_points,
    joined,
    live_axes,
    picked,
    sharpen,
    shrink,
    ticks,
    worst,
)
from hierrl.kernels.tables import EXPONENT

POINTS = 256
"""Points of the grid that peaks are looked for on, at most."""
MAX_PEAKS = 3
CLIMBS = 6
HALVINGS = 8
SETTLED = 1e-9
"""Gain in price, relative to its size, below which a peak is found."""
MAX_BOXES = 6_000
BLOCK = 256
"""Boxes that are enclosed at once: so many that their state fits the cache."""


@njit(**INNER)
def has_arm(layout, g, i):
    """Whether arm i has a path of its own in group g: where arms are paired, the second has that of both."""
    if layout.paired[g]:
        return i == 1
    return layout.arm[g] < 0 or layout.arm[g] == i


@njit(**INNER)
def target_of(trials, layout, g, i, rows):
    """What the path of arm i moves toward (T,); of paired arms, the difference."""
    if layout.paired[g]:
        return layout.difference[layout.channel[g], rows]
    return trials.target[layout.channel[g], i, rows]


@njit(**INNER)
def sizes_of(tables, trials, layout, g, i, rows):
    """Logs of what the targets of arm i are powers of (T,), or nothing (0,)."""
    c = layout.channel[g]
    return trials.log_size[c, i, rows] if tables.power[c] == 1 else trials.log_size[c, i, :0]


@njit(**INNER)
def raised_of(tables, trials, layout, g, i, rows, shape):
    """What the path of arm i moves toward (T,) at this shape."""
    target = target_of(trials, layout, g, i, rows)
    if tables.power[layout.channel[g]] == 0:
        return target
    out = np.empty(target.size)
    powers(target, sizes_of(tables, trials, layout, g, i, rows), shape[EXPONENT], out)
    return out


@njit(**INNER)
def plane_prices(tables, trials, s, layout, g, r, points):
    """Prices (N,) of group `g` at points (D, N), its sign included: r (m, T)."""
    out = np.zeros(points.shape[1])
    rows = slice(trials.offset[s], trials.offset[s + 1])
    c = layout.channel[g]
    rates = by_role(layout.shape[g], layout.axis[g], points)
    for i in range(r.shape[0]):
        if has_arm(layout, g, i):
            point_prices(
                trials.kind[c, i, rows], target_of(trials, layout, g, i, rows),
                sizes_of(tables, trials, layout, g, i, rows), trials.reset[rows], trials.context[c, rows],
                tables.n_contexts[0], rates, tables.split[c] == 1, tables.accumulate[c] == 1, r[i], out,
            )  # fmt: skip
    for k in range(out.size):
        out[k] *= layout.sign[g]
    return out


@njit(**INNER)
def centre_prices(tables, trials, s, layout, g, signed, points):
    """Prices (N,) and slopes (D, N) at points (D, N); signed (m, T) = sign * residuals."""
    price, slope = np.zeros(points.shape[1]), np.zeros(points.shape)
    rows = slice(trials.offset[s], trials.offset[s + 1])
    c = layout.channel[g]
    for first in range(0, price.size, BLOCK):
        block = slice(first, min(first + BLOCK, price.size))
        rates = by_role(layout.shape[g], layout.axis[g], points[:, block])
        for i in range(signed.shape[0]):
            if has_arm(layout, g, i):
                slope_prices(
                    trials.kind[c, i, rows], target_of(trials, layout, g, i, rows),
                    sizes_of(tables, trials, layout, g, i, rows), trials.reset[rows],
                    trials.context[c, rows], tables.n_contexts[0], rates, layout.axis[g], points.shape[0],
                    tables.split[c] == 1, tables.accumulate[c] == 1, signed[i], price[block], slope[:, block],
                )  # fmt: skip
    return price, slope


@njit(**INNER)
def enclose(tables, trials, s, layout, g, signed, low, high):
    """Enclosures over boxes low, high (D, N): price (2, N), slopes (2, D, N), bends (2, pairs, N), and kinks (N,).

    The kinks are those of `hierrl.kernels.boxes`: SMOOTH, ON_EDGE, INSIDE.

    signed (m, T) = sign * residuals.
    """
    n_axes, n = low.shape
    value, slope, bend = np.zeros((2, n)), np.zeros((2, n_axes, n)), np.zeros((2, pair(n_axes, 0), n))
    kinks = np.zeros(n, dtype=np.int64)
    rows = slice(trials.offset[s], trials.offset[s + 1])
    c = layout.channel[g]
    for first in range(0, n, BLOCK):
        block = slice(first, min(first + BLOCK, n))
        bottom = by_role(layout.shape[g], layout.axis[g], low[:, block])
        top = by_role(layout.shape[g], layout.axis[g], high[:, block])
        for i in range(signed.shape[0]):
            if has_arm(layout, g, i):
                box_prices(
                    trials.kind[c, i, rows], target_of(trials, layout, g, i, rows),
                    sizes_of(tables, trials, layout, g, i, rows), trials.reset[rows],
                    trials.context[c, rows], tables.n_contexts[0], bottom, top, layout.axis[g], n_axes,
                    tables.split[c] == 1, tables.accumulate[c] == 1, signed[i], value[:, block],
                    slope[:, :, block], bend[:, :, block], kinks[block],
                )  # fmt: skip
    for k in range(n):
        if layout.sure[g]:
            kinks[k] = SMOOTH
    return value, slope, bend, kinks


@njit(**INNER)
def price_at(tables, trials, s, layout, g, r, point, slope, gradient, hessian):
    """Price of group `g` at one point (D,), with its derivatives where the path has them.

    Fills slope (D, m, T), the derivatives of the path, and gradient (D,) and hessian (D, D) of the price.
    """
    rows = slice(trials.offset[s], trials.offset[s + 1])
    c, n_axes = layout.channel[g], gradient.size
    split, accumulate, n_contexts = tables.split[c] == 1, tables.accumulate[c] == 1, tables.n_contexts[0]
    shape, axis = by_role(layout.shape[g], layout.axis[g], point.reshape(-1, 1))[:, 0].copy(), layout.axis[g]
    reset, context = trials.reset[rows], trials.context[c, rows]
    n_trials = r.shape[1]
    path, own = np.empty(n_trials), np.empty((n_axes, n_trials))
    bend = np.empty((pair(n_axes, 0), n_trials))
    value = 0.0
    fill(gradient, 0.0)
    fill_rows(hessian, 0.0)
    for a in range(n_axes):
        fill_rows(slope[a], 0.0)
    for i in range(r.shape[0]):
        if not has_arm(layout, g, i):
            continue
        kind, target = trials.kind[c, i, rows], raised_of(tables, trials, layout, g, i, rows, shape)
        size = sizes_of(tables, trials, layout, g, i, rows)
        walk_path(kind, target, reset, context, n_contexts, shape, split, accumulate, path)
        sensitivity(kind, target, size, reset, context, n_contexts, shape, axis, split, accumulate, path, own)
        curvature(
            kind, target, size, reset, context, n_contexts, shape, axis, split, accumulate, path, own, bend
        )
        value += dot(r[i], path)
        for a in range(n_axes):
            add_scaled(slope[a, i], layout.sign[g], own[a])
            gradient[a] += dot(r[i], own[a])
            for b in range(a + 1):
                hessian[a, b] += dot(r[i], bend[pair(a, b)])
    for a in range(n_axes):
        gradient[a] *= layout.sign[g]
        for b in range(a + 1):
            hessian[a, b] *= layout.sign[g]
            hessian[b, a] = hessian[a, b]
    return layout.sign[g] * value


@njit(**INNER)
def climb_price(tables, trials, s, layout, low, high, g, r, point):
    """Local maximum of the price over a box by projected Newton steps from `point` (D,), in place."""
    n = point.size
    gradient, hessian, step = np.empty(n), np.empty((n, n)), np.empty(n)
    width, moves, tried = np.empty(n), np.empty(n, dtype=np.bool_), np.empty((n, 1))
    slope = np.empty((n, r.shape[0], r.shape[1]))
    for a in range(n):
        width[a] = max(high[a] - low[a], 1e-12)
    value = price_at(tables, trials, s, layout, g, r, point, slope, gradient, hessian)
    for _ in range(CLIMBS):
        for a in range(n):
            at_low, at_high = point[a] <= low[a], point[a] >= high[a]
            moves[a] = not (at_low and gradient[a] <= 0.0) and not (at_high and gradient[a] >= 0.0)
        newton_step(gradient, hessian, moves, width, step)
        if not dot(gradient, step) > SETTLED * (1.0 + abs(value)):
            break
        size, better = 1.0, False
        for _ in range(HALVINGS):
            for a in range(n):
                tried[a, 0] = min(max(point[a] + size * step[a], low[a]), high[a])
            if plane_prices(tables, trials, s, layout, g, r, tried)[0] > value:
                better = True
                break
            size *= 0.3
        if not better:
            break
        for a in range(n):
            point[a] = tried[a, 0]
        value = price_at(tables, trials, s, layout, g, r, point, slope, gradient, hessian)
    return value


@njit(**INNER)
def descending(values):
    """Positions of values (N,) from the largest to the smallest."""
    order = np.empty(values.size, dtype=np.int64)
    for a in range(values.size):
        b = a
        while b > 0 and values[a] > values[order[b - 1]]:
            order[b] = order[b - 1]
            b -= 1
        order[b] = a
    return order


@njit(**INNER)
def plane_peaks(tables, trials, s, layout, low, high, g, r):
    """Points (K, D) at local maxima of the price in a box and their prices (K,), in no particular order."""
    n_axes, live = low.size, live_axes(low, high)
    n = ticks(live.size, POINTS)
    grid = grid_points(low, high, live, n)
    price = plane_prices(tables, trials, s, layout, g, r, grid)
    chosen, count = np.empty(MAX_PEAKS, dtype=np.int64), 0
    for k in descending(price):
        far = count < MAX_PEAKS
        for j in range(count):
            far = far and not adjacent(chosen[j], k, n, live.size)
        if far:
            chosen[count] = k
            count += 1
    points, prices = np.empty((count, n_axes)), np.empty(count)
    for j in range(count):
        for a in range(n_axes):
            points[j, a] = grid[a, chosen[j]]
        prices[j] = climb_price(tables, trials, s, layout, low, high, g, r, points[j])
    return points, prices


@njit(**INNER)
def plane_bound(tables, trials, s, layout, outer_low, outer_high, g, r, slack, point):
    """An upper bound on the price of group `g` over a box, and the highest price found, at `point` (D,).

    Boxes that may exceed the highest price, or 0 if the group may have no weight, by more than `slack` are split, those
    that may exceed it most first: where boxes run out, the bound is as near as they got it.
    """
    signed = np.empty(r.shape)
    for i in range(r.shape[0]):
        for t in range(r.shape[1]):
            signed[i, t] = layout.sign[g] * r[i, t]
    low, high = first_boxes(outer_low, outer_high)
    end = np.full(low.shape[1], np.inf)
    floor = -np.inf if layout.low[g] > 0.0 else 0.0
    best, bound, used = -np.inf, -np.inf, 0
    while end.size > 0:
        target = max(best, floor) + slack
        most = end.max()
        if most <= target or used >= MAX_BOXES:
            bound = max(bound, most)
            break
        now = worst(end, target)
        rest_low, rest_high, rest = picked(low, high, end, ~now)
        low, high, end = picked(low, high, end, now)
        n = end.size
        used += n
        centre = centres(low, high)
        price, level = centre_prices(tables, trials, s, layout, g, signed, centre)
        value, slope, bend, kinks = enclose(tables, trials, s, layout, g, signed, low, high)
        for k in range(n):
            if price[k] > best:
                best = price[k]
                copy(centre[:, k], point)
        splits, n_split = np.zeros(n, dtype=np.bool_), 0
        for k in range(n):
            sharpen(level, slope, bend, kinks[k] == INSIDE, low, high, k)
            own = box_bound(price, level, value, slope, bend, kinks[k] == INSIDE, low, high, k)
            end[k] = min(end[k], own)
            if end[k] <= max(best, floor) + slack:
                bound = max(bound, end[k])
            elif shrink(slope, kinks[k] == SMOOTH, low, high, outer_low, outer_high, k):
                splits[k] = True
                n_split += 1
        low, high, end = bisect(slope, low, high, end, splits, n_split)
        low, high, end = joined(low, high, end, rest_low, rest_high, rest)
    return max(bound, best), best
