"""The study that ships with the package: simulated, with known truth; and how well fits find it.

Two groups of people play a reversal task in two sessions of unequal length and miss some trials. Patients
learn more slowly than controls: their ``alpha`` is lower on the link scale. ``hierrl demo`` fits it as it
would fit real data.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import expit

from hierrl.models import Model, model
from hierrl.simulate import Bandit, simulate, truth_of

MODEL = "forgetting_q"
PER_GROUP = 20
FORMULA = {"alpha": "1 + group"}
TASK = Bandit(
    (0.8, 0.2), n_trials=range(50, 71), n_sessions=2, reverse_every=20, missed=0.03, arms=("blue", "orange")
)
SEED = 3
PLACE = ["quantity", "parameter", "of"]
"""The columns that say which number of the population a row is about."""

LOGIT_ALPHA = {"control": 0.0, "patient": -1.2}
"""True means of the groups: a typical control has an alpha of .50, a typical patient one of .23."""
LOG_BETA = 1.4
"""True mean of both groups: a typical beta is 4.1."""
SPREAD_ALPHA, SPREAD_BETA = 0.7, 0.4
"""True standard deviations between subjects of logit alpha and log beta."""


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
    group = np.repeat(list(LOGIT_ALPHA), per_group)
    mean = np.array([LOGIT_ALPHA[name] for name in group])
    logit_alpha = mean + SPREAD_ALPHA * rng.standard_normal(group.size)
    log_beta = LOG_BETA + SPREAD_BETA * rng.standard_normal(group.size)
    parameters = {"alpha": expit(logit_alpha), "beta": np.exp(log_beta)}
    return simulate(demo_model(), TASK, parameters, covariates={"group": group}, random_seed=rng)


def demo_model() -> Model:
    """The model that the study was simulated with."""
    return model(MODEL)


def true_population() -> pd.DataFrame:
    """What the study was drawn from: ``what`` in words, where `population_table` has it, and ``truth``."""
    rows = [
        ("alpha of a typical control", "median", "alpha", "group=control", expit(LOGIT_ALPHA["control"])),
        ("alpha of a typical patient", "median", "alpha", "group=patient", expit(LOGIT_ALPHA["patient"])),
        ("patients minus controls, logit alpha", "mu", "alpha", "group[patient]", LOGIT_ALPHA["patient"]),
        ("beta of a typical subject", "median", "beta", "group=control", np.exp(LOG_BETA)),
        ("spread of logit alpha", "sigma", "alpha", "", SPREAD_ALPHA),
        ("spread of log beta", "sigma", "beta", "", SPREAD_BETA),
    ]
    return pd.DataFrame(rows, columns=["what", *PLACE, "truth"])


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
            estimate = np.asarray(fit["posterior"][str(name)].mean(("chain", "draw")))
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
            ``what``, ``quantity``, ``parameter``, ``of``, ``truth``, ``estimate``, ``eti95_low``, ``eti95_high``
        and ``inside``: whether the truth lies in the interval.
    """
    columns = [*PLACE, "estimate", "eti95_low", "eti95_high"]
    both = true_population().merge(population[columns], on=PLACE, how="left", validate="one_to_one")
    both["inside"] = both["truth"].between(both["eti95_low"], both["eti95_high"])
    return both
