r"""The concave problem of one subject, or of several together, as one CVXPY program.

maximise the log-likelihood of logits that are linear in the unknowns v, subject to linear constraints on each
part (`hierrl.convex.lags`). A trial on which two arms are shown is one logistic term, one with more a
log-sum-exp. Everything per trial is in one matrix: there are as few CVXPY expressions as there are numbers of
arms shown.

For many subjects of one shape the matrix can be a parameter of a program that is compiled once (`Template`).
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, cast

import cvxpy as cp
import numpy as np
import numpy.typing as npt
from cvxpy.constraints.exponential import ExpCone
from cvxpy.error import SolverError
from cvxpy.reductions.solvers.defines import SOLVER_MAP_CONIC
from scipy import sparse

from hierrl.convex.lags import Design, Part, Sparse

FloatArray = npt.NDArray[np.float64]
MassBound = bool | Literal["first"]
Kernels = Mapping[str, cp.Expression]
Penalty = Callable[[Kernels], Any]
Constraints = Callable[[Kernels], Sequence[Any]]

# CVXPY numbers its variables with a counter that threads would race for. Solvers run outside the lock.
LOCK = threading.RLock()

# The bound loses what the solver leaves: these tolerances cost an iteration or two and gain three digits.
TIGHT = {"CLARABEL": {"tol_gap_abs": 1e-9, "tol_gap_rel": 1e-9, "tol_feas": 1e-9}}


def check_solver(solver: str) -> None:
    """Raise ValueError if CVXPY does not have this solver, or if it has no exponential cones."""
    if solver in able_solvers():
        return
    what = "has no exponential cones" if solver in cp.installed_solvers() else "is not installed"
    raise ValueError(
        f"The solver {solver!r} {what}. Installed here and able to do this: {', '.join(able_solvers())}."
    )


def able_solvers() -> list[str]:
    """Installed solvers that a sum of logistic terms can be handed to."""
    return [name for name in cp.installed_solvers() if ExpCone in _cones(name)]


def _cones(solver: str) -> Sequence[Any]:
    found = SOLVER_MAP_CONIC.get(solver)
    return found.SUPPORTED_CONSTRAINTS if found is not None else ()


class Terms(NamedTuple):
    """The negative log-likelihood of several designs: what is inside the sums."""

    blocks: dict[int, Sparse]
    """Number of arms shown -> rows: for two the other arm's logit minus the chosen one's, else all logits."""
    linear: FloatArray
    """Coefficient of each unknown outside the sums."""

    def shape(self, ratio: float) -> tuple[tuple[int, int], ...]:
        """(arms shown, rows padded up to a geometric ladder) of each block."""
        found = []
        for number, block in sorted(self.blocks.items()):
            per_trial = 1 if number == 2 else number
            step = np.ceil(np.log(block.shape[0] / per_trial) / np.log(ratio))
            found.append((number, per_trial * int(np.ceil(ratio**step))))
        return tuple(found)

    def padded(self, ratio: float) -> Terms:
        """With rows of zeros up to `shape`; they add a constant."""
        blocks = {}
        for number, rows in self.shape(ratio):
            missing = sparse.csr_array((rows - self.blocks[number].shape[0], self.linear.size))
            blocks[number] = sparse.csr_array(sparse.vstack([self.blocks[number], missing]))
        return Terms(blocks, self.linear)


class Solution(NamedTuple):
    """What came back from a solver; `values` is None where it failed."""

    values: FloatArray | None
    status: str
    loss: float
    """Value of the minimised objective, for comparing cases; infinite where the solver failed."""


class Columns(NamedTuple):
    """Where the unknowns of each part stand: for each part one row of columns per design."""

    width: tuple[int, ...]
    start: tuple[int, ...]
    n_designs: int

    @classmethod
    def of(cls, designs: Sequence[Design], widths: Sequence[int] | None = None) -> Columns:
        """Side by side by part, then by design; designs with fewer lags than the longest are padded."""
        longest = np.max([[c.stop - c.start for c in design.columns] for design in designs], axis=0)
        width = tuple(int(w) for w in (longest if widths is None else widths))
        start = np.append(0, np.cumsum(np.array(width) * len(designs)))
        return cls(width, tuple(int(s) for s in start), len(designs))

    @property
    def total(self) -> int:
        """Number of unknowns."""
        return self.start[-1]

    def scatter(self, design: int, columns: tuple[slice, ...]) -> npt.NDArray[np.int64]:
        """Where the columns of one design go."""
        places = [
            self.start[b] + design * self.width[b] + np.arange(c.stop - c.start)
            for b, c in enumerate(columns)
        ]
        return np.concatenate(places)


def terms_of(designs: Sequence[Design], columns: Columns) -> Terms:
    """Stack the scored trials of all designs."""
    blocks: dict[int, list[Sparse]] = {}
    linear = np.zeros(columns.total)
    for d, design in enumerate(designs):
        place = columns.scatter(d, design.columns)
        shown = design.shown.sum(axis=1)
        for number in np.unique(shown[design.scored & (shown > 1)]):
            trials = np.flatnonzero(design.scored & (shown == number))
            block, outside = _block(design, trials, int(number))
            blocks.setdefault(int(number), []).append(_widen(block, place, columns.total))
            linear[place] += outside
    return Terms({number: sparse.csr_array(sparse.vstack(rows)) for number, rows in blocks.items()}, linear)


def _block(design: Design, trials: npt.NDArray[np.int64], number: int) -> tuple[Sparse, FloatArray]:
    """Rows of `Terms.blocks` for trials with the same number of arms shown, and their linear part."""
    m = design.shown.shape[1]
    arms = np.nonzero(design.shown[trials])[1].reshape(-1, number)
    choice = design.choice[trials]
    chosen = design.matrix[trials * m + choice]
    if number == 2:
        other = arms.sum(axis=1) - choice
        return design.matrix[trials * m + other] - chosen, np.zeros(design.matrix.shape[1])
    return design.matrix[(trials[:, None] * m + arms).ravel()], -np.asarray(chosen.sum(axis=0)).ravel()


def _widen(block: Sparse, place: npt.NDArray[np.int64], total: int) -> Sparse:
    entries = block.tocoo()
    return sparse.csr_array((entries.data, (entries.row, place[entries.col])), shape=(block.shape[0], total))


def limits(parts: Sequence[Part], columns: Columns, mass_bound: MassBound) -> tuple[Sparse, FloatArray]:
    """Linear constraints ``A v <= b`` of all parts: (A, b).

    Kernels fall and end at or above 0. With `mass_bound` the upper bound of the weight bounds their sum, with
    ``"first"`` only g(1); under an accumulating rule g(1) *is* the weight and lies within both of its bounds.
    """
    rows, right = [], []
    for b, part in enumerate(parts):
        for d in range(columns.n_designs):
            first = columns.start[b] + d * columns.width[b]
            for a, value in _limits_of(part, columns.width[b], mass_bound):
                rows.append(_widen(sparse.csr_array(a), first + np.arange(columns.width[b]), columns.total))
                right.append(value)
    return sparse.csr_array(sparse.vstack(rows)), np.concatenate(right)


def _limits_of(part: Part, width: int, mass_bound: MassBound) -> list[tuple[Any, FloatArray]]:
    eye = sparse.eye_array(width)
    if part.kind == "box":
        return [(eye, np.full(width, part.upper)), (-eye, np.full(width, -part.lower))]
    total, first = np.ones((1, width)), np.eye(1, width)
    low, high = np.array([-part.lower]), np.array([part.upper])
    if part.kind == "mixture":
        floor = [(-total, low)] if part.lower > 0 else []
        return [(-eye, np.zeros(width)), (total, high), *floor]
    # g(k + 1) - g(k) <= 0 and, in the last row, -g(p) <= 0
    falls = sparse.diags_array([-np.ones(width), np.ones(width - 1)], offsets=cast(Any, [0, 1]))
    found: list[tuple[Any, FloatArray]] = [(falls, np.zeros(width))]
    if mass_bound:
        found.append((first if part.accumulate or mass_bound == "first" else total, high))
    if part.accumulate and part.lower > 0:
        found.append((-first, low))
    return found


class Template:
    """A CVXPY program whose unknowns and constraints are fixed.

    Parameters
    ----------
    parts, columns
        What the unknowns are.
    terms : Terms
        The data; with `compiled` only its shape matters, and other data of that shape can be solved.
    constraints : (A, b)
        From `limits`.
    penalty, extra : callable, optional
        Take the kernels, label -> expression (designs, lags), and give a convex expression that is added to
        the negative log-likelihood, or a list of constraints.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        columns: Columns,
        terms: Terms,
        *,
        constraints: tuple[Sparse, FloatArray],
        hooks: tuple[Penalty | None, Constraints | None] = (None, None),
        compiled: bool = False,
    ):
        with LOCK:
            self.unknowns = cp.Variable(columns.total)
            self.matrices: dict[int, Any] = dict(terms.blocks)
            self.linear: Any = terms.linear
            if compiled:
                self.matrices = {number: cp.Parameter(block.shape) for number, block in terms.blocks.items()}
                self.linear = cp.Parameter(columns.total)
            loss = -self._loglik()
            conditions: list[Any] = [constraints[0] @ self.unknowns <= constraints[1]]
            kernels = _kernels(parts, columns, self.unknowns)
            penalty, extra = hooks
            if penalty is not None:
                loss = loss + penalty(kernels)
            if extra is not None:
                conditions += list(extra(kernels))
            self.program = cp.Problem(cp.Minimize(loss), conditions)
        self.compiled = compiled

    def _loglik(self) -> Any:
        total = -(self.linear @ self.unknowns)
        for number, matrix in self.matrices.items():
            inside = matrix @ self.unknowns
            if number == 2:
                total = total - cp.sum(cp.logistic(inside))
            else:
                logits = cp.reshape(inside, (matrix.shape[0] // number, number), order="C")
                total = total - cp.sum(cp.log_sum_exp(logits, axis=1))
        return total

    def solve(self, terms: Terms, solver: str, options: Mapping[str, Any]) -> Solution:
        """Solve for these data; a solver that gives up is a status, not an error."""
        options = {**TIGHT.get(solver, {}), **options}
        with LOCK:
            if self.compiled:
                self.linear.value = terms.linear
                for number, parameter in self.matrices.items():
                    parameter.value = _padded(terms.blocks[number], parameter.shape[0])
            data, chain, inverse = cast(Any, self.program.get_problem_data(solver, solver_opts=options))
        try:
            raw = chain.solve_via_data(self.program, data, solver_opts=options)
            with LOCK, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what CVXPY warns of is in the status
                self.program.unpack_results(raw, chain, inverse)
        except SolverError as error:
            return Solution(None, str(error).splitlines()[0], np.inf)
        return self._solution()

    def _solution(self) -> Solution:
        values = self.unknowns.value
        if values is None or not np.isfinite(values).all():
            return Solution(None, str(self.program.status), np.inf)
        return Solution(
            np.array(values, dtype=np.float64), str(self.program.status), float(cast(Any, self.program.value))
        )


def _padded(block: Sparse, n_rows: int) -> FloatArray:
    """Rows of zeros add a constant to the loss."""
    dense = np.zeros((n_rows, block.shape[1]))
    dense[: block.shape[0]] = block.toarray()
    return dense


def _kernels(parts: Sequence[Part], columns: Columns, unknowns: cp.Variable) -> dict[str, cp.Expression]:
    """Label -> kernel (designs, lags), the weight's sign included."""
    found = {}
    for b, part in enumerate(parts):
        if part.kind == "kernel":
            values = unknowns[columns.start[b] : columns.start[b + 1]]
            found[part.label] = part.sign * cp.reshape(
                values, (columns.n_designs, columns.width[b]), order="C"
            )
    return found
