"""Starting points for models that have no convex estimate: scattered over the bounds, then the likeliest."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri
from scipy.stats import qmc

from hierrl.kernels.problem import Problem

FloatArray = npt.NDArray[np.float64]

N_POINTS, N_BEST = 64, 6
"""So many points are tried for each subject, and so many of them are starts."""

EDGE = 1e-3
SPREADS = {"log": (np.log(3.0), 1.2), "identity": (0.0, 2.0), "lapse": (-3.0, 1.0)}
"""Median and standard deviation on the link scale; rates and start values are even over their bounds."""


def scattered_starts(problem: Problem) -> FloatArray:
    """Starts (S, K, P): for each subject the likeliest of `N_POINTS` quasi-random points, the same for all."""
    even = qmc.Sobol(problem.n_parameters, rng=0).random(N_POINTS)
    even = EDGE + (1 - 2 * EDGE) * even
    points = np.empty_like(even)
    for k, (_, parameter, _) in enumerate(problem.scalars):
        low, high = problem.lower[k], problem.upper[k]
        key = "lapse" if parameter.kind == "lapse" else parameter.link
        if key in SPREADS and parameter.kind != "start":
            centre, width = SPREADS[key]
            points[:, k] = centre + width * ndtri(even[:, k])
            if key == "log":
                points[:, k] = np.exp(points[:, k])
            elif key == "lapse":
                points[:, k] = 1.0 / (1.0 + np.exp(-points[:, k]))
        else:
            points[:, k] = low + (high - low) * even[:, k]
    points = problem.clip(points)
    shape = (problem.n_subjects, problem.n_parameters)
    loglik = np.stack([problem.loglik(np.broadcast_to(point, shape)) for point in points], axis=1)
    order = np.argsort(-np.where(np.isfinite(loglik), loglik, -np.inf), axis=1, kind="stable")
    return points[order[:, :N_BEST]]
