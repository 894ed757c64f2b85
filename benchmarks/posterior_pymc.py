"""The model in PyMC, as one who knows it would write it: `pytensor.scan` over trials of all subjects side by side,
non-centred, differences of logits, sampled by nutpie.
"""

from __future__ import annotations

import time
from typing import Any

import nutpie
import pymc as pm
import pytensor
import pytensor.tensor as pt
from posterior_studies import Arrays

CHAINS = 4
"""Draws and warm-up are what nutpie takes if it is told nothing: 1,000 and 400, fewer than PyMC's own sampler."""


def model(arrays: Arrays) -> pm.Model:
    """The hierarchical model."""
    shape = (arrays.choice.shape[1], 2)
    with pm.Model() as written:
        mu = pm.Normal("mu", *arrays.mu)
        log_sigma = pm.Normal("log_sigma", *arrays.log_sigma)
        z = pm.Normal("z", 0.0, 1.0, shape=shape)
        eta = pm.Deterministic("eta", mu + pt.exp(log_sigma) * z)
        pm.Potential("loglik", loglik(arrays, pt.sigmoid(eta[:, 0]), pt.exp(eta[:, 1])))
    return written


def loglik(arrays: Arrays, alpha: Any, beta: Any) -> Any:
    """Log-likelihood of all subjects at rates (S,) and weights (S,)."""
    side = pt.as_tensor(2.0 * arrays.choice - 1.0)
    reward = pt.as_tensor(arrays.reward)
    apart = _fading(side, reward, alpha) if arrays.fades else _holding(arrays.start, side, reward, alpha)
    return -pt.softplus(-side * beta * apart).sum()


def _fading(side: Any, reward: Any, alpha: Any) -> Any:
    """Difference (T, S) of the values before each trial, which is a state of its own if both fade."""

    def trial(side: Any, reward: Any, apart: Any, alpha: Any) -> Any:
        return apart + alpha * (side * reward - apart)

    after = pytensor.scan(
        trial,
        sequences=[side[:-1], reward[:-1]],
        outputs_info=[pt.zeros_like(alpha)],
        non_sequences=[alpha],
        strict=True,
        return_updates=False,
    )
    return pt.concatenate([pt.zeros_like(alpha)[None], after])


def _holding(start: float, side: Any, reward: Any, alpha: Any) -> Any:
    """The same where the value of the arm not chosen stays."""

    def trial(side: Any, reward: Any, first: Any, second: Any, alpha: Any) -> Any:
        return (
            pt.switch(side < 0, first + alpha * (reward - first), first),
            pt.switch(side > 0, second + alpha * (reward - second), second),
        )

    value = pt.full_like(alpha, start, dtype=alpha.dtype)
    first, second = pytensor.scan(
        trial,
        sequences=[side[:-1], reward[:-1]],
        outputs_info=[value, value],
        non_sequences=[alpha],
        strict=True,
        return_updates=False,
    )
    return pt.concatenate([pt.zeros_like(alpha)[None], second - first])


def sample(arrays: Arrays, seed: int) -> tuple[dict[str, Any], dict[str, float]]:
    """Draws by name, and seconds: of compilation, and of tuning and sampling."""
    began = time.perf_counter()
    compiled = nutpie.compile_pymc_model(model(arrays))
    ready = time.perf_counter()
    tree = nutpie.sample(compiled, chains=CHAINS, seed=seed, progress_bar=False)
    draws = {name: tree["posterior"][name].values for name in ("mu", "log_sigma", "eta")}
    end = time.perf_counter()
    return draws, {"compile": ready - began, "sample": end - ready, "total": end - began}
