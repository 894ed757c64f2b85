"""The concave part of a fit: the weights at given shape parameters, with the relaxation's own solver.

Each channel is one path at one place, so the log-likelihood is concave in what the paths are multiplied by. Those
coefficients are weights, or products of weights, of which `scalars_from` finds the factors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hierrl.convex.layout import Hull
from hierrl.convex.solver import weigh_batch
from hierrl.kernels.problem import Problem
from hierrl.kernels.threads import IndexArray, over_subjects

FloatArray = npt.NDArray[np.float64]

NO_WEIGHT = 1e-9
"""A product of weights that is smaller says nothing about its other factors."""


class OwnTerm(NamedTuple):
    """A linear term, or a channel's group (of two signs the first): the scalars that multiply to its coefficient."""

    group: int
    """-1 for linear terms."""
    place: int
    """Among all terms: linear ones come first."""
    weights: tuple[int, ...]
    coefficient: float


class Weighed(NamedTuple):
    """Parameters (S, K, P) with their weights solved for, log-likelihoods without lapse (S, K), done, seconds (S,)."""

    theta: FloatArray
    value: FloatArray
    done: npt.NDArray[np.bool_]
    seconds: FloatArray


def terms_of(hull: Hull) -> list[OwnTerm]:
    """The linear terms, then one group for each channel (and arm, if it is per arm)."""
    first = [g for g, other in enumerate(hull.opposite) if other < 0 or other > g]
    sources = [*((-1, term) for term in hull.linear), *((g, hull.groups[g]) for g in first)]
    return [OwnTerm(g, k, term.weights, term.coefficient) for k, (g, term) in enumerate(sources)]


def has_separate_weights(problem: Problem, hull: Hull) -> bool:
    """Whether each term has one scalar of its own, and nothing is outside the softmax: then weighing is all."""
    terms = terms_of(hull)
    scalars = [scalar for term in terms for scalar in term.weights]
    return len(set(scalars)) == len(scalars) == len(terms) and not problem.model.lapse


def weigh(
    problem: Problem, hull: Hull, starts: FloatArray, *, cores: int | None = None, progress: bool = False
) -> Weighed:
    """Solve for the weights at the shape parameters of each start (S, K, P); NaN where there is nothing to try."""
    layout, n_linear, terms = hull.layout, len(hull.linear), terms_of(hull)
    chosen = np.array([term.group for term in terms[n_linear:]], dtype=np.int64)
    s, k, _ = starts.shape
    points = np.full((s, k, chosen.size, layout.axis_low.shape[1]), np.nan)
    for j, g in enumerate(chosen):
        points[:, :, j, : layout.n_axes[g]] = starts[:, :, list(hull.groups[g].axes)]
    sign = np.append(np.ones(n_linear), layout.sign[chosen])
    two = hull.opposite[chosen]
    low = np.where(two >= 0, -layout.high[two], layout.low[chosen])
    coefficient = (
        np.stack([_product(starts, term) for term in terms], axis=-1) * sign if terms else np.zeros((s, k, 0))
    )
    coefficient, value = np.ascontiguousarray(np.nan_to_num(coefficient)), np.full((s, k), -np.inf)

    def work(subjects: IndexArray) -> None:
        weigh_batch(
            problem.tables, problem.trials, subjects, layout, chosen, low, layout.high[chosen], points,
            coefficient, value,
        )  # fmt: skip

    done, seconds = over_subjects(
        work, problem.n_rows, cores=cores, keep=True, progress=progress, description="Recovery"
    )
    theta, totals = starts.copy(), list(np.moveaxis(coefficient * sign, -1, 0))
    for scalar, found in scalars_from(terms, totals).items():
        theta[:, :, scalar] = found
    return Weighed(problem.clip(_lifted(problem, terms, totals, problem.clip(theta))), value, done, seconds)


def scalars_from(terms: Sequence[OwnTerm], totals: Sequence[FloatArray]) -> dict[int, FloatArray]:
    """Weights from the coefficients of all terms: scalar -> values; the mean where several terms have one weight.

    Of a product the factors that no other term knows share what is left: the first gets it, the others are 1.
    """
    known: dict[int, list[FloatArray]] = {}
    for term, total in sorted(zip(terms, totals, strict=True), key=lambda pair: len(pair[0].weights)):
        single = len(term.weights) == 1
        unknown = [scalar for scalar in term.weights if single or scalar not in known]
        rest = np.full(total.shape, term.coefficient)
        for scalar in set(term.weights) - set(unknown):
            rest = rest * np.mean(known[scalar], axis=0)
        share = np.where(np.abs(rest) > NO_WEIGHT, total / np.where(rest == 0, 1.0, rest), 1.0)
        for k, scalar in enumerate(unknown):
            known.setdefault(scalar, []).append(share if k == 0 else np.ones_like(total))
    return {scalar: np.mean(values, axis=0) for scalar, values in known.items()}


def _lifted(
    problem: Problem, terms: Sequence[OwnTerm], totals: Sequence[FloatArray], theta: FloatArray
) -> FloatArray:
    """theta (S, K, P) without weights at 0 that silence a product whose coefficient is not 0.

    The other factors make no difference there, so nothing would ever climb away: they go to their upper bounds, and
    the weight to what the product then wants.
    """
    for term, total in zip(terms, totals, strict=True):
        if len(term.weights) < 2:  # no product; weights that are numbers are not among them
            continue
        first, *others = term.weights
        share = total / (term.coefficient * np.prod(problem.upper[others]))
        silent = (np.abs(theta[:, :, first]) <= NO_WEIGHT) & (np.abs(share) > NO_WEIGHT)
        theta[:, :, first] = np.where(silent, share, theta[:, :, first])
        theta[:, :, others] = np.where(silent[:, :, None], problem.upper[others], theta[:, :, others])
    return theta


def _product(starts: FloatArray, term: OwnTerm) -> FloatArray:
    """(S, K) the coefficient of a term at these parameters."""
    return term.coefficient * np.prod(starts[:, :, list(term.weights)], axis=-1)
