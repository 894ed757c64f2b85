"""Columns of a table that nothing was read from, and which of them divide the subjects into groups."""

from __future__ import annotations

from collections.abc import Collection, Hashable

import pandas as pd

from hierrl.data.table import Table

MOST_GROUPS = 6
"""A text with more values than that is a name or a comment rather than a group."""


def other_columns(table: Table, taken: Collection[Hashable]) -> dict[str, list[str]]:
    """Column -> its groups: the values of a text that each subject has one of, several subjects each; else none."""
    names = [name for name in table.frame.columns if name not in taken and name not in table.duplicated]
    return {str(name): _groups(table, name) for name in names}


def _groups(table: Table, name: Hashable) -> list[str]:
    column = table.column(name)
    if "subject" not in table.roles or column.isna().any() or not _is_text(column):
        return []
    pairs = pd.DataFrame({"subject": table.column(table.roles["subject"]), "group": column}).drop_duplicates()
    sizes = pairs["group"].value_counts()
    divides = pairs["subject"].is_unique and 1 < len(sizes) <= MOST_GROUPS and sizes.min() > 1
    return sorted(map(str, sizes.index)) if divides else []


def _is_text(column: pd.Series) -> bool:
    kind = pd.api.types
    if isinstance(column.dtype, pd.CategoricalDtype) or kind.is_bool_dtype(column):
        return True
    # the cells of an object column may be anything, lists too
    return kind.is_string_dtype(column) and all(isinstance(value, str) for value in column.iloc[:100])
