"""What a method is judged by: its results on some subjects, summarised, and paired with those of others."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

TIGHT = 0.01
"""Nats up to which a bound counts as tight."""
BELOW = 1e-6
"""Nats by which a number must lie below a log-likelihood to be no bound on it; solvers stop there."""
NORMAL_95 = 1.959964
QUANTILES = np.linspace(0.0, 1.0, 41)
"""At which looseness is kept for the figure."""


class Result(NamedTuple):
    """A method on the first S subjects of a study; what it does not have is NaN."""

    kl: FloatArray
    """(S,) mean over trials of the divergence of its policy from the true one, nats."""
    rate_error: FloatArray
    """(S,) Euclidean distance of all rates."""
    weight_error: FloatArray
    """(S,) likewise of all weights."""
    loglik: FloatArray
    """(S,)"""
    bound: FloatArray
    """(S,) what it says no parameters exceed."""
    seconds: float
    """End to end, all subjects."""

    @property
    def n(self) -> int:
        """S."""
        return self.kl.size


def summary(result: Result, best: FloatArray) -> dict[str, Any]:
    """Numbers of one row; `best` (S or more,) are the largest log-likelihoods known within bounds."""
    return {
        "n": result.n,
        "failed": int(np.isnan(result.kl).sum()),
        "kl": quartiles(result.kl),
        "rate_error": quartiles(result.rate_error),
        "weight_error": quartiles(result.weight_error),
        "ms": None if np.isnan(result.seconds) else _number(1e3 * result.seconds / result.n),
        "tightness": tightness(result.bound - best[: result.n]),
    }


def quartiles(values: FloatArray) -> list[float] | None:
    """[25 %, 50 %, 75 %] of the values that there are; None if there is none."""
    known = values[~np.isnan(values)]
    return [_number(q) for q in np.quantile(known, [0.25, 0.5, 0.75])] if known.size else None


def tightness(looseness: FloatArray) -> dict[str, Any] | None:
    """How far bounds (S,) lie above the best log-likelihood; None if there is no bound at all."""
    known = looseness[~np.isnan(looseness)]
    if known.size == 0:
        return None
    return {
        "median": _number(np.median(known)),
        "q95": _number(np.quantile(known, 0.95)),
        "max": _number(known.max()),
        "tight": float((known <= TIGHT).mean()),
        "missing": int(looseness.size - known.size),
        "below": int((known < -BELOW).sum()),
        "quantiles": [_number(q) for q in np.quantile(known, QUANTILES)],
    }


def ratio_of_medians(result: Result, reference: Result) -> float | None:
    """Median divergence relative to that of another method on the same subjects."""
    ours, theirs = shared(result, reference)
    return _number(np.median(ours) / np.median(theirs)) if ours.size else None


def wins(result: Result, reference: Result) -> list[float] | None:
    """[share, low, high]: subjects with a lower divergence than another method's; 95 % Wilson interval."""
    ours, theirs = shared(result, reference)
    return wilson(int((ours < theirs).sum()), ours.size) if ours.size else None


def shared(result: Result, reference: Result) -> tuple[FloatArray, FloatArray]:
    """Divergences of both methods on the subjects that both have."""
    n = min(result.n, reference.n)
    both = ~np.isnan(result.kl[:n]) & ~np.isnan(reference.kl[:n])
    return result.kl[:n][both], reference.kl[:n][both]


def wilson(successes: int, n: int) -> list[float]:
    """[share, low, high] with the 95 % interval of Wilson (1927)."""
    share, z = successes / n, NORMAL_95
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return [_number(part) for part in (share, centre - half, centre + half)]


def _number(value: float) -> float:
    """Six digits: what a table and a figure need."""
    return float(f"{float(value):.6g}")
