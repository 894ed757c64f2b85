"""Options that several commands share, as dataclasses that a command takes as one argument each."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import wraps
from typing import Any, get_type_hints

from hierrl.cli import options


@dataclass(frozen=True)
class Columns:
    """What the columns of a table stand for."""

    subject: options.Subject = None
    choice: options.Choice = None
    reward: options.Reward = None
    session: options.Session = None
    trial: options.Trial = None
    gain: options.Gain = None
    loss: options.Loss = None
    context: options.Context = None
    forced: options.Forced = None
    covariate: options.Covariates = None
    arms: options.Arms = None

    @property
    def roles(self) -> dict[str, str | None]:
        """Role -> column, where one is given."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("covariate", "arms")}


@dataclass(frozen=True)
class Fitting:
    """What is fitted to a table, and how."""

    model: options.Models = None
    formula: options.Formulas = None
    method: options.Methods = None
    certify: options.Certify = False
    seed: options.Seed = 0
    draws: options.Draws = 1000
    tune: options.Tune = None
    chains: options.Chains = 4
    target_accept: options.TargetAccept = 0.8
    cores: options.Cores = None


@dataclass(frozen=True)
class Running:
    """How a command behaves."""

    force: options.Force = False
    quiet: options.Quiet = False
    debug: options.Debug = False


@dataclass(frozen=True)
class Resuming(Running):
    """How a command behaves that may fit a table first."""

    resume: options.Resume = False


@dataclass(frozen=True)
class Playing:
    """The task that simulated subjects play."""

    schedule: options.Schedule = None
    task: options.NamedTask = None
    odds: options.Odds = None
    means: options.Means = None
    sd: options.Sd = None
    drift: options.Drift = None
    limits: options.Limits = None
    amounts: options.Amounts = None
    trials: options.Trials = None
    sessions: options.Sessions = None
    reverse_every: options.ReverseEvery = None
    reverse_chance: options.ReverseChance = None
    missed: options.Missed = None


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the fields of its groups as options of its own: what typer sees."""
    given = inspect.signature(command, eval_str=True)
    groups: dict[str, Any] = {
        name: p.annotation for name, p in given.parameters.items() if is_dataclass(p.annotation)
    }
    flat: list[inspect.Parameter] = []
    for name, parameter in given.parameters.items():
        flat += _options_of(groups[name]) if name in groups else [parameter]

    @wraps(command)
    def spread(*arguments: Any, **named: Any) -> None:
        for name, group in groups.items():
            named[name] = group(**{f.name: named.pop(f.name) for f in fields(group)})
        command(*arguments, **named)

    spread.__signature__ = given.replace(parameters=flat)  # type: ignore[attr-defined]
    spread.__annotations__ = {parameter.name: parameter.annotation for parameter in flat}
    return spread


def _options_of(group: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    assert all(f.default is not MISSING for f in fields(group))
    return [
        inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=hints[f.name])
        for f in fields(group)
    ]
