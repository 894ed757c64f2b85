"""Estimates of a fit and of its population, on the natural and on the link scale, side by side."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.fits import theta_of
from hierrl.formulas.cells import members
from hierrl.kernels.problem import Problem

FloatArray = npt.NDArray[np.float64]

FARTHEST_LOGIT = 6.0
SMALLEST_WEIGHT = 1e-3
"""Estimates on a bound are infinite on the link scale. There they count as logit +-6, and as this share of
the weight's upper bound, which is also where samplers start from them."""


def subject_estimates(fit: xr.DataTree, problem: Problem) -> xr.Dataset:
    """Estimates by (subject, parameter): mean and sd over draws on the natural scale, mean on the link
    scale."""
    theta = theta_of(fit, problem).reshape(-1, problem.n_subjects, problem.n_parameters)
    raw = theta * problem.raw_factor()
    single = len(theta) == 1
    variables = {
        "estimate": raw.mean(axis=0),
        "estimate_sd": np.full(raw.shape[1:], np.nan) if single else raw.std(axis=0, ddof=1),
        "link_estimate": raw_link(problem, theta).mean(axis=0),
    }
    coords = {"subject": problem.subjects, "parameter": np.array(problem.labels, dtype=object)}
    return xr.Dataset(
        {name: (("subject", "parameter"), values) for name, values in variables.items()}, coords=coords
    )


def raw_link(problem: Problem, theta: FloatArray) -> FloatArray:
    """theta (..., P) on the link scale of raw reward units, kept finite."""
    return problem.to_link(inside(problem, theta) * problem.raw_factor())


def inside(problem: Problem, theta: FloatArray) -> FloatArray:
    """theta (..., P) moved to where the link scale is finite."""
    moved = np.array(theta)
    tail = 1.0 / (1.0 + np.exp(FARTHEST_LOGIT))
    for k, link in enumerate(problem.links):
        if link == "logit":
            moved[..., k] = np.clip(moved[..., k], tail, 1.0 - tail)
        elif link == "log":
            moved[..., k] = np.maximum(moved[..., k], SMALLEST_WEIGHT * problem.upper[k])
    return moved


def population_estimates(fit: xr.DataTree, problem: Problem) -> xr.Dataset | None:
    """Posterior mean of the population's mean, median and spread by (parameter, cell), and posterior sd
    (``*_error``).

    None for point fits. ``link_mean`` is the population mean on the link scale (its image is the median),
    ``link_sd`` the spread of the subjects there, ``sd`` their spread on the natural scale."""
    if "population" not in fit.children:
        return None
    population = fit["population"].to_dataset().sel(parameter=list(problem.labels))
    median = population["median"].transpose("chain", "draw", "parameter", "cell")
    link_mean = to_link(median.values, problem)
    found = {
        "mean": population["mean"].transpose(*median.dims).values,
        "median": median.values,
        "link_mean": link_mean,
    }
    sigma = population["sigma"]
    # One spread for all groups, and the same in all sessions.
    if sigma.dims == ("chain", "draw", "parameter") and "sessions" not in fit.children:
        found["link_sd"] = np.broadcast_to(sigma.values[..., None], link_mean.shape)
        found["sd"] = natural_sd(link_mean, found["link_sd"], problem)
    variables = {}
    for name, values in found.items():
        variables[f"population_{name}"] = (("parameter", "cell"), values.mean(axis=(0, 1)))
        variables[f"population_{name}_error"] = (("parameter", "cell"), values.std(axis=(0, 1), ddof=1))
    return xr.Dataset(
        variables, coords={"parameter": median["parameter"].values, "cell": median["cell"].values}
    )


def to_link(values: FloatArray, problem: Problem) -> FloatArray:
    """Raw natural values (..., P, cell) on the link scale."""
    moved = np.moveaxis(values, -2, -1)
    return np.moveaxis(problem.to_link(moved), -1, -2)


N_NODES, FARTHEST = 97, 8.0
"""Trapezoidal rule in standard deviations; it converges faster than Gauss-Hermite's where the spread is large."""


def natural_sd(mean: FloatArray, sd: FloatArray, problem: Problem) -> FloatArray:
    """Standard deviation on the natural scale of N(mean, sd^2) on the link scale, for (..., P, cell)."""
    nodes = np.linspace(-FARTHEST, FARTHEST, N_NODES)
    weights = np.exp(-(nodes**2) / 2)
    weights /= weights.sum()
    first, second = np.zeros(mean.shape), np.zeros(mean.shape)
    for node, weight in zip(nodes, weights, strict=True):
        value = np.moveaxis(problem.from_link(np.moveaxis(mean + node * sd, -2, -1)), -1, -2)
        first += weight * value
        second += weight * value**2
    return np.sqrt(np.maximum(second - first**2, 0.0))


def membership(cells: list[str], data: xr.Dataset) -> xr.DataArray:
    """(cell, subject): who belongs to which cell of a population."""
    coords = {"cell": np.array(cells, dtype=object), "subject": data["subject"].values}
    return xr.DataArray(members(cells, data), coords=coords, dims=("cell", "subject"))
