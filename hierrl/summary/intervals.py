"""The one interval that tables and sentences give: 95 % equal-tailed (ETI), under that name."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

NAME = "95 % ETI"
TAIL = 0.025
LOW, HIGH = "_eti95_low", "_eti95_high"


def interval(draws: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Ends of the 95 % equal-tailed interval over the last axis."""
    low, high = np.quantile(np.asarray(draws, dtype=np.float64), [TAIL, 1 - TAIL], axis=-1)
    return low, high
