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

SHORT = {"draws": 50, "tune": 50}
"""A run that only compiles what the next one needs, or reads it from the caches."""


def sample(
    study: Study, seed: int, *, prior: PriorKind = "weak", **options: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Draws by name, and seconds: of compilation, of tuning and sampling, and with preparation.

    Before it samples ours fits each subject and finds its site (or points, and checks them afterwards), which stands
    in place of a longer warm-up: ``sample`` includes all of that but the point fits and sites of NUTS, which are in
    ``prepared`` too. `options` are those of `fit_posterior`.
    """
    given = study.prior("weak") if prior == "weak" else None
    began = time.perf_counter()
    fitted(study, random_seed=seed, prior=given, **{**options, **SHORT})
    short, began = time.perf_counter() - began, time.perf_counter()
    fit = fitted(study, random_seed=seed, prior=given, **options)
    total = time.perf_counter() - began
    stages = {name: float(x) for name, x in settings_of(fit)["seconds"].items()}
    sampling = sum(value for name, value in stages.items() if name not in ("prepare", "compile"))
    seconds = {
        "compile": short,
        "sample": sampling,
        "prepared": sampling + stages["prepare"],
        "total": total,
        "stages": stages,
    }
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
