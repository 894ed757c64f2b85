"""Results of `widths.py` as a figure: coverage and width of intervals by the width of the empirical prior."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from widths_table import KINDS, PRIORS

from hierrl.plots.style import COLOURS, GREY, PAGE, canvas, dress, in_style

HEIGHT = 5.6
LOOKS = {"mu": {"marker": "o", "ls": "-"}, "sigma": {"marker": "s", "ls": (0, (4, 1.5))}}
ROWS = {
    "coverage_95": (0.95, "coverage of 95 %\nintervals"),
    "coverage_80": (0.8, "coverage of 80 %\nintervals"),
}
APART = 0.13


def draw(table: list[dict[str, Any]]) -> Figure:
    """The figure: a column for each size of study."""
    cells = pd.DataFrame(table)
    sizes = sorted(cells["subjects"].unique())
    figure = canvas(None, None, (PAGE, HEIGHT))
    assert isinstance(figure, Figure)
    with in_style():
        panels = figure.subplots(3, len(sizes), sharex=True, sharey="row", squeeze=False)
        for j, size in enumerate(sizes):
            here = cells[cells["subjects"] == size]
            for i, (column, (level, label)) in enumerate(ROWS.items()):
                panels[i, j].axhline(level, color=GREY, lw=0.8)
                _lines(panels[i, j], here, column, limits=True)
                panels[i, 0].set_ylabel(label)
            panels[2, j].axhline(1.0, color=GREY, lw=0.8)
            _lines(panels[2, j], here, "width_95", limits=False)
            panels[0, j].set_title(f"{size} subjects")
        panels[2, 0].set_ylabel("width of 95 % intervals\n(weak prior: 1)")
        figure.supxlabel("scale of the empirical prior in standard errors; the weak prior", fontsize="medium")
        handles, labels = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=4)
    return figure


def _lines(axes: Axes, cells: pd.DataFrame, column: str, *, limits: bool) -> None:
    populations = list(dict.fromkeys(cells["population"]))
    looks = [(p, kind) for p in populations for kind in KINDS]
    for k, (population, kind) in enumerate(looks):
        found = cells[(cells["population"] == population) & (cells["kind"] == kind)].set_index("prior")
        found = found.reindex(PRIORS)
        x = np.arange(len(PRIORS)) + APART * (k - (len(looks) - 1) / 2)
        colour = COLOURS[populations.index(population)]
        if limits:
            low, high = (found[f"{column}_{end}"].clip(0, 1) for end in ("low", "high"))
            axes.vlines(x, low, high, color=colour, lw=0.9)
        label, last = f"{population}: {KINDS[kind]}", len(PRIORS) - 1  # the weak prior is not one of a series
        axes.plot(x[:last], found[column][:last], color=colour, lw=0.7, ms=3.5, label=label, **LOOKS[kind])
        axes.plot(x[last:], found[column][last:], color=colour, ms=3.5, **LOOKS[kind])
    axes.set_xticks(range(len(PRIORS)), PRIORS)
    dress(axes)
