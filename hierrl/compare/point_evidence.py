"""Criteria of point fits by subject: AIC, BIC, and evidence under a prior by Laplace's method or importance points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.compare.leave_out import Scores
from hierrl.data.table import counted
from hierrl.fits import data_of, model_of, problem_of, settings_of
from hierrl.formulas import design_matrices
from hierrl.importance import Modes, highest_modes
from hierrl.importance.pareto import GOOD_K
from hierrl.marginal import diagnose, importance_points, log_marginals
from hierrl.prior import Prior, empirical_prior, weak_prior
from hierrl.prior.empirical import starts

FloatArray = npt.NDArray[np.float64]
PriorChoice = Literal["empirical", "weak"] | Prior | Mapping[str, Prior]

N_POINTS = 2048
"""Importance points of each subject."""

NOT_MAXIMA = (
    "{} is no maximum-likelihood fit: AIC and BIC are about maxima, and where its estimate is none they judge the "
    "model too harshly. hr.fit_mle(model, data, start=fit) is quick."
)


def information_criterion(fit: xr.DataTree, name: str, criterion: str) -> Scores:
    """Log-likelihood minus the penalty of AIC (P) or BIC (P/2 log n) by subject: minus half the criterion."""
    problem, loglik = problem_of(fit), fit["fit_stats"].to_dataset()["loglik"].values
    n_trials = problem.n_scored
    size = np.ones_like(loglik) if criterion == "aic" else 0.5 * np.log(np.maximum(n_trials, 1))
    score = np.where(n_trials > 0, loglik - problem.n_parameters * size, np.nan)
    notes = () if settings_of(fit)["estimator"] == "mle" else (NOT_MAXIMA.format(repr(name)),)
    return Scores(score, notes=notes)


def evidence_under_prior(
    fit: xr.DataTree, name: str, method: str, *, prior: PriorChoice, random_seed: int
) -> Scores:
    r"""Log evidence (S,) of each subject alone, :math:`\log \int p(y_s | \eta) N(\eta | m_s, c_s^2) d\eta`.

    On the link scale. Laplace's method takes the integrand for normal around its mode:
    :math:`\ell(\hat\eta) + \log N(\hat\eta) + \frac P2 \log 2\pi - \frac12 \log \det H`.
    """
    problem = problem_of(fit)
    mean, sd, words = subject_prior(fit, name, prior, random_seed)
    modes = highest_modes(problem, mean, sd, starts=(starts(problem, fit), mean))
    whose = repr(name) if isinstance(prior, Mapping) else "every model"
    notes, has_trials = (f"Prior of {whose}: {words}",), problem.n_scored > 0
    if method == "laplace":
        score, bad, what = laplace(modes), ~modes.converged, "Modes are not exact"
    else:
        points = importance_points(problem, mean, sd, n_points=N_POINTS, modes=modes, random_seed=random_seed)
        score, k = log_marginals(points, mean, sd)[0], diagnose(points, mean, sd)[1]
        bad, what = ~(k <= GOOD_K), f"Importance points fail (Pareto k above {GOOD_K})"
    if bad.any():
        notes += (f"{what} for {counted(int(bad.sum()), 'subject')} under {name!r}.",)
    return Scores(np.where(has_trials, score, np.nan), notes=notes)


def laplace(modes: Modes) -> FloatArray:
    """Laplace's approximation (S,) of the log evidence."""
    n = modes.eta.shape[1]
    return modes.value + 0.5 * n * np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(modes.precision)[1]


def subject_prior(
    fit: xr.DataTree, name: str, prior: PriorChoice, random_seed: int
) -> tuple[FloatArray, FloatArray, str]:
    """Mean and standard deviation (S, P) on the link scale of what is known of a subject beforehand, in words too."""
    model, data = model_of(fit), data_of(fit)
    found = prior[name] if isinstance(prior, Mapping) else prior
    if found == "empirical":
        made = empirical_prior(model, data, start=fit, random_seed=random_seed)
        words = (
            "empirical, a normal population on the link scale at its maximum marginal likelihood, from the same "
            "subjects; its own numbers are not penalised."
        )
    elif found == "weak":
        made = weak_prior(model, data)
        words = "weak, normal on the link scale, as wide as its population is unsure; evidence depends on that width."
    else:
        made, words = found, "the one that was given, at the centre of its population."
    if made.lkj is not None or any(term.parameter not in problem_of(fit).labels for term in made.terms):
        raise ValueError(
            f"The prior of {name!r} must be one of independent parameters without slopes within subjects: evidence of "
            "a subject alone has no room for them. Leave prior= out, or compare posteriors by method='evidence'."
        )
    mean, sd = made.centre(design_matrices(model, data, dict(made.formula), spread_by=made.spread_by))
    if found == "weak":
        sd = np.hypot(sd, [made.mu(label)[2][0] for label in made.labels])
    return mean, sd, words
