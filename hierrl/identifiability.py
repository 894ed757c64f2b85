"""`identifiability`: which parameters of a subject its own choices tell, and which they leave open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from scipy.stats import norm

from hierrl.compare.estimates import inside
from hierrl.fits import check_fit, data_of, problem_of, settings_of, theta_of
from hierrl.formulas import design_matrices
from hierrl.importance import highest_modes
from hierrl.kernels.problem import Problem
from hierrl.marginal import enough, importance_points, judge_weights, weighted_moments, weights
from hierrl.models.channels import Weight
from hierrl.models.model import Model, Parameter
from hierrl.prior.empirical import starts
from hierrl.prior.weak import scales_of
from hierrl.summary.intervals import TAIL

FloatArray = npt.NDArray[np.float64]

NOTHING, LITTLE = 0.1, 0.5
"""Information below which choices say next to nothing, or little."""
TIED = 0.8
"""Correlation from which on two parameters are known in combination only."""
WORTH = 2.0
"""Nats that a channel must add to the log-likelihood to be there at all (about 1.92, half the 95 % quantile of
chi-square with one degree of freedom)."""
N_POINTS, SEED = 2048, 0
"""Importance points of each subject of a point fit; always the same ones."""


def identifiability(fit: xr.DataTree) -> pd.DataFrame:
    r"""Say, for each subject and parameter, how much the subject's own choices tell.

    .. math:: \text{information} = 1 - \frac{\text{Var}(\theta_k \mid \text{choices})}{\text{Var}(\theta_k)}

    on the link scale: 0 = the choices leave the parameter as unknown as it was, 1 = they settle it. Of a posterior,
    Var(θ | choices) is the variance of the subject's draws, and Var(θ) that of another subject with the same
    covariates: posterior mean of σ², plus the variance of the population's mean.
    A point fit has no variances. There, Var(θ) is what `weak_prior` leaves open of a subject (the variance of the
    population's median plus that of subjects around it), and Var(θ | choices) that of the subject's posterior under
    this prior alone, by importance sampling (where too few points count, from the curvature at its mode); no curvature
    at the estimate, which says nothing where that is on a bound.

    A rate shapes choices through its weight only: with a weight near 0 nothing can be known of the rate, however
    many trials there are. ``channel_nats`` tells: the log-likelihood at the posterior mean minus the one with the
    weights of the parameter's channels at 0.

    Parameters
    ----------
    fit : DataTree
        From a ``fit_*`` function.

    Returns
    -------
    DataFrame
        One row per subject and parameter. ``estimate`` (raw reward units; of a posterior its mean), ``low`` and
        ``high`` (95 % ETI of the posterior; the one under the weak prior need not hold a point estimate),
        ``sd_link``, ``information``, ``tied_to`` and ``correlation`` (the parameter with which it is most correlated
        on the link scale, given the choices), ``channel_nats`` (NaN for bias, lapse and regressors), ``sentence``.

    Raises
    ------
    TypeError
        If `fit` isn't a fit.

    Examples
    --------
    >>> import hierrl as hr
    >>> truth = {"alpha": 0.3, "beta": [0.02, 5.0]}
    >>> data = hr.simulate(hr.model("rw"), hr.Bandit((0.8, 0.2), reverse_every=20), truth, random_seed=1)
    >>> table = hr.identifiability(hr.fit_mle(hr.model("rw"), data)).set_index(["subject", "parameter"])
    >>> bool(table.loc[(1, "alpha"), "information"] < 0.2 < 0.8 < table.loc[(2, "alpha"), "information"])
    True
    """
    check_fit(fit)
    problem = problem_of(fit)
    known = _from_draws(fit, problem) if _is_posterior(fit) else _from_points(fit, problem)
    nats = _channel_nats(problem, known.center)
    rows = []
    for s, subject in enumerate(problem.subjects.tolist()):
        for k, label in enumerate(problem.labels):
            row = {"subject": subject, "parameter": label, **_row(problem, known, s, k)}
            rows.append({**row, "channel_nats": nats[s, k]})
    table = pd.DataFrame(rows)
    interval = "95 % ETI" if _is_posterior(fit) else "95 % ETI under the weak prior"
    table["sentence"] = [_sentence(row, problem, interval) for row in table.to_dict("records")]
    return table


@dataclass(frozen=True)
class _Known:
    """What is known of each subject, all on the link scale of the scaled signal."""

    center: FloatArray
    """(S, P)"""
    covariance: FloatArray
    """(S, P, P) given the choices."""
    variance: FloatArray
    """(S, P) without them."""
    estimate: FloatArray
    low: FloatArray
    high: FloatArray
    """(S, P) natural scale, scaled signal."""


def _is_posterior(fit: xr.DataTree) -> bool:
    return settings_of(fit).get("estimator") == "posterior" or fit["posterior"].sizes["draw"] > 1


def _from_draws(fit: xr.DataTree, problem: Problem) -> _Known:
    theta = theta_of(fit, problem)
    theta = theta.reshape(-1, *theta.shape[2:])
    eta = problem.to_link(inside(problem, theta))
    away = eta - eta.mean(axis=0)
    low, high = np.quantile(theta, [TAIL, 1 - TAIL], axis=0)
    return _Known(
        center=eta.mean(axis=0),
        covariance=np.einsum("dsp,dsq->spq", away, away) / (len(eta) - 1),
        variance=_population_variance(fit, problem),
        estimate=theta.mean(axis=0),
        low=low,
        high=high,
    )


def _population_variance(fit: xr.DataTree, problem: Problem) -> FloatArray:
    """(S, P) of a subject like this one whose choices were not seen: spread, and what is open of the mean."""
    population, settings = fit["population"].to_dataset(), settings_of(fit)
    designs = design_matrices(
        problem.model, data_of(fit), settings.get("formula"), spread_by=settings.get("spread_by")
    )
    factor = np.where(np.array(problem.links) == "identity", problem.raw_factor(), 1.0)
    found = np.empty((problem.n_subjects, problem.n_parameters))
    for k, label in enumerate(problem.labels):
        design, here = designs[label], population.sel(parameter=label)
        mu = here["mu"].sel(coefficient=list(design.names)).transpose("chain", "draw", "coefficient").values
        spread = (here["sigma"] ** 2).mean(("chain", "draw"))
        by_subject = (
            spread.sel(group=np.array(design.groups.names)[design.groups.of_subject])
            if "group" in spread.dims
            else spread
        )
        found[:, k] = (by_subject.values + design.mean(mu).var(axis=(0, 1))) / factor[k] ** 2
    return found


def _from_points(fit: xr.DataTree, problem: Problem) -> _Known:
    mean, variance = _weakly(problem, data_of(fit))
    sd, estimate = np.sqrt(variance), theta_of(fit, problem)[0, 0]
    modes = highest_modes(problem, mean, sd, starts=(starts(problem, fit), mean))
    points = importance_points(problem, mean, sd, n_points=N_POINTS, modes=modes, random_seed=SEED)
    share = weights(points, mean, sd)
    center, covariance = weighted_moments(points, share)
    low, high = _weighted_ends(points.eta, share)
    few = ~enough(*judge_weights(share), problem.n_parameters)
    if few.any():  # a point with all the weight would look like certainty
        center[few], covariance[few] = modes.eta[few], modes.covariance[few]
        reach = norm.isf(TAIL) * np.sqrt(np.diagonal(covariance[few], axis1=1, axis2=2))
        low[few], high[few] = center[few] - reach, center[few] + reach
    return _Known(
        center=center,
        covariance=covariance,
        variance=np.broadcast_to(variance, center.shape),
        estimate=estimate,
        low=problem.from_link(low),
        high=problem.from_link(high),
    )


def _weighted_ends(eta: FloatArray, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Ends (S, P) of the 95 % equal-tailed intervals of points (S, P, J) with weights (S, J) that sum to 1."""
    order = np.argsort(eta, axis=2)
    ordered = np.take_along_axis(eta, order, axis=2)
    share = np.cumsum(
        np.take_along_axis(weight[:, None, :].repeat(eta.shape[1], axis=1), order, axis=2), axis=2
    )
    last = eta.shape[2] - 1
    ends = [np.minimum((share < level).sum(axis=2), last) for level in (TAIL, 1 - TAIL)]
    low, high = (np.take_along_axis(ordered, end[..., None], axis=2)[..., 0] for end in ends)
    return low, high


def _weakly(problem: Problem, data: xr.Dataset) -> tuple[FloatArray, FloatArray]:
    """(P,) mean and variance of a subject under the weak prior: the population's median, and subjects around it."""
    found = []
    for _, parameter, _ in problem.scalars:
        scales = scales_of(parameter, problem.model, data, reward_scale=problem.reward_scale)
        found.append((scales.loc, scales.scale**2 + np.exp(2 * scales.log_sigma)))
    mean, variance = np.array(found, dtype=np.float64).reshape(-1, 2).T
    return mean, variance


def _channel_nats(problem: Problem, eta: FloatArray) -> FloatArray:
    """(S, P) what the channels of each parameter are worth at eta (S, P)."""
    theta = problem.from_link(eta)
    whole = problem.loglik(theta)
    found = np.full(theta.shape, np.nan)
    for k, (_, parameter, _) in enumerate(problem.scalars):
        weights = _weights_of(problem.model, parameter)
        columns = [j for j, (_, other, _) in enumerate(problem.scalars) if other.name in weights]
        if columns:
            without = theta.copy()
            without[:, columns] = 0.0
            found[:, k] = whole - problem.loglik(without)
    return found


def _weights_of(model: Model, parameter: Parameter) -> set[str]:
    """First weights of the channels that a rate, start value or weight belongs to."""
    found = set()
    for channel in model.channels:
        names = Weight.parse(channel.weight).names
        if parameter.name in (*channel.shapes, *names):
            found |= set(names[:1])
    return found


def _row(problem: Problem, known: _Known, s: int, k: int) -> dict[str, Any]:
    factor = float(problem.raw_factor()[k])
    covariance = known.covariance[s]
    sd = np.sqrt(np.diag(covariance))
    others = [j for j in range(sd.size) if j != k]
    correlation = covariance[k] / np.maximum(sd[k] * sd, 1e-300)
    tied = max(others, key=lambda j: abs(correlation[j])) if others else None
    return {
        "estimate": known.estimate[s, k] * factor,
        "low": known.low[s, k] * factor,
        "high": known.high[s, k] * factor,
        "sd_link": sd[k],
        "information": float(np.clip(1 - covariance[k, k] / known.variance[s, k], 0, 1)),
        "tied_to": "" if tied is None else problem.labels[tied],
        "correlation": np.nan if tied is None else correlation[tied],
    }


def _sentence(row: dict[Any, Any], problem: Problem, interval: str) -> str:
    return f"Subject {row['subject']}: {', '.join(_clauses(row, problem, interval))}."


def _clauses(row: dict[Any, Any], problem: Problem, interval: str) -> Iterator[str]:
    label, share = row["parameter"], f"information {row['information']:.0%}"
    parameter = problem.scalars[problem.labels.index(label)][1]
    weights = sorted(_weights_of(problem.model, parameter) - {parameter.name})
    nats = f"{max(row['channel_nats'], 0.0):.1f} nats"
    if row["information"] < NOTHING:
        yield f"the choices say next to nothing about {label} ({share})"
    elif row["information"] < LITTLE:
        yield f"the choices say little about {label} ({share})"
    else:
        ends = f"{interval} {row['low']:.3g} to {row['high']:.3g}"
        yield f"{label} is estimated at {row['estimate']:.3g} ({ends}, {share})"
    if row["channel_nats"] < WORTH and parameter.kind == "weight":
        yield f"it can't be told from 0, where the log-likelihood is lower by {nats} only"
    elif row["channel_nats"] < WORTH and weights:
        word = "as" if row["information"] < LITTLE else "though"
        yield (
            f"{word} {' and '.join(weights)} can't be told from 0: what it drives is worth {nats} to the "
            "log-likelihood"
        )
    if abs(row["correlation"]) > TIED:
        yield (
            f"it trades off with {row['tied_to']} (correlation {row['correlation']:.2f}), so that the two are known "
            "better together than apart"
        )
