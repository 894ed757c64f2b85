"""`plot_population`: what a posterior says about the population of each parameter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from scipy.stats import gaussian_kde

from hierrl.contrast import interval_of, population_of
from hierrl.fits import problem_of
from hierrl.formulas.cells import EVERYBODY, levels_of
from hierrl.models.model import Parameter
from hierrl.plots.axes import name_with_unit, scale_of
from hierrl.plots.estimates import chosen_labels, parameter_of
from hierrl.plots.style import INK, PAGE, Canvas, abreast, canvas, colour_of, dress, grid, in_style

FloatArray = npt.NDArray[np.float64]

WIDEST = 3
POINTS = 400
"""Points of a density curve."""
TALL = 0.68
"""Height of a density, in distances of rows."""
BELOW = 0.12, 0.24
"""Where the intervals of median and mean lie below their row."""
INNER = 0.5
"""Probability of the thick part of an interval."""


def plot_population(
    posterior: xr.DataTree,
    *,
    parameters: Sequence[str] | None = None,
    interval: Literal["eti", "hdi"] = "eti",
    prob: float = 0.95,
    figure: Canvas | None = None,
    figsize: tuple[float, float] | None = None,
) -> Canvas:
    """Draw the posterior of the population of each parameter on the natural scale, a row for each group.

    The curve is the posterior density of the population **median** (a typical subject); below it lie the
    median with its interval (filled mark) and the population **mean** (the average over subjects; open mark).
    The thick part of an interval holds 50 %.

    Parameters
    ----------
    posterior : DataTree
        From `fit_posterior`.
    parameters : sequence of str, optional
        Which parameters (``"alpha"``, or one arm's ``"alpha[A]"``) and in which order; all if not given.
    interval : {"eti", "hdi"}
        Equal-tailed or highest-density intervals.
    prob : float
        Their probability, in (0, 1).
    figure : Figure or SubFigure, optional
        What to draw into; a new figure if not given.
    figsize : (float, float), optional
        Inches of a new figure.

    Returns
    -------
    Figure
        With an axes per parameter, labelled with its scalar.

    Raises
    ------
    ValueError
        If the fit has no population (a point fit), or a parameter doesn't exist.

    Examples
    --------
    >>> import hierrl as hr
    >>> post = hr.load("posterior.nc")  # doctest: +SKIP
    >>> hr.plot_population(post).savefig("population.pdf")  # doctest: +SKIP
    """
    population, ends = population_of(posterior), interval_of(interval, prob)
    problem = problem_of(posterior)
    labels = chosen_labels(problem, parameters)
    cells = [str(cell) for cell in population["cell"].values]
    rows, columns = grid(len(labels), WIDEST)
    height = 1.0 + 0.62 * len(cells)
    figure = canvas(figure, figsize, (PAGE * max(columns, 1.5) / WIDEST, height * rows + 0.35))
    with in_style():
        panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
        for panel, label in zip(panels, labels, strict=False):
            parameter = parameter_of(problem, label)
            draws = population[["median", "mean"]].sel(parameter=label)
            _draw_cells(panel, draws, cells, parameter=parameter, ends=ends)
            panel.set_label(label)
            panel.set_xlabel(name_with_unit(label, parameter))
            dress(panel)
        for panel in panels[len(labels) :]:
            panel.remove()
        _label_rows(list(panels[: len(labels)]), cells, columns)
        _legend(figure, f"{100 * prob:g} % {interval.upper()}")
    return figure


def _draw_cells(
    axes: Axes,
    draws: xr.Dataset,
    cells: list[str],
    *,
    parameter: Parameter,
    ends: Callable[[FloatArray], tuple[float, float]],
) -> None:
    """A density with its intervals for each cell, the first on top."""
    colours = colour_of(cells) if len(cells) > 1 else {cells[0]: INK}
    scale = scale_of(parameter, np.concatenate([_most(draws[name].values) for name in ("median", "mean")]))
    for row, cell in enumerate(cells):
        base, colour = -float(row), colours[cell]
        median, mean = (draws[name].sel(cell=cell).values.ravel() for name in ("median", "mean"))
        x, density = density_of(median, parameter.link)
        axes.fill_between(
            x, base, base + TALL * density, color=colour, alpha=0.3, lw=0, label=f"density {cell}"
        )
        axes.plot(x, base + TALL * density, color=colour, lw=1.2)
        axes.axhline(base, color=colour, lw=0.5, alpha=0.6)
        for values, below, face, name in (
            (median, BELOW[0], colour, "median"),
            (mean, BELOW[1], "white", "mean"),
        ):
            _draw_interval(
                axes, values, base - below, colour=colour, face=face, ends=ends, label=f"{name} {cell}"
            )
    scale.apply(axes, "x")
    axes.set_ylim(-len(cells) + 1 - 0.42, TALL + 0.1)


def _draw_interval(
    axes: Axes,
    draws: FloatArray,
    y: float,
    *,
    colour: str,
    face: str,
    ends: Callable[[FloatArray], tuple[float, float]],
    label: str,
) -> None:
    low, high = ends(draws)
    inner = np.quantile(draws, [(1 - INNER) / 2, (1 + INNER) / 2])
    axes.hlines(y, low, high, color=colour, lw=1.0)
    axes.hlines(y, *inner, color=colour, lw=2.6)
    axes.plot(np.median(draws), y, "o", mfc=face, mec=colour, mew=1.0, ms=4.8, ls="none", label=label)


def _most(draws: FloatArray) -> FloatArray:
    """Draws without the far tails, which would stretch an axis."""
    flat = draws.reshape(-1, draws.shape[-1])
    return np.quantile(flat, np.linspace(0.001, 0.999, 201), axis=0).ravel()


def density_of(draws: FloatArray, link: str) -> tuple[FloatArray, FloatArray]:
    """Kernel density of draws with its peak at 1: estimated on the link scale, so that it respects bounds."""
    forth, back, slope = _LINKS[link]
    with np.errstate(divide="ignore"):
        eta = forth(draws)
    eta = eta[np.isfinite(eta)]
    if eta.size < 2 or np.ptp(eta) < 1e-9:
        at = float(np.median(draws))
        return np.array([at, at]), np.array([0.0, 1.0])
    room = 0.15 * np.ptp(eta)
    grid_ = np.linspace(eta.min() - room, eta.max() + room, POINTS)
    x = back(grid_)
    density = gaussian_kde(eta)(grid_) / slope(x)
    return x, density / density.max()


_LINKS: dict[str, tuple[Callable[[FloatArray], FloatArray], ...]] = {
    "logit": (lambda x: np.log(x / (1 - x)), lambda eta: 1 / (1 + np.exp(-eta)), lambda x: x * (1 - x)),
    "log": (np.log, np.exp, lambda x: x),
    "identity": (lambda x: x, lambda eta: eta, np.ones_like),
}
"""To the link scale, back, and the derivative of the way back."""


def _label_rows(panels: Sequence[Axes], cells: list[str], columns: int) -> None:
    names = ["" if cell == EVERYBODY else "\n".join(levels_of(cell).values()) for cell in cells]
    covariates = "\n".join(name.replace("_", " ") for name in levels_of(cells[0]))
    for k, panel in enumerate(panels):
        panel.set_yticks(-np.arange(len(cells), dtype=float), names, va="bottom")
        panel.tick_params(axis="y", length=0, labelleft=k % columns == 0)
        panel.spines["left"].set_visible(False)
        if k % columns == 0 and covariates:
            panel.set_ylabel(covariates)


def _legend(figure: Canvas, name: str) -> None:
    line: dict[str, Any] = {"color": INK, "marker": "o", "ms": 4.8, "lw": 1.0}
    handles = [
        Line2D([], [], label=f"population median, 50 % and {name}", **line),
        Line2D([], [], label="population mean", mfc="white", **line),
    ]
    columns = abreast(figure, [str(handle.get_label()) for handle in handles], 2)
    figure.legend(handles=handles, loc="outside upper left", ncols=columns)
