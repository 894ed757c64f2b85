"""The table of models that `test_conformance` and `test_conformance_fits` go through: a row is a model and a task.

A model of the catalogue is there by itself, on reversals if it is not given another task; composed models, and the
model of one's own of the documentation, have rows like any other. `by_hand` is what they are compared with.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import hierrl as hr
from hierrl.kernels.problem import Problem
from hierrl.models.model import Parameter
from hierrl.models.recursion import Recursion
from tests.builders import random_behaviour
from tests.naive import Values, probabilities, retell, rows_of, values_by_subject

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "own_model.py"


def defined(script: Path) -> dict[str, Any]:
    """What a script imports and defines (functions, constants in capitals); what it does isn't run."""

    def defines(node: ast.stmt) -> bool:
        if isinstance(node, ast.Assign):
            return all(isinstance(target, ast.Name) and target.id.isupper() for target in node.targets)
        return isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef)

    tree = ast.parse(script.read_text())
    tree.body = [node for node in tree.body if defines(node)]
    names: dict[str, Any] = {"__name__": script.stem}
    exec(compile(tree, script, "exec"), names)
    return names


OWN = defined(EXAMPLE)["MODEL"]
"""Reinforcement learning with a working memory, which docs/own_model.md explains."""

N_ARMS = 3
"""Of random behaviour: the fewest that can change places while the first one stays where it is."""

LONG = {"n_trials": 160, "reverse_every": 20}
SHORT = {"n_trials": 80, "reverse_every": 20}
TASKS = {
    "reversals": hr.Bandit((0.8, 0.2), **LONG),
    "both told": hr.Bandit((0.8, 0.2), **LONG, forgone=True),
    "won or lost": hr.Bandit((0.75, 0.25), **LONG, amounts=(-1.0, 1.0)),
    "gains, losses": hr.Bandit((0.8, 0.5, 0.2), loss_odds=(0.5, 0.2, 0.4), **LONG),
    "gains, losses, short": hr.Bandit((0.8, 0.5, 0.2), loss_odds=(0.5, 0.2, 0.4), **SHORT),
    "amounts, short": hr.Bandit(means=(0.5, 0.0, -0.5), sd=1.0, **SHORT),
    "drift": hr.Bandit(means=(1.0, 2.0, 3.0), sd=0.5, drift=0.3, limits=(0.0, 4.0), n_trials=160),
}

RANGES: dict[str, tuple[float, float]] = {
    "rate": (0.2, 0.7),
    "weight": (2.0, 5.0),
    "signed": (-1.5, 1.5),
    "start": (0.0, 0.6),
    "exponent": (0.5, 1.2),
    "noise": (0.5, 2.0),
    "bias": (-1.0, 1.0),
    "lapse": (0.05, 0.2),
}
"""Of true parameters, by kind."""


@dataclass(frozen=True)
class Row:
    """A model, a task on which it is simulated, and ranges of true parameters where they are not the usual ones."""

    model: hr.Model
    task: str = "reversals"
    n_subjects: int = 12
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def is_own(self) -> bool:
        return isinstance(self.model, Recursion)

    def truth(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """True parameters of the subjects."""
        task = task_of(self)
        n, m = task.size or self.n_subjects, len(getattr(task, "labels", ())) or 2
        return {p.name: self._drawn(p, (n, m) if p.per_arm else (n,), rng) for p in self.model.parameters}

    def _drawn(self, p: Parameter, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        kind = "signed" if p.kind == "weight" and p.link == "identity" else p.kind
        values = rng.uniform(*self.ranges.get(p.name, RANGES[kind]), shape)
        if p.kind == "bias":
            values[:, 0] = 0.0
        return values


def task_of(row: Row) -> Any:
    """A `Bandit`, or a schedule with columns."""
    return (
        {"pictures": pictures, "columns": columns}[row.task]() if row.task not in TASKS else TASKS[row.task]
    )


@cache
def pictures() -> Any:
    """The study of the example: which of three keys goes with each of two or five pictures."""
    return hr.Bandit.recorded(defined(EXAMPLE)["trials"](np.random.default_rng(1)))


@cache
def columns() -> Any:
    """Reversals, with columns by trial, by trial and arm, and a context."""
    task, rng = hr.Bandit((0.8, 0.2), **LONG, forgone=True), np.random.default_rng(1)
    data = hr.simulate(hr.model("rw"), task, {"alpha": 0.5, "beta": 0.0}, n_subjects=12, random_seed=rng)
    n = data.sizes["trial"]
    return hr.Bandit.recorded(
        data.assign(
            mood=("trial", rng.normal(size=n)),
            side=(("trial", "arm"), rng.normal(size=(n, 2))),
            context=("trial", rng.choice(["blue", "green"], n)),
            points=("trial", rng.normal(size=n)),
        )
    )


PERSEVERATION = hr.Channel("choice", rate=0.3, weight="kappa", unchosen="decay", signed=True)
AVERSE = (
    hr.Channel("gain", rate="alpha", weight="beta"),
    hr.Channel("loss", rate="alpha", weight="beta*lambda", unchosen="decay", decay="fade"),
)
SMALL_NOISE = {"sd_start": (1.0, 2.0), "sd_drift": (0.3, 1.0), "beta": (1.0, 2.5), "start": (0.5, 2.0)}

CATALOGUE = {
    **{name: Row(hr.model(name)) for name in hr.models()},
    "counterfactual": Row(hr.model("counterfactual"), "both told"),
    "fictitious": Row(hr.model("fictitious"), "won or lost"),
    "fictitious_dual": Row(hr.model("fictitious_dual"), "won or lost", 6),
    "dual_rate": Row(hr.model("dual_rate"), n_subjects=6),
    "free_forgetting": Row(hr.model("free_forgetting"), n_subjects=6),
    "gain_loss": Row(hr.model("gain_loss"), "gains, losses"),
    "gain_loss_decay": Row(hr.model("gain_loss_decay"), "gains, losses, short", 3),
    "gain_loss_one_rate": Row(hr.model("gain_loss_one_rate"), "gains, losses"),
    "kalman": Row(hr.model("kalman"), "drift", ranges={**SMALL_NOISE, "centre": (1.0, 3.0)}),
    **{name: Row(hr.model(name), "amounts, short", 3) for name in ("pvl_delta", "pvl_decay", "vpp", "orl")},
}
COMPOSED = {
    "rw + choice trace + bias + lapse": Row(hr.model("rw", choice_trace=True, bias=True, lapse=True)),
    "per arm": Row(hr.model("forgetting_q", per_arm=True, bias=True)),
    "shared and fixed": Row(hr.model("subvalue", shared={"alpha_choice": "alpha"}, fixed={"beta": 3.0})),
    "signed, start, missed": Row(hr.model("rw", signed=True, start="start", missed="decay")),
    "context": Row(hr.model("choice_trace", context="context"), "columns"),
    "regressors": Row(hr.model("forgetting_q", regressors=("mood", "side"), missed="decay"), "columns"),
    "regressors alone": Row(
        hr.Model(channels=(), regressors=(hr.Regressor("side"),), bias=True, lapse=True), "columns"
    ),
    "column, forgone": Row(
        hr.Model(channels=(hr.Channel(), hr.Channel("forgone", weight="gamma"), hr.Channel("points", weight="delta"))),
        "columns",
    ),
    "products": Row(hr.Model(channels=AVERSE), "gains, losses", 6, ranges={"lambda": (0.5, 2.0)}),
    "kalman + choice trace": Row(
        hr.model("kalman", choice_trace=True, fixed={"alpha_decay": 0.05, "centre": 2.0}), "drift", ranges=SMALL_NOISE
    ),
    "pearce_hall + perseveration": Row(
        hr.Model(channels=(hr.Channel(learner="pearce_hall", start="start"), PERSEVERATION), missed="decay")
    ),
    "bandit4arm_2par_lapse": Row(hr.model("bandit4arm_2par_lapse"), "gains, losses"),
    "own": Row(
        OWN, "pictures", ranges={"alpha": (0.1, 0.4), "beta": (4.0, 10.0), "forget": (0.05, 0.3), "trust": (0.4, 0.9)}
    ),
}  # fmt: skip
EVERY = CATALOGUE | COMPOSED


def rich_behaviour(n_subjects: int = 3, n_trials: int = 40, *, seed: int = 1) -> xr.Dataset:
    """Random choices among three arms with every kind of gap, and every column that a model of the table reads."""
    data = random_behaviour(n_subjects, n_trials, N_ARMS, rich=True, graded=True, seed=seed)
    sizes = np.random.default_rng(seed).integers(2, 6, data.sizes["trial"])
    return data.assign(
        picture=data["context"], set_size=("trial", sizes.astype(float)), points=data["points"].fillna(0.5)
    )


def by_hand(row: Row, problem: Problem, data: xr.Dataset, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities (n,) of scored choices and probabilities (n, m), by a loop in plain Python."""
    values = values_by_subject(
        problem.unpack(theta), problem.subjects, model=row.model, reward_scale=problem.reward_scale
    )
    if row.is_own:
        return memory_by_hand(data, values)
    told = retell(row.model, data, values)
    return np.array(told.loglik), np.array(told.probability)


def memory_by_hand(data: xr.Dataset, values_of: dict[Any, Values]) -> tuple[np.ndarray, np.ndarray]:
    """The example's model: each picture has values, and a memory that has faded since its last outcome."""
    guess, loglik, told, before = 1 / 3, [], [], None
    for t, row in enumerate(rows_of(data)):
        p, m = values_of[row["subject"]], data.sizes["arm"]
        if (row["subject"], row["session"]) != before:
            before, known = (row["subject"], row["session"]), {}
        value, memory, last = known.get(row["picture"], ([guess] * m, [guess] * m, t))
        faded = [guess + (1 - p["forget"]) ** (t - last) * (one - guess) for one in memory]
        slow, fast = (
            probabilities([sharp * one for one in x], [True] * m, 0.0)
            for sharp, x in ((p["beta"], value), (30.0, faded))
        )
        share = p["trust"] * min(1.0, 3 / row["set_size"])
        mixed = [
            ((1 - share) * a + share * b) * there
            for a, b, there in zip(slow, fast, row["available"], strict=True)
        ]
        told.append([one / sum(mixed) for one in mixed])
        chosen, reward = row["choice"], row["reward"] / p["reward_scale"]
        loglik.append(math.log(told[t][chosen]) if row["scored"] and chosen >= 0 else math.nan)
        if chosen >= 0 and not math.isnan(reward):
            value, memory = list(value), faded
            value[chosen] += p["alpha"] * (reward - value[chosen])
            memory[chosen] = reward
            known[row["picture"]] = (value, memory, t)
    return np.array(loglik), np.array(told)
