"""Scores: the log-probability that a fit gives to choices, trial by trial."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.fits import problem_of, theta_of

FloatArray = npt.NDArray[np.float64]


def trial_scores(fit: xr.DataTree, data: xr.Dataset) -> FloatArray:
    r"""Log predictive density (n,) of each scored choice of `data`, NaN elsewhere.

    For draws :math:`\theta^{(1)} \dots \theta^{(D)}` it is :math:`\log \frac{1}{D} \sum_d P(c_t \mid
    \theta^{(d)}, h_t)`, where :math:`h_t` is what was chosen and earned before trial t; a point fit is a
    single draw. Draws are taken one at a time, so that memory does not grow with their number."""
    problem = problem_of(fit, data)
    draws = theta_of(fit, problem).reshape(-1, problem.n_subjects, problem.n_parameters)
    scored = problem.trials.scored
    total = problem.trial_loglik(draws[0])[scored]
    for theta in draws[1:]:
        np.logaddexp(total, problem.trial_loglik(theta)[scored], out=total)
    scores = np.full(problem.n_trials, np.nan)
    scores[scored] = total - np.log(len(draws))
    return scores


def chance_scores(data: xr.Dataset) -> FloatArray:
    """Log-probability (n,) of each scored choice if all arms on offer are equally likely, NaN elsewhere."""
    n_arms = (
        data["available"].sum("arm").values
        if "available" in data
        else np.full(data.sizes["trial"], data.sizes["arm"])
    )
    return np.where(data["scored"].values, -np.log(np.maximum(n_arms, 1)), np.nan)
