r"""Prices of paths with several shape parameters: at points, and enclosed over boxes of them.

A channel with rates for gains and losses, a decay of its own, or a start value that does not enter linearly has paths
that vary along several *axes*. Here, too, many points or boxes run side by side over one pass through the trials.

``box_prices`` encloses the path, its slopes and its bends by interval arithmetic on the recursion. Three upper bounds
on the price over a box follow (`hierrl.kernels.planes.box_bound`): the *natural* one, :math:`\sum_t r_t F_t` with
each :math:`F_t` at the end that suits the sign of :math:`r_t`; the *mean-value* one, the price at the centre plus
half-widths times the largest slopes; and Taylor's of second order. Where a prediction error may have either sign in a
box, both rates are allowed for. The path is continuous there, its slope is not; the enclosure contains the slopes on
both sides, and so all generalised gradients (Clarke 1983), which is all that the mean value theorem asks for. Such a
box has kinks *inside* and no bound of second order. Where an error is 0 on the edge of a box only, the path is smooth
in the box, but its slopes there say nothing about the other side of the edge.
"""

from __future__ import annotations

import numpy as np

from hierrl.kernels.jit import njit
from hierrl.kernels.loops import INNER, add_scaled, copy, fill, fill_rows
from hierrl.kernels.prices import LANES
from hierrl.kernels.rule import HOLD, pair
from hierrl.kernels.tables import EXPONENT, NEGATIVE, START

SMOOTH, ON_EDGE, INSIDE = range(3)
"""Where a path has kinks."""


@njit(**INNER)
def by_role(shape, axis, points):
    """Rates and start values (roles + 1, N) at points (D, N): those of the axes, and the constants of `shape`."""
    out = np.empty((shape.size, points.shape[1]))
    for role in range(shape.size):
        if axis[role] >= 0:
            copy(points[axis[role]], out[role])
        else:
            fill(out[role], shape[role])
    return out


@njit(**INNER)
def other_role(role, split):
    """The role of the rate that applies after a negative prediction error."""
    return NEGATIVE - role if split and role <= NEGATIVE else role


@njit(**LANES)
def raise_aims(target, log_size, exponent, aims):
    """What channels with exponents (N,) move toward, aims (N,)."""
    for g in range(aims.size):
        aims[g] = target * np.exp(exponent[g] * log_size)


@njit(**LANES)
def point_prices(kind, target, log_size, reset, context, n_contexts, rates, split, accumulate, r, out):
    """Add the price of one arm's paths to out (N,): kind, target, reset, r (T,), rates (roles + 1, N).

    log_size (T or 0,) is there for powers of the signal with a free exponent.
    """
    n = rates.shape[1]
    q, value, aims = np.zeros((n_contexts, n)), np.zeros(n), np.zeros(n)
    for t in range(r.size):
        x = context[t] if context.size > 0 else 0
        if reset[t]:
            for k in range(n_contexts):
                copy(rates[START], q[k])
        residual, role, aim = r[t], kind[t], target[t]
        qx = q[x]
        if residual != 0.0:
            for g in range(n):
                value[g] += residual * qx[g]
        if role == HOLD:
            continue
        second = other_role(role, split)
        rate, down = rates[role], rates[second]
        if log_size.size > 0:
            raise_aims(aim, log_size[t], rates[EXPONENT], aims)
            for g in range(n):
                own = rate[g] if aims[g] >= qx[g] else down[g]
                qx[g] = (1.0 - own) * qx[g] + (1.0 if accumulate else own) * aims[g]
        elif accumulate:
            for g in range(n):
                qx[g] = (1.0 - rate[g]) * qx[g] + aim
        elif second != role:
            for g in range(n):
                error = aim - qx[g]
                qx[g] += (rate[g] if error >= 0.0 else down[g]) * error
        else:
            for g in range(n):
                qx[g] += rate[g] * (aim - qx[g])
    for g in range(n):
        out[g] += value[g]


@njit(**LANES)
def slope_step(low, high, gain0, gain1, d0, d1):
    """Enclose a slope [d0, d1] (N,) after a step: it fades at a rate in [low, high] and gains [gain0, gain1]."""
    for g in range(d0.size):
        k0, k1 = 1.0 - high[g], 1.0 - low[g]
        upper = d1[g] * (k1 if d1[g] > 0.0 else k0) + gain1[g]
        lower = d0[g] * (k0 if d0[g] > 0.0 else k1) + gain0[g]
        d1[g], d0[g] = upper, lower


@njit(**LANES)
def gains(e0, e1, after_positive, split, accumulate, q0, q1, gain0, gain1):
    """Enclose what a rate adds to its slope in one step, errors being in [e0, e1] (N,).

    Where the sign of the error chooses the rate (`split`), the rate may be that after positive errors, or the other.
    """
    for g in range(e0.size):
        low, high = (-q1[g], -q0[g]) if accumulate else (e0[g], e1[g])
        if split:
            # the rate of positive errors gains by them alone, and likewise for the other
            low = max(low, 0.0) if after_positive else min(low, 0.0)
            high = max(high, 0.0) if after_positive else min(high, 0.0)
        gain0[g], gain1[g] = low, high


@njit(**LANES)
def aims_of(target, log_size, low, high, aim0, aim1, du0, du1):
    """Enclose what channels with exponents in [low, high] (N,) move toward, and its slope in the exponent."""
    factor = target * log_size
    for g in range(aim0.size):
        one, other = np.exp(low[g] * log_size), np.exp(high[g] * log_size)
        smaller, larger = min(one, other), max(one, other)
        aim0[g], aim1[g] = min(target * smaller, target * larger), max(target * smaller, target * larger)
        du0[g], du1[g] = min(factor * smaller, factor * larger), max(factor * smaller, factor * larger)


@njit(**LANES)
def exponent_gains(low, high, accumulate, du0, du1, gain0, gain1):
    """Enclose what the exponent adds to its slope, rates being in [low, high] (N,)."""
    for g in range(du0.size):
        first, last = (1.0, 1.0) if accumulate else (low[g], high[g])
        gain0[g] = du0[g] * (first if du0[g] > 0.0 else last)
        gain1[g] = du1[g] * (last if du1[g] > 0.0 else first)


@njit(**LANES)
def exponent_bends(low, high, log_size, accumulate, du0, du1, b0, b1):
    """Add to a second derivative [b0, b1] (N,) what the exponent gives with itself, rates being in [low, high]."""
    for g in range(b0.size):
        first, last = (1.0, 1.0) if accumulate else (low[g], high[g])
        one, other = du0[g] * log_size, du1[g] * log_size
        smaller, larger = min(one, other), max(one, other)
        b0[g] += smaller * (first if smaller > 0.0 else last)
        b1[g] += larger * (last if larger > 0.0 else first)


@njit(**LANES)
def exponent_and_rate(e0, e1, up, down, du0, du1, b0, b1):
    """Add what the exponent gives with a rate: that after positive errors in [e0, e1] (`up`), or the other (`down`)."""
    for g in range(b0.size):
        may, must = up or down, up and down
        if e0[g] >= 0.0 or e1[g] <= 0.0:
            may = must = up if e0[g] >= 0.0 else down
        if may:
            b0[g] += du0[g] if must else min(du0[g], 0.0)
            b1[g] += du1[g] if must else max(du1[g], 0.0)


@njit(**LANES)
def value_step(aim0, aim1, low, high, accumulate, role, second, q0, q1):
    """Enclose the value [q0, q1] (N,) after a step: it rises with the old value, so its ends come from theirs."""
    for g in range(q0.size):
        if accumulate:
            k0, k1 = 1.0 - high[role, g], 1.0 - low[role, g]
            q1[g] = q1[g] * (k1 if q1[g] > 0.0 else k0) + aim1[g]
            q0[g] = q0[g] * (k0 if q0[g] > 0.0 else k1) + aim0[g]
        else:
            rate = high[role, g] if aim1[g] > q1[g] else low[second, g]
            q1[g] += (aim1[g] - q1[g]) * rate
            rate = low[role, g] if aim0[g] > q0[g] else high[second, g]
            q0[g] += (aim0[g] - q0[g]) * rate


@njit(**LANES)
def widest_rates(e0, e1, low, high, role, second, rate_low, rate_high):
    """Enclose the rate that applies where errors are in [e0, e1] (N,)."""
    for g in range(e0.size):
        if role == second or e0[g] >= 0.0:
            rate_low[g], rate_high[g] = low[role, g], high[role, g]
        elif e1[g] <= 0.0:
            rate_low[g], rate_high[g] = low[second, g], high[second, g]
        else:
            rate_low[g] = min(low[role, g], low[second, g])
            rate_high[g] = max(high[role, g], high[second, g])


@njit(**LANES)
def add_enclosed(residual, q0, q1, total0, total1):
    """Add ``residual * [q0, q1]`` to the interval [total0, total1] (N,)."""
    if residual > 0.0:
        for g in range(q0.size):
            total0[g] += residual * q0[g]
            total1[g] += residual * q1[g]
    elif residual < 0.0:
        for g in range(q0.size):
            total0[g] += residual * q1[g]
            total1[g] += residual * q0[g]


@njit(**LANES)
def bend_step(low, high, e0, e1, up, down, split, dj0, dj1, dk0, dk1, b0, b1):
    """Enclose a second derivative [b0, b1] (N,) after a step.

    It fades like a slope and loses the other axis's slope for each of its axes j, k that the rate applied belongs to:
    ``up`` = (whether j, whether k) after a positive error, or any if there is no split, ``down`` after a negative one.
    """
    for g in range(b0.size):
        is_j, is_k = up
        if split and e0[g] < 0.0:
            is_j, is_k = down
        k0, k1 = 1.0 - high[g], 1.0 - low[g]
        upper = b1[g] * (k1 if b1[g] > 0.0 else k0)
        lower = b0[g] * (k0 if b0[g] > 0.0 else k1)
        if is_j:
            upper -= dk0[g]
            lower -= dk1[g]
        if is_k:
            upper -= dj0[g]
            lower -= dj1[g]
        b1[g], b0[g] = upper, lower


@njit(**INNER)
def box_prices(
    kind, target, log_size, reset, context, n_contexts, low, high, axis, n_axes, split, accumulate, r, value, slope,
    bend, kinks
):  # fmt: skip
    """Add enclosures of one arm's price over boxes low, high (roles + 1, N).

    Value (2, N), slope (2, D, N) and bend (2, pairs, N), packed as in `hierrl.kernels.rule.pair`, are added to;
    kinks (N,) become ON_EDGE or INSIDE where the path has kinks at the edge of the box or in it.
    """
    n, n_pairs = low.shape[1], pair(n_axes, 0)
    q, d = np.zeros((n_contexts, 2, n)), np.zeros((n_contexts, n_axes, 2, n))
    b = np.zeros((n_contexts, n_pairs, 2, n))
    e0, e1, rate0, rate1 = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    gain0, gain1, aim0, aim1 = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    du0, du1 = np.zeros(n), np.zeros(n)
    exponent = axis[EXPONENT] if log_size.size > 0 else -1
    for t in range(r.size):
        x = context[t] if context.size > 0 else 0
        if reset[t]:
            for k in range(n_contexts):
                copy(low[START], q[k, 0])
                copy(high[START], q[k, 1])
                for a in range(n_axes):
                    fill_rows(d[k, a], 1.0 if axis[START] == a else 0.0)
                for j in range(n_pairs):
                    fill_rows(b[k, j], 0.0)
        if r[t] != 0.0:
            add_enclosed(r[t], q[x, 0], q[x, 1], value[0], value[1])
            for a in range(n_axes):
                add_enclosed(r[t], d[x, a, 0], d[x, a, 1], slope[0, a], slope[1, a])
            for j in range(n_pairs):
                add_enclosed(r[t], b[x, j, 0], b[x, j, 1], bend[0, j], bend[1, j])
        role = kind[t]
        if role == HOLD:
            continue
        second = other_role(role, split)
        either, size = second != role, log_size[t] if log_size.size > 0 else 0.0
        if log_size.size > 0:
            aims_of(target[t], size, low[EXPONENT], high[EXPONENT], aim0, aim1, du0, du1)
        else:
            fill(aim0, target[t])
            fill(aim1, target[t])
        errors(aim0, aim1, q[x, 0], q[x, 1], either, e0, e1, kinks)
        widest_rates(e0, e1, low, high, role, second, rate0, rate1)
        for k in range(n_axes):
            for j in range(k + 1):
                up = (axis[role] == j, axis[role] == k)
                down = (axis[second] == j, axis[second] == k)
                b0, b1 = b[x, pair(k, j), 0], b[x, pair(k, j), 1]
                bend_step(
                    rate0, rate1, e0, e1, up, down, either, d[x, j, 0], d[x, j, 1], d[x, k, 0], d[x, k, 1], b0, b1
                )  # fmt: skip
                if k == exponent and j == exponent:
                    exponent_bends(rate0, rate1, size, accumulate, du0, du1, b0, b1)
                elif (k == exponent or j == exponent) and not accumulate:
                    exponent_and_rate(e0, e1, up[0] or up[1], down[0] or down[1], du0, du1, b0, b1)
        for a in range(n_axes):
            fill(gain0, 0.0)
            fill(gain1, 0.0)
            if axis[role] == a:
                gains(e0, e1, True, either, accumulate, q[x, 0], q[x, 1], gain0, gain1)
            if either and axis[second] == a:
                gains(e0, e1, False, either, accumulate, q[x, 0], q[x, 1], gain0, gain1)
            if a == exponent:
                exponent_gains(rate0, rate1, accumulate, du0, du1, gain0, gain1)
            slope_step(rate0, rate1, gain0, gain1, d[x, a, 0], d[x, a, 1])
        value_step(aim0, aim1, low, high, accumulate, role, second, q[x, 0], q[x, 1])


@njit(**LANES)
def errors(aim0, aim1, q0, q1, either, e0, e1, kinks):
    """Enclose the prediction error (N,); say where it may have either sign, or is 0 on an edge, and that matters."""
    for g in range(q0.size):
        e0[g], e1[g] = aim0[g] - q1[g], aim1[g] - q0[g]
        if either and e0[g] <= 0.0 and e1[g] >= 0.0:
            kinks[g] = max(kinks[g], INSIDE if e0[g] < 0.0 and e1[g] > 0.0 else ON_EDGE)


@njit(**LANES)
def slope_prices(
    kind, target, log_size, reset, context, n_contexts, rates, axis, n_axes, split, accumulate, r, price, slope
):  # fmt: skip
    """As `point_prices`, with slopes: adds to price (N,) and slope (D, N)."""
    n = rates.shape[1]
    q, d = np.zeros((n_contexts, n)), np.zeros((n_contexts, n_axes, n))
    rate, gain, aims = np.empty(n), np.empty(n), np.empty(n)
    exponent = axis[EXPONENT] if log_size.size > 0 else -1
    for t in range(r.size):
        x = context[t] if context.size > 0 else 0
        if reset[t]:
            for k in range(n_contexts):
                copy(rates[START], q[k])
                for a in range(n_axes):
                    fill(d[k, a], 1.0 if axis[START] == a else 0.0)
        residual, role = r[t], kind[t]
        qx = q[x]
        if residual != 0.0:
            add_scaled(price, residual, qx)
            for a in range(n_axes):
                add_scaled(slope[a], residual, d[x, a])
        if role == HOLD:
            continue
        size = log_size[t] if log_size.size > 0 else 0.0
        if log_size.size > 0:
            raise_aims(target[t], size, rates[EXPONENT], aims)
        else:
            fill(aims, target[t])
        second = other_role(role, split)
        up, down = rates[role], rates[second]
        for g in range(n):
            error = aims[g] - qx[g]
            rate[g] = down[g] if error < 0.0 else up[g]
            gain[g] = -qx[g] if accumulate else error
        for a in range(n_axes):
            da, plus, minus = d[x, a], axis[role] == a, axis[second] == a
            for g in range(n):
                own = plus if aims[g] - qx[g] >= 0.0 else minus
                da[g] = (1.0 - rate[g]) * da[g] + (gain[g] if own else 0.0)
            if a == exponent:
                for g in range(n):
                    da[g] += (1.0 if accumulate else rate[g]) * size * aims[g]
        for g in range(n):
            qx[g] = (1.0 - rate[g]) * qx[g] + aims[g] if accumulate else qx[g] + rate[g] * gain[g]
