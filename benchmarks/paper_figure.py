"""Results of `paper.py` as a figure: accuracy by method, tightness of bounds, time."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator
from paper_table import Found, all_found
from published import PUBLISHED
from scores import QUANTILES

from hierrl.plots.style import COLOURS, GREY, INK, MARKERS, PAGE, PALE, SMALL, canvas, dress, in_style

OURS, RIVAL = COLOURS[0], COLOURS[1]
ROWS: list[tuple[str, str, tuple[str, str] | None, str | None]] = [
    ("hull", OURS, ("zero", "hull"), None),
    ("hull + recovery", OURS, ("zero", "hull_recovery"), None),
    ("MLE, certified", OURS, ("zero", "certified"), None),
    ("MLE, learned start", OURS, ("learned", "certified"), None),
    ("monotone", OURS, ("zero", "monotone"), None),
    ("monotone + recovery", OURS, ("zero", "monotone_recovery"), None),
    ("rlfit", RIVAL, ("zero", "rlfit"), "relaxation"),
    ("rlfit + recovery", RIVAL, ("zero", "rlfit_recovery"), "recovery"),
    ("rlfit, horizon 5 + rec.", RIVAL, ("zero", "rlfit5_recovery"), "horizon 5"),
    ("direct", INK, None, "direct"),
    ("MCMC", INK, None, "mcmc"),
]
"""Label, colour, our (start, method), published method."""
TIMED = {
    "hull_recovery": ("hull + recovery", COLOURS[0]),
    "certified": ("MLE, certified", COLOURS[5]),
    "monotone_recovery": ("monotone + rec.", COLOURS[2]),
    "rlfit_recovery": ("rlfit + rec.", COLOURS[1]),
    "rlfit5_recovery": ("rlfit, hor. 5 + rec.", COLOURS[4]),
}
MODEL_COLOURS = {"basic": COLOURS[0], "per-arm": COLOURS[1], "subvalue": COLOURS[2]}
HEIGHT = 7.6
DASHED = (0, (3, 1.5))
FLOOR = 1e-4
"""Nats at which the axis of looseness begins; what is tighter is drawn there."""


def draw(results: dict[str, Any]) -> Figure:
    """The figure."""
    known = all_found(results)
    figure = canvas(None, None, (PAGE, HEIGHT))
    assert isinstance(figure, Figure)
    with in_style():
        top, bottom = figure.subfigures(2, 1, height_ratios=[2.15, 1])
        _draw_accuracy(top, known)
        _draw_rest(bottom, known)
    return figure


def _draw_accuracy(figure: SubFigure, known: dict[tuple[str, str], Found]) -> None:
    panels = figure.subplots(2, 3, sharey=True)
    for column, name in enumerate(("basic", "per-arm", "subvalue")):
        for row, task in enumerate(("2arm", "10arm")):
            axes = panels[row, column]
            axes.set_title(f"{name}, {task.replace('arm', ' arms')}")
            if (name, task) in known:
                _draw_divergences(axes, known[name, task], PUBLISHED[name, task])
            dress(axes)
    panels[1, 1].set_xlabel("divergence from the true policy (KL, nats a trial)")
    handles = [
        Line2D([], [], color=OURS, marker="o", ms=4, label="hierrl: median and quartiles of subjects"),
        Line2D([], [], color=RIVAL, marker="o", ms=4, label="rlfit, same run"),
        Line2D([], [], color=INK, marker="D", ms=4, mfc="white", ls="none", label="published median"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=SMALL)


def _draw_divergences(axes: Axes, found: Found, published: dict[str, Any]) -> None:
    for place, (_, colour, own, other) in enumerate(ROWS):
        axes.axhline(place, color=PALE, lw=0.5, zorder=0)
        if other is not None:
            axes.plot(
                published[other].kl, place, "D", ms=4, mfc="white", mec=INK, mew=0.9, zorder=2, label=other
            )
        if own is not None and (row := found.rows.get(own)) and row["kl"]:
            low, middle, high = row["kl"]
            axes.plot([low, high], [place, place], color=colour, lw=1.2, zorder=3)
            axes.plot(middle, place, "o", color=colour, ms=4.5, zorder=4, label=own[1])
    axes.axvline(found.kl("certified"), color=GREY, lw=0.7, ls=(0, (3, 2)), zorder=1)
    axes.set_xscale("log")
    axes.set_yticks(range(len(ROWS)), [label for label, *_ in ROWS])
    axes.set_ylim(len(ROWS) - 0.4, -0.6)
    axes.xaxis.set_major_locator(FixedLocator([1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".lstrip("0")))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())


def _draw_rest(figure: SubFigure, known: dict[tuple[str, str], Found]) -> None:
    bounds, times = figure.subfigures(1, 2, width_ratios=[1.55, 1])
    panels = bounds.subplots(1, 2, sharey=True)
    for axes, task in zip(panels, ("2arm", "10arm"), strict=True):
        _draw_tightness(axes, {key: found for key, found in known.items() if key[1] == task})
        axes.set_title(f"bounds, {task.replace('arm', ' arms')}")
        dress(axes)
    panels[0].set_ylabel("share of subjects")
    handles = [Line2D([], [], color=colour, lw=1.5, label=name) for name, colour in MODEL_COLOURS.items()]
    handles += [
        Line2D([], [], color=INK, lw=1.2, label="hull"),
        Line2D([], [], color=INK, lw=1.2, ls=DASHED, label="monotone"),
    ]
    bounds.legend(handles=handles, loc="outside lower center", ncols=5, columnspacing=1.0, fontsize=SMALL)
    axes = times.subplots()
    _draw_times(axes, known)
    dress(axes)
    axes.tick_params(axis="x", which="minor", labelsize=SMALL)
    axes.tick_params(axis="x", which="major", length=0, pad=15)
    times.legend(loc="outside lower center", ncols=2, columnspacing=1.0, fontsize=SMALL)


def _draw_tightness(axes: Axes, known: dict[tuple[str, str], Found]) -> None:
    for (name, _), found in known.items():
        for method, dashes in (("hull", "-"), ("monotone", DASHED)):
            told = found(method)["tightness"]
            if told is not None:
                x = np.maximum(told["quantiles"], FLOOR)
                axes.plot(x, QUANTILES, color=MODEL_COLOURS[name], ls=dashes, lw=1.3)
    axes.set_xscale("log")
    axes.set_xlim(FLOOR, 30)
    axes.xaxis.set_major_locator(FixedLocator([1e-4, 1e-2, 1]))
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: {1e-4: "≤.0001", 1e-2: ".01", 1: "1"}[value])
    )
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(-0.02, 1.02)
    axes.set_yticks([0, 0.5, 1])
    axes.set_xlabel("bound minus best fit (nats)")


def _draw_times(axes: Axes, known: dict[tuple[str, str], Found]) -> None:
    keys = list(known)
    for k, (method, (label, colour)) in enumerate(TIMED.items()):
        times = [known[key](method)["ms"] for key in keys]
        axes.plot(range(len(keys)), times, color=colour, marker=MARKERS[k], ms=4, lw=1.1, label=label)
    axes.set_yscale("log")
    axes.set_xticks([2 * k + 0.5 for k in range(3)], ["basic", "per-arm", "subvalue"])
    axes.set_xticks(range(len(keys)), [task.removesuffix("arm") for _, task in keys], minor=True)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xlim(-0.3, len(keys) - 0.7)
    axes.set_title("ms a subject, end to end")
