"""The price of a group of paths along several axes: where it peaks, and an upper bound on it over a box.

For groups along a line see `hierrl.kernels.groups`, which sends those with several axes here.
"""

from __future__ import annotations

import numpy as np

from hierrl.kernels.boxes import box_prices, by_role, point_prices, slope_prices
from hierrl.kernels.jit import njit
from hierrl.kernels.loops import INNER, add_scaled, copy, dot, fill, fill_rows
from hierrl.kernels.newton import newton_step
from hierrl.kernels.prices import parabola_bound
from hierrl.kernels.rule import curvature, pair, sensitivity, walk, walk_contexts

FIRST_BOXES = 32
POINTS = 256
"""Boxes to begin with, and points of the grid that peaks are looked for on, at most."""
EXTENT = 6.0
"""Logit that the grid reaches inside the ends."""
MAX_PEAKS = 3
CLIMBS = 6
HALVINGS = 8
SETTLED = 1e-9
"""Gain in price, relative to its size, below which a peak is found."""
FLAT = 1e-12
MAX_BOXES = 20_000
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
def plane_prices(tables, trials, s, layout, g, r, points):
    """Prices (N,) of group `g` at points (D, N), its sign included: r (m, T)."""
    out = np.zeros(points.shape[1])
    rows = slice(trials.offset[s], trials.offset[s + 1])
    c = layout.channel[g]
    rates = by_role(layout.shape[g], layout.axis[g], points)
    for i in range(r.shape[0]):
        if has_arm(layout, g, i):
            point_prices(
                trials.kind[c, i, rows], target_of(trials, layout, g, i, rows), trials.reset[rows],
                trials.context[c, rows],
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
                    trials.kind[c, i, rows], target_of(trials, layout, g, i, rows), trials.reset[rows],
                    trials.context[c, rows], tables.n_contexts[0], rates, layout.axis[g], points.shape[0],
                    tables.split[c] == 1, tables.accumulate[c] == 1, signed[i], price[block], slope[:, block],
                )  # fmt: skip
    return price, slope


@njit(**INNER)
def enclose(tables, trials, s, layout, g, signed, low, high):
    """Enclosures over boxes low, high (D, N): price (2, N), slopes (2, D, N), bends (2, pairs, N), and kinks (N,).

    signed (m, T) = sign * residuals.
    """
    n_axes, n = low.shape
    value, slope, bend = np.zeros((2, n)), np.zeros((2, n_axes, n)), np.zeros((2, pair(n_axes, 0), n))
    kinked = np.zeros(n, dtype=np.bool_)
    rows = slice(trials.offset[s], trials.offset[s + 1])
    c = layout.channel[g]
    for first in range(0, n, BLOCK):
        block = slice(first, min(first + BLOCK, n))
        bottom = by_role(layout.shape[g], layout.axis[g], low[:, block])
        top = by_role(layout.shape[g], layout.axis[g], high[:, block])
        for i in range(signed.shape[0]):
            if has_arm(layout, g, i):
                box_prices(
                    trials.kind[c, i, rows], target_of(trials, layout, g, i, rows), trials.reset[rows],
                    trials.context[c, rows], tables.n_contexts[0], bottom, top, layout.axis[g], n_axes,
                    tables.split[c] == 1, tables.accumulate[c] == 1, signed[i], value[:, block],
                    slope[:, :, block], bend[:, :, block], kinked[block],
                )  # fmt: skip
    return value, slope, bend, kinked


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
        kind, target = trials.kind[c, i, rows], target_of(trials, layout, g, i, rows)
        if n_contexts > 1:
            walk_contexts(kind, target, reset, context, n_contexts, shape, split, accumulate, path)
        else:
            walk(kind, target, reset, shape, split, accumulate, path)
        sensitivity(kind, target, reset, context, n_contexts, shape, axis, split, accumulate, path, own)
        curvature(kind, target, reset, context, n_contexts, shape, axis, split, path, own, bend)
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
def ticks(n_axes, most):
    """Points along each of `n_axes` axes so that their grid has `most` points at most, 2 or more."""
    n = 2
    while n_axes > 0 and (n + 1) ** n_axes <= most:
        n += 1
    return n


@njit(**INNER)
def share(k, n):
    """Position of point k of n along an axis, ends included, denser near them."""
    if k == 0 or k == n - 1:
        return 0.0 if k == 0 else 1.0
    return 1.0 / (1.0 + np.exp(EXTENT - 2.0 * EXTENT * (k - 1) / (n - 3) if n > 3 else 0.0))


@njit(**INNER)
def live_axes(low, high):
    """Axes along which a box has an extent."""
    out, n = np.empty(low.size, dtype=np.int64), 0
    for a in range(low.size):
        if high[a] > low[a]:
            out[n] = a
            n += 1
    return out[:n]


@njit(**INNER)
def grid_points(low, high, live, n):
    """Grid points (D, n^live) of a box low, high (D,), the first live axis running fastest."""
    out = np.empty((low.size, n**live.size))
    for j in range(out.shape[1]):
        for a in range(low.size):
            out[a, j] = low[a]
        rest = j
        for a in live:
            out[a, j] = low[a] + (high[a] - low[a]) * share(rest % n, n)
            rest //= n
    return out


@njit(**INNER)
def adjacent(j, k, n, n_axes):
    """Whether grid points j and k are neighbours, diagonally or straight."""
    for _ in range(n_axes):
        if abs(j % n - k % n) > 1:
            return False
        j, k = j // n, k // n
    return True


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
def first_boxes(low, high):
    """A grid of boxes, low and high (D, N), that covers a box."""
    n_axes, live = low.size, live_axes(low, high)
    n = ticks(live.size, FIRST_BOXES)
    bottom, top = np.empty((n_axes, n**live.size)), np.empty((n_axes, n**live.size))
    for j in range(bottom.shape[1]):
        for a in range(n_axes):
            bottom[a, j], top[a, j] = low[a], high[a]
        rest = j
        for a in live:
            k, rest = rest % n, rest // n
            bottom[a, j] = low[a] + (high[a] - low[a]) * share(k, n + 1)
            top[a, j] = low[a] + (high[a] - low[a]) * share(k + 1, n + 1)
    return bottom, top


@njit(**INNER)
def centres(low, high):
    """Midpoints (D, N) of boxes."""
    out = np.empty(low.shape)
    for a in range(low.shape[0]):
        for k in range(low.shape[1]):
            out[a, k] = 0.5 * (low[a, k] + high[a, k])
    return out


@njit(**INNER)
def steepest(bend, a, b, k):
    """The largest absolute second derivative in axes a and b over box k."""
    j = pair(a, b)
    return max(-bend[0, j, k], bend[1, j, k])


@njit(**INNER)
def sharpen(centre_slope, slope, bend, kinked, low, high, k):
    """Narrow the slopes over box k: they differ from those at the centre by no more than the bends allow."""
    if kinked[k]:
        return
    for a in range(low.shape[0]):
        reach = 0.0
        for b in range(low.shape[0]):
            reach += steepest(bend, a, b, k) * 0.5 * (high[b, k] - low[b, k])
        slope[0, a, k] = max(slope[0, a, k], centre_slope[a, k] - reach)
        slope[1, a, k] = min(slope[1, a, k], centre_slope[a, k] + reach)


@njit(**INNER)
def box_bound(price, centre_slope, value, slope, bend, kinked, low, high, k):
    """The smallest of the natural, the mean-value and, without kinks, Taylor's bound on the price over box k.

    In Taylor's the mixed terms are shared out: ``|d_a d_b| <= (d_a^2 h_b / h_a + d_b^2 h_a / h_b) / 2`` with
    half-widths h.
    """
    mean_value, taylor = price[k], price[k]
    for a in range(low.shape[0]):
        half = 0.5 * (high[a, k] - low[a, k])
        if half == 0.0:
            continue
        mean_value += half * max(slope[1, a, k], -slope[0, a, k])
        curve = bend[1, pair(a, a), k]
        for b in range(low.shape[0]):
            if b != a:
                curve += steepest(bend, a, b, k) * 0.5 * (high[b, k] - low[b, k]) / half
        taylor += parabola_bound(0.0, centre_slope[a, k], curve, 0.0, -half, half)
    bound = min(mean_value, value[1, k])
    return bound if kinked[k] else min(bound, taylor)


@njit(**INNER)
def shrink(slope, low, high, outer_low, outer_high, k):
    """Where the price is monotone along an axis its maximum over box k is on a face: collapse the box to that face.

    False if the face is inside the outer box: then the maximum of the whole is not in this box (it would rise across
    the face), and the box is done with.
    """
    for a in range(low.shape[0]):
        if high[a, k] <= low[a, k]:
            continue
        if slope[0, a, k] > FLAT:
            if high[a, k] < outer_high[a]:
                return False
            low[a, k] = high[a, k]
        elif slope[1, a, k] < -FLAT:
            if low[a, k] > outer_low[a]:
                return False
            high[a, k] = low[a, k]
    return True


@njit(**INNER)
def bisect(slope, low, high, splits, n_split):
    """Both halves of the boxes to split, along the axis that is most uncertain; boxes collapsed to a point stay."""
    n_axes = low.shape[0]
    new_low, new_high, j = np.empty((n_axes, 2 * n_split)), np.empty((n_axes, 2 * n_split)), 0
    for k in range(low.shape[1]):
        if not splits[k]:
            continue
        widest, which = 0.0, -1
        for a in range(n_axes):
            doubt = (high[a, k] - low[a, k]) * (slope[1, a, k] - slope[0, a, k])
            if doubt > widest:
                widest, which = doubt, a
        for half in range(1 if which < 0 else 2):
            for a in range(n_axes):
                new_low[a, j], new_high[a, j] = low[a, k], high[a, k]
            if which >= 0:
                middle = 0.5 * (low[which, k] + high[which, k])
                new_low[which, j] = middle if half == 1 else low[which, k]
                new_high[which, j] = high[which, k] if half == 1 else middle
            j += 1
    return new_low[:, :j].copy(), new_high[:, :j].copy()


@njit(**INNER)
def plane_bound(tables, trials, s, layout, outer_low, outer_high, g, r, slack, point):
    """An upper bound on the price of group `g` over a box, and the highest price found, at `point` (D,).

    Boxes that may exceed the highest price, or 0 if the group may have no weight, by more than `slack` are split.
    """
    signed = np.empty(r.shape)
    for i in range(r.shape[0]):
        for t in range(r.shape[1]):
            signed[i, t] = layout.sign[g] * r[i, t]
    low, high = first_boxes(outer_low, outer_high)
    floor = -np.inf if layout.low[g] > 0.0 else 0.0
    best, bound, used = -np.inf, -np.inf, 0
    while low.shape[1] > 0:
        n = low.shape[1]
        used += n
        centre = centres(low, high)
        price, level = centre_prices(tables, trials, s, layout, g, signed, centre)
        value, slope, bend, kinked = enclose(tables, trials, s, layout, g, signed, low, high)
        for k in range(n):
            if price[k] > best:
                best = price[k]
                copy(centre[:, k], point)
        splits, n_split = np.zeros(n, dtype=np.bool_), 0
        for k in range(n):
            sharpen(level, slope, bend, kinked, low, high, k)
            end = box_bound(price, level, value, slope, bend, kinked, low, high, k)
            if end <= max(best, floor) + slack or used >= MAX_BOXES:
                bound = max(bound, end)
            elif shrink(slope, low, high, outer_low, outer_high, k):
                splits[k] = True
                n_split += 1
        low, high = bisect(slope, low, high, splits, n_split)
    return max(bound, best), best
