"""`plot_estimates`: the same subjects under several estimators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D

from hierrl.compare.checks import checked
from hierrl.compare.estimates import subject_estimates
from hierrl.fits import data_of, problem_of
from hierrl.formulas.cells import levels_of
from hierrl.kernels.problem import Problem
from hierrl.models.model import Parameter
from hierrl.plots.axes import Scale, name_with_unit, scale_of
from hierrl.plots.groups import Groups, groups_of
from hierrl.plots.style import COLUMN, GREY, INK, PAGE, Canvas, canvas, dress, grid, in_style

FloatArray = npt.NDArray[np.float64]

AXIS, STEP = 0.75, 0.7
"""Inches that the axis of a panel takes, and each estimator."""
LONG = 10
"""Letters from which on the name of an estimator is turned."""
MANY = 150
"""Subjects from which on lines go without points and are drawn as pixels in vector files."""
DODGE = 0.09
"""Distance of the summaries of two groups, in units of the distance of two estimators."""
TAILS = (0.025, 0.975)


def plot_estimates(
    fits: Mapping[str, xr.DataTree],
    *,
    parameters: Sequence[str] | None = None,
    group: str | None = None,
    figure: Canvas | None = None,
    figsize: tuple[float, float] | None = None,
) -> Canvas:
    """Draw every subject's estimates side by side, linked over estimators: how they differ, and what shrinks.

    One panel per scalar parameter. A thin line is a subject; large marks are the median over subjects with
    their quartiles; where one of the fits is a posterior, its population median with the 95 % ETI stands at
    the right. Estimates beyond the end of an axis are drawn at its end as triangles.

    Parameters
    ----------
    fits : mapping of str to DataTree
        Fits of one model to the same data, in the order in which they are to stand; posteriors count with
        their means.
    parameters : sequence of str, optional
        Which parameters (``"alpha"``, or one arm's ``"alpha[A]"``) and in which order; all if not given.
    group : str, optional
        A covariate of the subjects that gives the colours; if not given, the categorical covariate of the
        posterior's formula, if it has just one.
    figure : Figure or SubFigure, optional
        What to draw into; a new figure if not given.
    figsize : (float, float), optional
        Inches of a new figure.

    Returns
    -------
    Figure
        With an axes per parameter, labelled with its scalar. pyplot doesn't know the figure: save it with
        ``figure.savefig(path)``, or pass one of pyplot's.

    Raises
    ------
    ValueError
        If the fits can't be compared, or a parameter or covariate doesn't exist.

    Examples
    --------
    >>> import hierrl as hr
    >>> model, task = hr.model("rw"), hr.Bandit((0.8, 0.2), n_trials=120)
    >>> data = hr.simulate(model, task, {"alpha": 0.3, "beta": 4.0}, n_subjects=5, random_seed=1)
    >>> quick = hr.fit_convex(model, data)
    >>> figure = hr.plot_estimates({"convex": quick, "mle": hr.fit_mle(model, data, start=quick)})
    >>> [axes.get_label() for axes in figure.axes]
    ['alpha', 'beta']
    """
    fits = checked(fits)
    problem = problem_of(next(iter(fits.values())))
    labels = chosen_labels(problem, parameters)
    groups = groups_of(data_of(next(iter(fits.values()))), group or _of_formulas(fits))
    estimates = np.stack(
        [subject_estimates(fit, problem_of(fit))["estimate"].sel(parameter=labels) for fit in fits.values()]
    )
    populations = {
        name: fit["population"].to_dataset() for name, fit in fits.items() if "population" in fit.children
    }
    steps = len(fits) + bool(populations)
    width = AXIS + STEP * steps
    rows, columns = grid(len(labels), max(1, int(PAGE // width)))
    figure = canvas(figure, figsize, (max(COLUMN, columns * width), 2.7 * rows + 0.5))
    with in_style():
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for k, (panel, label) in enumerate(zip(panels, labels, strict=False)):
            scale = _scale(problem, labels, label, estimates)
            panel.set_label(label)
            _draw_subjects(panel, estimates[:, :, k], groups, scale)
            _draw_summaries(panel, estimates[:, :, k], groups, scale)
            medians = {
                name: population["median"].sel(parameter=label) for name, population in populations.items()
            }
            _draw_populations(panel, medians, groups, scale, at=len(fits))
            _finish(
                panel,
                list(fits),
                bool(populations),
                name_with_unit(label, parameter_of(problem, label)),
                scale,
            )
        for panel in panels[len(labels) :]:
            panel.remove()
        _legend(figure, groups, bool(populations))
    return figure


def _of_formulas(fits: Mapping[str, xr.DataTree]) -> str | None:
    """The categorical covariate of the posteriors' formulas, if there is just one."""
    populations = [fit["population"].to_dataset() for fit in fits.values() if "population" in fit.children]
    cells = [cell for population in populations for cell in population["cell"].values]
    found = {name for cell in cells for name in levels_of(str(cell))}
    return found.pop() if len(found) == 1 else None


def chosen_labels(problem: Problem, parameters: Sequence[str] | None) -> list[str]:
    """Labels of scalars by their own names or those of their parameters."""
    if parameters is None:
        return list(problem.labels)
    wanted = [parameters] if isinstance(parameters, str) else list(parameters)
    found = []
    for name in wanted:
        matching = [label for label in problem.labels if name in (label, label.partition("[")[0])]
        if not matching:
            raise ValueError(f"This model has no parameter {name!r}; it has {', '.join(problem.labels)}.")
        found += matching
    return list(dict.fromkeys(found))


def parameter_of(problem: Problem, label: str) -> Parameter:
    """The parameter behind a label."""
    return next(parameter for known, parameter, _ in problem.scalars if known == label)


def _scale(problem: Problem, labels: list[str], label: str, estimates: FloatArray) -> Scale:
    """All arms of a parameter share their axis."""
    name = label.partition("[")[0]
    same = [k for k, other in enumerate(labels) if other.partition("[")[0] == name]
    return scale_of(parameter_of(problem, label), estimates[:, :, same])


def _draw_subjects(axes: Axes, values: FloatArray, groups: Groups, scale: Scale) -> None:
    """Lines of the subjects from estimator to estimator, with room for the summaries; `values` is (estimator, S)."""
    n_subjects = values.shape[1]
    opacity = float(np.clip(3.2 / np.sqrt(n_subjects), 0.06, 0.75))
    starts, ends, shown = *_ports(len(values), groups), scale.inside(values)
    for level, member in zip(groups.levels, groups.member, strict=True):
        colour = groups.colours[level] if groups.covariate else GREY
        for k, (x, y) in enumerate(zip(starts[:-1], ends[1:], strict=True)):
            lines = [[(x, shown[k, s]), (y, shown[k + 1, s])] for s in np.flatnonzero(member)]
            look = {"alpha": opacity, "rasterized": n_subjects > MANY, "zorder": 1}
            axes.add_collection(
                LineCollection(lines, colors=colour, linewidths=0.8, label=f"subjects {level}", **look)
            )
        ports = [*enumerate(starts[:-1]), *enumerate(ends[1:], 1)] or [(0, starts[0])]
        for k, x in ports:
            if n_subjects <= MANY:
                at = np.full(member.sum(), x)
                axes.plot(
                    at,
                    shown[k, member],
                    ".",
                    color=colour,
                    ms=3.5,
                    mew=0,
                    alpha=min(1, 1.8 * opacity),
                    zorder=2,
                )
            _mark_beyond(axes, x, values[k, member], scale=scale, colour=colour)


def _ports(n_estimators: int, groups: Groups) -> tuple[FloatArray, FloatArray]:
    """Where lines leave an estimator to the right, and where they arrive from the left."""
    room = DODGE * (len(groups.levels) / 2 + 0.6)
    x = np.arange(n_estimators, dtype=float)
    return x + room, x - room


def _mark_beyond(axes: Axes, x: float, values: FloatArray, *, scale: Scale, colour: str) -> None:
    """Open triangles at the ends of the axis that some values lie beyond."""
    side = scale.beyond(values)
    for sign, marker, end in ((1, "^", scale.high), (-1, "v", scale.low)):
        if (side == sign).any():
            axes.plot(x, end, marker, mfc="white", mec=colour, mew=0.9, ms=5, ls="none", zorder=3)


def _offsets(n: int) -> FloatArray:
    return DODGE * (np.arange(n, dtype=np.float64) - (n - 1) / 2)


def _draw_summaries(axes: Axes, values: FloatArray, groups: Groups, scale: Scale) -> None:
    """Median and quartiles over the subjects of each group, at each estimator."""
    for level, member, offset in zip(groups.levels, groups.member, _offsets(len(groups.levels)), strict=True):
        colour = groups.colours[level]
        low, middle, high = scale.inside(np.nanquantile(values[:, member], [0.25, 0.5, 0.75], axis=1))
        x = np.arange(len(values)) + offset
        axes.vlines(x, low, high, color="white", lw=5.5, zorder=4)
        axes.vlines(x, low, high, color=colour, lw=3, zorder=5)
        axes.plot(
            x,
            middle,
            groups.markers[level],
            color=colour,
            mec="white",
            mew=1.0,
            ms=7.5,
            ls="none",
            zorder=6,
            label=f"median {level}",
        )


def _draw_populations(
    axes: Axes, medians: Mapping[str, xr.DataArray], groups: Groups, scale: Scale, *, at: float
) -> None:
    """Population medians of all cells with their 95 % ETI."""
    places = [(name, cell) for name, median in medians.items() for cell in median["cell"].values]
    for (name, cell), offset in zip(places, _offsets(len(places)), strict=True):
        draws = medians[name].sel(cell=cell).values
        level = groups.of_cell(cell)
        colour = groups.colours[level] if level else INK
        marker = groups.markers[level] if level else "D"
        low, middle, high = scale.inside(np.quantile(draws, [TAILS[0], 0.5, TAILS[1]]))
        axes.vlines(at + offset, low, high, color=colour, lw=1.6, zorder=5)
        axes.plot(
            at + offset,
            middle,
            marker,
            color="white",
            mec=colour,
            mew=1.5,
            ms=6.5,
            zorder=6,
            label=f"population {cell}",
        )


def _finish(axes: Axes, names: list[str], with_population: bool, title: str, scale: Scale) -> None:
    ticks = [*names, *(["population"] if with_population else [])]
    turned = {"rotation": 30, "ha": "right"} if max(map(len, ticks)) > LONG else {}
    axes.set_xticks(np.arange(len(ticks)), ticks, **turned)
    axes.set_xlim(-0.4, len(ticks) - 0.6)
    axes.set_ylabel(title)
    scale.apply(axes, "y")
    dress(axes)


def _legend(figure: Canvas, groups: Groups, with_population: bool) -> None:
    """Colours on top, marks below."""
    together = {"columnspacing": 1.2, "handletextpad": 0.5}
    if groups.covariate:
        look = {"mec": "white", "ms": 7, "lw": 1}
        handles = [Line2D([], [], ls="none", label=groups.covariate.replace("_", " ") + ":")]
        for level in groups.levels:
            handles.append(
                Line2D([], [], color=groups.colours[level], marker=groups.markers[level], label=level, **look)
            )
        figure.legend(handles=handles, loc="outside upper left", ncols=min(len(handles), 7), **together)
    marks = [
        Line2D([], [], color=INK, marker="o", mec="white", ms=7, lw=3, label="subjects: median, quartiles")
    ]
    if with_population:
        look = {"mfc": "white", "mew": 1.3, "ms": 6, "lw": 1.6}
        marks.append(Line2D([], [], color=INK, marker="D", label="population: median, 95 % ETI", **look))
    figure.legend(handles=marks, loc="outside lower left", ncols=len(marks), **together)
