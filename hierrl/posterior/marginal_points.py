"""Where the group posterior is, and importance points of the subjects that serve all of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hierrl.importance import Component, Proposal, penalised_modes
from hierrl.importance.gaussian import widened
from hierrl.importance.mixtures import parts_of
from hierrl.marginal import Points, importance_points, weighted_moments
from hierrl.posterior.layout import Layout
from hierrl.posterior.marginal_phi import Phi, Populations
from hierrl.prior.estimate import estimate_population
from hierrl.prior.population import Layout as OneSpread

FloatArray = npt.NDArray[np.float64]

N_PILOT = 512
"""Points that tell the moments of the subjects."""

N_POPULATIONS = 8
"""Populations out of the group posterior that moments are averaged over."""

FEWEST_PARTS = 2
"""Of a subject's posterior in the first round; one more in each round after it."""

# Chosen for the smallest error and tail index over whole group posteriors, see docs/decisions.
NEAR_SHARE, NEAR_WIDER = 0.6, 1.3
FAR_SHARE, FAR_WIDER = 0.2, 2.5
POPULATION_WIDER = 1.5
FREEDOM = 4.0

FLOOR = 0.3
"""Spreads of the population below this share of a subject's are not resolved by its points, but extrapolated."""

LOWER = 2 / 3
"""Each time that there are more points the floor gets so many times as high."""

PARTIAL_SD = 2.0
"""Of a logit of a partial correlation, times the root of the number of subjects, if their parameters were known."""


@dataclass(frozen=True)
class Group:
    """Some populations out of the group posterior, and its covariance, as far as known."""

    phi: FloatArray
    """(K, D)"""
    centre: FloatArray
    """(D,)"""
    factor: FloatArray
    """(D, D) lower Cholesky factor of the covariance."""

    @classmethod
    def of_draws(cls, phi: FloatArray) -> Group:
        """From draws (N, D)."""
        some = np.linspace(0, len(phi) - 1, N_POPULATIONS).round().astype(int)
        return cls(phi[some], phi.mean(axis=0), np.linalg.cholesky(np.cov(phi.T)))


def find_group(layout: Layout, random_seed: int, *, progress: bool) -> Group:
    """The mode of the group posterior, its curvature there, and draws of the normal distribution these make.

    With one spread for all groups and no correlations; where there are more numbers, that is where they begin.
    """
    population, phi = layout.population, Phi(layout.population)
    loc, scale = (np.atleast_2d(spread.T).mean(axis=0) for spread in population.spread_prior)
    effects = population.effects_prior
    one_spread = OneSpread(population.designs, np.append(effects[0], loc), np.append(effects[1], scale))
    found = estimate_population(
        layout.study, one_spread, layout.centre, random_seed=random_seed, progress=progress
    )
    centre, covariance = _expanded(phi, found.phi, found.covariance, layout.problem.n_subjects)
    factor = np.linalg.cholesky(covariance)
    away = np.random.default_rng(random_seed).standard_normal((N_POPULATIONS, centre.size))
    return Group(centre + away @ factor.T, centre, factor)


def _expanded(
    phi: Phi, centre: FloatArray, covariance: FloatArray, n_subjects: int
) -> tuple[FloatArray, FloatArray]:
    """Centre (D,) and covariance (D, D) of all numbers from those of effects and one spread of each parameter."""
    n_groups = max(1, len(phi.population.prior.groups))
    if n_groups == 1 and not phi.n_partial:
        return centre, covariance
    t = phi.n_effects
    whole = np.diag(
        np.concatenate(
            [
                np.ones(t),
                n_groups * np.repeat(np.diag(covariance)[t:], n_groups),
                np.full(phi.n_partial, PARTIAL_SD**2 / n_subjects),
            ]
        )
    )
    whole[:t, :t] = covariance[:t, :t]
    return np.concatenate([centre[:t], np.repeat(centre[t:], n_groups), np.zeros(phi.n_partial)]), whole


def pilot_points(layout: Layout, group: Group, random_seed: int) -> Points:
    """Points around the subjects' modes in the middle of the group posterior."""
    no_floor = np.zeros_like(layout.centre)
    mean, covariance = Populations.of(Phi(layout.population), group.centre[None], no_floor).moments(0)
    sd = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    modes = penalised_modes(layout.study, mean, sd, start=layout.centre)
    return importance_points(layout.study, mean, sd, n_points=N_PILOT, modes=modes, random_seed=random_seed)


@dataclass(frozen=True)
class Whereabouts:
    """Moments of the subjects and of the population, averaged over the group posterior."""

    centre: FloatArray
    """(S, P) of each subject"""
    factor: FloatArray
    """(S, P, P) root of its covariance"""
    population: tuple[FloatArray, FloatArray]
    """The same of its population."""
    parts: tuple[FloatArray, FloatArray]
    """(K, S, P), (K, S, P, P): the same of parts that each subject's posterior is made of."""

    def floor(self, times: int = 0) -> FloatArray:
        """(S, P): standard deviations of the population below this are extrapolated from here.

        After points became more so many `times`.
        """
        return FLOOR * LOWER**times * np.sqrt((self.factor**2).sum(axis=2))

    @property
    def proposal(self) -> Proposal:
        """Around the parts of each subject's posterior, around all of it, and around the population.

        Parts get equal shares, whatever they weigh on average: somewhere in the group posterior each weighs most.
        """
        centre, spread = self.population
        near = [
            Component(NEAR_SHARE / len(self.parts[0]), one, NEAR_WIDER * factor, FREEDOM)
            for one, factor in zip(*self.parts, strict=True)
        ]
        return Proposal(
            (
                *near,
                Component(FAR_SHARE, self.centre, FAR_WIDER * self.factor, FREEDOM),
                Component(1 - NEAR_SHARE - FAR_SHARE, centre, POPULATION_WIDER * spread, FREEDOM),
            )
        )


def whereabouts(layout: Layout, points: Points, group: Group, *, times: int = 0) -> Whereabouts:
    """Where the subjects are in the populations of `group`, as `points` tell that became more so many `times`."""
    phi, no_floor = Phi(layout.population), np.zeros_like(layout.centre)
    middle = Populations.of(phi, group.centre[None], no_floor)
    covariance = weighted_moments(points, middle.shares(points, 0))[1]
    floor = FLOOR * np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    populations = Populations.of(phi, group.phi, floor)
    everyone = [populations.moments(k) for k in range(len(group.phi))]
    shares = [populations.shares(points, k) for k in range(len(group.phi))]
    subjects = [weighted_moments(points, share) for share in shares]
    wide = [np.sqrt(np.diagonal(covariance, axis1=1, axis2=2)) for _, covariance in everyone]
    subjects = [(mean, widened(c, sd)) for (mean, c), sd in zip(subjects, wide, strict=True)]
    centre, covariance = parts_of(points.eta, np.mean(shares, axis=0), FEWEST_PARTS + times)
    parts = centre, np.linalg.cholesky(covariance)
    return Whereabouts(*_averaged(subjects), _averaged(everyone), parts)


def _averaged(moments: list[tuple[FloatArray, FloatArray]]) -> tuple[FloatArray, FloatArray]:
    """Mean (S, P) and root of the covariance (S, P, P) of a mixture of equal parts."""
    centre = np.mean([mean for mean, _ in moments], axis=0)
    away = [mean - centre for mean, _ in moments]
    covariance = [c + a[:, :, None] * a[:, None, :] for (_, c), a in zip(moments, away, strict=True)]
    return centre, np.linalg.cholesky(np.mean(covariance, axis=0))
