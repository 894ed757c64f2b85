"""Penalised modes: each subject's most probable parameters under a given population, all subjects at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hierrl.kernels.problem import Problem

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Modes:
    """Maxima of log-likelihood plus log N(eta | mean, sd^2) on the link scale, S subjects, P parameters."""

    eta: FloatArray
    """(S, P) modes."""
    curvature: FloatArray
    """(S, P, P) negative Hessian of the *log-likelihood* there (may be indefinite)."""
    precision: FloatArray
    """(S, P, P) negative Hessian of the log-posterior there, made positive definite."""
    value: FloatArray
    """(S,) log-posterior density there, up to the likelihood's own constant."""
    converged: npt.NDArray[np.bool_]


def penalised_modes(
    problem: Problem, mean: npt.ArrayLike, sd: npt.ArrayLike, *, start: npt.ArrayLike | None = None
) -> Modes:
    """Damped Newton with the exact Hessian, from `start` (S, P) on the link scale or the population mean.

    `mean` and `sd` are (S, P) or broadcast to it.
    """
    raise NotImplementedError
