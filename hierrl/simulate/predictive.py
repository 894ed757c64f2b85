"""`prior_predictive`: what a prior says of subjects, and of the behaviour that they would show."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from hierrl.models.model import Model
from hierrl.prior import Prior
from hierrl.simulate.run import Task, simulate, truth_of

MADE = ("choice", "reward", "best_arm")
"""What a simulated study has of its own."""


def prior_predictive(
    model: Model,
    task: Task,
    prior: Prior,
    *,
    n_subjects: int | None = None,
    covariates: Mapping[str, Any] | pd.DataFrame | None = None,
    draws: int = 100,
    random_seed: int | None = None,
) -> xr.DataTree:
    r"""Whole studies from a prior: populations, subjects who belong to them, and what they choose in a task.

    .. math:: \Gamma, \sigma \sim \text{prior}, \quad \text{link}(\theta_s) \sim N(x_s^\top \Gamma, \sigma^2), \quad
              y_s \sim \text{model}(\theta_s)

    A prior that expects what nobody would (all subjects at random, or nobody ever switching) shows here, before
    any data do.

    Parameters
    ----------
    model : Model
    task : Bandit, Decks or Recorded
        What is played: a description, or the schedule of recorded behaviour (``Bandit.recorded(data)``).
    prior : Prior
        From `weak_prior` or `empirical_prior`, changed at will.
    n_subjects : int, optional
        Subjects of a study, where the task doesn't say it.
    covariates : mapping or DataFrame, optional
        Name -> values by subject, as the prior's formula needs them.
    draws : int
        Number of studies.
    random_seed : int, optional
        The same seed gives the same studies.

    Returns
    -------
    DataTree
        ``prior``: the parameters of the subjects, dims (chain, draw, subject[, arm]), raw reward units.
        ``population``: ``mu`` (chain, draw, parameter, coefficient) and ``sigma`` (chain, draw, parameter[, group])
        on the link scale. ``prior_predictive``: ``choice`` (arm index, -1 = missed) and ``reward`` (chain, draw,
        trial), and ``best_arm`` where the task knows it. ``constant_data``: the task. There is one chain.

    Raises
    ------
    ValueError
        If prior, model and task don't fit together.

    Examples
    --------
    >>> import hierrl as hr
    >>> model, task = hr.model("rw"), hr.Bandit((0.8, 0.2), n_trials=50)
    >>> data = hr.simulate(model, task, {"alpha": 0.3, "beta": 4.0}, n_subjects=5, random_seed=1)
    >>> tree = hr.prior_predictive(model, task, hr.weak_prior(model, data), n_subjects=5, draws=20, random_seed=1)
    >>> tree["prior_predictive"]["choice"].shape, tree["prior"]["alpha"].dims
    ((1, 20, 250), ('chain', 'draw', 'subject'))
    """
    if draws < 1:
        raise ValueError(f"draws= must be at least 1; found {draws}.")
    rng = np.random.default_rng(random_seed)
    made = [
        simulate(model, task, prior, n_subjects=n_subjects, covariates=covariates, random_seed=child)
        for child in rng.spawn(draws)
    ]
    populations = [json.loads(study.attrs["simulation"])["population"] for study in made]
    outcomes = [name for name in MADE if name in made[0]]
    frame = made[0].drop_vars([*outcomes, "scored", *_truths(made[0])], errors="ignore")
    tree = {
        "prior": _stacked([truth_of(study, model) for study in made]),
        "population": _stacked([population_of(prior, one) for one in populations]),
        "prior_predictive": _stacked(
            [study[outcomes].drop_vars([*study.coords], errors="ignore") for study in made]
        ),
        "constant_data": frame.assign_attrs(simulation=""),
    }
    return xr.DataTree.from_dict(tree, name="prior_predictive")


def _truths(study: xr.Dataset) -> list[str]:
    return [str(name) for name in study.data_vars if str(name).startswith("true_")]


def _stacked(sets: list[xr.Dataset]) -> xr.Dataset:
    """Datasets of single draws as one with dims chain (of one) and draw."""
    stacked = xr.concat(sets, pd.RangeIndex(len(sets), name="draw"))
    return stacked.expand_dims(chain=[0]).transpose("chain", "draw", ...)


def population_of(prior: Prior, record: Mapping[str, Any]) -> xr.Dataset:
    """The population of one study, as the group of that name in a fit."""
    coefficients = list(dict.fromkeys(t.coefficient for t in prior.terms if t.role == "mu"))
    mu = [[record["mu"][label].get(name, np.nan) for name in coefficients] for label in prior.labels]
    coords = {
        "parameter": np.array(prior.labels, dtype=object),
        "coefficient": np.array(coefficients, dtype=object),
    }
    sigma: Any = [record["sigma"][label] for label in prior.labels]
    dims: tuple[str, ...] = ("parameter",)
    if prior.groups:
        sigma, dims = [[one[group] for group in prior.groups] for one in sigma], ("parameter", "group")
        coords["group"] = np.array(prior.groups, dtype=object)
    variables = {"mu": (("parameter", "coefficient"), mu), "sigma": (dims, sigma)}
    if "correlation" in record:
        variables["correlation"] = (("parameter", "parameter_2"), record["correlation"])
        coords["parameter_2"] = coords["parameter"]
    return xr.Dataset(variables, coords=coords)
