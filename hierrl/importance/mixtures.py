"""A few normal parts for each subject, where one does not tell the shape of its posterior."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hierrl.importance.gaussian import SMALLEST_SHARE, diagonal

FloatArray = npt.NDArray[np.float64]

N_RESAMPLED = 512
"""Equally weighted points that parts are fitted to."""

ITERATIONS = 15
"""Of expectation and maximisation: parts need not be settled, only to lie where the points are."""

PRIOR_POINTS, PRIOR_SHARE = 4.0, 0.1
"""The covariance of a part is as if it had seen so many more points with this share of the whole covariance."""


def parts_of(eta: FloatArray, weight: FloatArray, n_parts: int) -> tuple[FloatArray, FloatArray]:
    """Centres (K, S, P) and covariances (K, S, P, P) of normal mixtures fitted to weighted points.

    Parameters
    ----------
    eta : ndarray, (S, P, J)
    weight : ndarray, (S, J)
        Add up to 1 for each subject.
    n_parts : int
        K.

    Returns
    -------
    centre, covariance : ndarray
        A part without points lies in the middle with a small share of the whole covariance.
    """
    picked = resampled(weight, N_RESAMPLED)
    points = np.take_along_axis(eta, picked[:, None, :], axis=2)
    worth = np.minimum(1.0 / (weight**2).sum(axis=1) / N_RESAMPLED, 1.0)
    middle = points.mean(axis=2)
    away = points - middle[:, :, None]
    whole = away @ away.transpose(0, 2, 1) / N_RESAMPLED
    whole += diagonal((SMALLEST_SHARE * eta.std(axis=2)) ** 2)
    share = _slices(away, whole, n_parts)
    for _ in range(ITERATIONS):
        centre, covariance, count = _maximise(away, share, whole, worth)
        share = _expect(away, centre, covariance, count)
    return middle + centre, covariance


def resampled(weight: FloatArray, n_points: int) -> npt.NDArray[np.int64]:
    """Places (S, N) of equally weighted points that stand for those with weights (S, J), without chance."""
    edges = np.cumsum(weight, axis=1)
    at = (np.arange(n_points) + 0.5) / n_points
    places = [np.searchsorted(row, at * row[-1]) for row in edges]
    return np.minimum(places, weight.shape[1] - 1)


def _slices(away: FloatArray, whole: FloatArray, n_parts: int) -> FloatArray:
    """Whose part each point is (K, S, N) at first: slices of equal width across the longest axis.

    A small heap far away gets a part of its own.
    """
    along = (away * np.linalg.eigh(whole)[1][:, :, -1:]).sum(axis=1)
    low, high = along.min(axis=1, keepdims=True), along.max(axis=1, keepdims=True)
    width = np.where(high > low, high - low, 1.0)
    part = np.minimum((along - low) / width * n_parts, n_parts - 1).astype(np.int64)
    return (part == np.arange(n_parts)[:, None, None]).astype(np.float64)


def _maximise(
    away: FloatArray, share: FloatArray, whole: FloatArray, worth: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Centres, covariances and numbers of points (K, S) of the parts; a point counts `worth` (S,) points."""
    count = share.sum(axis=2)
    centre = np.einsum("ksn,spn->ksp", share, away) / np.maximum(count, 1e-6)[:, :, None]
    off = away - centre[:, :, :, None]
    scatter = (off * share[:, :, None, :]) @ off.swapaxes(2, 3) * worth[:, None, None]
    seen = (count * worth)[:, :, None, None]
    return centre, (scatter + PRIOR_POINTS * PRIOR_SHARE * whole) / (seen + PRIOR_POINTS), count


def _expect(away: FloatArray, centre: FloatArray, covariance: FloatArray, count: FloatArray) -> FloatArray:
    """Probability (K, S, N) that a point is of each part."""
    factor = np.linalg.cholesky(covariance)
    z = np.linalg.solve(factor, away - centre[:, :, :, None])
    volume = np.log(np.diagonal(factor, axis1=2, axis2=3)).sum(axis=2)
    log_share = np.log((count + 1) / (count + 1).sum(axis=0)) - volume
    log_density = log_share[:, :, None] - 0.5 * (z**2).sum(axis=2)
    share = np.exp(log_density - log_density.max(axis=0))
    return share / share.sum(axis=0)
