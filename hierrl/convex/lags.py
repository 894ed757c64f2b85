r"""A model as linear maps of kernels: what the relaxations that go through CVXPY are made of.

Before trial t the value of an arm that has been updated n times in its session is
:math:`\sum_{k \le n} g(k) u_k`, with :math:`u_k` the target of its k-th last update and
:math:`g(k) = a (1 - a)^{k-1}` at rate a (without the leading a for ``update="accumulate"``). Lags count the
arm's *own updates*, so one matrix serves every clock: where unchosen arms hold, a lag is a visit; where they
fade or learn, it is a trial on which the channel updates.

A *part* is a set of columns that share a constraint: the lags of one kernel, the path of a channel without a
free rate, a bias, a regressor. `parts_of` derives them from the model, `lag_design` lays out one subject.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from hierrl.kernels.problem import Problem
from hierrl.kernels.rule import LEARN
from hierrl.kernels.tables import NEGATIVE, OWN_DECAY, POSITIVE, START, UNCHOSEN_OWN_DECAY

FloatArray = npt.NDArray[np.float64]
Kind = Literal["kernel", "mixture", "box"]
Sparse = Any
"""A `scipy.sparse.csr_array`, of whose shape and indexing type checkers know too little."""

ALL_ARMS = -1


@dataclass(frozen=True)
class Part:
    """Columns under one constraint, multiplied by one weight of the model.

    ``kernel``: non-increasing and non-negative over lags; ``mixture``: non-negative with a bounded sum;
    ``box``: one coefficient between bounds. `lower` and `upper` bound the weight *times* `sign`. With
    `accumulate` g(1) is the weight, else the weight bounds the sum of g.
    """

    kind: Kind
    source: Literal["channel", "bias", "regressor"]
    index: int
    arm: int
    label: str
    lower: float
    upper: float
    sign: float = 1.0
    accumulate: bool = False

    @property
    def signed(self) -> bool:
        """Whether the weight may have either sign, which a kernel or a mixture can't."""
        return self.kind != "box" and self.lower < 0 < self.upper

    def case(self, sign: float) -> Part:
        """The part with the weight's sign fixed."""
        low, high = (self.lower, self.upper) if sign > 0 else (-self.upper, -self.lower)
        return replace(self, lower=max(low, 0.0), upper=max(high, 0.0), sign=sign)


class Design(NamedTuple):
    """One subject: its logits are linear in the unknowns, up to a constant that all arms of a trial share."""

    matrix: Sparse
    """(rows * m, columns), trial-major."""
    columns: tuple[slice, ...]
    """Columns of each part."""
    choice: npt.NDArray[np.int64]
    """(rows,)"""
    scored: npt.NDArray[np.bool_]
    """(rows,)"""
    shown: npt.NDArray[np.bool_]
    """(rows, m): arms that could be chosen."""
    longest: npt.NDArray[np.int64]
    """(parts,): longest lag at a scored trial, whether or not the horizon reaches it."""

    def signed(self, parts: Sequence[Part]) -> Design:
        """The design with the columns of each part multiplied by its sign."""
        sign = np.concatenate(
            [np.full(c.stop - c.start, part.sign) for c, part in zip(self.columns, parts, strict=True)]
        )
        if (sign > 0).all():
            return self
        return self._replace(matrix=sparse.csr_array(self.matrix @ sparse.diags_array(sign)))

    @property
    def scored_matrix(self) -> Sparse:
        """The rows of scored trials: (trials * m, columns)."""
        return self.matrix[np.repeat(self.scored, self.shown.shape[1])]

    def logits(self, values: FloatArray) -> FloatArray:
        """Logits (rows, m)."""
        return (self.matrix @ values).reshape(self.shown.shape)


def parts_of(problem: Problem, kind: Literal["kernel", "mixture"]) -> tuple[Part, ...]:
    """The parts of a model: channels (each arm if per arm), biases, regressors."""
    found = []
    for c, channel in enumerate(problem.model.channels):
        own = kind if problem.tables.n_slots[c] > 0 else "box"
        for i in range(problem.arms.size) if channel.per_arm else (ALL_ARMS,):
            low, high = weight_range(problem, c, i)
            adds = channel.update == "accumulate"
            part = Part(own, "channel", c, i, channel_label(problem, c, i), low, high, accumulate=adds)
            found.append(part.case(-1.0) if own != "box" and part.upper <= 0 else part)
    for k, (label, parameter, arm) in enumerate(problem.scalars):
        if parameter.kind == "bias" and arm is not None:
            found.append(Part("box", "bias", arm, arm, label, problem.lower[k], problem.upper[k]))
    for r, regressor in enumerate(problem.model.regressors):
        k = int(problem.tables.regressor_value[r])
        found.append(
            Part("box", "regressor", r, ALL_ARMS, regressor.column, problem.lower[k], problem.upper[k])
        )
    return tuple(found)


def channel_label(problem: Problem, channel: int, arm: int = ALL_ARMS) -> str:
    """The signal of a channel, numbered if several remember the same one, and the arm if it is per arm."""
    signals = [c.signal for c in problem.model.channels]
    name = signals[channel]
    if signals.count(name) > 1:
        name = f"{name}_{signals[: channel + 1].count(name)}"
    return name if arm == ALL_ARMS else f"{name}[{problem.arms[arm]}]"


def weight_range(problem: Problem, channel: int, arm: int) -> tuple[float, float]:
    """Smallest and largest weight of a channel over the bounds of its factors."""
    coefficient, ranges = float(problem.tables.coefficient[channel]), []
    for position in problem.tables.weight_value[channel, max(arm, 0)]:
        if position < problem.n_parameters:
            ranges.append((problem.lower[position], problem.upper[position]))
    corners = [coefficient * float(np.prod(corner)) for corner in itertools.product(*ranges)]
    return min(corners), max(corners)


def lag_design(problem: Problem, parts: tuple[Part, ...], subject: int, horizon: int | None) -> Design:
    """The kernels of one subject as unknowns, signs left out; without a horizon all lags of scored trials."""
    scored = problem.trials.scored[_rows(problem, subject)]
    lags = {c: Lags(problem, c, subject) for c in {p.index for p in parts if p.kind == "kernel"}}

    def columns(part: Part) -> tuple[Sparse, int]:
        own = lags[part.index]
        longest = own.longest(part.arm, scored)
        width = max(longest, 1) if horizon is None else horizon
        return own.matrix(part.arm, width), longest

    return _design(problem, parts, subject, columns)


def grid_design(problem: Problem, parts: tuple[Part, ...], subject: int, grid: FloatArray) -> Design:
    """The weights of the paths at each parameter vector of a grid (K, P) as unknowns, signs left out."""
    one = problem.select([subject])
    paths = [one.paths(theta[None]) for theta in grid]

    def columns(part: Part) -> tuple[Sparse, int]:
        stack = [_on_arm(path[part.index], part.arm).ravel() for path in paths]
        return sparse.csr_array(np.stack(stack, axis=1)), 0

    return _design(problem, parts, subject, columns)


def _design(
    problem: Problem,
    parts: tuple[Part, ...],
    subject: int,
    columns: Callable[[Part], tuple[Sparse, int]],
) -> Design:
    """Columns of all parts side by side; `columns` gives those of a channel with a free rate."""
    rows = _rows(problem, subject)
    blocks, longest = [], []
    for part in parts:
        if part.kind == "box":
            block, lag = sparse.csr_array(_box_column(problem, part, subject).reshape(-1, 1)), 0
        else:
            block, lag = columns(part)
        blocks.append(block)
        longest.append(lag)
    ends = np.cumsum([block.shape[1] for block in blocks])
    return Design(
        sparse.csr_array(sparse.hstack(blocks)),
        tuple(slice(int(end) - block.shape[1], int(end)) for end, block in zip(ends, blocks, strict=True)),
        problem.trials.choice[rows],
        problem.trials.scored[rows],
        _shown(problem, rows),
        np.array(longest, dtype=np.int64),
    )


def _rows(problem: Problem, subject: int) -> slice:
    return slice(int(problem.trials.offset[subject]), int(problem.trials.offset[subject + 1]))


def _shown(problem: Problem, rows: slice) -> npt.NDArray[np.bool_]:
    shown = problem.trials.available[:, rows].T
    return shown if shown.size else np.ones((rows.stop - rows.start, problem.arms.size), dtype=bool)


def _on_arm(values: FloatArray, arm: int) -> FloatArray:
    """values (rows, m) on one arm only, or on all."""
    return values if arm == ALL_ARMS else values * (np.arange(values.shape[1]) == arm)


def _box_column(problem: Problem, part: Part, subject: int) -> FloatArray:
    """What a memoryless part, or a channel without a free rate, adds to the logits (rows, m) at weight 1."""
    rows = _rows(problem, subject)
    if part.source == "bias":
        return np.tile(np.eye(problem.arms.size)[part.index], (rows.stop - rows.start, 1))
    if part.source == "regressor":
        return problem.trials.regressor[part.index, :, rows].T
    # No parameter touches the path of such a channel, so any will do.
    one = problem.select([subject])
    return _on_arm(one.paths(one.lower[None])[part.index], part.arm)


def constant_start(problem: Problem, channel: int) -> float | None:
    """The start value on the scaled signal, None if it is a parameter."""
    position = int(problem.tables.value[channel, 0, START]) - problem.n_parameters
    return float(problem.tables.constants[position]) if position >= 0 else None


def one_rate(problem: Problem, channel: int) -> bool:
    """Whether every update of an arm happens at one and the same rate."""
    values = problem.tables.value[channel, 0]
    own_decay = (
        problem.tables.unchosen[channel] == UNCHOSEN_OWN_DECAY and values[OWN_DECAY] != values[POSITIVE]
    )
    return values[POSITIVE] == values[NEGATIVE] and not own_decay


class Lags:
    """The updates of a channel on each arm, for one subject."""

    def __init__(self, problem: Problem, channel: int, subject: int):
        rows = _rows(problem, subject)
        kind = problem.trials.kind[channel, :, rows]
        faded = OWN_DECAY if problem.tables.unchosen[channel] == UNCHOSEN_OWN_DECAY else LEARN
        self.updates = (kind == LEARN) | (kind == faded)
        self.target = problem.trials.target[channel, :, rows] - self._shift(problem, channel)
        session = np.cumsum(problem.trials.reset[rows])
        context = problem.trials.context[channel, rows] if problem.tables.n_contexts[0] > 1 else 0
        # Rows in the order of histories: a history is a session, or a context within one.
        self.history = np.unique(session * problem.tables.n_contexts[0] + context, return_inverse=True)[1]
        self.order = np.argsort(self.history, kind="stable")
        self.counts = np.stack([self._before(updates) for updates in self.updates])

    @staticmethod
    def _shift(problem: Problem, channel: int) -> float:
        """What the values of all arms may be lowered by without changing any choice probability.

        With one start value s and one weight for all arms, ``Q - s`` follows the same delta rule with the
        target ``u - s`` and starts at 0; the logits of all arms lose the same constant.
        """
        shared = not (problem.model.channels[channel].per_arm or problem.tables.accumulate[channel])
        return (constant_start(problem, channel) or 0.0) if shared else 0.0

    def _before(self, updates: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """(rows,) how often the arm was updated in its history before each row."""
        ordered = updates[self.order].astype(np.int64)
        total = np.cumsum(ordered) - ordered
        first = np.flatnonzero(np.diff(self.history[self.order], prepend=-1))
        before = np.empty_like(total)
        before[self.order] = total - np.repeat(total[first], np.diff(np.append(first, total.size)))
        return before

    def synchronous(self, scored: npt.NDArray[np.bool_]) -> bool:
        """Whether all arms have been updated equally often at every scored trial."""
        return bool((self.counts[:, scored] == self.counts[:1, scored]).all())

    def longest(self, arm: int, scored: npt.NDArray[np.bool_]) -> int:
        """The longest lag that a scored trial sees."""
        counts = self.counts[:, scored] if arm == ALL_ARMS else self.counts[arm, scored]
        return int(counts.max(initial=0))

    def matrix(self, arm: int, width: int) -> Sparse:
        """(rows * m, width): the target of the k-th last update of each arm, 0 where there was none."""
        m, n = self.updates.shape
        rows, lags, values = [], [], []
        for i in range(m) if arm == ALL_ARMS else (arm,):
            row, lag, value = self._entries(i, width)
            rows.append(row * m + i)
            lags.append(lag)
            values.append(value)
        index = (np.concatenate(rows), np.concatenate(lags))
        return sparse.csr_array((np.concatenate(values), index), shape=(n * m, width))

    def _entries(
        self, arm: int, width: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], FloatArray]:
        """Rows, lags - 1 and targets: each update of the arm whose target is not 0, at every later row."""
        updated = self.order[self.updates[arm, self.order]]
        updated = updated[self.target[arm, updated] != 0.0]
        place = np.empty_like(self.order)
        place[self.order] = np.arange(self.order.size)
        end = np.searchsorted(self.history[self.order], self.history[updated], side="right")
        after = end - place[updated] - 1
        source = np.repeat(updated, after)
        offset = np.arange(source.size) - np.repeat(np.cumsum(after) - after, after)
        row = self.order[place[source] + 1 + offset]
        lag = self.counts[arm, row] - self.counts[arm, source]
        near = lag <= width
        return row[near], lag[near] - 1, self.target[arm, source[near]]
