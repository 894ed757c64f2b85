"""Does the population help? Posterior means of rate and weight of subjects of *basic 2arm*: with a population, and
under flat priors of each subject alone, by quadrature.

One flat prior is what the truth was drawn from, rates between 0 and 1 and weights between 0 and 5: knowledge that no
fit of real data has. The other one has weights up to 50, the package's own bound. Means are taken on the natural scale,
and on the link scale (the geometric mean of weights). What is judged is the divergence of choice probabilities.
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
from hierrl.marginal import score_points
from hierrl.models.model import Model

FloatArray = npt.NDArray[np.float64]

NAMES = ("alpha", "beta")
GRID = (60, 80)
"""Nodes of the Gauss-Legendre rule in rate and weight."""
WIDEST_WEIGHTS = (5.0, 50.0)
BOOTSTRAP = 4000
EDGES = (2.5, 97.5)


def main() -> None:
    job = json.loads(sys.argv[1])
    print(json.dumps({**job, **measure(job["subjects"], job["seed"])}))


def measure(n_subjects: int, seed: int) -> dict[str, Any]:
    """Divergences of estimators on the same subjects, and ratios of them."""
    experiment = Experiment("basic", "2arm")
    data = experiment.simulated(n_subjects, seed=seed)
    true, model = experiment.true_policy(data), experiment.model()
    estimates = {
        f"hierarchical, {scale}": found for scale, found in hierarchical_means(model, data, seed).items()
    }
    for most in WIDEST_WEIGHTS:
        for scale, found in flat_means(model, data, most).items():
            estimates[f"flat to {most:g}, {scale}"] = found
    kl = {
        name: kl_by_subject(true, policy_at(model, data, dict(zip(NAMES, found.T, strict=True))))
        for name, found in estimates.items()
    }
    kl["mle"] = kl_by_subject(true, policy_of(hr.fit_mle(model, data, progress=False)))
    rng = np.random.default_rng(seed)
    return {
        "mean": {name: float(found.mean()) for name, found in kl.items()},
        "median": {name: float(np.median(found)) for name, found in kl.items()},
        "ratio": {
            f"{name} / {reference}": ratio(kl[name], kl[reference], rng)
            for name, reference in compared(tuple(kl))
        },
    }


def compared(names: tuple[str, ...]) -> list[tuple[str, str]]:
    """The hierarchical posterior and maximum likelihood against each flat prior, means on the same scale."""
    flat = [name for name in names if name.startswith("flat")]
    pairs = [(name, reference) for name in names if name.startswith("hierarchical") for reference in flat]
    alike = [(name, other) for name, other in pairs if name.split(", ")[1] == other.split(", ")[1]]
    return alike + [("mle", reference) for reference in flat if reference.endswith("natural")]


def hierarchical_means(model: Any, data: xr.Dataset, seed: int) -> dict[str, FloatArray]:
    """Posterior means (S, 2) of rate and weight by the scale they are taken on, with default settings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = hr.fit_posterior(model, data, method="marginal", random_seed=seed, progress=False)
    subjects = fit["posterior"].to_dataset()
    draws = np.stack([subjects[name].values for name in NAMES], axis=-1)
    return {
        "natural": draws.mean(axis=(0, 1)),
        "link": from_link(to_link(draws).mean(axis=(0, 1))),
    }


def flat_means(model: Model, data: xr.Dataset, most: float) -> dict[str, FloatArray]:
    """Likewise under a flat prior of rates between 0 and 1 and weights between 0 and `most`."""
    (alpha, alpha_weight), (beta, beta_weight) = legendre(0.0, 1.0, GRID[0]), legendre(0.0, most, GRID[1])
    nodes = np.stack(np.meshgrid(alpha, beta, indexing="ij"), axis=-1).reshape(-1, 2)
    weight = np.outer(alpha_weight, beta_weight).ravel()
    problem = prepare(model, data)
    loglik = np.empty((problem.n_subjects, len(nodes)))
    theta = np.repeat(nodes.T[:, None], problem.n_subjects, axis=1)
    score_points(problem.tables, problem.trials, np.arange(problem.n_subjects), theta, loglik)
    share = weight * np.exp(loglik - loglik.max(axis=1, keepdims=True))
    share /= share.sum(axis=1, keepdims=True)
    return {"natural": share @ nodes, "link": from_link(share @ to_link(nodes))}


def to_link(values: FloatArray) -> FloatArray:
    """Logit rates and log weights (..., 2)."""
    rate, weight = values[..., 0], values[..., 1]
    return np.stack([np.log(rate) - np.log1p(-rate), np.log(weight)], axis=-1)


def from_link(values: FloatArray) -> FloatArray:
    """The inverse of `to_link`."""
    return np.stack([1 / (1 + np.exp(-values[..., 0])), np.exp(values[..., 1])], axis=-1)


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
