"""A table while it is read: what its columns stand for, what its rows are called, what was noted."""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, time, timedelta
from typing import cast

import numpy as np
import numpy.typing as npt
import pandas as pd

SHOWN = 12
"""How many names or values a message lists before it says how many more there are."""

LONGEST = 60
"""Characters of a name or value in a message."""

MOMENTS = (date, time, timedelta, np.datetime64, np.timedelta64)
"""Types of dates and durations; pandas' own are among them."""

# What the roles are called in messages.
NOUN = {
    "subject": "subject",
    "session": "session",
    "trial": "trial number",
    "choice": "choice",
    "reward": "reward",
    "gain": "gain",
    "loss": "loss",
    "forgone": "forgone reward",
    "available": "mark of available arms",
    "context": "context",
    "forced": "mark of forced choices",
    "pair": "pair of arms shown",
    "rt": "response time",
    "deadline": "deadline",
    "start": "start value",
}


@dataclass(frozen=True)
class Table:
    """A frame on its way to behaviour; ``notes`` collects sentences on what was interpreted."""

    frame: pd.DataFrame
    first_line: int | None = None
    """Line of the file that holds row 0; None if the rows don't come from lines."""
    duplicated: frozenset[Hashable] = frozenset()
    """Column names that occur more than once."""
    notes: list[str] = field(default_factory=list)
    roles: Mapping[str, Hashable] = field(default_factory=dict)
    """Role -> its one column."""
    found: frozenset[str] = frozenset()
    """Roles whose column was found by its name rather than given."""

    def __len__(self) -> int:
        return len(self.frame)

    def with_roles(self, roles: Mapping[str, Hashable], found: Iterable[str]) -> Table:
        """The same table (and the same notes) once it is known what its columns stand for."""
        return replace(self, roles=dict(roles), found=frozenset(found))

    def column(self, name: Hashable) -> pd.Series:
        """One column by name, as it stands in the table."""
        return cast(pd.Series, self.frame[name])

    def factorized(self, name: Hashable) -> tuple[npt.NDArray[np.int64], list]:
        """A column as codes (-1 = missing) into its distinct values, in order of appearance."""
        series = self.column(name)
        try:
            codes, values = pd.factorize(series)
        except TypeError as error:  # what can't be hashed
            odd = np.array([isinstance(value, list | dict | set | np.ndarray) for value in series])
            where = f" at {self.rows(odd)}" if odd.any() and name not in self.roles.values() else ""
            raise ValueError(
                f"Column {name!r} holds whole lists or the like in its cells{where}. Each cell must be one "
                "number or text; was the table made from nested data?"
            ) from error
        return codes, list(values)

    def note(self, sentence: str) -> None:
        """Add a sentence for the researcher on how the table was understood."""
        self.notes.append(sentence)

    def row(self, index: int) -> str:
        """What one row is called: subject, trial, and where to find it."""
        place = self.place(index)
        roles = (role for role in ("subject", "session", "trial") if role in self.roles)
        values = ((role, self.column(self.roles[role]).iloc[index]) for role in roles)
        named = [
            f"{role} {shortened(repr(plain(value)))}" for role, value in values if not _is_missing(value)
        ]
        return f"{', '.join(named)} ({place})" if named else place

    def place(self, index: int) -> str:
        """Where one row stands."""
        return f"table.iloc[{index}]" if self.first_line is None else f"line {index + self.first_line}"

    def rows(self, where: npt.ArrayLike) -> str:
        """The first of some rows (indices or a mask), and how many more there are."""
        where = np.asarray(where)
        indices = np.flatnonzero(where) if where.dtype == bool else where
        more = f" and {counted(indices.size - 1, 'more row')}" if indices.size > 1 else ""
        return self.row(int(indices[0])) + more

    def way_out(self, role: str) -> str:
        """How to say that a column found by its name is something else."""
        column = self.roles.get(role)
        required = role in ("subject", "choice", "reward")
        if role not in self.found or (required and str(column).casefold() == role):
            return ""
        instead = f"pass {role}='...'" if required else f"pass {role}='...', or {role}=False for none"
        return f" ({column!r} was taken for the {NOUN[role]} by its name; if it isn't, {instead}.)"


def _is_missing(value: object) -> bool:
    missing = pd.isna(value)  # type: ignore[call-overload]
    return isinstance(missing, bool | np.bool_) and bool(missing)


def plain(value: object) -> object:
    """A value as Python writes it: numpy scalars become Python's, whole floats become ints."""
    if isinstance(value, MOMENTS):
        return str(value)
    value = value.item() if isinstance(value, np.generic) else value
    return int(value) if isinstance(value, float) and value.is_integer() else value


def counted(n: int, noun: str) -> str:
    """A number with its noun: ``1 row``, ``1,200 rows``."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def listed(values: Iterable[object]) -> str:
    """Values separated by commas, cut after the first few."""
    values = [shortened(repr(plain(value))) for value in values]
    more = f" and {len(values) - SHOWN:,} more" if len(values) > SHOWN else ""
    return ", ".join(values[:SHOWN]) + more


def shortened(text: str) -> str:
    """Text that fits into a sentence."""
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def nearest(name: object, names: Iterable[object]) -> str:
    """A question that offers the most similar name, or nothing."""
    by_text = {str(other).casefold(): other for other in names}
    match = difflib.get_close_matches(str(name).casefold(), by_text, n=1, cutoff=0.6)
    return f" Did you mean {by_text[match[0]]!r}?" if match else ""
