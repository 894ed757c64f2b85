"""How well importance weights do: effective sample size, and the Pareto tail index of Vehtari et al. (2024)."""

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

FLAT, HIGHER = 0.1, (0.5, 0.25)
"""Share of effective points from which on a tail may be a heap, and the shares of it in which there is none."""

ENOUGH_TO_LOOK_HIGHER = 1000
"""Points. With fewer, heaps are as seldom cleared as heavy tails are missed: half a tail is a dozen weights or two, and
a tenth of the points is effective under many a heavy tail as well."""

ALIKE = 1e-12
"""The largest weights, as shares of the largest of them, that differ by less differ by rounding."""


def effective_size(weight: FloatArray) -> FloatArray:
    """Effective sample size (S,) of normalised weights (S, J)."""
    return 1.0 / (weight**2).sum(axis=1)


def tail_index(weight: FloatArray) -> FloatArray:
    """Pareto k (S,) of normalised weights (S, J), not fooled by a heap: NaN where a weight is not finite.

    Where most weights are alike and a few per cent are larger (a second mode of the posterior, which many points have
    found), the usual tail begins among the many, and the step up to the few passes for a heavy tail, although weights
    are bounded. There the index is taken higher up, from half or a quarter of that tail. Only with many points, and
    where a tenth of them is effective, which a tail of index 1 leaves room for in 1 of 20 cases or fewer.
    """
    k, finite = np.full(len(weight), np.nan), np.isfinite(weight).all(axis=1)
    k[finite] = pareto_k(weight[finite])
    n_points = weight.shape[1]
    if n_points < ENOUGH_TO_LOOK_HIGHER:
        return k
    doubted = np.flatnonzero((k >= GOOD_K) & (effective_size(weight) >= FLAT * n_points))
    for part in HIGHER if doubted.size else ():
        higher = pareto_k(weight[doubted], n_tail=int(part * tail_size(n_points)))
        k[doubted] = np.minimum(k[doubted], higher)
    return k


def pareto_k(weight: FloatArray, *, n_tail: int | None = None) -> FloatArray:
    """Tail index (S,) of weights (S, J): a generalised Pareto distribution fitted to the `n_tail` largest ones.

    The profile-posterior estimate of Zhang & Stephens (2009), for all subjects at once. Minus infinity where
    the largest weights are all alike. The size of the tail is that of Vehtari et al. (2024) unless it is given.
    """
    n_points = weight.shape[1]
    n_tail = tail_size(n_points) if n_tail is None else n_tail
    if n_tail < FEWEST_IN_TAIL:
        return np.full(weight.shape[0], np.inf)
    top = np.sort(np.partition(weight, n_points - n_tail - 1, axis=1)[:, n_points - n_tail - 1 :], axis=1)
    excess = top[:, 1:] - top[:, :1]
    alike = excess[:, -1] <= np.finfo(float).eps * top[:, -1]
    excess = np.where(alike[:, None], np.arange(1.0, n_tail + 1), np.maximum(excess, np.finfo(float).tiny))
    return np.where(alike, -np.inf, _fit_tail(excess / excess[:, -1:])[0])


def tail_size(n_points: int) -> int:
    """How many of the largest weights make the tail (Vehtari et al. 2024)."""
    return int(np.ceil(min(0.2 * n_points, 3 * np.sqrt(n_points))))


def smoothed_weights(log_ratio: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Pareto-smoothed importance weights (Vehtari et al. 2024), for many ratios at once.

    The largest weights are replaced by quantiles of the generalised Pareto distribution fitted to them, and none
    is larger than the largest raw one.

    Parameters
    ----------
    log_ratio : ndarray, (U, D)
        Logarithms of the raw weights of D draws.

    Returns
    -------
    log_weight : ndarray, (U, D)
        Logarithms of the smoothed weights, which add up to 1.
    k : ndarray, (U,)
        Tail index, as `pareto_k`.
    """
    log_weight = log_ratio - log_ratio.max(axis=1, keepdims=True)
    n_tail = tail_size(log_weight.shape[1])
    if n_tail < FEWEST_IN_TAIL:
        return _normalised(log_weight), np.full(len(log_weight), np.inf)
    place = np.argpartition(log_weight, -n_tail - 1, axis=1)[:, -n_tail - 1 :]
    order = np.argsort(np.take_along_axis(log_weight, place, axis=1), axis=1)
    place = np.take_along_axis(place, order, axis=1)
    top = np.exp(np.take_along_axis(log_weight, place, axis=1))
    excess, largest = top[:, 1:] - top[:, :1], top[:, -1:] - top[:, :1]
    alike = largest[:, 0] <= ALIKE
    rising = np.arange(1.0, n_tail + 1) / n_tail
    safe = np.maximum(excess / np.where(alike[:, None], 1.0, largest), np.finfo(float).tiny)
    shape, scale = _fit_tail(np.where(alike[:, None], rising, safe))
    quantile = _quantiles((np.arange(n_tail) + 0.5) / n_tail, shape, scale)
    new = np.log(np.minimum(top[:, :1] + largest * quantile, 1.0))
    keep = (alike | ~np.isfinite(new).all(axis=1))[:, None]
    tail = np.where(keep, np.take_along_axis(log_weight, place[:, 1:], axis=1), new)
    np.put_along_axis(log_weight, place[:, 1:], tail, axis=1)
    return _normalised(log_weight), np.where(alike, -np.inf, shape)


def _normalised(log_weight: FloatArray) -> FloatArray:
    top = log_weight.max(axis=1, keepdims=True)
    return log_weight - top - np.log(np.exp(log_weight - top).sum(axis=1, keepdims=True))


def _quantiles(p: FloatArray, shape: FloatArray, scale: FloatArray) -> FloatArray:
    """Of generalised Pareto distributions (S,) at probabilities (M,)."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        heavy = scale[:, None] * np.expm1(-shape[:, None] * np.log1p(-p)) / shape[:, None]
    return np.where(shape[:, None] == 0, -scale[:, None] * np.log1p(-p), heavy)


def _fit_tail(excess: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Shape and scale of a generalised Pareto distribution for sorted exceedances (S, M) with maximum 1."""
    n_tail = excess.shape[1]
    n_grid = 30 + int(np.sqrt(n_tail))
    quartile = np.maximum(excess[:, int(n_tail / 4 + 0.5) - 1], np.finfo(float).tiny)
    position = 1 - np.sqrt(n_grid / (np.arange(1, n_grid + 1) - 0.5))
    # theta = -shape / scale; a grid that reaches from heavy tails to the shortest one possible
    with np.errstate(over="ignore"):  # ties reach into the tail: then there is no fit, and the index is NaN
        theta = 1.0 + position / (3 * quartile[:, None])
    shape = np.stack([np.log1p(-theta[:, g, None] * excess).mean(axis=1) for g in range(n_grid)], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        profile = n_tail * (np.log(-theta / shape) - shape - 1)
    profile = np.where(np.isfinite(profile), profile, -np.inf)
    share = np.exp(profile - profile.max(axis=1, keepdims=True))
    best = (share * theta).sum(axis=1) / share.sum(axis=1)
    found = np.log1p(-best[:, None] * excess).mean(axis=1)
    return (n_tail * found + PRIOR_SIZE * PRIOR_K) / (n_tail + PRIOR_SIZE), -found / best
