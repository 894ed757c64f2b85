"""`plot_prior_sensitivity`: the population under priors of several widths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from hierrl.data.table import nearest
from hierrl.plots.axes import title_of
from hierrl.plots.style import INK, PAGE, Canvas, abreast, canvas, colour_of, dress, in_style, marker_of

NEEDED = ("prior", "quantity", "parameter", "of", "mean", "eti95_low", "eti95_high")
NAMES = {
    "mu": "population mean\n(link scale)",
    "sigma": "spread\n(sd, link scale)",
    "correlation": "correlation",
    "median": "population median",
    "mean": "population mean",
}
WIDEST = 6
"""Panels side by side."""
APART = 0.16
"""Distance of the marks of one prior."""


def plot_prior_sensitivity(
    table: pd.DataFrame,
    *,
    parameters: Sequence[str] | None = None,
    quantities: Sequence[str] = ("mu", "sigma"),
    figure: Canvas | None = None,
    figsize: tuple[float, float] | None = None,
) -> Canvas:
    """Draw what a posterior says about its population under each prior, from narrow to wide.

    A column of panels for each parameter, a row for each quantity: posterior mean and 95 % ETI. Flat: the data
    decide. Sloping: the prior does, and the posterior under the weak prior should be reported too.

    Parameters
    ----------
    table : DataFrame
        From `prior_sensitivity`.
    parameters : sequence of str, optional
        Which parameters and in which order; all if not given.
    quantities : sequence of str
        Of ``"mu"``, ``"sigma"``, ``"correlation"``, ``"median"``, ``"mean"``.
    figure : Figure or SubFigure, optional
        What to draw into; a new figure if not given.
    figsize : (float, float), optional
        Inches of a new figure.

    Returns
    -------
    Figure
        With axes labelled ``"<parameter> <quantity>"``.

    Raises
    ------
    ValueError
        If the table is another one, or lacks a parameter or quantity that is asked for.

    Examples
    --------
    >>> import hierrl as hr
    >>> table = hr.prior_sensitivity(hr.load("posterior.nc"))  # doctest: +SKIP
    >>> hr.plot_prior_sensitivity(table).savefig("sensitivity.pdf")  # doctest: +SKIP
    """
    if missing := [name for name in NEEDED if name not in table]:
        raise ValueError(f"This is no table of hr.prior_sensitivity: it has no column {missing[0]!r}.")
    labels = _known(parameters, list(table["parameter"].unique()), "parameter")
    rows = _known(quantities, list(table["quantity"].unique()), "quantity")
    priors = list(table["prior"].unique())
    wide = min(PAGE, 1.0 + PAGE / 3 * len(labels)) if len(labels) <= WIDEST else PAGE * len(labels) / WIDEST
    figure = canvas(figure, figsize, (wide, 0.6 + 1.7 * len(rows)))
    with in_style():
        panels = figure.subplots(len(rows), len(labels), squeeze=False, sharex=True)
        for i, quantity in enumerate(rows):
            for j, label in enumerate(labels):
                found = table.loc[(table["parameter"] == label) & (table["quantity"] == quantity)]
                _draw(panels[i, j], found, priors)
                panels[i, j].set_label(f"{label} {quantity}")
                if i == 0:
                    panels[i, j].set_title(title_of(label))
                if j == 0:
                    panels[i, j].set_ylabel(NAMES[quantity])
        figure.supxlabel("width of the empirical prior; the weak prior", fontsize="medium")
        _legend(figure, panels.ravel().tolist())
    return figure


def _known(asked: Sequence[str] | None, there: list[str], what: str) -> list[str]:
    if asked is None:
        return there
    asked = [asked] if isinstance(asked, str) else list(asked)
    for name in asked:
        if name not in there:
            raise ValueError(
                f"The table has no {what} {name!r}.{nearest(name, there)} It has {', '.join(there)}."
            )
    return asked


def _draw(axes: Axes, found: pd.DataFrame, priors: list[str]) -> None:
    """Mean and interval of each number of one parameter and quantity, side by side at each prior."""
    numbers = list(dict.fromkeys(found["of"]))
    colours, markers = colour_of(numbers), marker_of(numbers)
    for k, number in enumerate(numbers):
        part = found[found["of"] == number].set_index("prior").reindex(priors)
        x = np.arange(len(priors)) + APART * (k - (len(numbers) - 1) / 2)
        colour = colours[number] if len(numbers) > 1 else INK
        axes.vlines(x, part["eti95_low"], part["eti95_high"], color=colour, lw=1.2)
        axes.plot(
            x,
            part["mean"],
            ls="-",
            lw=0.6,
            marker=markers[number],
            ms=4.5,
            color=colour,
            label=number or "all",
        )
    axes.set_xticks(range(len(priors)), priors)
    axes.set_xlim(-0.5, len(priors) - 0.5)
    dress(axes)


def _legend(figure: Canvas, panels: list[Axes]) -> None:
    """One entry for each number that some panel tells from others."""
    entries = {}
    for panel in panels:
        handles, names = panel.get_legend_handles_labels()
        if len(names) > 1:
            entries |= dict(zip(names, handles, strict=True))
    if entries:
        columns = abreast(figure, list(entries), 4)
        figure.legend(entries.values(), entries.keys(), loc="outside upper left", ncols=columns)
