"""Open what the researcher has: a DataFrame, or a csv, tsv or parquet file, also compressed with gzip."""

from __future__ import annotations

import csv
import gzip
import io
import os
import re
import zlib
from collections import Counter
from pathlib import Path

import pandas as pd
import xarray as xr

from hierrl.data.columns import LABEL_NAMES, normalised
from hierrl.data.table import Table, nearest

TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".dat")
PARQUET_SUFFIXES = (".parquet", ".pq")
SHEET = "In the spreadsheet program, save the sheet as csv (File, Save as)."
SAVE_AS: dict[str, str] = dict.fromkeys((".xlsx", ".xls", ".xlsm", ".ods", ".numbers"), SHEET)
"""How to get a csv file out of what can't be read."""
SEPARATORS = (",", ";", "\t", "|")

# A whole number as a label: no leading zeros (subject "007" is not subject "7") and short enough for int64.
WHOLE = re.compile(r"^(0|-?[1-9]\d{0,17})(\.0+)?$")
# Fields in the head of a file that only make sense with a decimal comma.
DECIMAL_COMMA = re.compile(r'(?:^|[;\t|])\s*"?-?\d+,\d+"?\s*(?=[;\t|]|$)', re.MULTILINE)
MOST_COLUMNS = 10_000
"""What has more is no table with one row per trial (and pandas takes minutes over names that repeat)."""
HEAD = 20_000
"""Characters of a file that are looked at to see how it is written."""


def read_table(table: object, labels: tuple[object, ...] = ()) -> Table:
    """The table behind what was handed in.

    Columns named in `labels`, and those that look like subjects or sessions, are read from text files as
    written ("007" stays "007").
    """
    if isinstance(table, str | os.PathLike):
        result = _read_file(Path(table), labels)
    elif isinstance(table, pd.DataFrame):
        result = _from_frame(table)
    elif isinstance(table, xr.Dataset | xr.DataTree):
        raise TypeError(
            "This is behaviour already, or another xarray object: behaviour() takes a table. To change how "
            "a table is read, start again from the table, or from hr.to_table(data)."
        )
    elif (converted := getattr(table, "to_pandas", None)) is not None:  # polars, pyarrow
        result = _from_frame(converted())
    else:
        raise TypeError(
            "The table must be a DataFrame or the path of a csv, tsv or parquet file; found "
            f"{type(table).__name__}. Make a DataFrame of it first: pandas.DataFrame(...)."
        )
    if len(result) == 0:
        raise ValueError(
            "The table has no rows: nothing was read below its header. Check the file or the selection."
        )
    return result


def _from_frame(frame: pd.DataFrame) -> Table:
    if frame.columns.nlevels > 1:
        raise ValueError(
            "The table has column names on several levels. Flatten them first, for instance with "
            "table.columns = ['_'.join(map(str, names)) for names in table.columns]."
        )
    named = [name for name in frame.index.names if name is not None and name not in frame.columns]
    duplicated = frozenset(frame.columns[frame.columns.duplicated()])
    table = Table(frame.reset_index(level=named) if named else frame, duplicated=duplicated)
    if named:
        table.note(f"The index of the table was used as column: {', '.join(map(str, named))}.")
    return table


def _read_file(path: Path, labels: tuple[object, ...]) -> Table:
    content = _content(path)
    suffixes = [suffix.casefold() for suffix in path.suffixes if suffix.casefold() != ".gz"]
    suffix = suffixes[-1] if suffixes else ""
    if suffix in PARQUET_SUFFIXES:
        return _from_frame(_parquet(content, path))
    if suffix in TEXT_SUFFIXES:
        return _read_text(content, path, labels)
    how = SAVE_AS.get(suffix, "Save the table as csv.")
    raise ValueError(
        f"The file {path.name!r} is of no known kind: csv, tsv, txt and parquet are read (also .gz). {how}"
    )


def _content(path: Path) -> bytes:
    if path.is_dir():
        raise ValueError(f"{str(path)!r} is a folder. Give the path of one csv, tsv or parquet file.")
    if not path.exists():
        folder = path.parent
        near = (
            nearest(path.name, (p.name for p in folder.iterdir()))
            if folder.is_dir()
            else " The folder isn't there."
        )
        raise FileNotFoundError(f"There is no file {str(path)!r}.{near} Check the path.")
    content = path.read_bytes()
    try:
        # By its first bytes, not its name: files get renamed.
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(
            f"The file {path.name!r} can't be unpacked ({error}). Copy or download it again."
        ) from error


def _parquet(content: bytes, path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(io.BytesIO(content))
    except (OSError, ValueError) as error:  # pyarrow's errors are among these
        raise ValueError(f"The file {path.name!r} can't be read as parquet: {error}") from error


def _read_text(content: bytes, path: Path, labels: tuple[object, ...]) -> Table:
    notes: list[str] = []
    text = _decoded(content, path, notes)
    if not text.strip():
        raise ValueError(f"The file {path.name!r} is empty.")
    separator = _separator(text)
    header = _fields(_first_line(text), separator)
    if len(header) > MOST_COLUMNS:
        raise ValueError(
            f"The first line of the file {path.name!r} has {len(header):,} fields, more than {MOST_COLUMNS:,} columns. "
            "Are line ends missing, or is every trial a column? Write one row per trial."
        )
    comma = separator != "," and DECIMAL_COMMA.search(text[:HEAD]) is not None
    if comma:
        notes.append("Numbers in the file are written with a decimal comma.")
    frame = _parsed(text, path, {
        "sep": r"\s+" if separator == " " else separator,
        "decimal": "," if comma else ".",
        "dtype": {name: str for name in header if name.strip() in labels or normalised(name) in LABEL_NAMES},
    })  # fmt: skip
    frame, extra = _without_row_names(frame)
    names = [name.strip() for name in header]
    duplicated = frozenset(name for name, n in Counter(names).items() if name and n > 1)
    blank = len(text) - len(text.lstrip("\r\n"))
    first_line = text[:blank].count("\n") + 2
    whole = _with_whole_labels(frame)
    return Table(whole, first_line=first_line, duplicated=duplicated, notes=notes + extra)


def _decoded(content: bytes, path: Path, notes: list[str]) -> str:
    if content[:4] == b"PK\x03\x04":
        raise ValueError(
            f"The file {path.name!r} is a zip archive or an Excel workbook. Save the table as csv."
        )
    utf16 = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    if b"\0" in content[:HEAD] and not utf16:
        raise ValueError(f"The file {path.name!r} is not text. Save the table as csv in UTF-8.")
    try:
        return content.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError:
        notes.append(
            "The file is not written in UTF-8; it was read as Windows-1252 (Western European): check names "
            "with accents."
        )
        return content.decode("cp1252", errors="replace")


def _first_line(text: str) -> str:
    return text.lstrip("\r\n").splitlines()[0]


def _separator(text: str) -> str:
    header = _first_line(text)
    n_fields = {separator: len(_fields(header, separator)) for separator in SEPARATORS}
    best = max(n_fields, key=lambda separator: n_fields[separator])
    return " " if n_fields[best] == 1 and len(header.split()) > 1 else best


def _fields(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:  # a line of 100,000 characters and more: not a header
        return [line]


def _parsed(text: str, path: Path, how: dict) -> pd.DataFrame:
    try:
        frame = pd.read_csv(io.StringIO(text), low_memory=False, **how)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
        reason = str(error).strip().removeprefix("Error tokenizing data. C error: ")
        raise ValueError(
            f"The file {path.name!r} can't be read as a table: {reason}. Every line needs as many fields as "
            "the header; look at that line for a stray separator or quote."
        ) from error
    return frame.rename(columns={name: name.strip() for name in frame.columns if isinstance(name, str)})


def _without_row_names(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Undo what pandas does when lines have one field more than the header: it takes the first for row names.

    That is right for R's ``write.table``, and shifts every column by one if lines end with a separator.
    """
    if frame.index.equals(pd.RangeIndex(len(frame))):
        return frame, []
    if frame.index.nlevels == 1 and not frame.iloc[:, -1].isna().all():
        return frame.reset_index(drop=True), [
            "The first field of each line has no name in the header; it was left out."
        ]
    raise ValueError(
        "The lines of the file have more fields than its header (perhaps a separator at the end of each "
        "line), so it is unclear which column is which. Give every column a name, or remove the extra "
        "separators."
    )


def _with_whole_labels(frame: pd.DataFrame) -> pd.DataFrame:
    """Labels that were read as text, and are all whole numbers, as integers."""
    whole = {name: _integers(column) for name, column in frame.items() if normalised(name) in LABEL_NAMES}
    return frame.assign(**{str(name): values for name, values in whole.items() if values is not None})


def _integers(column: pd.Series) -> pd.Series | None:
    if not pd.api.types.is_string_dtype(column.dtype):
        return None
    codes, labels = pd.factorize(column)
    if any(WHOLE.match(label.strip()) is None for label in labels):
        return None
    numbers = pd.array([int(float(label)) if "." in label else int(label) for label in labels], dtype="Int64")
    return pd.Series(numbers.take(codes, allow_fill=True), index=column.index)
