"""The order of the rows: subjects, their sessions, trials within a session."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from hierrl.data.columns import BLOCK, SYNONYMS, check_column, normalised
from hierrl.data.table import Table, counted
from hierrl.data.values import LARGEST_WHOLE, label_codes, labels, numbers


@dataclass(frozen=True)
class Order:
    """How the n rows of the table are stored; all arrays by trial are in stored order."""

    rows: npt.NDArray[np.int64]
    """(n,): the table's row that is stored at this place."""
    subjects: npt.NDArray
    """(S,): labels."""
    subject: npt.NDArray[np.int64]
    """(n,): index of the subject, never decreasing."""
    session: npt.NDArray
    """(n,): label of the session."""
    first: npt.NDArray[np.int64]
    """(n,): place at which the trial's session begins."""
    trial: npt.NDArray
    """(n,): number of the trial."""


def with_sessions(table: Table, *, wanted: bool, taken: Sequence[Hashable]) -> Table:
    """The table with blocks as its sessions, where nothing else is and trials start again in each.

    A block may be a new start or a phase of the task without one. Trial numbers that start again tell.
    """
    used = {*table.roles.values(), *taken}
    blocks = [name for name in table.frame.columns if normalised(name) in BLOCK and name not in used]
    if not wanted or "session" in table.roles or len(blocks) != 1:
        return table
    if "trial" in table.roles and not _repeats(table):
        table.note(
            f"The column {blocks[0]!r} is not a session: trial numbers run on from block to block, and so "
            f"do values. If values should start anew in each, pass session={blocks[0]!r}."
        )
        return table
    check_column(table, blocks[0], "session")
    table.note(
        f"Each block (column {blocks[0]!r}) is a session: values start anew. If they don't, pass "
        "session=False."
    )
    return replace(table, roles={**table.roles, "session": blocks[0]}, found=table.found | {"session"})


def _repeats(table: Table, *more: Hashable) -> bool:
    """Whether a trial occurs twice in a subject and session, and in a group of each further column."""
    names = [table.roles[role] for role in ("subject", "session", "trial") if role in table.roles]
    codes = {i: label_codes(table, name)[0] for i, name in enumerate([*names, *more])}
    return bool(pd.DataFrame(codes).duplicated().any())


def order_rows(table: Table) -> Order:
    """Sort by subject, session and trial; the first two in order of first appearance."""
    n = len(table)
    code, subjects = _labels(table, "subject")
    session, sessions = _labels(table, "session")
    pair = pd.factorize(code * n + session)[0]  # sessions of a subject, in order of first appearance
    number = _trial_numbers(table) if "trial" in table.roles else np.arange(n)
    rows = np.lexsort((number, pair, code))
    first = _starts(pair[rows])
    if "trial" in table.roles:
        _check_unique(table, rows, pair=pair, number=number)
        trial = number[rows]
    else:
        trial = np.arange(n) - first + 1
    order = Order(rows, subjects, code[rows], sessions[session[rows]], first, trial)
    _note_order(table, order, subject=code, session=pair)
    return order


def _labels(table: Table, role: str) -> tuple[npt.NDArray[np.int64], npt.NDArray]:
    """Codes and labels of a role's column; without one, all rows belong together under the label 1."""
    if role in table.roles:
        return labels(table, table.roles[role], role)
    return np.zeros(len(table), dtype=np.int64), np.ones(1, dtype=np.int64)


def _starts(group: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """For each row the place at which its run of equal values begins."""
    new = np.append(True, group[1:] != group[:-1])
    return np.flatnonzero(new)[np.cumsum(new) - 1]


def _trial_numbers(table: Table) -> npt.NDArray:
    column = table.roles["trial"]
    values = numbers(table, column, "trial")
    if np.isnan(values).any():
        raise ValueError(
            f"The trial number is missing: column {column!r} is empty at {table.rows(np.isnan(values))}. "
            "Every row needs one; or pass trial=False if the rows are in the order of the "
            f"trials.{table.way_out('trial')}"
        )
    whole = (values == np.round(values)) & (np.abs(values) < LARGEST_WHOLE)
    return values.astype(np.int64) if whole.all() else values


def _check_unique(table: Table, rows: npt.NDArray, *, pair: npt.NDArray, number: npt.NDArray) -> None:
    same = (pair[rows][1:] == pair[rows][:-1]) & (number[rows][1:] == number[rows][:-1])
    if not same.any():
        return
    place = int(np.flatnonzero(same)[0])
    one, other = sorted(rows[place : place + 2].tolist())
    raise ValueError(
        f"A trial occurs twice: {table.row(one)} comes again at {table.place(other)}; "
        f"{counted(int(same.sum()), 'row')} repeat a trial of the same "
        f"subject{' and session' if 'session' in table.roles else ''}. {_advice(table)}"
    )


def _advice(table: Table) -> str:
    used = set(table.roles.values())
    alike = {*BLOCK, *SYNONYMS["session"], "session"}
    others = [name for name in table.frame.columns if normalised(name) in alike and name not in used]
    helps = [name for name in others if not _repeats(table, name)]
    if helps and "session" not in table.roles:
        return f"Trial numbers start again in each {helps[0]!r}: pass session={helps[0]!r}."
    if helps:
        now = table.roles["session"]
        return (
            f"Trial numbers start again in each {helps[0]!r}: make one column of both, for instance "
            f"table['part'] = table[{now!r}].astype(str) + '-' + table[{helps[0]!r}].astype(str), and pass "
            "session='part'."
        )
    return (
        "If trial numbers start again in each session or block, name its column with session='...'; if the "
        "table holds rows twice, drop them (table.drop_duplicates()); if the rows are in order, pass "
        "trial=False."
    )


def _note_order(
    table: Table, order: Order, *, subject: npt.NDArray[np.int64], session: npt.NDArray[np.int64]
) -> None:
    """Say what was done to the order of the rows, and what is odd about it."""
    apart = [name for group, name in ((subject, "subject"), (session, "session")) if _scattered(group)]
    if apart:
        table.note(
            f"Rows of one {apart[0]} do not stand together in the table; they were gathered, in order of "
            "first appearance."
        )
    same = order.first[1:] == order.first[:-1]
    if "trial" not in table.roles:
        table.note("There is no column of trial numbers: the order of the rows is the order of the trials.")
    elif (np.diff(order.rows)[same] < 0).any():
        table.note(
            f"Rows were sorted by the trial number (column {table.roles['trial']!r}) within each session."
        )
    skips = np.flatnonzero(same & (np.diff(order.trial) > 1))
    if skips.size and order.trial.dtype.kind == "i":
        table.note(
            f"Trial numbers skip {counted(skips.size, 'time')}, first after "
            f"{table.row(int(order.rows[skips[0]]))}: the trials left out are unknown, and values stay as "
            "they are across the gap."
        )
    if order.session.dtype.kind == "i":
        turn = np.flatnonzero((np.diff(order.session) < 0) & (order.subject[1:] == order.subject[:-1]))
        if turn.size:
            table.note(
                "Sessions are in order of first appearance, which is not that of their numbers, for "
                f"instance at {table.row(int(order.rows[turn[0] + 1]))}."
            )


def _scattered(group: npt.NDArray[np.int64]) -> bool:
    return bool(1 + np.count_nonzero(group[1:] != group[:-1]) > group.max() + 1)
