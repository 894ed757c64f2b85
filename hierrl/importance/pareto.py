"""How well importance weights do: effective sample size, and the Pareto tail index of Vehtari et al. "
"(2024)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

GOOD_K = 0.7
"""Above this tail index, weighted means can't be trusted (Vehtari et al. 2024)."""

# The prior that keeps the estimate calm with few tail weights: as if this many more of index 1/2 had been
# seen.
PRIOR_SIZE, PRIOR_K = 10, 0.5
FEWEST_IN_TAIL = 5


def effective_size(weight: FloatArray) -> FloatArray:
    """Effective sample size (S,) of normalised weights (S, J)."""
    return 1.0 / (weight**2).sum(axis=1)


def pareto_k(weight: FloatArray) -> FloatArray:
    """Tail index (S,) of weights (S, J): a generalised Pareto distribution fitted to the largest ones.

    The profile-posterior estimate of Zhang & Stephens (2009), for all subjects at once. Minus infinity where
    the largest weights are all alike.
    """
    n_points = weight.shape[1]
    n_tail = int(np.ceil(min(0.2 * n_points, 3 * np.sqrt(n_points))))
    if n_tail < FEWEST_IN_TAIL:
        return np.full(weight.shape[0], np.inf)
    top = np.sort(np.partition(weight, n_points - n_tail - 1, axis=1)[:, n_points - n_tail - 1 :], axis=1)
    excess = top[:, 1:] - top[:, :1]
    alike = excess[:, -1] <= np.finfo(float).eps * top[:, -1]
    excess = np.where(alike[:, None], np.arange(1.0, n_tail + 1), np.maximum(excess, np.finfo(float).tiny))
    return np.where(alike, -np.inf, _fit_tail(excess / excess[:, -1:]))


def _fit_tail(excess: FloatArray) -> FloatArray:
    """Shape of a generalised Pareto distribution for sorted exceedances (S, M) with maximum 1."""
    n_tail = excess.shape[1]
    n_grid = 30 + int(np.sqrt(n_tail))
    quartile = np.maximum(excess[:, int(n_tail / 4 + 0.5) - 1], np.finfo(float).tiny)
    position = 1 - np.sqrt(n_grid / (np.arange(1, n_grid + 1) - 0.5))
    # theta = -shape / scale; a grid that reaches from heavy tails to the shortest one possible
    theta = 1.0 + position / (3 * quartile[:, None])
    shape = np.stack([np.log1p(-theta[:, g, None] * excess).mean(axis=1) for g in range(n_grid)], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        profile = n_tail * (np.log(-theta / shape) - shape - 1)
    profile = np.where(np.isfinite(profile), profile, -np.inf)
    share = np.exp(profile - profile.max(axis=1, keepdims=True))
    best = (share * theta).sum(axis=1) / share.sum(axis=1)
    found = np.log1p(-best[:, None] * excess).mean(axis=1)
    return (n_tail * found + PRIOR_SIZE * PRIOR_K) / (n_tail + PRIOR_SIZE)
