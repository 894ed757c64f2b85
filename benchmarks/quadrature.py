"""The posterior of a population of two parameters without a sampler: grids for subjects, importance for the group.

Each subject's likelihood is computed once on a fine grid of its two parameters (link scale), and integrated over the
population by the trapezoidal rule: exact for our purposes. The posterior of the four numbers of the population, which
is smooth and nearly normal, is then summed over draws from a multivariate t distribution around it, each with its
exact weight. It shares the likelihood with the samplers, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.kernels.problem import Problem, prepare
from hierrl.marginal import score_points
from hierrl.models.model import Model
from hierrl.prior import Prior

FloatArray = npt.NDArray[np.float64]

WIDTHS = 7.0
"""Standard deviations of the population that a grid covers on both sides."""
N_GRID, N_DRAWS = 401, 20_000
"""Points along each parameter; draws of the population."""
RARE = 1e-3
"""Populations farther out, on each side, play no part."""
FREEDOM, WIDER = 7.0, 1.15
"""Of the t distribution: heavier tails than the posterior, and a little wider."""


class Exact(NamedTuple):
    """Mean and standard deviation (4,) of mu (2) and log sigma (2), and their Monte Carlo errors."""

    mean: FloatArray
    sd: FloatArray
    mean_error: FloatArray
    """In posterior standard deviations."""
    sd_error: FloatArray
    """Relative."""
    effective: float


def exact_population(
    model: Model,
    data: xr.Dataset,
    prior: Prior,
    *,
    centre: FloatArray,
    covariance: FloatArray,
    n_grid: int = N_GRID,
    n_draws: int = N_DRAWS,
    seed: int = 0,
) -> Exact:
    """The posterior of a population without covariates, given roughly where it is: centre (4,), covariance (4, 4)."""
    phi, log_proposal = t_draws(centre, WIDER**2 * covariance, n_draws, np.random.default_rng(seed))
    log_weight = log_posterior(prepare(model, data), prior, phi, n_grid) - log_proposal
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    mean = weight @ phi
    squares = (phi - mean) ** 2
    variance = weight @ squares
    sd = np.sqrt(variance)
    return Exact(
        mean,
        sd,
        np.sqrt(weight**2 @ squares) / sd,
        np.sqrt(weight**2 @ (squares - variance) ** 2) / (2 * variance),
        float(1 / (weight**2).sum()),
    )


def t_draws(
    centre: FloatArray, covariance: FloatArray, n: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Draws (N, 4) and their log-density but for a constant."""
    factor = np.linalg.cholesky(covariance)
    z = rng.standard_normal((n, centre.size)) / np.sqrt(rng.chisquare(FREEDOM, (n, 1)) / FREEDOM)
    log_density = -(FREEDOM + centre.size) / 2 * np.log1p((z**2).sum(axis=1) / FREEDOM)
    return centre + z @ factor.T, log_density


def log_posterior(problem: Problem, prior: Prior, phi: FloatArray, n_grid: int = N_GRID) -> FloatArray:
    """(N,) but for a constant, of phi (N, 4): mu of both parameters, then log sigma."""
    numbers = [[x.item() for x in prior.mu(label)[1:]] for label in prior.labels]
    numbers += [list(prior.log_sigma(label)) for label in prior.labels]
    loc, scale = np.array(numbers).T
    total = -(((phi - loc) / scale) ** 2).sum(axis=1) / 2
    axes = [_axis(phi[:, k], phi[:, 2 + k], n_grid) for k in range(2)]
    densities = [_density(axis, phi[:, k], phi[:, 2 + k]) for k, axis in enumerate(axes)]
    for likelihood in on_grid(problem, axes):
        with np.errstate(divide="ignore"):  # a population off the grid, which has no weight
            total += np.log(((densities[0] @ likelihood) * densities[1]).sum(axis=1))
    return total


def _axis(mu: FloatArray, log_sigma: FloatArray, n_grid: int) -> FloatArray:
    """A grid that covers every population that has weight."""
    reach = WIDTHS * np.exp(np.quantile(log_sigma, 1 - RARE))
    low, high = np.quantile(mu, [RARE, 1 - RARE])
    return np.linspace(low - reach, high + reach, n_grid)


def _density(axis: FloatArray, mu: FloatArray, log_sigma: FloatArray) -> FloatArray:
    """(N, grid) normal densities times the distance of grid points."""
    sigma = np.exp(log_sigma)[:, None]
    z = (axis - mu[:, None]) / sigma
    return np.exp(-(z**2) / 2) / sigma * (axis[1] - axis[0])


def on_grid(problem: Problem, axes: list[FloatArray]) -> Iterator[FloatArray]:
    """Likelihood (grid, grid) of one subject after another, divided by its largest."""
    eta = np.stack([one.ravel() for one in np.meshgrid(*axes, indexing="ij")], axis=-1)
    theta = np.ascontiguousarray(problem.from_link(eta).T)[:, None]
    loglik = np.empty((problem.n_subjects, len(eta)))
    for s in range(problem.n_subjects):
        score_points(problem.tables, problem.trials, np.array([s]), theta, loglik)
        yield np.exp(loglik[s] - loglik[s].max()).reshape([axis.size for axis in axes])
