"""What the empirical prior's double use of the data costs: intervals of the population under priors of several widths.

Studies come from populations whose means and spreads are fixed (that of *hard* is normal on the link scale with the
moments of the paper's *basic 2arm* subjects). Each is sampled once, under the weak prior. A population has four
numbers here, and a prior of them is known in closed form, so the draws are reweighted to every other prior: all priors
see the same draws, and differences between them are not the sampler's. Where the weights fail (Pareto k above .7) the
posterior is sampled under that prior itself.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.stats import norm

import hierrl as hr
from hierrl.fits import settings_of
from hierrl.importance import effective_size
from hierrl.importance.pareto import GOOD_K, pareto_k
from hierrl.models.model import Model
from hierrl.posterior.diagnostics import numbers_of
from hierrl.prior import Prior
from hierrl.prior.empirical import empirical_priors
from hierrl.prior.terms import LOG_SIGMA
from hierrl.replications.store import Row

FloatArray = npt.NDArray[np.float64]

WIDTHS = (1.0, 2.0, 3.0, 5.0, 10.0)
PROBABILITIES = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
"""Of the quantiles that are kept: central intervals of 95, 80 and 50 %, and the median."""
SAMPLING: dict[str, Any] = {"method": "marginal", "draws": 600, "chains": 2, "cores": 1, "progress": False}
SEED = 4


class Truth(NamedTuple):
    """A population: mean and standard deviation of each parameter on the link scale, and the task."""

    model: Model
    task: hr.Bandit
    alpha: tuple[float, float]
    beta: tuple[float, float]

    def numbers(self) -> dict[str, float]:
        """By the names that fits give them."""
        return {
            f"{what} of {label}": value
            for label, pair in (("alpha", self.alpha), ("beta", self.beta))
            for what, value in (("mu", pair[0]), ("sigma", pair[1]))
        }

    def data(self, n_subjects: int, rng: np.random.Generator) -> xr.Dataset:
        """A study of subjects drawn from the population."""
        alpha, beta = (rng.normal(*pair, n_subjects) for pair in (self.alpha, self.beta))
        theta = {"alpha": 1 / (1 + np.exp(-alpha)), "beta": np.exp(beta)}
        return hr.simulate(self.model, self.task, theta, random_seed=rng)


TRUTHS = {
    "typical": Truth(
        hr.model("rw", start=0.5),
        hr.Bandit((0.8, 0.2), n_trials=200, reverse_every=25),
        alpha=(-0.5, 0.8),
        beta=(1.2, 0.4),
    ),
    "hard": Truth(hr.model("forgetting_q"), hr.Bandit.zhu_2arm(200), alpha=(0.0, 1.8), beta=(0.6, 1.0)),
}


def replicate(name: str, n_subjects: int, k: int) -> Row:
    """One study: what each prior makes of it."""
    truth, seed = TRUTHS[name], [SEED, sorted(TRUTHS).index(name), n_subjects, k]
    data = truth.data(n_subjects, np.random.default_rng(seed))
    number = int(np.random.SeedSequence(seed).generate_state(1)[0])
    quick = hr.fit_convex(truth.model, data, progress=False)
    weak = hr.weak_prior(truth.model, data)
    made = empirical_priors(truth.model, data, start=quick, widens=WIDTHS, random_seed=number)
    fit = _sampled(truth.model, data, weak, quick, number)
    phi = _numbers(fit)
    priors: Row = {"weak": {**_figures(phi), "converged": _converged(fit)}}
    for width, prior in zip(WIDTHS, made, strict=True):
        log_weight = log_density(prior, phi) - log_density(weak, phi)
        weight = np.exp(log_weight - log_weight.max())
        weight /= weight.sum()
        k_hat, effective = pareto_k(weight[None]).item(), effective_size(weight[None]).item()
        if k_hat <= GOOD_K:
            found = {**_figures(phi, weight), "converged": priors["weak"]["converged"]}
        else:
            own = _sampled(truth.model, data, prior, quick, number)
            found = {**_figures(_numbers(own)), "converged": _converged(own)}
        found |= {"k_hat": round(max(k_hat, -9.0), 3), "effective": round(effective)}
        priors[f"{width:g}"] = found
    sources = {_name(term): term.source for term in made[0].terms}
    return {"seed": number, "sources": sources, "priors": priors}


def log_density(prior: Prior, phi: dict[str, FloatArray]) -> FloatArray:
    """Of draws of the population under a prior of its means and log spreads, for rewards on a scale of 1."""
    total = np.zeros(len(next(iter(phi.values()))))
    for term in prior.terms:
        values = phi[_name(term)]
        total += norm.logpdf(np.log(values) if term.role == LOG_SIGMA else values, term.loc, term.scale)
    return total


def _name(term: Any) -> str:
    return f"{'sigma' if term.role == LOG_SIGMA else 'mu'} of {term.parameter}"


def _sampled(model: Model, data: xr.Dataset, prior: Prior, start: xr.DataTree, seed: int) -> xr.DataTree:
    with warnings.catch_warnings():
        # Whether it converged is kept with the replication.
        warnings.simplefilter("ignore", UserWarning)
        return hr.fit_posterior(model, data, prior=prior, start=start, random_seed=seed, **SAMPLING)


def _numbers(fit: xr.DataTree) -> dict[str, FloatArray]:
    draws, names = numbers_of(fit["population"].to_dataset())
    return {name.removesuffix(", Intercept"): draws[:, :, i].ravel() for i, name in enumerate(names)}


def _converged(fit: xr.DataTree) -> bool:
    return settings_of(fit)["diagnostics"]["converged"]


def _figures(phi: dict[str, FloatArray], weight: FloatArray | None = None) -> Row:
    """Quantiles, mean and standard deviation of each number."""
    weight = np.full(len(next(iter(phi.values()))), 1.0) if weight is None else weight
    return {name: _of_one(values, weight) for name, values in phi.items()}


def _of_one(values: FloatArray, weight: FloatArray) -> dict[str, Any]:
    mean = np.average(values, weights=weight)
    quantiles = np.quantile(values, PROBABILITIES, weights=weight, method="inverted_cdf")
    return {
        "mean": round(float(mean), 5),
        "sd": round(float(np.sqrt(np.average((values - mean) ** 2, weights=weight))), 5),
        "quantiles": np.round(quantiles, 5).tolist(),
    }
