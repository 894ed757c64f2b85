"""The hull relaxation of a whole data set: sign cases, and what comes out per subject.

`solve_hull` solves all subjects and, where weights of either sign make the relaxation loose, its sign cases.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hierrl.convex.layout import Hull
from hierrl.convex.solver import (
    ATOMS_PER_GROUP,
    CONVERGED,
    CROWDED,
    STALLED,
    UNFINISHED,
    relaxed_logits,
    solve_batch,
)
from hierrl.kernels.problem import Problem
from hierrl.kernels.threads import IndexArray, over_subjects

FloatArray = npt.NDArray[np.float64]

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
        np.fmax.at(incumbent, subject[pure], wave.value[pure])
        loose = wave.bound > incumbent[subject] + LOOSE
        split = ~pure & wave.done & loose & (nodes[subject] < MAX_SIGN_NODES)
        np.fmax.at(leaves, subject[~split], wave.bound[~split])
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
