"""The hull relaxation of a whole data set: which paths it is made of, sign cases, and what comes out per
subject.

`lay_out` turns a model's channels into *groups* of paths (see `solver.py`) and says in sentences where the
hull does not contain the model, so that there is no bound. `solve_hull` solves all subjects and, where
weights of either sign make the relaxation loose, its sign cases.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hierrl.convex.solver import (
    ATOMS_PER_GROUP,
    BIAS,
    CONVERGED,
    CROWDED,
    FIXED_PATH,
    REGRESSOR,
    STALLED,
    UNFINISHED,
    relaxed_logits,
    solve_batch,
)
from hierrl.kernels.problem import Problem
from hierrl.kernels.rule import LEARN
from hierrl.kernels.tables import N_ROLES, NEGATIVE, OWN_DECAY, POSITIVE, START
from hierrl.kernels.threads import IndexArray, over_subjects
from hierrl.models.channels import Weight

FloatArray = npt.NDArray[np.float64]

GRID_LOGITS = np.linspace(-6.5, 6.5, 38)
FIRST_RATES = np.array([0.03, 0.15, 0.4, 0.8])
MIXED_MASS = 1e-7
"""Share of a group's bound below which a sign does not count as used."""
MAX_SIGN_NODES = 64
"""Sign cases solved per subject at most; where they run out the bound is that of the unsolved cases' parents.
"""
ENUMERATED_SIGNS = 2
"""Channels of either sign up to which all sign cases are solved at once."""
LOOSE = 1e-2
"""Nats of gap from which sign cases are worth solving."""

STATUS = {
    CONVERGED: "The relaxation converged.",
    STALLED: "The relaxation stopped short of its tolerance as no path would improve it further; the bound is valid.",
    CROWDED: "The relaxation ran out of room for atoms before its tolerance; the bound is valid but may be loose.",
    UNFINISHED: "The relaxation reached its maximum number of rounds; the bound is valid but may be loose.",
}


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
    """(G,): free shape parameters; the rates come first, then the start value."""
    axis_low: FloatArray
    """(G, D): smallest and largest shape parameters; 0 for axes that a group does not have."""
    axis_high: FloatArray
    curved: npt.NDArray[np.bool_]
    """(G,): not just one rate, and perhaps a start value in which the path is affine."""
    ends: npt.NDArray[np.bool_]
    """(G,): a free start value in which the path is affine, so that atoms at the ends of its interval are enough."""
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


class Relaxation(NamedTuple):
    """Relaxed optima of S subjects with K columns at most; value, bound (S,), logit (n_trials, m)."""

    value: FloatArray
    bound: FloatArray
    coefficient: FloatArray
    group: npt.NDArray[np.int64]
    point: FloatArray
    """(S, K, D): shape parameters of the columns; NaN for linear terms and axes that a group does not have."""
    size: FloatArray
    """What each column contributes to the logits, by which recovery weighs it."""
    n: npt.NDArray[np.int64]
    outcome: npt.NDArray[np.int64]
    rounds: npt.NDArray[np.int64]
    nodes: npt.NDArray[np.int64]
    done: npt.NDArray[np.bool_]
    seconds: FloatArray


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
        axes = tuple(dict.fromkeys(int(k) for k in value if k < problem.n_parameters))
        for role in range(N_ROLES):
            if value[role] < problem.n_parameters:
                axis[role] = axes.index(value[role])
            else:
                shape[role] = tables.constants[value[role] - problem.n_parameters]
        rates = {int(axis[role]) for role in (POSITIVE, NEGATIVE, OWN_DECAY)} - {-1}
        curved = len(rates) != 1 or tables.split[c] == 1
        ends = axis[START] >= 0 and (tables.split[c] == 0 or self.sign_is_known(c, axes[-1]))
        paired = axis[START] < 0 and arm < 0 and tables.split[c] == 0 and self.arms_move_together(c)
        if paired:
            shape[START] = 0.0
        path = {
            "channel": c, "arm": arm, "shape": shape, "axis": axis, "axes": axes, "curved": curved, "ends": ends,
            "paired": paired,
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

    def sign_is_known(self, c: int, start: int) -> bool:
        """Whether the sign of every prediction error is, whatever the rates: rewards of two sizes, starts in between.

        Then no rate applies by the value, and the path is affine in the start value.
        """
        trials = self.problem.trials
        targets = np.unique(trials.target[c][trials.kind[c] == LEARN])
        if targets.size == 0:
            return True
        inside = self.problem.lower[start] >= targets.min() and self.problem.upper[start] <= targets.max()
        return targets.size <= 2 and bool(inside)

    def weight_range(self, c: int, arm: int, axes: tuple[int, ...]) -> tuple[float, float, Term]:
        """Smallest and largest total weight of a channel, and the scalars that make it."""
        problem, weight = self.problem, Weight.parse(self.problem.model.channels[c].weight)
        scalars = tuple(int(k) for k in problem.tables.weight_value[c, max(arm, 0), : len(weight.names)])
        ends = np.array([weight.coefficient])
        for k in scalars:
            ends = np.concatenate([ends * problem.lower[k], ends * problem.upper[k]])
        return float(ends.min()), float(ends.max()), Term(axes, scalars, weight.coefficient)

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
            ends=np.array([row["ends"] for row in rows], dtype=bool),
            paired=np.array([row["paired"] for row in rows], dtype=bool),
            difference=np.ascontiguousarray(problem.trials.target[:, 1] - problem.trials.target[:, 0]),
            grid=np.concatenate([[0.0], 1 / (1 + np.exp(-GRID_LOGITS)), [1.0]]),
            first=FIRST_RATES,
            linear=np.array([row[:2] for row in self.linear], dtype=np.int64).reshape(len(self.linear), 2),
            linear_low=np.array([row[2] for row in self.linear], dtype=np.float64),
            linear_high=np.array([row[3] for row in self.linear], dtype=np.float64),
        )


class Nodes(NamedTuple):
    """Tasks for the solver: a subject, the groups that take part, and the box their shape parameters lie in."""

    subject: IndexArray
    """(N,)"""
    active: npt.NDArray[np.bool_]
    """(N, G)"""
    box: FloatArray
    """(N, 2, G, D): smallest and largest shape parameters."""

    def pick(self, which: npt.NDArray[Any]) -> Nodes:
        """Some of the nodes."""
        return Nodes._make(part[which] for part in self)

    def without(self, group: IndexArray) -> Nodes:
        """The nodes, each with one group left out."""
        active = self.active.copy()
        active[np.arange(group.size), group] = False
        return self._replace(active=active)


class Leaves(NamedTuple):
    """Nodes that cover the whole box of each subject, and their solutions."""

    nodes: Nodes
    wave: Relaxation

    def pick(self, which: npt.NDArray[Any]) -> Leaves:
        """Those of some subjects."""
        subset = self.wave._make(part[which] for part in self.wave)
        return Leaves(self.nodes.pick(which), subset)


def joined(first: Nodes, second: Nodes) -> Nodes:
    """The nodes of both."""
    return Nodes._make(np.concatenate(parts) for parts in zip(first, second, strict=True))


def first_nodes(hull: Hull, subject: IndexArray) -> Nodes:
    """All sign cases of each subject where they are few (mixtures are nearly always loose), else one with all."""
    n_groups = hull.layout.n_groups
    pairs = [g for g in range(n_groups) if hull.opposite[g] > g]
    cases = [np.ones(n_groups, dtype=bool)]
    if len(pairs) <= ENUMERATED_SIGNS:
        for g in pairs:
            cases = [case & (np.arange(n_groups) != out) for case in cases for out in (g, hull.opposite[g])]
    active = np.repeat(np.array(cases, dtype=bool).reshape(len(cases), n_groups), subject.size, axis=0)
    full = np.stack([hull.layout.axis_low[:n_groups], hull.layout.axis_high[:n_groups]])
    return Nodes(np.tile(subject, len(cases)), active, np.tile(full, (active.shape[0], 1, 1, 1)))


def solve_hull(
    problem: Problem, hull: Hull, *, cores: int | None = None, progress: bool = False
) -> Relaxation:
    """As `relaxation_and_leaves`, the relaxation alone."""
    return relaxation_and_leaves(problem, hull, cores=cores, progress=progress)[0]


def relaxation_and_leaves(
    problem: Problem, hull: Hull, *, cores: int | None = None, progress: bool = False
) -> tuple[Relaxation, Leaves]:
    """Relaxed optima of all subjects; `Relaxation.bound` bounds the log-likelihood if the hull has no `reasons`.

    With weights of either sign, sign cases are solved one by one where their mixture is loose. The bound of a subject
    is the largest over its leaves; a node whose solution mixes no signs, or whose bound lies below the best solution
    without mixed signs, is a leaf. The best solution is kept.
    """
    n = problem.n_subjects
    todo = first_nodes(hull, np.arange(n, dtype=np.int64))
    found: list[Leaves] = []
    best, settled, done = None, np.zeros(n, dtype=bool), np.ones(n, dtype=bool)
    incumbent, leaves = np.full(n, -np.inf), np.full(n, -np.inf)
    nodes, seconds = np.zeros(n, dtype=np.int64), np.zeros(n)
    while todo.subject.size:
        wave, subject = solve_tasks(problem, hull, todo, cores=cores, progress=progress), todo.subject
        np.add.at(nodes, subject, 1)
        np.add.at(seconds, subject, wave.seconds)
        np.logical_and.at(done, subject, wave.done)
        mixed = mixed_group(hull, wave, todo.active)
        pure = mixed < 0
        np.maximum.at(incumbent, subject[pure], wave.value[pure])
        loose = wave.bound > incumbent[subject] + LOOSE
        split = ~pure & wave.done & loose & (nodes[subject] < MAX_SIGN_NODES)
        np.maximum.at(leaves, subject[~split], wave.bound[~split])
        found.append(Leaves(todo, wave).pick(~split))
        best = _keep_best(best, subject, wave, pure, settled)
        todo = sign_children(hull, todo.pick(split), mixed[split])
    assert best is not None, "a problem has subjects"
    best = best._replace(bound=np.where(done, leaves, np.nan), nodes=nodes, done=done, seconds=seconds)
    return best, _gathered(found)


def _gathered(found: list[Leaves]) -> Leaves:
    """Leaves of several waves as one."""
    nodes = Nodes._make(
        np.concatenate(parts) for parts in zip(*(leaves.nodes for leaves in found), strict=True)
    )
    waves = zip(*(leaves.wave for leaves in found), strict=True)
    return Leaves(nodes, Relaxation._make(np.concatenate(parts) for parts in waves))


def solve_tasks(
    problem: Problem,
    hull: Hull,
    nodes: Nodes,
    *,
    cores: int | None,
    progress: bool,
    description: str = "Convex relaxation",
) -> Relaxation:
    """Solve the relaxation of each node."""
    n, width = nodes.subject.size, len(hull.linear) + ATOMS_PER_GROUP * max(hull.layout.n_groups, 1)
    coefficient, size = np.zeros((n, width)), np.zeros((n, width))
    point = np.full((n, width, nodes.box.shape[3]), np.nan)
    group = np.full((n, width), -1, dtype=np.int64)
    value, bound = np.full(n, np.nan), np.full(n, np.nan)
    used, outcome, rounds = np.zeros(n, dtype=np.int64), np.full(n, UNFINISHED), np.zeros(n, dtype=np.int64)

    def work(tasks: IndexArray) -> None:
        solve_batch(
            problem.tables, problem.trials, tasks, nodes.subject, hull.layout, nodes.active, nodes.box,
            coefficient, group, point, size, value, bound, used, outcome, rounds,
        )  # fmt: skip

    sizes = problem.n_rows[nodes.subject]
    done, seconds = over_subjects(
        work, sizes, cores=cores, keep=True, progress=progress, description=description
    )
    return Relaxation(
        value,
        bound,
        coefficient,
        group,
        point,
        size,
        used,
        outcome,
        rounds,
        np.ones(n, dtype=np.int64),
        done,
        seconds,
    )


def mixed_group(hull: Hull, wave: Relaxation, active: npt.NDArray[np.bool_]) -> IndexArray:
    """By task: a group that carries mass as its opposite does, the one where the smaller of both is largest; -1
    if none.
    """
    n, n_groups = active.shape
    mass = np.zeros((n, n_groups))
    for g in range(n_groups):
        mass[:, g] = np.where(wave.group == g, wave.coefficient, 0.0).sum(axis=1) / hull.layout.high[g]
    if n_groups == 0:
        return np.full(n, -1)
    lesser = np.where(hull.opposite >= 0, np.minimum(mass, mass[:, hull.opposite]), 0.0)
    return np.where(lesser.max(axis=1) > MIXED_MASS, lesser.argmax(axis=1), -1)


def sign_children(hull: Hull, nodes: Nodes, mixed: IndexArray) -> Nodes:
    """Two nodes for each one split: without the group, and without its opposite."""
    return joined(nodes.without(mixed), nodes.without(hull.opposite[mixed]))


def _keep_best(
    best: Relaxation | None,
    subject: IndexArray,
    wave: Relaxation,
    pure: npt.NDArray[np.bool_],
    settled: npt.NDArray[np.bool_],
) -> Relaxation:
    """Let the first solution without mixed signs replace a mixed one, and a better one a worse one."""
    if best is None:
        best = Relaxation._make(np.array(part[: settled.size]) for part in wave)
    for k in np.flatnonzero(pure):
        s = subject[k]
        if not settled[s] or wave.value[k] > best.value[s]:
            settled[s] = True
            for part in ("value", "coefficient", "group", "point", "size", "n", "outcome", "rounds"):
                getattr(best, part)[s] = getattr(wave, part)[k]
    return best


def values_of(hull: Hull, relaxation: Relaxation, scalar: int) -> FloatArray:
    """(N, K) the value of a scalar in each atom; NaN where the column knows nothing of it."""
    out = np.full(relaxation.group.shape, np.nan)
    for g, term in enumerate(hull.groups):
        if scalar in term.axes:
            at = relaxation.point[:, :, term.axes.index(scalar)]
            out = np.where(relaxation.group == g, at, out)
    return out


def logits_of(problem: Problem, hull: Hull, relaxation: Relaxation) -> FloatArray:
    """Logits (n_trials, m) of the relaxed optimum, up to a constant on each trial."""
    out = np.zeros((problem.arms.size, problem.n_trials))

    def work(subjects: IndexArray) -> None:
        relaxed_logits(
            problem.tables, problem.trials, hull.layout, subjects,
            relaxation.coefficient, relaxation.group, relaxation.point, relaxation.n, out,
        )  # fmt: skip

    over_subjects(work, problem.n_rows)
    return out.T
