"""Cells of a population: combinations of categorical covariates, what their labels say, who belongs to them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

EVERYBODY = "all"
"""The one cell of a population without categorical covariates."""

BETWEEN_PARTS = re.compile(r", (?=[^=,]+=)")
"""A level may hold a comma itself; a further part has a name and a sign of equality."""


def cells_of(frame: pd.DataFrame, factors: Iterable[str]) -> tuple[tuple[str, ...], pd.DataFrame]:
    """Labels of the cells, and covariates of an average subject in each."""
    levels = {name: levels_in(pd.Series(frame[name])) for name in factors}
    rows = list(product(*levels.values()))
    labels = [", ".join(f"{name}={value}" for name, value in zip(levels, row, strict=True)) for row in rows]
    columns: dict[str, Any] = {"": np.zeros(len(rows))}
    for name in frame:
        if name not in levels:
            columns[name] = np.full(len(rows), frame[name].mean())
            continue
        values = [row[list(levels).index(name)] for row in rows]
        is_text = isinstance(frame[name].dtype, pd.CategoricalDtype)
        columns[name] = pd.Categorical(values, levels[name], ordered=True) if is_text else np.array(values)
    return tuple(labels) if levels else (EVERYBODY,), pd.DataFrame(columns)


def levels_in(column: pd.Series) -> list[Any]:
    """Levels of a categorical covariate in order."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return list(column.cat.categories)
    return [float(value) if value % 1 else int(value) for value in np.unique(column)]


def levels_of(cell: str) -> dict[str, str]:
    """Levels of the covariates that make a cell such as ``"age_group=old, sex=male"``; none for everybody.

    Examples
    --------
    >>> levels_of("age_group=old, sex=male")
    {'age_group': 'old', 'sex': 'male'}
    """
    if cell == EVERYBODY:
        return {}
    return {name: level for name, _, level in (part.partition("=") for part in BETWEEN_PARTS.split(cell))}


def spelled(values: npt.ArrayLike) -> npt.NDArray[np.str_]:
    """Values of a categorical covariate as the labels of cells spell them."""
    values = np.asarray(values)
    if values.dtype.kind != "f":
        return values.astype(str)
    return np.array([f"{int(v)}" if float(v).is_integer() else f"{v}" for v in values], dtype=str)


def members(cells: Sequence[str], data: xr.Dataset) -> npt.NDArray[np.bool_]:
    """(cells, S): which subjects of the behaviour belong to which cell; all of them to everybody's.

    A covariate that varies by session is no property of subjects: it excludes nobody.
    """
    belongs = np.ones((len(cells), data.sizes["subject"]), dtype=bool)
    for row, cell in enumerate(cells):
        for name, level in levels_of(cell).items():
            if data[name].dims == ("subject",):
                belongs[row] &= spelled(data[name].values) == level
    return belongs
