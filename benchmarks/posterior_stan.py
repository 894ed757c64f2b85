"""The model in Stan through `pystan`, as hBayesDM writes its bandit models: loops over subjects and trials, values of
both arms, `categorical_logit`, non-centred.

Two things are not hBayesDM's, so that the model is the one that everybody samples: rates are a logistic (there: a
normal distribution function) and weights an exponential of what is normal, and the prior's numbers are data.
"""

from __future__ import annotations

import contextlib
import io
import time
from typing import Any

import numpy as np
from posterior_studies import Arrays

CHAINS, TUNE, DRAWS = 4, 1000, 1000
"""Stan's own default."""

PROGRAM = """
data {
  int<lower=1> N;
  int<lower=1> T;
  array[N, T] int<lower=1, upper=2> choice;
  matrix[N, T] reward;
  real start;
  int<lower=0, upper=1> fades;
  vector[2] mu_loc;
  vector[2] mu_scale;
  vector[2] log_sigma_loc;
  vector[2] log_sigma_scale;
}
parameters {
  vector[2] mu;
  vector[2] log_sigma;
  vector[N] alpha_pr;
  vector[N] beta_pr;
}
transformed parameters {
  vector[2] sigma = exp(log_sigma);
  vector<lower=0, upper=1>[N] alpha = inv_logit(mu[1] + sigma[1] * alpha_pr);
  vector<lower=0>[N] beta = exp(mu[2] + sigma[2] * beta_pr);
}
model {
  mu ~ normal(mu_loc, mu_scale);
  log_sigma ~ normal(log_sigma_loc, log_sigma_scale);
  alpha_pr ~ normal(0, 1);
  beta_pr ~ normal(0, 1);
  for (i in 1:N) {
    vector[2] ev = rep_vector(start, 2);
    for (t in 1:T) {
      choice[i, t] ~ categorical_logit(beta[i] * ev);
      if (fades) {
        ev[3 - choice[i, t]] *= 1 - alpha[i];
      }
      ev[choice[i, t]] += alpha[i] * (reward[i, t] - ev[choice[i, t]]);
    }
  }
}
"""


def build(arrays: Arrays, seed: int = 1) -> Any:
    """The compiled model with its data; `pystan` keeps what it compiled."""
    import stan

    (mu, mu_scale), (log_sigma, log_sigma_scale) = arrays.mu, arrays.log_sigma
    data = {
        "N": arrays.choice.shape[1],
        "T": arrays.choice.shape[0],
        "choice": (arrays.choice.T + 1).tolist(),
        "reward": arrays.reward.T.tolist(),
        "start": arrays.start,
        "fades": int(arrays.fades),
        "mu_loc": mu.tolist(),
        "mu_scale": mu_scale.tolist(),
        "log_sigma_loc": log_sigma.tolist(),
        "log_sigma_scale": log_sigma_scale.tolist(),
    }
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return stan.build(PROGRAM, data=data, random_seed=seed)


def sample(arrays: Arrays, seed: int) -> tuple[dict[str, Any], dict[str, float]]:
    """Draws by name, and seconds: of compilation, and of tuning and sampling."""
    began = time.perf_counter()
    compiled = build(arrays, seed)
    ready = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        fit = compiled.sample(num_chains=CHAINS, num_warmup=TUNE, num_samples=DRAWS)
    end = time.perf_counter()
    mu, log_sigma, alpha, beta = (by_chain(fit[name]) for name in ("mu", "log_sigma", "alpha", "beta"))
    eta = np.stack([np.log(alpha) - np.log1p(-alpha), np.log(beta)], axis=-1)
    draws = {"mu": mu, "log_sigma": log_sigma, "eta": eta}
    return draws, {"compile": ready - began, "sample": end - ready, "total": end - began}


def by_chain(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """(chain, draw, ...) of an array (..., draw by chain): `pystan` lets the chain change fastest."""
    return np.moveaxis(values.reshape(*values.shape[:-1], -1, CHAINS), (-1, -2), (0, 1))
