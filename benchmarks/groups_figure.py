"""Figures of `groups.py`: the population of each group, contrasts with both samplers, and other priors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from pages import DOCS, NAMES

import hierrl as hr
from hierrl.plots.axes import title_of
from hierrl.plots.style import GREY, INK, PAGE, PALE, Canvas, canvas, dress, in_style

FOLDER = DOCS / "images"
DPI = 110
"""Sharp enough for a page, and small enough for a repository."""
MARKS = {"marginal": ("o", INK, INK), "nuts": ("s", GREY, "white")}
"""Marker, colour and face of each sampler."""
APART = 0.13
"""Half the distance between the marks of the two samplers, in rows."""


def draw(
    name: str, fit: xr.DataTree, *, contrasts: Mapping[str, list[dict[str, Any]]], sensitivity: pd.DataFrame
) -> None:
    """Save the three figures of a study."""
    FOLDER.mkdir(exist_ok=True)
    figures = {
        "population": hr.plot_population(fit),
        "contrasts": plot_contrasts(contrasts),
        "sensitivity": hr.plot_prior_sensitivity(sensitivity),
    }
    for kind, figure in figures.items():
        figure.savefig(FOLDER / f"groups_{name}_{kind}.png", dpi=DPI)


def plot_contrasts(contrasts: Mapping[str, list[dict[str, Any]]], rope: float = 0.1) -> Canvas:
    """Differences on the link scale, a panel for each parameter: mean and 95 % ETI under both samplers."""
    tables = {
        method: pd.DataFrame(rows).query("quantity == 'mu'").reset_index(drop=True)
        for method, rows in contrasts.items()
    }
    first = next(iter(tables.values()))
    labels = list(first["parameter"].unique())
    n_rows = first["contrast"].nunique()
    figure = canvas(None, None, (PAGE, 1.0 + 0.34 * n_rows))
    with in_style():
        panels = figure.subplots(1, len(labels), sharey=True)
        for panel, label in zip(panels, labels, strict=True):
            for k, (method, table) in enumerate(tables.items()):
                _draw(panel, table[table["parameter"] == label], method, (2 * k + 1 - len(tables)) * APART)
            panel.axvspan(-rope, rope, color=PALE, lw=0, zorder=0)
            panel.axvline(0, color=INK, lw=0.6, zorder=1)
            panel.set_title(title_of(label))
            scale = first.loc[first["parameter"] == label, "scale"].iloc[0]
            panel.set_xlabel(scale.partition("(")[2].rstrip(")"))
            dress(panel)
        panels[0].set_yticks(range(n_rows), [in_words(one) for one in first["contrast"].unique()])
        panels[0].set_ylim(n_rows - 0.5, -0.5)
        figure.legend(handles=_handles(rope, tables), loc="outside upper left", ncols=3)
    return figure


def _draw(axes: Axes, rows: pd.DataFrame, method: str, shift: float) -> None:
    """Means and intervals of one sampler."""
    marker, colour, face = MARKS[method]
    y = [k + shift for k in range(len(rows))]
    axes.hlines(y, rows["eti95_low"], rows["eti95_high"], color=colour, lw=1.2)
    axes.plot(rows["mean"], y, marker, mec=colour, mfc=face, ms=4.6, ls="none")


def in_words(contrast: str) -> str:
    """As a reader wants it: minus signs, and units of a number."""
    if contrast == "decades + 1":
        return "10 years older within the group"
    return contrast.replace(" - ", " \N{MINUS SIGN} ").lower()


def _handles(rope: float, methods: Iterable[str]) -> list[Any]:
    marks = [
        Line2D([], [], marker=marker, color=colour, mfc=face, ms=4.6, lw=1.2, label=NAMES[method])
        for method, (marker, colour, face) in MARKS.items()
        if method in methods
    ]
    return [*marks, Patch(color=PALE, lw=0, label=f"practically none (\N{PLUS-MINUS SIGN}{rope:g})")]
