"""Fits that look like posteriors, made by hand: every draw is known, nothing is sampled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

CHAINS, DRAWS = 2, 150
CELLS = ("group=old", "group=young")


def pretend_posterior(
    fit: xr.DataTree, *, cells: Sequence[str] = CELLS, effect: float = 0.8, draws: int = DRAWS, seed: int = 0
) -> xr.DataTree:
    """A point fit with draws around halfway to the middle of its subjects, and a population group for rw-like models.

    ``alpha`` has mu = -0.5 in the first cell and `effect` more in each further one, ``beta`` the same mu everywhere.
    """
    rng = np.random.default_rng(seed)
    shape = {"chain": CHAINS, "draw": draws}
    group = fit["posterior"].to_dataset().isel(chain=0, draw=0, drop=True)
    coords = {"chain": np.arange(CHAINS), "draw": np.arange(draws)}
    noise = xr.DataArray(rng.normal(0, 1, (CHAINS, draws)), dims=tuple(shape), coords=coords)
    sampled = {
        name: (values + values.median("subject")) / 2 * np.exp(0.05 * noise) for name, values in group.items()
    }
    tree = fit.copy()
    tree["posterior"] = xr.DataTree(
        xr.Dataset({name: values.transpose("chain", "draw", ...) for name, values in sampled.items()})
    )
    tree["population"] = xr.DataTree(pretend_population(cells, effect, draws, rng))
    return tree


def pretend_population(
    cells: Sequence[str], effect: float, draws: int, rng: np.random.Generator
) -> xr.Dataset:
    """Draws of mu, sigma, median and mean of ``alpha`` and ``beta``."""
    steps = np.arange(len(cells))
    alpha = -0.5 + effect * steps + rng.normal(0, 0.2, (CHAINS, draws, len(cells)))
    beta = np.repeat(1.0 + rng.normal(0, 0.1, (CHAINS, draws, 1)), len(cells), axis=2)
    sigma = np.exp(rng.normal(np.log(0.6), 0.1, (CHAINS, draws, 2)))
    median = np.stack([1 / (1 + np.exp(-alpha)), np.exp(beta)], axis=2)
    spread = rng.normal(0, 1, 2000)
    many = alpha[..., None] + sigma[..., :1, None] * spread
    mean = np.stack([(1 / (1 + np.exp(-many))).mean(axis=-1), np.exp(beta + sigma[..., 1:] ** 2 / 2)], axis=2)
    slope = rng.normal(0.05, 0.02, (CHAINS, draws))
    mu = np.full((CHAINS, draws, 2, 2), np.nan)
    mu[..., 0, 0], mu[..., 1, 0], mu[..., 0, 1] = alpha[..., 0], beta[..., 0], slope
    by_cell = ("chain", "draw", "parameter", "cell")
    return xr.Dataset(
        {
            "mu": (("chain", "draw", "parameter", "coefficient"), mu),
            "sigma": (("chain", "draw", "parameter"), sigma),
            "median": (by_cell, median),
            "mean": (by_cell, mean),
        },
        coords={
            "chain": np.arange(CHAINS),
            "draw": np.arange(draws),
            "parameter": np.array(["alpha", "beta"], dtype=object),
            "coefficient": np.array(["Intercept", "age"], dtype=object),
            "cell": np.array(cells, dtype=object),
        },
    )
