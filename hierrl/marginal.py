r"""Importance points of each subject, and what can be had from them without touching the trials again.

Subject s gets J points :math:`\eta_{sj}` on the link scale from a proposal :math:`q_s`; the likelihood is
computed there once. Then for *any* population :math:`N(\mu_s, \mathrm{diag}\,\sigma_s^2)` the subject's
marginal likelihood is

.. math:: L_s(\mu_s, \sigma_s) = \frac1J \sum_j w_{sj}, \qquad
          \log w_{sj} = \ell_s(\eta_{sj}) - \log q_s(\eta_{sj}) + \log N(\eta_{sj} | \mu_s, \sigma_s),

and weighted sums over the points give everything that one may want to know of the subject in that population.

Points of a subject are scrambled Sobol points with a digital shift of their own, so that errors of different
subjects don't add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt

from hierrl.importance.gaussian import Sites, matched_curvature, positive_part, widened
from hierrl.importance.modes import FARTHEST, Modes, penalised_modes
from hierrl.importance.pareto import GOOD_K, effective_size, tail_index
from hierrl.importance.proposals import Proposal, proposal_at
from hierrl.kernels.jit import njit
from hierrl.kernels.many import many_pass
from hierrl.kernels.points import weigh
from hierrl.kernels.problem import Problem
from hierrl.kernels.rule import JIT
from hierrl.kernels.sessions import SessionProblem
from hierrl.kernels.threads import SMALL_CHUNK, IndexArray, over_subjects

FloatArray = npt.NDArray[np.float64]

N_POINTS = 1024
"""Points per subject for a sampler."""

FEWEST_PER_PARAMETER = 20
"""Effective points per parameter that a covariance needs."""


@dataclass(frozen=True)
class Points:
    """J importance points for each of S subjects, P parameters, on the link scale."""

    eta: FloatArray
    """(S, P, J)"""
    loglik: FloatArray
    """(S, J) log-likelihood at the points."""
    log_proposal: FloatArray
    """(S, J) log-density of the proposal that they were drawn from."""

    @cached_property
    def log_ratio(self) -> FloatArray:
        """(S, J) log-likelihood minus log-proposal."""
        return self.loglik - self.log_proposal

    def take(self, subjects: npt.NDArray) -> Points:
        """The points of some subjects."""
        return Points(self.eta[subjects], self.loglik[subjects], self.log_proposal[subjects])

    def put(self, subjects: npt.NDArray, other: Points) -> Points:
        """These points with those of some subjects replaced."""
        arrays = [self.eta.copy(), self.loglik.copy(), self.log_proposal.copy()]
        for array, new in zip(arrays, (other.eta, other.loglik, other.log_proposal), strict=True):
            array[subjects] = new
        return Points(*arrays)


def pooled(parts: Sequence[Points]) -> Points:
    """Points that were drawn from the same proposal, together."""
    return Points(
        np.concatenate([part.eta for part in parts], axis=2),
        np.concatenate([part.loglik for part in parts], axis=1),
        np.concatenate([part.log_proposal for part in parts], axis=1),
    )


@njit(**JIT)
def score_points(tables, trials, subjects, theta, loglik):
    """Log-likelihood (S, J) at points theta (P, len(subjects), J) on the natural scale."""
    for k in range(subjects.size):
        many_pass(tables, trials, subjects[k], theta[:, k], loglik[subjects[k]])


@njit(**JIT)
def score_population(z, sd, weight, gradient, hessian):
    """Derivatives (2P,), (2P, 2P) of a subject's log marginal likelihood in (mean, log sd); no Hessian if
    it's empty. Points z (P, J) are standardised.

    With the scores ``u = z / sd`` and ``v = z^2 - 1``, the gradient is their weighted mean, the Hessian their
    weighted covariance plus the weighted mean of their derivatives.
    """
    n_parameters, n_points = z.shape
    score = np.empty((2 * n_parameters, n_points))
    gradient[:] = 0.0
    for p in range(n_parameters):
        for j in range(n_points):
            score[p, j], score[n_parameters + p, j] = z[p, j] / sd[p], z[p, j] ** 2 - 1.0
            gradient[p] += weight[j] * score[p, j]
            gradient[n_parameters + p] += weight[j] * score[n_parameters + p, j]
    if hessian.size == 0:
        return
    for a in range(2 * n_parameters):
        for b in range(a + 1):
            total = 0.0
            for j in range(n_points):
                total += weight[j] * score[a, j] * score[b, j]
            hessian[a, b] = hessian[b, a] = total - gradient[a] * gradient[b]
    for p in range(n_parameters):
        q = n_parameters + p
        hessian[p, p] -= 1.0 / sd[p] ** 2
        hessian[p, q] -= 2.0 * gradient[p]
        hessian[q, p] -= 2.0 * gradient[p]
        hessian[q, q] -= 2.0 * (gradient[q] + 1.0)


@njit(**JIT)
def population_pass(eta, log_ratio, mean, sd, subjects, order, weight, value, gradient, hessian):
    """Shares and `score_population` for an index array of subjects; other arrays lead with all S."""
    n_parameters, n_points = eta.shape[1:]
    no_hessian, z = np.empty((0, 0)), np.empty((n_parameters, n_points))
    root = np.zeros((n_parameters, n_parameters))
    for s in subjects:
        for p in range(n_parameters):
            root[p, p] = 1.0 / sd[s, p]
        value[s], total = weigh(eta, log_ratio, s, mean[s], root, False, z, weight[s])
        for j in range(n_points):
            weight[s, j] /= total
        if order > 0:
            h = hessian[s] if order > 1 else no_hessian
            score_population(z, sd[s], weight[s], gradient[s], h)


def importance_points(
    problem: Problem | SessionProblem,
    mean: npt.ArrayLike,
    sd: npt.ArrayLike,
    *,
    n_points: int = N_POINTS,
    modes: Modes | None = None,
    random_seed: int = 0,
    cores: int | None = None,
    progress: bool = False,
) -> Points:
    """Draw points for the population N(mean, sd^2) and score them.

    Subjects whose weights have a heavy tail (Pareto k above 0.7) get new points once, which also lie around
    their mean and covariance as far as the first points tell.

    Parameters
    ----------
    problem : Problem
    mean, sd : array_like
        On the link scale, (S, P) or what broadcasts to it. The points serve populations near this one.
    n_points : int
        J; powers of two fill space best.
    modes : Modes, optional
        Penalised modes under this population, found if not given.
    random_seed : int
    cores : int, optional
        Threads, all if not given.
    progress : bool

    Returns
    -------
    Points
        `diagnose` tells how good they are for a population.
    """
    mean, sd = _broadcast(problem.n_subjects, mean, sd, problem.n_parameters)
    modes = penalised_modes(problem, mean, sd) if modes is None else modes
    drawn = {"n_points": n_points, "cores": cores}
    around = (modes.eta, modes.covariance)
    first = proposal_at(mean, sd, around)
    points = draw_points(problem, first, random_seed=random_seed, progress=progress, **drawn)
    heavy = np.flatnonzero(~(diagnose(points, mean, sd)[1] <= GOOD_K))
    if heavy.size == 0:
        return points
    centre, covariance = posterior_moments(points.take(heavy), mean[heavy], sd[heavy])
    better = (centre, widened(covariance, sd[heavy]))
    second = proposal_at(mean[heavy], sd[heavy], better, better, tuple(values[heavy] for values in around))
    return points.put(heavy, draw_points(problem.select(heavy), second, random_seed=random_seed + 1, **drawn))


def draw_points(
    problem: Problem | SessionProblem,
    proposal: Proposal,
    *,
    n_points: int,
    random_seed: int,
    cores: int | None = None,
    progress: bool = False,
) -> Points:
    """Draw points from a proposal and score them."""
    eta = proposal.draw(n_points, random_seed)
    loglik = np.empty((problem.n_parts, n_points))
    # A recursion brings loops of its own.
    score = getattr(problem.tables, "score_points", None) or partial(score_points, problem.tables)

    def work(subjects: IndexArray) -> None:
        inside = np.clip(np.moveaxis(eta[subjects], 1, -1), -FARTHEST, FARTHEST)
        parts, theta = problem.at_points(subjects, inside)
        theta = np.ascontiguousarray(np.moveaxis(theta, -1, 0))
        score(problem.trials, parts, theta, loglik)

    over_subjects(
        work,
        problem.n_rows,
        cores=cores,
        smallest=max(1, SMALL_CHUNK // n_points),
        progress=progress,
        description="Importance points",
    )
    return Points(eta, problem.by_subject(loglik), proposal.log_density(eta))


def log_marginals(
    points: Points, mean: npt.ArrayLike, sd: npt.ArrayLike, *, order: int = 0
) -> tuple[FloatArray, ...]:
    """Log marginal likelihoods of the subjects in the population N(mean, sd^2), with derivatives.

    Parameters
    ----------
    points : Points
    mean, sd : array_like
        On the link scale, (S, P) or what broadcasts to it.
    order : int
        0: values (S,); 1: and gradients (S, 2P) in (mean_s, log sd_s); 2: and Hessians (S, 2P, 2P).
    """
    return _population(points, mean, sd, order)[: order + 1]


def weights(points: Points, mean: npt.ArrayLike, sd: npt.ArrayLike) -> FloatArray:
    """Normalised weights (S, J) of the points in the population N(mean, sd^2)."""
    return _population(points, mean, sd, 0)[3]


def posterior_moments(
    points: Points, mean: npt.ArrayLike, sd: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Mean (S, P) and covariance (S, P, P) of each subject's parameters in the population N(mean, sd^2)."""
    return weighted_moments(points, weights(points, mean, sd))


def weighted_moments(points: Points, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean (S, P) and covariance (S, P, P) of points with normalised weights (S, J)."""
    centre = (points.eta @ weight[:, :, None])[:, :, 0]
    away = points.eta - centre[:, :, None]
    return centre, (away * weight[:, None, :]) @ away.transpose(0, 2, 1)


def diagnose(points: Points, mean: npt.ArrayLike, sd: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Effective sample size (S,) and Pareto k (S,; NaN where no weight is finite) given the population."""
    return judge_weights(weights(points, mean, sd))


def enough(size: FloatArray, k_hat: FloatArray, n_parameters: int) -> npt.NDArray[np.bool_]:
    """(S,) whether points tell means and covariances, as `diagnose` has it: no heavy tail, and enough that count."""
    return (k_hat <= GOOD_K) & (size >= FEWEST_PER_PARAMETER * n_parameters)


def judge_weights(weight: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Effective sample size (S,) and Pareto k (S,; NaN where no weight is finite) of normalised weights (S, J)."""
    return effective_size(weight), tail_index(weight)


def _population(points: Points, mean: npt.ArrayLike, sd: npt.ArrayLike, order: int) -> tuple[FloatArray, ...]:
    """Value, gradient, Hessian (as far as `order`) and weights."""
    n_subjects, p, n_points = points.eta.shape
    mean, sd = _broadcast(n_subjects, mean, sd, p)
    value, weight = np.empty(n_subjects), np.empty((n_subjects, n_points))
    gradient = np.empty((n_subjects if order > 0 else 0, 2 * p))
    hessian = np.empty((n_subjects if order > 1 else 0, 2 * p, 2 * p))
    log_ratio = points.log_ratio

    def work(subjects: IndexArray) -> None:
        population_pass(points.eta, log_ratio, mean, sd, subjects, order, weight, value, gradient, hessian)

    over_subjects(work, np.full(n_subjects, n_points), smallest=SMALL_CHUNK)
    return value, gradient, hessian, weight


def sites(
    problem: Problem | SessionProblem,
    mean: npt.ArrayLike,
    sd: npt.ArrayLike,
    *,
    start: npt.ArrayLike | None = None,
    n_points: int = N_POINTS,
    random_seed: int = 0,
    cores: int | None = None,
    progress: bool = False,
) -> Sites:
    """Gaussian sites matched to the moments of each subject in the population N(mean, sd^2).

    With m and C the subject's mean and covariance there, :math:`H = [C^{-1} - \\Sigma^{-1}]_+`, h = m and
    :math:`g = \\Sigma^{-1} (m - \\mu)`. Where importance weights degenerate (Pareto k above 0.7, or fewer
    effective points than a covariance needs: many parameters), mode and curvature of the likelihood there
    take their place.

    Parameters
    ----------
    problem : Problem
    mean, sd : array_like
        On the link scale, (S, P) or what broadcasts to it.
    start : array_like, (S, P), optional
        Where the search for the modes starts, on the link scale.
    n_points, random_seed, cores, progress
        As in `importance_points`.

    Returns
    -------
    Sites
    """
    mean, sd = _broadcast(problem.n_subjects, mean, sd, problem.n_parameters)
    modes = penalised_modes(problem, mean, sd, start=start)
    points = importance_points(
        problem,
        mean,
        sd,
        n_points=n_points,
        modes=modes,
        random_seed=random_seed,
        cores=cores,
        progress=progress,
    )
    size, k_hat = diagnose(points, mean, sd)
    good = enough(size, k_hat, problem.n_parameters)
    centre, curvature = modes.eta.copy(), positive_part(modes.curvature)
    if good.any():
        centre[good], covariance = posterior_moments(points.take(good), mean[good], sd[good])
        curvature[good] = matched_curvature(covariance, sd[good])
    return Sites(centre, (centre - mean) / sd**2, curvature, np.where(good, "moments", "laplace"), k_hat)


def _broadcast(
    n_subjects: int, mean: npt.ArrayLike, sd: npt.ArrayLike, p: int
) -> tuple[FloatArray, FloatArray]:
    """Contiguous (S, P) arrays."""
    pair = (np.broadcast_to(np.asarray(value, dtype=np.float64), (n_subjects, p)) for value in (mean, sd))
    return tuple(np.ascontiguousarray(value) for value in pair)  # type: ignore[return-value]
