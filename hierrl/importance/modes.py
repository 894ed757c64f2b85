"""Penalised modes: each subject's most probable parameters under a given population, all subjects at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hierrl.importance.gaussian import diagonal
from hierrl.kernels.problem import Problem
from hierrl.kernels.sessions import SessionProblem

FloatArray = npt.NDArray[np.float64]

FARTHEST = 30.0
"""Beyond this distance from 0 on the link scale likelihoods don't change any more, and overflow is near."""

LONGEST_STEP = 3.0
"""On the link scale, per parameter and iteration: a quadratic model isn't believed farther away."""

MAX_ITERATIONS, MAX_HALVINGS = 60, 12
TOLERANCE = 1e-6
"""On the predicted gain of a step, in nats."""

FLATTEST = 0.1
"""Smallest eigenvalue of a precision, as a share of the population's smallest precision."""


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
    """(S,) log-likelihood plus log-density of the population there."""
    converged: npt.NDArray[np.bool_]
    """(S,) whether no step improves the value any more."""

    @property
    def covariance(self) -> FloatArray:
        """(S, P, P) inverse of the precision."""
        return np.linalg.inv(self.precision)

    def take(self, subjects: npt.ArrayLike) -> Modes:
        """Those of some subjects."""
        return Modes(*(values[np.asarray(subjects)] for values in vars(self).values()))


def pooled_modes(parts: Sequence[Modes]) -> Modes:
    """Modes of subjects one after the other."""
    return Modes(*map(np.concatenate, zip(*(vars(part).values() for part in parts), strict=True)))


@dataclass
class _Climb:
    """Where the subjects stand: the value there, its gradient, the curvature of the likelihood."""

    eta: FloatArray
    value: FloatArray
    gradient: FloatArray
    curvature: FloatArray

    def put(self, where: npt.NDArray, other: _Climb) -> None:
        for name, values in vars(self).items():
            values[where] = getattr(other, name)

    def take(self, where: npt.NDArray) -> _Climb:
        return _Climb(*(values[where] for values in vars(self).values()))


def highest_modes(
    problem: Problem | SessionProblem,
    mean: npt.ArrayLike,
    sd: npt.ArrayLike,
    *,
    starts: Sequence[npt.ArrayLike],
) -> Modes:
    """The highest of each subject's `penalised_modes` from several starts, (S, P) or what broadcasts to it.

    Under a wide population likelihoods have several modes, nats or hundreds of nats apart, and from the population's
    mean the climb often ends at a low one.
    """
    shape = (problem.n_subjects, problem.n_parameters)
    ways = [penalised_modes(problem, mean, sd, start=np.broadcast_to(start, shape)) for start in starts]
    best = np.argmax([way.value for way in ways], axis=0)
    names = vars(ways[0])
    return Modes(*(_picked([getattr(way, name) for way in ways], best) for name in names))


def _picked(values: Sequence[npt.NDArray], which: npt.NDArray[np.int64]) -> npt.NDArray:
    return np.stack(values)[which, np.arange(which.size)]


def penalised_modes(
    problem: Problem | SessionProblem,
    mean: npt.ArrayLike,
    sd: npt.ArrayLike,
    *,
    start: npt.ArrayLike | None = None,
) -> Modes:
    """Damped Newton with the exact Hessian for all subjects at once.

    Parameters
    ----------
    problem : Problem
    mean, sd : array_like
        Population on the link scale, (S, P) or what broadcasts to it.
    start : array_like, (S, P), optional
        On the link scale; the population mean if not given.

    Returns
    -------
    Modes
    """
    shape = (problem.n_subjects, problem.n_parameters)
    mean, sd = np.broadcast_to(mean, shape).astype(float), np.broadcast_to(sd, shape).astype(float)
    eta = np.clip(mean if start is None else start, -FARTHEST, FARTHEST)
    now = _look(problem, eta, mean, sd)
    active, part, selected = np.arange(shape[0]), problem, np.arange(shape[0])
    converged = np.zeros(shape[0], dtype=bool)
    for _ in range(MAX_ITERATIONS):
        step, gain = _newton_steps(now.take(active), sd[active])
        converged[active[gain < TOLERANCE]] = True
        step, active = step[gain >= TOLERANCE], active[gain >= TOLERANCE]
        if active.size == 0:
            break
        if active.size <= selected.size // 2:  # copying trials pays only when much is left out
            part, selected = problem.select(active), active
        moved = _line_search(part, selected, now, step, active, mean, sd)
        converged[active[~moved]] = True
        active = active[moved]
    precision = _positive_definite(now.curvature + diagonal(sd**-2), sd)
    return Modes(now.eta, now.curvature, precision, now.value, converged)


def _look(problem: Problem | SessionProblem, eta: FloatArray, mean: FloatArray, sd: FloatArray) -> _Climb:
    loglik, gradient, hessian = problem.link_derivatives(eta, order=2)
    z = (eta - mean) / sd
    value = loglik - (0.5 * z**2 + np.log(sd) + 0.5 * np.log(2 * np.pi)).sum(axis=1)
    return _Climb(eta.copy(), value, gradient - z / sd, -hessian)


def _newton_steps(at: _Climb, sd: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Steps (A, P) of at most `LONGEST_STEP`, and the gain in value (A,) that each promises."""
    precision = _positive_definite(at.curvature + diagonal(sd**-2), sd)
    step = np.linalg.solve(precision, at.gradient[:, :, None])[:, :, 0]
    gain = 0.5 * (step * at.gradient).sum(axis=1)
    return step / np.maximum(1.0, np.abs(step) / LONGEST_STEP).max(axis=1, keepdims=True), gain


def _line_search(
    part: Problem | SessionProblem,
    selected: npt.NDArray,
    now: _Climb,
    step: FloatArray,
    active: npt.NDArray,
    mean: FloatArray,
    sd: FloatArray,
) -> npt.NDArray[np.bool_]:
    """Halve the steps of the `active` subjects until their values rise; False (A,) where none does.

    `part` is the problem of the subjects `selected`, which the active ones are among.
    """
    place = np.searchsorted(selected, active)
    size = np.ones(active.size)
    for _ in range(MAX_HALVINGS):
        trying = size > 0
        eta = now.eta[selected]
        eta[place[trying]] += size[trying, None] * step[trying]
        there = _look(part, np.clip(eta, -FARTHEST, FARTHEST), mean[selected], sd[selected]).take(place)
        better = trying & (there.value > now.value[active])
        now.put(active[better], there.take(better))
        size = np.where(better, 0.0, size / 2)
        if not size.any():
            break
    return size == 0


def _positive_definite(precision: FloatArray, sd: FloatArray) -> FloatArray:
    """Precisions (S, P, P) with eigenvalues of at least a share of the population's precision."""
    values, vectors = np.linalg.eigh(precision)
    floor = FLATTEST * (sd**-2).min(axis=1, keepdims=True)
    values = np.maximum(np.abs(values), floor)
    return (vectors * values[:, None, :]) @ vectors.transpose(0, 2, 1)
