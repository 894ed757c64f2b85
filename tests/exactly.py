"""A hierarchical study whose posterior is known without a sampler: one parameter, grids for subjects and population.

Leaving something out means taking its trials out of the sums: an exact refit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.special import logsumexp

import hierrl as hr
from hierrl.fits import build_fit
from hierrl.kernels.problem import prepare
from hierrl.posterior.layout import Layout, lay_out

FloatArray = npt.NDArray[np.float64]

MODEL = hr.Model(channels=(hr.Channel(rate=0.4, weight="beta", unchosen="decay"),), name="one_weight")
ETA, MU, LOG_SIGMA = np.linspace(-9, 9, 361), np.linspace(-3, 5, 121), np.linspace(-3.5, 2.2, 61)


def tiny_study(n_subjects: int = 5, n_trials: int = 16, n_sessions: int = 2) -> xr.Dataset:
    """So short that every trial, session and subject counts."""
    beta = np.exp(np.random.default_rng(3).normal(1.0, 0.8, n_subjects))
    task = hr.Bandit((0.8, 0.2), n_trials=n_trials, n_sessions=n_sessions, reverse_every=6, missed=0.05)
    return hr.simulate(MODEL, task, {"beta": beta}, n_subjects=n_subjects, random_seed=4)


@dataclass(frozen=True)
class Exact:
    """The posterior of `MODEL` for a study, on grids of log beta, of its population mean and log spread."""

    data: xr.Dataset
    model: hr.Model = MODEL

    @cached_property
    def prior(self) -> hr.Prior:
        return hr.weak_prior(self.model, self.data)

    @cached_property
    def subject(self) -> npt.NDArray[np.int64]:
        """(n,) of rows."""
        return self.data.indexes["subject"].get_indexer(self.data["trial_subject"].values)

    @cached_property
    def trials(self) -> FloatArray:
        """(n, E) log-probabilities of the choices; 0 where not scored."""
        problem = prepare(self.model, self.data)
        columns = [problem.trial_loglik(np.full((problem.n_subjects, 1), np.exp(eta))) for eta in ETA]
        return np.nan_to_num(np.stack(columns, axis=1))

    @cached_property
    def density(self) -> FloatArray:
        """(E, M, L) mass of log beta under each population."""
        z = (ETA[:, None, None] - MU[:, None]) / np.exp(LOG_SIGMA)
        return np.exp(-0.5 * z**2 - LOG_SIGMA) * (ETA[1] - ETA[0]) / np.sqrt(2 * np.pi)

    @cached_property
    def log_prior(self) -> FloatArray:
        """(M, L) but for a constant."""
        _, (loc,), (scale,) = self.prior.mu("beta")
        middle, width = self.prior.log_sigma("beta")
        return -0.5 * (((MU - loc) / scale) ** 2)[:, None] - 0.5 * ((LOG_SIGMA - middle) / width) ** 2

    def subject_loglik(self, without: Iterable[int] = ()) -> FloatArray:
        """(S, E) of all rows but some."""
        trials = self.trials.copy()
        trials[list(without)] = 0.0
        return np.stack([trials[self.subject == s].sum(axis=0) for s in range(self.data.sizes["subject"])])

    def marginals(self, without: Iterable[int] = ()) -> FloatArray:
        """(S, M, L) log L of the subjects under each population."""
        return np.log(np.tensordot(np.exp(self.subject_loglik(without)), self.density, axes=1))

    def evidence(self, without: Iterable[int] = ()) -> float:
        """Log marginal likelihood of the whole study, but for the prior's constant."""
        return float(logsumexp(self.log_prior + self.marginals(without).sum(axis=0)))

    def predicted(self, rows: Iterable[int], given_without: Iterable[int] = ()) -> float:
        """log p(rows | all rows but these, and but `given_without`)."""
        rest = {*rows, *given_without}
        return self.evidence(given_without) - self.evidence(rest)

    def population(self, without: Iterable[int] = ()) -> FloatArray:
        """(M, L) posterior mass."""
        log_mass = self.log_prior + self.marginals(without).sum(axis=0)
        return np.exp(log_mass - logsumexp(log_mass))

    def fit(self, n_draws: int = 4000, *, without: Iterable[int] = (), seed: int = 0) -> xr.DataTree:
        """A posterior of independent draws."""
        rng = np.random.default_rng(seed)
        mass = self.population(without)
        m, k = np.unravel_index(rng.choice(mass.size, n_draws, p=mass.ravel()), mass.shape)
        eta = np.empty((n_draws, self.data.sizes["subject"]))
        for s, loglik in enumerate(self.subject_loglik(without)):
            share = np.cumsum(np.exp(loglik)[:, None] * self.density[:, m, k], axis=0)
            u = rng.random(n_draws) * share[-1]
            place = (share < u).sum(axis=0)
            eta[:, s] = ETA[place] + (rng.random(n_draws) - 0.5) * (ETA[1] - ETA[0])
        mu = MU[m] + (rng.random(n_draws) - 0.5) * (MU[1] - MU[0])
        log_sigma = LOG_SIGMA[k] + (rng.random(n_draws) - 0.5) * (LOG_SIGMA[1] - LOG_SIGMA[0])
        layout = lay_out(self.model, self.data, prior=self.prior, parametrization="noncentered")
        return fit_of(layout, self.data, mu[:, None], log_sigma[:, None], eta[..., None])


def fit_of(
    layout: Layout,
    data: xr.Dataset,
    effects: FloatArray,
    log_sigma: FloatArray,
    eta: FloatArray,
    partial: FloatArray | None = None,
) -> xr.DataTree:
    """A posterior fit from draws of effects (N, T), log sigma (N, P[, G]), subjects (N, S, P), partial correlations."""
    population = layout.population.to_dataset(
        effects[None], log_sigma[None], None if partial is None else partial[None]
    )
    settings = {"estimator": "posterior", "method": "exact", "random_seed": 0, **layout.record()}
    theta = layout.problem.from_link(eta[None, ..., : layout.problem.n_parameters])
    return build_fit(
        layout.problem, data, theta, stats={}, settings=settings, groups={"population": population}
    )
