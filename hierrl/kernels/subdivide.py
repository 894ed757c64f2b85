"""Points and boxes along several axes: grids that cover a box, bounds on a box, and how to split it."""

from __future__ import annotations

import numpy as np

from hierrl.kernels.jit import njit
from hierrl.kernels.loops import INNER
from hierrl.kernels.prices import parabola_bound
from hierrl.kernels.rule import pair

FIRST_BOXES = 32
"""Boxes to begin with, at most."""
EXTENT = 6.0
"""Logit that the grid reaches inside the ends."""
FLAT = 1e-12
"""Slope of the price from which it counts as monotone."""


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
def between(low, high, position):
    """The number at a position in [0, 1] of an interval; its ends exactly, as boxes have to cover it."""
    if position == 0.0 or position == 1.0:
        return low if position == 0.0 else high
    return low + (high - low) * position


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
            out[a, j] = between(low[a], high[a], share(rest % n, n))
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
            bottom[a, j] = between(low[a], high[a], share(k, n + 1))
            top[a, j] = between(low[a], high[a], share(k + 1, n + 1))
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
    if kinked:
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
    return bound if kinked else min(bound, taylor)


@njit(**INNER)
def shrink(slope, smooth, low, high, outer_low, outer_high, k):
    """Where the price is monotone along an axis its maximum over box k is on a face: collapse the box to that face.

    False if the face is inside the outer box and the price smooth there: then the maximum of the whole is not in this
    box (it would rise across the face), and the box is done with. With a kink on the face the price may fall beyond.
    """
    for a in range(low.shape[0]):
        if high[a, k] <= low[a, k]:
            continue
        if slope[0, a, k] > FLAT:
            if smooth and high[a, k] < outer_high[a]:
                return False
            low[a, k] = high[a, k]
        elif slope[1, a, k] < -FLAT:
            if smooth and low[a, k] > outer_low[a]:
                return False
            high[a, k] = low[a, k]
    return True


@njit(**INNER)
def bisect(slope, low, high, end, splits, n_split):
    """Both halves of the boxes to split, along the axis that is most uncertain; boxes collapsed to a point stay.

    What bounds a box, `end` (N,), bounds its halves.
    """
    n_axes = low.shape[0]
    new_low, new_high, j = np.empty((n_axes, 2 * n_split)), np.empty((n_axes, 2 * n_split)), 0
    new_end = np.empty(2 * n_split)
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
            new_end[j] = end[k]
            j += 1
    return new_low[:, :j].copy(), new_high[:, :j].copy(), new_end[:j].copy()


@njit(**INNER)
def worst(end, target):
    """(N,) which boxes to look at next: those whose bound lies in the upper half between `target` and the highest."""
    most = end.max()
    least = 0.5 * (target + most) if np.isfinite(most) else most
    out = np.empty(end.size, dtype=np.bool_)
    for k in range(end.size):
        out[k] = not end[k] < least
    return out


@njit(**INNER)
def picked(low, high, end, which):
    """The boxes low, high (D, N) with bounds `end` (N,) that are picked by `which` (N,)."""
    n, j = 0, 0
    for k in range(which.size):
        n += which[k]
    new_low, new_high, new_end = np.empty((low.shape[0], n)), np.empty((low.shape[0], n)), np.empty(n)
    for k in range(which.size):
        if which[k]:
            for a in range(low.shape[0]):
                new_low[a, j], new_high[a, j] = low[a, k], high[a, k]
            new_end[j] = end[k]
            j += 1
    return new_low, new_high, new_end


@njit(**INNER)
def joined(low, high, end, more_low, more_high, more_end):
    """Two lots of boxes as one."""
    n, n_axes = end.size, low.shape[0]
    total = n + more_end.size
    new_low, new_high, new_end = np.empty((n_axes, total)), np.empty((n_axes, total)), np.empty(total)
    for k in range(total):
        for a in range(n_axes):
            new_low[a, k] = low[a, k] if k < n else more_low[a, k - n]
            new_high[a, k] = high[a, k] if k < n else more_high[a, k - n]
        new_end[k] = end[k] if k < n else more_end[k - n]
    return new_low, new_high, new_end
