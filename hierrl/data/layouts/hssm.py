"""`from_hssm`: tables of HSSM's and HDDM's reinforcement-learning models, without their response times."""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from hierrl.data.assemble import behaviour
from hierrl.data.layouts.peer import columns_of, need, noted
from hierrl.data.reading import read_table
from hierrl.data.table import Table, counted, listed
from hierrl.data.values import label_codes, numbers

NAMES = {
    "subject": ("participant_id", "subj_idx"),
    "choice": ("response",),
    "reward": ("feedback",),
    "trial": ("trial_id", "trial"),
    "session": ("session",),
    "pair": ("split_by",),
    "rt": ("rt",),
    "deadline": ("deadline",),
    "start": ("q_init",),
}
MISSING = -999.0
"""What HSSM writes where nothing was measured."""


def from_hssm(
    table: pd.DataFrame | str | os.PathLike,
    *,
    covariates: str | Sequence[Hashable] | None = None,
    arms: Sequence[Hashable] | int | None = None,
) -> xr.Dataset:
    """Read a table as HSSM's or HDDM's reinforcement-learning models take it.

    Response times are not used here. Subjects may differ in the number of trials, and choices may be missing, which
    HSSM refuses.

    Parameters
    ----------
    table : DataFrame or path
        Columns ``participant_id`` (HDDM: ``subj_idx``), ``response`` (from 0; or -1 and 1, the lower and the upper
        boundary) and ``feedback``; where there are any ``trial_id`` or ``trial``, ``session``, and HDDM's
        ``split_by``: each of its values has arms of its own. A response that is empty or -999 is a missed choice, and
        so is one whose ``rt`` is -999 in a table with a ``deadline``.
    covariates
        As in `behaviour`.
    arms : list of labels, or a number
        All arms, if some are never chosen.

    Returns
    -------
    Dataset
        As from `behaviour`. With several values of ``split_by``, arms are called ``"<value>: <response>"`` and
        ``available`` says which two were there.

    Raises
    ------
    ValueError
        If a column is missing; and as in `behaviour`.

    Examples
    --------
    >>> import hierrl as hr, pandas as pd
    >>> columns = {"participant_id": 7, "trial_id": [0, 1], "rt": 0.5, "response": [-1, 1], "feedback": [0, 1]}
    >>> hr.from_hssm(pd.DataFrame(columns))["choice"].values.tolist()
    [0, 1]
    """
    source = read_table(table)
    found = columns_of(source, NAMES)
    source = source.with_roles(found, ())
    wanted = {"subject": "participant_id (or subj_idx)", "choice": "response", "reward": "feedback"}
    need(source, found, wanted, package="HSSM and HDDM")
    notes: list[str] = []
    choice = _choices(source, found, notes)
    frame = source.frame.assign(**{"arm chosen": choice})
    options: dict[str, Any] = {role: found.get(role, False) for role in ("session", "trial")}
    if "pair" in found and len(pairs := label_codes(source, found["pair"])[1]) > 1:
        frame, more = _arms_of_pairs(source, choice, found["pair"])
        notes.append(f"Each of the {len(pairs)} values of {found['pair']!r} has arms of its own.")
        options |= more if arms is None else {**more, "arms": arms}
    else:
        options["arms"] = _arms(choice, arms)
    options["trial"] = _trials(source, found, notes)
    _note_unused(source, found, notes)
    data = behaviour(
        frame,
        subject=found["subject"],
        choice="arm chosen",
        reward=found["reward"],
        covariates=covariates,
        **options,
    )
    return noted(data, notes)


def _choices(source: Table, found: dict[str, Hashable], notes: list[str]) -> npt.NDArray[np.float64]:
    """From 0, NaN = missed."""
    choice = numbers(source, found["choice"], "choice")
    choice = np.where(choice == MISSING, np.nan, choice)
    if {"rt", "deadline"} <= found.keys():
        late = (numbers(source, found["rt"], "rt") == MISSING) & ~np.isnan(choice)
        if late.any():
            notes.append(
                f"{counted(int(late.sum()), 'choice')} after the deadline (rt is -999): read as missed."
            )
            choice = np.where(late, np.nan, choice)
    known = set(np.unique(choice[~np.isnan(choice)]).tolist())
    if known and known <= {-1.0, 1.0} and -1.0 in known:
        notes.append("Responses are the boundaries -1 and 1: arms 0 (lower) and 1 (upper).")
        return np.where(choice == -1, 0.0, choice)
    if -1.0 in known:
        raise ValueError(
            f"Responses must count from 0, or be -1 and 1: column {found['choice']!r} holds {listed(sorted(known))}; "
            f"-1 is at {source.rows(choice == -1)}. Write -999 or leave it empty where the choice was missed."
        )
    return choice


def _arms(
    choice: npt.NDArray[np.float64], arms: Sequence[Hashable] | int | None
) -> Sequence[Hashable] | None:
    """HSSM counts from 0, and its models of two boundaries have two arms even if one is never chosen."""
    if isinstance(arms, int):
        return list(range(arms))
    return [0, 1] if arms is None and not (choice > 1).any() else arms


def _arms_of_pairs(
    source: Table, choice: npt.NDArray[np.float64], column: Hashable
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """HDDM learns values apart in each value of split_by: it has arms of its own, the only ones available."""
    pair = source.column(column)
    if pair.isna().any():
        raise ValueError(f"split_by is empty at {source.rows(pair.isna().to_numpy())}. Every row needs one.")
    text = pair.map(lambda value: f"{value:g}" if isinstance(value, float) else str(value))
    n_each = max(2, int(np.nan_to_num(choice).max()) + 1)
    chosen = [None if np.isnan(r) else f"{p}: {r:g}" for p, r in zip(text, choice, strict=True)]
    shown = {f"shown {r}": text + f": {r}" for r in range(n_each)}
    arms = [f"{value}: {r}" for value in dict.fromkeys(text) for r in range(n_each)]
    return source.frame.assign(**{"arm chosen": chosen, **shown}), {"available": list(shown), "arms": arms}


def _trials(source: Table, found: dict[str, Hashable], notes: list[str]) -> Hashable:
    """The column of trial numbers, unless they start again where no session does."""
    if "trial" not in found:
        return False
    keys = [found[role] for role in ("subject", "session", "trial") if role in found]
    if source.frame.duplicated(subset=keys).any():
        notes.append(
            f"Trial numbers ({found['trial']!r}) repeat within subjects: rows are taken in their order."
        )
        return False
    return found["trial"]


def _note_unused(source: Table, found: dict[str, Hashable], notes: list[str]) -> None:
    if "rt" in found:
        notes.append(f"Response times ({found['rt']!r}) are not used.")
    if "start" in found:
        values = np.unique(numbers(source, found["start"], "start"))
        notes.append(
            f"Start values ({found['start']!r}: {listed(values)}) belong to the model here: hr.model('rw', start=...)."
        )
