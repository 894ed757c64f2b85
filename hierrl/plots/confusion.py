"""`plot_confusion`: which model wins, by which model generated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

from hierrl.plots.style import COLOURS, INK, PAGE, SMALL, Canvas, canvas, dress, in_style
from hierrl.studies.confused import Confusion, Level
from hierrl.studies.evidence import NAMES

SHADES = LinearSegmentedColormap.from_list("hierrl", ["#FFFFFF", COLOURS[5], COLOURS[0]])
DARK = 0.6
"""Share from which on its cell is so dark that text on it is white."""
CELL, AROUND = 0.62, 1.35
"""Inches of a cell, and of names and titles around the cells."""
LONG = 6
"""Letters of a name from which on the names below are turned."""
BROAD = 4
"""Models up to which cells have room for their interval."""
TITLES = {"confusion": "P(best | generating)", "inversion": "P(generating | best)"}


def plot_confusion(
    result: Confusion,
    *,
    criterion: str | None = None,
    level: Level = "subject",
    show: Sequence[Literal["confusion", "inversion"]] = ("confusion", "inversion"),
    figure: Canvas | None = None,
    figsize: tuple[float, float] | None = None,
) -> Canvas:
    """Draw the confusion matrix and the inversion matrix.

    A row for each generating model, a column for each model that fits best. Rows of the confusion matrix add up to 1,
    and so do columns of the inversion matrix. Below each share stands its 95 % interval, if there is room.

    Parameters
    ----------
    result : Confusion
        From `confusion`.
    criterion : str, optional
        What decides, of ``result.criteria``; the first one if not given.
    level : {"subject", "data set"}
        A winner for each subject, or for each data set by the sum over subjects.
    show : sequence of {"confusion", "inversion"}
    figure : Figure or SubFigure, optional
        What to draw into; a new figure if not given.
    figsize : (float, float), optional
        Inches of a new figure.

    Returns
    -------
    Figure
        With an axes per matrix, labelled with its name.

    Raises
    ------
    TypeError, ValueError
        If this is no result of `confusion`, or it has no such criterion, level or matrix.

    Examples
    --------
    >>> import hierrl as hr
    >>> models = {name: hr.model(name) for name in ("rw", "forgetting_q")}
    >>> task = hr.Bandit((0.8, 0.2), n_trials=100, reverse_every=25)
    >>> found = hr.confusion(models, task, n_subjects=10, replications=2, progress=False)
    >>> [axes.get_label() for axes in hr.plot_confusion(found, criterion="bic").axes]
    ['confusion', 'inversion']
    """
    if not isinstance(result, Confusion):
        raise TypeError(f"This is no result of hr.confusion; found {type(result).__name__}.")
    wanted = [show] if isinstance(show, str) else list(show)
    if not wanted or set(wanted) - set(TITLES):
        raise ValueError(f"show={show!r} must name one or both of {tuple(TITLES)}.")
    table, names = result.select(criterion, level), list(result.settings["models"])
    side = CELL * len(names) + AROUND
    figure = canvas(
        figure, figsize, (min(PAGE, side * len(wanted)), side * min(1, PAGE / side / len(wanted)))
    )
    with in_style():
        panels = figure.subplots(1, len(wanted), squeeze=False).ravel()
        for panel, what in zip(panels, wanted, strict=True):
            _draw(panel, table, names, what)
        panels[0].set_ylabel("generating model")
        figure.supxlabel(
            f"best model of a {level}, by {NAMES[table['criterion'].iloc[0]]}", fontsize="medium"
        )
    return figure


def _draw(axes: Axes, table: pd.DataFrame, names: list[str], what: str) -> None:
    column = {"confusion": "share", "inversion": "inverse"}[what]
    wide = table.pivot(index="generating", columns="best", values=column).loc[names, names]
    axes.imshow(wide.fillna(0.0), cmap=SHADES, vmin=0, vmax=1)
    place = {name: k for k, name in enumerate(names)}
    for row in table.to_dict("records"):
        numbers = [row[f"{column}{end}"] for end in ("", "_low", "_high")]
        _write(axes, place[row["best"]], place[row["generating"]], numbers, broad=len(names) <= BROAD)
    turned = (
        {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if max(map(len, names)) >= LONG else {}
    )
    axes.set_xticks(range(len(names)), names, **turned)
    axes.set_yticks(range(len(names)), names)
    axes.set_title(TITLES[what])
    axes.set_label(what)
    dress(axes)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _write(axes: Axes, x: int, y: int, numbers: list[float], *, broad: bool) -> None:
    share, low, high = numbers
    colour = "white" if share > DARK else INK
    text = "–" if share != share else f"{share:.2f}"  # NaN: never the best
    axes.text(x, y - (0.12 if broad else 0), text, ha="center", va="center", color=colour, fontsize="medium")
    if broad and share == share:
        axes.text(
            x,
            y + 0.22,
            f"{low:.2f} to {high:.2f}",
            ha="center",
            va="center",
            color=colour,
            fontsize=0.7 * SMALL,
        )
