"""Weakly informative priors: broad enough for any plausible study, narrow enough to keep a sampler out of nowhere."""

from __future__ import annotations

import xarray as xr

from hierrl.formulas import Formula
from hierrl.models.model import Model
from hierrl.prior.terms import Prior


def weak_prior(model: Model, data: xr.Dataset, *, formula: Formula = None) -> Prior:
    """A weakly informative prior of the population."""
    raise NotImplementedError
