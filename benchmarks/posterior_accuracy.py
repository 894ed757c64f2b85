"""Does the population help? Estimates of subjects of *basic 2arm* by the posterior mean of rate and weight: with a
population, and with a flat prior within the range that the truth was drawn from, by quadrature.

The flat prior is what the truth was drawn from. No estimate has a smaller expected squared error of the parameters
than its posterior mean; what is judged is the divergence of the choice probabilities.
"""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from experiments import Experiment, kl_by_subject, policy_at, policy_of

import hierrl as hr
from hierrl.kernels.problem import prepare

FloatArray = npt.NDArray[np.float64]

GRID = (80, 80)
"""Nodes of the Gauss-Legendre rule in rate and weight."""
BOOTSTRAP = 4000
EDGES = (2.5, 97.5)


def main() -> None:
    job = json.loads(sys.argv[1])
    print(json.dumps({**job, **measure(job["subjects"], job["seed"])}))


def measure(n_subjects: int, seed: int) -> dict[str, Any]:
    """Divergences of estimators on the same subjects, and their ratios to that of the flat prior."""
    experiment = Experiment("basic", "2arm")
    data = experiment.simulated(n_subjects, seed=seed)
    true, model = experiment.true_policy(data), experiment.model()
    mle = hr.fit_mle(model, data, progress=False)
    flat = flat_means(experiment, data)
    estimates = {
        "hierarchical": hierarchical_means(model, data, seed),
        "flat": {name: flat[:, k] for k, name in enumerate(("alpha", "beta"))},
    }
    kl = {name: kl_by_subject(true, policy_at(model, data, found)) for name, found in estimates.items()}
    kl["mle"] = kl_by_subject(true, policy_of(mle))
    rng = np.random.default_rng(seed)
    return {
        "mean": {name: float(found.mean()) for name, found in kl.items()},
        "median": {name: float(np.median(found)) for name, found in kl.items()},
        "ratio": {name: ratio(kl[name], kl["flat"], rng) for name in ("hierarchical", "mle")},
        "closer": float((kl["hierarchical"] < kl["flat"]).mean()),
    }


def hierarchical_means(model: Any, data: xr.Dataset, seed: int) -> dict[str, FloatArray]:
    """Posterior means (S,) of rate and weight, with default settings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = hr.fit_posterior(model, data, method="marginal", random_seed=seed, progress=False)
    means = fit["posterior"].to_dataset().mean(("chain", "draw"))
    return {name: means[name].values for name in ("alpha", "beta")}


def flat_means(experiment: Experiment, data: xr.Dataset) -> FloatArray:
    """Posterior means (S, 2) of rate and weight under a flat prior within their ranges."""
    (alpha, alpha_weight), (beta, beta_weight) = (
        legendre(0.0, 1.0, GRID[0]),
        legendre(*experiment.ranges["beta"], GRID[1]),
    )
    nodes = np.stack(np.meshgrid(alpha, beta, indexing="ij"), axis=-1).reshape(-1, 2)
    weight = np.outer(alpha_weight, beta_weight).ravel()
    problem = prepare(experiment.model(), data)
    each = np.ones((problem.n_subjects, 1))
    loglik = np.stack([problem.loglik(each * node) for node in nodes], axis=1)
    share = weight * np.exp(loglik - loglik.max(axis=1, keepdims=True))
    return share @ nodes / share.sum(axis=1, keepdims=True)


def legendre(low: float, high: float, n: int) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights of the Gauss-Legendre rule on an interval."""
    node, weight = np.polynomial.legendre.leggauss(n)
    return low + (high - low) * (node + 1) / 2, weight * (high - low) / 2


def ratio(ours: FloatArray, reference: FloatArray, rng: np.random.Generator) -> dict[str, list[float]]:
    """[ratio, low, high] of means and of medians; 95 % bootstrap interval over subjects, paired."""
    drawn = rng.integers(ours.size, size=(BOOTSTRAP, ours.size))
    found = {}
    for name, middle in (("mean", np.mean), ("median", np.median)):
        many = middle(ours[drawn], axis=1) / middle(reference[drawn], axis=1)
        found[name] = [float(middle(ours) / middle(reference)), *map(float, np.percentile(many, EDGES))]
    return found


if __name__ == "__main__":
    main()
