r"""Importance points of each subject, and everything that can be had from them without touching the trials again.

Subject s gets J points :math:`\eta_{sj}` on the link scale from a proposal :math:`q_s`, at which the likelihood is computed
once. Then, for any population N(mean, sd^2), the marginal likelihood of the subject is

.. math:: \log L_s = \log \frac1J \sum_j \exp[\ell_s(\eta_{sj}) - \log q_s(\eta_{sj}) + \log N(\eta_{sj} | \text{mean}_s, \text{sd}_s)]
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hierrl.kernels.problem import Problem
from hierrl.laplace import Modes

FloatArray = npt.NDArray[np.float64]

N_POINTS = 1024
"""Points per subject for a sampler (math.md: 512 is visibly off)."""


@dataclass(frozen=True)
class Points:
    """J importance points for each of S subjects, P parameters, on the link scale."""

    eta: FloatArray
    """(S, P, J)"""
    loglik: FloatArray
    """(S, J) log-likelihood at the points."""
    log_proposal: FloatArray
    """(S, J) log-density of the proposal that they were drawn from."""
    mean: FloatArray
    """(S, P) population mean that they were made for."""
    sd: FloatArray
    """(S, P) population standard deviation that they were made for."""

    @property
    def log_ratio(self) -> FloatArray:
        """(S, J) log-likelihood minus log-proposal."""
        return self.loglik - self.log_proposal


@dataclass(frozen=True)
class Sites:
    r"""Gaussian stand-ins of each subject's log-likelihood, for the informed parametrization.

    :math:`\ell_s(\eta) \approx c + g^\top (\eta - h) - \frac12 (\eta - h)^\top H (\eta - h)` on the link scale.
    """

    centre: FloatArray
    """(S, P): h."""
    gradient: FloatArray
    """(S, P): g."""
    curvature: FloatArray
    """(S, P, P): H, positive semi-definite."""
    method: npt.NDArray[np.str_]
    """(S,): ``"moments"`` of importance points, or ``"laplace"`` where these degenerate."""
    k_hat: FloatArray
    """(S,): Pareto tail index of the importance weights."""


def importance_points(
    problem: Problem,
    mean: npt.ArrayLike,
    sd: npt.ArrayLike,
    *,
    n_points: int = N_POINTS,
    modes: Modes | None = None,
    random_seed: int = 0,
    cores: int | None = None,
    progress: bool = False,
) -> Points:
    """Draw points for the population N(mean, sd^2) (each (S, P) or broadcast to it) and score them."""
    raise NotImplementedError


def log_marginals(points: Points, mean: npt.ArrayLike, sd: npt.ArrayLike, *, order: int = 0) -> tuple[FloatArray, ...]:
    """``log L_s`` (S,), its gradient (S, 2P) in (mean_s, log sd_s) and Hessian (S, 2P, 2P) up to `order`."""
    raise NotImplementedError


def posterior_moments(points: Points, mean: npt.ArrayLike, sd: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Mean (S, P) and covariance (S, P, P) of each subject's parameters given the population."""
    raise NotImplementedError


def diagnose(points: Points, mean: npt.ArrayLike, sd: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Effective sample size (S,) and Pareto k-hat (S,) of the weights given the population."""
    raise NotImplementedError


def sites(
    problem: Problem,
    mean: npt.ArrayLike,
    sd: npt.ArrayLike,
    *,
    n_points: int = N_POINTS,
    start: npt.ArrayLike | None = None,
    random_seed: int = 0,
    cores: int | None = None,
    progress: bool = False,
) -> Sites:
    """Gaussian sites at the population N(mean, sd^2) ((S, P) or broadcast to it); `start` (S, P) on the link scale."""
    raise NotImplementedError
