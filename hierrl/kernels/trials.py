"""Behaviour as contiguous arrays: what the kernels read, one row per trial."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.data.validity import subject_index
from hierrl.kernels.rule import aim_all
from hierrl.kernels.tables import Tables
from hierrl.models.channels import FROM_REWARD, OUTCOMES, Channel
from hierrl.models.model import Model


class Trials(NamedTuple):
    """n rows, contiguous by subject; S subjects, m arms, C channels, R regressors. Optional parts have no rows."""

    offset: npt.NDArray[np.int64]
    """(S + 1,): subject s has rows ``offset[s]:offset[s + 1]``."""
    choice: npt.NDArray[np.int64]
    """(n,): arm index, -1 = missed."""
    reset: npt.NDArray[np.bool_]
    """(n,): the first row of a session."""
    scored: npt.NDArray[np.bool_]
    """(n,): the choice enters the likelihood."""
    kind: npt.NDArray[np.int8]
    """(C, m, n): what each arm does after the trial: LEARN, LEARN_OTHER, FADE or HOLD (`hierrl.kernels.rule.aim`)."""
    target: npt.NDArray[np.float64]
    """(C, m, n): what it moves toward, on the scaled signal; where that is a power with a free exponent, its factor."""
    log_size: npt.NDArray[np.float64]
    """(C, m, n or 0): the logarithm of what the power is of."""
    available: npt.NDArray[np.bool_]
    """(m, n or 0): arms that could be chosen."""
    regressor: npt.NDArray[np.float64]
    """(R, m, n or 0): what each regressor adds to the arm's logit per unit weight."""
    context: npt.NDArray[np.int64]
    """(C, n or 0): context of each channel."""


def build_trials(model: Model, data: xr.Dataset, tables: Tables, *, reward_scale: float) -> Trials:
    """Contiguous arrays for `model` from a behaviour Dataset, outcome signals divided by `reward_scale`."""
    choice = np.ascontiguousarray(data["choice"].values, dtype=np.int64)
    offset, reset = row_structure(data)
    kind, target = _aims(model, data, tables, reward_scale)
    target, log_size = _powers(model, tables, target)
    contexts = [_context(channel, data) for channel in model.channels] if n_contexts(model, data) > 1 else []
    return Trials(
        offset=offset,
        choice=choice,
        reset=reset,
        scored=np.ascontiguousarray(data["scored"].values.astype(bool) & (choice >= 0)),
        kind=kind,
        target=target,
        log_size=log_size,
        available=_available(data),
        regressor=_regressors(model, data),
        context=np.ascontiguousarray(
            np.stack(contexts) if contexts else np.zeros((len(model.channels), 0), dtype=np.int64)
        ),
    )


def row_structure(data: xr.Dataset) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Row offsets of the subjects and the rows at which a session starts."""
    subject, session = data["trial_subject"].values, data["trial_session"].values
    new_subject = np.append(True, subject[1:] != subject[:-1])
    reset = new_subject | np.append(True, session[1:] != session[:-1])
    return np.append(np.flatnonzero(new_subject), subject.size).astype(np.int64), reset


def session_rows(data: xr.Dataset) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """First trial (R,) of every session of every subject, and its subject (R,)."""
    offset, reset = row_structure(data)
    first = np.flatnonzero(reset)
    return first, np.searchsorted(offset, first, side="right") - 1


def reward_scale_of(data: xr.Dataset) -> float:
    """The largest absolute reward, gain, loss or forgone reward; 1 where there is none.

    Simulated behaviour of a model that isn't linear in them says itself what it was made with.
    """
    if "reward_scale" in data.attrs:
        return float(data.attrs["reward_scale"])
    sizes = [np.abs(data[name].values) for name in OUTCOMES if name in data]
    largest = max((float(np.nanmax(size)) for size in sizes if np.isfinite(size).any()), default=0.0)
    return largest if largest > 0 else 1.0


def signal_range(model: Model, data: xr.Dataset, channel: int, *, reward_scale: float) -> tuple[float, float]:
    """Smallest and largest known value of a channel's scaled signal, (0, 1) where there is no spread to speak
    of.
    """
    signal = _signal(model.channels[channel], data, reward_scale)
    known = signal[np.isfinite(signal)]
    if known.size == 0 or known.min() == known.max():
        return 0.0, 1.0
    return float(known.min()), float(known.max())


def reward_range(data: xr.Dataset, reward_scale: float) -> tuple[float, float]:
    """Smallest and largest known reward, scaled, (0, 1) where there is no spread to speak of."""
    known = data["reward"].values[np.isfinite(data["reward"].values)] / reward_scale
    if known.size == 0 or known.min() == known.max():
        return 0.0, 1.0
    return float(known.min()), float(known.max())


def n_contexts(model: Model, data: xr.Dataset) -> int:
    """How many contexts values are kept apart for."""
    return max((int(_context(channel, data).max()) + 1 for channel in model.channels), default=1)


def _aims(
    model: Model, data: xr.Dataset, tables: Tables, reward_scale: float
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float64]]:
    """What every arm does after every trial, and what it moves toward."""
    choice = np.ascontiguousarray(data["choice"].values, dtype=np.int64)
    signals = [_signal(channel, data, reward_scale) for channel in model.channels]
    signal = np.ascontiguousarray(np.stack(signals, axis=1) if signals else np.zeros((choice.size, 0)))
    kind = np.zeros((len(signals), data.sizes["arm"], choice.size), dtype=np.int8)
    target = np.zeros(kind.shape)
    forgone = _forgone(model, data, reward_scale)
    aim_all(
        choice, signal, forgone, data["reward"].values < 0, tables.unchosen, tables.split, tables.by_reward,
        bool(tables.missed_decay[0]), kind, target,
    )  # fmt: skip
    return kind, target


def _powers(
    model: Model, tables: Tables, target: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Targets of channels with a utility as powers: of a known exponent they are done, else factor and log of size."""
    size = np.abs(target)
    for c, channel in enumerate(model.channels):
        exponent = exponent_of(model, channel)
        if exponent is not None:
            target[c] = np.sign(target[c]) * size[c] ** exponent
    if not tables.power.any():
        return target, np.zeros((*target.shape[:2], 0))
    free = (tables.power == 1)[:, None, None]
    log_size = np.log(np.where(free & (size > 0), size, 1.0))
    return np.where(free, np.sign(target), target), log_size


def exponent_of(model: Model, channel: Channel) -> float | None:
    """The exponent of a channel's utility where it is a number, be it fixed by the model; None where it is not."""
    exponent = channel.utility
    if isinstance(exponent, str):
        exponent = model.fixed.get(exponent)
    return exponent


def signal_from(reward: npt.NDArray[np.float64], signal: str) -> npt.NDArray[np.float64]:
    """A signal that is worked out from the reward; unknown where that is."""
    found = {
        "reward": reward,
        "reward+": np.maximum(reward, 0.0),
        "reward-": np.minimum(reward, 0.0),
        "sign(reward)": np.sign(reward),
        "reward>=0": (reward >= 0).astype(np.float64),
        "reward<0": (reward < 0).astype(np.float64),
    }[signal]
    return np.where(np.isnan(reward), np.nan, found)


def _signal(channel: Channel, data: xr.Dataset, reward_scale: float) -> npt.NDArray[np.float64]:
    choice = data["choice"].values
    if channel.signal == "choice":
        return np.where(choice >= 0, 1.0, np.nan)
    # A channel of forgone rewards reads the column by arm; that a choice was made is all it needs here.
    if channel.signal == "forgone":
        return np.where(choice >= 0, 0.0, np.nan)
    column = "reward" if channel.signal in FROM_REWARD else channel.signal
    values = column_of(data, column, f"The channel with signal={channel.signal!r}").values.astype(float)
    if channel.signal in FROM_REWARD:
        values = signal_from(values, channel.signal)
    if values.ndim != 1:
        raise ValueError(
            f"The signal {channel.signal!r} must have one value per trial; found dims {data[column].dims}."
        )
    return values / reward_scale if channel.is_outcome else values


def _forgone(model: Model, data: xr.Dataset, reward_scale: float) -> npt.NDArray[np.float64]:
    if not any(c.unchosen == "forgone" or c.signal == "forgone" for c in model.channels):
        return np.zeros((0, data.sizes["arm"]))
    values = (
        column_of(data, "forgone", "A channel that learns from forgone rewards")
        .transpose("trial", "arm")
        .values
    )
    return np.ascontiguousarray(values.astype(float) / reward_scale)


def _available(data: xr.Dataset) -> npt.NDArray[np.bool_]:
    if "available" not in data:
        return np.zeros((data.sizes["arm"], 0), dtype=bool)
    return np.ascontiguousarray(data["available"].transpose("arm", "trial").values.astype(bool))


def _regressors(model: Model, data: xr.Dataset) -> npt.NDArray[np.float64]:
    m = data.sizes["arm"]
    if not model.regressors:
        return np.zeros((0, m, 0))
    columns = [
        _regressor(column_of(data, r.column, f"The regressor {r.column!r}"), m) for r in model.regressors
    ]
    return np.ascontiguousarray(np.stack(columns).transpose(0, 2, 1))


def _regressor(column: xr.DataArray, n_arms: int) -> npt.NDArray[np.float64]:
    """A column by trial acts on every arm but the first, like a bias; a column by arm acts as it is."""
    if "arm" in column.dims:
        values = column.transpose("trial", "arm").values.astype(float)
    else:
        values = column.values.astype(float)[:, None] * (np.arange(n_arms) > 0)
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise ValueError(
            f"The regressor {column.name!r} is missing or infinite at row {row} "
            f"(subject {column['trial_subject'].values[row]}). "
            "Regressors need a finite value on every trial; fill it (0 adds nothing to the logit)."
        )
    return values


def _context(channel: Channel, data: xr.Dataset) -> npt.NDArray[np.int64]:
    if channel.context is None:
        return np.zeros(data.sizes["trial"], dtype=np.int64)
    column = column_of(data, channel.context, f"The channel with context={channel.context!r}")
    return np.unique(column.values, return_inverse=True)[1].astype(np.int64)


def column_of(data: xr.Dataset, name: str, who: str) -> xr.DataArray:
    """A variable of the behaviour by trial, which `who` asks for."""
    if name in data and data[name].dims == ("subject",):
        # A covariate that happens to be constant within subjects: the same value on all of their trials.
        return data[name].isel(subject=xr.DataArray(subject_index(data), dims="trial")).drop_vars("subject")
    if name not in data or "trial" not in data[name].dims:
        by_trial = [str(key) for key in data.data_vars if "trial" in data[key].dims]
        raise ValueError(
            f"{who} needs the column {name!r} by trial, which the behaviour does not have; "
            f"it has {', '.join(by_trial)}. "
            "Pass it to hr.behaviour (as its own argument or in covariates=[...])."
        )
    return data[name]
