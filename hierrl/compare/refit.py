"""Refits: the same estimator with the same settings on other scored trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import xarray as xr

from hierrl.convex import fit_convex
from hierrl.fits import model_of, settings_of
from hierrl.mle import fit_mle
from hierrl.prior import Prior, empirical_prior, weak_prior

UNSTORED = ("penalty", "constraints")
"""Options of the monotone relaxation that are functions; a fit knows them by name only."""

REPEATED = ("method", "sampler", "parametrization", "draws", "tune", "chains", "target_accept", "points")
"""Settings of a posterior that are arguments of `fit_posterior`, as far as its method has them."""


@dataclass(frozen=True)
class Resources:
    """What a refit may use and how it is seen; none of it changes an estimate but the seed, if it is
    given."""

    random_seed: int | None = None
    cores: int | None = None
    progress: bool = False


def refit_all(
    fits: Mapping[str, xr.DataTree], train: xr.Dataset, resources: Resources
) -> tuple[dict[str, xr.DataTree], dict[str, float]]:
    """Fits to `train` with the recorded settings, and the seconds each of them took.

    A hull fit goes first and starts the others, so their seconds don't contain it.
    """
    done, seconds, start = {}, {}, None
    for name in sorted(fits, key=lambda name: not _is_hull(fits[name])):
        began = perf_counter()
        done[name] = refit(fits[name], train, resources, start=start)
        seconds[name] = perf_counter() - began
        if start is None and _is_hull(fits[name]):
            start = done[name]
    return {name: done[name] for name in fits}, {name: seconds[name] for name in fits}


def refit(
    fit: xr.DataTree, train: xr.Dataset, resources: Resources, *, start: xr.DataTree | None = None
) -> xr.DataTree:
    """The estimator of `fit` with its recorded settings on `train`, from a convex fit to it if there is
    one."""
    settings = settings_of(fit)
    if settings["estimator"] == "convex":
        return _convex(fit, train, settings, resources)
    if settings["estimator"] == "mle":
        return fit_mle(model_of(fit), train, start=start, cores=resources.cores, progress=resources.progress)
    if settings["estimator"] == "posterior":
        return _posterior(fit, train, settings, resources, start)
    raise ValueError(
        f"A fit by {settings['estimator']!r} can't be repeated on other trials, so it has no held-out score. "
        "Compare it in-sample: without last=, sessions= and folds=."
    )


def _is_hull(fit: xr.DataTree) -> bool:
    settings = settings_of(fit)
    return settings["estimator"] == "convex" and settings["relaxation"] == "hull"


def _convex(
    fit: xr.DataTree, train: xr.Dataset, settings: Mapping[str, Any], resources: Resources
) -> xr.DataTree:
    options = dict(settings["options"])
    if lost := [name for name in UNSTORED if options.get(name) is not None]:
        raise ValueError(
            f"This convex fit was made with {lost[0]}={options[lost[0]]}, a function, which a fit can't store: it "
            "can't be repeated on other trials. Leave it out of the comparison, or compare without last=, sessions= "
            "and folds=."
        )
    return fit_convex(
        model_of(fit),
        train,
        relaxation=settings["relaxation"],
        cores=resources.cores,
        progress=resources.progress,
        **options,
    )


def _posterior(
    fit: xr.DataTree,
    train: xr.Dataset,
    settings: Mapping[str, Any],
    resources: Resources,
    start: xr.DataTree | None,
) -> xr.DataTree:
    # PyMC takes seconds to import, which a comparison of point fits does not need to pay
    from hierrl.posterior import fit_posterior

    seed = settings["random_seed"] if resources.random_seed is None else resources.random_seed
    return fit_posterior(
        model_of(fit),
        train,
        prior=repeated_prior(fit, train, settings, start=start),
        start=start,
        random_seed=seed,
        cores=resources.cores,
        progress=resources.progress,
        **{name: settings[name] for name in REPEATED if name in settings},
    )


def repeated_prior(
    fit: xr.DataTree, train: xr.Dataset, settings: Mapping[str, Any], *, start: xr.DataTree | None
) -> Prior:
    """The same kind of prior: one that was made from the data is made anew, from the training part alone."""
    prior = Prior.from_json(settings["prior"])
    structure = {"formula": dict(prior.formula), "spread_by": prior.spread_by}
    if prior.kind == "weak":
        return replace(weak_prior(model_of(fit), train, **structure), lkj=prior.lkj)
    if prior.kind == "empirical":
        options = {name: prior.settings[name] for name in ("widen", "random_seed") if name in prior.settings}
        made = empirical_prior(model_of(fit), train, start=start, **structure, **options)
        return replace(made, lkj=prior.lkj)
    return prior
