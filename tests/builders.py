"""Behaviour and parameters for tests: random, seeded, with every kind of gap."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.kernels.problem import Problem

SHARE_OF_GAPS = 0.08


def random_behaviour(
    n_subjects: int = 4,
    n_trials: int = 40,
    n_arms: int = 2,
    *,
    gaps: bool = True,
    graded: bool = False,
    rich: bool = False,
    seed: int = 0,
) -> xr.Dataset:
    """Behaviour of subjects who choose at random.

    Parameters
    ----------
    n_subjects, n_trials, n_arms : int
        Subjects called ``s0``, ``s1`` ...; at most so many trials each; arms called ``A``, ``B`` ...
    gaps : bool
        Unequal lengths, several sessions, missed choices, unknown outcomes, forced (unscored) choices.
    graded : bool
        Rewards of any size and sign instead of 0 and 1.
    rich : bool
        All optional variables too: gain, loss, forgone, available, context; columns ``points`` and ``mood``
        by trial, ``side`` by trial and arm; covariates ``group`` (text) and ``age`` by subject.
    seed : int
        The same seed gives the same behaviour.
    """
    rng = np.random.default_rng(seed)
    lengths = (
        rng.integers(max(2, n_trials // 2), n_trials + 1, n_subjects)
        if gaps
        else np.full(n_subjects, n_trials)
    )
    n = int(lengths.sum())
    subjects = np.array([f"s{s}" for s in range(n_subjects)])
    sessions = np.concatenate(
        [_sessions(length, rng) if gaps else np.ones(length, int) for length in lengths]
    )
    choice = rng.integers(0, n_arms, n)
    reward = rng.normal(1.0, 20.0, n) if graded else rng.integers(0, 2, n).astype(float)
    variables: dict[str, Any] = {"choice": choice, "reward": reward, "scored": np.ones(n, dtype=bool)}
    if rich:
        variables |= _optional(n, n_arms, rng)
        variables["available"][np.arange(n), choice] = True
        variables["scored"] = variables["available"].sum(axis=1) > 1
    if gaps:
        _punch(variables, rng)
    data = xr.Dataset(
        {name: (("trial", "arm")[: values.ndim], values) for name, values in variables.items()},
        coords={
            "trial": np.arange(n),
            "subject": subjects,
            "arm": np.array([chr(ord("A") + i) for i in range(n_arms)]),
            "trial_subject": ("trial", np.repeat(subjects, lengths)),
            "trial_session": ("trial", sessions),
            "trial_number": ("trial", np.concatenate([np.arange(1, length + 1) for length in lengths])),
        },
        attrs={
            "columns": json.dumps(
                {name: name for name in ("subject", "choice", "reward", "session", "trial")}
            )
        },
    )
    return _with_covariates(data, rng) if rich else data


def _sessions(length: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Labels of one to three sessions of unequal length."""
    return np.sort(rng.integers(1, rng.integers(2, 5), length))


def _optional(n: int, n_arms: int, rng: np.random.Generator) -> dict[str, Any]:
    return {
        "gain": np.abs(rng.normal(0, 5, n)),
        "loss": -np.abs(rng.normal(0, 5, n)) * rng.integers(0, 2, n),
        "forgone": rng.normal(0, 5, (n, n_arms)),
        "available": rng.random((n, n_arms)) < 0.7,
        "context": rng.choice(["blue", "green", "red"], n),
        "points": rng.normal(0, 2, n),
        "mood": rng.normal(0, 1, n),
        "side": rng.normal(0, 1, (n, n_arms)),
    }


def _punch(variables: dict[str, Any], rng: np.random.Generator) -> None:
    """Holes of every kind, in place; no subject's first row is spared."""
    n = variables["choice"].size
    for name in sorted(
        {"reward", "gain", "loss", "points", "forgone"} & variables.keys()
    ):  # sets have no order
        variables[name][rng.random(variables[name].shape) < SHARE_OF_GAPS] = np.nan
    missed = rng.random(n) < SHARE_OF_GAPS
    variables["choice"][missed] = -1
    for name in sorted({"reward", "gain", "loss", "forgone"} & variables.keys()):
        variables[name][missed] = np.nan
    variables["scored"] &= ~missed & (rng.random(n) >= SHARE_OF_GAPS)


def _with_covariates(data: xr.Dataset, rng: np.random.Generator) -> xr.Dataset:
    n_subjects = data.sizes["subject"]
    group = np.array(["old", "young"])[np.arange(n_subjects) % 2]
    level = {"level": "subject"}
    return data.assign(
        group=("subject", group, level), age=("subject", rng.normal(50, 10, n_subjects), level)
    )


def random_theta(problem: Problem, *, seed: int = 0) -> npt.NDArray[np.float64]:
    """Parameters (S, P) on the scaled signal, away from their bounds."""
    rng = np.random.default_rng(seed)
    shape = (problem.n_subjects, problem.n_parameters)
    drawn = {
        "logit": rng.uniform(0.05, 0.95, shape),
        "log": rng.uniform(0.1, 4.0, shape),
        "identity": rng.normal(0.0, 1.5, shape),
    }
    columns = [drawn[link][:, k] for k, link in enumerate(problem.links)]
    return np.stack(columns, axis=-1) if columns else np.empty(shape)
