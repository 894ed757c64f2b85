"""`plot_subject`: one subject's trials."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from hierrl.compare.estimates import subject_estimates
from hierrl.data.table import listed, nearest
from hierrl.data.validity import session_starts
from hierrl.fits import check_fit, data_of, problem_of
from hierrl.latents import latents
from hierrl.plots.axes import title_of
from hierrl.plots.style import GREY, INK, PAGE, PALE, SMALL, Canvas, canvas, colour_of, dress, in_style

FloatArray = npt.NDArray[np.float64]

ENOUGH = 400
"""Trials from which on no further session is shown unless it is asked for."""
DRAWS = 400
"""Draws behind a band."""
BAND = (0.025, 0.975)
STEM = 0.72
"""Height of the stem of the largest reward, in distances of rows."""
MOST_PARAMETERS = 6
MOST_LABELS = 12
"""Sessions whose names fit above the panels."""


@dataclass(frozen=True)
class _Shown:
    """The trials that are drawn, and what they are called."""

    data: xr.Dataset
    x: npt.NDArray[np.int64]
    """Counted from 1 over all sessions shown."""
    sessions: str
    """Which sessions of how many, in words; empty for a single one."""

    @property
    def arms(self) -> list[str]:
        """Names of the arms; a bare number would look like a tick of the axis."""
        return [
            str(arm) if isinstance(arm, str) else f"arm {arm}" for arm in self.data["arm"].values.tolist()
        ]


def plot_subject(
    fit: xr.DataTree,
    subject: Hashable,
    *,
    sessions: Hashable | Sequence[Hashable] | None = None,
    figure: Canvas | None = None,
    figsize: tuple[float, float] | None = None,
) -> Canvas:
    """Draw what one subject chose and earned, and what the fit says of it, trial by trial.

    On top a row for each arm: a dot is a choice, its stem the reward (downward if negative, none if zero; a
    ring for a reward that is unknown), a cross a missed choice, a grey dot a choice that was not scored.
    Below the values that the arms had before the trial, and the probabilities of the choices (of the second
    arm, if there are two). Posteriors are drawn with their mean and 95 % ETI. Vertical lines part sessions.

    Parameters
    ----------
    fit : DataTree
        From a ``fit_*`` function.
    subject : label
        Whose trials.
    sessions : label or list of labels, optional
        Which sessions; if not given, the first ones, up to some 400 trials. ``"all"`` takes all.
    figure : Figure or SubFigure, optional
        What to draw into; a new figure if not given.
    figsize : (float, float), optional
        Inches of a new figure.

    Returns
    -------
    Figure
        Axes labelled ``choices``, ``value`` (one per outcome channel) and ``probability``, with a common x
        axis.

    Raises
    ------
    ValueError
        If there is no such subject or session.

    Examples
    --------
    >>> import hierrl as hr
    >>> model, task = hr.model("rw"), hr.Bandit((0.8, 0.2), n_trials=120)
    >>> data = hr.simulate(model, task, {"alpha": 0.3, "beta": 4.0}, n_subjects=2, random_seed=1)
    >>> figure = hr.plot_subject(hr.fit_convex(model, data), data["subject"].values[0])
    >>> [axes.get_label() for axes in figure.axes]
    ['choices', 'value', 'probability']
    """
    check_fit(fit)
    label = found_subject(fit, subject)
    shown = _trials(data_of(fit), label, sessions)
    told = _told(fit, shown.data)
    channels = _channels(told)
    ratios = [0.42 * (len(shown.arms) + 1), *[1.5] * len(channels), 1.3]
    figure = canvas(figure, figsize, (PAGE, 0.75 + sum(ratios)))
    with in_style():
        panels = figure.subplots(len(ratios), 1, sharex=True, height_ratios=ratios, squeeze=False).ravel()
        _draw_choices(panels[0], shown)
        for panel, (name, value) in zip(panels[1:], channels.items(), strict=False):
            panel.set_label("value" if len(channels) == 1 else f"value {name}")
            _draw_lines(panel, shown, value)
            panel.set_ylabel("value\n(reward units)" if len(channels) == 1 else f"value\n({name})")
        _draw_probabilities(panels[-1], shown, told["probability"])
        for panel in panels:
            _draw_borders(panel, shown)
            dress(panel)
        _name_sessions(panels[0], shown)
        panels[0].set_title(_heading(fit, label, shown), pad=16 if _borders(shown).size else 6, fontsize=9)
        panels[-1].set_xlabel("trial")
        panels[-1].xaxis.set_major_locator(MaxNLocator(8, integer=True))
        panels[-1].set_xlim(0.5 - 0.005 * shown.x.size, shown.x.size + 0.5 + 0.005 * shown.x.size)
        figure.align_ylabels(panels)
    return figure


def found_subject(fit: xr.DataTree, subject: Hashable) -> Any:
    """The label of a subject, by itself or as text."""
    known = data_of(fit)["subject"].values.tolist()
    matching = [label for label in known if subject in (label, str(label))]
    if not matching:
        raise ValueError(
            f"There is no subject {subject!r} in this fit.{nearest(subject, known)} It has {listed(known)}."
        )
    return matching[0]


def _trials(data: xr.Dataset, subject: Any, sessions: Any) -> _Shown:
    """The rows of a subject, or of some of its sessions."""
    one = data.isel(trial=np.flatnonzero(data["trial_subject"].values == subject)).sel(subject=[subject])
    label = one["trial_session"].values
    known = list(dict.fromkeys(label.tolist()))
    if sessions is None:
        starts = np.append(np.flatnonzero(session_starts(one)), label.size)
        wanted = known[: max(1, int((starts[1:] <= ENOUGH).sum()))]
    elif isinstance(sessions, str) and sessions == "all":
        wanted = known
    else:
        asked = (
            [sessions] if isinstance(sessions, str) or not isinstance(sessions, Sequence) else list(sessions)
        )
        if strange := [name for name in asked if name not in known]:
            raise ValueError(f"Subject {subject} has no session {strange[0]!r}; it has {listed(known)}.")
        wanted = [name for name in known if name in asked]
    rows = np.flatnonzero(np.isin(label, wanted))
    few = " and ".join(map(str, wanted)) if len(wanted) <= 2 else f"{wanted[0]} to {wanted[-1]}"
    several = "s" if len(wanted) > 1 else ""
    words = "" if len(known) == 1 else f"session{several} {few} ({len(wanted)} of {len(known)})"
    return _Shown(one.isel(trial=rows), np.arange(1, rows.size + 1), words)


def _told(fit: xr.DataTree, data: xr.Dataset) -> xr.Dataset:
    """Latents of some trials, with draws in one dim; a point fit is one draw."""
    chains = fit["posterior"].sizes["chain"]
    told = latents(fit, data=data, draws=max(1, DRAWS // chains))
    if "chain" not in told.dims:
        return told.expand_dims(sample=1)
    return told.stack(sample=("chain", "draw"), create_index=False).transpose("sample", ...)


def _channels(told: xr.Dataset) -> dict[str, xr.DataArray]:
    """Values (sample, trial, arm) of each outcome channel."""
    if "value" not in told:
        return {}
    if "channel" not in told["value"].dims:
        return {"value": told["value"]}
    return {str(name): told["value"].sel(channel=name) for name in told["channel"].values}


def _draw_choices(axes: Axes, shown: _Shown) -> None:
    data, colours = shown.data, colour_of(shown.arms)
    choice, reward, scored = (data[name].values for name in ("choice", "reward", "scored"))
    height = _stems(reward)
    size = float(np.clip(260 / shown.x.size, 0.8, 4.0))
    for arm, name in enumerate(shown.arms):
        row, mine = -float(arm), choice == arm
        x = shown.x[mine]
        axes.vlines(
            x,
            row,
            row + height[mine],
            color=colours[name],
            lw=float(np.clip(400 / shown.x.size, 0.4, 2.0)),
            zorder=2,
        )
        unknown = mine & np.isnan(reward)
        looks: list[tuple[npt.NDArray[np.bool_], dict[str, Any]]] = [
            (mine & scored & ~unknown, {"color": colours[name], "label": f"choices {name}"}),
            (mine & ~scored, {"color": GREY, "label": f"not scored {name}"}),
            (unknown & scored, {"mfc": "white", "mec": colours[name], "label": f"unknown reward {name}"}),
        ]
        for which, style in looks:
            if which.any():
                axes.plot(
                    shown.x[which],
                    np.full(which.sum(), row),
                    "o",
                    ms=size,
                    mew=0.6,
                    ls="none",
                    zorder=3,
                    **style,
                )
    names = list(shown.arms)
    if (choice < 0).any():
        names.append("missed")
        at = shown.x[choice < 0]
        axes.plot(
            at,
            np.full(at.size, 1.0 - len(names)),
            "x",
            color=INK,
            ms=max(size, 2.5),
            mew=0.8,
            ls="none",
            label="missed",
        )
    _name_rows(axes, names, colours, downward=bool((height < 0).any()))
    axes.set_label("choices")


def _stems(reward: FloatArray) -> FloatArray:
    """Heights of the stems: rewards as shares of the largest one."""
    largest = np.nanmax(np.abs(reward), initial=0.0)
    return STEM * np.nan_to_num(reward) / (largest or 1.0)


def _name_rows(axes: Axes, names: list[str], colours: dict[str, str], *, downward: bool) -> None:
    axes.set_yticks(-np.arange(len(names), dtype=float), names)
    for text, name in zip(axes.get_yticklabels(), names, strict=True):
        text.set_color(colours.get(name, INK))
    axes.set_ylim(-len(names) + 1 - (0.8 if downward else 0.35), 0.9)
    axes.set_ylabel("choice\nand reward")
    axes.tick_params(axis="y", length=0)


def _draw_lines(
    axes: Axes, shown: _Shown, values: xr.DataArray, *, arms: Sequence[str] | None = None
) -> None:
    """Mean over draws of (sample, trial, arm) with a band, broken where sessions change."""
    colours = colour_of(shown.arms)
    for arm, name in enumerate(shown.arms):
        if arms is not None and name not in arms:
            continue
        draws = values.isel(arm=arm).transpose("sample", "trial").values
        for k, rows in enumerate(np.split(np.arange(shown.x.size), _borders(shown))):
            x = shown.x[rows]
            if len(draws) > 1:
                low, high = np.quantile(draws[:, rows], BAND, axis=0)
                axes.fill_between(x, low, high, color=colours[name], alpha=0.22, lw=0)
            style = {
                "color": colours[name],
                "lw": 1.3 if shown.x.size <= ENOUGH else 0.8,
                "label": name if k == 0 else "_",
            }
            axes.plot(x, draws[:, rows].mean(axis=0), marker="o" if x.size == 1 else None, ms=2, **style)


def _draw_probabilities(axes: Axes, shown: _Shown, probability: xr.DataArray) -> None:
    axes.set_label("probability")
    two = len(shown.arms) == 2
    axes.axhline(1 / len(shown.arms), color=GREY, lw=0.7, ls=(0, (3, 2)), zorder=1, label="chance")
    _draw_lines(axes, shown, probability, arms=shown.arms[1:] if two else None)
    axes.set_ylim(-0.04, 1.04)
    axes.set_yticks([0, 0.5, 1])
    axes.set_ylabel(f"P({shown.arms[1]})" if two else "P(choice)")


def _borders(shown: _Shown) -> npt.NDArray[np.int64]:
    """Rows at which a new session starts."""
    return np.flatnonzero(session_starts(shown.data))[1:]


def _draw_borders(axes: Axes, shown: _Shown) -> None:
    for row in _borders(shown):
        axes.axvline(float(shown.x[row]) - 0.5, color=PALE, lw=1.2, zorder=0, label="_session")


def _name_sessions(axes: Axes, shown: _Shown) -> None:
    starts = np.append(0, _borders(shown))
    if not 1 < starts.size <= MOST_LABELS:
        return
    for row in starts:
        name = f"session {shown.data['trial_session'].values[row]}"
        axes.annotate(
            name,
            (shown.x[row], 1.0),
            (1, 2),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            fontsize=SMALL,
            color=GREY,
        )


def _heading(fit: xr.DataTree, subject: Any, shown: _Shown) -> str:
    """Who, which sessions, and the estimates."""
    problem = problem_of(fit)
    estimate = subject_estimates(fit, problem)["estimate"].sel(subject=subject)
    values = [
        f"{title_of(str(k))} = {v:.3g}"
        for k, v in zip(estimate["parameter"].values, estimate.values, strict=True)
    ]
    parts = [
        f"Subject {subject}",
        shown.sessions,
        ", ".join(values) if len(values) <= MOST_PARAMETERS else "",
    ]
    return "   ".join(part for part in parts if part)
