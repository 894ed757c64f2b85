"""The change of variables of `hierrl.posterior.transforms` in NumPy: draws of a sampler to parameters and back."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hierrl.kernels.correlation import correlation_root
from hierrl.kernels.informed import informed_coordinates, informed_map
from hierrl.posterior.layout import Layout

FloatArray = npt.NDArray[np.float64]


class Point(NamedTuple):
    """Values of the free variables, or their coordinates (those of ``log_sigma`` are its values)."""

    effects: FloatArray
    """(..., T)"""
    log_sigma: FloatArray
    """(..., P), or (..., P, G)"""
    eta: FloatArray
    """(..., S, P)"""
    partial: FloatArray | None = None
    """(..., K) partial correlations, mapped to (0, 1); their coordinates are logits. None without correlations."""

    def reshaped(self, dims: int, shape: tuple[int, ...]) -> Point:
        """With the first `dims` dims of all arrays in another shape."""
        return Point(*(x.reshape(*shape, *x.shape[dims:]) for x in self if x is not None))


def parameters_of(layout: Layout, z: Point) -> Point:
    """Values of the free variables for coordinates (N, ...)."""
    population = layout.population
    effects = population.effects_prior[0] + z.effects @ layout.sizes.effects.T
    partial = None if z.partial is None else 1 / (1 + np.exp(-z.partial))
    values = Point(effects, z.log_sigma, z.eta, partial)
    if layout.parametrization == "centered":
        return values
    mean = population.mean(effects)
    if not layout.is_mapped:
        return values._replace(eta=mean + population.sigma_of_subjects(z.log_sigma) * z.eta)
    drawn = zip(np.ascontiguousarray(z.eta), mean, precisions_of(layout, values), strict=True)
    return values._replace(eta=np.stack([informed_map(*each, *layout.sites)[0] for each in drawn]))


def coordinates_of(layout: Layout, values: Point) -> Point:
    """Coordinates of values (N, ...) of the free variables: the inverse of `parameters_of`."""
    population = layout.population
    effects = np.linalg.solve(layout.sizes.effects, (values.effects - population.effects_prior[0]).T).T
    partial = None if values.partial is None else np.log(values.partial) - np.log1p(-values.partial)
    z = Point(effects, values.log_sigma, values.eta, partial)
    if layout.parametrization == "centered":
        return z
    mean = population.mean(values.effects)
    if not layout.is_mapped:
        return z._replace(eta=(values.eta - mean) / population.sigma_of_subjects(values.log_sigma))
    given = zip(np.ascontiguousarray(values.eta), mean, precisions_of(layout, values), strict=True)
    return z._replace(eta=np.stack([informed_coordinates(*each, *layout.sites) for each in given]))


def precisions_of(layout: Layout, values: Point) -> FloatArray:
    """Precision matrices (N, G, P, P) of the population in each group."""
    inverse = np.exp(-values.log_sigma)
    inverse = np.swapaxes(inverse, 1, 2) if layout.population.prior.groups else inverse[:, None]
    scale = inverse[..., :, None] * inverse[..., None, :]
    if values.partial is None:
        return scale * np.eye(inverse.shape[-1])
    roots = np.stack([correlation_root(2 * one - 1) for one in values.partial])
    return scale * (np.swapaxes(roots, 1, 2) @ roots)[:, None]
