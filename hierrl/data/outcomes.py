"""What a trial paid: reward, gain and loss."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from hierrl.data.table import Table, counted
from hierrl.data.values import numbers

ROUNDING = 1e-9
"""Rewards and gain + loss that differ by less are the same."""

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def read_outcomes(table: Table, chosen: Flags) -> dict[str, Floats]:
    """Reward, and gain and loss where there are any; NaN on trials without a choice (`chosen` is False)."""
    values = {
        role: numbers(table, table.roles[role], role)
        for role in ("reward", "gain", "loss")
        if role in table.roles
    }
    _check_signs(table, values)
    if "reward" not in values:
        values["reward"] = values["gain"] + values["loss"]
        table.note("The reward is the sum of gain and loss.")
    elif {"gain", "loss"} <= values.keys():
        total = values["gain"] + values["loss"]
        differs = np.abs(values["reward"] - total) > ROUNDING * (1 + np.abs(total))
        if differs.any():
            table.note(
                f"The reward is not gain + loss in {counted(int(differs.sum()), 'row')}, first at "
                f"{table.row(int(np.flatnonzero(differs)[0]))}: each is used as it is."
            )
    return {role: set_aside(table, value, chosen=chosen, role=role) for role, value in values.items()}


def set_aside(table: Table, values: Floats, *, chosen: Flags, role: str) -> Floats:
    """Outcomes without those of trials on which nothing was chosen: nothing can be learned from them."""
    stray = ~chosen & ~np.isnan(values).all(axis=tuple(range(1, values.ndim)))
    if stray.any():
        table.note(
            f"{counted(int(stray.sum()), 'missed trial')} had a value in {role}, first "
            f"{table.row(int(np.flatnonzero(stray)[0]))}: it was set aside, as no arm was chosen."
        )
    return np.where(chosen.reshape(-1, *[1] * (values.ndim - 1)), values, np.nan)


def _check_signs(table: Table, values: Mapping[str, Floats]) -> None:
    for role, sign, allowed in (("gain", -1, "0 or more"), ("loss", 1, "0 or less")):
        bad = sign * values[role] > 0 if role in values else np.zeros(0, dtype=bool)
        if bad.any():
            column, both = table.roles[role], bool((sign * values[role] < 0).any())
            raise ValueError(
                f"A {role} must be {allowed}: column {column!r} holds {values[role][bad][0]:g} at "
                f"{table.rows(bad)}. {_sign_advice(role, column, both=both)}{table.way_out(role)}"
            )


def _sign_advice(role: str, column: object, *, both: bool) -> str:
    if both:
        return "The column holds both signs: check what it is."
    if role == "gain":
        return "Are gain and loss exchanged?"
    return (
        f"If losses are written as positive amounts, turn them round: table[{column!r}] = -table[{column!r}]."
    )
