"""`from_hbayesdm`: tables of hBayesDM's bandit tasks."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from hierrl.data.assemble import behaviour
from hierrl.data.layouts.peer import columns_of, need, noted
from hierrl.data.reading import read_table
from hierrl.data.table import Table, plain
from hierrl.data.values import numbers

NAMES = {
    "subject": ("subjID",),
    "choice": ("choice",),
    "reward": ("outcome", "reward"),
    "gain": ("gain",),
    "loss": ("loss",),
    "session": ("block",),
    "pair": ("type",),
    "first": ("option1",),
    "second": ("option2",),
}


def from_hbayesdm(
    table: pd.DataFrame | str | os.PathLike,
    *,
    covariates: str | Sequence[Hashable] | None = None,
    arms: Iterable[Hashable] | int | None = None,
) -> xr.Dataset:
    """Read a table as hBayesDM takes it.

    Column names are matched in any case, as there. Rows with a missing choice are kept as missed trials, which
    hBayesDM would drop.

    Parameters
    ----------
    table : DataFrame or path
        Columns ``subjID`` and ``choice`` (from 1), and what was paid: ``outcome`` (bandit2arm, prl), or ``gain`` and
        ``loss`` (bandit4arm, banditNarm, igt; losses of either sign). A column ``block`` (``prl_rp_multipleB``) is the
        session. In the probabilistic selection task (pst), ``type`` holds the two stimuli shown as digits (``12``), or
        ``option1`` and ``option2`` name them; ``choice`` is 1 for the first and 0 for the second.
    covariates
        As in `behaviour`.
    arms : list of labels, or a number
        All arms, if some are never chosen: ``arms=4`` for a four-armed bandit.

    Returns
    -------
    Dataset
        As from `behaviour`. For pst, arms are the stimuli, and ``available`` says which two were shown.

    Raises
    ------
    ValueError
        If a column is missing or choices are not coded as hBayesDM does; and as in `behaviour`.

    Examples
    --------
    >>> import hierrl as hr, pandas as pd
    >>> table = pd.DataFrame({"subjID": 1, "type": [12, 34, 12], "choice": [1, 0, 0], "reward": [1, 0, 1]})
    >>> data = hr.from_hbayesdm(table)
    >>> data["arm"].values[data["choice"].values].tolist(), data["available"].values[1].tolist()
    ([1, 4, 2], [False, False, True, True])
    """
    source = read_table(table)
    found = columns_of(source, NAMES)
    source = source.with_roles(found, ())
    need(source, found, {"subject": "subjID", "choice": "choice"}, package="hBayesDM")
    if not {"gain", "loss"} <= found.keys():
        need(source, found, {"reward": "outcome, or gain and loss"}, package="hBayesDM")
    arms = list(range(1, arms + 1)) if isinstance(arms, int) else arms
    options: dict[str, Any] = {
        "subject": found["subject"],
        "covariates": covariates,
        "arms": arms,
        "trial": None,
    }
    options["session"] = found.get("session", False)
    if "pair" in found or {"first", "second"} <= found.keys():
        return _pst(source, found, options)
    _check_counted_from_1(source, found["choice"])
    if {"gain", "loss"} <= found.keys():
        return _gain_loss(source, found, options)
    return behaviour(table, choice=found["choice"], reward=found["reward"], **options)


def _check_counted_from_1(source: Table, column: Hashable) -> None:
    values = numbers(source, column, "choice")
    zero = values == 0
    if zero.any():
        raise ValueError(
            f"hBayesDM counts choices from 1, but column {column!r} holds 0 at {source.rows(zero)}. Add 1 to all; for "
            "the probabilistic selection task a column type, or option1 and option2, is needed; otherwise read the "
            "table with hr.behaviour."
        )


def _gain_loss(source: Table, found: dict[str, Hashable], options: dict[str, Any]) -> xr.Dataset:
    """Losses are amounts of either sign in hBayesDM, which takes their absolute value."""
    loss = numbers(source, found["loss"], "loss")
    flipped = bool((loss > 0).any()) and not bool((loss < 0).any())
    frame = source.frame.assign(**{str(found["loss"]): -loss}) if flipped else source.frame
    data = behaviour(
        frame, choice=found["choice"], reward=False, gain=found["gain"], loss=found["loss"], **options
    )
    return noted(data, ["Losses were written as positive amounts: their sign was turned."] if flipped else [])


def _pst(source: Table, found: dict[str, Hashable], options: dict[str, Any]) -> xr.Dataset:
    """Two stimuli are shown; the choice says which of them."""
    first, second = _shown(source, found)
    choice = numbers(source, found["choice"], "choice")
    odd = ~np.isnan(choice) & (choice != 0) & (choice != 1)
    if odd.any():
        raise ValueError(
            f"In hBayesDM's probabilistic selection task a choice is 1 (option1) or 0 (option2); column "
            f"{found['choice']!r} holds {choice[odd][0]:g} at {source.rows(odd)}."
        )
    chosen = np.where(choice == 1, first, second).astype(object)
    chosen[np.isnan(choice)] = None
    made = source.frame.assign(**{"chosen stimulus": chosen, "stimulus 1": first, "stimulus 2": second})
    if options["arms"] is None:  # shown is enough to be an arm
        options = {**options, "arms": sorted({*first.tolist(), *second.tolist()})}
    return behaviour(
        made,
        choice="chosen stimulus",
        reward=found["reward"],
        available=["stimulus 1", "stimulus 2"],
        **options,
    )


def _shown(source: Table, found: dict[str, Hashable]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    if "pair" not in found:
        first, second = (source.column(found[role]).to_numpy() for role in ("first", "second"))
        return _checked(source, first, second)
    pair = numbers(source, found["pair"], "pair")
    odd = ~((pair >= 11) & (pair <= 99) & (pair % 1 == 0) & (pair % 10 > 0))  # two digits, NaN is odd too
    if odd.any():
        raise ValueError(
            f"type must hold the two stimuli shown as two digits, such as 12; column {found['pair']!r} holds "
            f"{pair[odd][0]:g} at {source.rows(odd)}."
        )
    return _checked(source, (pair // 10).astype(int), (pair % 10).astype(int))


def _checked(
    source: Table, first: npt.NDArray[Any], second: npt.NDArray[Any]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    empty = pd.isna(first) | pd.isna(second)
    if empty.any():
        raise ValueError(
            f"The stimuli shown are not given at {source.rows(empty)}. Fill in option1 and option2."
        )
    same = first == second
    if same.any():
        raise ValueError(
            f"The same stimulus {plain(first[same][0])!r} is shown twice at {source.rows(same)}."
        )
    return first, second
