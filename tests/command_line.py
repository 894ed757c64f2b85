"""What tests of the command line share: a small study as people have them, and how commands are run."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from typer.testing import CliRunner

from hierrl.cli.app import app

N_SUBJECTS, N_TRIALS = 6, 40


def small_study(seed: int = 0) -> pd.DataFrame:
    """A table as people have them: two groups, labels of their own, a few missed trials."""
    rng = np.random.default_rng(seed)
    n = N_SUBJECTS * N_TRIALS
    subject = np.repeat([f"s{i}" for i in range(N_SUBJECTS)], N_TRIALS)
    odds = np.where(np.tile(np.arange(N_TRIALS), N_SUBJECTS) < N_TRIALS // 2, 0.8, 0.2)
    right = rng.random(n) < odds
    table = pd.DataFrame(
        {
            "subjID": subject,
            "trial": np.tile(np.arange(1, N_TRIALS + 1), N_SUBJECTS),
            "choice": np.where(right, "right", "left"),
            "outcome": (rng.random(n) < np.where(right, odds, 1 - odds)).astype(float),
            "group": np.where(np.isin(subject, ["s0", "s1", "s2"]), "old", "young"),
            "age": np.repeat(np.arange(20, 20 + N_SUBJECTS), N_TRIALS),
            "comment": "fine",
        }
    )
    table.loc[[5, 77], ["choice", "outcome"]] = np.nan
    return table


def run(*arguments: object):
    """A command, in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def said(text: str) -> str:
    """What was printed, without the line breaks of the terminal."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", text).split())
