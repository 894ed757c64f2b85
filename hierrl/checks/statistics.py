"""Statistics of behaviour: what a check compares between subjects and model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from hierrl.checks.rows import FloatArray, IntArray, Rows
from hierrl.data.table import nearest

LAGS = range(12)
"""Trials after a reversal; 0 is the first one. Trials before it are left out: where reversals answer to choices, these
are chosen by what came after them, which no model of choices can know."""
RUNS = (1, 2, 3, 4, 6, 9, 14)
"""Shortest run of each class."""

Measure = Callable[[Rows], Any]


@dataclass(frozen=True)
class Layout:
    """Classes that observed and simulated behaviour share."""

    edges: IntArray
    """Trials of a session at which bins begin, from 0."""
    longest: int
    arms: tuple[Any, ...]

    @property
    def told(self) -> range:
        """Arms whose shares are given: of two the second says it all."""
        return range(1 if len(self.arms) == 2 else 0, len(self.arms))

    @property
    def arm_labels(self) -> list[str]:
        """Of these."""
        return [str(self.arms[i]) for i in self.told]

    @property
    def bins(self) -> list[str]:
        """Trials of each bin, counted from 1."""
        last = [*self.edges[1:].tolist(), self.longest]
        return [_span(int(low) + 1, high) for low, high in zip(self.edges, last, strict=True)]

    def bin_of(self, rows: Rows) -> IntArray:
        """(n,)"""
        return np.searchsorted(self.edges, rows.position, "right").astype(np.int64) - 1


def layout_of(rows: Rows, *, bins: int) -> Layout:
    """Bins of trials with about as many choices each."""
    position = rows.position[rows.made]
    if position.size == 0:
        raise ValueError("No trial of the data is scored: there is nothing to check.")
    edges = np.quantile(position, np.linspace(0, 1, bins + 1)[:-1], method="inverted_cdf")
    edges[0] = 0
    return Layout(np.unique(edges).astype(np.int64), int(rows.position.max()) + 1, rows.arms)


@dataclass(frozen=True)
class Statistic:
    """A number, or numbers by some classes, of each subject."""

    name: str
    measure: Callable[[Rows, Layout], Any]
    """-> (S, ...)"""
    classes: Callable[[Layout], Mapping[str, list[Any]]] = field(default=lambda layout: {})
    """Dims after the subject, with their labels."""
    title: str = ""
    needs_best: bool = False
    generated_only: bool = False

    def of(self, rows: Rows, layout: Layout) -> xr.DataArray:
        """(subject, ...)"""
        values = self.measure(rows, layout)
        if isinstance(values, xr.DataArray):
            return _labelled(self.name, values, rows)
        values, classes = np.asarray(values, dtype=np.float64), self.classes(layout)
        if not classes and values.ndim == 2:
            classes = {f"{self.name}_class": list(range(values.shape[1]))}
        if values.shape != (rows.n_subjects, *map(len, classes.values())):
            raise ValueError(
                f"The statistic {self.name!r} must give one number (or one row of numbers) for each of "
                f"{rows.n_subjects} subjects; found an array of shape {values.shape}."
            )
        coords = {dim: np.array(labels) for dim, labels in classes.items()}
        return xr.DataArray(values, dims=("subject", *classes), coords=coords, name=self.name)


def _labelled(name: str, values: xr.DataArray, rows: Rows) -> xr.DataArray:
    if values.dims[:1] != ("subject",) or values.sizes["subject"] != rows.n_subjects:
        raise ValueError(
            f"The statistic {name!r} gave a DataArray with dims {values.dims} and sizes {dict(values.sizes)}; "
            f"the first dim must be 'subject', of size {rows.n_subjects}."
        )
    return values.drop_vars("subject", errors="ignore").astype(np.float64).rename(name)


def _curve(rows: Rows, layout: Layout) -> FloatArray:
    known = _known(rows.best) >= 0
    return rows.mean_by(rows.choice == rows.best, layout.bin_of(rows), n=layout.edges.size, where=known)


def _arm_curve(rows: Rows, layout: Layout) -> FloatArray:
    cell = layout.bin_of(rows)
    n = layout.edges.size
    return np.stack([rows.mean_by(rows.choice == i, cell, n=n) for i in layout.told], axis=1)


def _proportions(rows: Rows, layout: Layout) -> FloatArray:
    return np.stack([rows.mean(rows.choice == i) for i in layout.told], axis=1)


def _after_reversal(rows: Rows, layout: Layout) -> FloatArray:
    since = _known(rows.since)
    lag = np.where(since < len(LAGS), since, -1)
    return rows.mean_by(rows.choice == rows.best, lag, n=len(LAGS))


def _repeat(rows: Rows, layout: Layout) -> FloatArray:
    cell = np.searchsorted(RUNS, rows.run, "right").astype(np.int64) - 1
    return rows.mean_by(rows.choice == rows.last, cell, n=len(RUNS))


def _run_lengths(rows: Rows, layout: Layout) -> FloatArray:
    """A run ends where another arm follows; the last of a session has no end and is left out."""
    ended = (rows.run > 0) & (rows.choice != rows.last)
    cell = np.searchsorted(RUNS, rows.run, "right") - 1
    return np.stack([rows.mean(cell == k, where=ended) for k in range(len(RUNS))], axis=1)


def _known(values: IntArray | None) -> IntArray:
    assert values is not None  # `chosen` sees to it
    return values


def _span(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}\N{EN DASH}{high}"


def _run_labels(layout: Layout) -> dict[str, list[Any]]:
    ends = [high - 1 for high in RUNS[1:]]
    labels = [_span(low, high) for low, high in zip(RUNS, ends, strict=False)]
    return {"run": [*labels, f"{RUNS[-1]}+"]}


def _effect(rows: Rows, layout: Layout) -> FloatArray:
    return rows.mean(rows.stayed, rows.won) - rows.mean(rows.stayed, rows.lost)


BUILT_IN = (
    Statistic(
        "learning_curve",
        _curve,
        lambda one: {"trials": one.bins},
        "P(best arm) by trial",
        needs_best=True,
    ),
    Statistic(
        "arm_curve",
        _arm_curve,
        lambda one: {"arm": one.arm_labels, "trials": one.bins},
        "P(arm) by trial",
    ),
    Statistic("choice_proportions", _proportions, lambda one: {"arm": one.arm_labels}, "Share of choices"),
    Statistic("win_stay", lambda rows, _: rows.mean(rows.stayed, rows.won), title="P(stay) after a win"),
    Statistic(
        "lose_shift", lambda rows, _: rows.mean(~rows.stayed, rows.lost), title="P(shift) after no win"
    ),
    Statistic("reward_effect", _effect, title="P(stay) after a win minus after no win"),
    Statistic("repeat_by_run", _repeat, _run_labels, "P(same arm again) by run so far"),
    Statistic(
        "after_reversal",
        _after_reversal,
        lambda _: {"trials_after_reversal": list(LAGS)},
        "P(best arm) by trials after reversal",
        needs_best=True,
    ),
    Statistic("run_lengths", _run_lengths, _run_labels, "Share of runs by length", generated_only=True),
)
"""All but `arm_curve` (where the best arm is known) are computed if no statistics are asked for."""


def chosen(
    asked: Iterable[str | Measure] | Mapping[str, Measure] | None, *, mode: str, knows_best: bool
) -> list[Statistic]:
    """The statistics that are asked for, or those that can be computed."""
    if asked is None:
        twin = "arm_curve" if knows_best else "learning_curve"
        return [
            one
            for one in BUILT_IN
            if one.name != twin
            and not (one.needs_best and not knows_best)
            and not (one.generated_only and mode == "replay")
        ]
    if isinstance(asked, str) or callable(asked):
        asked = [asked]
    if isinstance(asked, Mapping):
        found = [_statistic(one, str(name)) for name, one in asked.items()]
    else:
        found = [_statistic(one) for one in asked]
    names = [one.name for one in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(
            f"Two statistics are called {twice[0]!r}. Give names: statistics={{'a name': function, ...}}."
        )
    for one in found:
        _check(one, mode, knows_best)
    return found


def _statistic(asked: Any, name: str | None = None) -> Statistic:
    if callable(asked):
        own = name or getattr(asked, "__name__", type(asked).__name__)
        return Statistic(own, lambda rows, _: asked(rows), title=own.replace("_", " "))
    known = {one.name: one for one in BUILT_IN}
    if asked not in known:
        raise ValueError(
            f"There is no statistic {asked!r}.{nearest(asked, list(known))} There are {', '.join(known)}; "
            "a function of hierrl.checks.Rows will do too."
        )
    return known[asked]


def _check(one: Statistic, mode: str, knows_best: bool) -> None:
    if one.needs_best and not knows_best:
        raise ValueError(
            f"The statistic {one.name!r} needs to know the best arm. Keep its column, hr.behaviour(..., "
            "covariates=['best']), and name it: predictive_check(..., best='best')."
        )
    if one.generated_only and mode == "replay":
        raise ValueError(
            f"The statistic {one.name!r} needs choices that build on each other, which a replay has not: use "
            "mode='generate', or 'repeat_by_run', which says the same one step ahead."
        )
