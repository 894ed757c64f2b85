"""`from_rlfit`: the arrays of rlfit, the reference package of Zhu et al. (2025)."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.data.layouts.arrays import from_arrays
from hierrl.data.layouts.peer import noted
from hierrl.data.table import counted

Floats = npt.NDArray[np.float64]


def from_rlfit(
    rewards: Any,
    actions: Any,
    *,
    subjects: Sequence[Hashable] | None = None,
    covariates: Mapping[str, Any] | None = None,
    arms: Sequence[Hashable] | None = None,
) -> xr.Dataset:
    """Read the arrays that ``RLFit.fit(rewards, actions)`` takes, of one subject or of many.

    Parameters
    ----------
    rewards : array (trials, arms), or a list or dict of them
        The reward in the column of the arm chosen, 0 elsewhere; NaN there = unknown. For one subject also rlfit's list
        of subrewards, one of which is `actions` itself: the trace of own choices is a part of the model here
        (``hr.model("subvalue")``), and is left out.
    actions : array (trials, arms), or a list or dict of them
        1 for the arm chosen, 0 elsewhere; a row of zeros is a missed choice. With several subjects, one array for each.
    subjects : sequence of labels, optional
        Names of the subjects; the keys of a dict, or 1, 2, 3, ... if not given.
    covariates
        As in `from_arrays`.
    arms : list of labels, optional
        Names of the arms; 0, 1, 2, ... if not given.

    Returns
    -------
    Dataset
        As from `behaviour`.

    Raises
    ------
    ValueError
        If arrays do not fit together, a row has more than one action, or a reward stands beside the arm chosen.

    Examples
    --------
    >>> import hierrl as hr, numpy as np
    >>> data = hr.from_rlfit(rewards=np.array([[0, 1], [0, 0]]), actions=np.array([[0, 1], [1, 0]]))
    >>> data["choice"].values.tolist(), data["reward"].values.tolist()
    ([1, 0], [1.0, 0.0])
    """
    if isinstance(actions, Mapping):
        subjects = list(actions) if subjects is None else subjects
        if not isinstance(rewards, Mapping) or set(rewards) != set(actions):
            raise ValueError(
                "rewards and actions must be dicts with the same subjects, or neither of them a dict."
            )
        rewards, actions = [rewards[name] for name in actions], list(actions.values())
    one = not isinstance(actions, list | tuple) and np.ndim(actions) == 2
    of_each = [rewards] if one else list(rewards)
    acts = [np.asarray(a, dtype=float) for a in ([actions] if one else actions)]
    if len(of_each) != len(acts):
        raise ValueError(
            f"rewards are of {counted(len(of_each), 'subject')}, actions of {counted(len(acts), 'subject')}: give "
            "both for each."
        )
    names = list(range(1, len(acts) + 1)) if subjects is None else list(subjects)
    if len(names) != len(acts):
        raise ValueError(f"subjects= names {counted(len(names), 'subject')}, but there are {len(acts):,}.")
    read = [_subject(*pair, name=name) for *pair, name in zip(of_each, acts, names, strict=True)]
    counts = {int(a.shape[-1]) for a in acts}
    if len(counts) > 1:
        raise ValueError(
            f"All subjects must have the same arms; found {sorted(counts)} columns. Add columns of zeros."
        )
    data = from_arrays(
        [choice for choice, _, _ in read],
        [reward for _, reward, _ in read],
        subjects=names,
        covariates=covariates,
        arms=range(counts.pop()) if arms is None else arms,
    )
    trace = any(had for _, _, had in read)
    note = "One of the subrewards was the actions: left out. In hr.model('subvalue') the model remembers choices."
    return noted(data, [note] if trace else [])


def _subject(rewards: Any, actions: Floats, *, name: Hashable) -> tuple[npt.NDArray[np.int64], Floats, bool]:
    """Choices, rewards, and whether the actions stood among the subrewards."""
    _check_actions(actions, name)
    given = [np.asarray(r, dtype=float) for r in (rewards if _several(rewards) else [rewards])]
    for one in given:
        if one.shape != actions.shape:
            raise ValueError(
                f"rewards of subject {name!r} have the shape {one.shape}, actions {actions.shape}: both are "
                "(trials, arms)."
            )
    traces = [one for one in given if len(given) > 1 and np.array_equal(one, actions)]
    paid = [one for one in given if not any(one is trace for trace in traces[:1])]
    if len(paid) != 1:
        raise ValueError(
            f"Subject {name!r} has {len(paid)} subrewards beside the actions, and one is the reward here. Give gains "
            "and losses to hr.from_arrays(gain=, loss=), other signals as columns of a table to hr.behaviour."
        )
    choice = np.where(actions.any(axis=1), actions.argmax(axis=1), -1)
    beside = np.nan_to_num(paid[0]) * (1 - actions)
    if beside.any():
        trial, arm = np.argwhere(beside)[0]
        raise ValueError(
            f"Subject {name!r} has a reward of {paid[0][trial, arm]:g} for arm {arm} at trial {trial + 1}, where it "
            "was not chosen. Rewards that were seen but not earned go to hr.from_arrays(forgone=)."
        )
    reward = paid[0][np.arange(len(choice)), choice]
    return choice, np.where(choice < 0, np.nan, reward), bool(traces)


def _several(rewards: Any) -> bool:
    return isinstance(rewards, list | tuple) and len(rewards) > 0 and np.ndim(rewards[0]) == 2


def _check_actions(actions: Floats, name: Hashable) -> None:
    if actions.ndim != 2:
        raise ValueError(
            f"actions of subject {name!r} must be (trials, arms); found the shape {actions.shape}."
        )
    odd = ~np.isin(actions, (0, 1)).all(axis=1) | (actions.sum(axis=1) > 1)
    if odd.any():
        trial = int(np.flatnonzero(odd)[0])
        raise ValueError(
            f"Each row of actions must hold a single 1 (or none, if the choice was missed); subject {name!r} has "
            f"{actions[trial].tolist()} at trial {trial + 1}."
        )
