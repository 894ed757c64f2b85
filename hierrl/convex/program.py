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
from cvxpy.error import SolverError
from scipy import sparse

from hierrl.convex.conic import TIGHT
from hierrl.convex.lags import Design, Part, Sparse

FloatArray = npt.NDArray[np.float64]
MassBound = bool | Literal["first"]
Kernels = Mapping[str, cp.Expression]
Penalty = Callable[[Kernels], Any]
Constraints = Callable[[Kernels], Sequence[Any]]

# CVXPY numbers its variables with a counter that threads would race for. Solvers run outside the lock.
LOCK = threading.RLock()


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

    @property
    def optimal(self) -> bool:
        """Whether the solver says that it reached its tolerance."""
        return self.values is not None and self.status == "optimal"


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


def steps_basis(parts: Sequence[Part], columns: Columns) -> Sparse:
    """Kernels as weights of steps: columns ``1[k <= K] / K`` for kernels, the identity for other parts.

    A falling kernel is a mixture of steps. In their weights the problem is better conditioned, which saves the
    few subjects that a solver gives up on in lags; but its matrix is dense, which costs up to four times more.
    """
    blocks = []
    for part, width in zip(parts, columns.width, strict=True):
        steps = np.triu(np.ones((width, width))) / np.arange(1, width + 1)
        own = steps if part.kind == "kernel" else np.eye(width)
        blocks += [sparse.csr_array(own)] * columns.n_designs
    return sparse.csr_array(sparse.block_diag(blocks))


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
    hooks : (penalty, constraints)
        Of the user: each takes the kernels, label -> expression (designs, lags), and gives a convex expression
        that is added to the negative log-likelihood, or a list of constraints.
    basis : sparse, optional
        The program's variables w make the unknowns ``basis @ w``; without it they are the unknowns.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        columns: Columns,
        terms: Terms,
        *,
        constraints: tuple[Sparse, FloatArray],
        hooks: tuple[Penalty | None, Constraints | None] = (None, None),
        basis: Sparse | None = None,
        compiled: bool = False,
    ):
        self.basis, self.compiled = basis, compiled
        terms = self._in_basis(terms)
        with LOCK:
            self.variable = cp.Variable(columns.total)
            self.matrices: dict[int, Any] = dict(terms.blocks)
            self.linear: Any = terms.linear
            if compiled:
                self.matrices = {number: cp.Parameter(block.shape) for number, block in terms.blocks.items()}
                self.linear = cp.Parameter(columns.total)
            loss = -self._loglik()
            matrix = constraints[0] if basis is None else constraints[0] @ basis
            conditions: list[Any] = [matrix @ self.variable <= constraints[1]]
            unknowns = self.variable if basis is None else basis @ self.variable
            kernels = _kernels(parts, columns, unknowns)
            penalty, extra = hooks
            if penalty is not None:
                loss = loss + penalty(kernels)
            if extra is not None:
                conditions += list(extra(kernels))
            self.program = cp.Problem(cp.Minimize(loss), conditions)

    def _in_basis(self, terms: Terms) -> Terms:
        if self.basis is None:
            return terms
        blocks = {number: sparse.csr_array(block @ self.basis) for number, block in terms.blocks.items()}
        return Terms(blocks, self.basis.T @ terms.linear)

    def _loglik(self) -> Any:
        total = -(self.linear @ self.variable)
        for number, matrix in self.matrices.items():
            inside = matrix @ self.variable
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
                terms = self._in_basis(terms)
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
            return Solution(None, str(error).split(".")[0], np.inf)
        return self._solution(terms)

    def _solution(self, terms: Terms) -> Solution:
        values, status = self.variable.value, str(self.program.status)
        if values is None or not np.isfinite(values).all():
            return Solution(None, status, np.inf)
        unknowns = values if self.basis is None else self.basis @ values
        loss = float(cast(Any, self.program.value)) - self._padding(terms)
        return Solution(np.array(unknowns, dtype=np.float64), status, loss)

    def _padding(self, terms: Terms) -> float:
        """What rows of zeros add to the loss: the logarithm of the number of arms for each trial."""
        total = 0.0
        for number, matrix in self.matrices.items():
            per_trial = 1 if number == 2 else number
            total += (matrix.shape[0] - terms.blocks[number].shape[0]) / per_trial * np.log(number)
        return float(total)


def _padded(block: Sparse, n_rows: int) -> FloatArray:
    """A dense block with rows of zeros below."""
    dense = np.zeros((n_rows, block.shape[1]))
    dense[: block.shape[0]] = block.toarray()
    return dense


def _kernels(parts: Sequence[Part], columns: Columns, unknowns: Any) -> dict[str, cp.Expression]:
    """Label -> kernel (designs, lags), the weight's sign included."""
    found = {}
    for b, part in enumerate(parts):
        if part.kind == "kernel":
            values = unknowns[columns.start[b] : columns.start[b + 1]]
            found[part.label] = part.sign * cp.reshape(
                values, (columns.n_designs, columns.width[b]), order="C"
            )
    return found
