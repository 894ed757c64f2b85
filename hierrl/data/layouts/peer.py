"""What readers of other packages' tables share: columns by that package's names, and notes on what was understood."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping

import pandas as pd
import xarray as xr

from hierrl.data.columns import check_column, normalised
from hierrl.data.table import Table, listed


def columns_of(table: Table, wanted: Mapping[str, tuple[str, ...]]) -> dict[str, Hashable]:
    """Role -> the first column that has one of its names, in any case and punctuation."""
    names = {normalised(name): name for name in reversed(list(table.frame.columns))}
    found = {}
    for role, known in wanted.items():
        name = next((names[normalised(one)] for one in known if normalised(one) in names), None)
        if name is not None:
            found[role] = check_column(table, name, role)
    return found


def need(table: Table, found: Mapping[str, Hashable], wanted: Mapping[str, str], *, package: str) -> None:
    """Refuse a table without the columns that a package's tables have."""
    for role, known in wanted.items():
        if role not in found:
            raise ValueError(
                f"{package}'s tables have a column {known}; this one has {listed(table.frame.columns)}. Rename the "
                "column, or read the table with hr.behaviour, which takes columns of any name."
            )


def noted(data: xr.Dataset, notes: Iterable[str]) -> xr.Dataset:
    """The data with further sentences on how they were understood, before the others."""
    return data.assign_attrs(notes=json.dumps([*notes, *json.loads(data.attrs["notes"])], ensure_ascii=False))


def plain_frame(table: Table) -> pd.DataFrame:
    """The table's frame with rows counted from 0."""
    return table.frame.reset_index(drop=True)
