"""Box-constrained Newton for many subjects at once, on any problem that has derivatives.

The method of `hierrl.kernels.newton`, which is compiled together with the channels' likelihood, for models whose
likelihood is compiled on its own: each step is one pass over the trials of all subjects that still climb.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hierrl.kernels.newton import ARMIJO, AT_EDGE, LARGEST_MOVE, MAX_HALVINGS, MAX_STEPS, TOLERANCE

if TYPE_CHECKING:
    from hierrl.kernels.problem import Problem

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

FLATTEST = 1e-10
"""Smallest curvature that a step believes in, as a share of the largest, parameters in widths of their bounds."""


@dataclass
class Climb:
    """Where S subjects stand."""

    theta: FloatArray
    """(S, P)"""
    loglik: FloatArray
    converged: BoolArray
    steps: npt.NDArray[np.int64]


def climb_together(
    problem: Problem, theta: FloatArray, lower: FloatArray, upper: FloatArray, *, free: BoolArray
) -> Climb:
    """Maximise every subject from theta (S, P) within lower and upper (S, P); only `free` scalars (P,) move."""
    at = np.clip(theta, lower, upper)
    n = len(at)
    found = Climb(at, np.full(n, -np.inf), np.zeros(n, dtype=bool), np.zeros(n, dtype=np.int64))
    active, part = np.arange(n), problem
    for _ in range(MAX_STEPS):
        value, gradient, hessian = part.derivatives(found.theta[active])
        found.loglik[active] = value
        low, high = lower[active], upper[active]
        step = _steps(found.theta[active], gradient, hessian, low, high, free)
        promised = (gradient * step).sum(axis=1)
        noise = TOLERANCE * (1.0 + np.abs(value))
        going = promised > noise
        found.converged[active[~going]] = np.isfinite(value[~going])
        moved = _search(part, found, active, (gradient, step, low, high), going)
        stuck = going & ~moved  # no ascent in floating point: as converged as it gets, if little was promised
        found.converged[active[stuck]] = promised[stuck] < 1e3 * noise[stuck]
        found.steps[active[moved]] += 1
        active = active[moved]
        if active.size == 0:
            break
        part = problem.select(active) if active.size < n else problem
    return found


def _steps(
    theta: FloatArray,
    gradient: FloatArray,
    hessian: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    free: BoolArray,
) -> FloatArray:
    """Ascent directions (A, P): Newton's, with curvature of the wrong sign turned round; 0 for what is held."""
    width = upper - lower
    held = (theta - lower <= AT_EDGE * width) & (gradient <= 0) | (upper - theta <= AT_EDGE * width) & (
        gradient >= 0
    )
    moves = free & ~held
    scale = np.where(moves, width, 0.0)
    known = np.isfinite(hessian).all(axis=(1, 2)) & np.isfinite(gradient).all(axis=1)
    curvature = np.where(known[:, None, None], -hessian * scale[:, :, None] * scale[:, None, :], 0.0)
    size, axes = np.linalg.eigh(curvature)
    size = np.abs(size)
    size = np.maximum(size, np.maximum(FLATTEST * size.max(axis=1, keepdims=True), 1e-12))
    slope = np.where(known[:, None], gradient * scale, 0.0)
    along = (slope[:, None] @ axes)[:, 0] / size
    return scale * (axes @ along[:, :, None])[:, :, 0]


def _search(
    part: Problem, found: Climb, active: npt.NDArray[np.int64], move: tuple[FloatArray, ...], going: BoolArray
) -> BoolArray:
    """Halve the steps of those `going` until their value rises; True (A,) where it did."""
    gradient, step, low, high = move
    largest = np.abs(step / (high - low)).max(axis=1)
    size = np.where(going, np.minimum(1.0, LARGEST_MOVE / np.maximum(largest, 1e-300)), 0.0)
    before, value = found.theta[active], found.loglik[active]
    moved = np.zeros(active.size, dtype=bool)
    for _ in range(MAX_HALVINGS):
        open_ends = going & ~moved
        if not open_ends.any():
            break
        there = np.clip(before + np.where(open_ends, size, 0.0)[:, None] * step, low, high)
        reached = part.derivatives(there, order=0)[0]
        enough = value + ARMIJO * (gradient * (there - before)).sum(axis=1)
        better = open_ends & (reached >= enough) & (reached > value)
        found.theta[active[better]] = there[better]
        moved |= better
        size = np.where(better, size, size / 2)
    return moved
