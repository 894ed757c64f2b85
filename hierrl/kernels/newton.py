"""Box-constrained Newton's method with exact derivatives, for all subjects at once.

A projected Newton method (Bertsekas 1982): parameters that sit on a bound with the gradient pointing outward
are held, the others take a Newton step on their block of the Hessian, shifted until it is negative definite,
along the projection onto the box, with backtracking. Used for maximum likelihood from several starts, and
with some parameters held for the concave problem in the weights.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from hierrl.kernels.jit import njit
from hierrl.kernels.likelihood import subject_pass
from hierrl.kernels.loops import INNER, JIT, copy, fill
from hierrl.kernels.threads import IndexArray, over_subjects

if TYPE_CHECKING:
    from hierrl.kernels.problem import Problem

FloatArray = npt.NDArray[np.float64]

TOLERANCE = 1e-9
"""Predicted gain in nats, relative to ``1 + |loglik|``, below which a subject has converged."""
MAX_STEPS = 200
MAX_HALVINGS = 40
ARMIJO = 1e-4
AT_EDGE = 1e-9
"""Share of the width of its bounds within which a parameter counts as on one: steps there gain noise only."""
LARGEST_MOVE = 0.25
"""Largest move of a parameter in one step, as a share of the width of its bounds."""


@njit(**INNER)
def cholesky(a, n):
    """Lower Cholesky factor of the leading block of `a` in place; False if it is not positive definite."""
    for j in range(n):
        pivot = a[j, j]
        for k in range(j):
            pivot -= a[j, k] * a[j, k]
        if not pivot > 0.0:
            return False
        a[j, j] = np.sqrt(pivot)
        for i in range(j + 1, n):
            entry = a[i, j]
            for k in range(j):
                entry -= a[i, k] * a[j, k]
            a[i, j] = entry / a[j, j]
    return True


@njit(**INNER)
def cholesky_solve(a, b, n):
    """Solve with the factor of `cholesky`, in place in `b`."""
    for i in range(n):
        for k in range(i):
            b[i] -= a[i, k] * b[k]
        b[i] /= a[i, i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            b[i] -= a[k, i] * b[k]
        b[i] /= a[i, i]


@njit(**INNER)
def newton_step(gradient, hessian, moves, width, step):
    """Ascent direction into step (P,): ``(-H + shift D) step = gradient`` on the moving block, 0 elsewhere.

    D scales with the squared inverse width of the box, so that parameters of any unit are treated alike; the
    shift starts at 0 and grows until the block is positive definite.
    """
    n = gradient.size
    index, k = np.empty(n, dtype=np.int64), 0
    for a in range(n):
        if moves[a]:
            index[k] = a
            k += 1
    block, right = np.empty((n, n)), np.empty(n)
    largest = 1e-12
    for a in range(k):
        i = index[a]
        largest = max(largest, abs(hessian[i, i]) * width[i] * width[i])
    shift = 0.0
    while True:
        for a in range(k):
            right[a] = gradient[index[a]]
            for b in range(k):
                block[a, b] = -hessian[index[a], index[b]]
            block[a, a] += (shift + 1e-13 * largest) / (width[index[a]] * width[index[a]])
        if cholesky(block, k):
            break
        shift = max(4.0 * shift, 1e-4 * largest)
    cholesky_solve(block, right, k)
    fill(step, 0.0)
    for a in range(k):
        step[index[a]] = right[a]


@njit(**INNER)
def climb(tables, trials, s, theta, lower, upper, free):
    """Maximise subject `s` from `theta` (P,) in place. Returns (log-likelihood, converged, steps)."""
    n = theta.size
    gradient, hessian, step, trial = np.empty(n), np.empty((n, n)), np.empty(n), np.empty(n)
    no_gradient, no_hessian = np.empty(0), np.empty((0, 0))
    width, moves = np.empty(n), np.empty(n, dtype=np.bool_)
    for a in range(n):
        width[a] = upper[a] - lower[a]
        theta[a] = min(max(theta[a], lower[a]), upper[a])
    for steps in range(MAX_STEPS):
        value = subject_pass(tables, trials, s, theta, 2, gradient, hessian)
        for a in range(n):
            held_low = theta[a] - lower[a] <= AT_EDGE * width[a] and gradient[a] <= 0.0
            held_high = upper[a] - theta[a] <= AT_EDGE * width[a] and gradient[a] >= 0.0
            moves[a] = free[a] and not held_low and not held_high
        newton_step(gradient, hessian, moves, width, step)
        largest, predicted, within = 0.0, 0.0, 0.0
        for a in range(n):
            largest = max(largest, abs(step[a]) / width[a])
            predicted += gradient[a] * step[a]
            if moves[a]:
                within += max(gradient[a] * (upper[a] - theta[a]), gradient[a] * (lower[a] - theta[a]))
        # Where all is flat, rounding alone makes steps and what they promise; the slope across the box does not lie.
        if not (predicted > TOLERANCE * (1.0 + abs(value)) and within > TOLERANCE * (1.0 + abs(value))):
            return value, np.isfinite(value), steps
        size = min(1.0, LARGEST_MOVE / largest)
        accepted = False
        for _ in range(MAX_HALVINGS):
            gain = 0.0
            for a in range(n):
                trial[a] = min(max(theta[a] + size * step[a], lower[a]), upper[a])
                gain += gradient[a] * (trial[a] - theta[a])
            reached = subject_pass(tables, trials, s, trial, 0, no_gradient, no_hessian)
            if reached >= value + ARMIJO * gain and reached > value:
                accepted = True
                break
            size *= 0.5
        if not accepted:
            # No ascent in floating point: as converged as it gets, if the gain that was promised is tiny.
            return value, predicted < 1e3 * TOLERANCE * (1.0 + abs(value)), steps
        copy(trial, theta)
    return value, False, MAX_STEPS


@njit(**JIT)
def climb_batch(tables, trials, subjects, starts, lower, upper, free, theta, loglik, converged, steps):
    """`climb` from every start (S, K, P), K >= 1; the best is kept. lower, upper (S, P)."""
    point = np.empty(starts.shape[2])
    for s in subjects:
        loglik[s], steps[s] = -np.inf, 0
        for k in range(starts.shape[1]):
            usable = True
            for a in range(starts.shape[2]):
                point[a] = starts[s, k, a]
                usable = usable and not np.isnan(point[a])
            if not usable:
                continue
            value, done, used = climb(tables, trials, s, point, lower[s], upper[s], free)
            steps[s] += used
            if value > loglik[s]:
                loglik[s], converged[s] = value, done
                copy(point, theta[s])


class Maximum(NamedTuple):
    """The best point found for each subject."""

    theta: FloatArray
    loglik: FloatArray
    converged: npt.NDArray[np.bool_]
    steps: npt.NDArray[np.int64]
    done: npt.NDArray[np.bool_]
    seconds: FloatArray


def maximise(
    problem: Problem,
    starts: npt.ArrayLike,
    *,
    free: npt.ArrayLike | None = None,
    lower: npt.ArrayLike | None = None,
    upper: npt.ArrayLike | None = None,
    cores: int | None = None,
    progress: bool = False,
    description: str = "Maximising",
) -> Maximum:
    """The best local maximum from several starts, for each subject.

    Parameters
    ----------
    problem : Problem
        S subjects, P scalars.
    starts : array_like, (S, K, P) or (S, P)
        On the scaled signal; a start with NaN is skipped.
    free : array_like of bool, (P,), optional
        Which scalars may move; all if not given.
    lower, upper : array_like, (P,) or (S, P), optional
        Bounds; those of the problem if not given.
    cores, progress, description
        As in `over_subjects`.

    Returns
    -------
    Maximum
        theta (S, P), loglik, converged, steps, done (False for subjects that an interrupt left out), seconds,
        all (S,).
    """
    starts = np.asarray(starts, dtype=np.float64)
    starts = np.ascontiguousarray(starts[:, None] if starts.ndim == 2 else starts)
    s, _, p = starts.shape
    free = np.ones(p, dtype=bool) if free is None else np.asarray(free, dtype=bool)
    low, high = (
        np.ascontiguousarray(
            np.broadcast_to(np.asarray(default if given is None else given, dtype=np.float64), (s, p))
        )
        for given, default in ((lower, problem.lower), (upper, problem.upper))
    )
    theta, loglik = np.full((s, p), np.nan), np.full(s, -np.inf)
    converged, steps = np.zeros(s, dtype=bool), np.zeros(s, dtype=np.int64)

    # A likelihood that is compiled on its own can't be compiled into the climb.
    climb_them = getattr(problem, "climb_batch", None) or partial(climb_batch, problem.tables, problem.trials)

    def work(subjects: IndexArray) -> None:
        climb_them(subjects, starts, low, high, free, theta, loglik, converged, steps)

    outcome = over_subjects(
        work, problem.n_rows, cores=cores, keep=True, progress=progress, description=description
    )
    return Maximum(theta, loglik, converged, steps, *outcome)
