"""Draws from a prior: a population, and subjects who belong to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hierrl.formulas import DesignMatrix
from hierrl.kernels.correlation import correlation_root, lkj_shapes
from hierrl.prior.terms import LOG_SIGMA, Prior, PriorTerm

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PopulationDraw:
    """One population from a prior, on the link scale for the scaled signal."""

    numbers: tuple[float, ...]
    """One for each term of the prior."""
    correlation: FloatArray
    """(P, P); the identity matrix if parameters are not correlated."""


def draw_population(prior: Prior, rng: np.random.Generator) -> PopulationDraw:
    """A population."""
    z = rng.standard_normal(len(prior.terms))
    numbers = tuple(float(t.loc + t.scale * x) for t, x in zip(prior.terms, z, strict=True))
    n = len(prior.labels)
    if prior.lkj is None or n == 1:
        return PopulationDraw(numbers, np.eye(n))
    shapes = lkj_shapes(n, prior.lkj)
    factor = np.linalg.inv(correlation_root(2 * rng.beta(shapes, shapes) - 1))
    return PopulationDraw(numbers, factor @ factor.T)


def draw_subjects(
    prior: Prior,
    population: PopulationDraw,
    designs: Mapping[str, DesignMatrix],
    rng: np.random.Generator,
) -> FloatArray:
    """Parameters (S, P) of the subjects of a study, on the link scale for the scaled signal."""
    value = dict(zip(_keys(prior), population.numbers, strict=True))
    groups = next(iter(designs.values())).groups
    names = np.array(groups.names if prior.groups else [""] * len(groups.names))[groups.of_subject]
    mean = [
        design.mean([value[label, "mu", name] for name in design.names]) for label, design in designs.items()
    ]
    sd = [np.exp([value[label, LOG_SIGMA, name] for name in names]) for label in designs]
    z = rng.standard_normal((len(names), len(designs))) @ np.linalg.cholesky(population.correlation).T
    return np.stack(mean, axis=1) + np.stack(sd, axis=1) * z


def record_of(prior: Prior, population: PopulationDraw) -> dict[str, Any]:
    """A population in raw reward units, as fits report it: ``mu``, ``sigma`` and, if there are any, correlations."""
    mu: dict[str, dict[str, float]] = {}
    sigma: dict[str, Any] = {}
    for term, number in zip(prior.terms, population.numbers, strict=True):
        raw = _in_raw_units(term, number, prior.reward_scale)
        if term.role != LOG_SIGMA:
            mu.setdefault(term.parameter, {})[term.coefficient] = raw
        elif prior.groups:
            sigma.setdefault(term.parameter, {})[term.coefficient] = raw
        else:
            sigma[term.parameter] = raw
    correlation = {} if prior.lkj is None else {"correlation": population.correlation.tolist()}
    return {"mu": mu, "sigma": sigma, **correlation}


def _keys(prior: Prior) -> list[tuple[str, str, str]]:
    return [(term.parameter, term.role, term.coefficient) for term in prior.terms]


def _in_raw_units(term: PriorTerm, value: float, reward_scale: float) -> float:
    """A number of the population on the link scale: a coefficient, or a standard deviation for its logarithm."""
    size = reward_scale**term.unit
    if term.role == LOG_SIGMA:
        return float(np.exp(value) * (size if term.link == "identity" else 1.0))
    if term.link == "identity":
        return value * size
    return value + float(np.log(size)) if term.link == "log" and term.is_level else value
