"""Intervals by name, and regions of practical equivalence."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import cast

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Region = float | tuple[float, float]
Rope = Region | Mapping[str, Region] | None

QUANTITIES = ("median", "mean", "mu", "log_sigma")
NATURAL = ("median", "mean")
"""What a region without names is for."""


def interval_of(interval: str, prob: float) -> Callable[[FloatArray], tuple[float, float]]:
    """A function from draws (D,) to the ends of their interval."""
    if not 0 < prob < 1:
        raise ValueError(f"prob= is the probability of the interval, between 0 and 1; found {prob!r}.")
    if interval == "eti":
        return lambda draws: equal_tailed(draws, prob)
    if interval == "hdi":
        return lambda draws: highest_density(draws, prob)
    raise ValueError(f"interval={interval!r} is not one of ('eti', 'hdi').")


def equal_tailed(draws: FloatArray, prob: float) -> tuple[float, float]:
    """Quantiles that leave (1 - prob) / 2 on both sides."""
    low, high = np.quantile(draws, [(1 - prob) / 2, (1 + prob) / 2])
    return float(low), float(high)


def highest_density(draws: FloatArray, prob: float) -> tuple[float, float]:
    """The narrowest interval that holds a share `prob` of the draws."""
    ordered = np.sort(draws)
    inside = min(int(np.floor(prob * ordered.size)), ordered.size - 1)
    width = ordered[inside:] - ordered[: ordered.size - inside]
    first = int(np.argmin(width))
    return float(ordered[first]), float(ordered[first + inside])


def regions_of(rope: Rope, quantities: Collection[str]) -> dict[str, tuple[float, float]]:
    """The region of each quantity that has one; one without a name is for a single quantity too."""
    if rope is None:
        return {}
    if not isinstance(rope, Mapping):
        return dict.fromkeys(quantities if len(quantities) == 1 else NATURAL, _region(rope))
    if unknown := set(rope) - set(QUANTITIES):
        raise ValueError(f"rope= names {sorted(unknown)[0]!r}, which is not one of {QUANTITIES}.")
    return {name: _region(region) for name, region in rope.items()}


def _region(region: Region) -> tuple[float, float]:
    if np.ndim(region) == 0:
        high = cast("float", region)
        low = -high
    else:
        low, high = cast("tuple[float, float]", region)
    if not (np.isfinite([low, high]).all() and low < high):
        raise ValueError(
            f"rope= must be a positive number r, for (-r, r), or a pair (low, high) with low < high; found {region!r}."
        )
    return float(low), float(high)


def share_inside(draws: FloatArray, region: tuple[float, float] | None) -> float:
    """Probability that a difference lies in its region; NaN if it has none."""
    if region is None:
        return float("nan")
    return float(((draws > region[0]) & (draws < region[1])).mean())
