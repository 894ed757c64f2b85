"""One replication: a study from the prior, its posterior, and where the truth stands in it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from hierrl.calibration.ranks import Ranks, rank_truths
from hierrl.fits import settings_of
from hierrl.latents import log_likelihood
from hierrl.models.model import Model
from hierrl.models.values import gather
from hierrl.posterior import fit_posterior
from hierrl.posterior.diagnostics import numbers_of
from hierrl.prior import Prior
from hierrl.replications.store import Row
from hierrl.simulate import Bandit, Recorded, simulate, truth_of
from hierrl.simulate.predictive import population_of

FloatArray = npt.NDArray[np.float64]

LOG_LIKELIHOOD = "log-likelihood"
"""All subjects' together: a quantity that sees data and parameters at once, and what no parameter sees alone."""

LIKELIHOOD_DRAWS = 1000
"""Of all chains together, for it."""


@dataclass(frozen=True)
class Study:
    """What is replicated: studies that a prior makes, and how they are fitted."""

    model: Model
    task: Bandit | Recorded
    prior: Prior
    n_subjects: int | None
    covariates: Mapping[str, Any] | pd.DataFrame | None
    random_seed: int
    options: Mapping[str, Any] = field(default_factory=dict)
    """Keywords of `fit_posterior`."""

    def seeds(self, k: int) -> tuple[int, int, int]:
        """Of the simulation, the fit and the ties of replication k."""
        state = np.random.SeedSequence((self.random_seed, k)).generate_state(3)
        return int(state[0]), int(state[1]), int(state[2])

    def data(self, k: int) -> xr.Dataset:
        """The study of replication k."""
        return simulate(
            self.model,
            self.task,
            self.prior,
            n_subjects=self.n_subjects,
            covariates=self.covariates,
            random_seed=self.seeds(k)[0],
        )

    def fit(self, k: int, data: xr.Dataset) -> xr.DataTree:
        """The posterior of a study under the prior that it comes from."""
        with warnings.catch_warnings():
            # Whether it converged is kept with the replication.
            warnings.simplefilter("ignore", UserWarning)
            return fit_posterior(
                self.model,
                data,
                prior=self.prior,
                correlated=self.prior.lkj is not None,
                random_seed=self.seeds(k)[1],
                progress=False,
                **self.options,
            )

    def replicate(self, k: int) -> Row:
        """Simulate, fit and rank."""
        data = self.data(k)
        started = perf_counter()
        fit = self.fit(k, data)
        seconds = perf_counter() - started
        rng = np.random.default_rng(self.seeds(k)[2])
        names, truth, draws = population_and_truth(fit, data, self.prior)
        of_subjects, their_draws = _subjects(self.model, fit, data)
        n_subjects, n_parameters = of_subjects.shape
        shape = (n_subjects, n_parameters)
        ranked = rank_truths(of_subjects.ravel(), their_draws.reshape(len(their_draws), -1), rng)
        diagnostics = settings_of(fit)["diagnostics"]
        return {
            "seed": list(self.seeds(k)[:2]),
            "seconds": round(seconds, 3),
            "converged": diagnostics["converged"],
            "sentence": " ".join(diagnostics["sentences"]),
            "measures": {name: diagnostics.get(name) for name in MEASURES},
            "quantities": list(names),
            "population": _figures(truth, rank_truths(truth, draws, rng)),
            "subjects": {
                name: np.reshape(values, shape).tolist()
                for name, values in _figures(of_subjects.ravel(), ranked).items()
            },
        }


MEASURES = ("divergences", "max_rhat", "min_ess_bulk", "min_ess_tail", "max_k_hat", "max_shift")
"""Of a fit's diagnostics; None where a method has no such thing."""


def population_and_truth(
    fit: xr.DataTree, data: xr.Dataset, prior: Prior
) -> tuple[tuple[str, ...], FloatArray, FloatArray]:
    """Names, true values (Q,) and draws (N, Q) of a population's numbers and of the log-likelihood."""
    record = json.loads(data.attrs["simulation"])["population"]
    true, names = numbers_of(population_of(prior, record).expand_dims(chain=[0], draw=[0]))
    drawn, found = numbers_of(fit["population"].to_dataset())
    if names != found:
        raise ValueError(f"The simulated population has {names}, the fit {found}: they are not of one model.")
    chains, length = drawn.shape[:2]
    # Every draw stands for its neighbours where the likelihood is thinned, so that all columns have one length.
    kept = min(length, max(1, LIKELIHOOD_DRAWS // chains))
    likelihood = log_likelihood(fit, by="subject", draws=kept).sum("subject").values
    nearest = np.linspace(0, likelihood.shape[1] - 1, length).round().astype(np.int64)
    truth = log_likelihood(fit, by="subject", parameters=truth_of(data)).sum().item()
    both = np.concatenate([drawn, likelihood[:, nearest, None]], axis=2)
    return (*names, LOG_LIKELIHOOD), np.append(true.ravel(), truth), both.reshape(-1, both.shape[2])


def _subjects(model: Model, fit: xr.DataTree, data: xr.Dataset) -> tuple[FloatArray, FloatArray]:
    """True parameters (S, P) of the subjects, and draws (N, S, P)."""
    place = {"subjects": data["subject"].values.tolist(), "arms": data["arm"].values.tolist()}
    draws = gather(model, fit["posterior"].to_dataset()[list(model.names)], **place)
    return gather(model, truth_of(data), **place), draws.reshape(-1, *draws.shape[2:])


def _figures(truth: FloatArray, ranks: Ranks) -> dict[str, list[Any]]:
    return {"truth": truth.tolist(), "rank": ranks.rank.tolist(), "below": ranks.below.tolist()}
