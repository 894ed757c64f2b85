"""Leave-one-trial-out by Pareto-smoothed importance sampling over the draws of a posterior."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.special import logsumexp

from hierrl.fits import data_of, in_sessions, problem_of, theta_of
from hierrl.importance.pareto import GOOD_K, smoothed_weights

FloatArray = npt.NDArray[np.float64]

CHUNK = 2**27
"""Bytes of log-probabilities (trials by draws) that are held at once."""


@dataclass(frozen=True)
class Scores:
    """What a criterion says of one model."""

    score: FloatArray
    """(U,) in nats, higher is better; NaN where there is none."""
    pareto_k: FloatArray | None = None
    """(U,) tail index of the importance weights."""
    effective: FloatArray | None = None
    """(U,) what the score loses because the unit was left out: adds up to the effective number of parameters."""
    draws: int = 1
    notes: tuple[str, ...] = ()
    extra: dict[str, float] = field(default_factory=dict)
    """Numbers of the model as a whole."""

    @property
    def unsure(self) -> npt.NDArray[np.int64]:
        """Units whose importance weights have too heavy a tail."""
        if self.pareto_k is None:
            return np.zeros(0, dtype=np.int64)
        return np.flatnonzero(~(self.pareto_k <= GOOD_K))


def left_out(log_ratio: FloatArray, loglik: FloatArray) -> Scores:
    r"""Scores of U units from raw importance weights (U, D) over draws.

    :math:`\log \sum_d w_d \, p(y_u | d)` with smoothed weights that add up to 1, for loglik (U, D).
    """
    log_weight, k = smoothed_weights(log_ratio)
    score = np.asarray(logsumexp(log_weight + loglik, axis=1))
    within = np.asarray(logsumexp(loglik, axis=1)) - np.log(loglik.shape[1])
    return Scores(score, k, within - score, loglik.shape[1])


def trials_left_out(fit: xr.DataTree) -> Scores:
    r"""Each scored trial predicted by the draws without it, :math:`w_d \propto 1 / p(y_t | \theta_d)`."""
    parts = [left_out(-loglik, loglik) for loglik in _by_trial(fit)]
    score, k, effective = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("score", "pareto_k", "effective")
    )
    return Scores(score, k, effective, parts[0].draws)


def _by_trial(fit: xr.DataTree) -> Iterator[FloatArray]:
    """Log-probabilities (scored trials, draws) of some subjects at a time, in the order of the rows."""
    data = data_of(fit)
    problem = problem_of(fit)
    problem, theta = in_sessions(fit, problem, theta_of(fit, problem), data)
    draws = theta.reshape(-1, problem.n_subjects, problem.n_parameters)
    most = max(1, CHUNK // (8 * len(draws)))
    chunk = np.cumsum(problem.n_rows) // most
    for number in np.unique(chunk):
        some = np.flatnonzero(chunk == number)
        part = problem.select(some)
        scored = part.trials.scored
        if scored.any():
            yield np.ascontiguousarray(part.draws_loglik(draws[:, some])[:, scored].T)
