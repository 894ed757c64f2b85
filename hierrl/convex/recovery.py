"""Recovery: from a relaxed optimum to parameters of the model, without a non-convex step.

Each channel's mixture of paths is collapsed to one rate in a few ways (the mass-weighted mean in logit, its
heaviest atoms); at each of these rates the weights solve a concave problem; the best is the convex estimate.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hierrl.convex.hull import Relaxation, values_of
from hierrl.convex.layout import Hull, lay_out
from hierrl.convex.weighing import OwnTerm, has_separate_weights, scalars_from, terms_of, weigh
from hierrl.kernels.newton import Maximum, maximise
from hierrl.kernels.problem import Problem

FloatArray = npt.NDArray[np.float64]

LOGIT_CLIP = 6.0
N_HEAVIEST = 2
IDLE_RATE = 0.3
"""Rate of a channel without mass: it does not matter for the fit, but another estimator may start there."""
START_LAPSE = 0.05
IDLE_EXPONENT = IDLE_NOISE = 0.5
"""Likewise, for channels with a utility and for Kalman filters."""


def concave_scalars(problem: Problem) -> npt.NDArray[np.bool_]:
    """(P,) which scalars are solved for at given paths: weights, biases, and the lapse."""
    return np.array([not parameter.is_shape for _, parameter, _ in problem.scalars])


def starts_from(problem: Problem, hull: Hull, relaxation: Relaxation) -> FloatArray:
    """Parameter vectors (N, K, P) that collapse the mixtures of each relaxed optimum in K ways."""
    n_starts = 2 + N_HEAVIEST
    theta = np.tile(idle_point(problem), (relaxation.n.size, n_starts, 1))
    for k, (_, parameter, _) in enumerate(problem.scalars):
        found = _collapsed(hull, relaxation, k, is_rate=parameter.kind == "rate")
        theta[:, :, k] = np.where(np.isnan(found), theta[:, :, k], found)
    terms = terms_of(hull)
    for scalar, total in scalars_from(terms, [_total(hull, relaxation, term) for term in terms]).items():
        theta[:, :, scalar] = total[:, None]
    return problem.clip(theta)


def recover(
    problem: Problem, starts: FloatArray, *, cores: int | None = None, progress: bool = False
) -> Maximum:
    """The best of the starts (S, K, P) after solving for weights, biases and lapse at their rates."""
    hull = lay_out(problem)
    weighed = weigh(problem, hull, starts, cores=cores, progress=progress)
    if not has_separate_weights(problem, hull):
        # A lapse, or products of weights, are not concave: what is best without them is a better place to climb from
        # than the mixture's mass, which a slow atom may make huge.
        found = np.where(np.isfinite(weighed.value)[:, :, None], weighed.theta, np.nan)
        starts = np.where(weighed.done[:, None, None], np.concatenate([starts, found], axis=1), np.nan)
        free = concave_scalars(problem)
        return maximise(problem, starts, free=free, cores=cores, progress=progress, description="Recovery")
    rows, best = np.arange(problem.n_subjects), weighed.value.argmax(axis=1)
    theta = weighed.theta[rows, best]
    tried = np.isfinite(weighed.value[rows, best]) & weighed.done
    loglik = np.full(problem.n_subjects, -np.inf)
    loglik[tried] = problem.select(np.flatnonzero(tried)).loglik(theta[tried]) if tried.any() else 0.0
    theta[~tried] = np.nan
    steps = np.zeros(problem.n_subjects, dtype=np.int64)
    return Maximum(theta, loglik, tried, steps, weighed.done, weighed.seconds)


def idle_point(problem: Problem) -> FloatArray:
    """(P,) a parameter vector inside the bounds that makes choices (nearly) at random."""
    values = {"rate": IDLE_RATE, "lapse": START_LAPSE, "exponent": IDLE_EXPONENT, "noise": IDLE_NOISE}
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


def _total(hull: Hull, relaxation: Relaxation, term: OwnTerm) -> FloatArray:
    """(S,) coefficient of a linear term; sum of signed weights of a group's atoms and of those of the other sign."""
    if term.group < 0:
        return relaxation.coefficient[:, term.place]
    total = np.zeros(relaxation.n.size)
    for g in {term.group, int(hull.opposite[term.group])} - {-1}:
        mass = np.where(relaxation.group == g, relaxation.coefficient, 0.0).sum(axis=1)
        total += hull.layout.sign[g] * mass
    return total
