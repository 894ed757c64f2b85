"""Tasks for published models: what all arms pay on each trial, and subjects who choose at random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

import hierrl as hr
from tests.published import Trial

N_SUBJECTS = 3
SESSIONS = (35, 20)
"""Trials."""


def coins(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Two arms that win or lose 1."""
    return nets(rng.choice([-1.0, 1.0], (n, 2)))


def bits(rng: np.random.Generator, n: int) -> pd.DataFrame:
    return nets(rng.integers(0, 2, (n, 2)).astype(float))


def points(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Four arms that pay 1 to 98 points."""
    return nets(rng.integers(1, 99, (n, 4)).astype(float))


def shares(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Three arms with outcomes of at most 1 and either sign."""
    return nets(rng.uniform(-1, 1, (n, 3)).round(2) + 0.0).assign(paid_0=1.0)


def small(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Three arms with gains and losses of 0 or 1."""
    gains, losses = rng.integers(0, 2, (2, n, 3)).astype(float)
    return nets(gains - losses, gains, -losses)


def decks(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Four decks as in the Iowa gambling task; gain and loss may cancel out."""
    gains = rng.choice([50.0, 100.0], (n, 4))
    losses = -rng.choice([0.0, 0.0, 50.0, 100.0, 350.0, 1250.0], (n, 4))
    return nets(gains + losses, gains, losses)


def stimuli(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Six stimuli, of which one pair is shown."""
    frame = nets(rng.integers(0, 2, (n, 6)).astype(float))
    pair = 2 * rng.integers(0, 3, n)
    return frame.assign(left=pair, right=pair + 1, choice=pair + rng.integers(0, 2, n))


def nets(paid: np.ndarray, gains: np.ndarray | None = None, losses: np.ndarray | None = None) -> pd.DataFrame:
    """Columns for what each arm pays."""
    frame = pd.DataFrame({f"paid_{i}": paid[:, i] for i in range(paid.shape[1])})
    for name, values in (("gain", gains), ("loss", losses)):
        for i in range(paid.shape[1]):
            if values is not None:
                frame[f"{name}_{i}"] = values[:, i]
    return frame


@dataclass
class Study:
    """Choices as a table for hierrl, and as trials by session for the loops."""

    table: pd.DataFrame
    n_arms: int
    sessions: dict[int, list[list[Trial]]]

    @property
    def behaviour(self) -> xr.Dataset:
        columns: dict[str, Any] = {"available": ["left", "right"] if "left" in self.table else False}
        if "forgone_0" in self.table:
            columns["forgone"] = [f"forgone_{i}" for i in range(self.n_arms)]
        return hr.behaviour(self.table, arms=range(self.n_arms), **columns)


def study_of(task: Callable[..., pd.DataFrame], *, tells_forgone: bool, seed: int) -> Study:
    """Subjects who choose at random."""
    rng = np.random.default_rng(seed)
    n = N_SUBJECTS * sum(SESSIONS)
    arms = task(rng, n)
    m = sum(name.startswith("paid_") for name in arms)
    choice = arms["choice"].to_numpy() if "choice" in arms else rng.integers(0, m, n)
    table = pd.DataFrame({"subject": np.repeat(np.arange(N_SUBJECTS), sum(SESSIONS)), "choice": choice})
    table["session"] = np.tile(np.repeat([1, 2], SESSIONS), N_SUBJECTS)
    row = np.arange(n)
    for column, prefix in (("reward", "paid_"), ("gain", "gain_"), ("loss", "loss_")):
        if f"{prefix}0" in arms:
            table[column] = arms[[f"{prefix}{i}" for i in range(m)]].to_numpy()[row, choice]
    if tells_forgone:
        table = table.assign(**{f"forgone_{i}": arms[f"paid_{i}"] for i in range(m)})
    if "left" in arms:
        table = table.assign(left=arms["left"], right=arms["right"])
    return Study(table, m, trials_of(table, arms, m))


def trials_of(table: pd.DataFrame, arms: pd.DataFrame, m: int) -> dict[int, list[list[Trial]]]:
    """Trials of each session of each subject."""
    told: dict[int, dict[int, list[Trial]]] = {}
    for t, row in enumerate(table.to_dict("records")):
        forgone = tuple(float(arms[f"paid_{i}"].iloc[t]) for i in range(m))
        shown = tuple(i in (row["left"], row["right"]) if "left" in row else True for i in range(m))
        trial = Trial(
            int(row["choice"]), row["reward"], row.get("gain", 0.0), row.get("loss", 0.0), forgone, shown
        )
        told.setdefault(row["subject"], {}).setdefault(row["session"], []).append(trial)
    return {subject: list(sessions.values()) for subject, sessions in told.items()}
