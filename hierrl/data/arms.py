"""Which arms there are, and which of them each entry of a column of choices means."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Sequence

import numpy as np

from hierrl.data.codes import ODD, Coded, Label, label_of
from hierrl.data.table import Table, listed, nearest

MAX_GUESSED = 100
"""More distinct choices than this are hardly arms, unless the researcher names them."""

# Labels that may mean that no arm was chosen.
SUSPICIOUS = frozenset(
    (
        "miss missed missing missedtrial timeout timedout late tooslow omission omit omitted noresponse "
        "noresp nochoice invalid nogo skip skipped"
    ).split()
)

Coding = tuple[tuple[Label, ...], dict[Label | None, int]]
"""The labels of the arms; and the index of the arm that a value means, -1 = none."""


def name_arms(
    table: Table,
    coded: Sequence[Coded],
    *,
    arms: Iterable[Hashable] | int | None = None,
    implied: int | None = None,
) -> Coding:
    """The labels of the arms, and the index of the arm that each value means (-1 = none).

    The first column of `coded` holds the choices, others name arms too (those shown). `implied` = how many
    arms the table has columns for.
    """
    choice, given = coded[0], _given(arms)
    values = {value for one in coded for value in one.present}
    _check_some_choice(table, choice, -1 in given)
    if -1 in values and -1 not in given:
        table.note("A choice of -1 was read as a missed one.")
    counted = isinstance(arms, int | np.integer)
    if counted or (arms is None and _settles(implied, values, choice)):
        return _numbered(table, coded, values, names=None, n=len(given) or int(implied or 0))
    if given:
        return _named(table, coded, values, names=given)
    if choice.truth:
        return ("False", "True"), {0: 0, 1: 1, None: -1}
    return _guessed(table, coded)


def _given(arms: Iterable[Hashable] | int | None) -> tuple[Label, ...]:
    """The arms as the researcher names them, checked."""
    if arms is None:
        return ()
    if isinstance(arms, int | np.integer) and not isinstance(arms, bool):
        arms = range(arms)
    if isinstance(arms, str | bytes | dict) or not isinstance(arms, Iterable):
        raise TypeError(f"arms= takes a list of the arms' labels, or their number; found {arms!r}.")
    given = list(arms)
    labels = [str(arm) if isinstance(arm, bool | np.bool_) else label_of(arm) for arm in given]
    if any(label is None or label is ODD for label in labels):
        raise ValueError(f"The labels in arms= must be text or whole numbers; found {listed(given)}.")
    if len(labels) < 2 or len(set(labels)) < len(labels):
        raise ValueError(f"arms= must name at least two different arms; found {listed(given)}.")
    if len({type(label) for label in labels}) > 1:
        raise ValueError(f"The labels in arms= must be all text or all numbers; found {listed(given)}.")
    return tuple(labels)  # type: ignore[arg-type]


def _check_some_choice(table: Table, choice: Coded, minus_one_is_arm: bool) -> None:
    if not choice.present - (set() if minus_one_is_arm else {-1}):
        raise ValueError(
            f"No choice was made in the whole table: column {choice.column!r} holds only missing values. Is "
            f"this the right column?{table.way_out('choice')}"
        )


def _settles(implied: int | None, values: set[Label], choice: Coded) -> bool:
    """Whether a number of columns by arm says more than the choices: some arm was never chosen."""
    numeric = all(isinstance(value, int) for value in values)
    return implied is not None and numeric and not choice.declared and len(values - {-1}) != implied


def _named(table: Table, coded: Sequence[Coded], values: set[Label], *, names: tuple[Label, ...]) -> Coding:
    whole = isinstance(names[0], int)
    if coded[0].truth and set(names) == {"False", "True"}:
        return names, {0: names.index("False"), 1: names.index("True"), None: -1}
    if not whole and values - {-1} and all(isinstance(value, int) for value in values):
        return _numbered(table, coded, values, names=names, n=len(names))
    index: dict[Label | None, int] = {-1: -1, None: -1} | {name: i for i, name in enumerate(names)}
    unknown = sorted((value for value in values if value not in index), key=str)
    if unknown:
        raise ValueError(
            f"The choice {listed(unknown[:1])} at {_where(table, coded, unknown[0])} is none of the arms "
            f"{listed(names)}.{nearest(unknown[0], names)} Correct it, leave it empty if the choice was "
            "missed, or name the arm in arms=."
        )
    return names, index


def _numbered(
    table: Table, coded: Sequence[Coded], values: set[Label], *, names: tuple[Label, ...] | None, n: int
) -> Coding:
    """Choices that number n arms, from 0 or from 1."""
    column = coded[0].column
    text = sorted(value for value in values if isinstance(value, str))
    if text:
        if len(text) == n == len(values):
            return tuple(text), {None: -1} | {value: i for i, value in enumerate(text)}  # type: ignore
        raise ValueError(
            f"Column {column!r} holds labels ({listed(text)}): name all {n} arms with arms=[...]."
        )
    numbers = {int(value) for value in values} - {-1}
    outside = sorted(number for number in numbers if not 0 <= number <= n) or (
        [n] if {0, n} <= numbers else []
    )
    if outside:
        raise ValueError(
            f"The choice {outside[0]} at {_where(table, coded, outside[0])} is outside the {n} arms, which "
            f"are numbered {'0..' + str(n - 1) if 0 in numbers else f'0..{n - 1} or 1..{n}'}. Correct it, "
            "leave it empty if the choice was missed, or name more arms in arms=."
        )
    if not {0, n} & numbers and not coded[0].truth:
        raise ValueError(
            f"The choices in column {column!r} are {listed(sorted(numbers))}, and there are {n} arms: it is "
            f"unclear whether they count from 0 or from 1. Say so: arms=list(range({n})) or "
            f"arms=list(range(1, {n + 1}))."
        )
    base = 1 if n in numbers else 0
    if base:
        table.note(f"Choices are coded 1..{n}: `choice` holds 0..{n - 1}.")
    index: dict[Label | None, int] = {base + i: i for i in range(n)} | {-1: -1, None: -1}
    return names or tuple(range(base, base + n)), index


def _guessed(table: Table, coded: Sequence[Coded]) -> Coding:
    """The arms are the distinct choices, where that is safe to say."""
    choice = coded[0]
    offered = set(choice.values) if choice.declared else choice.present
    values = {value for value in offered.union(*(one.present for one in coded)) if value is not None}
    if values == {-1, 1}:
        raise ValueError(
            f"The choices in column {choice.column!r} are -1 and 1: are these two arms, or does -1 mean a "
            "missed choice? Say so: arms=[-1, 1] for two arms, or arms=[0, 1] if arm 0 was never chosen."
        )
    values -= {-1}
    if len({type(value) for value in values}) > 1:
        raise _mixed(table, coded, values)
    ordered = [value for value in choice.values if value in values] if choice.declared else []
    ordered += sorted(values - set(ordered))  # type: ignore[type-var]
    _check_guess(table, coded, ordered)
    return tuple(ordered), {-1: -1, None: -1} | {value: i for i, value in enumerate(ordered)}


def _mixed(table: Table, coded: Sequence[Coded], values: set[Label]) -> ValueError:
    text = sorted(value for value in values if isinstance(value, str))
    whole = sorted(value for value in values if isinstance(value, int))
    rare = text[0] if len(text) <= len(whole) else whole[0]
    return ValueError(
        f"Column {coded[0].column!r} mixes labels and numbers: {listed(text)} beside {listed(whole)}; "
        f"{listed([rare])} is at {_where(table, coded, rare)}. Write the choices in one way, and leave missed ones "
        f"empty.{table.way_out('choice')}"
    )


def _where(table: Table, coded: Iterable[Coded], value: Label) -> str:
    rows = next((rows for one in coded if (rows := one.rows(value)).size), None)
    return "no row (it is only a category)" if rows is None else table.rows(rows)


def _check_guess(table: Table, coded: Sequence[Coded], arms: Sequence[Label]) -> None:
    """Refuse arms that are a mere guess; `arms=` makes any of these readings explicit."""
    column, way_out = coded[0].column, table.way_out("choice")
    if len(arms) == 1:
        raise ValueError(
            f"Only one arm is ever chosen: column {column!r} holds only {listed(arms[:1])}. Name all arms that "
            f"could be chosen, for instance arms=[{listed(arms[:1])}, ...].{way_out}"
        )
    if len(arms) > MAX_GUESSED:
        raise ValueError(
            f"Column {column!r} holds {len(arms):,} different choices ({listed(arms[:4])}, ...): is it the "
            f"right column? If these are all arms, say so with arms=.{way_out}"
        )
    whole = [arm for arm in arms if isinstance(arm, int)]
    if whole:
        _check_whole(table, coded, sorted(whole))
    else:
        _check_text(table, coded, [str(arm) for arm in arms])


def _check_whole(table: Table, coded: Sequence[Coded], arms: list[int]) -> None:
    column, low, high = coded[0].column, arms[0], arms[-1]
    if low < 0:
        raise ValueError(
            f"Column {column!r} holds the negative choice {low} at {_where(table, coded, low)}. Only -1 is "
            "understood (a missed choice). Leave missed choices empty; if it is an arm, name all arms with "
            f"arms=[...].{table.way_out('choice')}"
        )
    absent = [number for number in range(low, min(high, low + MAX_GUESSED)) if number not in arms]
    if low <= 1 and absent and not coded[0].declared:
        near = high - low < MAX_GUESSED
        count = f", arms=list(range({low}, {high + 1})) if some were never chosen" if near else ""
        raise ValueError(
            f"The choices in column {column!r} are {listed(arms)}, but {absent[0]} never occurs. Say which "
            f"arms there are: arms={arms} if these are all{count}. If {high} stands for a missed choice, "
            f"leave it empty.{table.way_out('choice')}"
        )
    if low == 1 and not absent:
        table.note(f"Choices are coded 1..{high}: `choice` holds 0..{high - 1}, the arms keep their labels.")
    elif low > 1:
        table.note(f"Choices are coded {listed(arms)}: these are the labels of the arms, in this order.")


def _check_text(table: Table, coded: Sequence[Coded], arms: list[str]) -> None:
    folded = {arm: re.sub(r"[\W_]+", "", arm).casefold() for arm in arms}
    odd = [arm for arm in arms if folded[arm] in SUSPICIOUS]
    if odd and not coded[0].declared and not set(folded.values()) <= {"go", "nogo"}:
        raise ValueError(
            f"The choice {odd[0]!r} at {_where(table, coded, odd[0])} looks like a missed choice. Leave it "
            f"empty; or, if it is an arm, name all arms with arms=[{listed(arms)}]."
        )
    for i, arm in enumerate(arms):
        twin = next((other for other in arms[:i] if other.casefold() == arm.casefold()), None)
        if twin is not None:
            raise ValueError(
                f"The choices {twin!r} and {arm!r} differ only in upper and lower case; {arm!r} is at "
                f"{_where(table, coded, arm)}. Write them in one way, or name all arms with arms=[...] if "
                "both are arms."
            )
