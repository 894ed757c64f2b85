r"""The monotone relaxation of Zhu et al. (2025): any falling kernel in place of an exponential one.

Each channel (each arm of it, if it is per arm) has a free kernel :math:`g(1) \ge \dots \ge g(p) \ge 0` over
the arm's own updates. The log-likelihood is concave in the logits, and these are linear in g, so the relaxed
problem is convex and CVXPY solves it. Where the set of kernels contains the model's,
:math:`g(k) = w a (1 - a)^{k-1}`, its optimum bounds the log-likelihood.

The bound is priced at the relaxed logits (`hierrl.convex.steps`), never read off a solver's objective.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax

from hierrl.convex.cases import Case, best_case, feasible, sentence
from hierrl.convex.conic import check_solver
from hierrl.convex.kernel_recovery import recover_from_kernel
from hierrl.convex.lags import ALL_ARMS, Design, Part, lag_design, parts_of
from hierrl.convex.monotone_result import MonotoneResult
from hierrl.convex.program import (
    Columns,
    Constraints,
    MassBound,
    Penalty,
    Solution,
    Template,
    Terms,
    limits,
    steps_basis,
)
from hierrl.convex.steps import (
    choice_loglik,
    priced_bound,
    uncontained,
    unreached,
    unseen_start,
)
from hierrl.kernels.problem import Problem
from hierrl.kernels.threads import IndexArray, over_subjects

FloatArray = npt.NDArray[np.float64]

COMPILE_ENTRIES = 4_000
"""A program is compiled for many subjects if its matrix has at most this many entries; else it never pays."""
COMPILE_SUBJECTS = 20
SHAPE_RATIO = 1.25
"""Rows are padded up to a geometric ladder, so that few programs are compiled."""


def solve_monotone(
    problem: Problem,
    *,
    horizon: int | None = None,
    mass_bound: MassBound = True,
    solver: str = "CLARABEL",
    penalty: Penalty | None = None,
    constraints: Constraints | None = None,
    joint: bool = False,
    cores: int | None = None,
    progress: bool = False,
    **solver_options: Any,
) -> MonotoneResult:
    """Solve the monotone relaxation of every subject.

    Parameters
    ----------
    problem : Problem
        A model on data. Lapse is left out.
    horizon : int, optional
        Longest lag in updates of the arm; every lag that matters if not given. A horizon shorter than that
        leaves the model outside of the relaxation, and the bound NaN.
    mass_bound : bool or "first"
        The kernel of a model sums to at most its weight, so let the weight's upper bound hold for the sum.
        ``"first"`` bounds only g(1), as a weight also does; False leaves both out, as the reference
        implementation does.
    solver : str
        Any installed CVXPY solver for exponential cones.
    penalty : callable, optional
        Takes the kernels, a mapping of label (``"reward"``, ``"choice[left]"``) to a CVXPY expression
        (subjects, lags), and returns a convex expression that is subtracted from the log-likelihood.
    constraints : callable, optional
        Takes the kernels and returns a list of CVXPY constraints.
    joint : bool
        One problem of all subjects, for penalties and constraints that tie them together; else one for each.
    cores : int, optional
        Threads; all cores if not given.
    progress : bool
        Show a progress bar.
    **solver_options
        Handed to the solver.

    Returns
    -------
    MonotoneResult

    Raises
    ------
    ValueError
        If the horizon or the mass bound makes no sense, or the solver is not installed or can't do this.

    Examples
    --------
    Kernels of all subjects alike, over ten lags::

        def one_for_all(kernels):
            return [kernels["reward"][1:] == kernels["reward"][:-1]]

        solve_monotone(problem, horizon=10, joint=True, constraints=one_for_all)
    """
    if horizon is not None and (not isinstance(horizon, int | np.integer) or horizon < 1):
        raise ValueError(f"horizon must be a positive integer or None (every lag); found {horizon!r}.")
    if mass_bound not in (True, False, "first"):
        raise ValueError(f"mass_bound must be True, False or 'first'; found {mass_bound!r}.")
    check_solver(solver)
    request = _Request(horizon, mass_bound, solver, penalty, constraints, solver_options)
    run = _Run(problem, request)
    if joint:
        run.solve(list(range(problem.n_subjects)))
    else:
        over_subjects(
            run.work,
            problem.n_rows,
            cores=cores,
            keep=True,
            progress=progress,
            description="Monotone relaxation",
        )
    return run.gathered()


@dataclass(frozen=True)
class _Request:
    """What is asked for, see `solve_monotone`."""

    horizon: int | None
    mass_bound: MassBound
    solver: str
    penalty: Penalty | None
    constraints: Constraints | None
    options: dict[str, Any]

    @property
    def hooked(self) -> bool:
        """Whether the user changed the problem, so that no dual bound of it is known."""
        return self.penalty is not None or self.constraints is not None


class _Run:
    """One call of `solve_monotone`: the arrays that workers fill, and the programs they compiled."""

    def __init__(self, problem: Problem, request: _Request):
        self.problem, self.request = problem, request
        self.parts = parts_of(problem, "kernel")
        self.reason = uncontained(problem)
        self.local = threading.local()
        self.kernels: list[dict[Part, FloatArray]] = [{} for _ in range(problem.n_subjects)]
        s, p = problem.n_subjects, problem.n_parameters
        self.logits = np.zeros((problem.n_trials, problem.arms.size))
        self.loglik, self.bound, self.seconds = np.full(s, np.nan), np.full(s, np.nan), np.full(s, np.nan)
        self.theta, self.theta_plain = np.full((s, p), np.nan), np.full((s, p), np.nan)
        self.solved = np.zeros(s, dtype=bool)
        self.reasons, self.status = [""] * s, ["Interrupted before this subject was reached."] * s

    @property
    def width(self) -> int | None:
        """Lags of every kernel; None leaves it to each subject."""
        horizon = self.request.horizon
        return None if horizon is None else min(int(horizon), int(self.problem.n_rows.max()))

    def work(self, subjects: IndexArray) -> None:
        for s in subjects:
            self.solve([int(s)])

    def solve(self, subjects: list[int]) -> None:
        """Solve a group of subjects as one program and write down what came out."""
        began = time.perf_counter()
        designs = [lag_design(self.problem, self.parts, s, self.width) for s in subjects]
        best = best_case(self.parts, designs, self.solved_with)
        for d, s in enumerate(subjects):
            self.record(s, best, d)
        self.seconds[subjects] = (time.perf_counter() - began) / len(subjects)

    def solved_with(self, parts: tuple[Part, ...], columns: Columns, terms: Terms) -> Solution:
        """Solve with the signs of these parts: in lags, and where the solver gives up in steps."""
        solver, options = self.request.solver, self.request.options
        solution = self.template(parts, columns, terms).solve(terms, solver, options)
        if solution.optimal:
            return solution
        again = self.program(parts, columns, terms, steps=True, compiled=False)
        # A solver that gave up may report a loss that no feasible point has.
        return min(
            again.solve(terms, solver, options), solution, key=lambda found: (not found.optimal, found.loss)
        )

    def template(self, parts: tuple[Part, ...], columns: Columns, terms: Terms) -> Template:
        """A program for these data, or one that this thread has compiled for data of their shape."""
        shape = terms.shape(SHAPE_RATIO)
        size = sum(rows for _, rows in shape) * columns.total
        often = self.problem.n_subjects // max(columns.n_designs, 1) >= COMPILE_SUBJECTS
        if self.width is None or size > COMPILE_ENTRIES or not often:
            return self.program(parts, columns, terms, steps=False, compiled=False)
        known: dict[Any, Template] = self.local.__dict__.setdefault("known", {})
        key = (parts, columns, shape)
        if key not in known:
            known[key] = self.program(parts, columns, terms.padded(SHAPE_RATIO), steps=False, compiled=True)
        return known[key]

    def program(
        self, parts: tuple[Part, ...], columns: Columns, terms: Terms, *, steps: bool, compiled: bool
    ) -> Template:
        request = self.request
        return Template(
            parts,
            columns,
            terms,
            constraints=limits(parts, columns, request.mass_bound),
            hooks=(request.penalty, request.constraints),
            basis=steps_basis(parts, columns) if steps else None,
            compiled=compiled,
        )

    def record(self, s: int, case: Case, d: int) -> None:
        """Write down the results of one subject, the d-th of its group."""
        design, values = case.designs[d], case.solution.values
        own = np.zeros(design.matrix.shape[1])
        if values is not None:
            own = feasible(values[case.columns.scatter(d, design.columns)], design, case.parts)
        logits = design.logits(own)
        self.recover(s, case.parts, design, own, logits)
        rows = slice(self.problem.trials.offset[s], self.problem.trials.offset[s + 1])
        self.logits[rows], self.loglik[s] = logits, choice_loglik(design, logits)
        bound = priced_bound(design, case.parts, logits)
        gap = np.nan if self.request.hooked else bound - self.loglik[s]
        self.status[s], self.solved[s] = sentence(case, gap, bool(self.request.mass_bound))
        self.reasons[s] = self.reason or unreached(case.parts, design) or unseen_start(self.problem, s)
        if not self.reasons[s]:
            self.bound[s] = bound

    def recover(
        self, s: int, parts: tuple[Part, ...], design: Design, values: FloatArray, logits: FloatArray
    ) -> None:
        """Kernels, and the parameters closest to them."""
        probability = np.exp(log_softmax(np.where(design.shown, logits, -np.inf), axis=1))
        known = {"values": values, "probability": probability}
        self.theta[s] = recover_from_kernel(self.problem, parts, design, weighting="fisher", **known)
        self.theta_plain[s] = recover_from_kernel(self.problem, parts, design, weighting="plain", **known)
        for part, columns, longest in zip(parts, design.columns, design.longest, strict=True):
            if part.kind == "kernel":
                self.kernels[s][part] = part.sign * values[columns][:longest]

    def gathered(self) -> MonotoneResult:
        """The result, kernels padded to one length."""
        per_arm = any(channel.per_arm for channel in self.problem.model.channels)
        lags = max((kernel.size for own in self.kernels for kernel in own.values()), default=0)
        arms = self.problem.arms.size if per_arm else 1
        padded = np.full((self.problem.n_subjects, len(self.problem.model.channels), arms, lags), np.nan)
        for s, own in enumerate(self.kernels):
            for part, kernel in own.items():
                padded[s, part.index, slice(None) if part.arm == ALL_ARMS else part.arm, : kernel.size] = (
                    kernel
                )
        dims = ("subject", "channel", *(("arm",) if per_arm else ()), "lag")
        return MonotoneResult(
            kernel=padded if per_arm else padded[:, :, 0],
            dims=dims,
            logits=self.logits,
            loglik=self.loglik,
            bound=self.bound,
            reason=self.reasons,
            status=self.status,
            solved=self.solved,
            seconds=self.seconds,
            theta=self.theta,
            theta_plain=self.theta_plain,
        )
