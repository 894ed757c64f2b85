"""Where no relaxation leads the way: shape parameters from a fixed, evenly spread set, with all weights solved for.

Learners whose rate is a state have no relaxation; exponents of utilities make likelihoods with several maxima. The set
is the same for every subject and every run (a Sobol sequence), so nothing here is random.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from scipy.stats import qmc

from hierrl.convex.layout import lay_out
from hierrl.convex.recovery import idle_point
from hierrl.convex.weighing import weigh
from hierrl.kernels.problem import Problem
from hierrl.models.model import Parameter

FloatArray = npt.NDArray[np.float64]

POINTS_PER_AXIS = 32
MOST_POINTS = 128
REACH = 4.0
"""Logit of the smallest and largest rate that is tried, within the bounds."""
LEAST_NOISE = 0.02
"""Smallest noise tried, as a share of its bound; the others are spread evenly in its logarithm."""


def shape_points(problem: Problem) -> FloatArray:
    """(K, P) parameter vectors whose shape parameters are spread over their bounds; weights are idle."""
    shapes = [k for k, (_, parameter, _) in enumerate(problem.scalars) if parameter.is_shape]
    wanted = min(MOST_POINTS, POINTS_PER_AXIS * max(len(shapes), 1))
    points = np.tile(idle_point(problem), (wanted, 1))
    if not shapes:
        return points[:1]
    # the first point of the sequence is 0 along each axis
    spread = qmc.Sobol(len(shapes), scramble=False).random(2 * MOST_POINTS)[1 : wanted + 1]
    for column, k in zip(spread.T, shapes, strict=True):
        points[:, k] = _placed(problem.scalars[k][1], column, problem.lower[k], problem.upper[k])
    return points


def _placed(parameter: Parameter, position: FloatArray, low: float, high: float) -> FloatArray:
    """Values of a shape parameter at positions in (0, 1)."""
    if parameter.kind == "rate":
        return low + (high - low) * expit(REACH * (2.0 * position - 1.0))
    if parameter.kind == "noise":
        least = max(low, LEAST_NOISE * high)
        return least * (high / least) ** position
    return low + (high - low) * position


def search(
    problem: Problem, *, keep: int, wanted: npt.NDArray[np.bool_] | None = None, cores: int | None = None,
    progress: bool = False,
) -> FloatArray:  # fmt: skip
    """The best points (S, K, P) of the set for each subject, the best first; NaN for subjects that aren't `wanted`."""
    points = shape_points(problem)
    found = np.full((problem.n_subjects, min(keep, len(points)), problem.n_parameters), np.nan)
    chosen = np.arange(problem.n_subjects) if wanted is None else np.flatnonzero(wanted)
    if chosen.size == 0:
        return found
    part = problem.select(chosen)
    starts = np.broadcast_to(points, (chosen.size, *points.shape)).copy()
    weighed = weigh(part, lay_out(part), starts, cores=cores, progress=progress)
    order = np.argsort(-weighed.value, axis=1)[:, : found.shape[1]]
    theta = np.take_along_axis(weighed.theta, order[:, :, None], axis=1)
    found[chosen] = np.where(weighed.done[:, None, None], theta, np.nan)
    return found
