r"""Prices of paths: how much the log-likelihood would gain from a path as a function of its rate.

Given residuals r (the gradient of the log-likelihood in the logits), the price of the path with rate a is
:math:`\varphi(a) = \sum_t r_t F_t(a)`. The hull relaxation adds paths of high price and bounds the log-
likelihood
through the largest price over the continuum of rates.

Two kernels serve this, both running many rates side by side over one pass through the trials: ``prices`` with
first and
second derivative at given rates, and ``curvature_bound``, an upper bound on the second derivative over an
*interval* of
rates by interval arithmetic on the recursion. Taylor's theorem then bounds the price on the whole interval:
:math:`\varphi(a) \le \varphi(c) + \varphi'(c)(a - c) + \tfrac12 K (a - c)^2`.
"""

from __future__ import annotations

import numpy as np

from hierrl.kernels.jit import njit
from hierrl.kernels.loops import INNER, fill_rows
from hierrl.kernels.rule import HOLD, START

LANES = {**INNER, "fastmath": {"contract", "nsz"}}


@njit(**LANES)
def prices(kind, target, reset, context, n_contexts, shape, free, accumulate, rates, r, out):
    """Add price, slope and bend of one arm's paths to out (3, G): kind, target, reset, r (T,), rates (G,).

    shape (roles + 1,) holds the constant rates and start value, free (roles + 1,) says which roles have the
    rate given.
    """
    n = rates.size
    q, d, e = np.zeros((n_contexts, n)), np.zeros((n_contexts, n)), np.zeros((n_contexts, n))
    value, slope, bend = np.zeros(n), np.zeros(n), np.zeros(n)
    for t in range(r.size):
        x = context[t] if context.size > 0 else 0
        if reset[t]:
            fill_rows(q, shape[START])
            fill_rows(d, 0.0)
            fill_rows(e, 0.0)
        residual, role, aim = r[t], kind[t], target[t]
        qx, dx, ex = q[x], d[x], e[x]
        if residual != 0.0:
            for g in range(n):
                value[g] += residual * qx[g]
                slope[g] += residual * dx[g]
                bend[g] += residual * ex[g]
        if role == HOLD:
            continue
        if free[role]:
            toward = 0.0 if accumulate else aim
            for g in range(n):
                keep = 1.0 - rates[g]
                ex[g] = keep * ex[g] - 2.0 * dx[g]
                dx[g] = keep * dx[g] + (toward - qx[g])
                qx[g] = keep * qx[g] + (aim if accumulate else rates[g] * aim)
        else:
            keep, gain = 1.0 - shape[role], aim if accumulate else shape[role] * aim
            for g in range(n):
                ex[g] *= keep
                dx[g] *= keep
                qx[g] = keep * qx[g] + gain
    for g in range(n):
        out[0, g] += value[g]
        out[1, g] += slope[g]
        out[2, g] += bend[g]


@njit(**LANES)
def curvature_bound(kind, target, reset, context, n_contexts, shape, free, accumulate, low, high, r, out):
    """Add to out (G,) an upper bound on the second derivative of one arm's price over the rates [low, high]
    (G,).
    """
    n = low.size
    state = np.zeros((n_contexts, 6, n))
    total = np.zeros(n)
    for t in range(r.size):
        x = context[t] if context.size > 0 else 0
        if reset[t]:
            for k in range(n_contexts):
                for j in range(6):
                    for g in range(n):
                        state[k, j, g] = shape[START] if j < 2 else 0.0
        residual, role, aim = r[t], kind[t], target[t]
        q0, q1, d0, d1, e0, e1 = state[x, 0], state[x, 1], state[x, 2], state[x, 3], state[x, 4], state[x, 5]
        if residual > 0.0:
            for g in range(n):
                total[g] += residual * e1[g]
        elif residual < 0.0:
            for g in range(n):
                total[g] += residual * e0[g]
        if role == HOLD:
            continue
        if free[role]:
            toward = 0.0 if accumulate else aim
            for g in range(n):
                # keep lies in [1 - high, 1 - low]; the product with an interval takes the end that suits its
                # sign
                k0, k1 = 1.0 - high[g], 1.0 - low[g]
                upper = e1[g] * (k1 if e1[g] > 0.0 else k0) - 2.0 * d0[g]
                lower = e0[g] * (k0 if e0[g] > 0.0 else k1) - 2.0 * d1[g]
                e1[g], e0[g] = upper, lower
                upper = d1[g] * (k1 if d1[g] > 0.0 else k0) + (toward - q0[g])
                lower = d0[g] * (k0 if d0[g] > 0.0 else k1) + (toward - q1[g])
                d1[g], d0[g] = upper, lower
            if accumulate:
                for g in range(n):
                    k0, k1 = 1.0 - high[g], 1.0 - low[g]
                    q1[g] = q1[g] * (k1 if q1[g] > 0.0 else k0) + aim
                    q0[g] = q0[g] * (k0 if q0[g] > 0.0 else k1) + aim
            else:
                for g in range(n):
                    q1[g] += (aim - q1[g]) * (high[g] if aim > q1[g] else low[g])
                    q0[g] += (aim - q0[g]) * (low[g] if aim > q0[g] else high[g])
        else:
            keep, gain = 1.0 - shape[role], aim if accumulate else shape[role] * aim
            for g in range(n):
                e0[g] *= keep
                e1[g] *= keep
                d0[g] *= keep
                d1[g] *= keep
                q0[g] = keep * q0[g] + gain
                q1[g] = keep * q1[g] + gain
    for g in range(n):
        out[g] += total[g]


@njit(**INNER)
def parabola_bound(value, slope, curvature, centre, low, high):
    """Largest value of ``value + slope (a - centre) + curvature / 2 (a - centre)^2`` over [low, high]."""
    at_low = value + (low - centre) * (slope + 0.5 * curvature * (low - centre))
    at_high = value + (high - centre) * (slope + 0.5 * curvature * (high - centre))
    best = max(at_low, at_high)
    if curvature < 0.0:
        vertex = centre - slope / curvature
        if low < vertex < high:
            best = max(best, value - 0.5 * slope * slope / curvature)
    return best
