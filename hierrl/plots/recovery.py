"""`plot_recovery`: estimates against true values, parameter by parameter."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from hierrl.data.table import nearest
from hierrl.models.model import Model, Parameter
from hierrl.plots.axes import Scale, scale_of, title_of
from hierrl.plots.style import COLOURS, GREY, INK, PAGE, PALE, SMALL, Canvas, canvas, dress, grid, in_style
from hierrl.studies.recovered import LINK, NATURAL, Recovery

WIDEST = 4
"""Panels side by side."""
SIDE, LEGEND = 2.3, 0.6
"""Inches of a panel, and of what stands around all of them."""
FEW = 300
"""Points up to which they are drawn large; more are smaller and fainter, and pixels in vector files."""


def plot_recovery(
    result: Recovery,
    *,
    scale: Literal["natural", "link"] = "natural",
    parameters: Sequence[str] | None = None,
    figure: Canvas | None = None,
    figsize: tuple[float, float] | None = None,
) -> Canvas:
    """Draw estimates against true values.

    A panel for each parameter, a point for each subject: dark where the subject's own trials determine the parameter to
    better than the spread of the true values (informative), pale where they don't. On the line, estimates are right.
    The correlation r is over all subjects, and over the informative ones. Points beyond an axis are drawn at its end.

    Parameters
    ----------
    result : Recovery
        From `recovery`.
    scale : {"natural", "link"}
        Raw reward units, or log odds of rates and logarithms of weights.
    parameters : sequence of str, optional
        Which, in this order; all if not given.
    figure : Figure or SubFigure, optional
        What to draw into; a new figure if not given.
    figsize : (float, float), optional
        Inches of a new figure.

    Returns
    -------
    Figure
        With an axes per parameter, labelled with it.

    Raises
    ------
    TypeError, ValueError
        If this is no result of `recovery`, or it has no such parameter or scale.

    Examples
    --------
    >>> import hierrl as hr
    >>> task = hr.Bandit((0.8, 0.2), n_trials=100, reverse_every=25)
    >>> truth = {"alpha": (0.1, 0.9), "beta": (1.0, 8.0)}
    >>> found = hr.recovery(hr.model("rw"), task, truth=truth, n_subjects=20, replications=1, progress=False)
    >>> [axes.get_label() for axes in hr.plot_recovery(found).figure.axes]
    ['alpha', 'beta']
    """
    if not isinstance(result, Recovery):
        raise TypeError(f"This is no result of hr.recovery; found {type(result).__name__}.")
    if scale not in (NATURAL, LINK):
        raise ValueError(f"scale={scale!r} is not one of {(NATURAL, LINK)}.")
    there = list(dict.fromkeys(result.table["parameter"]))
    names = there if parameters is None else [_known(name, there) for name in parameters]
    rows, columns = grid(len(names), WIDEST)
    side = PAGE / WIDEST if columns == WIDEST else SIDE
    figure = canvas(figure, figsize, (side * max(columns, 2), LEGEND + side * rows))
    model = Model.from_json(json.dumps(result.settings["model"]))
    with in_style():
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for panel, name in zip(panels, names, strict=False):
            _draw(panel, result, name, parameter=model.parameter(name.partition("[")[0]), scale=scale)
        for panel in panels[len(names) :]:
            panel.remove()
        figure.supxlabel("true value", fontsize="medium")
        figure.supylabel("estimate", fontsize="medium")
        _legend(figure, bool(result.table["informative"].all()))
    return figure


def _known(name: str, there: list[str]) -> str:
    if name not in there:
        raise ValueError(f"The result has no {name!r}.{nearest(name, there)} It has {', '.join(there)}.")
    return name


def _draw(axes: Axes, result: Recovery, name: str, *, parameter: Parameter, scale: str) -> None:
    table = result.table.loc[result.table["parameter"] == name]
    prefix = "" if scale == NATURAL or parameter.link == "identity" else "link_"
    truth, estimate = (np.asarray(table[f"{prefix}{what}"], dtype=float) for what in ("truth", "estimate"))
    extent = _scale(parameter, truth, estimate, prefix)
    informative = np.asarray(table["informative"])
    many = len(table) > FEW
    size, opacity = (5.0, 0.35) if many else (12.0, 0.65)
    axes.axline((extent.low, extent.low), (extent.high, extent.high), color=GREY, lw=0.8, zorder=3)
    for mine, colour, level in ((~informative, PALE, 1), (informative, COLOURS[0], 2)):
        x, y = extent.inside(truth[mine]), extent.inside(estimate[mine])
        shown = {"alpha": 0.8 if colour == PALE else opacity, "rasterized": many}
        axes.scatter(x, y, s=size, color=colour, lw=0, zorder=level, **shown)
    extent.apply(axes, "x")
    extent.apply(axes, "y")
    _write_figures(axes, result.summary, name, NATURAL if not prefix else LINK)
    axes.set_title(title_of(name) if not prefix else f"{parameter.link} {title_of(name)}")
    axes.set_label(name)
    axes.set_box_aspect(1)
    dress(axes)


def _scale(parameter: Parameter, truth: np.ndarray, estimate: np.ndarray, prefix: str) -> Scale:
    """Both axes: where the true values are, with some room for estimates beyond."""
    if prefix:
        low, high = np.nanquantile(np.concatenate([truth, estimate]), [0.005, 0.995])
        return Scale("linear", float(min(low, truth.min())), float(max(high, truth.max())))
    natural = scale_of(parameter, truth)
    if natural.kind == "log":
        return natural
    if parameter.link == "logit":
        return Scale("bounded", 0.0, 1.0)
    reach = 0.25 * (natural.high - natural.low)
    low = 0.0 if parameter.link == "log" else natural.low - reach
    return Scale("linear", low, natural.high + reach)


def _write_figures(axes: Axes, summary: pd.DataFrame, name: str, scale: str) -> None:
    """Correlations above the panel, at the right."""
    row = summary.loc[(summary["parameter"] == name) & (summary["scale"] == scale)].iloc[0]
    lines = [f"r = {_digits(row['correlation'])}"]
    if row["n_informative"] < row["n"]:
        lines.append(f"informative {_digits(row['correlation_informative'])}")
    place = {"transform": axes.transAxes, "ha": "right", "va": "bottom"}
    axes.text(1.0, 1.02, "\n".join(lines), fontsize=0.9 * SMALL, color=INK, **place)


def _digits(r: float) -> str:
    return "–" if np.isnan(r) else f"{r:.2f}"


def _legend(figure: Canvas, all_informative: bool) -> None:
    look = {"ls": "none", "marker": "o", "ms": 5, "mew": 0}
    handles = [Line2D([], [], color=COLOURS[0], label="informative subject", **look)]
    if not all_informative:
        handles.append(Line2D([], [], color=PALE, label="its trials can't tell", **look))
    handles.append(Line2D([], [], color=GREY, lw=0.8, label="estimate = truth"))
    figure.legend(handles=handles, loc="outside upper left", ncols=3, columnspacing=1.2, handletextpad=0.4)
