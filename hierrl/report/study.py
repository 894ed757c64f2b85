"""The data of a report: who chose how often, and whose data are odd."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.data.validity import session_starts, subject_index
from hierrl.report.parts import Cell, Light, Table, number, percent, table
from hierrl.summary import summarise
from hierrl.summary.behaviour import counts

FloatArray = npt.NDArray[np.float64]

QUARTILES = (0.0, 0.25, 0.5, 0.75, 1.0)
HEADS = ("lowest", "lower quartile", "median", "upper quartile", "highest")
SHARES = ("trials missed", "choices of the favourite arm", "choices of the same arm as before")
"""Measures that are given in per cent."""
WHAT_TO_DO = (
    "Look at their trials (hr.plot_subject). Leave subjects out only by a rule that was set before the fits, and "
    "report results with and without them."
)


@dataclass(frozen=True)
class Study:
    """What is told about the data."""

    facts: tuple[tuple[str, str], ...]
    columns: tuple[tuple[str, str], ...]
    """What a column was read as, and its name."""
    notes: tuple[str, ...]
    spread: Table
    light: Light


def study_of(data: xr.Dataset) -> Study:
    """Sum up the behaviour of the fits."""
    summary = summarise(data)
    columns = tuple(
        (role, ", ".join(map(str, column)) if isinstance(column, list) else str(column))
        for role, column in summary.columns.items()
    )
    light = (
        Light("mind", "Data", tuple(summary.oddities), WHAT_TO_DO, link="data")
        if summary.oddities
        else Light(
            "good",
            "Data",
            ("No subject chose one arm only, missed many trials or made few choices.",),
            link="data",
        )
    )
    return Study(tuple(summary.lines), columns, tuple(summary.notes), spread_table(data), light)


def spread_table(data: xr.Dataset) -> Table:
    """How far subjects differ in what they did."""
    rows = []
    for name, values in measures(data).items():
        known = values[np.isfinite(values)]
        if known.size and (name != "trials missed" or known.any()):
            write = percent if name in SHARES else number
            rows.append((name, *(Cell(write(float(q))) for q in np.quantile(known, QUARTILES))))
    return table("Of each subject", ("", *HEADS), rows)


def measures(data: xr.Dataset) -> dict[str, FloatArray]:
    """Numbers of each subject (S,)."""
    each = counts(data)
    subject, size = subject_index(data), data.sizes["subject"]
    choice, reward = data["choice"].values, data["reward"].values
    known = np.isfinite(reward) & (choice >= 0)
    starts = session_starts(data)
    before = np.append(-1, choice[:-1])
    paired = (choice >= 0) & (before >= 0) & ~starts

    def share(values: npt.ArrayLike, where: npt.NDArray[np.bool_]) -> FloatArray:
        total = np.bincount(subject[where], np.asarray(values, dtype=np.float64)[where], minlength=size)
        n = np.bincount(subject[where], minlength=size)
        return np.divide(total, n, out=np.full(size, np.nan), where=n > 0)

    made = choice >= 0
    favourite = np.max([share(choice == i, made) for i in range(data.sizes["arm"])], axis=0)
    return {
        "trials": each.trials.astype(np.float64),
        "trials missed": each.missed / np.maximum(each.trials, 1),
        "reward per choice": share(reward, known),
        "choices of the favourite arm": favourite,
        "choices of the same arm as before": share(choice == before, paired),
    }


def covariates_shown(data: xr.Dataset) -> list[str]:
    """Covariates of the subjects by name, as the behaviour knows them."""
    named = json.loads(data.attrs.get("columns", "{}")).get("covariates", [])
    return [name for name in ([named] if isinstance(named, str) else named) if name in data]


def headline(data: xr.Dataset) -> tuple[tuple[str, str], ...]:
    """Three numbers of the study, with what they count."""
    each = counts(data)
    missed = int(each.missed.sum()) / max(int(each.trials.sum()), 1)
    return (
        (number(data.sizes["subject"]), "subject" if data.sizes["subject"] == 1 else "subjects"),
        (number(int(each.trials.sum())), "trials"),
        (number(data.sizes["arm"]), "arms"),
        (percent(missed), "missed"),
    )
