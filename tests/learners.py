"""Subjects who learn, for tests: forgetting Q-learners in a two-armed reversal task, parameters known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

import hierrl as hr

REVERSAL_EVERY = 25
WIN, LOSE = 0.8, 0.2


def learners(
    alpha: npt.ArrayLike, beta: npt.ArrayLike, *, n_trials: int = 100, seed: int = 0, **columns: npt.ArrayLike
) -> xr.Dataset:
    """Behaviour of subjects with rates `alpha` and weights `beta` (S,); `columns` are covariates (S,)."""
    alpha, beta = np.broadcast_arrays(np.asarray(alpha, float), np.asarray(beta, float))
    rng = np.random.default_rng(seed)
    value = np.zeros((alpha.size, 2))
    rows = []
    for t in range(n_trials):
        right = 1 / (1 + np.exp(-np.clip(beta * (value[:, 1] - value[:, 0]), -500, 500)))
        choice = (rng.random(alpha.size) < right).astype(int)
        best = t // REVERSAL_EVERY % 2
        reward = (rng.random(alpha.size) < np.where(choice == best, WIN, LOSE)).astype(float)
        aim = np.where(np.arange(2) == choice[:, None], reward[:, None], 0.0)
        value += alpha[:, None] * (aim - value)
        rows.append(
            pd.DataFrame({"subject": np.arange(alpha.size), "trial": t, "choice": choice, "reward": reward})
        )
    table = pd.concat(rows)
    for name, values in columns.items():
        table[name] = np.asarray(values)[table["subject"]]
    return hr.behaviour(table, covariates=list(columns) or None, arms=[0, 1])


def population(
    mean: npt.ArrayLike, sd: npt.ArrayLike, n: int, *, seed: int = 0
) -> tuple[npt.NDArray, npt.NDArray]:
    """`alpha` and `beta` (S,) of n subjects with normal logit alpha and log beta."""
    eta = np.asarray(mean) + np.asarray(sd) * np.random.default_rng(seed).standard_normal((n, 2))
    return 1 / (1 + np.exp(-eta[:, 0])), np.exp(eta[:, 1])
