"""Cells of a population: what their labels say, and who belongs to them."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.formulas.design import EVERYBODY

BETWEEN_PARTS = re.compile(r", (?=[^=,]+=)")
"""A level may hold a comma itself; a further part has a name and a sign of equality."""


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
    """(cells, S): which subjects of the behaviour belong to which cell; all of them to everybody's."""
    belongs = np.ones((len(cells), data.sizes["subject"]), dtype=bool)
    for row, cell in enumerate(cells):
        for name, level in levels_of(cell).items():
            belongs[row] &= spelled(data[name].values) == level
    return belongs
