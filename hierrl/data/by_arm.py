"""What a trial says of each arm: the reward that was forgone, and whether the arm was there to choose."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hierrl.data.codes import Coded, Label, read_codes
from hierrl.data.columns import SYNONYMS, check_column, columns_by_arm, normalised
from hierrl.data.outcomes import ROUNDING, set_aside
from hierrl.data.table import Table, counted, listed
from hierrl.data.values import flag_of, flags, numbers


@dataclass(frozen=True)
class ByArm:
    """The columns of a role: one per arm (`labels` in their names, or in the order of the arms), or fewer."""

    role: str
    columns: tuple[Hashable, ...]
    labels: tuple[Hashable, ...] | None = None

    def ordered(self, arms: Sequence[Label]) -> tuple[Hashable, ...]:
        """The columns in the order of the arms."""
        if self.labels is None and len(self.columns) == len(arms):
            return self.columns
        by_label = dict(zip(map(str, self.labels or ()), self.columns, strict=False))
        if set(by_label) != {str(arm) for arm in arms}:
            named = f"columns for the arms {listed(self.labels)}" if self.labels else listed(self.columns)
            raise ValueError(
                f"{self.role}= has {named}, but the arms are {listed(arms)}. It takes one column for each "
                "arm, in this order; name all arms with arms=[...] if some were never chosen."
            )
        return tuple(by_label[str(arm)] for arm in arms)

    def record(self) -> object:
        """The columns as JSON can hold them."""
        if self.labels is not None:
            return {str(label): str(column) for label, column in zip(self.labels, self.columns, strict=True)}
        return [str(column) for column in self.columns]


def find_by_arm(table: Table, role: str, asked: object) -> ByArm | None:
    """The columns of a role by arm, from what was asked for or from names like ``forgone[left]``."""
    if asked is False:
        return None
    if asked is None:
        return _by_name(table, role)
    if isinstance(asked, Mapping):
        columns = tuple(check_column(table, name, role) for name in asked.values())
        return ByArm(role, columns, tuple(asked))
    several = list(asked) if isinstance(asked, list | tuple) else [asked]
    if len(set(map(str, several))) < len(several):
        raise ValueError(f"{role}= names a column twice: {listed(several)}. Each arm needs its own.")
    return ByArm(role, tuple(check_column(table, name, role) for name in several)) if several else None


def _by_name(table: Table, role: str) -> ByArm | None:
    named = columns_by_arm(table, role)
    if named:
        return ByArm(
            role, tuple(check_column(table, column, role) for column in named.values()), tuple(named)
        )
    # One column of marks says nothing of the arms; one of forgone rewards does if there are two arms.
    names = (role, *SYNONYMS[role]) if role == "forgone" else ()
    alone = [column for column in table.frame.columns if normalised(column) in names]
    return ByArm(role, (check_column(table, alone[0], role),)) if len(alone) == 1 else None


def shown_arms(table: Table, available: ByArm | None) -> list[Coded]:
    """Columns that hold the labels of the arms shown; none if the columns are marks, one for each arm."""
    if available is None or available.labels is not None:
        return []
    marks = all(
        flag_of(value) is not None for column in available.columns for value in table.factorized(column)[1]
    )
    return [] if marks else [read_codes(table, column) for column in available.columns]


def read_available(
    table: Table,
    available: ByArm,
    *,
    arms: Sequence[Label],
    index: Mapping[Label | None, int],
    shown: Sequence[Coded],
    choice: npt.NDArray[np.int64],
) -> npt.NDArray[np.bool_]:
    """(n, m): the arms that could be chosen."""
    values = np.zeros((len(table), len(arms)), dtype=bool)
    if shown:
        for coded in shown:
            arm = coded.indices(index)
            values[np.flatnonzero(arm >= 0), arm[arm >= 0]] = True
    else:
        for i, column in enumerate(available.ordered(arms)):
            values[:, i] = flags(table, column, "available")[0]
    chosen = choice >= 0
    hidden = chosen & ~values[np.arange(len(table)), choice]
    if hidden.any():
        arm = arms[int(choice[hidden][0])]
        raise ValueError(
            f"The arm {arm!r} was chosen at {table.rows(hidden)}, but was not available there. Choices must "
            "name the arm itself, not its place on the screen; and available= must be true for it."
        )
    empty = ~values.any(axis=1)  # then nothing was chosen
    if empty.any():
        table.note(
            f"{counted(int(empty.sum()), 'missed trial')} offered no arm at all: stored as offering every "
            "arm."
        )
    return values | empty[:, None]


def read_forgone(
    table: Table,
    forgone: ByArm,
    *,
    arms: Sequence[Label],
    choice: npt.NDArray[np.int64],
    reward: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """(n, m): what the arms not chosen would have paid; NaN for the chosen one and where it is unknown."""
    chosen, row = choice >= 0, np.arange(len(table))
    if len(forgone.columns) == 1 and forgone.labels is None:
        return _of_the_other_arm(table, forgone.columns[0], arms=arms, choice=choice)
    columns = [numbers(table, column, "forgone") for column in forgone.ordered(arms)]
    values = set_aside(table, np.stack(columns, axis=1), chosen=chosen, role="forgone")
    own = np.where(chosen, values[row, choice], np.nan)
    differs = np.abs(own - reward) > ROUNDING * (1 + np.abs(reward))
    if differs.any():
        table.note(
            f"In {counted(int(differs.sum()), 'row')} the forgone reward of the chosen arm is not the "
            f"reward, first {table.row(int(np.flatnonzero(differs)[0]))}. Are the columns "
            f"{listed(forgone.columns)} in the order of the arms {listed(arms)}? The reward is used for the "
            "chosen arm."
        )
    values[row[chosen], choice[chosen]] = np.nan
    return values


def _of_the_other_arm(
    table: Table, column: Hashable, *, arms: Sequence[Label], choice: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    if len(arms) != 2:
        raise ValueError(
            f"forgone= names one column ({column!r}), which is the other arm's reward where there are two "
            f"arms; here are {len(arms)}: {listed(arms)}. Name one column per arm, in this order; or pass "
            "forgone=False."
        )
    chosen = choice >= 0
    values = np.full((len(table), 2), np.nan)
    forgone = set_aside(table, numbers(table, column, "forgone"), chosen=chosen, role="forgone")
    values[chosen, 1 - choice[chosen]] = forgone[chosen]
    return values
