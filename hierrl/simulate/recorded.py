"""`Recorded`: the schedule of real behaviour, to be played again by a model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from hierrl.data import check_behaviour
from hierrl.simulate.schedule import FloatArray, IntArray, Schedule

OUTCOMES = ("reward", "gain", "loss")


@dataclass(frozen=True, eq=False)
class Recorded:
    """The trials of recorded behaviour: sessions, missed and forced trials, arms available, columns, payoffs.

    What an arm pays on a trial is what it paid there, if it was chosen or the forgone reward is known.
    Otherwise it is what it paid another subject, drawn at random, who chose it on the same trial of the
    same session (counted); if there is none, on the nearest trial of that session. Where nobody ever chose
    the arm in that session, its outcome is unknown. With one schedule for all subjects this is exact
    wherever somebody chose it.

    A missed trial stays missed; a choice with unknown reward has an unknown reward whatever is chosen; a
    choice that is not scored is taken as forced and made again (unless `hr.split` held it out).

    Parameters
    ----------
    data : Dataset
        From `behaviour`.
    by : str, optional
        A variable by trial or subject: subjects lend each other payoffs only where it has the same value,
        such as the schedule or the counterbalancing that they were assigned to.
    """

    data: xr.Dataset
    by: str | None = None

    def __post_init__(self) -> None:
        check_behaviour(self.data)
        if self.by is not None and self.by not in self.data:
            known = ", ".join(str(name) for name in self.data.data_vars)
            raise ValueError(f"by={self.by!r} is no variable of the behaviour, which has {known}.")

    def __repr__(self) -> str:
        by = f", by={self.by!r}" if self.by else ""
        return f"Recorded({self.size} subjects, {self.data.sizes['trial']} trials{by})"

    @property
    def size(self) -> int:
        """The number of subjects."""
        return self.data.sizes["subject"]

    def schedule(self, n_subjects: int, rng: np.random.Generator) -> Schedule:
        """Draw the payoffs that the data do not tell."""
        data, choice = self.data, self.data["choice"].values
        donor = self._donors(rng)
        paid = {name: _lent(data[name].values, donor) for name in OUTCOMES if name in data}
        if "forgone" in data:
            forgone = data["forgone"].values
            paid["reward"] = np.where(np.isnan(forgone), paid["reward"], forgone)
        unknown = (choice >= 0) & np.isnan(data["reward"].values)
        free = (choice < 0) | data["scored"].values | ("split" in data.attrs)
        stale = [name for name in data.data_vars if str(name).startswith("true_")]
        frame = data.drop_vars(["choice", "scored", *OUTCOMES, "forgone", *stale], errors="ignore")
        frame.attrs = {}
        return Schedule(
            frame=frame,
            reward=np.where(unknown[:, None], np.nan, paid["reward"]),
            gain=paid.get("gain"),
            loss=paid.get("loss"),
            missed=choice < 0,
            forced=np.where(free, -1, choice),
            tells_forgone="forgone" in data,
        )

    def _donors(self, rng: np.random.Generator) -> IntArray:
        """(n, m): the row whose outcome an arm pays; -1 = none."""
        data = self.data
        choice, known = data["choice"].values, ~np.isnan(data["reward"].values)
        cell, position = self._places()
        donor = np.full((data.sizes["trial"], data.sizes["arm"]), -1, dtype=np.int64)
        for arm in range(data.sizes["arm"]):
            rows = np.flatnonzero((choice == arm) & known)
            if rows.size:
                donor[:, arm] = _lenders(rows, cell, position, rng.random(choice.size))
        own = np.flatnonzero((choice >= 0) & known)
        donor[own, choice[own]] = own
        return donor

    def _places(self) -> tuple[IntArray, IntArray]:
        """Which session of which schedule a row belongs to, and its position there."""
        data = self.data
        table = pd.DataFrame(
            {"subject": data["trial_subject"].values, "session": data["trial_session"].values}
        )
        rank = table.drop_duplicates()
        rank = rank.assign(rank=rank.groupby("subject", sort=False).cumcount())
        table = table.merge(rank, on=["subject", "session"], how="left")
        position = table.groupby(["subject", "session"], sort=False).cumcount().to_numpy()
        table["by"] = 0 if self.by is None else _by_trial(data, self.by)
        return table.groupby(["by", "rank"], sort=False, dropna=False).ngroup().to_numpy(), position


def _by_trial(data: xr.Dataset, name: str) -> npt.NDArray:
    if "subject" in data[name].dims:
        return data[name].sel(subject=data["trial_subject"].values).values
    return data[name].values


def _lenders(rows: IntArray, cell: IntArray, position: IntArray, uniform: FloatArray) -> IntArray:
    """For each row of the data one of `rows` in the same cell and position, or the nearest; -1 = none."""
    span = int(position.max()) + 1
    key = cell * (3 * span) + position  # cells so far apart that a neighbour in another cell is never nearer
    rows = rows[np.argsort(key[rows], kind="stable")]
    held = key[rows]
    low, high = np.searchsorted(held, key, "left"), np.searchsorted(held, key, "right")
    before, after = np.maximum(low - 1, 0), np.minimum(low, held.size - 1)
    nearer = np.where(np.abs(held[before] - key) <= np.abs(held[after] - key), before, after)
    found = rows[np.where(high > low, low + (uniform * (high - low)).astype(np.int64), nearer)]
    return np.where(cell[found] == cell, found, -1)


def _lent(values: FloatArray, donor: IntArray) -> FloatArray:
    return np.where(donor >= 0, values[donor], np.nan)
