"""What each model of the catalogue is tried on: a task that suits it, and subjects as people might be.

Parameters are drawn one by one, evenly between two ends on the link scale (logit for rates, logarithm for weights that
can't be negative and for noises, the numbers themselves for the others), in raw reward units.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

import hierrl as hr

Ends = tuple[float, float]
Task = Callable[[int, int, np.random.Generator], Any]
"""(trials, subjects, generator) -> a task."""

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "own_model.py"
BEGINS = (60.0, 55.0, 45.0, 40.0)
"""Mean payoffs of the drifting task on the first trial, points."""


@dataclass(frozen=True)
class Design:
    """A model, its task, and the ranges that subjects are drawn from."""

    model: hr.Model
    task: str
    """A key of `TASKS`."""
    ranges: Mapping[str, Ends]

    def truth(self, n_subjects: int, rng: np.random.Generator) -> dict[str, npt.NDArray[np.float64]]:
        """Parameters of so many subjects."""
        drawn = {}
        for parameter in self.model.parameters:
            there, back = LINKS[parameter.link]
            low, high = there(np.array(self.ranges[parameter.name]))
            drawn[parameter.name] = back(rng.uniform(low, high, n_subjects))
            if parameter.per_arm:  # a bias, in a task of two arms
                nothing = np.zeros(n_subjects)
                drawn[parameter.name] = np.column_stack([nothing, drawn[parameter.name]])
        return drawn

    def data(self, n_trials: int, n_subjects: int, rng: np.random.Generator) -> xr.Dataset:
        """Behaviour of subjects who are as the model says."""
        task = TASKS[self.task][0](n_trials, n_subjects, rng)
        return hr.simulate(self.model, task, self.truth(n_subjects, rng), random_seed=rng)


def _logit(p: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.log(p) - np.log1p(-p)


LINKS = {
    "logit": (_logit, lambda x: 1 / (1 + np.exp(-x))),
    "log": (np.log, np.exp),
    "identity": (lambda x: x, lambda x: x),
}


def reversal(n_trials: int, n_subjects: int, rng: np.random.Generator, **more: Any) -> hr.Bandit:
    """Two arms that pay 1 with odds .8 and .2 and change places every 25 trials."""
    return hr.Bandit((0.8, 0.2), n_trials=n_trials, reverse_every=25, **more)


def forgone(n_trials: int, n_subjects: int, rng: np.random.Generator) -> hr.Bandit:
    """The same, and what the other arm would have paid is shown."""
    return reversal(n_trials, n_subjects, rng, forgone=True)


def drifting(n_trials: int, n_subjects: int, rng: np.random.Generator) -> hr.Bandit:
    """Four arms that pay around means which drift, about as in Daw et al. (2006)."""
    return hr.Bandit(means=BEGINS, n_trials=n_trials, sd=4.0, drift=2.8, limits=(1.0, 98.0), step=1.0)


def two_sided(n_trials: int, n_subjects: int, rng: np.random.Generator) -> hr.Bandit:
    """Four arms with odds to win 1 and odds to lose 1, which drift apart from each other (Seymour et al. 2012)."""
    odds, loss_odds = (0.7, 0.6, 0.4, 0.3), (0.3, 0.6, 0.2, 0.5)
    return hr.Bandit(odds, loss_odds=loss_odds, n_trials=n_trials, drift=0.03)


def iowa(n_trials: int, n_subjects: int, rng: np.random.Generator) -> hr.Decks:
    """The four decks of Bechara et al. (1994)."""
    return hr.Decks.iowa(n_trials)


PICTURES = (2, 5)
"""Pictures in a block of the task of the own model; blocks of both sizes take turns."""
REPEATS = 14
"""How often each picture comes up in its block: a pair of blocks has 98 trials."""


def pictures(n_trials: int, n_subjects: int, rng: np.random.Generator) -> Any:
    """Which of three keys goes with each picture, in blocks of two or five pictures."""
    rows: list[list[Any]] = []
    pairs = max(1, round(n_trials / (REPEATS * sum(PICTURES))))
    for subject in range(1, n_subjects + 1):
        for block, size in enumerate(PICTURES * pairs, start=1):
            right = rng.integers(0, 3, size)
            for picture in rng.permuted(np.tile(np.arange(size), (REPEATS, 1)), axis=1).ravel():
                pays = [float(right[picture] == key) for key in range(3)]
                rows.append([subject, block, picture, size, 0, pays[0], *pays])
    names = ["subject", "session", "picture", "set_size", "choice", "reward", "pay_0", "pay_1", "pay_2"]
    table = pd.DataFrame(rows, columns=names)
    recorded = hr.behaviour(
        table,
        arms=[0, 1, 2],
        session="session",
        forgone=["pay_0", "pay_1", "pay_2"],
        covariates=["picture", "set_size"],
    )
    return hr.Bandit.recorded(recorded)


TASKS: dict[str, tuple[Task, str]] = {
    "reversal": (
        reversal,
        "two arms that pay 1 with odds .8 and .2 and change places every 25 trials",
    ),
    "forgone": (forgone, "the same, and what the other arm would have paid is shown"),
    "drifting": (
        drifting,
        "four arms that pay whole points with a standard deviation of 4 around means that drift by 2.8 a trial "
        "between 1 and 98",
    ),
    "two-sided": (
        two_sided,
        "four arms with separate odds of winning and of losing 1, both drifting by .03 a trial",
    ),
    "Iowa": (iowa, "the four decks of Bechara et al. (1994) in random order, gains and losses summed"),
    "pictures": (
        pictures,
        "which of three keys goes with each picture, in blocks of two and of five pictures that come up 14 times "
        "(98 and 392 trials)",
    ),
}


RATE: Ends = (0.05, 0.8)
WEIGHT: Ends = (1.5, 10.0)
TRACE = {"alpha_choice": (0.1, 0.9), "beta_choice": (-1.5, 2.5)}
BOTH_RATES = {"alpha_pos": RATE, "alpha_neg": RATE}
GAIN_LOSS = {"beta_gain": WEIGHT, "beta_loss": WEIGHT}
PROSPECT = {"alpha": (0.05, 0.6), "rho": (0.2, 1.0), "beta": (1.5, 30.0), "lambda": (0.2, 3.0)}
"""Weights are per utility of the largest payoff, 1,150: 3^c - 1 there times 11.5^rho."""

RANGES: dict[str, tuple[str, dict[str, Ends]]] = {
    "rw": ("reversal", {"alpha": RATE, "beta": WEIGHT}),
    "rw_bias": ("reversal", {"alpha": RATE, "beta": WEIGHT, "bias": (-1.0, 1.0)}),
    "rw_lapse": ("reversal", {"alpha": RATE, "beta": WEIGHT, "lapse": (0.01, 0.2)}),
    "rw_start": ("reversal", {"alpha": RATE, "beta": WEIGHT, "start": (0.0, 1.0)}),
    "dual_rate": ("reversal", {**BOTH_RATES, "beta": WEIGHT}),
    "forgetting_q": ("reversal", {"alpha": RATE, "beta": WEIGHT}),
    "free_forgetting": ("reversal", {"alpha": RATE, "alpha_decay": RATE, "beta": WEIGHT}),
    "sticky": ("reversal", {"alpha": RATE, "beta": WEIGHT, "kappa": (-1.0, 2.0)}),
    "choice_trace": ("reversal", {"alpha": RATE, "beta": WEIGHT, **TRACE}),
    "subvalue": ("reversal", {"alpha": RATE, "beta": WEIGHT, **TRACE}),
    "counterfactual": ("forgone", {"alpha": RATE, "beta": WEIGHT}),
    "fictitious": ("reversal", {"alpha": RATE, "beta": (0.5, 4.0)}),
    "fictitious_dual": ("reversal", {**BOTH_RATES, "beta": (0.5, 4.0)}),
    "gain_loss": ("two-sided", {"alpha_gain": RATE, "alpha_loss": RATE, **GAIN_LOSS}),
    "gain_loss_decay": (
        "two-sided",
        {"alpha_gain": RATE, "alpha_loss": RATE, "alpha_decay": RATE, **GAIN_LOSS},
    ),
    "gain_loss_one_rate": ("two-sided", {"alpha": RATE, **GAIN_LOSS}),
    "pearce_hall": ("drifting", {"alpha": (0.2, 0.95), "eta": (0.05, 0.8), "beta": (0.05, 0.4)}),
    "kalman": (
        "drifting",
        {
            "start": (30.0, 70.0),
            "alpha_decay": (0.005, 0.2),
            "centre": (30.0, 70.0),
            "sd_start": (0.5, 5.0),
            "sd_drift": (0.2, 2.0),
            "beta": (0.05, 0.4),
        },
    ),
    "ewa": ("reversal", {"phi": (0.3, 0.95), "rho": (0.1, 0.9), "beta": (0.5, 5.0)}),
    "pvl_delta": ("Iowa", PROSPECT),
    "pvl_decay": ("Iowa", {**PROSPECT, "beta": (0.5, 10.0)}),
    "vpp": (
        "Iowa",
        {**PROSPECT, "alpha_choice": (0.1, 0.7), "beta_win": (-1.0, 2.0), "beta_lose": (-2.0, 1.0)},
    ),
    "orl": (
        "Iowa",
        {
            **BOTH_RATES,
            "beta": (0.003, 0.03),
            "beta_frequency": (-1.0, 4.0),
            "alpha_choice": (0.2, 0.9),
            "beta_choice": (-2.0, 2.0),
        },
    ),
}

OWN = "rlwm"
OWN_RANGES: dict[str, Ends] = {
    "alpha": (0.05, 0.5),
    "beta": (3.0, 15.0),
    "forget": (0.03, 0.4),
    "trust": (0.5, 0.95),
}


def designs() -> dict[str, Design]:
    """By model: the catalogue, and the example of an own model."""
    if missing := set(hr.models()) - set(RANGES):
        raise SystemExit(
            f"{sorted(missing)[0]!r} is in the catalogue but not in {Path(__file__).name}: add it."
        )
    found = {name: Design(hr.model(name), *RANGES[name]) for name in hr.models()}
    return found | {OWN: Design(own_model(), "pictures", OWN_RANGES)}


def own_model() -> hr.Model:
    """The model of examples/own_model.py; what the script does with it isn't run."""
    source, names = EXAMPLE.read_text(), {"__name__": "example_of_own_model"}
    exec(compile(source.split("print(MODEL)")[0], EXAMPLE, "exec"), names)
    return names["MODEL"]  # type: ignore[return-value]
