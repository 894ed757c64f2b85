"""From a schedule to the arrays that the kernel plays, and from choices to behaviour."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from hierrl.data.validity import session_starts
from hierrl.kernels.recursion_code import Program
from hierrl.kernels.recursion_rows import UPDATES, build_rows
from hierrl.kernels.simulate import Stage, play
from hierrl.kernels.tables import build_tables
from hierrl.kernels.threads import SMALL_CHUNK, IndexArray, over_subjects
from hierrl.kernels.trials import (
    build_trials,
    column_of,
    exponent_of,
    n_contexts,
    session_rows,
    signal_from,
)
from hierrl.models.channels import FROM_REWARD, Channel
from hierrl.models.model import Model
from hierrl.models.recursion import Recursion
from hierrl.simulate.schedule import FloatArray, IntArray, Schedule

PAID = ("reward", "gain", "loss")
OPTIONAL = ("gain", "loss", "forgone", "available", "context")


def play_schedule(
    model: Model, schedule: Schedule, theta: FloatArray, uniform: FloatArray, *, reward_scale: float = 1.0
) -> tuple[IntArray, IntArray]:
    """Choices (n,) and the places (n, m) that arms had: theta (S, P) in raw units, uniform (n,) numbers.

    What outcomes are divided by matters to models that aren't linear in them (`Model.is_linear`).

    With as many rows of theta as there are sessions, each session has parameters of its own.
    """
    n, m = schedule.reward.shape
    blank = _blank(schedule)
    if isinstance(model, Recursion):
        return _play_recursion(model, schedule, theta, uniform, scale=reward_scale if model.scale else 1.0)
    arms = blank["arm"].values.tolist()
    tables = build_tables(model, arms, reward_scale=reward_scale, n_contexts=n_contexts(model, blank))
    trials = build_trials(model, blank, tables, reward_scale=reward_scale)
    units = np.array([parameter.unit for _, parameter, _ in model.scalars(arms)], dtype=np.float64)
    theta = np.ascontiguousarray(theta / reward_scale**units)
    if len(theta) != trials.offset.size - 1:
        first, _ = session_rows(blank)
        trials = trials._replace(offset=np.append(first, n).astype(np.int64))
    stage = _stage(model, schedule, uniform, reward_scale)
    choice, place = np.full(n, -1, dtype=np.int64), np.tile(np.arange(m), (n, 1))

    def work(subjects: IndexArray) -> None:
        play(tables, trials, subjects, theta, stage, choice, place)

    over_subjects(work, np.diff(trials.offset), smallest=SMALL_CHUNK)
    return choice, place


def _play_recursion(
    model: Recursion, schedule: Schedule, theta: FloatArray, uniform: FloatArray, *, scale: float
) -> tuple[IntArray, IntArray]:
    """As `play_schedule`."""
    n, m = schedule.reward.shape
    blank = _blank(schedule)
    program, trials = Program(model, m), build_rows(model, blank, reward_scale=1.0)
    offset = trials.offset
    if len(theta) != offset.size - 1:
        first, _ = session_rows(blank)
        offset = np.append(first, n).astype(np.int64)
    units = np.array(
        [each.unit for _, each, _ in model.scalars(blank["arm"].values.tolist())], dtype=np.float64
    )
    stage, scaled = _stage(model, schedule, uniform, 1.0), np.ascontiguousarray(theta / scale**units)
    payoffs = {**_parts(schedule), "forgone": _forgone(schedule)}
    outcome = np.stack(
        [
            payoffs[name].T / scale if name in payoffs else np.broadcast_to(row, (m, n))
            for (_, name, _), row in zip(model.unrolled(m).inputs, trials.inputs, strict=True)
        ]
    )
    choice, place = np.full(n, -1, dtype=np.int64), np.tile(np.arange(m), (n, 1))
    task = (stage.missed, stage.forced, stage.uniform, stage.best, stage.turn, stage.streak, schedule.by_card)

    def work(subjects: IndexArray) -> None:
        rows = (offset, trials.reset, trials.available, trials.context)
        program.loops.play(subjects, scaled, *rows, outcome, *task, UPDATES[model.updates], choice, place)

    over_subjects(work, np.diff(offset), smallest=SMALL_CHUNK)
    return choice, place


def _blank(schedule: Schedule) -> xr.Dataset:
    """Behaviour in which every choice is still to be made."""
    n, m = schedule.reward.shape
    unknown = {name: ("trial", np.full(n, np.nan)) for name in ("reward", "gain", "loss")}
    return schedule.frame.assign(unknown).assign(
        choice=("trial", np.full(n, -1, dtype=np.int64)),
        scored=("trial", np.zeros(n, dtype=bool)),
        forgone=(("trial", "arm"), np.full((n, m), np.nan)),
    )


def _parts(schedule: Schedule) -> dict[str, FloatArray]:
    """(n, m) payoffs of each kind."""
    reward = schedule.reward
    gain = np.maximum(reward, 0.0) if schedule.gain is None else schedule.gain
    loss = np.minimum(reward, 0.0) if schedule.loss is None else schedule.loss
    return {"reward": reward, "gain": gain, "loss": loss}


def largest_payoff(schedule: Schedule) -> float:
    """The largest absolute outcome that a schedule offers; 1 where there is none."""
    largest = max(float(np.nanmax(np.abs(part), initial=0.0)) for part in _parts(schedule).values())
    return largest if largest > 0 else 1.0


def _stage(model: Model, schedule: Schedule, uniform: FloatArray, reward_scale: float) -> Stage:
    n, m = schedule.reward.shape
    by_signal = {**_parts(schedule), "choice": np.ones((n, m)), "forgone": np.zeros((n, m))}
    by_signal |= {signal: signal_from(schedule.reward, signal) for signal in FROM_REWARD}
    for channel in model.channels:
        if channel.signal not in by_signal:
            who = f"The channel with signal={channel.signal!r}"
            column = column_of(schedule.frame, channel.signal, who).values.astype(np.float64)
            by_signal[channel.signal] = np.broadcast_to(column[:, None], (n, m))
    offered = [
        _utility(model, channel, by_signal[channel.signal].T, reward_scale) for channel in model.channels
    ]
    return Stage(
        offered=np.ascontiguousarray(np.stack(offered) if offered else np.zeros((0, m, n))),
        forgone=np.ascontiguousarray(_forgone(schedule) / reward_scale),
        bad=np.ascontiguousarray(schedule.reward.T < 0),
        missed=schedule.missed,
        forced=np.full(n, -1, dtype=np.int64) if schedule.forced is None else schedule.forced,
        uniform=uniform,
        best=np.zeros(n, dtype=np.int64) if schedule.expected is None else schedule.expected.argmax(axis=1),
        turn=np.tile(np.arange(m), (n, 1)) if schedule.turn is None else schedule.turn,
        streak=np.array([schedule.streak], dtype=np.int64),
        by_card=np.array(
            [schedule.by_card and c.signal in (*PAID, *FROM_REWARD) for c in model.channels], dtype=bool
        ),
    )


def _utility(model: Model, channel: Channel, signal: FloatArray, reward_scale: float) -> FloatArray:
    """What a channel learns from a signal (m, n); with a free exponent the signal itself, which the kernel raises."""
    scaled = signal / reward_scale if channel.is_outcome else signal
    exponent = exponent_of(model, channel)
    return scaled if exponent is None else np.sign(scaled) * np.abs(scaled) ** exponent


def _forgone(schedule: Schedule) -> FloatArray:
    """(n, m) what places would have paid; NaN where that isn't told."""
    if not schedule.tells_forgone:
        return np.full(schedule.reward.shape, np.nan)
    if "available" not in schedule.frame:
        return schedule.reward
    return np.where(schedule.frame["available"].values, schedule.reward, np.nan)


def behaviour_of(model: Model, schedule: Schedule, choice: IntArray, place: IntArray) -> xr.Dataset:
    """Behaviour from choices (n,) and the places (n, m) that arms had."""
    frame = schedule.frame
    n, row, chosen = choice.size, np.arange(choice.size), choice >= 0
    at = _card_rows(frame, choice) if schedule.by_card else row
    paid = {k: np.where(chosen, v[at, place[row, choice]], np.nan) for k, v in _parts(schedule).items()}
    kept = ["reward", *(k for k in ("gain", "loss") if getattr(schedule, k) is not None or k in model.reads)]
    scored = chosen & (np.full(n, True) if schedule.forced is None else schedule.forced < 0)
    if "available" in frame:
        scored &= frame["available"].values.sum(axis=1) > 1
    outcomes = {name: ("trial", paid[name]) for name in kept}
    data = frame.assign(choice=("trial", choice), scored=("trial", scored)).assign(outcomes)
    if schedule.tells_forgone:
        told = np.where(chosen[:, None], np.take_along_axis(_forgone(schedule), place, axis=1), np.nan)
        told[row[chosen], choice[chosen]] = np.nan
        data["forgone"] = (("trial", "arm"), told)
    if schedule.expected is not None:
        by_arm = np.take_along_axis(schedule.expected, place, axis=1)
        if "available" in frame:
            by_arm = np.where(frame["available"].values, by_arm, -np.inf)
        data["best_arm"] = ("trial", frame["arm"].values[by_arm.argmax(axis=1)], {"level": "trial"})
    if schedule.streak > 0:
        moved = np.append(False, (place[1:] != place[:-1]).any(axis=1)) & (frame["trial_number"].values > 1)
        data["reversal"] = ("trial", moved, {"level": "trial"})
    return data


def _card_rows(frame: xr.Dataset, choice: IntArray) -> IntArray:
    """(n,) the row that holds the card drawn: as many rows into the session as the deck was chosen before."""
    row = np.arange(choice.size)
    first = np.maximum.accumulate(np.where(session_starts(frame), row, 0))
    table = pd.DataFrame({"first": first, "choice": choice})
    return first + table.groupby(["first", "choice"]).cumcount().to_numpy()


def attributes_of(data: xr.Dataset) -> dict[str, Any]:
    """What `behaviour` says of its data."""
    roles = [*("subject", "session", "trial", "choice", "reward"), *OPTIONAL]
    present = {"subject", "session", "trial", *map(str, data.data_vars)}
    missed = data["choice"].values < 0
    return {
        "columns": json.dumps({role: role for role in roles if role in present}),
        "n_missed": int(missed.sum()),
        "n_unknown": int((~missed & np.isnan(data["reward"].values)).sum()),
        "notes": json.dumps([]),
    }
