"""The hull relaxation on a fixed grid of rates, through CVXPY: a second opinion on the native solver.

The logits are ``sum_k w_k F(a_k)`` in each channel, F the unit-weight path at a rate, with ``w >= 0`` and a
sum within the bounds of the channel's weight. A grid is not the continuum: what comes out is below the hull's
optimum, and no bound.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hierrl.convex.cases import Case, best_case, feasible, sentence
from hierrl.convex.conic import check_solver
from hierrl.convex.lags import ALL_ARMS, Part, grid_design, parts_of
from hierrl.convex.program import Columns, Solution, Template, Terms, limits
from hierrl.convex.steps import choice_loglik
from hierrl.kernels.problem import Problem
from hierrl.kernels.threads import IndexArray, over_subjects

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class GridResult:
    """The hull on K atoms per channel: S subjects, C channels, m arms, n trials."""

    weight: FloatArray
    """(S, C, m, K) signed weights of the atoms; alike on all arms unless per arm, NaN without a free rate."""
    logits: FloatArray
    """(n, m) of the relaxed optimum."""
    loglik: FloatArray
    """(S,)"""
    status: list[str]
    """(S,) what happened, in a sentence."""
    solved: npt.NDArray[np.bool_]
    """(S,)"""
    seconds: FloatArray
    """(S,)"""


def solve_grid(
    problem: Problem,
    rates: npt.ArrayLike,
    *,
    solver: str = "CLARABEL",
    cores: int | None = None,
    progress: bool = False,
    **solver_options: Any,
) -> GridResult:
    """Solve the hull relaxation with atoms on a grid.

    Parameters
    ----------
    problem : Problem
        A model on data. Lapse is left out.
    rates : array_like, (K,) or (K, P)
        Rates that every channel has atoms at, or whole parameter vectors of which the rates and start values
        count.
    solver, cores, progress, **solver_options
        As in `hierrl.convex.monotone.solve_monotone`.

    Returns
    -------
    GridResult
    """
    check_solver(solver)
    parts = parts_of(problem, "mixture")
    grid = _parameters(problem, rates)
    s, m = problem.n_subjects, problem.arms.size
    result = GridResult(
        np.full((s, len(problem.model.channels), m, grid.shape[0]), np.nan),
        np.zeros((problem.n_trials, m)),
        np.full(s, np.nan),
        ["Interrupted before this subject was reached."] * s,
        np.zeros(s, dtype=bool),
        np.full(s, np.nan),
    )

    def solve(signed: tuple[Part, ...], columns: Columns, terms: Terms) -> Solution:
        return Template(signed, columns, terms, constraints=limits(signed, columns, True)).solve(
            terms, solver, solver_options
        )

    def work(subjects: IndexArray) -> None:
        for subject in subjects:
            began = time.perf_counter()
            case = best_case(parts, [grid_design(problem, parts, int(subject), grid)], solve)
            _record(problem, result, int(subject), case)
            result.seconds[subject] = time.perf_counter() - began

    over_subjects(
        work, problem.n_rows, cores=cores, keep=True, progress=progress, description="Hull on a grid"
    )
    return result


def _parameters(problem: Problem, rates: npt.ArrayLike) -> FloatArray:
    """(K, P) parameter vectors of the atoms."""
    values = np.asarray(rates, dtype=np.float64)
    if values.ndim == 2 and values.shape[1] == problem.n_parameters:
        return values
    if values.ndim != 1 or values.size == 0 or values.min() < 0 or values.max() > 1:
        raise ValueError(
            "rates must be numbers in [0, 1], or parameter vectors of shape "
            f"(atoms, {problem.n_parameters}); found shape {values.shape}."
        )
    theta = np.tile(problem.clip(np.zeros(problem.n_parameters)), (values.size, 1))
    theta[:, [parameter.kind == "rate" for _, parameter, _ in problem.scalars]] = values[:, None]
    return theta


def _record(problem: Problem, result: GridResult, s: int, case: Case) -> None:
    design, values = case.designs[0], case.solution.values
    result.status[s], result.solved[s] = sentence(case, np.nan, True)
    logits = np.zeros(design.shown.shape)
    if values is not None:
        own = feasible(values, design, case.parts)
        logits = design.logits(own)
        for part, columns in zip(case.parts, design.columns, strict=True):
            if part.kind == "mixture":
                arm = slice(None) if part.arm == ALL_ARMS else part.arm
                result.weight[s, part.index, arm] = part.sign * own[columns]
    result.logits[problem.trials.offset[s] : problem.trials.offset[s + 1]] = logits
    result.loglik[s] = choice_loglik(design, logits)
