"""What the hull relaxation of a model on data is made of: groups of paths and linear terms.

`lay_out` turns a model's channels into *groups* (see `hierrl.kernels.groups`) and says in sentences where the hull does
not contain the model, so that there is no bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hierrl.convex.solver import BIAS, FIXED_PATH, REGRESSOR
from hierrl.kernels.problem import Problem
from hierrl.kernels.rule import FADE, LEARN, LEARN_OTHER
from hierrl.kernels.tables import EXPONENT, N_ROLES, NEGATIVE, OWN_DECAY, POSITIVE, START
from hierrl.models.channels import Weight
from hierrl.models.learners import DELTA

FloatArray = npt.NDArray[np.float64]

GRID_LOGITS = np.linspace(-9.0, 9.0, 48)
FIRST_RATES = np.array([0.03, 0.15, 0.4, 0.8])


class Layout(NamedTuple):
    """Groups of paths as arrays for the solver. G groups, followed by paths without a free rate; N linear terms."""

    n_groups: int
    channel: npt.NDArray[np.int64]
    arm: npt.NDArray[np.int64]
    """The arm, -1 = all arms."""
    sign: FloatArray
    low: FloatArray
    """Bounds on the sum of the group's weights."""
    high: FloatArray
    shape: FloatArray
    """(G, roles + 1): constant rates and start value."""
    axis: npt.NDArray[np.int64]
    """(G, roles + 1): the axis along which the role varies, -1 for constants."""
    n_axes: npt.NDArray[np.int64]
    """(G,): free shape parameters; the rates come first, then the exponent, at last the start value."""
    axis_low: FloatArray
    """(G, D): smallest and largest shape parameters; 0 for axes that a group does not have."""
    axis_high: FloatArray
    curved: npt.NDArray[np.bool_]
    """(G,): not just one rate, and perhaps a start value in which the path is affine."""
    ends: npt.NDArray[np.bool_]
    """(G,): a free start value in which the path is affine, so that atoms at the ends of its interval are enough."""
    sure: npt.NDArray[np.bool_]
    """(G,): the sign of every prediction error is known, or does not matter: paths have no kinks."""
    paired: npt.NDArray[np.bool_]
    """(G,): both of two arms move at the same times and rates, so one path, of their difference, does for both."""
    difference: FloatArray
    """(C, n_trials): targets of the second arm minus those of the first."""
    grid: FloatArray
    """Where to look for local maxima, as a share of the interval of rates."""
    first: FloatArray
    """Rates of the atoms that a group starts with, likewise."""
    linear: npt.NDArray[np.int64]
    """(N, 2): kind (BIAS, REGRESSOR, FIXED_PATH) and arm, regressor or group."""
    linear_low: FloatArray
    linear_high: FloatArray


@dataclass(frozen=True)
class Term:
    """Where a group or linear term came from: the scalars that its axes and its coefficient stand for."""

    axes: tuple[int, ...] = ()
    weights: tuple[int, ...] = ()
    coefficient: float = 1.0


@dataclass(frozen=True)
class Hull:
    """A problem's layout, the origin of its groups and linear terms, and why there is no bound (empty if there
    is).
    """

    layout: Layout
    groups: tuple[Term, ...]
    linear: tuple[Term, ...]
    opposite: npt.NDArray[np.int64]
    """(G,): the group with the same paths and the other sign, -1 if there is none."""
    reasons: tuple[str, ...]


def lay_out(problem: Problem) -> Hull:
    """Groups of paths whose mixtures contain every logit the model can produce, or nearly so with the reasons."""
    return _Layouter(problem).build()


class _Layouter:
    """Walks over channels and arms and collects groups and linear terms."""

    def __init__(self, problem: Problem):
        self.problem = problem
        self.groups: list[dict] = []
        self.terms: list[Term] = []
        self.opposite: list[int] = []
        self.fixed: list[dict] = []
        self.linear: list[tuple[int, int, float, float]] = []
        self.linear_terms: list[Term] = []

    def build(self) -> Hull:
        problem, tables = self.problem, self.problem.tables
        for arm in range(1, problem.arms.size):
            if tables.bias_value[arm] < problem.n_parameters:
                self.add_linear(BIAS, arm, tables.bias_value[arm])
        for r, scalar in enumerate(tables.regressor_value):
            self.add_linear(REGRESSOR, r, scalar)
        for c, channel in enumerate(problem.model.channels):
            for arm in range(problem.arms.size) if channel.per_arm else [-1]:
                self.add_channel(c, arm)
        for k, fixed in enumerate(self.fixed):
            low, high, term = fixed["range"]
            self.linear.append((FIXED_PATH, len(self.groups) + k, low, high))
            self.linear_terms.append(term)
        return Hull(
            self.layout(),
            tuple(self.terms),
            tuple(self.linear_terms),
            np.array(self.opposite, dtype=np.int64),
            problem.model.supports.reasons,
        )

    def add_linear(self, kind: int, which: int, scalar: int) -> None:
        self.linear.append((kind, which, self.problem.lower[scalar], self.problem.upper[scalar]))
        self.linear_terms.append(Term(weights=(int(scalar),)))

    def add_channel(self, c: int, arm: int) -> None:
        problem, tables = self.problem, self.problem.tables
        value = tables.value[c, max(arm, 0)]
        shape, axis = np.zeros(N_ROLES + 1), np.full(N_ROLES + 1, -1)
        # OWN_DECAY is the rate itself where the channel has no decay of its own
        in_order = (POSITIVE, NEGATIVE, OWN_DECAY, EXPONENT, START)
        axes = tuple(
            dict.fromkeys(int(value[role]) for role in in_order if value[role] < problem.n_parameters)
        )
        for role in range(N_ROLES):
            if value[role] < problem.n_parameters:
                axis[role] = axes.index(value[role])
            else:
                shape[role] = tables.constants[value[role] - problem.n_parameters]
        rates = {int(axis[role]) for role in (POSITIVE, NEGATIVE, OWN_DECAY)} - {-1}
        power, delta = tables.power[c] == 1, tables.learner[c] == DELTA
        curved = len(rates) != 1 or tables.split[c] == 1 or power or not delta
        start = axes[axis[START]] if axis[START] >= 0 else None
        at = (shape[START], shape[START]) if start is None else (problem.lower[start], problem.upper[start])
        known = tables.split[c] == 0 or (not power and self.sign_is_known(c, float(at[0]), float(at[1])))
        sure = bool(delta and known)
        ends = axis[START] >= 0 and sure
        alike = arm < 0 and tables.split[c] == 0 and delta and not power
        paired = axis[START] < 0 and alike and self.arms_move_together(c)
        if paired:
            shape[START] = 0.0
        path = {
            "channel": c, "arm": arm, "shape": shape, "axis": axis, "axes": axes, "curved": curved, "ends": ends,
            "paired": paired, "sure": sure,
        }  # fmt: skip
        low, high, term = self.weight_range(c, arm, axes)
        if axes:
            self.add_signs(path, low, high, term)
        else:
            self.fixed.append(
                {"group": {**path, "sign": 1.0, "low": 0.0, "high": 0.0}, "range": (low, high, term)}
            )

    def arms_move_together(self, c: int) -> bool:
        """Whether there are two arms that do the same on each trial, be it toward different targets."""
        kind = self.problem.trials.kind[c]
        return kind.shape[0] == 2 and bool((kind[0] == kind[1]).all())

    def sign_is_known(self, c: int, low: float, high: float) -> bool:
        """Whether the sign of every prediction error is, whatever the rates: all targets are at an end of the range.

        That is the range of targets, start values, and 0 where values fade. Then no rate applies by the value, and the
        path is affine in the start value.
        """
        trials = self.problem.trials
        learns = (trials.kind[c] == LEARN) | (trials.kind[c] == LEARN_OTHER)
        targets = np.unique(trials.target[c][learns])
        fades = [0.0] if (trials.kind[c] == FADE).any() else []
        reached = np.concatenate([targets, [low, high], fades])
        return bool(((targets == reached.min()) | (targets == reached.max())).all())

    def weight_range(self, c: int, arm: int, axes: tuple[int, ...]) -> tuple[float, float, Term]:
        """Smallest and largest total weight of a channel, and the scalars that make it."""
        problem, weight = self.problem, Weight.parse(self.problem.model.channels[c].weight)
        coefficient, scalars = weight.coefficient, []
        for k in problem.tables.weight_value[c, max(arm, 0), : len(weight.names)]:
            if k < problem.n_parameters:
                scalars.append(int(k))
            else:
                coefficient *= float(problem.tables.constants[k - problem.n_parameters])
        ends = np.array([coefficient])
        for k in scalars:
            ends = np.concatenate([ends * problem.lower[k], ends * problem.upper[k]])
        return float(ends.min()), float(ends.max()), Term(axes, tuple(scalars), coefficient)

    def add_signs(self, path: dict, low: float, high: float, term: Term) -> None:
        """One group for a weight of one sign, two groups that point at each other for either."""
        first = len(self.groups)
        cases = []
        if high > 0:
            cases.append({**path, "sign": 1.0, "low": max(low, 0.0), "high": high})
        if low < 0:
            cases.append({**path, "sign": -1.0, "low": max(-high, 0.0), "high": -low})
        self.groups += cases
        self.terms += [term] * len(cases)
        self.opposite += [first + 1, first] if len(cases) == 2 else [-1] * len(cases)

    def layout(self) -> Layout:
        problem, rows = self.problem, [*self.groups, *(f["group"] for f in self.fixed)]
        width = max((len(row["axes"]) for row in rows), default=1) or 1
        low, high = np.zeros((len(rows), width)), np.zeros((len(rows), width))
        for g, row in enumerate(rows):
            low[g, : len(row["axes"])] = problem.lower[list(row["axes"])]
            high[g, : len(row["axes"])] = problem.upper[list(row["axes"])]
        return Layout(
            n_groups=len(self.groups),
            channel=np.array([row["channel"] for row in rows], dtype=np.int64),
            arm=np.array([row["arm"] for row in rows], dtype=np.int64),
            sign=np.array([row["sign"] for row in rows], dtype=np.float64),
            low=np.array([row["low"] for row in rows], dtype=np.float64),
            high=np.array([row["high"] for row in rows], dtype=np.float64),
            shape=np.array([row["shape"] for row in rows], dtype=np.float64).reshape(len(rows), N_ROLES + 1),
            axis=np.array([row["axis"] for row in rows], dtype=np.int64).reshape(len(rows), N_ROLES + 1),
            n_axes=np.array([len(row["axes"]) for row in rows], dtype=np.int64),
            axis_low=low,
            axis_high=high,
            curved=np.array([row["curved"] for row in rows], dtype=bool),
            sure=np.array([row["sure"] for row in rows], dtype=bool),
            ends=np.array([row["ends"] for row in rows], dtype=bool),
            paired=np.array([row["paired"] for row in rows], dtype=bool),
            difference=np.ascontiguousarray(problem.trials.target[:, 1] - problem.trials.target[:, 0]),
            grid=np.concatenate([[0.0], 1 / (1 + np.exp(-GRID_LOGITS)), [1.0]]),
            first=FIRST_RATES,
            linear=np.array([row[:2] for row in self.linear], dtype=np.int64).reshape(len(self.linear), 2),
            linear_low=np.array([row[2] for row in self.linear], dtype=np.float64),
            linear_high=np.array([row[3] for row in self.linear], dtype=np.float64),
        )
