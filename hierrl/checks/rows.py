"""`Rows`: choices and the history that each was made on, as the arrays that statistics are computed from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.data.validity import session_starts, subject_index

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Rows:
    """n choices of S subjects and what came before each: what a statistic is given.

    In *replay* the choices are the model's and what came before is the subject's own; in *generate* and in what was
    observed both are of one piece. A statistic should look at `choice` and at what came *before* it.
    """

    choice: IntArray
    """(n,) index of the arm; -1 where none was made or it isn't scored."""
    previous: IntArray
    """(n,) arm chosen on the row before, in the same session; -1 = none."""
    previous_reward: FloatArray
    """(n,) what it paid; NaN = nothing, or unknown."""
    last: IntArray
    """(n,) arm chosen last in the session, whether or not choices were missed since; -1 = none."""
    run: IntArray
    """(n,) how often it was chosen in a row, missed choices left out; 0 = no choice yet."""
    position: IntArray
    """(n,) number of the trial in its session, from 0."""
    subject: IntArray
    """(n,) index of the subject."""
    n_subjects: int
    arms: tuple[Any, ...]
    win: float
    """Rewards above it count as wins."""
    best: IntArray | None = None
    """(n,) the arm that pays best; -1 = unknown."""
    since: IntArray | None = None
    """(n,) trials since the last reversal in the session: 0 on the first trial after it, -1 before any."""
    reward: FloatArray | None = None
    """(n,) what the choice paid; None in a replay, where nobody knows what the model's choice would have paid."""

    @property
    def made(self) -> Flags:
        """(n,) choices that count."""
        return self.choice >= 0

    @cached_property
    def won(self) -> Flags:
        """(n,) there was a choice on the row before and it won."""
        return (self.previous >= 0) & (self.previous_reward > self.win)

    @cached_property
    def lost(self) -> Flags:
        """(n,) there was a choice on the row before and it did not win."""
        return (self.previous >= 0) & (self.previous_reward <= self.win)

    @property
    def stayed(self) -> Flags:
        """(n,) the arm of the row before again."""
        return self.made & (self.choice == self.previous)

    def mean(self, values: npt.ArrayLike, where: npt.ArrayLike = True) -> FloatArray:
        """Mean (S,) of values (n,) over each subject's choices that count, where `where` holds; NaN if there are none.

        Examples
        --------
        >>> import hierrl as hr
        >>> from hierrl.checks.rows import rows_of
        >>> truth = {"alpha": [0.2, 0.4], "beta": 3}
        >>> rows = rows_of(hr.simulate(hr.model("rw"), hr.Bandit((0.8, 0.2)), truth, random_seed=1))
        >>> rows.mean(rows.choice == 0).shape
        (2,)
        """
        return self.mean_by(values, np.zeros(self.choice.size, dtype=np.int64), n=1, where=where)[:, 0]

    def mean_by(
        self, values: npt.ArrayLike, cell: IntArray, *, n: int, where: npt.ArrayLike = True
    ) -> FloatArray:
        """The same by subject and cell (S, n); cell (n,) counts from 0, -1 = none."""
        which = np.flatnonzero(self.made & np.asarray(where) & (cell >= 0))
        place = self.subject[which] * n + cell[which]
        size = self.n_subjects * n
        total = np.bincount(place, np.asarray(values, dtype=np.float64)[which], minlength=size)
        count = np.bincount(place, minlength=size)
        with np.errstate(invalid="ignore"):
            return (total / np.where(count > 0, count, np.nan)).reshape(self.n_subjects, n)

    def judged(self, choice: IntArray) -> Rows:
        """Other choices on the same history."""
        return replace(self, choice=np.where(self.made, choice, -1), reward=None)


def rows_of(
    data: xr.Dataset,
    *,
    win: float | None = None,
    best: str | None = None,
    reversal: str | None = None,
) -> Rows:
    """Rows of behaviour. `best` and `reversal` name variables by trial; without `reversal` the best arm's changes are.

    Without `win` it is what `winning` says.
    """
    choice, reward = data["choice"].values, data["reward"].values
    starts = session_starts(data)
    row = np.arange(choice.size)
    first = np.maximum.accumulate(np.where(starts, row, 0))
    before = np.where(starts, -1, row - 1)
    rows = Rows(
        choice=np.where(data["scored"].values, choice, -1),
        previous=np.where(before >= 0, choice[before], -1),
        previous_reward=np.where(before >= 0, reward[before], np.nan),
        **_runs(choice, first),
        position=row - first,
        subject=subject_index(data),
        n_subjects=data.sizes["subject"],
        arms=tuple(data["arm"].values.tolist()),
        win=winning(data) if win is None else float(win),
        reward=reward,
    )
    if best is None:
        return rows
    arm = best_arm(data, best)
    flags = _changes(arm, starts) if reversal is None else _flags(data, reversal) & ~starts
    last = np.maximum.accumulate(np.where(flags, row, -1))
    return replace(rows, best=arm, since=np.where(last >= first, row - last, -1))


def _runs(choice: IntArray, first: IntArray) -> dict[str, IntArray]:
    """Last arm and length of the run of equal choices before each row."""
    row, made = np.arange(choice.size), choice >= 0
    latest = np.maximum.accumulate(np.where(made, row, -1))
    before = np.append(-1, latest[:-1])  # the row of the last choice, maybe of another session
    before = np.where(before >= first, before, -1)
    last = np.where(before >= 0, choice[before], -1)
    order = np.cumsum(made)
    begin = np.maximum.accumulate(np.where(made & (choice != last), order, 0))
    return {"last": last, "run": np.where(before >= 0, (order - begin + 1)[before], 0)}


def _changes(arm: IntArray, starts: Flags) -> Flags:
    return np.append(False, (arm[1:] != arm[:-1]) & (arm[1:] >= 0) & (arm[:-1] >= 0)) & ~starts


def best_arm(data: xr.Dataset, name: str) -> IntArray:
    """(n,) index of the arm that a variable names by its label; -1 where it is empty."""
    values = by_trial(data, name, "best").values
    arms = [str(arm) for arm in data["arm"].values.tolist()]
    labels, code = np.unique(values, return_inverse=True)
    index = [_arm_index(label, arms) for label in labels.tolist()]
    if -2 in index:
        strange = labels[index.index(-2)]
        raise ValueError(
            f"best={name!r} must hold labels of arms ({', '.join(arms)}); found {strange!r}. "
            "Give the column the same labels as the choices."
        )
    return np.array(index, dtype=np.int64)[code]


def _arm_index(label: Any, arms: list[str]) -> int:
    if label == "" or (isinstance(label, float) and np.isnan(label)):
        return -1
    text = str(int(label)) if isinstance(label, float) and label.is_integer() else str(label)
    return arms.index(text) if text in arms else -2


def _flags(data: xr.Dataset, name: str) -> Flags:
    values = by_trial(data, name, "reversal").values
    if values.dtype.kind not in "bif" or not np.isin(values[~np.isnan(values.astype(float))], (0, 1)).all():
        raise ValueError(
            f"reversal={name!r} must hold true and false (or 1 and 0), true on first trials after one."
        )
    return np.nan_to_num(values.astype(float)) == 1


def by_trial(data: xr.Dataset, name: str, argument: str) -> xr.DataArray:
    """A variable by trial that an argument names."""
    if name not in data or data[name].dims != ("trial",):
        known = [str(key) for key in data.data_vars if data[key].dims == ("trial",)]
        raise ValueError(
            f"{argument}={name!r} is no variable by trial of the data, which have {', '.join(known)}. "
            f"hr.behaviour(..., covariates=[{name!r}]) keeps a column of the table."
        )
    return data[name]


def winning(data: xr.Dataset) -> float:
    """What a reward must exceed to be a win: 0 if there are losses; of two amounts the smaller one; else the median."""
    reward = data["reward"].values
    known = np.unique(reward[np.isfinite(reward)])
    if known.size == 0:
        return 0.0
    if known.size <= 2:
        return float(known[0]) if known.size == 2 else 0.0
    return 0.0 if known[0] < 0 < known[-1] else float(np.nanmedian(reward))
