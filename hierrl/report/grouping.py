"""Which fits belong together, and which of them speaks for a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from hierrl.fits import data_of, model_of, problem_of, settings_of, theta_of
from hierrl.models.model import Model
from hierrl.summary.behaviour import counts

Fits = Mapping[str, xr.DataTree]

BEST_FIRST = ("posterior", "mle", "convex")


def by_model_of(fits: Fits) -> dict[str, dict[str, xr.DataTree]]:
    """Fits by the title of their model; models that differ in name or bounds only are one."""
    found: dict[str, dict[str, xr.DataTree]] = {}
    titles: list[tuple[Model, str]] = []
    for name, fit in fits.items():
        model = model_of(fit)
        bare = model.replace(name=None, bounds={})
        title = next((title for one, title in titles if one == bare), None)
        if title is None:
            title = model.title if model.title not in found else f"{model.title} ({name})"
            titles.append((bare, title))
        found.setdefault(title, {})[name] = fit
    return found


def best_of(fits: Fits) -> str:
    """Name of the fit that speaks for several: a posterior, else maximum likelihood, else a convex fit."""
    return min(fits, key=lambda name: BEST_FIRST.index(settings_of(fits[name])["estimator"]))


def typical_subject(fit: xr.DataTree) -> Any:
    """The subject in the middle: with the median log-likelihood per scored choice, at the estimates."""
    problem, scored = problem_of(fit), counts(data_of(fit)).scored
    theta = theta_of(fit, problem)
    loglik = problem.loglik(theta.reshape(-1, *theta.shape[2:]).mean(axis=0))
    each = np.where(scored > 0, loglik / np.maximum(scored, 1), np.inf)
    middle = max(int(np.isfinite(each).sum()) - 1, 0) // 2
    return problem.subjects[np.argsort(each, kind="stable")[middle]].item()
