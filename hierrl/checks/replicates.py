"""Choices that a fitted model makes: one step ahead on the subject's own history, or from the first trial on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.fits import model_of
from hierrl.models.model import Model
from hierrl.simulate import Recorded, Task, simulate
from hierrl.simulate.stage import behaviour_of, play_schedule
from hierrl.told import Told

IntArray = npt.NDArray[np.int64]


def spread(told: Told, n: int) -> list[tuple[int, int]]:
    """(chain, draw) of n replicates: draws evenly spaced, all of them as often as they are needed."""
    chains, length = told.theta.shape[:2]
    flat = (np.arange(n) * (chains * length) / n).astype(np.int64)
    return [(int(k // length), int(k % length)) for k in flat]


def replays(told: Told, n: int, rng: np.random.Generator) -> Iterator[IntArray]:
    """n times choices (rows,) that the model makes on the history that there was."""
    before, cumulated = None, np.empty((0, 0))
    for at in spread(told, n):
        if at != before:
            probability = told.problem.by_trial(told.theta[at])[1]
            cumulated, before = np.cumsum(probability, axis=0), at
            cumulated[-1] = 1.0
        uniform = rng.random(cumulated.shape[1])
        # An arm that isn't shown has probability 0, and is never the first whose sum lies above.
        yield (uniform >= cumulated[:-1]).sum(axis=0).astype(np.int64)


def generations(
    fit: xr.DataTree, told: Told, task: Task, n: int, rng: np.random.Generator
) -> Iterator[xr.Dataset]:
    """n times behaviour of the fitted subjects in a task."""
    play = _by_session(fit, told, task) if "sessions" in fit.children else _by_subject(fit, told, task)
    for (chain, draw), child in zip(spread(told, n), rng.spawn(n), strict=True):
        yield play(chain, draw, child)


Play = Callable[[int, int, np.random.Generator], xr.Dataset]


def _by_subject(fit: xr.DataTree, told: Told, task: Task) -> Play:
    model, posterior = model_of(fit), fit["posterior"].to_dataset()
    posterior = posterior.sel(subject=told.data["subject"].values)[list(model.names)]

    def play(chain: int, draw: int, rng: np.random.Generator) -> xr.Dataset:
        at = {
            "chain": list(posterior["chain"].values).index(told.draw_coords["chain"][chain]),
            "draw": list(posterior["draw"].values).index(told.draw_coords["draw"][draw]),
        }
        scale = told.problem.reward_scale
        return simulate(model, task, posterior.isel(at), reward_scale=scale, random_seed=rng)

    return play


def _by_session(fit: xr.DataTree, told: Told, task: Task) -> Play:
    """Subjects with slopes have parameters of their own in each session that was fitted."""
    if not isinstance(task, Recorded):
        raise ValueError(
            "This fit has slopes within subjects, so its parameters belong to the sessions that were fitted. Leave out "
            "task=, or give hr.Bandit.recorded(data) of those sessions."
        )
    model: Model = model_of(fit)

    def play(chain: int, draw: int, rng: np.random.Generator) -> xr.Dataset:
        schedule = task.schedule(told.data.sizes["subject"], rng)
        theta = np.ascontiguousarray(told.theta[chain, draw] * told.problem.raw_factor())
        uniform = rng.random(schedule.frame.sizes["trial"])
        scale = 1.0 if model.is_linear else told.problem.reward_scale
        played = play_schedule(model, schedule, theta, uniform, reward_scale=scale)
        return behaviour_of(model, schedule, *played)

    return play
