"""Values for the parameters of a model, as users give them: checked, in the order of the free scalars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.models.model import Model, Parameter

FloatArray = npt.NDArray[np.float64]
Values = Mapping[str, Any] | xr.Dataset


def gather(
    model: Model,
    values: Values,
    *,
    subjects: Sequence[Any],
    arms: Sequence[Any],
    unfitted: bool = False,
) -> FloatArray:
    """Named values as one array in the order of ``model.labels(arms)``, in the units they were given in.

    Parameters
    ----------
    model : Model
        P free scalars.
    values : mapping or Dataset
        Name -> number; array (S,); array (m,) or (S, m) if the parameter is per arm; dims such as chain and
        draw may come before. A DataArray is matched by the labels of its dims ``subject`` and ``arm``.
    subjects, arms : sequences
        Labels, S and m of them.
    unfitted : bool
        Values may be NaN: those of subjects that an interrupted fit left out.

    Returns
    -------
    ndarray, (..., S, P)

    Raises
    ------
    ValueError
        If a parameter is missing or unknown, has the wrong shape, or lies outside its natural range.
    """
    if isinstance(values, xr.DataTree):
        raise TypeError(
            "Parameters are a mapping or a Dataset, and this is a DataTree. Those of a fit are in its posterior: "
            "parameters=fit['posterior'].to_dataset()."
        )
    missing = [name for name in model.names if name not in values]
    unknown = [] if isinstance(values, xr.Dataset) else [name for name in values if name not in model.names]
    if missing or unknown:
        what = f"lack {missing[0]!r}" if missing else f"name {unknown[0]!r}, which the model does not have"
        raise ValueError(f"The parameters {what}; the model needs {', '.join(model.names)}.")
    shape = (len(subjects), len(arms))
    given = {p.name: _shaped(p, values[p.name], subjects, arms) for p in model.parameters}
    known = {p.name: _checked(p, given[p.name], shape, unfitted=unfitted) for p in model.parameters}
    columns = [
        known[parameter.name][..., 0 if arm is None else arm]
        for _, parameter, arm in model.scalars(list(arms))
    ]
    lead = np.broadcast_shapes(*(column.shape[:-1] for column in columns))
    return np.stack([np.broadcast_to(column, (*lead, len(subjects))) for column in columns], axis=-1)


def _shaped(parameter: Parameter, value: Any, subjects: Sequence[Any], arms: Sequence[Any]) -> FloatArray:
    """One parameter as (..., S or 1, m or 1)."""
    if isinstance(value, xr.DataArray):
        value = _by_label(parameter, value, subjects, arms)
    array = np.asarray(value, dtype=np.float64)
    if parameter.per_arm:
        return array.reshape((1,) * max(0, 2 - array.ndim) + array.shape)
    return array.reshape(*array.shape, 1) if array.ndim else array.reshape(1, 1)


def _by_label(
    parameter: Parameter, value: xr.DataArray, subjects: Sequence[Any], arms: Sequence[Any]
) -> xr.DataArray:
    for dim, labels in (("subject", subjects), ("arm", arms)):
        if dim in value.indexes:
            absent = [label for label in labels if label not in value.indexes[dim]]
            if absent:
                raise ValueError(f"The parameter {parameter.name!r} has no value for {dim} {absent[0]!r}.")
            value = value.sel({dim: list(labels)})
    last = ("subject", "arm") if parameter.per_arm else ("subject",)
    value = value.expand_dims([dim for dim in last if dim not in value.dims])
    return value.transpose(..., *last)


def _checked(
    parameter: Parameter, array: FloatArray, shape: tuple[int, int], *, unfitted: bool
) -> FloatArray:
    wanted = shape if parameter.per_arm else (shape[0], 1)
    if any(found not in (1, size) for found, size in zip(array.shape[-2:], wanted, strict=True)):
        named = "(subjects, arms)" if parameter.per_arm else "(subjects,)"
        found = array.shape if parameter.per_arm else array.shape[:-1]
        raise ValueError(
            f"The parameter {parameter.name!r} must be a number or have the shape {named} = "
            f"{wanted if parameter.per_arm else wanted[:1]}; found {found}."
        )
    _check_range(parameter, array[~np.isnan(array).any(axis=-1)] if unfitted else array)
    return np.broadcast_to(array, (*array.shape[:-2], *wanted))


def _check_range(parameter: Parameter, array: FloatArray) -> None:
    low, high = {"logit": (0.0, 1.0), "log": (0.0, np.inf)}.get(parameter.link, (-np.inf, np.inf))
    bad = ~(np.isfinite(array) & (array >= low) & (array <= high))
    if bad.any():
        within = "finite" if parameter.link == "identity" else f"within [{low:g}, {high:g}]"
        raise ValueError(
            f"The parameter {parameter.name!r} ({parameter.kind}) must be {within}; found {array[bad][0]:g}."
        )
    if parameter.kind == "bias" and (array[..., 0] != 0).any():
        raise ValueError(
            f"The bias of the first arm is 0 by definition; found {array[..., 0][array[..., 0] != 0][0]:g}. "
            "Subtract it from the biases of all arms: only their differences matter."
        )
