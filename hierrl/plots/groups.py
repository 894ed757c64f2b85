"""Groups of subjects and cells of populations, and the colours that they share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.formulas.cells import EVERYBODY, levels_of
from hierrl.formulas.membership import membership
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
    levels, member = membership(data, covariate)
    if len(levels) > MOST_GROUPS:
        raise ValueError(
            f"group={covariate!r} has {len(levels)} levels; colours for more than {MOST_GROUPS} can't be told apart. "
            "Make groups of them in the table first."
        )
    return Groups(covariate, levels, member)
