"""What a hierarchical model is made of before any PyMC: problem, population, and where each subject probably is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.data import check_behaviour
from hierrl.formulas import Formula, by_parameter, design_matrices
from hierrl.importance import penalised_modes
from hierrl.importance.gaussian import diagonal, positive_part
from hierrl.kernels.problem import Problem, prepare
from hierrl.kernels.sessions import SessionProblem, study_of
from hierrl.marginal import Sites, sites
from hierrl.mle import quick_fit
from hierrl.models.given import check_model, whole_seed
from hierrl.models.model import Model
from hierrl.posterior.population import Population
from hierrl.prior import Prior, empirical_prior, weak_prior
from hierrl.prior.empirical import check_defined, starts

FloatArray = npt.NDArray[np.float64]
UserNumbers = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Numbers of a prior as `Prior.updated` takes them: label -> coefficient -> numbers."""

Parametrization = Literal["auto", "informed", "noncentered", "centered"]

PARAMETRIZATIONS = ("auto", "informed", "noncentered", "centered")
FREE = ("effects", "log_sigma", "eta")
"""Names of the free variables; one that is a parameter of the model's, too, gets an underscore: ``eta_``."""

PARTIAL = "partial"
"""One more free variable where parameters are correlated."""

LKJ_SHAPE = 2.0
"""Of correlations on request: weakly in favour of small ones."""

MOST_SUBJECTS = (0.05, 0.95)
"""Quantiles between which the information in subjects' trials is reported."""


@dataclass(frozen=True)
class Sizes:
    """Lower Cholesky factors of what posterior covariances probably are."""

    effects: FloatArray
    """(T, T)"""
    log_sigma: FloatArray
    """(P, P), diagonal; with groups (P G, P G)."""
    subjects: FloatArray
    """(S, P, P), given the population."""


@dataclass(frozen=True)
class Layout:
    """A model, its data, prior and coordinates, ready to be written down as a PyMC model."""

    problem: Problem
    population: Population
    parametrization: str
    """``"informed"``, ``"noncentered"`` or ``"centered"``."""
    reason: str
    """Why this parametrization."""
    centre: FloatArray
    """(S, P): where each subject probably is, on the link scale, at the prior's centre."""
    curvature: FloatArray
    """(S, P, P): curvature of the sites."""
    pull: FloatArray
    """(S, P): gradient of the sites at 0."""
    prior_given: bool
    """Whether the caller gave the prior."""

    @cached_property
    def study(self) -> Problem | SessionProblem:
        """What has a likelihood in the P numbers of each subject: slopes within subjects are among them."""
        return study_of(self.problem, self.population.slopes)

    @property
    def free(self) -> tuple[str, ...]:
        """Names of the free variables, in the order of `hierrl.posterior.coordinates.Point`."""
        names = (*FREE, PARTIAL) if self.population.is_correlated else FREE
        return tuple(f"{name}_" if name in self.problem.model.names else name for name in names)

    @property
    def is_mapped(self) -> bool:
        """Whether subjects have the coordinates of `hierrl.kernels.informed`.

        Without a site that map is the non-centred one, and it knows correlations.
        """
        return self.parametrization == "informed" or (
            self.parametrization == "noncentered" and self.population.is_correlated
        )

    @property
    def sites(self) -> tuple[npt.NDArray[np.int64], FloatArray, FloatArray]:
        """Group (S,), curvature (S, P, P) and pull (S, P) of every subject for the map; zero without sites."""
        group = self.population.groups.of_subject
        if self.parametrization != "informed":
            return group, np.zeros_like(self.curvature), np.zeros_like(self.pull)
        return group, self.curvature, self.pull

    @cached_property
    def sizes(self) -> Sizes:
        r"""How far the posterior probably extends, were all of it normal and nothing correlated.

        With a site of precision H a subject informs of the population through :math:`V = H^{-1} + \Sigma`.
        """
        population = self.population
        log_sigma, scale = population.spread_prior
        sigma = population.sigma_of_subjects(log_sigma)
        precision = sigma[:, :, None] ** -2 * np.eye(sigma.shape[1])
        subject = np.linalg.inv(positive_part(self.curvature) + precision)
        inverse = precision - precision @ subject @ precision  # of V; H may be singular
        loading = population.design[:, :, None] * np.eye(sigma.shape[1])[population.owner]
        information = np.einsum("sta,sab,sub->tu", loading, inverse, loading)
        information += np.diag(population.effects_prior[1] ** -2.0)
        # dV / d log sigma is 2 sigma^2, and a normal sample's information half the squared trace.
        of_subject = 2.0 * sigma**4 * np.diagonal(inverse, axis1=1, axis2=2) ** 2
        belongs = np.eye(len(population.groups.names))[population.groups.of_subject]
        spread = (of_subject.T @ belongs).reshape(scale.shape) + scale**-2.0
        return Sizes(
            effects=np.linalg.cholesky(np.linalg.inv(information)),
            log_sigma=np.diag(spread.ravel() ** -0.5),
            subjects=np.linalg.cholesky(subject),
        )

    def record(self) -> dict[str, Any]:
        """What a fit says of it in its settings."""
        return {
            "parametrization": self.parametrization,
            "parametrization_reason": self.reason,
            "prior": self.population.prior.to_json(),
            "prior_given": self.prior_given,
            "formula": dict(self.population.prior.formula),
            "spread_by": self.population.prior.spread_by,
            "correlated": self.population.is_correlated,
        }


def lay_out(
    model: Model,
    data: xr.Dataset,
    *,
    prior: Prior | UserNumbers | None = None,
    start: xr.DataTree | None = None,
    formula: Formula = None,
    spread_by: str | None = None,
    correlated: bool = False,
    parametrization: Parametrization = "auto",
    random_seed: int = 0,
    progress: bool = False,
) -> Layout:
    """Find prior and sites where they are not given; arguments as for `hierrl.posterior.pymc_model`."""
    if parametrization not in PARAMETRIZATIONS:
        raise ValueError(f"parametrization={parametrization!r} is not one of {PARAMETRIZATIONS}.")
    check_model(model)
    random_seed = whole_seed(random_seed)
    check_behaviour(data)
    if start is None:
        start = quick_fit(model, data, progress=progress)
    given = prior is not None
    if prior is None:
        prior = empirical_prior(
            model,
            data,
            start=start,
            formula=formula,
            spread_by=spread_by,
            random_seed=random_seed,
            progress=progress,
        )
    elif not isinstance(prior, Prior):
        prior = weak_prior(model, data, formula=formula, spread_by=spread_by).updated(prior)
    if correlated and prior.lkj is None:
        prior = replace(prior, lkj=LKJ_SHAPE)
    _check_structure(model, prior, formula, spread_by)
    designs = design_matrices(model, data, dict(prior.formula), spread_by=prior.spread_by)
    _check_prior(prior, designs)
    problem = prepare(model, data, reward_scale=prior.reward_scale)
    population = Population(problem, designs, prior)
    study = study_of(problem, population.slopes)
    mean, sd = prior.centre(designs)
    eta = starts(problem, start, n_slopes=len(population.slopes))
    check_defined(problem, eta)
    chosen = "informed" if parametrization == "auto" else parametrization
    reason = "As asked."
    if chosen == "informed":
        found = sites(study, mean, sd, start=eta, random_seed=random_seed, progress=progress)
        centre, curvature = found.centre, found.curvature
        pull = np.einsum("spq,sq->sp", curvature, centre) + found.gradient
        if parametrization == "auto":
            reason = _why_informed(curvature, sd)
        reason = f"{reason} {_on_sites(found)}"
    else:
        modes = penalised_modes(study, mean, sd, start=eta)
        centre, curvature = modes.eta, modes.precision - diagonal(sd**-2)
        pull = np.zeros_like(centre)
    return Layout(problem, population, chosen, reason, centre, curvature, pull, given)


def _why_informed(curvature: FloatArray, sd: FloatArray) -> str:
    """Why 'auto' takes the informed coordinates, with how much subjects differ in what their trials say."""
    variance = np.diagonal(np.linalg.inv(curvature + diagonal(sd**-2)), axis1=1, axis2=2)
    least, most = np.quantile(1 - variance / sd**2, MOST_SUBJECTS)
    return (
        "Chosen by 'auto': each subject's coordinates are standardised by what its own trials say. Of a parameter's "
        f"variance in the population they settle {least:.0%} to {most:.0%} (90 % of subjects and parameters); "
        "non-centred coordinates would suit those near 0 %, centred ones those near 100 %, these suit both."
    )


def _on_sites(found: Sites) -> str:
    n_laplace = int((found.method == "laplace").sum())
    text = f"Sites of {found.method.size - n_laplace} subjects match moments of importance points"
    return (
        f"{text}; of {n_laplace}, whose weights degenerate, the curvature at the mode."
        if n_laplace
        else f"{text}."
    )


def _check_structure(model: Model, prior: Prior, formula: Formula, spread_by: str | None) -> None:
    """The formula of the prior, and its groups of spreads, are those given beside it, if there are any."""
    if formula is not None and by_parameter(model, formula) != dict(prior.formula):
        raise ValueError(
            f"formula= says {by_parameter(model, formula)}, the prior was made for {dict(prior.formula)}. Make the "
            "prior with the same formula, or leave formula= out."
        )
    if spread_by is not None and spread_by != prior.spread_by:
        raise ValueError(
            f"spread_by= says {spread_by!r}, the prior was made for {prior.spread_by!r}. Make the prior with the same "
            "spread_by=, or leave it out."
        )


def _check_prior(prior: Prior, designs: Any) -> None:
    """The prior has exactly the model's parameters and the design's coefficients."""
    if set(prior.labels) != set(designs):
        raise ValueError(
            f"The prior is for the parameters {', '.join(prior.labels)}; the model on these data has "
            f"{', '.join(designs)}. Make the prior with the same model and data with the same arms."
        )
    groups = next(iter(designs.values())).groups.names
    if prior.groups and prior.groups != groups:
        raise ValueError(
            f"The prior has spreads of the groups {', '.join(prior.groups)}; {prior.spread_by!r} of these data has "
            f"{', '.join(groups)}. Make the prior with data that have the same groups."
        )
    for label, design in designs.items():
        if prior.mu(label)[0] != design.names:
            raise ValueError(
                f"The prior of {label!r} has the coefficients {', '.join(prior.mu(label)[0])}; its formula on these "
                f"data gives {', '.join(design.names)}. Make the prior with data that have the same groups."
            )
