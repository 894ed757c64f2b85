"""`plot_comparison`: how far models are apart, how frequent each is among subjects, and who follows which."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.lines import Line2D

from hierrl.compare import ModelComparison, RandomEffects
from hierrl.plots.style import COLOURS, GREY, INK, PAGE, PALE, SMALL, Canvas, canvas, dress, in_style

ROW, REST = 0.3, 1.25
"""Inches of a model's row, and of what is above and below the rows."""
WIDE, NARROW = (1.15, 0.9, 1.3), (1.2, 1.0)
"""Relative widths of panels, with and without random effects."""
SHADES = LinearSegmentedColormap.from_list("attribution", ["#FFFFFF", COLOURS[0]])
JITTER = 0.22
"""Half the height over which the subjects' marks of a row are spread."""
LINEAR = 1.0
"""Nats up to which the axis of subjects' differences is linear; beyond it is logarithmic."""
NUMBERS = 1.3
"""Where exceedance probabilities end, right of the axis of frequencies."""
TOO_SURE = 0.995
"""Probabilities from here on would be rounded to 1."""


def plot_comparison(
    comparison: ModelComparison,
    *,
    random_effects: bool | None = None,
    figure: Canvas | None = None,
    figsize: tuple[float, float] | None = None,
) -> Canvas:
    """Draw a comparison of models, a row for each, the best on top.

    Left: the difference of each model's score to the best, with one standard error (thick) and two (thin), over
    subjects. Then, with random effects: the expected frequency of each model among subjects, one standard deviation,
    and its protected exceedance probability; and the probability that each subject follows each model, a column per
    subject. Without: the subjects' own differences to the best model, and their median.

    Parameters
    ----------
    comparison : ModelComparison
        From `compare_models`.
    random_effects : bool, optional
        Whether random effects are drawn; if not given, where scores are by subject and there is more than one model.
    figure : Figure or SubFigure, optional
        What to draw into; a new figure if not given.
    figsize : (float, float), optional
        Inches of a new figure.

    Returns
    -------
    Figure
        With axes labelled ``"difference"``, and ``"frequency"`` and ``"attribution"``, or ``"subjects"``.

    Raises
    ------
    TypeError
        If `comparison` is another thing.
    ValueError
        If random effects are asked for where there are none.

    Examples
    --------
    >>> import hierrl as hr
    >>> task = hr.Bandit((0.8, 0.2), n_trials=100)
    >>> data = hr.simulate(hr.model("rw"), task, {"alpha": 0.3, "beta": 4.0}, n_subjects=5, random_seed=1)
    >>> fits = {name: hr.fit_mle(hr.model(name), data) for name in ("rw", "forgetting_q")}
    >>> hr.plot_comparison(hr.compare_models(fits)).savefig("comparison.pdf")
    """
    if not isinstance(comparison, ModelComparison):
        raise TypeError(
            f"plot_comparison() draws what hr.compare_models returned; found {type(comparison).__name__}."
        )
    if random_effects is None:
        random_effects = comparison.by == "subject" and len(comparison.table) > 1
    found = comparison.random_effects if random_effects else None
    models = comparison.table.index.tolist()
    figure = canvas(figure, figsize, (PAGE, REST + ROW * len(models)))
    with in_style():
        ratios = WIDE if found else NARROW
        panels = figure.subplots(1, len(ratios), sharey=True, width_ratios=ratios)
        _draw_differences(panels[0], comparison)
        if found:
            _draw_frequencies(panels[1], found, models)
            _draw_attribution(panels[2], found, models)
        else:
            _draw_subjects(panels[1], comparison.subjects.loc[:, models])
        panels[0].set_yticks(range(len(models)), models)
        panels[0].set_ylim(len(models) - 0.5, -0.5)
        for panel in panels:
            dress(panel)
            panel.tick_params(axis="y", length=0)
        _legend(figure, found)
    return figure


def _draw_differences(axes: Axes, comparison: ModelComparison) -> None:
    """Differences to the best model with one and two standard errors over subjects."""
    table = comparison.table
    error = table["subjects_se" if "subjects_se" in table else "difference_se"]
    y, difference = np.arange(len(table)), table["difference"]
    axes.axvline(0, color=GREY, lw=0.6, zorder=0)
    axes.hlines(y, difference - 2 * error, difference + 2 * error, color=INK, lw=1.0)
    axes.hlines(y, difference - error, difference + error, color=INK, lw=2.8)
    axes.plot(difference, y, "o", color=INK, mfc="white", ms=5, ls="none", label="difference")
    axes.set_xlabel("score, best = 0 (nats)")
    axes.set_title("difference")
    axes.set_label("difference")


def _draw_subjects(axes: Axes, scores: pd.DataFrame) -> None:
    """The subjects' differences to the best model, a mark each."""
    rng = np.random.default_rng(0)
    away = scores.sub(scores.iloc[:, 0], axis=0)
    axes.axvline(0, color=GREY, lw=0.6, zorder=0)
    for row, name in enumerate(away.columns[1:], start=1):
        y = row + rng.uniform(-JITTER, JITTER, len(away))
        axes.plot(away[name], y, "o", color=COLOURS[0], alpha=0.55, mew=0, ms=3.2, ls="none", label=name)
        axes.plot(away[name].median(), row, "|", color=INK, ms=14, mew=1.6)
    axes.set_xscale("symlog", linthresh=LINEAR)
    axes.set_xticks(_round_numbers(float(np.abs(away).max(axis=None))))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "\N{MINUS SIGN}"))
    axes.xaxis.set_minor_locator(_nowhere())
    axes.set_xlabel("the same by subject (nats)")
    axes.set_title("subjects")
    axes.set_label("subjects")


def _round_numbers(largest: float) -> list[float]:
    """Ticks of the axis of subjects: 0, and powers of ten in either direction."""
    powers = [10.0**k for k in range(int(np.ceil(np.log10(max(largest, 1.0)))) + 1) if 10.0**k <= largest]
    return [*(-power for power in reversed(powers)), 0.0, *powers]


def _nowhere() -> Any:
    from matplotlib.ticker import NullLocator

    return NullLocator()


def _draw_frequencies(axes: Axes, found: RandomEffects, models: list[str]) -> None:
    """Expected frequencies as bars, with their standard deviations and protected exceedance probabilities."""
    table = found.table.loc[models]
    y, frequency = np.arange(len(models)), table["frequency"]
    axes.barh(y, frequency, height=0.56, color=COLOURS[0], alpha=0.35)
    axes.hlines(y, frequency - table["frequency_sd"], frequency + table["frequency_sd"], color=INK, lw=1.0)
    for row, chance in enumerate(table["protected_exceedance"]):
        axes.text(NUMBERS, row, _probability(chance), va="center", ha="right", fontsize=SMALL)
    axes.axvline(1 / len(models), color=GREY, lw=0.6, ls=(0, (4, 2)), zorder=0)
    axes.set_xlim(0, NUMBERS)
    axes.spines["bottom"].set_bounds(0, 1)
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_xlabel("expected frequency", x=0.5 / NUMBERS)
    axes.set_title("frequency")
    axes.set_label("frequency")


def _probability(value: float) -> str:
    """Two digits; never 1 where it is only near 1."""
    if value >= TOO_SURE:
        return "> .99"
    return "< .01" if value < 1 - TOO_SURE else f"{value:.2f}".lstrip("0")


def _draw_attribution(axes: Axes, found: RandomEffects, models: list[str]) -> None:
    """Who follows which model: subjects in columns, sorted by their most probable model."""
    share = found.attribution[models].to_numpy()
    best = share.argmax(axis=1)
    order = np.lexsort((-share[np.arange(len(share)), best], best))
    n = len(share)
    axes.imshow(
        share[order].T,
        aspect="auto",
        cmap=SHADES,
        vmin=0,
        vmax=1,
        interpolation="nearest",
        extent=(0.5, n + 0.5, len(models) - 0.5, -0.5),
    )
    for row in range(1, len(models)):
        axes.axhline(row - 0.5, color=PALE, lw=0.6)
    axes.spines[["top", "right"]].set_visible(True)
    axes.set_xticks([1, n] if n > 1 else [1])
    axes.set_xlabel("subjects, by their model")
    axes.set_title("attribution")
    axes.set_label("attribution")


def _legend(figure: Canvas, found: RandomEffects | None) -> None:
    handles: list[Any] = [
        Line2D([], [], color=INK, lw=2.8, marker="o", mfc="white", ms=5, label="1 and 2 standard errors"),
    ]
    if found:
        risk = _probability(found.omnibus_risk)
        sign = "" if risk[0] in "<>" else "= "
        handles.append(
            Line2D(
                [],
                [],
                ls="none",
                label=f"right of the bars: protected exceedance (omnibus risk {sign}{risk})",
            )
        )
    else:
        handles.append(
            Line2D([], [], color=INK, marker="|", ms=10, mew=1.6, ls="none", label="median subject")
        )
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles))
