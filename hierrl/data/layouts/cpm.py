"""`from_cpm`: data frames of cpm's bandit models, and its dicts of arrays."""

from __future__ import annotations

import os
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from hierrl.data.assemble import behaviour
from hierrl.data.columns import check_column, normalised
from hierrl.data.layouts.peer import columns_of, need, noted
from hierrl.data.reading import read_table
from hierrl.data.table import Table, listed
from hierrl.data.values import numbers

NAMES = {
    "subject": ("ppt", "participant", "subject"),
    "choice": ("response", "responses", "observed", "choice"),
    "reward": ("feedback",),
    "trial": ("trial",),
}
SHOWN = re.compile(r"(arm|stim(ulus)?)_?(left|middle|right|\d+)", re.IGNORECASE)
PAID = re.compile(r"(reward|feedback)_?(left|middle|right|\d+)", re.IGNORECASE)


def from_cpm(
    data: pd.DataFrame | str | os.PathLike | Mapping[str, Any] | Sequence[Mapping[str, Any]],
    *,
    forgone: bool = False,
    covariates: str | Sequence[Hashable] | None = None,
    arms: Iterable[Hashable] | int | None = None,
) -> xr.Dataset:
    """Read what cpm's model of bandits (``RLRW``) takes.

    Choices are positions there and arms here: the arm is the stimulus shown at the position that was chosen.

    Parameters
    ----------
    data : DataFrame, path, dict or list of dicts
        A table with a row for each trial: ``ppt``; ``response`` (or ``responses``, ``observed``), the position, from 0
        or from 1; the stimulus at each position in ``arm_left``, ``arm_right`` (or ``arm_1``, ..., ``stimulus_left``,
        ...); what each position would have paid in ``reward_left``, ``reward_right`` (or ``reward_1``, ...), or what
        was paid in ``feedback``. Positions are in the order of their columns. Or, for each subject, a dict of arrays
        as from cpm's ``pandas_to_dict``: ``trials`` (trials, positions), ``feedback`` (trials, positions or 1),
        ``ppt``, and the choices under one of the names above.
    forgone : bool
        Whether subjects saw what the other positions paid; the columns do not tell.
    covariates, arms
        As in `behaviour`.

    Returns
    -------
    Dataset
        As from `behaviour`; ``available`` says which stimuli were shown, if not all of them always were.

    Raises
    ------
    ValueError
        If a column is missing, or a choice is none of the positions; and as in `behaviour`.

    Examples
    --------
    >>> import hierrl as hr, pandas as pd
    >>> table = pd.DataFrame(
    ...     {"ppt": 1, "arm_left": [1, 2], "arm_right": [3, 1], "reward_left": [0, 1], "reward_right": [1, 0],
    ...      "response": [1, 0]})
    >>> read = hr.from_cpm(table)
    >>> read["arm"].values[read["choice"].values].tolist(), read["reward"].values.tolist()
    ([3, 2], [1.0, 1.0])
    """
    source = read_table(_frame_of(data) if _is_nested(data) else data)
    found = columns_of(source, NAMES)
    source = source.with_roles(found, ())
    need(source, found, {"subject": "ppt", "choice": "response (or observed)"}, package="cpm")
    shown, paid = (_by_position(source, pattern) for pattern in (SHOWN, PAID))
    if not shown:
        raise ValueError(
            f"cpm's bandit tables have the stimulus at each position in columns such as arm_left and arm_right; this "
            f"one has {listed(source.frame.columns)}. If choices are the arms themselves, use hr.behaviour."
        )
    if paid and len(paid) != len(shown):
        raise ValueError(
            f"There must be a reward for each position: stimuli are in {listed(shown)}, rewards in {listed(paid)}."
        )
    if not paid:
        need(source, found, {"reward": "for each reward (reward_left, ...), or feedback"}, package="cpm")
    position, base = _positions(source, found["choice"], len(shown))
    stimuli = source.frame[shown].to_numpy(dtype=object)
    _check_stimuli(source, stimuli)
    made: dict[str, Any] = {"arm chosen": _picked(stimuli, position, None)}
    if paid:
        payoffs = np.stack([numbers(source, column, "reward") for column in paid], axis=1)
        made["paid"] = _picked(payoffs, position, np.nan)
    labels = sorted(set(stimuli.ravel().tolist()), key=lambda v: (str(type(v)), v))
    options: dict[str, Any] = {"arms": labels if arms is None else arms, "forgone": False}
    if forgone:
        made |= _forgone(stimuli, payoffs if paid else None, labels)
        options["forgone"] = {label: f"forgone {label}" for label in labels}
    if len(shown) < len(labels):
        options["available"] = shown
    read = behaviour(
        source.frame.assign(**made),
        subject=found["subject"],
        choice="arm chosen",
        reward="paid" if paid else found["reward"],
        trial=found.get("trial", False),
        covariates=covariates,
        **options,
    )
    return noted(read, [f"Choices are positions, from {base}: the arm is the stimulus shown there."])


def _is_nested(data: object) -> bool:
    return isinstance(data, Mapping | list | tuple)


def _frame_of(data: Any) -> pd.DataFrame:
    """Dicts of arrays, one for each subject, as a table."""
    subjects = [data] if isinstance(data, Mapping) else list(data)
    frames = []
    for i, one in enumerate(subjects):
        if not isinstance(one, Mapping) or "trials" not in one:
            keys = listed(one) if isinstance(one, Mapping) else repr(type(one).__name__)
            raise ValueError(
                f"Each subject must be a dict with 'trials', the stimuli shown; number {i} has {keys}."
            )
        columns = {}
        for name, values in one.items():
            stem = {"trials": "arm", "feedback": "reward"}.get(str(name), str(name))
            columns |= _columns(stem, str(name), np.asarray(values))
        columns.setdefault("ppt", i + 1)
        frames.append(_as_frame(columns, i))
    return pd.concat(frames, ignore_index=True)


def _columns(stem: str, name: str, values: npt.NDArray[Any]) -> dict[str, Any]:
    if values.ndim == 2 and values.shape[1] > 1:
        return {f"{stem}_{k + 1}": values[:, k] for k in range(values.shape[1])}
    return {name: values if values.ndim == 0 else values.ravel()}


def _as_frame(columns: dict[str, Any], i: int) -> pd.DataFrame:
    lengths = {name: len(values) for name, values in columns.items() if np.ndim(values)}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"The arrays of subject number {i} have different numbers of trials: {lengths}.")
    return pd.DataFrame(
        {name: v.item() if np.ndim(v) == 0 and hasattr(v, "item") else v for name, v in columns.items()}
    )


def _by_position(source: Table, pattern: re.Pattern[str]) -> list[Hashable]:
    names = [name for name in source.frame.columns if pattern.fullmatch(str(name).strip())]
    stems = {normalised(re.split(r"_|(?=\d)|left|middle|right", str(name))[0]) for name in names}
    if len(stems) > 1:
        raise ValueError(
            f"Several sets of columns have a value for each position: {listed(names)}. Drop all but one."
        )
    return [check_column(source, name, "available") for name in names]


def _positions(source: Table, column: Hashable, n: int) -> tuple[npt.NDArray[np.int64], int]:
    """The position chosen, from 0, -1 = missed; and where the column starts to count."""
    values = numbers(source, column, "choice")
    known = set(np.unique(values[~np.isnan(values)]).tolist()) - {-1.0}
    if known and not {0.0, float(n)} & known:
        raise ValueError(
            f"Choices in column {column!r} are {listed(sorted(known))} with {n} positions: it is unclear whether they "
            "count from 0 or from 1. Turn positions into arms yourself, and use hr.behaviour."
        )
    base = 1 if n in known and 0 not in known else 0
    outside = ~np.isnan(values) & (values != -1) & ~np.isin(values, np.arange(base, base + n))
    if outside.any():
        raise ValueError(
            f"The choice {values[outside][0]:g} at {source.rows(outside)} is none of the {n} positions, which are "
            f"numbered from {base}. Leave it empty if the choice was missed."
        )
    missed = np.isnan(values) | (values == -1)
    return np.where(missed, -1, np.nan_to_num(values) - base).astype(np.int64), base


def _check_stimuli(source: Table, stimuli: npt.NDArray[Any]) -> None:
    empty = pd.isna(stimuli).any(axis=1)
    if empty.any():
        raise ValueError(f"The stimulus at a position is not given at {source.rows(empty)}. Fill it in.")
    twice = np.array([len(set(row)) < len(row) for row in stimuli.tolist()])
    if twice.any():
        raise ValueError(
            f"The same stimulus is shown at two positions at {source.rows(twice)}: they can't be told apart."
        )


def _picked(values: npt.NDArray[Any], position: npt.NDArray[np.int64], nothing: Any) -> npt.NDArray[Any]:
    picked = values[np.arange(len(values)), position].astype(object)
    picked[position < 0] = nothing
    return picked


def _forgone(
    stimuli: npt.NDArray[Any], payoffs: npt.NDArray[np.float64] | None, labels: Sequence[Any]
) -> dict[str, npt.NDArray[np.float64]]:
    if payoffs is None:
        raise ValueError(
            "forgone=True needs what each position paid, in columns such as reward_left and reward_right."
        )
    return {f"forgone {label}": _paid_by(label, stimuli, payoffs) for label in labels}


def _paid_by(
    label: Any, stimuli: npt.NDArray[Any], payoffs: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    here = stimuli == label
    return np.where(here.any(axis=1), np.where(here, payoffs, 0.0).sum(axis=1), np.nan)
