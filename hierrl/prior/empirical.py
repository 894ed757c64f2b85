"""Empirical priors: centred where the marginal likelihood of the population is largest, widened, never fixed."""

from __future__ import annotations

import xarray as xr

from hierrl.formulas import Formula
from hierrl.models.model import Model
from hierrl.prior.terms import Prior


def empirical_prior(
    model: Model,
    data: xr.Dataset,
    *,
    start: xr.DataTree | None = None,
    formula: Formula = None,
    widen: float = 5.0,
    random_seed: int = 0,
    progress: bool = False,
) -> Prior:
    """A prior of the population that is centred at its maximum marginal likelihood."""
    raise NotImplementedError
