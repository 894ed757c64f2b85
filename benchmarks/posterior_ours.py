"""Our own runs: draws of `fit_posterior`, and where the time went."""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
import xarray as xr
from posterior_studies import PARAMETERS, PriorKind, Study

import hierrl as hr
from hierrl.fits import settings_of


def sample(
    study: Study, seed: int, *, prior: PriorKind = "weak", **options: Any
) -> tuple[Any, dict[str, Any]]:
    """Draws by name, and seconds: of compilation, preparation (point fit and sites), tuning and sampling.

    `options` are those of `fit_posterior`. Preparation counts as tuning: it takes its place.
    """
    given = study.prior("weak") if prior == "weak" else None
    began = time.perf_counter()
    fit = fitted(study, random_seed=seed, prior=given, **options)
    total = time.perf_counter() - began
    stages = {name: float(x) for name, x in dict(settings_of(fit)["seconds"]).items()}
    compiling = stages.pop("compile")
    seconds = {"compile": compiling, "total": total, "stages": stages}
    # For NUTS what is sampled, for the marginal sampler points and their audit too.
    seconds["sample"] = sum(value for name, value in stages.items() if name != "prepare")
    seconds["prepared"] = seconds["sample"] + stages["prepare"]
    return draws_of(fit), seconds


def fitted(study: Study, **options: Any) -> xr.DataTree:
    """A fit without bars; what it has to say of convergence is counted from the draws."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return hr.fit_posterior(study.model, study.data, progress=False, **options)


def draws_of(fit: xr.DataTree) -> dict[str, Any]:
    """Draws on the link scale, (chain, draw, ...)."""
    population, subjects = fit["population"].to_dataset(), fit["posterior"].to_dataset()
    alpha, beta = (subjects[name].values for name in PARAMETERS)
    return {
        "mu": population["mu"].isel(coefficient=0).values,
        "log_sigma": np.log(population["sigma"].values),
        "eta": np.stack([np.log(alpha) - np.log1p(-alpha), np.log(beta)], axis=-1),
    }
