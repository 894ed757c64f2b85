"""Maximum likelihood against many random restarts, on subjects whose likelihood has several maxima."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import hierrl as hr
from hierrl.kernels.newton import maximise
from hierrl.kernels.problem import prepare

N_RESTARTS = 60


def odd_subjects(seed: int, n: int = 16):
    """Short and long, fickle and constant choices of three arms; 0/1, graded, heavy-tailed and losing rewards."""
    rng, rows = np.random.default_rng(seed), []
    for s in range(n):
        n_trials, habit, kind = int(rng.choice([20, 40, 80])), s % 3, rng.integers(4)
        for t in range(n_trials):
            choice = (rng.integers(3), t // (n_trials // 4) % 3, t % 3)[habit]
            reward = (
                float(rng.random() < 0.5), rng.normal(), -float(rng.random() < 0.5), rng.standard_t(2)
            )[kind]  # fmt: skip
            rows.append((s, t, choice, np.clip(reward, -5, 5)))
    return hr.behaviour(pd.DataFrame(rows, columns=["subject", "trial", "choice", "reward"]))


def restarts(problem, rng):
    """(S, K, P) random points; noises and weights even in their logarithm, half of the rates near 0 or 1."""
    shape = (problem.n_subjects, N_RESTARTS)
    starts = np.empty((*shape, problem.n_parameters))
    for k, (_, parameter, _) in enumerate(problem.scalars):
        low, high, even = problem.lower[k], problem.upper[k], rng.random(shape)
        if parameter.kind in ("noise", "weight") and low == 0:
            starts[:, :, k] = high * 10.0 ** (-4 * even)
        elif parameter.kind == "rate":
            starts[:, :, k] = np.where(
                rng.random(shape) < 0.5, even, 1 / (1 + np.exp(-rng.normal(0, 3, shape)))
            )
        else:
            starts[:, :, k] = low + (high - low) * even
    return starts


@pytest.mark.parametrize(("name", "seed"), [("kalman", 4), ("kalman", 5), ("pvl_decay", 1), ("pvl_decay", 4)])
def test_no_random_restart_is_much_better(name, seed):
    """With the six likeliest starts these were missed by 0.6 to 15 nats; losses alone silenced pvl_decay."""
    model, data = hr.model(name), odd_subjects(seed)
    problem = prepare(model, data)
    found = hr.fit_mle(model, data, progress=False)["fit_stats"]["loglik"].values
    best = maximise(problem, restarts(problem, np.random.default_rng(1))).loglik
    assert (best - found).max() < 0.1
