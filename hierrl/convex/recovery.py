"""Recovery: from a relaxed optimum to parameters of the model, without a non-convex step.

Each channel's mixture of paths is collapsed to one rate in a few ways (the mass-weighted mean in logit, its
heaviest atoms); at each of these rates the weights solve a concave problem; the best is the convex estimate.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hierrl.convex.hull import Relaxation, values_of
from hierrl.convex.layout import Hull, lay_out
from hierrl.convex.solver import weigh_batch
from hierrl.kernels.newton import Maximum, maximise
from hierrl.kernels.problem import Problem
from hierrl.kernels.threads import IndexArray, over_subjects

FloatArray = npt.NDArray[np.float64]

LOGIT_CLIP = 6.0
N_HEAVIEST = 2
IDLE_RATE = 0.3
"""Rate of a channel without mass: it does not matter for the fit, but another estimator may start there."""
START_LAPSE = 0.05


def concave_scalars(problem: Problem) -> npt.NDArray[np.bool_]:
    """(P,) which scalars are solved for at given paths: weights, biases, and the lapse."""
    return np.array([parameter.kind not in ("rate", "start") for _, parameter, _ in problem.scalars])


def starts_from(problem: Problem, hull: Hull, relaxation: Relaxation) -> FloatArray:
    """Parameter vectors (N, K, P) that collapse the mixtures of each relaxed optimum in K ways."""
    n_starts = 2 + N_HEAVIEST
    theta = np.tile(idle_point(problem), (relaxation.n.size, n_starts, 1))
    for k, (_, parameter, _) in enumerate(problem.scalars):
        found = _collapsed(hull, relaxation, k, is_rate=parameter.kind == "rate")
        theta[:, :, k] = np.where(np.isnan(found), theta[:, :, k], found)
    for scalar, total in _weights(hull, relaxation).items():
        theta[:, :, scalar] = total[:, None]
    return problem.clip(theta)


def recover(
    problem: Problem, starts: FloatArray, *, cores: int | None = None, progress: bool = False
) -> Maximum:
    """The best of the starts (S, K, P) after solving for weights, biases and lapse at their rates."""
    hull = lay_out(problem)
    chosen = _separate_weights(problem, hull)
    if chosen is None:
        free = concave_scalars(problem)
        return maximise(problem, starts, free=free, cores=cores, progress=progress, description="Recovery")
    return _weighed(problem, hull, chosen, starts, cores=cores, progress=progress)


def _separate_weights(problem: Problem, hull: Hull) -> npt.NDArray[np.int64] | None:
    """One group for each weight (of two signs the first), if there is one scalar for each and no lapse."""
    chosen = [g for g, other in enumerate(hull.opposite) if other < 0 or other > g]
    terms = [*hull.linear, *(hull.groups[g] for g in chosen)]
    scalars = [scalar for term in terms for scalar in term.weights]
    separate = len(set(scalars)) == len(scalars) == len(terms)
    return np.array(chosen, dtype=np.int64) if separate and not problem.model.lapse else None


def _weighed(
    problem: Problem,
    hull: Hull,
    chosen: npt.NDArray[np.int64],
    starts: FloatArray,
    *,
    cores: int | None,
    progress: bool,
) -> Maximum:
    """Solve for the weights with the relaxation's own solver: one atom for each."""
    s, k, p = starts.shape
    layout, n_linear = hull.layout, len(hull.linear)
    points = np.full((s, k, chosen.size, layout.axis_low.shape[1]), np.nan)
    sign, scale = np.ones(n_linear + chosen.size), np.ones(n_linear + chosen.size)
    terms = [*hull.linear, *(hull.groups[g] for g in chosen)]
    for j, g in enumerate(chosen):
        points[:, :, j, : layout.n_axes[g]] = starts[:, :, list(hull.groups[g].axes)]
        sign[n_linear + j] = layout.sign[g]
    scale = sign / np.array([term.coefficient for term in terms])
    scalars = [term.weights[0] for term in terms]
    two = hull.opposite[chosen]
    low = np.where(two >= 0, -layout.high[two], layout.low[chosen])
    coefficient = np.nan_to_num(starts[:, :, scalars] / scale)
    value = np.full((s, k), -np.inf)

    def work(subjects: IndexArray) -> None:
        weigh_batch(
            problem.tables, problem.trials, subjects, layout, chosen, low, layout.high[chosen], points,
            coefficient, value,
        )  # fmt: skip

    done, seconds = over_subjects(
        work, problem.n_rows, cores=cores, keep=True, progress=progress, description="Recovery"
    )
    best = value.argmax(axis=1)
    rows = np.arange(s)
    theta = starts[rows, best].copy()
    theta[:, scalars] = coefficient[rows, best] * scale
    theta = problem.clip(theta)
    tried = np.isfinite(value[rows, best]) & done
    loglik = np.full(s, -np.inf)
    loglik[tried] = problem.select(np.flatnonzero(tried)).loglik(theta[tried]) if tried.any() else 0.0
    theta[~tried] = np.nan
    return Maximum(theta, loglik, tried, np.zeros(s, dtype=np.int64), done, seconds)


def idle_point(problem: Problem) -> FloatArray:
    """(P,) a parameter vector inside the bounds that makes choices (nearly) at random."""
    values = {"rate": IDLE_RATE, "lapse": START_LAPSE}
    return problem.clip(np.array([values.get(parameter.kind, 0.0) for _, parameter, _ in problem.scalars]))


def _collapsed(hull: Hull, relaxation: Relaxation, scalar: int, *, is_rate: bool) -> FloatArray:
    """Values (S, K) of a shape parameter: the mean (of rates in logit) and the weightiest atoms; NaN without atoms.

    Atoms count by what they contribute to the logits: a slow atom may need a huge weight to matter a little.
    """
    value = values_of(hull, relaxation, scalar)
    known = ~np.isnan(value)
    size, mass = np.where(known, relaxation.size, 0.0), np.where(known, relaxation.coefficient, 0.0)
    value = np.where(known, value, 0.5)
    with np.errstate(divide="ignore", invalid="ignore"):
        if is_rate:
            logit = np.clip(np.log(value) - np.log1p(-value), -LOGIT_CLIP, LOGIT_CLIP)
            mean = 1.0 / (1.0 + np.exp(-(size * logit).sum(axis=1) / size.sum(axis=1)))
        else:
            mean = (size * value).sum(axis=1) / size.sum(axis=1)
    order = np.argsort(-size, axis=1)[:, :N_HEAVIEST]
    heaviest = np.where(np.take_along_axis(size, order, 1) > 0, np.take_along_axis(value, order, 1), np.nan)
    padding = np.full((size.shape[0], N_HEAVIEST - heaviest.shape[1]), np.nan)
    # The atom of most weight may add nothing to the logits: a rate of 0 under a weight that must not be small.
    most = np.take_along_axis(value, mass.argmax(axis=1)[:, None], 1)[:, 0]
    found = np.column_stack([mean, heaviest, np.where(mass.max(axis=1) > 0, most, np.nan), padding])
    # A mixture with fewer atoms repeats its mean, so that the other channels' further atoms are still tried.
    return np.where(np.isnan(found), mean[:, None], found)


def _weights(hull: Hull, relaxation: Relaxation) -> dict[int, FloatArray]:
    """Scalars of weights and linear terms with their total (S,); factors of a product share it out as total, 1,
    1 ...
    """
    totals: dict[int, FloatArray] = {}
    for g, term in enumerate(hull.groups):
        mass = np.where(relaxation.group == g, relaxation.coefficient, 0.0).sum(axis=1)
        _share(totals, term.weights, hull.layout.sign[g] * mass / term.coefficient)
    for j, term in enumerate(hull.linear):
        _share(totals, term.weights, relaxation.coefficient[:, j] / term.coefficient)
    return totals


def _share(totals: dict[int, FloatArray], scalars: tuple[int, ...], amount: FloatArray) -> None:
    first, *others = scalars
    totals[first] = totals.get(first, 0.0) + amount
    for scalar in others:
        totals.setdefault(scalar, np.ones_like(amount))
