"""Tasks and true parameters as they are written on the command line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hierrl.cli.complaints import BadInput, reading
from hierrl.cli.grouped import Columns, Playing
from hierrl.cli.options import TaskName

if TYPE_CHECKING:
    import numpy as np

    from hierrl.models import Model
    from hierrl.simulate import Bandit, Decks
    from hierrl.simulate.recorded import Recorded

DEFAULT_ODDS = (0.8, 0.2)
DEFAULT_SUBJECTS = 40
OF_NAMED = ("trials",)
"""What may be said of a known task."""

Value = float | tuple[float, float]


def read_task(playing: Playing, columns: Columns) -> Bandit | Decks | Recorded:
    """The task that was described."""
    from hierrl.simulate import Bandit

    if playing.schedule is not None:
        _refuse(playing, "schedule", ())
        return Bandit.recorded(_recorded(playing.schedule, columns))
    if playing.task is not None:
        _refuse(playing, "task", OF_NAMED)
        return _known(playing.task, playing.trials)
    with reading():
        return Bandit(**_described(playing))


def _described(playing: Playing) -> dict[str, Any]:
    numbers = {
        name: _numbers(f"--{name}", getattr(playing, name), n)
        for name, n in (("odds", None), ("means", None), ("limits", 2), ("amounts", 2))
        if getattr(playing, name) is not None
    }
    if "means" in numbers and "odds" in numbers:
        raise BadInput("--odds and --means describe different tasks; give one of them.")
    if not {"means", "odds"} & set(numbers):
        numbers["odds"] = DEFAULT_ODDS
    plain = {
        "sd": playing.sd, "drift": playing.drift, "n_trials": playing.trials, "n_sessions": playing.sessions,
        "reverse_every": playing.reverse_every, "reverse_chance": playing.reverse_chance,
        "missed": playing.missed,
    }  # fmt: skip
    return numbers | {name: value for name, value in plain.items() if value is not None}


def _known(name: TaskName, trials: int | None) -> Bandit | Decks:
    from hierrl.simulate import Bandit, Decks

    length = {} if trials is None else {"n_trials": trials}
    if name is TaskName.iowa:
        return Decks.iowa(**length)
    return Bandit.zhu_2arm(**length) if name is TaskName.zhu_2arm else Bandit.zhu_10arm(**length)


def _recorded(text: str, columns: Columns) -> Any:
    """The behaviour whose schedule is played: in a table, or in a fit."""
    from hierrl.cli.inputs import read_study
    from hierrl.cli.saved import is_table, open_saved
    from hierrl.fits import data_of

    if not is_table(text):
        return data_of(open_saved([text])[-1].fit)
    return read_study(
        Path(text), columns=columns.roles, arms=columns.arms, covariates=columns.covariate or ()
    )


def _refuse(playing: Playing, given: str, allowed: Iterable[str]) -> None:
    from dataclasses import fields

    names = [f.name for f in fields(playing) if f.name not in (given, *allowed)]
    if also := [name for name in names if getattr(playing, name) is not None]:
        raise BadInput(
            f"--{given} says all about the task; --{also[0].replace('_', '-')} can't be given with it."
        )


def _numbers(option: str, text: str, n: int | None) -> tuple[float, ...]:
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise BadInput(
            f"{option} {text}: these must be numbers with commas, as in {option} 0.8,0.2."
        ) from None
    if n is not None and len(found) != n:
        raise BadInput(f"{option} {text}: there must be {n} numbers, LOW,HIGH.")
    return found


def read_values(texts: Iterable[str]) -> dict[str, Value]:
    """``alpha=0.3`` and ``beta=1:8`` as numbers and ranges by name."""
    found: dict[str, Value] = {}
    for text in texts:
        name, _, value = (part.strip() for part in text.partition("="))
        ends = value.split(":")
        try:
            numbers = [float(end) for end in ends]
        except ValueError:
            numbers = []
        if not name or len(numbers) not in (1, 2):
            raise BadInput(f"--set {text}: write a number or a range, as in --set alpha=0.3 --set beta=1:8.")
        if name in found:
            raise BadInput(f"--set gives {name} twice; give it once.")
        found[name] = numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1])
    return found


def check_values(model: Model, values: Mapping[str, Value]) -> None:
    """Raise unless each parameter has a value within its range."""
    from hierrl.data.table import nearest

    for name, value in values.items():
        if name not in model.names:
            hint = nearest(name, list(model.names))
            raise BadInput(
                f"--set {name}: the model has no such parameter, but {', '.join(model.names)}.{hint}"
            )
        _check_range(model, name, value)
    if missing := [name for name in model.names if name not in values]:
        raise BadInput(
            f"--set gives nothing for {', '.join(missing)}. Give every parameter, as in --set {missing[0]}=0.3, or "
            "none: then subjects are drawn from a weak prior."
        )


def _check_range(model: Model, name: str, value: Value) -> None:
    low, high = {"logit": (0.0, 1.0), "log": (0.0, float("inf"))}.get(
        model.parameter(name).link, (-float("inf"), float("inf"))
    )
    ends = value if isinstance(value, tuple) else (value, value)
    finite = all(abs(end) < float("inf") for end in ends)
    if not (finite and low <= ends[0] <= ends[1] <= high):
        told = ":".join(f"{end:g}" for end in dict.fromkeys(ends))
        allowed = f"between {low:g} and {high:g}" if high < float("inf") else f"{low:g} or more"
        raise BadInput(
            f"--set {name}={told}: {name} must be {allowed if low > -float('inf') else 'finite'}, a range from low "
            "to high."
        )


def draw_values(
    model: Model, values: Mapping[str, Value], *, shape: tuple[int, int], rng: np.random.Generator
) -> dict[str, Any]:
    """Values of each subject (S,), or of each subject and arm (S, m) where a parameter is per arm."""
    drawn: dict[str, Any] = {}
    for name, value in values.items():
        parameter = model.parameter(name)
        if not isinstance(value, tuple):
            drawn[name] = value
            continue
        drawn[name] = rng.uniform(*value, shape if parameter.per_arm else shape[:1])
        if parameter.kind == "bias":
            drawn[name][:, 0] = 0.0
    return drawn
