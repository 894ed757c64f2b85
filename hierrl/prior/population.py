"""Maximum marginal likelihood of a population: its coefficients and log standard deviations, with a weak
prior.

The vector ``phi`` (D,) holds the coefficients of all parameters, then P log standard deviations. What is
maximised is ``sum_s log L_s(X_s Gamma, sigma) + log prior(phi)``, with exact derivatives from importance
points.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hierrl.formulas import DesignMatrix
from hierrl.importance import Modes, effective_size, penalised_modes
from hierrl.kernels.problem import Problem
from hierrl.kernels.sessions import SessionProblem
from hierrl.marginal import Points, log_marginals, weights
from hierrl.prior.terms import Prior

FloatArray = npt.NDArray[np.float64]

EM_ITERATIONS, EM_TOLERANCE = 50, 0.02
"""Laplace-EM only starts the search: a change below the tolerance (link scale) is enough."""

NEWTON_ITERATIONS, NEWTON_HALVINGS, NEWTON_TOLERANCE = 50, 20, 1e-6
MAX_AT_EDGE = 5
"""Steps that the edge of the points' neighbourhood may cut short: then it takes new points to get on."""

FARTHEST_STEP = 0.5
"""On the link scale, per coefficient or log standard deviation."""

FEWEST_KEPT = 0.5
"""Share of the effective points that must be left at the optimum, on average over subjects."""


@dataclass(frozen=True)
class Layout:
    """How ``phi`` becomes the population of every subject, and the prior of its entries."""

    designs: Mapping[str, DesignMatrix]
    loc: FloatArray
    """(D,) of the weak prior."""
    scale: FloatArray
    """(D,)"""

    @classmethod
    def of(cls, designs: Mapping[str, DesignMatrix], weak: Prior) -> Layout:
        """The layout of a weak prior."""
        if weak.groups or weak.lkj is not None:
            raise ValueError(
                "Groups with spreads of their own (spread_by=) and correlated parameters are for method='nuts': "
                "importance points are made for one spread and independent parameters."
            )
        coefficients = [weak.mu(label)[1:] for label in designs]
        spreads = np.array([weak.log_sigma(label) for label in designs])
        loc = np.concatenate([*(loc for loc, _ in coefficients), spreads[:, 0]])
        return cls(designs, loc, np.concatenate([*(scale for _, scale in coefficients), spreads[:, 1]]))

    @property
    def n_parameters(self) -> int:
        """P."""
        return len(self.designs)

    @property
    def slices(self) -> dict[str, slice]:
        """Where the coefficients of each parameter stand in ``phi``."""
        edges = np.cumsum([0, *(len(design.names) for design in self.designs.values())])
        return {label: slice(*edges[k : k + 2]) for k, label in enumerate(self.designs)}

    def population(self, phi: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean (S, P) and standard deviation (P,)."""
        mean = [self.designs[label].mean(phi[where]) for label, where in self.slices.items()]
        return np.stack(mean, axis=1), np.exp(phi[-self.n_parameters :])

    def jacobian(self) -> FloatArray:
        """(S, 2P, D): derivatives of each subject's (mean, log sd) in ``phi``."""
        p, n_subjects = self.n_parameters, next(iter(self.designs.values())).matrix.shape[0]
        jacobian = np.zeros((n_subjects, 2 * p, self.loc.size))
        for k, (label, where) in enumerate(self.slices.items()):
            jacobian[:, k, where] = self.designs[label].matrix
            jacobian[:, p + k, self.loc.size - p + k] = 1.0
        return jacobian


def maximise_marginal(
    points: Points, layout: Layout, phi: FloatArray, use: npt.NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray, float]:
    """The most probable population (D,), its covariance (D, D) and the log-posterior at `phi`, for subjects `use`.

    The search starts at `phi`, where the points were drawn, and doesn't go where few of them count: an optimum
    there would be one of the points' chance, not of the data. Draw new points at the result until it stays.
    """
    jacobian, some = layout.jacobian()[use], points.take(use)
    size_here = effective_size(weights(some, *_of(layout.population(phi), use)))

    def look(phi: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        mean, sd = _of(layout.population(phi), use)
        value, gradient, hessian = log_marginals(some, mean, sd, order=2)
        kept = np.minimum(effective_size(weights(some, mean, sd)) / size_here, 1.0).mean()
        z = (phi - layout.loc) / layout.scale
        slope = np.einsum("sad,sa->d", jacobian, gradient) - z / layout.scale
        curvature = jacobian.transpose(0, 2, 1) @ hessian @ jacobian
        total = float(value.sum() - 0.5 * z @ z) if kept >= FEWEST_KEPT else -np.inf
        return total, slope, np.diag(layout.scale**-2) - curvature.sum(axis=0)

    best, curvature = _climb(look, phi)
    return best, np.linalg.inv(_positive_definite(curvature, layout.scale)), look(phi)[0]


def _of(
    population: tuple[FloatArray, FloatArray], use: npt.NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray]:
    return population[0][use], population[1]


def _climb(
    look: Callable[[FloatArray], tuple[float, FloatArray, FloatArray]], phi: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Damped Newton up to the edge of where `look` has a value; gives the best point and the curvature there.

    `look` gives value (minus infinity outside), gradient and negative Hessian.
    """
    value, slope, curvature = look(phi)
    scale, at_edge = np.ones_like(phi), 0
    for _ in range(NEWTON_ITERATIONS):
        step = np.linalg.solve(_positive_definite(curvature, scale), slope)
        if step @ slope < NEWTON_TOLERANCE:
            break
        step /= max(1.0, float(np.abs(step).max()) / FARTHEST_STEP)
        inside = True
        for _ in range(NEWTON_HALVINGS):
            new = look(phi + step)
            if new[0] > value:
                break
            inside &= new[0] > -np.inf
            step = step / 2
        else:
            break
        phi, (value, slope, curvature) = phi + step, new
        at_edge += not inside
        if at_edge == MAX_AT_EDGE:
            break
    return phi, curvature


def _positive_definite(curvature: FloatArray, scale: FloatArray) -> FloatArray:
    """A curvature whose every direction is at least as curved as the weak prior's flattest."""
    values, vectors = np.linalg.eigh(curvature)
    return (vectors * np.maximum(np.abs(values), (scale**-2).min())) @ vectors.T


def laplace_em(
    problem: Problem | SessionProblem, layout: Layout, phi: FloatArray, eta: FloatArray
) -> tuple[FloatArray, Modes]:
    """A population by Laplace-EM and the modes in it, from `phi` (D,) and the subjects' `eta` (S, P)."""
    modes = penalised_modes(problem, *layout.population(phi), start=eta)
    for _ in range(EM_ITERATIONS):
        new = _expectation_maximised(layout, modes, phi)
        modes = penalised_modes(problem, *layout.population(new), start=modes.eta)
        change, phi = np.abs(new - phi).max(), new
        if change < EM_TOLERANCE:
            break
    return phi, modes


def _expectation_maximised(layout: Layout, modes: Modes, phi: FloatArray) -> FloatArray:
    """The M step for Gaussian subjects: ridge regressions for coefficients, then standard deviations."""
    new, p = phi.copy(), layout.n_parameters
    variance = np.diagonal(modes.covariance, axis1=1, axis2=2)
    for k, (label, where) in enumerate(layout.slices.items()):
        spread = phi.size - p + k
        x, precision = layout.designs[label].matrix, np.exp(-2 * phi[spread])
        ridge = layout.scale[where] ** -2
        target = precision * x.T @ modes.eta[:, k] + ridge * layout.loc[where]
        new[where] = np.linalg.solve(precision * x.T @ x + np.diag(ridge), target)
        squares = ((modes.eta[:, k] - x @ new[where]) ** 2 + variance[:, k]).sum()
        new[spread] = _log_sd(squares, len(x), phi[spread], layout.loc[spread], layout.scale[spread])
    return new


def _log_sd(squares: float, n: int, start: float, loc: float, scale: float) -> float:
    """Maximum over l of ``-n l - squares exp(-2 l) / 2 - ((l - loc) / scale)^2 / 2``, a concave function."""
    log_sd = start
    for _ in range(NEWTON_ITERATIONS):
        fit = squares * np.exp(-2 * log_sd)
        step = (fit - n - (log_sd - loc) / scale**2) / (2 * fit + scale**-2)
        log_sd += float(np.clip(step, -1.0, 1.0))
        if abs(step) < NEWTON_TOLERANCE:
            break
    return log_sd
