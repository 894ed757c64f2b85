"""True parameters of a data set: from a prior, from a fit, from ranges, or given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from hierrl.data.table import nearest
from hierrl.fits import check_fit, model_of
from hierrl.models.model import Model, Parameter
from hierrl.models.values import Values
from hierrl.prior import Prior
from hierrl.replications.priors import weak_prior_of_task
from hierrl.simulate import Bandit, Recorded

Truth = Prior | xr.DataTree | xr.Dataset | Mapping[str, Any] | None


def checked_truth(
    model: Model,
    task: Bandit | Recorded,
    truth: Truth,
    *,
    n_subjects: int,
    covariates: Mapping[str, Any] | pd.DataFrame | None,
) -> Prior | xr.DataTree | xr.Dataset | Mapping[str, Any]:
    """What true values come from; the weak prior of the task if nothing is given."""
    if truth is None:
        n = None if isinstance(task, Recorded) else n_subjects
        return weak_prior_of_task(model, task, n_subjects=n, covariates=covariates)
    if isinstance(truth, xr.DataTree):
        check_fit(truth)
        if model_of(truth).names != model.names:
            raise ValueError(
                f"truth= is a fit of a model with {', '.join(model_of(truth).names)}; this model has "
                f"{', '.join(model.names)}. Give a fit of this model, a prior, or ranges."
            )
    elif not isinstance(truth, Prior | xr.Dataset):
        _check_mapping(model, truth)
    return truth


def draw_truth(
    model: Model,
    truth: Prior | xr.DataTree | xr.Dataset | Mapping[str, Any],
    *,
    task: Bandit | Recorded,
    n_subjects: int,
    random_seed: int,
) -> Values | Prior:
    """True values of one data set, as `simulate` takes them."""
    rng = np.random.default_rng(random_seed)
    if isinstance(truth, Prior | xr.Dataset):
        return truth
    if isinstance(truth, xr.DataTree):
        return _of_fit(model, truth, task, n_subjects=n_subjects, rng=rng)
    n_arms = task.base.size if isinstance(task, Bandit) else task.data.sizes["arm"]
    return {
        name: _in_range(model.parameter(name), value, (n_subjects, n_arms), rng)
        if isinstance(value, tuple)
        else value
        for name, value in truth.items()
    }


def _of_fit(
    model: Model, fit: xr.DataTree, task: Bandit | Recorded, *, n_subjects: int, rng: np.random.Generator
) -> xr.Dataset:
    """A draw of a fit (the estimate of a point fit): its own subjects where the design has them, else some of them."""
    posterior = fit["posterior"].to_dataset()[list(model.names)]
    draw = {dim: int(rng.integers(posterior.sizes[dim])) for dim in ("chain", "draw")}
    values = posterior.isel(draw, drop=True)
    if isinstance(task, Recorded) and np.isin(task.data["subject"].values, values["subject"].values).all():
        return values
    chosen = rng.choice(values.sizes["subject"], n_subjects, replace=n_subjects > values.sizes["subject"])
    return values.isel(subject=np.sort(chosen)).drop_vars("subject")


def _in_range(
    parameter: Parameter, ends: tuple[float, float], shape: tuple[int, int], rng: np.random.Generator
) -> Any:
    drawn = rng.uniform(*ends, shape if parameter.per_arm else shape[:1])
    if parameter.kind == "bias":
        drawn[:, 0] = 0.0
    return drawn


def _check_mapping(model: Model, truth: Mapping[str, Any]) -> None:
    if not isinstance(truth, Mapping):
        raise TypeError(
            "truth= is a prior (hr.weak_prior), a fit, or a mapping from parameters to values or ranges "
            f"(low, high); found {type(truth).__name__}."
        )
    for name in truth:
        if name not in model.names:
            raise ValueError(
                f"truth= names {name!r}, which the model does not have.{nearest(name, list(model.names))} "
                f"It has {', '.join(model.names)}."
            )
    if missing := [name for name in model.names if name not in truth]:
        raise ValueError(
            f"truth= has nothing for {missing[0]!r}. Give a number, values by subject, or a range such as (0, 1)."
        )
    for name, value in truth.items():
        if isinstance(value, tuple):
            _check_range(model.parameter(name), value)


def _check_range(parameter: Parameter, ends: tuple[Any, ...]) -> None:
    low, high = {"logit": (0.0, 1.0), "log": (0.0, np.inf)}.get(parameter.link, (-np.inf, np.inf))
    if len(ends) != 2 or not low <= ends[0] < ends[1] <= high or not np.isfinite(ends).all():
        raise ValueError(
            f"The range of {parameter.name!r} must be (low, high) within [{low:g}, {high:g}]; found {ends}. "
            "(A list holds values by subject, a tuple a range.)"
        )
