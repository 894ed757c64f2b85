"""What a description of a task must be: `Bandit` asks here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from hierrl.simulate.bandit import Bandit


def check_payoffs(task: Bandit) -> None:
    """Odds or means, their limits, losses, labels."""
    if (task.odds is None) == (task.means is None):
        raise ValueError(f"Give either odds or means; found odds={task.odds}, means={task.means}.")
    name, base = ("odds", task.odds) if task.means is None else ("means", task.means)
    if task.base.ndim != 1 or task.base.size < 2 or not np.isfinite(task.base).all():
        raise ValueError(f"{name} must be two or more numbers, one for each arm; found {base}.")
    low, high = task.limits or ((0.0, 1.0) if name == "odds" else (-np.inf, np.inf))
    if not low < high or (task.base < low).any() or (task.base > high).any():
        raise ValueError(f"{name} must lie within [{low:g}, {high:g}]; found {base}.")
    if name == "odds" and not 0 <= low < high <= 1:
        raise ValueError(f"The limits of odds must lie within [0, 1]; found {task.limits}.")
    if task.arms is not None and len(set(task.arms)) != task.base.size:
        raise ValueError(f"{name} has {task.base.size} arms; arms={task.arms} must name each once.")
    if task.loss > 0:
        raise ValueError(f"loss must not be above 0; found {task.loss:g}.")
    if task.loss_odds is not None:
        _check_losses(task)


def check_numbers(task: Bandit) -> None:
    """Lengths, reversals, arms shown."""
    lengths = [task.n_trials] if isinstance(task.n_trials, int | np.integer) else list(task.n_trials)
    m, size = task.base.size, {"n_sessions": task.n_sessions}
    size |= {name: getattr(task, name) for name in ("reverse_every", "reverse_after")}
    size |= {f"n_trials={task.n_trials}": min(lengths, default=0)}
    size |= {} if isinstance(task.shown, tuple) else {"shown": task.shown}
    for name, number in size.items():
        if number is not None and not (isinstance(number, int | np.integer) and number >= 1):
            raise ValueError(f"{name} must be a whole number of at least 1; found {number}.")
    for name in ("missed", "reverse_chance"):
        if not 0 <= getattr(task, name) < 1:
            raise ValueError(f"{name} must lie within [0, 1); found {getattr(task, name)}.")
    if isinstance(task.shown, tuple):
        _check_sets(task.shown, task.labels)
    elif isinstance(task.shown, int | np.integer) and not 2 <= task.shown <= m:
        raise ValueError(f"shown must lie within 2..{m}, the number of arms; found {task.shown}.")
    if task.shown is not None and task.reverse_after is not None:
        raise ValueError(
            "reverse_after counts choices of the best arm, which shown hides on some trials. Give one of the two."
        )
    if task.shared and isinstance(task.n_trials, tuple) and len(set(task.n_trials)) > 1:
        raise ValueError(
            f"A shared schedule has one length for all subjects; found n_trials={task.n_trials}."
        )
    if task.step is not None and not task.step > 0:
        raise ValueError(f"step must be above 0; found {task.step}.")
    if task.drift < 0 or task.sd < 0:
        raise ValueError(f"drift and sd must not be negative; found {task.drift} and {task.sd}.")
    if (task.reverse_every is not None) + (task.reverse_chance > 0) + (task.reverse_after is not None) > 1:
        raise ValueError("Give one of reverse_every, reverse_chance and reverse_after only.")


def _check_losses(task: Bandit) -> None:
    odds = np.array(task.loss_odds, dtype=np.float64)
    if task.means is not None:
        raise ValueError(
            "loss_odds go with odds, not with means. Of means that may be negative, losses are the negative part."
        )
    low, high = task.limits or (0.0, 1.0)
    if odds.shape != task.base.shape or not ((odds >= low) & (odds <= high)).all():
        raise ValueError(
            f"loss_odds must be {task.base.size} numbers within [{low:g}, {high:g}], one for each arm; "
            f"found {task.loss_odds}."
        )
    if min(task.amounts) < 0:
        raise ValueError(f"With loss_odds, amounts are gains and not below 0; found {task.amounts}.")


def _check_sets(sets: Sequence[Sequence[Any]], labels: list[Any]) -> None:
    for one in sets:
        if len(set(one)) < 2 or len(set(one)) != len(one) or not set(one) <= set(labels):
            raise ValueError(
                f"Each set of shown must name two or more of the arms {labels}, each once; found {one}."
            )
