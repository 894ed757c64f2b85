"""The design of a study, and many data sets as one, so that fits run over all their subjects in bulk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.kernels.problem import prepare
from hierrl.models.model import Model
from hierrl.replications.store import Key
from hierrl.simulate import Bandit, Recorded

IntArray = npt.NDArray[np.int64]

TOGETHER = 500
"""Subjects that are fitted at once: enough for all threads, few enough that an interrupt loses little."""


def task_of(design: Bandit | Recorded | xr.Dataset) -> Bandit | Recorded:
    """The task of a design: recorded behaviour is played again."""
    if isinstance(design, xr.Dataset):
        return Recorded(design)
    if not isinstance(design, Bandit | Recorded):
        raise TypeError(
            "The design must be hr.Bandit(...), hr.Bandit.recorded(data), or behaviour from hr.behaviour whose "
            f"schedule is played again; found {type(design).__name__}."
        )
    return design


def n_subjects_of(task: Bandit | Recorded, asked: int | None) -> int:
    """How many subjects a data set has."""
    if asked is None and task.size is None:
        raise ValueError(
            "The design does not say how many subjects a data set has. Give n_subjects=, such as n_subjects=50."
        )
    if asked is not None and task.size is not None and asked != task.size:
        raise ValueError(
            f"The numbers of subjects disagree: n_subjects says {asked}, the design {task.size}. Leave one out."
        )
    number = int(task.size if asked is None else asked)  # type: ignore[arg-type]
    if number < 1:
        raise ValueError(f"n_subjects must be at least 1; found {number}.")
    return number


def numbers_of(replications: Any) -> list[int]:
    """Numbers of the replications that were asked for, as a number of them or as their numbers."""
    whole = isinstance(replications, int | np.integer)
    numbers = list(range(replications)) if whole else [int(k) for k in replications]
    if not numbers or min(numbers) < 0 or len(set(numbers)) < len(numbers):
        raise ValueError(
            f"replications= is how many data sets, at least one, or their numbers, each once; found {replications!r}."
        )
    return numbers


def batches[K: Key](keys: Sequence[K], n_subjects: int, *, together: int = TOGETHER) -> list[list[K]]:
    """Keys of data sets with so many subjects each, in batches to be fitted at once."""
    size = max(1, together // n_subjects)
    return [list(keys[k : k + size]) for k in range(0, len(keys), size)]


def joined(sets: Sequence[xr.Dataset]) -> xr.Dataset:
    """Behaviour of all subjects of several data sets, who are called 0, 1, 2 ... now."""
    first, sizes = sets[0], [data.sizes["subject"] for data in sets]
    edges = np.cumsum([0, *sizes])
    new = {name: _along(sets, name, ("trial", "subject")) for name in map(str, first.variables)}
    made = xr.Dataset({name: values for name, values in new.items() if name not in first.coords})
    made = made.assign_coords({name: new[name] for name in map(str, first.coords)})
    owner = np.concatenate([_owner(data) + edge for data, edge in zip(sets, edges, strict=False)])
    labels = np.arange(edges[-1])
    made = made.assign_coords(
        trial=np.arange(owner.size), subject=labels, trial_subject=("trial", labels[owner])
    )
    made.attrs = dict(first.attrs)
    return made


def chosen_subjects(data: xr.Dataset, subjects: Sequence[int], n_trials: int | None = None) -> xr.Dataset:
    """Behaviour of some subjects (indices, perhaps repeated), and of their first trials only."""
    owner = _owner(data)
    rows = [np.flatnonzero(owner == s)[:n_trials] for s in range(data.sizes["subject"])]
    if n_trials is not None and (short := min(len(rows[s]) for s in subjects)) < n_trials:
        raise ValueError(
            f"The recorded schedule has a subject with {short} trials; asked are {n_trials}. Ask for fewer trials."
        )
    return joined([data.isel(trial=rows[s], subject=[s]) for s in subjects])


def laid_out_alike(model: Model, sets: Sequence[xr.Dataset]) -> Iterator[IntArray]:
    """Indices of data sets that a model is laid out on with the same reward scale and bounds.

    These follow from the largest reward of a data set. Fitted with others that have another one, a subject's estimate
    would depend on its company.
    """
    groups: dict[bytes, list[int]] = {}
    for k, data in enumerate(sets):
        problem = prepare(model, data)
        numbers = np.concatenate([[problem.reward_scale], problem.lower, problem.upper])
        groups.setdefault(numbers.tobytes(), []).append(k)
    yield from (np.array(group) for group in groups.values())


def seeds_of(random_seed: int, *path: int, n: int) -> list[int]:
    """Seeds of the parts of a replication, which depend on nothing but its numbers."""
    return [int(word) for word in np.random.SeedSequence((random_seed, *path)).generate_state(n)]


def _owner(data: xr.Dataset) -> IntArray:
    """(n,) index of the subject of each row."""
    place = {label: s for s, label in enumerate(data["subject"].values.tolist())}
    return np.array([place[label] for label in data["trial_subject"].values.tolist()], dtype=np.int64)


def _along(sets: Sequence[xr.Dataset], name: str, dims: Sequence[str]) -> Any:
    first = sets[0][name].variable
    along = [dim for dim in dims if dim in first.dims]
    if not along:
        return first
    return xr.Variable.concat([data[name].variable for data in sets], along[0])


def split_by_set(values: npt.NDArray[Any], sizes: Sequence[int]) -> list[npt.NDArray[Any]]:
    """Values (subjects of all data sets, ...) data set by data set."""
    return np.split(values, np.cumsum(sizes)[:-1])


def with_trials(task: Bandit | Recorded, n_trials: int) -> Bandit | Recorded:
    """The task with so many trials per session (a description), or so many first trials of each subject."""
    if isinstance(task, Bandit):
        return replace(task, n_trials=int(n_trials))
    return replace(
        task, data=chosen_subjects(task.data, range(task.data.sizes["subject"]), n_trials=n_trials)
    )
