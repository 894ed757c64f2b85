"""An exponential made of additions and multiplications alone, so that a loop of them becomes vector instructions.

Numba has no vector mathematics library here: a loop with ``np.exp`` makes one call after the other, at four times
the cost.
"""

from __future__ import annotations

import numpy as np

from hierrl.kernels.jit import njit
from hierrl.kernels.loops import INNER

LOG2_E = 1.4426950408889634
# log 2 in two parts, the first with zeros at its end: whole multiples of it are exact.
LOG_2_HIGH, LOG_2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10

ROUND = 6755399441055744.0
"""1.5 * 2^52: a number that is added to it is rounded to a whole one, which the last bits then hold."""

SMALLEST = -708.0
"""Below this exp leaves the normal numbers."""

BIAS, MANTISSA = 1023, 52
"""Of the exponent of a double, and its place."""

# 1 / k! for k = 11, 10, ..., 2: on half of log 2 the Taylor series errs by less than the last bit but five.
C11, C10, C9, C8, C7, C6 = 1 / 39916800, 1 / 3628800, 1 / 362880, 1 / 40320, 1 / 5040, 1 / 720
C5, C4, C3 = 1 / 120, 1 / 24, 1 / 6


# Sums must stay as they are written (adding and subtracting ROUND is the point), products may join them.
@njit(**INNER, fastmath={"contract"})
def exp_negative(x):
    """exp(x) for x <= 0, to a relative 1e-14; what is below exp(-708) becomes that."""
    x = x if x > SMALLEST else SMALLEST
    shifted = x * LOG2_E + ROUND
    whole = shifted - ROUND
    r = x - whole * LOG_2_HIGH - whole * LOG_2_LOW
    p = (((C11 * r + C10) * r + C9) * r + C8) * r + C7
    p = ((((p * r + C6) * r + C5) * r + C4) * r + C3) * r + 0.5
    p = (p * r + 1.0) * r + 1.0
    power = (np.float64(shifted).view(np.int64) + BIAS) << MANTISSA
    return p * np.int64(power).view(np.float64)
