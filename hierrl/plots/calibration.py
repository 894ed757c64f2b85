"""`plot_calibration`: are the ranks of true values uniform?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from hierrl.data.table import nearest
from hierrl.plots.style import COLOURS, GREY, INK, PAGE, PALE, Canvas, canvas, dress, grid, in_style

WIDEST = 4
"""Panels side by side."""
HEIGHT = 1.75
ROUNDING = 1e-9
"""What lies on the band is inside."""
ROOM = 1.1
"""Of the axes, beyond the farthest band or line."""


def plot_calibration(
    result: xr.DataTree,
    *,
    quantities: Sequence[str] | None = None,
    figure: Canvas | None = None,
    figsize: tuple[float, float] | None = None,
) -> Canvas:
    """Draw the distribution of the ranks of true values minus the uniform one, with simultaneous 95 % bands.

    If posteriors are right, 19 of 20 lines stay within their band. A line that goes up first and down then means
    posteriors that are too wide, the other way round too narrow ones; a hill, posteriors that lie too high; a valley,
    too low.

    Parameters
    ----------
    result : DataTree
        From `calibrate`.
    quantities : sequence of str, optional
        Which of ``result["summary"]["quantity"]``, in this order; all if not given.
    figure : Figure or SubFigure, optional
        What to draw into; a new figure if not given.
    figsize : (float, float), optional
        Inches of a new figure.

    Returns
    -------
    Figure
        With axes labelled by quantity.

    Raises
    ------
    ValueError
        If this is no result of `calibrate`, or it has no such quantity.

    Examples
    --------
    >>> import hierrl as hr
    >>> result = hr.calibrate(hr.model("rw"), hr.Bandit((0.8, 0.2)), n_subjects=20)  # doctest: +SKIP
    >>> hr.plot_calibration(result).savefig("calibration.pdf")  # doctest: +SKIP
    """
    if not isinstance(result, xr.DataTree) or "bands" not in result:
        raise ValueError("This is no result of hr.calibrate: it has no group 'bands'.")
    bands = result["bands"].to_dataset()
    there = [str(name) for name in bands["quantity"].values]
    names = there if quantities is None else [_known(name, there) for name in quantities]
    rows, columns = grid(len(names), WIDEST)
    figure = canvas(figure, figsize, (PAGE * max(columns, 2) / WIDEST, 0.5 + HEIGHT * rows))
    with in_style():
        panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for panel, name in zip(panels.ravel(), names, strict=False):
            _draw(panel, bands.sel(quantity=name), name)
        for panel in panels.ravel()[len(names) :]:
            panel.set_axis_off()
        shown = bands.sel(quantity=names)
        farthest = max(float(np.abs(shown[name]).max()) for name in ("difference", "low", "high"))
        panels[0, 0].set_ylim(-ROOM * farthest, ROOM * farthest)
        figure.supxlabel("rank of the true value, as a share", fontsize="medium")
        figure.supylabel("share of ranks below, minus uniform", fontsize="medium")
    return figure


def _known(name: str, there: list[str]) -> str:
    if name not in there:
        raise ValueError(f"The result has no {name!r}.{nearest(name, there)} It has {', '.join(there)}.")
    return name


def _draw(axes: Axes, band: xr.Dataset, name: str) -> None:
    beyond = np.maximum(band["low"] - band["difference"], band["difference"] - band["high"])
    outside = beyond > ROUNDING
    axes.fill_between(band["x"], band["low"], band["high"], color=PALE, lw=0)
    axes.axhline(0.0, color=GREY, lw=0.6)
    axes.step(band["x"], band["difference"], where="mid", color=COLOURS[0], lw=1.2)
    axes.plot(band["x"][outside], band["difference"][outside], ".", color=COLOURS[1], ms=4)
    axes.set_title(name.replace(", Intercept", ""), fontsize="medium", color=INK)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_label(name)
    dress(axes)
