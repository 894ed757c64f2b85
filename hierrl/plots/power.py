"""`plot_power`: how often an effect is detected, by numbers of subjects and trials."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from hierrl.plots.axes import title_of
from hierrl.plots.style import (
    COLUMN,
    GREY,
    INK,
    PAGE,
    Canvas,
    canvas,
    colour_of,
    dashes_of,
    dress,
    grid,
    in_style,
    marker_of,
)
from hierrl.studies.powered import Power

WIDEST = 3
"""Panels side by side."""
WIDTH, HEIGHT, LEGEND = 2.4, 2.1, 0.6
ENOUGH = 0.8
"""The power that is usually asked for: a line to compare with."""
NULL = "without an effect"
DODGE = 0.012
"""Distance of bars that would lie over each other, as a share of the axis."""


def plot_power(
    result: Power,
    *,
    tests: Sequence[str] | None = None,
    figure: Canvas | None = None,
    figsize: tuple[float, float] | None = None,
) -> Canvas:
    """Draw power against the number of subjects.

    A panel for each effect (and test), a line for each number of trials, with 95 % binomial intervals. Grey lines below
    are false alarms, the share of detections without an effect, which should lie at the level of the test (dotted). The
    other dotted line is a power of .8.

    Parameters
    ----------
    result : Power
        From `power`.
    tests : sequence of str, optional
        Which of ``result.table["test"]``; all if not given.
    figure : Figure or SubFigure, optional
        What to draw into; a new figure if not given.
    figsize : (float, float), optional
        Inches of a new figure.

    Returns
    -------
    Figure
        With an axes per effect and test, labelled ``"<effect>, <test>"``.

    Raises
    ------
    TypeError, ValueError
        If this is no result of `power`, or it has no such test.

    Examples
    --------
    >>> import hierrl as hr
    >>> task = hr.Bandit((0.8, 0.2), n_trials=100, reverse_every=25)
    >>> population = {"alpha": (0.3, 0.8), "beta": (4.0, 0.4)}
    >>> found = hr.power(hr.model("rw"), task, {"alpha": 1.5}, population=population, n_subjects=(10, 20),
    ...                  replications=5, progress=False)
    >>> [axes.get_label() for axes in hr.plot_power(found, tests=["Mann-Whitney"]).axes]
    ['1.5, Mann-Whitney']
    """
    if not isinstance(result, Power):
        raise TypeError(f"This is no result of hr.power; found {type(result).__name__}.")
    there = list(dict.fromkeys(result.table["test"]))
    wanted = there if tests is None else [tests] if isinstance(tests, str) else list(tests)
    if unknown := [test for test in wanted if test not in there]:
        raise ValueError(f"The result has no test {unknown[0]!r}; it has {', '.join(there)}.")
    places = [(effect, test) for test in wanted for effect in dict.fromkeys(result.table["effect"])]
    n_effects = len(np.unique(result.table["effect"]))
    rows, columns = (len(wanted), n_effects) if n_effects <= WIDEST else grid(len(places), WIDEST)
    width = min(PAGE, max(COLUMN, WIDTH * columns))
    figure = canvas(figure, figsize, (width, HEIGHT * rows + LEGEND))
    with in_style():
        panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
        for panel, (effect, test) in zip(panels, places, strict=False):
            mine = result.table.loc[(result.table["effect"] == effect) & (result.table["test"] == test)]
            _draw(panel, mine, result.alpha)
            panel.set_title(f"{_words(result, effect)}\n{test}", fontsize="medium")
            panel.set_label(f"{effect:g}, {test}")
        for panel in panels[len(places) :]:
            panel.remove()
        figure.supxlabel("subjects", fontsize="medium")
        figure.supylabel("share of studies that detect", fontsize="medium")
        handles, labels = panels[0].get_legend_handles_labels()
        order = sorted(range(len(labels)), key=lambda k: labels[k] == NULL)
        handles, labels = [handles[k] for k in order], [labels[k] for k in order]
        figure.legend(
            handles, labels, loc="outside upper left", ncols=min(len(handles), 5), columnspacing=1.2
        )
    return figure


def _words(result: Power, effect: float) -> str:
    asked = result.settings["effect"]
    name = title_of(asked["parameter"])
    if asked["kind"] == "correlation":
        return f"correlation of {name}: {effect:g}"
    on = " (link)" if asked["scale"] == "link" else ""
    return f"difference in {name}{on}: {effect:g}"


def _draw(axes: Axes, table: pd.DataFrame, alpha: float) -> None:
    trials = [int(n) for n in dict.fromkeys(table["n_trials"])]
    names = [f"{n:,} trials" if n else "power" for n in trials]
    colours, markers, dashes = colour_of(names), marker_of(names), dashes_of(names)
    for level in (ENOUGH, alpha):
        axes.axhline(level, color=GREY, lw=0.7, ls=(0, (1, 2)), zorder=0)
    subjects = np.unique(table["n_subjects"])
    step = DODGE * (np.ptp(subjects) or 1.0)
    for k, (n, name) in enumerate(zip(trials, names, strict=True)):
        mine = table.loc[table["n_trials"] == n].sort_values(by="n_subjects")
        x = mine["n_subjects"].to_numpy(float) + step * (k - (len(trials) - 1) / 2)
        axes.plot(x, mine["type_1"], color=GREY, lw=0.9, ls=dashes[name], marker=markers[name], ms=3, mew=0, zorder=1,
                  label=NULL if k == len(trials) - 1 else None)  # fmt: skip
        axes.vlines(x, mine["power_low"], mine["power_high"], color=colours[name], lw=1.0, zorder=2)
        axes.plot(x, mine["power"], color=colours[name], ls=dashes[name], marker=markers[name], ms=5, mec="white",
                  mew=0.6, lw=1.3, zorder=3, label=name)  # fmt: skip
    axes.set_xticks(subjects)
    axes.set_ylim(-0.02, 1.02)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1.0], ["0", ".25", ".5", ".75", "1"], color=INK)
    dress(axes)
