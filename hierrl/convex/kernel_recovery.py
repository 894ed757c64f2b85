r"""From kernels to rates and weights: the exponentials that lie closest to them.

A kernel of the monotone relaxation is any falling sequence g; the model's is :math:`w a (1 - a)^{k-1}` (under
an accumulating rule without the leading a). Two measures of distance:

``plain``: :math:`\sum_k (g(k) - \hat g(k))^2`, the least squares of Zhu et al. (2025);

``fisher``: :math:`\sum_t (x_t - \hat x_t)^\top (\mathrm{diag}\, p_t - p_t p_t^\top) (x_t - \hat x_t)` between
the logits that they make, which is the distance of the kernels in the Fisher information at the relaxed
optimum, twice the log-likelihood that a change costs to second order. What the choices say little about
counts little, and several channels are recovered together.

Either way the logits are linear in the weights once the rates are fixed: each rate is searched for on a grid
that is refined around the best point, with all weights re-solved within their bounds, one rate after the
other until none moves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from hierrl.convex.lags import Design, Part
from hierrl.kernels.problem import Problem
from hierrl.kernels.tables import NEGATIVE, OWN_DECAY, POSITIVE, UNCHOSEN_OWN_DECAY
from hierrl.models.channels import Weight

FloatArray = npt.NDArray[np.float64]
Weighting = Literal["fisher", "plain"]
Rates = tuple[int, ...]

WIDEST_LOGIT, COARSE = 6.0, 49
"""The first grid: logit rates in plus or minus the widest, and the bounds."""
FINE, ROUNDS = 13, 4
"""Points of each finer grid between the neighbours of the best one, and how often it is refined."""
SWEEPS, SETTLED = 10, 1e-4
"""Passes over the rates of several channels, and the move below which they have settled."""
WEIGHT_PASSES = 40
FLAT = 1e-10
"""Kernels below this are zero, and say nothing about a rate."""


def recover_from_kernel(
    problem: Problem,
    parts: Sequence[Part],
    design: Design,
    *,
    values: FloatArray,
    probability: FloatArray,
    weighting: Weighting = "fisher",
) -> FloatArray:
    """Parameters of one subject from its relaxed optimum.

    Parameters
    ----------
    problem : Problem
        The model.
    parts, design
        As solved, signs included.
    values : ndarray, (columns,)
        Kernels and coefficients of the relaxed optimum.
    probability : ndarray, (rows, m)
        Choice probabilities there.
    weighting : {"fisher", "plain"}
        How distance is measured.

    Returns
    -------
    ndarray, (P,)
        Within bounds, on the scaled signal. A rate that nothing is known about is one half, a start value as
        near to 0 as its bounds allow.
    """
    theta = problem.clip(np.where([p.kind == "rate" for _, p, _ in problem.scalars], 0.5, 0.0))
    search = _Search(problem, parts, design, values, probability if weighting == "fisher" else None)
    rates, weights = search.run()
    for positions, rate in rates.items():
        theta[list(positions)] = rate
    for part, weight in zip(parts, weights, strict=True):
        if part.source == "channel":
            _set_weight(problem, part, part.sign * weight, theta)
        elif part.source == "regressor":
            theta[int(problem.tables.regressor_value[part.index])] = weight
        else:
            theta[int(problem.tables.bias_value[part.index])] = weight
    return problem.clip(theta)


def rate_positions(problem: Problem, part: Part) -> Rates:
    """Positions in theta of the free rates of a kernel."""
    values = problem.tables.value[part.index, max(part.arm, 0)]
    roles = [POSITIVE, NEGATIVE]
    if problem.tables.unchosen[part.index] == UNCHOSEN_OWN_DECAY:
        roles.append(OWN_DECAY)
    return tuple(sorted({int(values[role]) for role in roles if values[role] < problem.n_parameters}))


class _Search:
    """Rates and weights closest to the relaxed optimum in one metric; kernels with one rate move together."""

    def __init__(
        self,
        problem: Problem,
        parts: Sequence[Part],
        design: Design,
        values: FloatArray,
        probability: FloatArray | None,
    ):
        self.problem, self.parts, self.design = problem, parts, design
        self.metric = _Plain(design) if probability is None else _Fisher(design, probability)
        self.kernel = [values[columns] for columns in design.columns]
        self.goal = self.total(range(len(parts)))
        self.groups: dict[Rates, list[int]] = {}
        for b, part in enumerate(parts):
            if part.kind == "kernel":
                self.groups.setdefault(rate_positions(problem, part), []).append(b)
        self.rate: dict[Rates, float] = {}
        self.weights = np.zeros(len(parts))
        # Where each part stands in the metric per unit weight; nowhere yet for kernels of unknown rate.
        self.place: list[FloatArray | None] = [None] * len(parts)
        for b, part in enumerate(parts):
            if part.kind == "box":
                self.weights[b] = self.kernel[b][0]
                self.place[b] = self.metric.embed(b, np.ones((1, 1)))[:, 0]

    def total(self, members: Iterable[int]) -> FloatArray:
        """Where the relaxed values of some parts stand together."""
        zero = np.zeros(self.metric.size)
        return sum((self.metric.embed(b, self.kernel[b][:, None])[:, 0] for b in members), start=zero)

    def run(self) -> tuple[dict[Rates, float], FloatArray]:
        """Rates by their positions in theta, and weights by part (signs left out)."""
        informed = {r: members for r, members in self.groups.items() if self.informed(members)}
        for rates, members in informed.items():
            self.settle(rates, members, alone=True)
        for _ in range(SWEEPS if len(informed) > 1 else 0):
            before = dict(self.rate)
            for rates, members in informed.items():
                self.settle(rates, members, alone=False)
            if all(abs(before[rates] - self.rate[rates]) < SETTLED for rates in before):
                break
        return {rates: rate for rates, rate in self.rate.items() if rates}, self.weights

    def informed(self, members: Sequence[int]) -> bool:
        """Whether some kernel of the group is not zero."""
        return any(np.abs(self.kernel[b]).max() > FLAT for b in members)

    def settle(self, rates: Rates, members: list[int], *, alone: bool) -> None:
        """Move a group's rate to its best value, other kernels being as relaxed (alone) or as recovered."""
        kernels = [b for b, part in enumerate(self.parts) if part.kind == "kernel" and b not in members]
        known = [b for b in range(len(self.parts)) if b not in members and self.place[b] is not None]
        others = [b for b in known if not (alone and b in kernels)]
        goal = self.goal - self.total(kernels) if alone else self.goal
        grid = _coarse(*self.rate_range(rates, members[0]))
        best = 0
        for finer in range(ROUNDS + 1):
            if finer:
                grid = np.linspace(grid[max(best - 1, 0)], grid[min(best + 1, grid.size - 1)], FINE)
            loss, weights, places = self.try_rates(grid, members, others, goal)
            best = int(np.argmin(loss))
        self.rate[rates] = float(grid[best])
        self.weights[[*members, *others]] = weights[best]
        for b, place in zip(members, places, strict=True):
            self.place[b] = place[:, best]

    def try_rates(
        self, grid: FloatArray, members: list[int], others: list[int], goal: FloatArray
    ) -> tuple[FloatArray, FloatArray, list[FloatArray]]:
        """Distance (G,) at each rate, the weights (G, members + others), and where the members stand."""
        shapes = [_shape(grid, self.kernel[b].size, self.parts[b].accumulate) for b in members]
        places = [self.metric.embed(b, shape.T) for b, shape in zip(members, shapes, strict=True)]
        fixed = [np.broadcast_to(np.asarray(self.place[b])[:, None], places[0].shape) for b in others]
        stack = np.stack([*places, *fixed])
        gram = np.einsum("ang,bng->gab", stack, stack, optimize=True)
        against = np.einsum("ang,n->ga", stack, goal)
        order = [*members, *others]
        low, high = (np.array([getattr(self.parts[b], end) for b in order]) for end in ("lower", "upper"))
        weights = _bounded_weights(gram, against, self.weights[order], low, high)
        loss = np.einsum("ga,gab,gb->g", weights, gram, weights) - 2.0 * (weights * against).sum(axis=1)
        return loss, weights, places

    def rate_range(self, rates: Rates, b: int) -> tuple[float, float]:
        """Bounds of a rate; where it is a number (and what is free is a start value), that number twice."""
        if rates:
            return self.problem.lower[list(rates)].max(), self.problem.upper[list(rates)].min()
        part = self.parts[b]
        position = int(self.problem.tables.value[part.index, max(part.arm, 0), POSITIVE])
        rate = float(self.problem.tables.constants[position - self.problem.n_parameters])
        return rate, rate


class _Plain:
    """Kernels as they are."""

    def __init__(self, design: Design):
        self.columns = design.columns
        self.size = design.matrix.shape[1]

    def embed(self, b: int, kernels: FloatArray) -> FloatArray:
        """Where kernels (lags, G) of part `b` stand: (N, G)."""
        out = np.zeros((self.size, kernels.shape[1]))
        out[self.columns[b]] = kernels
        return out


class _Fisher:
    """The logits that kernels make, centred and weighted by the choice probabilities."""

    def __init__(self, design: Design, probability: FloatArray):
        matrix = design.scored_matrix
        self.blocks = [matrix[:, columns] for columns in design.columns]
        self.p = probability[design.scored][:, :, None]
        self.size = self.p.size

    def embed(self, b: int, kernels: FloatArray) -> FloatArray:
        """Where kernels (lags, G) of part `b` stand: (scored trials * m, G)."""
        x = (self.blocks[b] @ kernels).reshape(*self.p.shape[:2], kernels.shape[1])
        centred = np.sqrt(self.p) * (x - (self.p * x).sum(axis=1, keepdims=True))
        return centred.reshape(self.size, kernels.shape[1])


def _coarse(low: float, high: float) -> FloatArray:
    rates = 1.0 / (1.0 + np.exp(-np.linspace(-WIDEST_LOGIT, WIDEST_LOGIT, COARSE)))
    return np.unique(np.clip([low, *rates, high], low, high))


def _shape(grid: FloatArray, lags: int, accumulate: bool) -> FloatArray:
    """(G, lags) kernel per unit weight at each rate."""
    shape = (1.0 - grid[:, None]) ** np.arange(lags)
    return shape if accumulate else shape * grid[:, None]


def _bounded_weights(
    gram: FloatArray, against: FloatArray, start: FloatArray, low: FloatArray, high: FloatArray
) -> FloatArray:
    """Least squares within a box, coordinate by coordinate, at G points: gram (G, n, n), against (G, n)."""
    weights = np.tile(np.clip(start, low, high), (against.shape[0], 1))
    for _ in range(WEIGHT_PASSES):
        before = weights.copy()
        for a in range(weights.shape[1]):
            own = gram[:, a, a]
            left = against[:, a] - np.einsum("gb,gb->g", gram[:, a], weights) + own * weights[:, a]
            best = np.divide(left, own, out=np.zeros_like(left), where=own > 0)
            weights[:, a] = np.clip(best, low[a], high[a])
        if np.abs(weights - before).max() < SETTLED * (1.0 + np.abs(weights).max()):
            break
    return weights


def _set_weight(problem: Problem, part: Part, weight: float, theta: FloatArray) -> None:
    """Write a channel's weight into its factors: the first gives way to the others, 1 if they are 0."""
    names = Weight.parse(problem.model.channels[part.index].weight).names
    first, *others = problem.tables.weight_value[part.index, max(part.arm, 0), : len(names)]
    for k in others:
        theta[k] = theta[k] or min(1.0, problem.upper[k])
    rest = float(problem.tables.coefficient[part.index]) * float(np.prod(theta[others]))
    theta[first] = weight / rest if rest != 0 else 0.0
