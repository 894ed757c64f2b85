"""`from_arrays`: behaviour from arrays with a row for each subject."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from hierrl.data.assemble import behaviour
from hierrl.data.table import counted, listed

Ragged = Sequence[np.ndarray]
"""For each subject an array over trials (and arms)."""


def from_arrays(
    choices: Any,
    rewards: Any = None,
    *,
    gain: Any = None,
    loss: Any = None,
    forgone: Any = None,
    available: Any = None,
    session: Any = None,
    context: Any = None,
    forced: Any = None,
    covariates: Mapping[str, Any] | None = None,
    subjects: Sequence[Hashable] | None = None,
    n_trials: Sequence[int] | None = None,
    arms: Iterable[Hashable] | int | None = None,
) -> xr.Dataset:
    """Read arrays with one row per subject.

    *By trial* below is an array (subjects, trials), or a list with one sequence per subject, which may differ in
    length. One dimension is one subject. No trial is dropped.

    Parameters
    ----------
    choices : by trial
        What was chosen: numbers from 0 or from 1, or labels; NaN, None or -1 = missed.
    rewards : by trial, optional
        What was paid, any unit; NaN = unknown. May be left out if there are `gain` and `loss`.
    gain, loss : by trial, optional
        What was won (0 or more) and lost (0 or less).
    forgone : by trial and arm, or by trial, optional
        What the arms not chosen would have paid: (subjects, trials, arms), or, with two arms, the other arm's alone.
    available : by trial and arm, optional
        Which arms could be chosen: True or 1.
    session, context : by trial, or one label for each trial, optional
        Labels; values start anew in each session. One label per trial holds for all subjects.
    forced : by trial, optional
        Marks forced choices, which are learned from but not scored.
    covariates : mapping of str, optional
        Name -> one value for each subject, or values by trial.
    subjects : sequence of labels, optional
        Names of the rows; 1, 2, 3, ... if not given.
    n_trials : sequence of int, optional
        Trials of each subject, where shorter rows were filled up: what comes after is not read.
    arms : list of labels, or a number
        As in `behaviour`: all arms, needed if some arm is never chosen.

    Returns
    -------
    Dataset
        As from `behaviour`.

    Raises
    ------
    ValueError
        If arrays do not fit together, with the first subject where they don't; and as in `behaviour`.

    Examples
    --------
    >>> import hierrl as hr, numpy as np
    >>> choices = np.array([[0, 1, 1], [1, np.nan, 0]])
    >>> data = hr.from_arrays(choices, [[1, 0, 1], [0, np.nan, 1]], covariates={"group": ["a", "b"]})
    >>> data["choice"].values.tolist(), data["group"].values.tolist()
    ([0, 1, 1, 1, -1, 0], ['a', 'b'])
    """
    chosen = _ragged(choices, "choices", whose=None)
    names = list(range(1, len(chosen) + 1)) if subjects is None else list(subjects)
    if len(names) != len(chosen):
        raise ValueError(
            f"subjects= names {counted(len(names), 'subject')}, but choices has {counted(len(chosen), 'row')}. "
            "Name every row once."
        )
    lengths = _lengths(chosen, n_trials, names)
    table = _Long(names, [len(row) for row in chosen], lengths)
    table.add("choice", chosen)
    given = {
        "reward": rewards,
        "gain": gain,
        "loss": loss,
        "session": session,
        "context": context,
        "forced": forced,
    }
    roles: dict[str, Any] = {role: role if value is not None else False for role, value in given.items()}
    for role, value in given.items():
        if value is not None:
            table.add(role, _each(value, role, table))
    for role, value in (("forgone", forgone), ("available", available)):
        roles[role] = table.add_by_arm(role, value)
    added = [table.add_covariate(name, value) for name, value in (covariates or {}).items()]
    if roles["reward"] is False:
        roles["reward"] = None  # `behaviour` says what is missing
    return behaviour(
        table.frame(), subject="subject", choice="choice", trial="trial", covariates=added, arms=arms, **roles
    )


class _Long:
    """Columns of a table that grows, one row per trial."""

    def __init__(self, names: Sequence[Hashable], full: list[int], lengths: list[int]):
        self.names, self.full, self.lengths = names, full, lengths
        self.columns: dict[str, Any] = {
            "subject": pd.Series(np.repeat(np.arange(len(names)), lengths)).map(dict(enumerate(names))),
            "trial": np.concatenate([np.arange(1, n + 1) for n in lengths]),
        }

    def add(self, name: str, rows: Ragged) -> None:
        """A column by trial, cut to the trials of each subject."""
        for i, row in enumerate(rows):
            self._check(name, i, row)
        self.columns[name] = _joined([row[:n] for row, n in zip(rows, self.lengths, strict=True)])

    def add_by_arm(self, name: str, value: Any) -> Any:
        """Columns by trial and arm; what to call them in `behaviour`."""
        if value is None:
            return False
        rows = _ragged(value, name, whose=len(self.names), depth=(1, 2))
        if all(row.ndim == 1 for row in rows) and name == "forgone":
            self.add(name, rows)
            return name
        counts = {row.shape[1] if row.ndim == 2 else None for row in rows}
        if len(counts) > 1 or None in counts:
            raise ValueError(
                f"{name}= must have one column for each arm, alike for all subjects: (subjects, trials, arms); found "
                f"{listed(row.shape for row in rows)}."
            )
        made = [f"{name} {i}" for i in range(rows[0].shape[1])]
        for i, column in enumerate(made):
            self.add(column, [row[:, i] for row in rows])
        return made

    def add_covariate(self, name: str, value: Any) -> str:
        """A column with one value per subject, or by trial."""
        if name in (
            "subject",
            "trial",
            "choice",
            "reward",
            "gain",
            "loss",
            "session",
            "context",
            "forced",
            "forgone",
        ):
            raise ValueError(
                f"A covariate can't be called {name!r}: behaviour has a variable of that name. Rename it."
            )
        flat = _objects(value)
        if flat.ndim == 1 and not any(isinstance(v, list | tuple | np.ndarray | pd.Series) for v in flat):
            if len(flat) != len(self.names):
                raise ValueError(
                    f"The covariate {name!r} has {counted(len(flat), 'value')} for "
                    f"{counted(len(self.names), 'subject')}: give one for each subject, or an array by trial."
                )
            self.columns[name] = _joined(
                [np.repeat(np.asarray(flat)[[i]], n) for i, n in enumerate(self.lengths)]
            )
        else:
            self.add(name, _ragged(value, name, whose=len(self.names)))
        return name

    def frame(self) -> pd.DataFrame:
        return pd.DataFrame(self.columns)

    def _check(self, name: str, i: int, row: np.ndarray) -> None:
        if len(row) not in (self.full[i], self.lengths[i]):
            raise ValueError(
                f"{name} has {counted(len(row), 'trial')} for subject {self.names[i]!r}, choices has {self.full[i]:,}. "
                "Arrays must run over the same trials."
            )


def _each(value: Any, role: str, table: _Long) -> Ragged:
    """By trial; labels of trials that hold for all subjects are repeated."""
    flat = _objects(value)
    shared = role in ("session", "context") and flat.ndim == 1 and len(table.names) > 1
    if shared and not any(isinstance(v, list | tuple | np.ndarray | pd.Series) for v in flat):
        return [flat] * len(table.names)
    return _ragged(value, role, whose=len(table.names))


def _ragged(value: Any, name: str, *, whose: int | None, depth: tuple[int, ...] = (1,)) -> list[np.ndarray]:
    """The rows of the subjects as arrays."""
    whole = _objects(value)
    if whole.ndim == 0 or whole.size == 0:
        raise ValueError(
            f"{name} must be an array (subjects, trials), or a list of sequences; found {value!r}."
        )
    one = whole.ndim == 1 and not isinstance(whole[0], list | tuple | np.ndarray | pd.Series)
    one = one or (whole.ndim == 2 and whose == 1 and 2 in depth)  # a single subject's, by arm
    rows = [np.asarray(_objects(row)) for row in ([whole] if one else whole)]
    if whose is not None and len(rows) != whose:
        raise ValueError(
            f"{name} has {counted(len(rows), 'row')}, choices has {whose:,}: there must be one for each subject."
        )
    if bad := [i for i, row in enumerate(rows) if row.ndim not in depth]:
        raise ValueError(
            f"{name} must have {' or '.join(str(d + 1) for d in depth)} dimensions, (subjects, trials"
            f"{', arms' if 2 in depth else ''}); row {bad[0]} has the shape {rows[bad[0]].shape}."
        )
    return rows


def _objects(value: Any) -> np.ndarray:
    """Anything like an array, without turning numbers into text where lists are mixed or ragged."""
    if isinstance(value, np.ndarray | pd.Series | pd.DataFrame | xr.DataArray):
        return np.asarray(value)
    value = (
        list(value) if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping) else value
    )
    try:
        made = np.array(value, dtype=object)
    except ValueError:  # rows that agree in the first dimension only
        made = np.empty(len(value), dtype=object)
        made[:] = value
    return made


def _joined(rows: list[np.ndarray]) -> pd.Series:
    """One column, with the type that its values have in common."""
    return pd.Series(np.concatenate([row.astype(object) for row in rows])).infer_objects()


def _lengths(chosen: Ragged, n_trials: Sequence[int] | None, names: Sequence[Hashable]) -> list[int]:
    full = [len(row) for row in chosen]
    if n_trials is None:
        return full
    wanted = [int(n) for n in n_trials]
    if len(wanted) != len(full):
        raise ValueError(
            f"n_trials= has {counted(len(wanted), 'number')} for {counted(len(full), 'subject')}."
        )
    for name, n, most in zip(names, wanted, full, strict=True):
        if not 1 <= n <= most:
            raise ValueError(
                f"n_trials= says {n:,} for subject {name!r}, whose choices have {counted(most, 'trial')}."
            )
    return wanted
