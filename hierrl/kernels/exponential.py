"""An exponential made of additions and multiplications alone, so that a loop of them becomes vector instructions.

Numba has no vector mathematics library here: a loop with ``np.exp`` makes one call after the other, at four times
the cost.

With k the whole number nearest to x / log 2 and r = x - k log 2, exp(x) is 2^k times the Taylor series at r, where
\\|r\\| <= log(2) / 2. Adding 1.5 * 2^52 (or 2^23) to x / log 2 rounds it to k, which the last bits then hold: shifted
to the place of the exponent they are 2^k.
"""

from __future__ import annotations

import numpy as np
from numba import types
from numba.extending import overload

from hierrl.kernels.jit import njit
from hierrl.kernels.loops import INNER

# Sums must stay as they are written (adding and subtracting ROUND is the point), products may join them.
AS_WRITTEN = {**INNER, "fastmath": {"contract"}}

LOG2_E = 1.4426950408889634
# log 2 in two parts, the first with zeros at its end: whole multiples of it are exact.
LOG_2_HIGH, LOG_2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
ROUND = 6755399441055744.0
SMALLEST = -708.0
"""Below this exp leaves the normal numbers."""
BIAS, MANTISSA = 1023, 52
"""Of the exponent of a double, and its place."""
C11, C10, C9, C8, C7, C6 = 1 / 39916800, 1 / 3628800, 1 / 362880, 1 / 40320, 1 / 5040, 1 / 720
C5, C4, C3 = 1 / 120, 1 / 24, 1 / 6
"""1 / k!"""

# The same in single precision, in which every number has to be said to be one.
LOG2_E_1, LOG_2_HIGH_1, LOG_2_LOW_1 = np.float32(LOG2_E), np.float32(0.693359375), np.float32(-2.12194440e-4)
ROUND_1, SMALLEST_1 = np.float32(12582912.0), np.float32(-87.0)
BIAS_1, MANTISSA_1 = np.int32(127), np.int32(23)
C6_1, C5_1, C4_1, C3_1, C2_1, C1_1 = (np.float32(c) for c in (C6, C5, C4, C3, 0.5, 1.0))


def exp_negative(x):
    """exp(x) for x <= 0, to a relative 1e-14 (double) or 3e-7 (single precision); for compiled code only.

    What is below exp(-708), or exp(-87), becomes that.
    """
    raise NotImplementedError


@njit(**AS_WRITTEN)
def _double(x):
    x = x if x > SMALLEST else SMALLEST
    shifted = x * LOG2_E + ROUND
    whole = shifted - ROUND
    r = x - whole * LOG_2_HIGH - whole * LOG_2_LOW
    p = (((C11 * r + C10) * r + C9) * r + C8) * r + C7
    p = ((((p * r + C6) * r + C5) * r + C4) * r + C3) * r + 0.5
    p = (p * r + 1.0) * r + 1.0
    power = (np.float64(shifted).view(np.int64) + BIAS) << MANTISSA
    return p * np.int64(power).view(np.float64)


@njit(**AS_WRITTEN)
def _single(x):
    x = x if x > SMALLEST_1 else SMALLEST_1
    shifted = x * LOG2_E_1 + ROUND_1
    whole = shifted - ROUND_1
    r = x - whole * LOG_2_HIGH_1 - whole * LOG_2_LOW_1
    p = ((C6_1 * r + C5_1) * r + C4_1) * r + C3_1
    p = ((p * r + C2_1) * r + C1_1) * r + C1_1
    power = (np.float32(shifted).view(np.int32) + BIAS_1) << MANTISSA_1
    return p * np.int32(power).view(np.float32)


@overload(exp_negative)
def _by_precision(x):
    if x == types.float32:
        return lambda x: _single(x)
    return lambda x: _double(x)
