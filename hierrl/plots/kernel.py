"""`plot_kernel`: what past outcomes do to a subject's choices, without a model and with one."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from hierrl.compare.estimates import subject_estimates
from hierrl.fits import check_fit, model_of, problem_of, settings_of
from hierrl.models.channels import Channel, Weight
from hierrl.plots.axes import title_of
from hierrl.plots.style import (
    COLOURS,
    DASHES,
    GREY,
    INK,
    PAGE,
    PALE,
    SMALL,
    Canvas,
    canvas,
    dress,
    grid,
    in_style,
)
from hierrl.plots.subject import found_subject

FloatArray = npt.NDArray[np.float64]

WIDEST = 3
"""Panels side by side."""
HEIGHT = 2.0
TOLD = 0.98
"""Share of each kernel and curve that the lags shown hold."""
FEWEST_LAGS = 6
POINTS = 200
"""Points of a curve."""
FEW_LAGS = 20
"""Up to which the axis of lags is linear."""
ROOM = 0.06
"""Share of the axis that is kept for a line of text."""


@dataclass(frozen=True)
class _Panel:
    """One kernel: a channel, or one arm of it."""

    label: str
    channel: Channel
    arm: Any
    """Its label; None if the kernel is that of all arms."""
    kernel: FloatArray
    """(lags,) in raw reward units."""


@dataclass(frozen=True)
class _Curve:
    """An exponential kernel at the estimates of a fit."""

    weight: float
    rate: float
    accumulates: bool
    told: str
    """The estimates in symbols."""

    def __call__(self, lag: npt.ArrayLike) -> FloatArray:
        """Effect of the outcome `lag` updates ago."""
        first = 1.0 if self.accumulates else self.rate
        return self.weight * first * (1.0 - self.rate) ** (np.asarray(lag, dtype=np.float64) - 1.0)


def plot_kernel(
    fit: xr.DataTree,
    subject: Hashable,
    *,
    mle: xr.DataTree | None = None,
    lags: int | None = None,
    figure: Canvas | None = None,
    figsize: tuple[float, float] | None = None,
) -> Canvas:
    r"""Draw a subject's free kernels by lag, and the exponentials that the model puts in their place.

    A dot is the effect on the logit of an arm of what it got so many updates ago, in raw reward units: any falling
    sequence, as the monotone relaxation finds it. The curves are :math:`w a (1 - a)^{k - 1}` at the estimates of
    rate and weight. The heading says how much better the free kernels fit, in nats: an upper bound on what another
    shape of forgetting could gain. Many lags are drawn on a logarithmic axis.

    Parameters
    ----------
    fit : DataTree
        From ``fit_convex(..., relaxation="monotone")``.
    subject : label
        Whose kernels.
    mle : DataTree, optional
        Another fit of the same model (of a posterior the mean), for a second curve.
    lags : int, optional
        How many lags are shown; if not given, as many as hold nearly all of the kernels.
    figure : Figure or SubFigure, optional
        What to draw into; a new figure if not given.
    figsize : (float, float), optional
        Inches of a new figure.

    Returns
    -------
    Figure
        An axes for each channel (and arm if it is per arm), labelled with the signal (``reward``,
        ``choice[left]``), with lines labelled ``free kernel``, ``convex`` and the name of the other estimator.

    Raises
    ------
    ValueError
        If the fit has no free kernels, there is no such subject, `mle` is a fit of another model, or `lags` is not
        positive.

    Notes
    -----
    A channel with two rates has a curve for each.

    Examples
    --------
    >>> import hierrl as hr
    >>> model, task = hr.model("forgetting_q"), hr.Bandit((0.8, 0.2), n_trials=120)
    >>> data = hr.simulate(model, task, {"alpha": 0.3, "beta": 4.0}, n_subjects=2, random_seed=1)
    >>> fit = hr.fit_convex(model, data, relaxation="monotone")
    >>> figure = hr.plot_kernel(fit, 1, mle=hr.fit_mle(model, data))
    >>> [line.get_label() for line in figure.axes[0].lines]
    ['_zero', 'free kernel', 'convex', 'mle']
    """
    _check(fit, mle, lags)
    label = found_subject(fit, subject)
    fits = {"convex": fit} | ({} if mle is None else {settings_of(mle)["estimator"]: mle})
    panels = list(_panels(fit, label))
    curves = [{name: _curves(other, label, panel) for name, other in fits.items()} for panel in panels]
    shown = lags or max(_enough(panel, own) for panel, own in zip(panels, curves, strict=True))
    rows, columns = grid(len(panels), WIDEST)
    figure = canvas(figure, figsize, (PAGE * max(columns, 1.5) / WIDEST, HEIGHT * rows + 0.8))
    with in_style():
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for place, panel, own in zip(axes, panels, curves, strict=False):
            _draw_kernel(place, panel, shown)
            _draw_curves(place, own, shown)
            dress(place)
        for place in axes[len(panels) :]:
            place.remove()
        _share_heights(axes[: len(panels)], panels)
        handles = {line.get_label(): line for line in axes[0].lines if not line.get_label().startswith("_")}
        figure.legend(handles=list(handles.values()), loc="outside lower center", ncols=3, fontsize=SMALL)
        figure.suptitle(_heading(fit, label), x=0.01, ha="left", fontsize=9)
    return figure


def _check(fit: xr.DataTree, mle: xr.DataTree | None, lags: int | None) -> None:
    check_fit(fit)
    if "relaxation" not in fit.children or "kernel" not in fit["relaxation"]:
        raise ValueError(
            f"This {settings_of(fit)['estimator']} fit has no free kernels. "
            'Fit them first: hr.fit_convex(model, data, relaxation="monotone").'
        )
    if mle is not None and model_of(mle).channels != model_of(fit).channels:
        raise ValueError(
            "`mle` is a fit of other channels than `fit`: their kernels can't share a panel. "
            "Fit one model with both."
        )
    if lags is not None and not lags > 0:
        raise ValueError(f"lags must be a positive number of lags; found {lags}.")


def _panels(fit: xr.DataTree, subject: Any) -> Iterator[_Panel]:
    """The kernels that are free, channel by channel."""
    kernel = fit["relaxation"].to_dataset()["kernel"].sel(subject=subject)
    for channel, name in zip(model_of(fit).channels, kernel["channel"].values.tolist(), strict=True):
        own = kernel.sel(channel=name)
        for arm in kernel["arm"].values.tolist() if channel.per_arm else [None]:
            one = own.isel(arm=0) if "arm" in own.dims else own
            values = (one if arm is None else own.sel(arm=arm)).values
            if np.isfinite(values).any():
                label = name if arm is None else f"{name}[{arm}]"
                yield _Panel(label, channel, arm, values[np.isfinite(values)])


def _curves(fit: xr.DataTree, subject: Any, panel: _Panel) -> list[_Curve]:
    """The exponentials of one kernel at the estimates of a fit: one for each distinct rate."""
    known = subject_estimates(fit, problem_of(fit))["estimate"]
    if subject not in known["subject"].values:
        raise ValueError(f"`mle` has no subject {subject!r}. Fit it to the same subjects.")
    estimate = known.sel(subject=subject)

    def value(part: str | float) -> float:
        if not isinstance(part, str):
            return part
        return float(estimate.sel(parameter=part if panel.arm is None else f"{part}[{panel.arm}]"))

    channel = panel.channel
    parsed = Weight.parse(channel.weight)
    weight = parsed.coefficient * float(np.prod([value(name) for name in parsed.names]))
    told = [_told(name, channel, value(name)) for name in parsed.names]
    found = []
    for rate in dict.fromkeys(channel.rates):
        own = [_told(rate, channel, value(rate))] if isinstance(rate, str) else []
        found.append(_Curve(weight, value(rate), channel.update == "accumulate", ", ".join([*own, *told])))
    return found


def _told(name: str, channel: Channel, value: float) -> str:
    """A parameter and its value; the panel's title says of which channel."""
    return f"{title_of(name.removesuffix(f'_{channel.signal}'))} = {value:.2g}".replace("-", "−")


def _enough(panel: _Panel, curves: dict[str, list[_Curve]]) -> int:
    """Lags that hold nearly all of a kernel and of its curves, among those that there are."""
    lag = np.arange(1, panel.kernel.size + 1)
    most = FEWEST_LAGS
    for values in (panel.kernel, *(curve(lag) for own in curves.values() for curve in own)):
        mass = np.cumsum(np.abs(values))
        if mass[-1] > 0:
            most = max(most, int(np.searchsorted(mass, TOLD * mass[-1])) + 1)
    return min(most, lag.size)


def _draw_kernel(axes: Axes, panel: _Panel, shown: int) -> None:
    kernel = panel.kernel[:shown]
    lag = np.arange(1, kernel.size + 1)
    axes.fill_between(lag, 0.0, kernel, color=PALE, lw=0, alpha=0.6, zorder=1)
    axes.axhline(0.0, color=GREY, lw=0.7, zorder=2, label="_zero")
    axes.plot(lag, kernel, "o", color=INK, ms=2.6, ls="none", zorder=3, label="free kernel")
    axes.set_label(panel.label)
    axes.set_title(panel.label)
    axes.set_xlabel("updates ago")
    axes.set_ylabel("log-odds per\nunit of reward" if panel.channel.is_outcome else "log-odds")
    if shown <= FEW_LAGS:
        axes.set_xlim(0.4, shown + 0.6)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        return
    axes.set_xscale("log")
    axes.set_xlim(0.9, 1.1 * shown)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _draw_curves(axes: Axes, curves: dict[str, list[_Curve]], shown: int) -> None:
    lag = np.geomspace(1, max(shown, 2), POINTS)
    told = [(curve.told, COLOURS[k]) for k, own in enumerate(curves.values()) for curve in own]
    for k, (name, own) in enumerate(curves.items()):
        for j, curve in enumerate(own):
            label = "_" if j else name
            axes.plot(lag, curve(lag), color=COLOURS[k], ls=DASHES[k], lw=1.5, zorder=4, label=label)
    # Kernels shrink with the lag, so that the far end of the panel is free, on the side of their sign.
    down = sum(curve.weight for own in curves.values() for curve in own) < 0
    for line, (text, colour) in enumerate(told):
        height = 1.3 * SMALL * (len(told) - 1 - line if down else -line)
        axes.annotate(
            text,
            (1.0, 0.0 if down else 1.0),
            (-2, height),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="right",
            va="bottom" if down else "top",
            fontsize=SMALL,
            color=colour,
        )
    low, high = axes.get_ylim()
    room = ROOM * len(told) * (high - low)
    axes.set_ylim(low - room * down, high + room * (not down))


def _share_heights(axes: npt.NDArray[Any], panels: list[_Panel]) -> None:
    """Panels of the arms of one channel have one y axis."""
    for channel in dict.fromkeys(panel.channel for panel in panels):
        own = [place for place, panel in zip(axes, panels, strict=True) if panel.channel == channel]
        ends = np.array([place.get_ylim() for place in own])
        for place in own:
            place.set_ylim(ends[:, 0].min(), ends[:, 1].max())


def _heading(fit: xr.DataTree, subject: Any) -> str:
    """Who, and what the free kernels gain."""
    relaxed, reached = (
        float(fit[group].to_dataset()["loglik"].sel(subject=subject)) for group in ("relaxation", "fit_stats")
    )
    return f"Subject {subject}   free kernels against exponentials: {relaxed - reached:+.2f} nats"
