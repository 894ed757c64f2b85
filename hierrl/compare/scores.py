"""Scores: the log-probability that a fit gives to choices, trial by trial."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.fits import in_sessions, problem_of, theta_of

FloatArray = npt.NDArray[np.float64]

CHUNK = 2**26
"""Bytes of log-probabilities (draws by trials) that are held at once."""


def trial_scores(fit: xr.DataTree, data: xr.Dataset) -> FloatArray:
    r"""Log predictive density (n,) of each scored choice of `data`, NaN elsewhere.

    For draws :math:`\theta^{(1)} \dots \theta^{(D)}` it is
    :math:`\log \frac{1}{D} \sum_d P(c_t \mid \theta^{(d)}, h_t)`, where :math:`h_t` is what was chosen and earned
    before trial t; a point fit is a single draw. Memory does not grow with the number of draws.
    """
    problem = problem_of(fit, data)
    problem, theta = in_sessions(fit, problem, theta_of(fit, problem), data)
    draws = theta.reshape(-1, problem.n_subjects, problem.n_parameters)
    scored = problem.trials.scored
    total = np.full(problem.n_trials, -np.inf)
    step = max(1, CHUNK // (8 * problem.n_trials))
    for first in range(0, len(draws), step):
        of_step = log_sum_exp(problem.draws_loglik(draws[first : first + step]))
        np.logaddexp(total, of_step, out=total, where=scored)
    return np.where(scored, total - np.log(len(draws)), np.nan)


def log_sum_exp(values: FloatArray) -> FloatArray:
    """Logarithm of the sum (n,) of exponentials along the first axis of values (D, n), which are overwritten.

    What SciPy's function gives; that one makes several copies, which took longer than the likelihood itself.
    """
    peak = values.max(axis=0)
    shift = np.where(np.isneginf(peak), 0.0, peak)
    values -= shift
    np.exp(values, out=values)
    with np.errstate(divide="ignore"):  # where every value is minus infinity
        return shift + np.log(values.sum(axis=0))


def chance_scores(data: xr.Dataset) -> FloatArray:
    """Log-probability (n,) of each scored choice if all arms on offer are equally likely, NaN elsewhere."""
    n_arms = (
        data["available"].sum("arm").values
        if "available" in data
        else np.full(data.sizes["trial"], data.sizes["arm"])
    )
    return np.where(data["scored"].values, -np.log(np.maximum(n_arms, 1)), np.nan)
