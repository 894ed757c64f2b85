"""The one look of all plots: figure, axes, colours, marks. Nothing here touches the state of pyplot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

Canvas = Figure | SubFigure

# Okabe & Ito (2008): told apart with every kind of colour vision. Yellow is left out, too pale for lines on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
INK, GREY, PALE = "#222222", "#8A8A8A", "#D9D9D9"
MARKERS = ("o", "s", "^", "D", "v", "P")
"""With the colours, so that groups are told apart in grey print too."""
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (5, 1.5, 1.2, 1.5)), (0, (8, 2)), (0, (3, 1, 1, 1, 1, 1)))

COLUMN, PAGE = 3.5, 7.2
"""Widths in inches of one column and of a page of a journal."""
SMALL, NORMAL, LARGE = 8.0, 9.0, 10.0
"""Font sizes in points."""
SCREEN_DPI = 144
LETTER, HANDLE = 0.062, 0.45
"""Inches of a letter in a legend, and of what stands before its entry."""

STYLE: dict[Any, Any] = {
    "font.size": NORMAL,
    "axes.titlesize": LARGE,
    "axes.labelsize": NORMAL,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "axes.linewidth": 0.8,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.unicode_minus": True,
}


@contextmanager
def in_style() -> Iterator[None]:
    """Make artists in our style; settings outside are what they were afterwards."""
    with mpl.rc_context(STYLE):
        yield


class _Shown(Figure):
    """A figure that notebooks show although pyplot doesn't know it."""

    def _repr_png_(self) -> bytes:
        from io import BytesIO

        buffer = BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()


def canvas(
    figure: Canvas | None, figsize: tuple[float, float] | None, default: tuple[float, float]
) -> Canvas:
    """The figure to draw into: the user's, or a new one."""
    if figure is not None:
        return figure
    return _Shown(figsize=figsize or default, dpi=SCREEN_DPI, layout="constrained")


def dress(axes: Axes) -> None:
    """Ticks in our style, also those that matplotlib makes later, when the figure is drawn."""
    axes.tick_params(which="major", labelsize=SMALL, width=0.8, length=3, color=INK, labelcolor=INK)
    axes.tick_params(which="minor", width=0.5, length=1.8, color=INK)


def colour_of(levels: Sequence[str]) -> dict[str, str]:
    """A colour for each level; beyond the palette they repeat, with another marker."""
    return {level: COLOURS[i % len(COLOURS)] for i, level in enumerate(levels)}


def marker_of(levels: Sequence[str]) -> dict[str, str]:
    """A marker for each level."""
    # The second round of colours starts one marker later, so that no pair comes twice.
    return {level: MARKERS[(i + i // len(COLOURS)) % len(MARKERS)] for i, level in enumerate(levels)}


def dashes_of(levels: Sequence[str]) -> dict[str, Any]:
    """A line style for each level."""
    return {level: DASHES[(i + i // len(COLOURS)) % len(DASHES)] for i, level in enumerate(levels)}


def abreast(figure: Canvas, names: Sequence[str], most: int) -> int:
    """Entries of a legend, at most `most`, that fit side by side into the width of a figure."""
    widest = max(map(len, names)) * LETTER + HANDLE
    return max(1, min(most, int(figure.bbox.width / figure.dpi / widest)))


def grid(n: int, widest: int) -> tuple[int, int]:
    """Rows and columns for n panels, at most `widest` side by side, rows about equally full."""
    rows = -(-n // widest)
    return rows, -(-n // rows)
