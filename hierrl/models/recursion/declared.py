"""What may be declared in a recursion, and how it is read."""

from __future__ import annotations

from typing import Any

from hierrl.models.model import BIAS_BOUND, WEIGHT_BOUND, _as_pair

KINDS: dict[str, tuple[str, str, tuple[float | None, float | None]]] = {
    "rate": ("rate", "logit", (0.0, 1.0)),
    "weight": ("weight", "log", (0.0, WEIGHT_BOUND)),
    "signed": ("weight", "identity", (-WEIGHT_BOUND, WEIGHT_BOUND)),
    "start": ("start", "identity", (None, None)),
    "bias": ("bias", "identity", (-BIAS_BOUND, BIAS_BOUND)),
    "lapse": ("lapse", "logit", (0.0, 1.0)),
}
"""What the user calls a parameter -> kind, link and default bounds."""

ALWAYS = {"choice": False, "chosen": True, "reward": False, "known": False, "available": True}
"""What every trial holds -> whether there is a value for each arm."""

OUTCOMES = {"reward": False, "gain": False, "loss": False, "forgone": True}
"""Columns in reward units -> whether there is a value for each arm."""


def kind_of(name: str, given: Any) -> tuple[str, float | None, float | None]:
    """Kind of a parameter, and the bounds given with it."""
    word, *pair = (given,) if isinstance(given, str) else tuple(given)
    if word not in KINDS or len(pair) not in (0, 2):
        raise ValueError(
            f"The parameter {name!r} must be a kind ({', '.join(KINDS)}) or (kind, lowest, highest); found {given!r}."
        )
    return (word, *_as_pair(name, pair)) if pair else (word, None, None)


def start_of(name: str, given: Any) -> tuple[float | str, bool]:
    """Start of a state, and whether it has a value for each arm."""
    by_arm = not isinstance(given, list | tuple)
    if not by_arm and (len(given) != 2 or given[0] != "scalar"):
        raise ValueError(
            f"The state {name!r} must start at a number, a name, or ('scalar', one); found {given!r}."
        )
    begin = given if by_arm else given[1]
    if isinstance(begin, str):
        return begin, by_arm
    try:
        value = float(begin)
    except (TypeError, ValueError):
        value = float("nan")
    if not abs(value) < float("inf"):
        raise ValueError(
            f"The state {name!r} must start at a finite number or a parameter's name; found {begin!r}."
        )
    return value, by_arm


def column_of(given: Any) -> tuple[str, bool]:
    """Name of a column, and whether it has a value for each arm."""
    if isinstance(given, str):
        return given, OUTCOMES.get(given, False)
    name, dim = given
    if dim != "arm":
        raise ValueError(
            f"A column is a name, or (name, 'arm') if it has a value for each arm; found {given!r}."
        )
    return name, True
