"""The vector of all numbers of the population, and populations as the kernels take them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hierrl.kernels.correlation import correlation_root
from hierrl.kernels.resampling import log_marginals_at, resample, shares_at
from hierrl.kernels.threads import SMALL_CHUNK, IndexArray, over_subjects
from hierrl.marginal import Points
from hierrl.posterior.coordinates import Point
from hierrl.posterior.population import Population

FloatArray = npt.NDArray[np.float64]

FLAT = 1e6
"""Scale of a normal distribution that says nothing: the partial correlations have a prior of their own."""


@dataclass(frozen=True)
class Phi:
    """How phi (D,) is laid out: T effects, log standard deviations (P, G) row by row, logits of K partial
    correlations.
    """

    population: Population

    @property
    def n_effects(self) -> int:
        """T."""
        return self.population.owner.size

    @property
    def n_partial(self) -> int:
        """K."""
        return self.population.partial_shapes.size if self.population.is_correlated else 0

    @cached_property
    def prior(self) -> tuple[FloatArray, FloatArray]:
        """Loc and scale (D,) of the normal priors."""
        pairs = zip(self.population.effects_prior, self.population.spread_prior, strict=True)
        loc, scale = (np.concatenate([effects, spreads.ravel()]) for effects, spreads in pairs)
        flat = np.full(self.n_partial, FLAT)
        return np.append(loc, 0.0 * flat), np.append(scale, flat)

    @property
    def names(self) -> tuple[str, ...]:
        """(D,)"""
        population = self.population
        groups = [f", {group}" for group in population.prior.groups] or [""]
        pairs = population.pairs if population.is_correlated else []
        return (
            *(f"mu of {label}, {name}" for label, name in population.terms),
            *(f"sigma of {label}{group}" for label in population.labels for group in groups),
            *(f"partial correlation of {pair}" for pair in pairs),
        )

    def point(self, phi: FloatArray, eta: FloatArray) -> Point:
        """Values of the free variables from draws phi (..., D) and eta (..., S, P)."""
        effects, spreads, partial = self._parts(phi)
        log_sigma = spreads.reshape(*phi.shape[:-1], *self.population.spread_prior[0].shape)
        return Point(effects, log_sigma, eta, partial if self.n_partial else None)

    def roots(self, phi: FloatArray) -> FloatArray:
        """Roots W (N, G, P, P) of the precisions for phi (N, D): W' W is the precision of a group."""
        _, spreads, partial = self._parts(phi)
        n = len(self.population.labels)
        inverse = np.swapaxes(np.exp(-spreads).reshape(len(phi), n, -1), 1, 2)
        if not self.n_partial:
            return inverse[..., :, None] * np.eye(n)
        own = np.stack([correlation_root(2 * one - 1) for one in partial])
        return np.ascontiguousarray(own[:, None] * inverse[..., None, :])

    def _parts(self, phi: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Effects (..., T), log standard deviations (..., P G), partial correlations in (0, 1) (..., K)."""
        end = phi.shape[-1] - self.n_partial
        return phi[..., : self.n_effects], phi[..., self.n_effects : end], 1 / (1 + np.exp(-phi[..., end:]))


@dataclass(frozen=True)
class Populations:
    """N populations of S subjects."""

    effects: FloatArray
    """(N, T)"""
    root: FloatArray
    """(N, G, P, P)"""
    dense: bool
    """Whether roots have more than a diagonal."""
    design: FloatArray
    """(S, T)"""
    owner: npt.NDArray[np.int64]
    """(T,)"""
    group: npt.NDArray[np.int64]
    """(S,)"""
    floor: FloatArray
    """(S, P) of the standard deviations (not with correlations)."""

    @classmethod
    def of(cls, layout: Phi, phi: FloatArray, floor: FloatArray) -> Populations:
        """From vectors phi (N, D)."""
        population, effects = layout.population, np.ascontiguousarray(phi[:, : layout.n_effects])
        dense = population.is_correlated
        return cls(
            effects,
            layout.roots(phi),
            dense,
            population.design,
            population.owner,
            group_of(population),
            floor,
        )

    def take(self, subjects: npt.NDArray) -> Populations:
        """The same for some subjects."""
        rows = {name: getattr(self, name)[subjects] for name in ("design", "group", "floor")}
        return replace(self, **rows)

    def moments(self, k: int) -> tuple[FloatArray, FloatArray]:
        """Mean (S, P) and covariance (S, P, P) of each subject's population number k."""
        indicator = np.eye(self.floor.shape[1])[self.owner]
        mean = (self.design * self.effects[k]) @ indicator
        inverse = np.linalg.inv(self.root[k])
        covariance = (inverse @ np.swapaxes(inverse, 1, 2))[self.group]
        if not self.dense:
            sd = np.maximum(np.sqrt(np.diagonal(covariance, axis1=1, axis2=2)), self.floor)
            covariance = sd[:, :, None] ** 2 * np.eye(sd.shape[1])
        return mean, covariance

    def shares(self, points: Points, k: int) -> FloatArray:
        """Normalised weights (S, J) of the points under population number k."""
        share = np.empty(points.loglik.shape)
        given = (self.effects[k], self.root[k], *self._rest)

        def work(subjects: IndexArray) -> None:
            shares_at(points.eta, points.log_ratio, *given, subjects, share)

        over_subjects(work, np.full(len(share), share.shape[1]), smallest=SMALL_CHUNK)
        return share

    def log_marginals(self, points: Points) -> FloatArray:
        """Log marginal likelihoods (N, S) of the subjects, to a millionth."""
        n_subjects, _, n_points = points.eta.shape
        value = np.empty((len(self.effects), n_subjects))
        eta, log_ratio, best = _single(points)

        def work(subjects: IndexArray) -> None:
            log_marginals_at(eta, log_ratio, self.effects, self.root, *self._rest, subjects, value)

        over_subjects(work, np.full(n_subjects, n_points * len(value)), smallest=SMALL_CHUNK)
        return value + best

    def draw(self, points: Points, random_seed: int) -> FloatArray:
        """Parameters (N, S, P) of the subjects on the link scale, one draw under each population.

        The shares that pick a subject's points are stratified over the draws, in random order: chance adds less.
        """
        n_subjects, n_parameters, n_points = points.eta.shape
        n, rng = len(self.effects), np.random.default_rng(random_seed)
        strata = rng.permuted(np.repeat(np.arange(n)[:, None], n_subjects, axis=1), axis=0)
        share = (strata + rng.random((n, n_subjects))) / n
        drawn = np.empty((n, n_subjects, n_parameters))
        eta, log_ratio, _ = _single(points)

        def work(subjects: IndexArray) -> None:
            resample(eta, log_ratio, self.effects, self.root, *self._rest, subjects, share, drawn)

        over_subjects(work, np.full(n_subjects, n_points * n), smallest=SMALL_CHUNK)
        return drawn

    @property
    def _rest(self) -> tuple[npt.NDArray | bool, ...]:
        """Arguments of the kernels after effects and roots."""
        return self.dense, self.design, self.owner, self.group, self.floor


def group_of(population: Population) -> npt.NDArray[np.int64]:
    """(S,): whose spread each subject has."""
    of_subject = population.groups.of_subject
    return (
        of_subject.astype(np.int64) if population.prior.groups else np.zeros_like(of_subject, dtype=np.int64)
    )


def _single(points: Points) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], FloatArray]:
    """Points in single precision, which halves the time: eta, log-ratio without its largest, and these (S,)."""
    best = points.log_ratio.max(axis=1)
    return points.eta.astype(np.float32), (points.log_ratio - best[:, None]).astype(np.float32), best
