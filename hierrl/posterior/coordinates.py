"""The change of variables of `hierrl.posterior.transforms` in NumPy: draws of a sampler to parameters and back."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hierrl.kernels.informed import informed_coordinates, informed_map
from hierrl.posterior.layout import Layout

FloatArray = npt.NDArray[np.float64]


class Point(NamedTuple):
    """Values of the free variables, or their coordinates (those of ``log_sigma`` are its values)."""

    effects: FloatArray
    """(..., T)"""
    log_sigma: FloatArray
    """(..., P)"""
    eta: FloatArray
    """(..., S, P)"""


def parameters_of(layout: Layout, z: Point) -> Point:
    """Values of the free variables for coordinates (N, ...)."""
    population, sizes = layout.population, layout.sizes
    effects = population.effects_prior[0] + z.effects @ sizes.effects.T
    if layout.parametrization == "centered":
        return Point(effects, z.log_sigma, z.eta)
    mean = population.mean(effects)
    if layout.parametrization == "noncentered":
        return Point(effects, z.log_sigma, mean + np.exp(z.log_sigma)[:, None] * z.eta)
    drawn = zip(np.ascontiguousarray(z.eta), mean, _precisions(z.log_sigma), strict=True)
    eta = np.stack([informed_map(*each, *_rest(layout))[0] for each in drawn])
    return Point(effects, z.log_sigma, eta)


def coordinates_of(layout: Layout, values: Point) -> Point:
    """Coordinates of values (N, ...) of the free variables: the inverse of `parameters_of`."""
    population, sizes = layout.population, layout.sizes
    effects = np.linalg.solve(sizes.effects, (values.effects - population.effects_prior[0]).T).T
    if layout.parametrization == "centered":
        return Point(effects, values.log_sigma, values.eta)
    mean = population.mean(values.effects)
    if layout.parametrization == "noncentered":
        return Point(effects, values.log_sigma, (values.eta - mean) / np.exp(values.log_sigma)[:, None])
    given = zip(np.ascontiguousarray(values.eta), mean, _precisions(values.log_sigma), strict=True)
    eta = np.stack([informed_coordinates(*each, *_rest(layout)) for each in given])
    return Point(effects, values.log_sigma, eta)


def _precisions(log_sigma: FloatArray) -> FloatArray:
    """(N, 1, P, P): one group of subjects."""
    return (np.exp(-2.0 * log_sigma)[:, :, None] * np.eye(log_sigma.shape[1]))[:, None]


def _rest(layout: Layout) -> tuple[npt.NDArray[np.int64], FloatArray, FloatArray]:
    """Group, curvature and pull of every subject."""
    return np.zeros(layout.problem.n_subjects, dtype=np.int64), layout.curvature, layout.pull
