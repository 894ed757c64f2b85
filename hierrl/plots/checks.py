"""`plot_predictive_check`: what subjects did over what the model does in their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from hierrl.checks import PredictiveCheck
from hierrl.checks.judge import class_labels
from hierrl.data.table import nearest
from hierrl.formulas.cells import EVERYBODY
from hierrl.plots.style import (
    GREY,
    INK,
    PAGE,
    PALE,
    SMALL,
    Canvas,
    abreast,
    canvas,
    colour_of,
    dress,
    grid,
    in_style,
    marker_of,
)

WIDEST = 3
"""Panels side by side."""
HEIGHT = 2.05
APART = 0.16
"""Distance between groups at the same class, in classes."""
MANY_LABELS = 7
"""Labels of classes that fit below a panel unturned and unthinned."""
SCALARS = {"win_stay": "win-\nstay", "lose_shift": "lose-\nshift", "reward_effect": "reward\neffect"}
"""Single numbers share a panel."""


def plot_predictive_check(
    check: PredictiveCheck,
    *,
    statistics: Sequence[str] | None = None,
    figure: Canvas | None = None,
    figsize: tuple[float, float] | None = None,
) -> Canvas:
    """Draw observed statistics over the 95 % predictive intervals of the model.

    Bands and bars are the central 95 % (equal-tailed) of what the model makes of each statistic, the lines and ticks in
    them its mean over replicates; marks are what the subjects did, means over the subjects of a group. A mark is filled
    if it lies within its interval, and open, with a thick rim, if it lies outside.

    Parameters
    ----------
    check : PredictiveCheck
        From `predictive_check`.
    statistics : sequence of str, optional
        Which, in this order; all if not given. Those that are a single number share a panel.
    figure : Figure or SubFigure, optional
        What to draw into; a new figure if not given.
    figsize : (float, float), optional
        Inches of a new figure.

    Returns
    -------
    Figure
        With axes labelled by statistic, ``numbers`` for the panel of single numbers.

    Raises
    ------
    TypeError, ValueError
        If this is no check, or it has no such statistic.

    Examples
    --------
    >>> import hierrl as hr
    >>> task = hr.Bandit((0.8, 0.2), n_trials=100, reverse_every=25)
    >>> data = hr.simulate(hr.model("rw"), task, {"alpha": [0.3, 0.5], "beta": 4.0}, random_seed=1)
    >>> check = hr.predictive_check(hr.fit_mle(hr.model("rw"), data), replicates=50, random_seed=1)
    >>> [axes.get_label() for axes in hr.plot_predictive_check(check).axes]
    ['learning_curve', 'numbers', 'repeat_by_run', 'after_reversal']
    """
    if not isinstance(check, PredictiveCheck):
        raise TypeError(f"This is no result of hr.predictive_check: found {type(check).__name__}.")
    panels = _panels(check, statistics)
    rows, columns = grid(len(panels), WIDEST)
    figure = canvas(figure, figsize, (PAGE * max(columns, 1.6) / WIDEST, 0.45 + HEIGHT * rows))
    colours = colour_of(check.groups) if check.groups != (EVERYBODY,) else {EVERYBODY: INK}
    with in_style():
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for panel, (label, names) in zip(axes, panels.items(), strict=False):
            dress(panel)
            _draw(panel, check, names, colours)
            panel.set_label(label)
        for panel in axes[len(panels) :]:
            panel.remove()
        handles = _handles(check, colours)
        ncols = abreast(figure, [str(one.get_label()) for one in handles], len(handles))
        figure.legend(handles=handles, loc="outside upper left", ncols=ncols)
    return figure


def _panels(check: PredictiveCheck, asked: Sequence[str] | None) -> dict[str, list[str]]:
    """Label of each panel -> its statistics."""
    there = list(map(str, check.observed.data_vars))
    for name in asked or ():
        if name not in there:
            raise ValueError(f"The check has no {name!r}.{nearest(name, there)} It has {', '.join(there)}.")
    names = list(asked or there)
    single = [name for name in names if _is_number(check, name)]
    panels: dict[str, list[str]] = {}
    for name in names:
        if name in single:
            panels.setdefault("numbers", single)
        else:
            panels[name] = [name]
    return panels


def _is_number(check: PredictiveCheck, name: str) -> bool:
    """One for each subject (a share of one arm is one too)."""
    return check.observed[name].size == check.observed.sizes["subject"]


def _short(check: PredictiveCheck, name: str) -> str:
    """What a single number is called on its axis."""
    if name == "choice_proportions":
        return f"share of\n{_only_arm(check, name)}"
    return SCALARS.get(name, name.replace("_", " "))


def _only_arm(check: PredictiveCheck, name: str) -> str:
    """The arm of a statistic that is given for one only; empty if there are more."""
    values = check.observed[name]
    if values.sizes.get("arm", 0) != 1:
        return ""
    return _spoken(str(values["arm"].values[0]))


def _spoken(arm: str) -> str:
    """A bare number would look like a tick of the axis."""
    return f"arm {arm}" if arm.isdigit() else arm


def _title(check: PredictiveCheck, names: list[str]) -> str:
    if len(names) > 1:
        return "Means over subjects"
    return check.title(names[0]).replace("P(arm)", f"P({_only_arm(check, names[0]) or 'arm'})")


def _draw(axes: Axes, check: PredictiveCheck, names: list[str], colours: Mapping[str, str]) -> None:
    table = check.table.loc[check.table["statistic"].isin(names)]
    single = _is_number(check, names[0])
    if single:
        labels = [_short(check, name) for name in names]
    else:
        values = check.observed[names[0]]
        labels = class_labels(values.squeeze("arm", drop=True) if _only_arm(check, names[0]) else values)
        if names[0] == "choice_proportions":
            labels = list(map(_spoken, labels))
    ordered = not single and not names[0].startswith("choice")
    several = ordered and check.observed[names[0]].sizes.get("arm", 1) > 1
    parts = check.observed[names[0]].sizes["arm"] if several else 1
    markers = marker_of(check.groups)
    for g, group in enumerate(check.groups):
        rows = table.loc[table["group"] == group]
        if single:
            rows = rows.set_index("statistic").loc[names]
        shift = (g - (len(check.groups) - 1) / 2) * (0 if ordered else APART)
        x = np.arange(len(rows)) + shift
        for part in np.split(np.arange(len(rows)), parts):
            (_band if ordered else _bars)(axes, x[part], rows.iloc[part], colours[group])
        _marks(axes, x, rows, colours[group], markers[group])
    if single and "reward_effect" in names:
        axes.axhline(0, color=GREY, lw=0.6, ls=(0, (3, 2)), zorder=0)
    if several:
        _name_arms(axes, check.observed[names[0]]["arm"].values.tolist(), len(labels))
    else:
        _name_classes(axes, labels, single=not ordered)
    axes.set_title(_title(check, names), fontsize=SMALL, color=INK)


def _band(axes: Axes, x: np.ndarray, rows: pd.DataFrame, colour: str) -> None:
    axes.fill_between(x, rows["eti95_low"], rows["eti95_high"], color=colour, alpha=0.25, lw=0)
    axes.plot(x, rows["predicted"], color=colour, lw=1.0)


def _bars(axes: Axes, x: np.ndarray, rows: pd.DataFrame, colour: str) -> None:
    axes.vlines(x, rows["eti95_low"], rows["eti95_high"], color=colour, alpha=0.35, lw=5)
    axes.plot(x, rows["predicted"], "_", color=colour, ms=7, mew=1.0)


def _marks(axes: Axes, x: np.ndarray, rows: pd.DataFrame, colour: str, marker: str) -> None:
    outside = rows["outside"].to_numpy(dtype=bool)
    looks = ((~outside, {"mfc": colour, "mew": 0.6}), (outside, {"mfc": "white", "mew": 1.3}))
    for which, look in looks:
        axes.plot(x[which], rows["observed"][which], marker, mec=colour, ms=4.4, ls="none", zorder=4, **look)


def _name_arms(axes: Axes, arms: list[str], n: int) -> None:
    """Arms side by side, the bins of trials of each from left to right."""
    each = n // len(arms)
    axes.set_xticks([(k + 0.5) * each - 0.5 for k in range(len(arms))], list(map(_spoken, arms)))
    axes.tick_params(axis="x", length=0)
    for k in range(1, len(arms)):
        axes.axvline(k * each - 0.5, color=PALE, lw=1.0, zorder=0)
    axes.set_xlim(-0.6, n - 0.4)


def _name_classes(axes: Axes, labels: list[str], *, single: bool) -> None:
    step = 1 if single else -(-len(labels) // MANY_LABELS)
    at = np.arange(0, len(labels), step)
    axes.set_xticks(at, [labels[k] for k in at])
    axes.set_xlim(-0.6, len(labels) - 0.4)
    if max(map(len, labels)) * len(at) > 30 and not any("\n" in label for label in labels):
        axes.tick_params(axis="x", rotation=35)
        for text in axes.get_xticklabels():
            text.set_horizontalalignment("right")
            text.set_rotation_mode("anchor")


def _handles(check: PredictiveCheck, colours: Mapping[str, str]) -> list[Line2D | Patch]:
    markers = marker_of(check.groups)
    groups = (
        []
        if check.groups == (EVERYBODY,)
        else [
            Line2D([], [], color=colour, marker=markers[group], ms=4.4, lw=1.0, label=group)
            for group, colour in colours.items()
        ]
    )
    marker = markers[check.groups[0]]
    return [
        *groups,
        Patch(color=GREY, alpha=0.35, lw=0, label="model, 95 % ETI"),
        Line2D([], [], ls="none", marker=marker, mec=INK, mfc=INK, ms=4.4, label="observed, within"),
        Line2D([], [], ls="none", marker=marker, mec=INK, mfc="white", mew=1.3, ms=4.4, label="outside"),
    ]
