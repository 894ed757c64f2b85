"""`calibrate`: simulation-based calibration of a posterior."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from hierrl.calibration.judge import coverage_of, ecdf_band
from hierrl.calibration.replicate import MEASURES, Study
from hierrl.models.given import check_model, whole_seed
from hierrl.models.model import Model
from hierrl.prior import Prior
from hierrl.replications.priors import weak_prior_of_task
from hierrl.replications.record import covariates_record, model_record, task_record
from hierrl.replications.store import NUMBER, Row, replicated
from hierrl.simulate import Bandit, Recorded

REPLICATIONS = 200
FIXED = ("prior", "correlated", "random_seed", "progress", "log_likelihood", "formula", "spread_by")
"""Arguments of `fit_posterior` that are not the user's here: they follow from the prior, or from the replication."""
NOT_RECORDED = ("cores",)
"""Arguments on which no draw depends."""


def calibrate(
    model: Model,
    task: Bandit | Recorded,
    *,
    prior: Prior | None = None,
    n_subjects: int | None = None,
    covariates: Mapping[str, Any] | pd.DataFrame | None = None,
    replications: int | Iterable[int] = REPLICATIONS,
    file: str | Path | None = None,
    random_seed: int = 0,
    progress: bool = True,
    **options: Any,
) -> xr.DataTree:
    r"""Check that posteriors of a model in a design are right: simulation-based calibration.

    Each replication draws a population from the prior, subjects from the population, and behaviour from the model in
    the task; fits the posterior under the same prior; and ranks every true value among draws of it:

    .. math:: \tilde\phi \sim p(\phi), \quad \tilde y \sim p(y \mid \tilde\phi), \quad
              \phi_1, ..., \phi_{99} \sim p(\phi \mid \tilde y), \quad r = \#\{l : \phi_l < \tilde\phi\}

    If model, likelihood, sampler and simulator are right and agree, ranks are uniform on 0 ... 99, whatever the prior
    and however few the data (Talts et al. 2018). Ranked are the numbers of the population, the parameters of the
    subjects, and the log-likelihood, which sees errors that no parameter sees alone (Modrák et al. 2023).

    Parameters
    ----------
    model : Model
    task : Bandit or Recorded
        What is played: a description, or the schedule of recorded behaviour (``Bandit.recorded(data)``).
    prior : Prior, optional
        What truths are drawn from and what is fitted under; the weak prior if not given. (Not the empirical one: it
        depends on the data, and no truth is drawn from it.)
    n_subjects : int, optional
        Of a study, where the task doesn't say it.
    covariates : mapping or DataFrame, optional
        Name -> values by subject, as the prior's formula needs them.
    replications : int or iterable of int
        How many, or which: ``[17]`` repeats number 17 alone.
    file : path, optional
        Where each replication is kept as soon as it is done (JSON lines). What it holds is not done again: an
        interrupted run goes on, and more replications are added to it.
    random_seed : int
        With the number of a replication it fixes study, fit and ties.
    progress : bool
        Show a progress bar.
    **options
        For `fit_posterior`: ``method``, ``draws``, ``chains``, ``parametrization``, ...

    Returns
    -------
    DataTree
        ``runs`` by ``replication``: ``converged``, ``sentence`` (what the fit says of it), ``seconds``,
        ``seed_data``, ``seed_fit``, ``divergences``, ``max_rhat``, ``min_ess_bulk``, ``min_ess_tail``, ``max_k_hat``,
        ``max_shift`` (NaN where the method has none). ``population`` by (replication, quantity) and ``subjects`` by
        (replication, subject, parameter): ``truth`` (raw reward units; population on the link scale), ``rank``
        (0 ... 99), ``below`` (share of all draws below the truth). ``summary`` by ``quantity``: ``coverage`` of
        central intervals with ``low`` and ``high`` (95 % confidence) by ``interval``, ``p_uniform`` of the ranks,
        and ``outside``, whether their distribution leaves its simultaneous 95 % band; ``bands`` by (quantity, x): the
        distribution minus the uniform one, ``difference``, and the band, ``low`` and ``high``.
        Replications that did not converge are among all of this; leave them out with
        ``result["population"].sel(replication=result["runs"]["converged"])``, which keeps ranks uniform, since
        convergence is a matter of the data and not of the truth. `plot_calibration` draws it.

    Raises
    ------
    ValueError
        If prior, model and task don't fit together, or `file` holds a run with other settings.
    TypeError
        If an option is not `fit_posterior`'s, or not to be chosen here.

    Examples
    --------
    >>> import hierrl as hr
    >>> task = hr.Bandit((0.8, 0.2), n_trials=100, reverse_every=25)
    >>> result = hr.calibrate(hr.model("rw"), task, n_subjects=20, method="marginal", file="rw.jsonl")  # doctest: +SKIP
    >>> result["summary"].to_dataframe()  # doctest: +SKIP
    >>> hr.plot_calibration(result).savefig("calibration.pdf")  # doctest: +SKIP
    """
    check_model(model)
    random_seed = whole_seed(random_seed)
    _check_options(options)
    if prior is None:
        prior = weak_prior_of_task(model, task, n_subjects=n_subjects, covariates=covariates)
    study = Study(model, task, prior, n_subjects, covariates, random_seed, options)
    numbers = range(replications) if isinstance(replications, int) else list(replications)
    if len(numbers) < 1:
        raise ValueError(f"replications={replications!r}: at least one is needed.")
    settings = settings_of_study(study)
    rows = replicated(
        study.replicate,
        numbers,
        settings=settings,
        file=file,
        progress=progress,
        description="Calibration",
    )
    return collect(rows, study, settings)


def settings_of_study(study: Study) -> dict[str, Any]:
    """All that replications depend on, as JSON knows it."""
    return {
        "model": model_record(study.model),
        "task": task_record(study.task),
        "prior": json.loads(study.prior.to_json()),
        "n_subjects": study.n_subjects,
        "covariates": covariates_record(study.covariates),
        "random_seed": study.random_seed,
        "options": {name: value for name, value in study.options.items() if name not in NOT_RECORDED},
        "version": version("hierrl"),
    }


def collect(rows: list[Row], study: Study, settings: Mapping[str, Any]) -> xr.DataTree:
    """Rows of replications as the result, with its summary."""
    numbers = [row[NUMBER] for row in rows]
    measures = {
        name: ("replication", np.array([row["measures"][name] for row in rows], dtype=float))
        for name in MEASURES
    }
    runs = xr.Dataset(
        {
            "converged": ("replication", [row["converged"] for row in rows]),
            "sentence": ("replication", np.array([row["sentence"] for row in rows], dtype=object)),
            "seconds": ("replication", [row["seconds"] for row in rows]),
            "seed_data": ("replication", [row["seed"][0] for row in rows]),
            "seed_fit": ("replication", [row["seed"][1] for row in rows]),
            **measures,
        },
        {"replication": numbers},
    )
    of_population = ("replication", "quantity")
    population = xr.Dataset(
        {name: (of_population, [row["population"][name] for row in rows]) for name in rows[0]["population"]},
        {"replication": numbers, "quantity": np.array(rows[0]["quantities"], dtype=object)},
    )
    data = study.data(numbers[0])
    labels = study.model.labels(data["arm"].values.tolist())
    of_subjects = ("replication", "subject", "parameter")
    subjects = xr.Dataset(
        {name: (of_subjects, [row["subjects"][name] for row in rows]) for name in rows[0]["subjects"]},
        {
            "replication": numbers,
            "subject": data["subject"].values,
            "parameter": np.array(labels, dtype=object),
        },
    )
    tree = {"runs": runs, "population": population, "subjects": subjects}
    tree["summary"], tree["bands"] = summary_of(population, subjects)
    result = xr.DataTree.from_dict(tree, name="calibration")
    result.attrs["settings"] = json.dumps(dict(settings))
    return result


def summary_of(population: xr.Dataset, subjects: xr.Dataset) -> tuple[xr.Dataset, xr.Dataset]:
    """Coverage and uniformity of every quantity, each parameter's subjects together; distributions of their ranks."""
    ranked = {name: population.sel(quantity=name) for name in population["quantity"].values}
    for name in subjects["parameter"].values:
        ranked[f"{name} of subjects"] = subjects.sel(parameter=name).transpose("replication", "subject")
    index = pd.Index(list(ranked), name="quantity", dtype=object)
    coverage = xr.concat([coverage_of(one["below"]) for one in ranked.values()], index)
    bands = [ecdf_band(one["rank"]) for one in ranked.values()]
    judged = {name: ("quantity", [band.attrs[name] for band in bands]) for name in ("p_uniform", "outside")}
    return coverage.assign(judged), xr.concat(bands, index, combine_attrs="drop")


def _check_options(options: Mapping[str, Any]) -> None:
    for name in FIXED:
        if name in options:
            raise TypeError(
                f"{name}= can't be chosen in a calibration: it follows from prior= and random_seed=. Leave it out."
            )
