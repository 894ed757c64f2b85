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

POINTS_PER_AXIS = 48
MOST_POINTS = 256
REACH = 6.5
"""Logit of the smallest and largest rate that is tried, within the bounds: a decay of a thousandth matters."""
LEAST_NOISE = 0.01
"""Smallest noise tried, in standard deviations of a reward; the others are spread evenly in its logarithm."""
NOISE_RANGE = 1e-3
"""At most this share of its bound, where that is low."""
LOWEST = -1e9
"""Stands for log-likelihoods that there are none of."""
APART = 0.2
"""Root mean square distance, in widths of the set, within which two points count as one start."""


def shape_points(problem: Problem) -> FloatArray:
    """(K, P) parameter vectors whose shape parameters are spread over their bounds; weights are idle."""
    shapes = _shapes(problem)
    positions = _positions(len(shapes))
    points = np.tile(idle_point(problem), (len(positions), 1))
    for column, k in zip(positions.T, shapes, strict=True):
        points[:, k] = _placed(problem.scalars[k][1], column, problem.lower[k], problem.upper[k])
    return points


def _shapes(problem: Problem) -> list[int]:
    return [k for k, (_, parameter, _) in enumerate(problem.scalars) if parameter.is_shape]


def _positions(n_shapes: int) -> FloatArray:
    """(K, shapes) where the points of the set lie, in widths of what is tried."""
    if n_shapes == 0:
        return np.zeros((1, 0))
    wanted = min(MOST_POINTS, POINTS_PER_AXIS * n_shapes)
    # the first point of the sequence is 0 along each axis
    return qmc.Sobol(n_shapes, scramble=False).random(2 * MOST_POINTS)[1 : wanted + 1]


def _placed(parameter: Parameter, position: FloatArray, low: float, high: float) -> FloatArray:
    """Values of a shape parameter at positions in (0, 1)."""
    if parameter.kind == "rate":
        return low + (high - low) * expit(REACH * (2.0 * position - 1.0))
    if parameter.kind == "noise":
        least = max(low, min(LEAST_NOISE, NOISE_RANGE * high))
        return least * (high / least) ** position
    return low + (high - low) * position


def search(
    problem: Problem, *, keep: int, wanted: npt.NDArray[np.bool_] | None = None, cores: int | None = None,
    progress: bool = False,
) -> FloatArray:  # fmt: skip
    """The best points (S, K, P) of the set for each subject, the best first; NaN for subjects that aren't `wanted`.

    Only the best of points that lie close together counts: the likeliest ones often lead to one and the same maximum.
    """
    points = shape_points(problem)
    found = np.full((problem.n_subjects, min(keep, len(points)), problem.n_parameters), np.nan)
    chosen = np.arange(problem.n_subjects) if wanted is None else np.flatnonzero(wanted)
    if chosen.size == 0:
        return found
    part = problem.select(chosen)
    starts = np.broadcast_to(points, (chosen.size, *points.shape)).copy()
    weighed = weigh(part, lay_out(part), starts, cores=cores, progress=progress)
    order = _apart(weighed.value, _positions(len(_shapes(problem))), found.shape[1])
    theta = np.take_along_axis(weighed.theta, order[:, :, None], axis=1)
    found[chosen] = np.where(weighed.done[:, None, None], theta, np.nan)
    return found


def _apart(value: FloatArray, positions: FloatArray, keep: int) -> npt.NDArray[np.int64]:
    """(S, keep) the best points, each the best of those that are not close to one before; then simply the best."""
    offset = positions[:, None] - positions
    close = (offset**2).sum(axis=-1) <= APART**2 * positions.shape[1]
    rows = np.arange(len(value))
    value = np.nan_to_num(value, nan=LOWEST, neginf=LOWEST)
    behind = value - (np.ptp(value, axis=1, keepdims=True) + 1.0)
    waits, taken = np.zeros(value.shape, dtype=bool), np.zeros(value.shape, dtype=bool)
    order = np.empty((len(value), keep), dtype=np.int64)
    for k in range(keep):
        left = np.where(taken, -np.inf, np.where(waits, behind, value))
        order[:, k] = best = left.argmax(axis=1)
        waits |= close[best]
        taken[rows, best] = True
    return order
