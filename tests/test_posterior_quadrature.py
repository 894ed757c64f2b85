"""The sampled posterior against quadrature, on a model small enough for it: one parameter, few subjects."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp

import hierrl as hr
from hierrl.kernels.problem import prepare

MODEL = hr.Model(channels=(hr.Channel(rate=0.4, weight="beta", unchosen="decay"),))
N_SUBJECTS = 6


@pytest.fixture(scope="module")
def study():
    task = hr.Bandit(odds=(0.8, 0.2), n_trials=60, reverse_every=15, missed=0.03)
    beta = np.exp(np.random.default_rng(2).normal(1.0, 0.5, N_SUBJECTS))
    return hr.simulate(MODEL, task, {"beta": beta}, n_subjects=N_SUBJECTS, random_seed=2)


def by_quadrature(data, prior) -> dict[str, tuple[float, float]]:
    """Posterior mean and sd of mu and log sigma: the subjects integrated out on a grid of log beta."""
    problem = prepare(MODEL, data)
    eta = np.linspace(-5, 5, 1201)
    loglik = np.stack([problem.loglik(np.full((N_SUBJECTS, 1), np.exp(value))) for value in eta], axis=1)
    _, (mu_loc,), (mu_scale,) = prior.mu("beta")
    spread_loc, spread_scale = prior.log_sigma("beta")
    mu = np.linspace(mu_loc - 5 * mu_scale, mu_loc + 5 * mu_scale, 161)
    log_sigma = np.linspace(spread_loc - 5 * spread_scale, spread_loc + 5 * spread_scale, 81)
    log_density = np.empty((mu.size, log_sigma.size))
    for j, spread in enumerate(log_sigma):
        normal = -0.5 * ((eta[None] - mu[:, None]) / np.exp(spread)) ** 2 - spread
        log_density[:, j] = logsumexp(loglik[None] + normal[:, None], axis=2).sum(axis=1)
    log_density += -0.5 * (((mu - mu_loc) / mu_scale) ** 2)[:, None]
    log_density += -0.5 * ((log_sigma - spread_loc) / spread_scale) ** 2
    weight = np.exp(log_density - logsumexp(log_density))
    found = {}
    for name, grid, mass in (("mu", mu, weight.sum(axis=1)), ("log_sigma", log_sigma, weight.sum(axis=0))):
        mean = (grid * mass).sum()
        found[name] = mean, np.sqrt(((grid - mean) ** 2 * mass).sum())
    return found


@pytest.mark.parametrize("parametrization", ["informed", "noncentered"])
def test_the_population_posterior_is_that_of_quadrature(study, parametrization):
    prior = hr.weak_prior(MODEL, study)
    fit = hr.fit_posterior(
        MODEL,
        study,
        prior=prior,
        parametrization=parametrization,
        target_accept=0.98,
        random_seed=5,
        progress=False,
    )
    expected = by_quadrature(study, prior)
    draws = {
        "mu": fit["population"]["mu"].sel(parameter="beta", coefficient="Intercept").values,
        "log_sigma": np.log(fit["population"]["sigma"].sel(parameter="beta").values),
    }
    for name, values in draws.items():
        mean, sd = expected[name]
        assert abs(values.mean() - mean) < 0.15 * sd, name
        assert 0.85 < values.std() / sd < 1.15, name
