"""Where the group posterior is, and importance points of the subjects that serve all of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hierrl.importance import Component, Proposal, penalised_modes
from hierrl.importance.gaussian import diagonal, widened
from hierrl.kernels.resampling import log_marginals_at, resample
from hierrl.kernels.threads import SMALL_CHUNK, IndexArray, over_subjects
from hierrl.marginal import Points, importance_points, posterior_moments
from hierrl.posterior.layout import Layout
from hierrl.posterior.population import Population
from hierrl.prior.empirical import estimate_population
from hierrl.prior.population import Layout as PhiLayout

FloatArray = npt.NDArray[np.float64]

N_PILOT = 512
"""Points that tell the moments of the subjects."""

N_POPULATIONS = 8
"""Populations out of the group posterior that moments are averaged over."""

# Chosen for the smallest error and tail index over whole group posteriors: decision 16.
NEAR_SHARE, NEAR_WIDER = 0.6, 1.3
FAR_SHARE, FAR_WIDER = 0.2, 2.5
POPULATION_WIDER = 1.5
FREEDOM = 4.0

FLOOR = 0.3
"""Spreads of the population below this share of a subject's are not resolved by its points, but extrapolated."""


@dataclass(frozen=True)
class Group:
    """Some populations out of the group posterior, and its covariance, as far as known."""

    phi: FloatArray
    """(K, D)"""
    centre: FloatArray
    """(D,)"""
    factor: FloatArray
    """(D, D) lower Cholesky factor of the covariance."""


@dataclass(frozen=True)
class Populations:
    """N populations as the kernels take them: effects, roots of the precision, and who belongs where."""

    effects: FloatArray
    """(N, T)"""
    root: FloatArray
    """(N, 1, P, P)"""
    design: FloatArray
    """(S, T)"""
    owner: npt.NDArray[np.int64]
    """(T,)"""
    floor: FloatArray
    """(S, P) of the standard deviations."""

    @classmethod
    def of(cls, population: Population, phi: FloatArray, floor: FloatArray) -> Populations:
        """From vectors phi (N, D)."""
        n_effects = population.owner.size
        root = np.exp(-phi[:, n_effects:])[:, None, :, None] * np.eye(phi.shape[1] - n_effects)
        effects = np.ascontiguousarray(phi[:, :n_effects])
        return cls(effects, root, population.design, population.owner, floor)

    def take(self, subjects: npt.NDArray) -> Populations:
        """The same for some subjects."""
        return replace(self, design=self.design[subjects], floor=self.floor[subjects])

    @property
    def rest(self) -> tuple[npt.NDArray | bool, ...]:
        """Arguments of the kernels after the points."""
        group = np.zeros(len(self.design), dtype=np.int64)
        return self.effects, self.root, False, self.design, self.owner, group, self.floor


def find_group(layout: Layout, random_seed: int, *, progress: bool) -> Group:
    """The mode of the group posterior, its curvature there, and draws of the normal distribution these make."""
    population = layout.population
    estimate = estimate_population(
        layout.problem,
        PhiLayout.of(population.designs, population.prior),
        layout.centre,
        random_seed=random_seed,
        progress=progress,
    )
    factor = np.linalg.cholesky(estimate.covariance)
    away = np.random.default_rng(random_seed).standard_normal((N_POPULATIONS, estimate.phi.size))
    return Group(estimate.phi + away @ factor.T, estimate.phi, factor)


def pilot_points(layout: Layout, group: Group, random_seed: int) -> Points:
    """Points around the subjects' modes in the middle of the group posterior."""
    mean, sd = population_at(layout.population, group.centre)
    modes = penalised_modes(layout.problem, mean, sd, start=layout.centre)
    return importance_points(layout.problem, mean, sd, n_points=N_PILOT, modes=modes, random_seed=random_seed)


def population_at(
    population: Population, phi: FloatArray, floor: FloatArray | float = 0.0
) -> tuple[FloatArray, FloatArray]:
    """Mean (S, P) and standard deviation (S, P), at least `floor`, of each subject's population."""
    n_effects = population.owner.size
    return population.mean(phi[:n_effects]), np.maximum(np.exp(phi[n_effects:]), floor) + np.zeros(
        (population.problem.n_subjects, 1)
    )


@dataclass(frozen=True)
class Whereabouts:
    """Moments of the subjects and of the population, averaged over the group posterior."""

    centre: FloatArray
    """(S, P) of each subject"""
    factor: FloatArray
    """(S, P, P) root of its covariance"""
    population: tuple[FloatArray, FloatArray]
    """The same of its population."""

    @property
    def floor(self) -> FloatArray:
        """(S, P): standard deviations of the population below this are extrapolated from here."""
        return FLOOR * np.sqrt((self.factor**2).sum(axis=2))

    @property
    def proposal(self) -> Proposal:
        """Around each subject's posterior, narrow and wide, and around the population."""
        centre, spread = self.population
        return Proposal(
            (
                Component(NEAR_SHARE, self.centre, NEAR_WIDER * self.factor, FREEDOM),
                Component(FAR_SHARE, self.centre, FAR_WIDER * self.factor, FREEDOM),
                Component(1 - NEAR_SHARE - FAR_SHARE, centre, POPULATION_WIDER * spread, FREEDOM),
            )
        )


def whereabouts(population: Population, points: Points, group: Group) -> Whereabouts:
    """Where the subjects are in the populations of `group`, as `points` tell."""
    mean, sd = population_at(population, group.centre)
    middle = posterior_moments(points, mean, sd)[1]
    floor = FLOOR * np.sqrt(np.diagonal(middle, axis1=1, axis2=2))
    populations = [population_at(population, phi, floor) for phi in group.phi]
    moments = [posterior_moments(points, *each) for each in populations]
    subjects = [(m, widened(c, sd)) for (m, c), (_, sd) in zip(moments, populations, strict=True)]
    everyone = [(mean, diagonal(sd**2)) for mean, sd in populations]
    return Whereabouts(*_averaged(subjects), _averaged(everyone))


def _averaged(moments: list[tuple[FloatArray, FloatArray]]) -> tuple[FloatArray, FloatArray]:
    """Mean (S, P) and root of the covariance (S, P, P) of a mixture of equal parts."""
    centre = np.mean([mean for mean, _ in moments], axis=0)
    away = [mean - centre for mean, _ in moments]
    covariance = [c + a[:, :, None] * a[:, None, :] for (_, c), a in zip(moments, away, strict=True)]
    return centre, np.linalg.cholesky(np.mean(covariance, axis=0))


def log_marginals_under(points: Points, populations: Populations) -> FloatArray:
    """Log marginal likelihoods (N, S) of the subjects under N populations."""
    n_subjects, _, n_points = points.eta.shape
    value = np.empty((len(populations.effects), n_subjects))

    def work(subjects: IndexArray) -> None:
        log_marginals_at(points.eta, points.log_ratio, *populations.rest, subjects, value)

    over_subjects(work, np.full(n_subjects, n_points * len(value)), smallest=SMALL_CHUNK)
    return value


def draw_subjects(points: Points, populations: Populations, random_seed: int) -> FloatArray:
    """Parameters (N, S, P) of the subjects on the link scale, one draw under each of N populations.

    The shares that pick a subject's points are stratified over the draws, in random order: chance adds less.
    """
    n_subjects, n_parameters, n_points = points.eta.shape
    n, rng = len(populations.effects), np.random.default_rng(random_seed)
    strata = rng.permuted(np.repeat(np.arange(n)[:, None], n_subjects, axis=1), axis=0)
    share = (strata + rng.random((n, n_subjects))) / n
    drawn = np.empty((n, n_subjects, n_parameters))

    def work(subjects: IndexArray) -> None:
        resample(points.eta, points.log_ratio, *populations.rest, subjects, share, drawn)

    over_subjects(work, np.full(n_subjects, n_points * n), smallest=SMALL_CHUNK)
    return drawn
