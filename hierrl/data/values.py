"""Columns as numbers, labels or flags; what can't be one is named with its row."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import numpy.typing as npt
import pandas as pd

from hierrl.data.table import MOMENTS, NOUN, Table, listed, plain

# Text that means "nothing here": readers of csv files know it, columns of a DataFrame may still hold it.
MISSING_TEXT = frozenset({"", "na", "nan", "n/a", "<na>", "null", "none", "nat"})
TRUE_TEXT = frozenset({"true", "t", "yes", "y", "1", "1.0"})
FALSE_TEXT = frozenset({"false", "f", "no", "n", "0", "0.0"})

LARGEST_WHOLE = 2.0**53
"""Above this, floats skip integers."""


def is_missing_text(value: object) -> bool:
    """Whether a value is text that stands for a missing one."""
    return isinstance(value, str) and value.strip().casefold() in MISSING_TEXT


def numbers(table: Table, column: Hashable, role: str) -> npt.NDArray[np.float64]:
    """A column as float64, NaN where nothing is given; text that is a number counts as one."""
    series = table.column(column)
    kind = series.dtype.kind
    if kind in "mMc":  # moments and complex numbers
        raise _not_numbers(table, column, role, rows=np.arange(len(series)))
    values = _floats(series) if kind in "biuf" else _numbers_from_text(table, column, role)
    if np.isinf(values).any():
        where = np.isinf(values)
        raise ValueError(
            f"The {NOUN[role]} is infinite: column {column!r} holds {values[where][0]} at "
            f"{table.rows(where)}. Write a finite number, or leave it empty if it is "
            f"unknown.{table.way_out(role)}"
        )
    return values


def _floats(series: pd.Series) -> npt.NDArray[np.float64]:
    return series.to_numpy(dtype=np.float64, na_value=np.nan)


def _numbers_from_text(table: Table, column: Hashable, role: str) -> npt.NDArray[np.float64]:
    codes, uniques = table.factorized(column)
    values = np.array([_number(value) for value in uniques], dtype=object)
    bad = np.array([value is None for value in values], dtype=bool)
    if bad.any():
        raise _not_numbers(table, column, role, rows=np.flatnonzero((codes >= 0) & bad[codes]))
    return np.append(values.astype(np.float64), np.nan)[codes]  # code -1 = missing = the last


def _number(value: object) -> float | None:
    if is_missing_text(value):
        return np.nan
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, MOMENTS) or isinstance(value, str) and "_" in value:  # float("1_0") is 10
        return None
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None


def _not_numbers(table: Table, column: Hashable, role: str, *, rows: npt.NDArray) -> ValueError:
    series = table.column(column)
    found = listed(dict.fromkeys(series.iloc[rows]))
    comma = all(
        isinstance(v, str) and _number(v.replace(",", ".", 1)) is not None for v in series.iloc[rows][:100]
    )
    if comma:
        advice = "Are these decimal commas? Pass pandas.read_csv(path, decimal=',')."
    elif role == "trial":
        advice = "Number the trials 1, 2, 3, ...; or pass trial=False if rows are in the order of the trials."
    else:
        recoded = f"table[{column!r}].map({{'win': 1, 'lose': 0}})"
        advice = f"Turn it into numbers first, for instance {recoded}; leave it empty where it is unknown."
    return ValueError(
        f"The {NOUN[role]} must be numbers: column {column!r} holds {found} at {table.rows(rows)}. "
        f"{advice}{table.way_out(role)}"
    )


def labels(table: Table, column: Hashable, role: str) -> tuple[npt.NDArray[np.int64], npt.NDArray]:
    """A complete column of labels as codes into distinct ones, in order of appearance.

    Labels are int64 if all are whole numbers, text otherwise.
    """
    codes, uniques = label_codes(table, column)
    missing = codes < 0
    if missing.any():
        extra = " (Text such as 'NA' or 'None' counts as missing.)" if role == "subject" else ""
        raise ValueError(
            f"The {NOUN[role]} is missing: column {column!r} is empty at {table.rows(missing)}. Every row "
            f"needs one: fill it in, or drop these rows knowingly.{extra}{table.way_out(role)}"
        )
    _note_alike(table, role, uniques)
    return codes, uniques


def label_codes(table: Table, column: Hashable) -> tuple[npt.NDArray[np.int64], npt.NDArray]:
    """Codes into distinct labels (int64 or text, in order of appearance); -1 where missing."""
    codes, values = table.factorized(column)
    texts = [None if is_missing_text(value) else _text(value) for value in values]
    kept = list(dict.fromkeys(text for text in texts if text is not None))
    position = {text: i for i, text in enumerate(kept)} | {None: -1}
    recoded = np.array([position[text] for text in texts] + [-1], dtype=np.int64)[codes]
    whole = all(_is_whole(value) for value, text in zip(values, texts, strict=True) if text is not None)
    if whole and kept:
        return recoded, np.array([int(text) for text in kept], dtype=np.int64)
    return recoded, np.array(kept, dtype=str)


def _is_whole(value: object) -> bool:
    if isinstance(value, bool | np.bool_):
        return False
    if isinstance(value, int | np.integer):
        return -(2**63) <= int(value) < 2**63
    return (
        isinstance(value, float | np.floating)
        and float(value).is_integer()
        and bool(abs(value) < LARGEST_WHOLE)
    )


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace").strip()
    if isinstance(value, float | np.floating) and float(value).is_integer() and abs(value) < LARGEST_WHOLE:
        return str(int(value))
    return str(plain(value)).strip()


def _note_alike(table: Table, role: str, uniques: npt.NDArray) -> None:
    """Labels that differ only in case are one in two spellings, most likely."""
    if uniques.dtype.kind != "U":
        return
    folded: dict[str, str] = {}
    for label in uniques.tolist():
        other = folded.setdefault(label.casefold(), label)
        if other != label:
            column = table.roles[role]
            table.note(
                f"The {NOUN[role]} column {column!r} holds both {other!r} and {label!r}; they are kept apart."
            )


def flags(table: Table, column: Hashable, role: str) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """A column of yes and no as (flag, missing); True/False, 1/0 and yes/no are understood."""
    codes, uniques = table.factorized(column)
    meanings = [flag_of(value) for value in uniques]
    bad = [value for value, meaning in zip(uniques, meanings, strict=True) if meaning is None]
    if bad:
        rows = np.isin(codes, np.flatnonzero([meaning is None for meaning in meanings]))
        raise ValueError(
            f"The {NOUN[role]} must be true or false: column {column!r} holds {listed(bad)} at "
            f"{table.rows(rows)}. Write True/False or 1/0.{table.way_out(role)}"
        )
    values = np.array([*meanings, np.nan], dtype=float)[codes]
    return values == 1, np.isnan(values)


def flag_of(value: object) -> float | None:
    """1.0 for yes, 0.0 for no, NaN for missing, None for what is neither."""
    if is_missing_text(value):
        return np.nan
    text = str(plain(value)).strip().casefold()
    return 1.0 if text in TRUE_TEXT else 0.0 if text in FALSE_TEXT else None
