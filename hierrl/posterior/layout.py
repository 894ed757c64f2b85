"""What a hierarchical model is made of before any PyMC: problem, population, and where each subject probably is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.convex import fit_convex
from hierrl.data import check_behaviour
from hierrl.formulas import Formula, by_parameter, design_matrices
from hierrl.importance import penalised_modes
from hierrl.kernels.problem import Problem, prepare
from hierrl.marginal import Sites, sites
from hierrl.models.model import Model
from hierrl.posterior.population import Population
from hierrl.prior import Prior, empirical_prior
from hierrl.prior.empirical import starts

FloatArray = npt.NDArray[np.float64]
Parametrization = Literal["auto", "informed", "noncentered", "centered"]

PARAMETRIZATIONS = ("auto", "informed", "noncentered", "centered")
FREE = ("effects", "log_sigma", "eta")
"""Names of the free variables."""

MOST_SUBJECTS = (0.05, 0.95)
"""Quantiles between which the information in subjects' trials is reported."""


@dataclass(frozen=True)
class Sizes:
    """Lower Cholesky factors of what posterior covariances probably are."""

    effects: FloatArray
    """(T, T)"""
    log_sigma: FloatArray
    """(P, P), diagonal."""
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
    def sizes(self) -> Sizes:
        r"""How far the posterior probably extends, were all of it normal.

        With a site of precision H a subject informs of the population through :math:`V = H^{-1} + \Sigma`.
        """
        population = self.population
        sigma = np.exp(population.spread_prior[0])
        precision = np.diag(sigma**-2)
        subject = np.linalg.inv(positive_part(self.curvature) + precision)
        inverse = precision - precision @ subject @ precision  # of V; H may be singular
        loading = population.design[:, :, None] * np.eye(sigma.size)[population.owner]
        information = np.einsum("sta,sab,sub->tu", loading, inverse, loading)
        information += np.diag(population.effects_prior[1] ** -2.0)
        # dV / d log sigma is 2 sigma^2, and a normal sample's information half the squared trace.
        spread = (2.0 * sigma**4 * np.diagonal(inverse, axis1=1, axis2=2) ** 2).sum(axis=0)
        spread += population.spread_prior[1] ** -2.0
        return Sizes(
            effects=np.linalg.cholesky(np.linalg.inv(information)),
            log_sigma=np.diag(spread**-0.5),
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
        }


def lay_out(
    model: Model,
    data: xr.Dataset,
    *,
    prior: Prior | None = None,
    start: xr.DataTree | None = None,
    formula: Formula = None,
    parametrization: Parametrization = "auto",
    random_seed: int = 0,
    progress: bool = False,
) -> Layout:
    """Find prior and sites where they are not given; arguments as for `hierrl.posterior.pymc_model`."""
    if parametrization not in PARAMETRIZATIONS:
        raise ValueError(f"parametrization={parametrization!r} is not one of {PARAMETRIZATIONS}.")
    check_behaviour(data)
    if start is None:
        start = fit_convex(model, data, progress=progress)
    given = prior
    if prior is None:
        prior = empirical_prior(
            model, data, start=start, formula=formula, random_seed=random_seed, progress=progress
        )
    designs = design_matrices(model, data, _formula(model, prior, formula))
    _check_prior(prior, designs)
    problem = prepare(model, data, reward_scale=prior.reward_scale)
    population = Population(problem, designs, prior)
    mean, sd = prior.centre(designs)
    eta = starts(problem, start)
    chosen = "informed" if parametrization == "auto" else parametrization
    reason = "As asked."
    if chosen == "informed":
        found = sites(problem, mean, sd, start=eta, random_seed=random_seed, progress=progress)
        centre, curvature = found.centre, found.curvature
        pull = np.einsum("spq,sq->sp", curvature, centre) + found.gradient
        if parametrization == "auto":
            reason = _why_informed(curvature, sd)
        reason = f"{reason} {_on_sites(found)}"
    else:
        modes = penalised_modes(problem, mean, sd, start=eta)
        centre, curvature = modes.eta, modes.precision - np.eye(sd.size) * sd**-2
        pull = np.zeros_like(centre)
    return Layout(problem, population, chosen, reason, centre, curvature, pull, given is not None)


def _why_informed(curvature: FloatArray, sd: FloatArray) -> str:
    """Why 'auto' takes the informed coordinates, with how much subjects differ in what their trials say."""
    variance = np.diagonal(np.linalg.inv(curvature + np.diag(sd**-2.0)), axis1=1, axis2=2)
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


def _formula(model: Model, prior: Prior, formula: Formula) -> Formula:
    """The formula of the prior, which one given beside it must agree with."""
    if formula is not None and by_parameter(model, formula) != dict(prior.formula):
        raise ValueError(
            f"formula= says {by_parameter(model, formula)}, the prior was made for {dict(prior.formula)}. Make the "
            "prior with the same formula, or leave formula= out."
        )
    return dict(prior.formula)


def _check_prior(prior: Prior, designs: Any) -> None:
    """The prior has exactly the model's parameters and the design's coefficients."""
    if set(prior.labels) != set(designs):
        raise ValueError(
            f"The prior is for the parameters {', '.join(prior.labels)}; the model on these data has "
            f"{', '.join(designs)}. Make the prior with the same model and data with the same arms."
        )
    for label, design in designs.items():
        if prior.mu(label)[0] != design.names:
            raise ValueError(
                f"The prior of {label!r} has the coefficients {', '.join(prior.mu(label)[0])}; its formula on these "
                f"data gives {', '.join(design.names)}. Make the prior with data that have the same groups."
            )


def positive_part(matrix: FloatArray) -> FloatArray:
    """The positive semi-definite part of symmetric matrices (S, P, P)."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.maximum(values, 0.0)[:, None, :]) @ vectors.transpose(0, 2, 1)
