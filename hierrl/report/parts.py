"""What a page is made of: tables, pictures and judgements, as the template takes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd

from hierrl.summary.verdicts import Level

MINUS, DASH = "\N{MINUS SIGN}", "\N{EN DASH}"
DIGITS = 3
SMALL, SMALLEST = 1e-3, 1e-6
"""Numbers below have two digits, and an exponent."""
TINY = 1e-12
TENTH = 0.1
"""Shares below are given with a decimal."""
CERTAIN = 0.999
"""Posterior probabilities above this are printed as such: draws don't tell them apart from 1."""

LIGHTS: dict[Level, tuple[str, str]] = {
    "good": ("✓", "good"),
    "mind": ("!", "take care"),
    "bad": ("✕", "do not use"),
}
"""Sign and word of each level: nothing is told by colour alone."""


Row = dict[Any, Any]


@dataclass(frozen=True)
class Cell:
    """One cell of a table."""

    text: str
    below: str = ""
    """A second, smaller line."""
    level: Level | None = None


@dataclass(frozen=True)
class Table:
    """A table with its heads; numbers stand to the right."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numeric: tuple[bool, ...]


@dataclass(frozen=True)
class Picture:
    """A figure."""

    svg: str
    alt: str
    width: float
    """Inches."""


@dataclass(frozen=True)
class Key:
    """An entry of the legend of a gallery."""

    mark: str
    text: str


@dataclass(frozen=True)
class Gallery:
    """Pictures side by side, one below the other on a narrow screen, with one caption."""

    pictures: tuple[Picture, ...]
    caption: str
    keys: tuple[Key, ...] = ()


@dataclass(frozen=True)
class Light:
    """A judgement in plain words."""

    level: Level
    what: str
    sentences: tuple[str, ...]
    advice: str = ""
    details: tuple[str, ...] = ()
    """What is good to know, but asks for nothing."""
    link: str = ""
    """Section that says more."""

    @property
    def sign(self) -> str:
        """The mark of its level."""
        return LIGHTS[self.level][0]

    @property
    def word(self) -> str:
        """The word of its level."""
        return LIGHTS[self.level][1]


def worst(levels: Iterable[Level]) -> Level:
    """The worst of some levels; good if there are none."""
    found = set(levels)
    return "bad" if "bad" in found else "mind" if "mind" in found else "good"


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """A table of values; columns of text stand to the left, all others to the right."""
    given = [tuple(row) for row in rows]
    numeric = tuple(
        bool(given) and not any(isinstance(row[k], str) for row in given) for k in range(len(heads))
    )
    cells = tuple(
        tuple(value if isinstance(value, Cell) else Cell(number(value)) for value in row) for row in given
    )
    return Table(caption, tuple(heads), cells, numeric)


def records(frame: pd.DataFrame) -> list[Row]:
    """The rows of a table, with what it is indexed by as columns."""
    return frame.reset_index().to_dict("records")


def number(value: Any) -> str:
    """A value as a reader wants it: three digits, no exponents where they can be avoided."""
    if isinstance(value, str) or value is None:
        return value or ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Integral):
        return f"{value:,}".replace("-", MINUS)
    value = float(value)
    if value != value:
        return DASH
    if abs(value) >= 1000 or (value.is_integer() and abs(value) >= 10):
        text = f"{value:,.0f}"
    elif abs(value) < SMALL:
        text = "0" if value == 0 else _small(value)
    else:
        text = f"{value:#.3g}".rstrip(".")
    return text.replace("-", MINUS)


def _small(value: float) -> str:
    if abs(value) < SMALLEST:
        return f"{value:.1e}"
    return np.format_float_positional(value, precision=2, fractional=False, trim="-")


def fixed(value: float, decimals: int) -> str:
    """A number with so many decimals; a dash where there is none."""
    if value != value:
        return DASH
    return f"{round(value, decimals) + 0.0:,.{decimals}f}".replace("-", MINUS)


def span(low: float, high: float) -> str:
    """An interval, both ends with as many decimals as the larger one needs for three digits."""
    largest = max(abs(low), abs(high))
    if not (np.isfinite(largest) and largest > TINY):
        return f"{number(low)} to {number(high)}"
    decimals = max(0, DIGITS - 1 - int(np.floor(np.log10(largest))))
    return f"{fixed(low, decimals)} to {fixed(high, decimals)}"


def percent(share: float) -> str:
    """A share."""
    if not share > 0:
        return DASH if share != share else "0 %"
    return f"{100 * share:.1f} %" if share < TENTH else f"{100 * share:.0f} %"


def certainty(p: float) -> str:
    """A posterior probability."""
    return f"{p:.3f}" if p < CERTAIN else f"> {CERTAIN}"


def count(n: int, noun: str) -> str:
    """`1 subject`, `2 subjects`."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def joined(names: Sequence[str]) -> str:
    """`a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


KINDS: dict[str, str] = {
    "convex": "convex relaxation",
    "mle": "maximum likelihood",
    "posterior": "hierarchical posterior",
}
"""Estimators in words."""
