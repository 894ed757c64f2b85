"""Gaussian stand-ins for a subject's likelihood, and the matrices they are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

SMALLEST_SHARE = 1e-3
"""Of the population's spread: no subject is known better than that."""


@dataclass(frozen=True)
class Sites:
    r"""Gaussian stand-ins of each subject's log-likelihood, for the informed parametrization.

    :math:`\ell_s(\eta) \approx c + g^\top (\eta - h) - \frac12 (\eta - h)^\top H (\eta - h)` on the link scale.
    """

    centre: FloatArray
    """(S, P): h."""
    gradient: FloatArray
    """(S, P): g."""
    curvature: FloatArray
    """(S, P, P): H, positive semi-definite."""
    method: npt.NDArray[np.str_]
    """(S,): ``"moments"`` of importance points, or ``"laplace"`` where these degenerate."""
    k_hat: FloatArray
    """(S,): Pareto tail index of the importance weights."""


def diagonal(values: FloatArray) -> FloatArray:
    """Diagonal matrices (S, P, P) of values (S, P)."""
    return values[:, :, None] * np.eye(values.shape[1])


def widened(covariance: FloatArray, sd: FloatArray) -> FloatArray:
    """Covariances (S, P, P) that can be inverted even if a single point got all the weight."""
    return covariance + diagonal((SMALLEST_SHARE * sd) ** 2)


def positive_part(matrix: FloatArray) -> FloatArray:
    """Symmetric matrices (S, P, P) without their negative eigenvalues."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.maximum(values, 0.0)[:, None, :]) @ vectors.transpose(0, 2, 1)


def matched_curvature(covariance: FloatArray, sd: FloatArray) -> FloatArray:
    """What a likelihood adds to the population's precision if the subject's covariance is this one, (S, P, P)."""
    return positive_part(np.linalg.inv(widened(covariance, sd)) - diagonal(sd**-2))
