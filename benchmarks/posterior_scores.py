"""What a sampler's run is judged by: the worst R-hat, and the fewest effective draws, over all that is sampled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import arviz as az
import numpy as np
import numpy.typing as npt
import xarray as xr

FloatArray = npt.NDArray[np.float64]

LARGEST_RHAT = 1.01
FEWEST_EFFECTIVE = 400
SHOWN = ("mu", "log_sigma", "eta")
"""Means and log spreads of the population, and the parameters of all subjects, on the link scale."""


def mixing(draws: Mapping[str, npt.NDArray[Any]]) -> dict[str, Any]:
    """Worst R-hat, fewest effective draws (bulk and tail, ArviZ) of arrays (chain, draw, ...) by name."""
    data = xr.Dataset(
        {
            name: (("chain", "draw", *(f"{name}_{k}" for k in range(values.ndim - 2))), values)
            for name, values in ((name, np.asarray(draws[name], dtype=np.float64)) for name in SHOWN)
        }
    )
    bulk, tail, rhat = az.ess(data, method="bulk"), az.ess(data, method="tail"), az.rhat(data)
    fewest = {name: min(float(ess[name].min()) for ess in (bulk, tail)) for name in SHOWN}
    return {
        "draws": int(data.sizes["chain"] * data.sizes["draw"]),
        "rhat": max(float(rhat[name].max()) for name in SHOWN),
        "ess": min(fewest.values()),
        "ess_bulk": min(float(bulk[name].min()) for name in SHOWN),
        "ess_population": min(fewest["mu"], fewest["log_sigma"]),
        "mean": [float(draws["mu"][..., k].mean()) for k in range(2)]
        + [float(draws["log_sigma"][..., k].mean()) for k in range(2)],
        "sd": [float(draws["mu"][..., k].std()) for k in range(2)]
        + [float(draws["log_sigma"][..., k].std()) for k in range(2)],
    }


def is_converged(run: Mapping[str, Any]) -> bool:
    """Whether R-hat is below 1.01 everywhere."""
    return bool(run["rhat"] < LARGEST_RHAT)
