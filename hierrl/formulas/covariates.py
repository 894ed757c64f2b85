"""Covariates of subjects and sessions as columns that a formula can use, and what stands against using one."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from hierrl.data.table import listed, nearest
from hierrl.kernels.trials import session_rows

# Variables by trial that every behaviour has or may have: they aren't covariates.
BEHAVIOUR = ("choice", "reward", "scored", "gain", "loss", "forgone", "available", "context")


@dataclass(frozen=True)
class Covariates:
    """Covariates in R rows: one for each subject, or one for each session if one of them varies by session."""

    frame: pd.DataFrame
    """(R, names): text and flags as categories, numbers as they are."""
    owner: npt.NDArray[np.int64]
    """(R,) subject of each row."""
    by_session: frozenset[str]
    """Names of those that vary within subjects."""

    @property
    def first(self) -> npt.NDArray[np.int64]:
        """(S,) first row of each subject."""
        return np.flatnonzero(np.append(True, self.owner[1:] != self.owner[:-1]))


def covariate_rows(data: xr.Dataset, names: Iterable[str]) -> Covariates:
    """The covariates `names` of a behaviour."""
    names = list(names)
    for name in names:
        _check_known(data, name)
    by_session = frozenset(name for name in names if data[name].dims == ("trial",))
    if by_session:
        first, owner = session_rows(data)
    else:
        first, owner = np.zeros(0, dtype=np.int64), np.arange(data.sizes["subject"])
    columns = {name: _column(data, name, first if name in by_session else owner) for name in names}
    return Covariates(pd.DataFrame(columns, index=np.arange(owner.size)), owner, by_session)


def _column(data: xr.Dataset, name: str, rows: npt.NDArray[np.int64]) -> pd.Series | pd.Categorical:
    values = data[name].values
    text = values.dtype.kind in "UO"
    missing = values == "" if text else pd.isna(values)
    _check_complete(data, name, missing)
    if text or values.dtype.kind == "b":
        levels = _levels(data[name])
        column = pd.Categorical(values[rows].astype(str), categories=levels, ordered=True)
        distinct = list(column.categories)
    else:
        column = pd.Series(values[rows].astype(np.float64))
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
    levels = {str(key): _level(data[key]) for key in data.data_vars if key not in BEHAVIOUR}
    known = [key for key, level in levels.items() if level in ("subject", "session")]
    if name in known:
        return
    exist = (
        f"Covariates by subject or session: {listed(known)}."
        if known
        else "There are no covariates by subject or session."
    )
    if levels.get(name) == "trial":
        raise ValueError(
            f"The formula uses the covariate {name!r}, which varies by trial. Formulas describe differences "
            "between subjects and between sessions; what varies by trial belongs into the model: "
            f"hr.Regressor({name!r}), or a channel with context={name!r}. {exist}"
        )
    raise ValueError(
        f"The formula uses {name!r}, which isn't a covariate of subjects or sessions.{nearest(name, known)} "
        f"{exist} Columns become covariates with hr.behaviour(..., covariates=[...])."
    )


def _level(values: xr.DataArray) -> str:
    if values.dims == ("subject",):
        return "subject"
    return str(values.attrs.get("level", "trial")) if values.dims == ("trial",) else "trial"


def _check_complete(data: xr.Dataset, name: str, missing: np.ndarray) -> None:
    if not missing.any():
        return
    everybody = data["subject"].values
    by_subject = missing.size == everybody.size and data[name].dims == ("subject",)
    subjects = everybody[missing] if by_subject else np.unique(data["trial_subject"].values[missing])
    raise ValueError(
        f"The covariate {name!r} is missing for {subjects.size} of {everybody.size} subjects"
        f"{'' if by_subject else ' (in some session)'}: {listed(subjects)}. Fill it in, leave these subjects out "
        "of the table, or leave the covariate out of the formula."
    )
