"""Proposals of importance points: mixtures of multivariate t distributions, drawn from quasi-randomly.

No component is trusted alone: one follows the subject's likelihood, another the population. Each has heavy
tails, and the density of a point is that of the whole mixture, wherever it came from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import gammaincinv, gammaln, ndtri
from scipy.stats.qmc import Sobol

FloatArray = npt.NDArray[np.float64]

BITS = 30
"""Precision of the Sobol points."""

AROUND_SHARE, AROUND_FREEDOM, WIDER = 0.75, 5.0, 1.2
POPULATION_FREEDOM, POPULATION_WIDER = 5.0, 1.5
"""Chosen against quadrature on 79 real and 60 simulated subjects: with these, the error of a subject's log
marginal likelihood was half of that with equal shares, and the smallest effective sample size 60 % of the
points."""


@dataclass(frozen=True)
class Component:
    """A multivariate t distribution for each of S subjects."""

    share: float
    centre: FloatArray
    """(S, P)"""
    factor: FloatArray
    """(S, P, P) lower triangle L; L L' is the scale matrix."""
    freedom: float

    def take(self, subjects: npt.NDArray) -> Component:
        """The same for some subjects."""
        return replace(self, centre=self.centre[subjects], factor=self.factor[subjects])

    def place(self, uniform: FloatArray, radius: FloatArray) -> FloatArray:
        """Points (S, P, J) from uniform (S, J, P) and radius (J,) numbers in (0, 1)."""
        stretch = np.sqrt(self.freedom / (2 * gammaincinv(self.freedom / 2, radius)))
        z = ndtri(uniform) * stretch[:, None]
        return self.centre[:, :, None] + self.factor @ z.transpose(0, 2, 1)

    def log_density(self, eta: FloatArray) -> FloatArray:
        """(S, J) at eta (S, P, J)."""
        n, df = eta.shape[1], self.freedom
        z = np.linalg.solve(self.factor, eta - self.centre[:, :, None])
        volume = np.log(np.diagonal(self.factor, axis1=1, axis2=2)).sum(axis=1)
        constant = gammaln((df + n) / 2) - gammaln(df / 2) - 0.5 * n * np.log(df * np.pi)
        return constant - volume[:, None] - 0.5 * (df + n) * np.log1p((z**2).sum(axis=1) / df)


@dataclass(frozen=True)
class Proposal:
    """A mixture of components, whose shares add up to 1."""

    components: tuple[Component, ...]

    def take(self, subjects: npt.NDArray) -> Proposal:
        """The proposals of some subjects."""
        return Proposal(tuple(component.take(subjects) for component in self.components))

    def counts(self, n_points: int) -> npt.NDArray[np.int64]:
        """How many of the points each component gets."""
        edges = np.round(np.cumsum([component.share for component in self.components]) * n_points)
        return np.diff(edges, prepend=0).astype(np.int64)

    def draw(self, n_points: int, random_seed: int) -> FloatArray:
        """Points (S, P, J)."""
        parts = [
            component.place(*uniform_points(component.centre.shape, int(count), (random_seed, k)))
            for k, (component, count) in enumerate(zip(self.components, self.counts(n_points), strict=True))
            if count > 0
        ]
        return np.concatenate(parts, axis=2)

    def log_density(self, eta: FloatArray) -> FloatArray:
        """(S, J) of the mixture that `draw` gave all the points eta (S, P, J) from."""
        counts = self.counts(eta.shape[2])
        parts = [
            np.log(count / eta.shape[2]) + component.log_density(eta)
            for component, count in zip(self.components, counts, strict=True)
            if count > 0
        ]
        return np.logaddexp.reduce(parts)


def uniform_points(
    shape: tuple[int, ...], n_points: int, seed: tuple[int, ...]
) -> tuple[FloatArray, FloatArray]:
    """Scrambled Sobol points in (0, 1) for S subjects and P parameters: (S, J, P), shifted by subject, and
    (J,).

    Sobol points are balanced in powers of two, so other numbers are put together from blocks.
    """
    rng = np.random.default_rng(seed)
    blocks = [2**k for k in range(n_points.bit_length()) if n_points >> k & 1]
    base = np.concatenate([Sobol(shape[1] + 1, bits=BITS, rng=rng).random(size) for size in blocks])
    whole = (base[:, :-1] * 2**BITS).astype(np.uint32)
    shift = rng.integers(0, 2**BITS, (shape[0], 1, shape[1]), dtype=np.uint32)
    return ((whole ^ shift) + 0.5) / 2**BITS, np.maximum(base[:, -1], 0.5 / 2**BITS)


def proposal_at(mean: FloatArray, sd: FloatArray, *around: tuple[FloatArray, ...]) -> Proposal:
    """Three quarters around what is known of each subject, one quarter from the population, both widened.

    `mean` and `sd` (S, P) are the population's; `around` are pairs of centres (S, P) and covariances (S, P, P)
    with equal shares.
    """
    spread = POPULATION_WIDER * sd[:, :, None] * np.eye(sd.shape[1])
    known = [
        Component(AROUND_SHARE / len(around), centre, WIDER * np.linalg.cholesky(covariance), AROUND_FREEDOM)
        for centre, covariance in around
    ]
    return Proposal((*known, Component(1 - AROUND_SHARE, mean, spread, POPULATION_FREEDOM)))
