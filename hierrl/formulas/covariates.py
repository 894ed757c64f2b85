"""Covariates of the subjects as columns that a formula can use, and what stands against using one."""

from __future__ import annotations

import json
from collections.abc import Iterable

import numpy as np
import pandas as pd
import xarray as xr

from hierrl.data.table import listed, nearest

# Variables by trial that every behaviour has or may have: they aren't covariates.
BEHAVIOUR = ("choice", "reward", "scored", "gain", "loss", "forgone", "available", "context")


def subject_frame(data: xr.Dataset, names: Iterable[str]) -> pd.DataFrame:
    """The covariates `names`, one row per subject; text and flags as categories, numbers as they are."""
    return pd.DataFrame({name: _column(data, name) for name in names}, index=data["subject"].values)


def _column(data: xr.Dataset, name: str) -> pd.Series | pd.Categorical:
    _check_known(data, name)
    values = data[name].values
    text = values.dtype.kind in "UO"
    missing = values == "" if text else pd.isna(values)
    _check_complete(data, name, missing)
    if text or values.dtype.kind == "b":
        column = pd.Categorical(values.astype(str), categories=_levels(data[name]), ordered=True)
        distinct = list(column.categories)
    else:
        column = pd.Series(values.astype(np.float64), index=data["subject"].values)
        distinct = list(np.unique(values))
    if len(distinct) == 1:
        raise ValueError(
            f"The covariate {name!r} is {distinct[0]!r} for every subject: it can't explain differences "
            "between them. Leave it out of the formula."
        )
    return column


def _levels(values: xr.DataArray) -> list[str]:
    """Categories that occur, in the order that was given, else sorted; the first is the reference."""
    found = {str(value) for value in values.values}
    given = [level for level in json.loads(values.attrs.get("levels", "[]")) if level in found]
    return [*given, *sorted(found - set(given))]


def _check_known(data: xr.Dataset, name: str) -> None:
    known = [str(key) for key in data.data_vars if data[key].dims == ("subject",)]
    if name in known:
        return
    exist = f"Covariates by subject: {listed(known)}." if known else "There are no covariates by subject."
    if name in data and name not in BEHAVIOUR and "trial" in data[name].dims:
        level = data[name].attrs.get("level", "trial")
        raise ValueError(
            f"The formula uses the covariate {name!r}, which varies by {level}. So far, formulas describe "
            "differences between subjects: use a covariate that is constant within subject, or fit each "
            f"condition apart. {exist}"
        )
    raise ValueError(
        f"The formula uses {name!r}, which isn't a covariate of the subjects.{nearest(name, known)} {exist} "
        "Columns become covariates with hr.behaviour(..., covariates=[...])."
    )


def _check_complete(data: xr.Dataset, name: str, missing: np.ndarray) -> None:
    if missing.any():
        subjects = data["subject"].values[missing]
        raise ValueError(
            f"The covariate {name!r} is missing for {subjects.size} of {missing.size} subjects: "
            f"{listed(subjects)}. Fill it in, leave these subjects out of the table, or leave the covariate "
            "out of the formula."
        )
