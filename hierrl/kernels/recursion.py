"""A user's recursion meeting data: the same protocol as `Problem`, with loops written for this very model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.kernels.climbing import climb_together
from hierrl.kernels.problem import Problem
from hierrl.kernels.recursion_code import Program
from hierrl.kernels.recursion_rows import RowsOfTrials, build_rows
from hierrl.kernels.threads import SMALL_CHUNK, IndexArray, over_subjects
from hierrl.kernels.trials import reward_range, reward_scale_of
from hierrl.models.recursion import Recursion

FloatArray = npt.NDArray[np.float64]

STEP = 1e-5
"""For differences of gradients, times the size of a parameter (at least 1)."""


@dataclass(frozen=True)
class RecursionProblem(Problem):
    """A recursion laid out on the trials of S subjects with m arms and P free scalars."""

    model: Recursion
    tables: Program  # type: ignore[assignment]
    trials: RowsOfTrials  # type: ignore[assignment]

    def derivatives(self, theta: npt.ArrayLike, *, order: int = 2) -> tuple[FloatArray, ...]:
        """Log-likelihood (S,), gradient (S, P) and Hessian (S, P, P) up to `order`.

        Exact; the Hessian of a model with very many second derivatives consists of differences of gradients.
        """
        theta = self._checked(theta)
        if order > 1 and not hasattr(self.tables.loops, "pass_2"):
            return self._by_differences(theta)
        s, p = theta.shape
        value, gradient = np.empty(s), np.empty((s, p))
        hessian = np.empty((s if order > 1 else 0, p, p))
        one_pass = getattr(self.tables.loops, f"pass_{order}")

        def work(subjects: IndexArray) -> None:
            one_pass(subjects, theta, *self.trials, value, gradient, hessian)

        over_subjects(work, self.n_rows, smallest=SMALL_CHUNK)
        return (value, gradient, hessian)[: order + 1]

    def _by_differences(self, theta: FloatArray) -> tuple[FloatArray, ...]:
        value, gradient = self.derivatives(theta, order=1)
        hessian = np.empty((*gradient.shape, theta.shape[1]))
        for p in range(theta.shape[1]):
            step = STEP * np.maximum(1.0, np.abs(theta[:, p]))
            ends = []
            for sign in (1.0, -1.0):
                moved = theta.copy()
                moved[:, p] = np.clip(theta[:, p] + sign * step, self.lower[p], self.upper[p])
                ends.append((moved[:, p], self.derivatives(moved, order=1)[1]))
            width = (ends[0][0] - ends[1][0])[:, None]
            hessian[:, :, p] = (ends[0][1] - ends[1][1]) / width
        return value, gradient, 0.5 * (hessian + hessian.transpose(0, 2, 1))

    def by_trial(self, theta: npt.ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
        """States (states, m, n) before each trial, probabilities (m, n), log-probabilities (n,).

        A scalar state has the same value for all arms.
        """
        theta = self._checked(theta)
        n, m = self.n_trials, self.arms.size
        parts = self.model.unrolled(m).parts
        state, probability, loglik = (np.empty(shape) for shape in ((sum(s for _, s in parts), n), (m, n), n))

        def work(subjects: IndexArray) -> None:
            self.tables.loops.trial_pass(subjects, theta, *self.trials, state, probability, loglik)

        over_subjects(work, self.n_rows, smallest=SMALL_CHUNK)
        first = np.cumsum([0, *(size for _, size in parts)])
        by_arm = [np.broadcast_to(state[a:b], (m, n)) for a, b in zip(first, first[1:], strict=False)]
        return np.stack(by_arm), probability, loglik

    def draws_loglik(self, theta: npt.ArrayLike) -> FloatArray:
        """Log-probability (D, n) of each scored choice at many draws, theta (D, S, P); NaN elsewhere."""
        draws = np.ascontiguousarray(theta, dtype=np.float64)
        self._checked(draws[0] if draws.ndim == 3 else draws[None])
        loglik = np.empty((draws.shape[0], self.n_trials))
        state = np.empty((len(self.model.unrolled(self.arms.size).state), self.n_trials))
        probability = np.empty((self.arms.size, self.n_trials))

        def work(subjects: IndexArray) -> None:
            self.tables.loops.draws_pass(subjects, draws, *self.trials, state, probability, loglik)

        over_subjects(work, self.n_rows * draws.shape[0], smallest=SMALL_CHUNK)
        return loglik

    def climb_batch(
        self,
        subjects: IndexArray,
        starts: FloatArray,
        lower: FloatArray,
        upper: FloatArray,
        free: npt.NDArray[np.bool_],
        theta: FloatArray,
        loglik: FloatArray,
        converged: npt.NDArray[np.bool_],
        steps: npt.NDArray[np.int64],
    ) -> None:
        """As `hierrl.kernels.newton.climb_batch`: the best of the climbs from starts (S, K, P) into the last four."""
        for k in range(starts.shape[1]):
            own = subjects[~np.isnan(starts[subjects, k]).any(axis=1)]
            if own.size == 0:
                continue
            found = climb_together(self.select(own), starts[own, k], lower[own], upper[own], free=free)
            steps[own] += found.steps
            better = found.loglik > loglik[own]
            theta[own[better]], loglik[own[better]] = found.theta[better], found.loglik[better]
            converged[own[better]] = found.converged[better]


def prepare_recursion(
    model: Recursion, data: xr.Dataset, *, reward_scale: float | None = None
) -> RecursionProblem:
    """Lay out a recursion on `data`; `reward_scale` as for `prepare`, 1 for a model that doesn't scale."""
    scale = reward_scale_of(data) if reward_scale is None else float(reward_scale)
    scale = scale if model.scale else 1.0
    arms = data["arm"].values
    trials = build_rows(model, data, reward_scale=scale)
    lower, upper = _bounds(model, data, scale)
    program = Program(model, arms.size)
    return RecursionProblem(model, program, trials, data["subject"].values, arms, scale, lower, upper)


def _bounds(model: Recursion, data: xr.Dataset, scale: float) -> tuple[FloatArray, FloatArray]:
    """(P,) bounds; start values without bounds range over the rewards."""
    pairs = []
    for _, each, _ in model.scalars(list(data["arm"].values)):
        pair = (each.lower, each.upper)
        pairs.append(reward_range(data, scale) if pair[0] is None else pair)
    lower, upper = np.array(pairs, dtype=np.float64).T
    return np.ascontiguousarray(lower), np.ascontiguousarray(upper)
