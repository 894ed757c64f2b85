"""The study that ships with the package: simulated, with known truth; and how well fits find it.

Two groups of people play a reversal task in two sessions of unequal length and miss some trials. Patients
learn more slowly than controls: their ``alpha`` is lower on the link scale. ``hierrl demo`` fits it as it
would fit real data.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from hierrl.models import Model, model
from hierrl.simulate import Bandit, simulate, truth_of

FloatArray = npt.NDArray[np.float64]

MODEL = "forgetting_q"
GROUPS = ("control", "patient")
PER_GROUP = 20
FORMULA = {"alpha": "1 + group"}
TASK = Bandit(
    (0.8, 0.2), n_trials=range(70, 101), n_sessions=2, reverse_every=20, missed=0.03, arms=("blue", "orange")
)
SEED = 1

POPULATION = {
    ("mu", "alpha", "Intercept"): 0.0,
    ("mu", "alpha", "group[patient]"): -1.2,
    ("mu", "beta", "Intercept"): 1.4,
    ("sigma", "alpha", ""): 0.7,
    ("sigma", "beta", ""): 0.4,
}
"""The true population on the link scale (logit of alpha, logarithm of beta): controls have a median alpha
of .50, patients of .23; both a median beta of about 4."""


def demo_study(*, per_group: int = PER_GROUP, random_seed: int = SEED) -> xr.Dataset:
    """Simulate the study.

    Parameters
    ----------
    per_group : int
        Subjects in each of the two groups.
    random_seed : int
        The same seed gives the same study.

    Returns
    -------
    Dataset
        As from `hr.behaviour`, with the covariate ``group`` and the true parameters ``true_alpha`` and
        ``true_beta`` by subject.

    Examples
    --------
    >>> from hierrl.demo import demo_study
    >>> demo_study()["group"].values[[0, -1]].tolist()
    ['control', 'patient']
    """
    rng = np.random.default_rng(random_seed)
    group = np.repeat(GROUPS, per_group)
    truth = POPULATION
    shift = np.where(group == GROUPS[1], truth["mu", "alpha", f"group[{GROUPS[1]}]"], 0.0)
    noise = rng.standard_normal((2, group.size))
    logit_alpha = truth["mu", "alpha", "Intercept"] + shift + truth["sigma", "alpha", ""] * noise[0]
    log_beta = truth["mu", "beta", "Intercept"] + truth["sigma", "beta", ""] * noise[1]
    parameters = {"alpha": 1 / (1 + np.exp(-logit_alpha)), "beta": np.exp(log_beta)}
    return simulate(demo_model(), TASK, parameters, covariates={"group": group}, random_seed=rng)


def demo_model() -> Model:
    """The model that the study was simulated with."""
    return model(MODEL)


def subject_recovery(fits: Mapping[str, xr.DataTree], data: xr.Dataset) -> pd.DataFrame:
    """How near estimates come to the truth, by parameter and fit.

    Parameters
    ----------
    fits : mapping of str to DataTree
        Fits of the simulated study.
    data : Dataset
        The study, with its truth.

    Returns
    -------
    DataFrame
        ``parameter``, ``fit``, ``correlation`` of estimates with true values over subjects, and ``error``,
        the root mean square difference on the natural scale.
    """
    truth = truth_of(data)
    rows = []
    for name in truth.data_vars:
        true = truth[name].values
        for label, fit in fits.items():
            estimate = fit["posterior"][name].mean(("chain", "draw")).values
            error = float(np.sqrt(np.mean((estimate - true) ** 2)))
            rows.append((str(name), label, float(np.corrcoef(true, estimate)[0, 1]), error))
    return pd.DataFrame(rows, columns=["parameter", "fit", "correlation", "error"])


def population_recovery(population: pd.DataFrame) -> pd.DataFrame:
    """The true population beside its posterior.

    Parameters
    ----------
    population : DataFrame
        From `population_table`, of a posterior of this study with `FORMULA`.

    Returns
    -------
    DataFrame
        ``quantity``, ``parameter``, ``of``, ``truth``, ``estimate``, ``eti95_low``, ``eti95_high``,
        ``inside``.
    """
    index = pd.MultiIndex.from_tuples(list(POPULATION), names=["quantity", "parameter", "of"])
    truth = pd.DataFrame({"truth": list(POPULATION.values())}, index=index).reset_index()
    columns = ["quantity", "parameter", "of", "estimate", "eti95_low", "eti95_high"]
    both = truth.merge(
        population[columns], on=["quantity", "parameter", "of"], how="left", validate="one_to_one"
    )
    both["inside"] = both["truth"].between(both["eti95_low"], both["eti95_high"])
    return both
