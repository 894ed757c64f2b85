"""Groups of subjects and cells of populations, and the colours that they share."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.formulas.cells import EVERYBODY, levels_of, spelled
from hierrl.plots.style import INK, colour_of, marker_of

MOST_GROUPS = 12
"""More colours can't be told apart."""


@dataclass(frozen=True)
class Groups:
    """Levels of a covariate, who belongs to them, and how they look. Without a covariate all are one
    group."""

    covariate: str | None
    levels: tuple[str, ...]
    member: npt.NDArray[np.bool_]
    """(levels, S)"""

    @property
    def colours(self) -> dict[str, str]:
        """By level."""
        return colour_of(self.levels) if self.covariate else {EVERYBODY: INK}

    @property
    def markers(self) -> dict[str, str]:
        """By level."""
        return marker_of(self.levels)

    def of_cell(self, cell: str) -> str | None:
        """The level that a cell of a population belongs to, None if it is not of one level."""
        return levels_of(cell).get(self.covariate) if self.covariate else None


def groups_of(data: xr.Dataset, covariate: str | None) -> Groups:
    """Groups of the subjects of `data` by a covariate on dim ``subject``."""
    if covariate is None:
        return Groups(None, (EVERYBODY,), np.ones((1, data.sizes["subject"]), dtype=bool))
    known = [str(name) for name in data.data_vars if data[name].dims == ("subject",)]
    if covariate not in known:
        raise ValueError(
            f"group={covariate!r} is not a covariate of the subjects. "
            f"The data have {', '.join(known) or 'none'}; hr.behaviour(..., covariates=[...]) adds them."
        )
    labels = spelled(data[covariate].values)
    labels = np.where(np.isin(labels, ("", "nan")), "unknown", labels)
    levels = _in_order(data[covariate], labels)
    if len(levels) > MOST_GROUPS:
        raise ValueError(
            f"group={covariate!r} has {len(levels)} levels; colours for more than {MOST_GROUPS} can't be told apart. "
            "Make groups of them in the table first."
        )
    return Groups(covariate, tuple(levels), np.array([labels == level for level in levels]))


def _in_order(variable: xr.DataArray, labels: npt.NDArray[np.str_]) -> list[str]:
    """Levels in the order of the table's categories, of numbers, or of the alphabet."""
    known = [str(level) for level in json.loads(variable.attrs.get("levels", "[]"))]
    values = variable.values
    by_value = [
        str(labels[i]) for i in np.argsort(values if values.dtype.kind in "biuf" else labels, kind="stable")
    ]
    present = set(by_value)
    return [level for level in dict.fromkeys([*known, *by_value]) if level in present]
