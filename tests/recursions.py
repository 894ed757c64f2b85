"""Recursions for tests, and reinforcement learning with working memory by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytensor.tensor as pt
import xarray as xr

import hierrl as hr

FULL_MEMORY = 20.0
"""Inverse temperature of working memory."""


def rescorla_wagner(**changes: Any) -> hr.Recursion:
    """The catalogue's `rw`."""
    arguments = {
        "name": "own_rw",
        "parameters": {"alpha": "rate", "beta": "weight"},
        "states": {"q": 0.0},
        "units": {"q": 1, "beta": -1},
        "update": lambda state, trial, p: {
            "q": state["q"] + trial["chosen"] * p["alpha"] * (trial["reward"] - state["q"])
        },
        "logits": lambda state, trial, p: p["beta"] * state["q"],
    }
    return hr.Recursion(**(arguments | changes))


def forgetting() -> hr.Recursion:
    """The catalogue's `forgetting_q`."""
    return rescorla_wagner(
        name="own_forgetting",
        update=lambda state, trial, p: {
            "q": state["q"] + p["alpha"] * (trial["chosen"] * trial["reward"] - state["q"])
        },
    )


def working_memory(**changes: Any) -> hr.Recursion:
    """Values that are learned slowly, and a memory that keeps the last outcome and fades."""

    def update(state, trial, p):
        chosen, reward = trial["choice"], trial["reward"]
        q = pt.inc_subtensor(state["q"][chosen], p["alpha"] * (reward - state["q"][chosen]))
        w = pt.set_subtensor((state["w"] + p["phi"] * (0.5 - state["w"]))[chosen], reward)
        return {"q": q, "w": w}

    def probabilities(state, trial, p):
        slow = pt.special.softmax(p["beta"] * state["q"])
        return (1 - p["mix"]) * slow + p["mix"] * pt.special.softmax(FULL_MEMORY * state["w"])

    arguments = {
        "name": "rlwm",
        "parameters": {"alpha": "rate", "beta": "weight", "phi": "rate", "mix": "rate"},
        "states": {"q": 0.5, "w": 0.5},
        "update": update,
        "probabilities": probabilities,
    }
    return hr.Recursion(**(arguments | changes))


def softmax(x: list[float]) -> list[float]:
    powers = [math.exp(one - max(x)) for one in x]
    return [power / sum(powers) for power in powers]


def working_memory_by_hand(data: xr.Dataset, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log-likelihood (n,) of scored choices and probabilities (n, m); rewards are taken as they are."""
    m, n = data.sizes["arm"], data.sizes["trial"]
    loglik, told = np.full(n, np.nan), np.empty((n, m))
    subjects, sessions = data["trial_subject"].values, data["trial_session"].values
    shown = data["available"].values if "available" in data else np.ones((n, m), dtype=bool)
    q, w = [0.5] * m, [0.5] * m
    for t in range(n):
        alpha, beta, phi, mix = theta[list(data["subject"].values).index(subjects[t])]
        if t == 0 or subjects[t] != subjects[t - 1] or sessions[t] != sessions[t - 1]:
            q, w = [0.5] * m, [0.5] * m
        slow, fast = softmax([beta * one for one in q]), softmax([FULL_MEMORY * one for one in w])
        p = [((1 - mix) * a + mix * b) * there for a, b, there in zip(slow, fast, shown[t], strict=True)]
        told[t] = np.array(p) / sum(p)
        choice, reward = int(data["choice"].values[t]), float(data["reward"].values[t])
        if choice < 0:
            continue
        if data["scored"].values[t]:
            loglik[t] = math.log(p[choice] / sum(p))
        if not math.isnan(reward):
            q[choice] += alpha * (reward - q[choice])
            w = [one + phi * (0.5 - one) for one in w]
            w[choice] = reward
    return loglik, told
