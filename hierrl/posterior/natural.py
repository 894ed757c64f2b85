"""Population means and medians on the natural scale, cell by cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from hierrl.posterior.population import Population

FloatArray = npt.NDArray[np.float64]

N_NODES, FARTHEST = 97, 8.0
"""Trapezoidal rule for population means, in standard deviations. For a smooth integrand that dies out it converges
faster than Gauss-Hermite's: with sd 6 on the logit scale the error is 1e-9 and not 1e-4."""


def natural_cells(
    population: Population, effects: FloatArray, sigma: FloatArray, correlation: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Population median and mean (chain, draw, P, cells) in raw reward units; slopes stay on the link scale.

    From effects (chain, draw, T), standard deviations (chain, draw, P[, G]) and correlations (chain, draw, P, P). In a
    cell of sessions, a parameter is that of the reference session plus slopes times their values there.
    """
    designs, scalar = list(population.designs.values()), population.scalar
    own = [effects[..., population.owner == k] @ design.cell_matrix.T for k, design in enumerate(designs)]
    groups = population.groups.of_cell
    spread = (
        sigma[..., groups] if population.prior.groups else np.repeat(sigma[..., None], groups.size, axis=-1)
    )
    factors = population.problem.raw_factor()
    median, mean = [], []
    for k, (design, link) in enumerate(zip(designs, population.links, strict=True)):
        if design.slope:
            value = own[k] * (factors[scalar[k]] if link == "identity" else 1.0)
            median.append(value)
            mean.append(value)
            continue
        slopes = {q: slope.cell_values for q in np.flatnonzero(scalar == k) if (slope := designs[q].slope)}
        parts = [k, *slopes]
        loading = np.stack([np.ones(groups.size), *slopes.values()])
        centre = sum((own[q] * x for q, x in slopes.items()), own[k])
        total = _total_spread(spread[..., parts, :] * loading, _among(correlation, parts))
        median.append(factors[k] * _natural_scale(centre, link))
        mean.append(factors[k] * natural_mean(centre, total, link))
    return np.stack(median, axis=-2), np.stack(mean, axis=-2)


def _among(correlation: FloatArray | None, parts: list[int]) -> FloatArray:
    if correlation is None:
        return np.eye(len(parts))
    return correlation[..., parts, :][..., parts]


def _total_spread(parts: FloatArray, correlation: FloatArray) -> FloatArray:
    """Standard deviation (..., cells) of a sum of parts with these standard deviations (..., K, cells)."""
    return np.sqrt(np.maximum(np.einsum("...ic,...ij,...jc->...c", parts, correlation, parts), 0.0))


def _natural_scale(value: FloatArray, link: str) -> FloatArray:
    if link == "logit":
        return 1.0 / (1.0 + np.exp(-value))
    return np.exp(value) if link == "log" else value


def natural_mean(centre: npt.ArrayLike, sigma: npt.ArrayLike, link: str) -> FloatArray:
    r"""Mean of a parameter over the population, :math:`E[\mathrm{link}^{-1}(c + \sigma x)]` with standard normal x.

    Parameters
    ----------
    centre, sigma : array_like
        On the link scale; they broadcast.
    link : {"logit", "log", "identity"}

    Returns
    -------
    ndarray
        By quadrature for logit; exactly ``exp(c + sigma**2 / 2)`` for log and ``c`` for identity.
    """
    centre, sigma = np.broadcast_arrays(np.asarray(centre, float), np.asarray(sigma, float))
    if link == "log":
        return np.exp(centre + sigma**2 / 2)
    if link == "identity":
        return centre.copy()
    nodes = np.linspace(-FARTHEST, FARTHEST, N_NODES)
    weights = np.exp(-(nodes**2) / 2)
    total = np.zeros(centre.shape)
    for node, weight in zip(nodes, weights / weights.sum(), strict=True):
        total += weight * _natural_scale(centre + sigma * node, link)
    return total
