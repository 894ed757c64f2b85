"""Branch and bound over the rates: proof that a maximum is the global one, to a tolerance asked for.

The hull relaxation with rates restricted to a box bounds the log-likelihood in that box. A node whose bound exceeds the
best log-likelihood found so far by more than the tolerance is split where its mixture is widest; the others are done
with. What comes out is the best point found and the largest bound of any part of the box of rates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hierrl.convex.hull import (
    Leaves,
    Nodes,
    Relaxation,
    first_nodes,
    joined,
    mixed_group,
    sign_children,
    solve_tasks,
    values_of,
)
from hierrl.convex.layout import Hull
from hierrl.convex.recovery import starts_from
from hierrl.kernels.newton import Maximum, maximise
from hierrl.kernels.problem import Problem
from hierrl.kernels.threads import IndexArray

FloatArray = npt.NDArray[np.float64]
Finder = Callable[..., Maximum]

EDGE = 0.1
"""A box is split at least this share of its width away from its ends."""
NARROW = 1e-7
"""Width of a box, or spread of a mixture, that is not worth splitting."""
DESCENDANTS = 2
"""Points of a node's mixture from which the likelihood is climbed."""


class Proof(NamedTuple):
    """Best points (S, P) and their log-likelihoods, bounds, nodes solved and seconds (S,)."""

    theta: FloatArray
    loglik: FloatArray
    bound: FloatArray
    nodes: npt.NDArray[np.int64]
    seconds: FloatArray


def prove(
    problem: Problem,
    hull: Hull,
    known: Proof,
    *,
    tolerance: float,
    budget: float = np.inf,
    splits: int | None = None,
    leaves: Leaves | None = None,
    find: Finder = maximise,
    cores: int | None = None,
    progress: bool = False,
) -> Proof:
    """Split boxes of rates until each subject's bound is within `tolerance` nats, or its `budget` seconds are spent.

    Parameters
    ----------
    problem, hull
        A model on data; the hull must contain the model (no `reasons`).
    known : Proof
        What is known: points, their log-likelihoods and valid bounds. Subjects within the tolerance are left alone.
    tolerance : float
        Nats.
    budget : float
        Seconds for each subject; a wave that has begun is finished.
    splits : int, optional
        How often a box is split at most; until the tolerance or the budget is reached if not given.
    leaves : Leaves, optional
        Solved parts of the whole box that cover it, to begin with; its sign cases if not given.
    find : callable
        Takes the problem and starts (S, K, P), returns the best points found from them: `maximise`, or `recover` for
        estimates without a non-convex step.

    Returns
    -------
    Proof
        Never worse than `known`.
    """
    theta, loglik, bound, nodes, seconds = Proof._make(np.array(part) for part in known)
    settled = np.full(loglik.shape, -np.inf)
    open_gap = bound - loglik > tolerance
    asked = np.flatnonzero(open_gap)
    run = {"cores": cores, "progress": progress, "description": "Branch and bound"}
    if leaves is None:
        first = first_nodes(hull, asked)
        leaves = Leaves(first, solve_tasks(problem, hull, first, **run))
        np.add.at(nodes, first.subject, 1)
    todo, wave = leaves.pick(open_gap[leaves.nodes.subject])
    complete, depth = bool(wave.done.all()), 0
    while todo.subject.size and complete:
        np.add.at(seconds, todo.subject, wave.seconds)
        _improve(problem, starts_from(problem, hull, wave), todo.subject, theta, loglik, find, cores)
        mixed, (scalar, at) = mixed_group(hull, wave, todo.active), _widest(problem, hull, todo, wave)
        wanted = (wave.bound > loglik[todo.subject] + tolerance) & (seconds[todo.subject] < budget)
        wanted &= splits is None or depth < splits
        by_sign, by_rate = wanted & (mixed >= 0), wanted & (mixed < 0) & (scalar >= 0)
        leaf = ~by_sign & ~by_rate
        np.maximum.at(settled, todo.subject[leaf], wave.bound[leaf])
        halves = _halves(hull, todo.pick(by_rate), scalar[by_rate], at[by_rate])
        todo = joined(sign_children(hull, todo.pick(by_sign), mixed[by_sign]), halves)
        wave = solve_tasks(problem, hull, todo, **run)
        np.add.at(nodes, todo.subject, 1)
        complete, depth = bool(wave.done.all()), depth + 1
    if complete:
        bound[asked] = np.minimum(bound[asked], np.maximum(settled[asked], loglik[asked]))
    return Proof(theta, loglik, bound, nodes, seconds)


def _improve(
    problem: Problem,
    points: FloatArray,
    subject: IndexArray,
    theta: FloatArray,
    loglik: FloatArray,
    find: Finder,
    cores: int | None,
) -> None:
    """Look for better points from what the nodes' mixtures collapse to (N, K, P); these replace those in theta."""
    points = points[:, :DESCENDANTS]
    order = np.argsort(subject, kind="stable")
    subject, first = subject[order], np.searchsorted(subject[order], subject[order])
    place = np.arange(subject.size) - first
    starts = np.full((problem.n_subjects, place.max() + 1, *points.shape[1:]), np.nan)
    starts[subject, place] = points[order]
    found = find(problem, starts.reshape(problem.n_subjects, -1, problem.n_parameters), cores=cores)
    better = found.loglik > loglik
    theta[better], loglik[better] = found.theta[better], found.loglik[better]


def _widest(problem: Problem, hull: Hull, nodes: Nodes, wave: Relaxation) -> tuple[IndexArray, FloatArray]:
    """By node: the shape parameter with the widest mixture, weighed by contributions, and where to split it.

    Where no mixture has any width the bound may still be loose, as boxes of several axes are costly to exclude: there
    the widest box is halved. -1 if nothing is left to split.
    """
    n = nodes.subject.size
    best, scalar, at = np.full(n, NARROW), np.full(n, -1), np.full(n, np.nan)
    widest, halved, middle_of_it = np.full(n, NARROW), np.full(n, -1), np.full(n, np.nan)
    full = problem.upper - problem.lower
    for k in range(problem.n_parameters):
        axes = axes_of(hull, k)
        if not axes:
            continue
        low = np.max([nodes.box[:, 0, g, a] for g, a in axes], axis=0)
        high = np.min([nodes.box[:, 1, g, a] for g, a in axes], axis=0)
        roomy = (high - low) / full[k] > widest
        widest, halved = np.where(roomy, (high - low) / full[k], widest), np.where(roomy, k, halved)
        middle_of_it = np.where(roomy, 0.5 * (low + high), middle_of_it)
        value = values_of(hull, wave, k)
        size = np.where(np.isnan(value), 0.0, wave.size)
        value = np.where(size > 0, value, 0.0)
        total = np.maximum(size.sum(axis=1), 1e-300)
        mean = (size * value).sum(axis=1) / total
        spread = (size * np.abs(value - mean[:, None])).sum(axis=1) / full[k]
        wider = (spread > best) & (high - low > NARROW * full[k])
        best, scalar = np.where(wider, spread, best), np.where(wider, k, scalar)
        middle = np.clip(mean, low + EDGE * (high - low), high - EDGE * (high - low))
        at = np.where(wider, middle, at)
    return np.where(scalar < 0, halved, scalar), np.where(scalar < 0, middle_of_it, at)


def axes_of(hull: Hull, scalar: int) -> list[tuple[int, int]]:
    """Group and axis of all that a scalar stands for."""
    return [(g, term.axes.index(scalar)) for g, term in enumerate(hull.groups) if scalar in term.axes]


def _halves(hull: Hull, nodes: Nodes, scalar: IndexArray, at: FloatArray) -> Nodes:
    """Each node as two: the shape parameter below and above where it is split."""
    below, above = nodes.box.copy(), nodes.box.copy()
    for k in np.unique(scalar):
        chosen = np.flatnonzero(scalar == k)
        for g, a in axes_of(hull, int(k)):
            below[chosen, 1, g, a] = above[chosen, 0, g, a] = at[chosen]
    return joined(nodes._replace(box=below), nodes._replace(box=above))
