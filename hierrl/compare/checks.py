"""Can these fits be compared? The same subjects and trials; and one model, if estimators are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.fits import check_fit, data_of, model_of
from hierrl.models.model import Model

OBSERVED = ("choice", "scored", "available", "trial_session")
"""What fits of different models must agree on: what was predicted, and from which arms."""


def checked(fits: Any) -> dict[str, xr.DataTree]:
    """`fits` as a dict, after making sure that they are estimates of one model from the same data."""
    found = named_fits(fits, "compare", "{'mle': mle, 'posterior': post}")
    (first, reference), *others = found.items()
    model, data = model_of(reference), data_of(reference)
    names = [str(name) for name in data.data_vars if "trial" in data[name].dims]
    for name, fit in others:
        _check_model(model, model_of(fit), first, name)
        _check_data(data, data_of(fit), (first, name), [*names, "trial_session"])
    return found


def checked_models(fits: Any) -> dict[str, xr.DataTree]:
    """`fits` as a dict, after making sure that they predict the same choices."""
    found = named_fits(fits, "compare_models", "{'rw': fit_a, 'forgetting': fit_b}")
    (first, reference), *others = found.items()
    data = data_of(reference)
    for name, fit in others:
        other = data_of(fit)
        names = [name for name in OBSERVED if name in data or name in other]
        _check_data(data, other, (first, name), names)
        if data["arm"].values.tolist() != other["arm"].values.tolist():
            raise ValueError(
                f"{first!r} has the arms {data['arm'].values.tolist()} and {name!r} {other['arm'].values.tolist()}. "
                "Fit all models to the same Dataset."
            )
    return found


def named_fits(fits: Any, function: str, example: str) -> dict[str, xr.DataTree]:
    """`fits` as a dict of at least one fit."""
    if not isinstance(fits, Mapping) or isinstance(
        fits, xr.DataTree
    ):  # a DataTree is a mapping of its groups
        raise TypeError(
            f"{function}() takes fits with names, such as {example}; found {type(fits).__name__}."
        )
    if not fits:
        raise ValueError(f"{function}() needs at least one fit; the mapping is empty.")
    found = {str(name): fit for name, fit in fits.items()}
    for fit in found.values():
        check_fit(fit)
    return found


def _check_model(model: Model, other: Model, first: str, second: str) -> None:
    """Bounds may differ: they belong to how an estimator is set up."""
    if _bare(model) != _bare(other):
        raise ValueError(
            "compare() takes estimators of one model, so that their parameters mean the same. "
            f"{first!r} is a fit of {_called(model)} and {second!r} one of {_called(other)}. "
            "Compare each model's fits on their own, or models by hr.compare_models."
        )


def _bare(model: Model) -> Model:
    return model.replace(name=None, bounds={})


def _called(model: Model) -> str:
    return f"{model.name or 'a model'} ({', '.join(model.names)})"


def _check_data(data: xr.Dataset, other: xr.Dataset, fits: tuple[str, str], names: list[str]) -> None:
    (first, second) = fits
    advice = "Fit all of them to the same Dataset."
    here, there = data["subject"].values, other["subject"].values
    if here.shape != there.shape or (here != there).any():
        odd = sorted(set(map(str, here)) ^ set(map(str, there)))
        which = (
            f"only one of them has subject {odd[0]!r} ({len(odd)} such)"
            if odd
            else "they are in another order"
        )
        raise ValueError(f"{first!r} and {second!r} are fits to different subjects: {which}. {advice}")
    for name in names:
        if name in data and name in other and data[name].shape == other[name].shape:
            differ = _differ(data[name].values, other[name].values)
            if not differ.any():
                continue
            row = int(np.flatnonzero(differ.reshape(len(differ), -1).any(axis=1))[0])
            where = f"from trial {row} on (subject {data['trial_subject'].values[row]})"
        else:
            where = (
                f"{data.sizes['trial']:,} trials here, {other.sizes['trial']:,} there"
                if name in other
                else "only one has it"
            )
        what = "score different trials" if name == "scored" else f"differ in {name!r}"
        raise ValueError(f"The data of {first!r} and {second!r} {what}: {where}. {advice}")


def _differ(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Where two arrays differ; missing numbers are alike."""
    if one.dtype.kind == "f" and other.dtype.kind == "f":
        return (one != other) & ~(np.isnan(one) & np.isnan(other))
    return np.asarray(one != other)
