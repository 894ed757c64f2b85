"""A column of choices as written: whole numbers or text, and where each stands."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from hierrl.data.table import MOMENTS, Table, listed, plain
from hierrl.data.values import is_missing_text

ODD = "\0"
"""Stands for a value that can't be a choice."""

WHOLE_TEXT = re.compile(r"[+-]?\d+(\.0*)?")
Label = int | str


@dataclass(frozen=True)
class Coded:
    """A column of choices: row i holds ``values[codes[i]]``; code -1 and value None are missed ones."""

    column: Hashable
    codes: npt.NDArray[np.int64]
    values: tuple[Label | None, ...]
    declared: bool
    """The column itself says which arms there are: it is categorical."""
    truth: bool
    """The column holds True and False."""

    @property
    def present(self) -> set[Label]:
        """The values that occur, but for missing ones."""
        used = np.unique(self.codes[self.codes >= 0])
        return {value for i in used if (value := self.values[i]) is not None}

    def indices(self, index: Mapping[Label | None, int]) -> npt.NDArray[np.int64]:
        """The index of the arm in every row, -1 where there is none."""
        by_code = [index.get(value, -1) for value in self.values]
        return np.array([*by_code, -1], dtype=np.int64)[self.codes]

    def rows(self, value: Label) -> npt.NDArray[np.int64]:
        """Rows that hold a value."""
        return np.flatnonzero(
            np.isin(self.codes, [i for i, other in enumerate(self.values) if other == value])
        )


def read_codes(table: Table, column: Hashable) -> Coded:
    """Distinct entries of a column of choices as whole numbers or text."""
    series = table.column(column)
    declared = isinstance(series.dtype, pd.CategoricalDtype)
    if declared:
        codes, uniques = series.cat.codes.to_numpy().astype(np.int64), list(series.cat.categories)
    else:
        codes, uniques = table.factorized(column)
    values = [label_of(value) for value in uniques]
    bad = [i for i, value in enumerate(values) if value is ODD]
    if bad:
        rows = np.flatnonzero(np.isin(codes, bad))
        raise ValueError(
            f"A choice must be a whole number or a label: column {column!r} holds "
            f"{listed(uniques[i] for i in bad)} at "
            f"{table.rows(rows) if rows.size else 'no row (as a category)'}. Is this the right "
            f"column?{table.way_out('choice')}"
        )
    truth = len(uniques) > 0 and all(isinstance(value, bool | np.bool_) for value in uniques)
    return Coded(column, codes, tuple(values), declared, truth)


def label_of(value: object) -> Label | None:
    """A choice as a whole number or text, None if it is missing, `ODD` if it can't be a choice."""
    if is_missing_text(value):
        return None
    if isinstance(value, MOMENTS):
        return ODD
    value = plain(value.decode(errors="replace") if isinstance(value, bytes) else value)
    if isinstance(value, bool | int):
        return int(value)
    if isinstance(value, str):
        text = value.strip()
        return int(float(text)) if WHOLE_TEXT.fullmatch(text) else text
    return ODD
