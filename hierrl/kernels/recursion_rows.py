"""Behaviour as the arrays that a recursion's loops read, one row per trial."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.kernels.trials import column_of, row_structure
from hierrl.models.recursion import Recursion
from hierrl.models.recursion.declared import OUTCOMES

FloatArray = npt.NDArray[np.float64]

UPDATES = {"outcomes": 0, "choices": 1, "trials": 2}


class RowsOfTrials(NamedTuple):
    """n rows, contiguous by subject; as `hierrl.kernels.trials.Trials`, for recursions."""

    offset: npt.NDArray[np.int64]
    """(S + 1,): subject s has rows ``offset[s]:offset[s + 1]``."""
    choice: npt.NDArray[np.int64]
    """(n,): arm index, -1 = missed."""
    reset: npt.NDArray[np.bool_]
    """(n,): the first row of a session."""
    scored: npt.NDArray[np.bool_]
    """(n,): the choice enters the likelihood."""
    learns: npt.NDArray[np.bool_]
    """(n,): the state is updated."""
    available: npt.NDArray[np.bool_]
    """(m, n or 0): arms that could be chosen."""
    inputs: npt.NDArray[np.float64]
    """(R, n): what else the functions read, outcomes on the scaled signal."""
    context: npt.NDArray[np.int64]
    """(n or 0,): which state the trial is about, where there are several."""


def build_rows(model: Recursion, data: xr.Dataset, *, reward_scale: float) -> RowsOfTrials:
    """Contiguous arrays for `model` from a behaviour Dataset."""
    choice = np.ascontiguousarray(data["choice"].values, dtype=np.int64)
    offset, reset = row_structure(data)
    scored = np.ascontiguousarray(data["scored"].values.astype(bool) & (choice >= 0))
    known = choice >= 0
    columns = {}
    for name, by_arm in model.inputs.items():
        if name not in ("choice", "chosen", "known", "available", "since"):
            columns[name] = _column(model, data, name, by_arm)
    for name in OUTCOMES:
        if name in columns:
            values = columns[name] / reward_scale
            if name == "forgone":
                values[known, choice[known]] = 0.0
            known &= np.isfinite(values).reshape(choice.size, -1).all(axis=1)
            columns[name] = values
    for name in OUTCOMES:
        if name in columns:
            columns[name] = np.where(known if columns[name].ndim == 1 else known[:, None], columns[name], 0.0)
    columns["known"] = known.astype(np.float64)
    learns = (known, choice >= 0, np.ones(choice.size, dtype=bool))[UPDATES[model.updates]]
    context = _context(model, data)
    if model.context:
        columns["since"] = _since(context, learns, reset)
    rows = [
        columns[name] if arm < 0 else columns[name][:, arm]
        for _, name, arm in model.unrolled(data.sizes["arm"]).inputs
    ]
    return RowsOfTrials(
        offset=offset,
        choice=choice,
        reset=reset,
        scored=scored,
        learns=np.ascontiguousarray(learns),
        available=shown_arms(data),
        inputs=np.ascontiguousarray(rows),
        context=context,
    )


def _context(model: Recursion, data: xr.Dataset) -> npt.NDArray[np.int64]:
    if model.context is None:
        return np.zeros(0, dtype=np.int64)
    column = column_of(data, model.context, f"The recursion {model.name!r}, with context={model.context!r},")
    return np.unique(column.values, return_inverse=True)[1].astype(np.int64)


def _since(
    context: npt.NDArray[np.int64], learns: npt.NDArray[np.bool_], reset: npt.NDArray[np.bool_]
) -> FloatArray:
    """(n,) trials since the state of the trial's context was last updated in the session, 0 if it never was."""
    last, since = np.full(context.max(initial=0) + 1, -1), np.zeros(context.size)
    for t, (c, learning, starts) in enumerate(zip(context, learns, reset, strict=True)):
        if starts:
            last[:] = -1
        since[t] = t - last[c] if last[c] >= 0 else 0
        if learning:
            last[c] = t
    return since


def shown_arms(data: xr.Dataset) -> npt.NDArray[np.bool_]:
    """(m, n), or (m, 0) where all arms are always shown."""
    if "available" not in data:
        return np.zeros((data.sizes["arm"], 0), dtype=bool)
    return np.ascontiguousarray(data["available"].transpose("arm", "trial").values.astype(bool))


def _column(model: Recursion, data: xr.Dataset, name: str, by_arm: bool) -> FloatArray:
    """(n,) or (n, m), finite unless it is an outcome."""
    column = column_of(data, name, f"The recursion {model.name!r}")
    if ("arm" in column.dims) != by_arm:
        wanted = f"({name!r}, 'arm')" if "arm" in column.dims else repr(name)
        raise ValueError(
            f"The column {name!r} has the dims {column.dims} in these data; name it in columns= as {wanted}."
        )
    try:
        values = column.transpose("trial", ...).values.astype(np.float64)
    except ValueError:
        raise ValueError(
            f"The recursion {model.name!r} reads the column {name!r}, which has to hold numbers; found "
            f"{column.values.ravel()[0]!r}. Code its values as numbers."
        ) from None
    if name not in OUTCOMES and not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))[0])
        raise ValueError(
            f"The column {name!r} is missing or infinite at row {row} (subject {data['trial_subject'].values[row]}). "
            f"The recursion {model.name!r} reads it on every trial; fill it."
        )
    return values
