"""`recovery`: are parameters found again in a design? Simulate, fit, compare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from hierrl.models.given import check_model, whole_seed
from hierrl.models.model import Model
from hierrl.prior import Prior
from hierrl.replications.record import covariates_record, model_record, task_record, truth_record
from hierrl.replications.store import NUMBER, Row, in_batches
from hierrl.simulate import Bandit, Recorded, simulate
from hierrl.studies.designs import TOGETHER, batches, n_subjects_of, numbers_of, seeds_of, task_of
from hierrl.studies.estimates import Estimates, check_estimator, estimates_of
from hierrl.studies.recovered import Recovery, recovered
from hierrl.studies.truths import Truth, checked_truth, draw_truth

FIXED = ("random_seed", "progress", "start")
"""Arguments of `fit_*` that are not the user's here."""
NOT_RECORDED = ("cores",)
"""Arguments on which no estimate depends."""
FIGURES = (
    "truth", "estimate", "low", "high", "link_truth", "link_estimate", "link_se", "link_se_true", "at_bound",
)  # fmt: skip
"""By (subject, parameter), as a row keeps them."""


def recovery(
    model: Model,
    design: Bandit | Recorded | xr.Dataset,
    *,
    truth: Truth = None,
    estimator: str = "mle",
    n_subjects: int | None = None,
    covariates: Mapping[str, Any] | pd.DataFrame | None = None,
    replications: int | Iterable[int] = 10,
    file: str | Path | None = None,
    random_seed: int = 0,
    progress: bool = True,
    **options: Any,
) -> Recovery:
    r"""Parameter recovery: simulate data sets in a design, fit them, and compare estimates with the truth.

    For subjects s of simulated data sets with true values :math:`\theta_s` and estimates :math:`\hat\theta_s`, on the
    natural scale and on the link scale: the correlation of the two, bias :math:`\overline{\hat\theta - \theta}`, root
    mean square error, and the share of 95 % intervals that hold the truth. A rate can't be found where its weight is
    near 0, whatever the estimator: correlations are given over *informative* subjects as well, those whose standard
    error *at the true values* (from the curvature of their own likelihood) is at most the standard deviation of the
    true values, and weighted by :math:`1 / (\mathrm{sd}^2 + \mathrm{se}^2)`.

    Parameters
    ----------
    model : Model
    design : Bandit, Recorded or Dataset
        A task, with `n_subjects`; or recorded behaviour, whose schedule is played again by as many subjects.
    truth : Prior, DataTree, mapping or Dataset, optional
        Where true values come from, in raw reward units. A prior: for each data set a population is drawn, and subjects
        from it; the weak prior of the task if nothing is given. A fit: for each data set one of its draws (the
        estimates of a point fit), of the same subjects if the design has them, else of some of its subjects. A mapping:
        ``{"alpha": (0, 1), "beta": (0, 5)}``, where a tuple is a range that each subject's value is drawn from
        uniformly, and anything else is as `simulate` takes it.
    estimator : {"convex", "mle", "posterior"}
        Which fit is looked at. Point fits of many data sets are made at once.
    n_subjects : int, optional
        Of a data set, where the design doesn't say it.
    covariates : mapping or DataFrame, optional
        Name -> values by subject, as the formula of a prior needs them.
    replications : int or iterable of int
        How many data sets, or which.
    file : path, optional
        Where each data set's result is kept as soon as it is done (JSON lines). What it holds is not done again: an
        interrupted run goes on, and more replications are added.
    random_seed : int
        With the number of a data set it fixes truth, behaviour and fit, whatever else is done in the same run.
    progress : bool
        Show a progress bar.
    **options
        For the fit: ``method="marginal"``, ``draws=``, ``prior=``, ``formula=`` for a posterior, ``cores=`` for any.

    Returns
    -------
    Recovery
        ``table``: a row for each data set, subject and parameter; ``summary``: a row for each parameter and scale;
        ``text``: what it says, in words. `plot_recovery` draws it.

    Raises
    ------
    ValueError, TypeError
        If design, truth and model don't fit together, or `file` holds a run with other settings.

    Notes
    -----
    After Ctrl-C the data sets that are done are returned, with a warning.

    Examples
    --------
    >>> import hierrl as hr
    >>> task = hr.Bandit((0.8, 0.2), n_trials=100, reverse_every=25)
    >>> truth = {"alpha": (0.1, 0.9), "beta": (1.0, 8.0)}
    >>> found = hr.recovery(hr.model("rw"), task, truth=truth, n_subjects=20, replications=2, progress=False)
    >>> found.table.shape[0], found.summary["parameter"].tolist()
    (80, ['alpha', 'alpha', 'beta', 'beta'])
    """
    study = _Study.of(
        model,
        design,
        truth=truth,
        estimator=estimator,
        n_subjects=n_subjects,
        covariates=covariates,
        random_seed=random_seed,
        options=options,
    )
    together = 1 if estimator == "posterior" else TOGETHER
    settings = study.settings()
    rows = in_batches(
        study.replicate,
        batches(numbers_of(replications), study.n_subjects, together=together),
        settings=settings,
        file=file,
        progress=progress,
        description="Parameter recovery",
        keep=True,
    )
    return recovered(table_of(rows), settings, links=_links(model, rows))


@dataclass(frozen=True)
class _Study:
    """Data sets, and how they are fitted."""

    model: Model
    task: Bandit | Recorded
    truth: Prior | xr.DataTree | xr.Dataset | Mapping[str, Any]
    estimator: str
    n_subjects: int
    covariates: Mapping[str, Any] | pd.DataFrame | None
    random_seed: int
    options: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        model: Model,
        design: Any,
        *,
        truth: Truth,
        estimator: str,
        n_subjects: int | None,
        covariates: Mapping[str, Any] | pd.DataFrame | None,
        random_seed: int,
        options: Mapping[str, Any],
    ) -> _Study:
        """The study that was asked for, checked."""
        check_model(model)
        check_estimator(estimator)
        random_seed = whole_seed(random_seed)
        check_options(options)
        task = task_of(design)
        number = n_subjects_of(task, n_subjects)
        source = checked_truth(model, task, truth, n_subjects=number, covariates=covariates)
        return cls(model, task, source, estimator, number, covariates, random_seed, options)

    def settings(self) -> dict[str, Any]:
        """All that replications depend on."""
        return {
            "study": "recovery",
            "model": model_record(self.model),
            "task": task_record(self.task),
            "truth": truth_record(self.truth),
            "estimator": self.estimator,
            # Subjects of a data set share a population, or its estimate.
            "clusters": isinstance(self.truth, Prior) or self.estimator == "posterior",
            "n_subjects": self.n_subjects,
            "covariates": covariates_record(self.covariates),
            "random_seed": self.random_seed,
            "options": recordable(self.options),
            "version": version("hierrl"),
        }

    def data(self, k: int) -> xr.Dataset:
        """Data set k."""
        of_truth, of_behaviour, _ = seeds_of(self.random_seed, k, n=3)
        where = {"task": self.task, "n_subjects": self.n_subjects, "random_seed": of_truth}
        return simulate(
            self.model,
            self.task,
            draw_truth(self.model, self.truth, **where),
            n_subjects=None if isinstance(self.task, Recorded) else self.n_subjects,
            covariates=self.covariates,
            random_seed=of_behaviour,
        )

    def replicate(self, numbers: list[int]) -> list[Row]:
        """Simulate and fit some data sets."""
        seeds = [seeds_of(self.random_seed, k, n=3)[2] for k in numbers]
        sets = [self.data(k) for k in numbers]
        found = estimates_of(self.model, sets, estimator=self.estimator, seeds=seeds, options=self.options)
        return [_row(one) for one in found]


def check_options(options: Mapping[str, Any]) -> None:
    """Raise if a keyword of a fit is not to be chosen."""
    for name in FIXED:
        if name in options:
            raise TypeError(
                f"{name}= can't be chosen here: every data set has a fit of its own. Leave it out."
            )


def recordable(options: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords of a fit as JSON knows them."""
    return {
        name: truth_record(value) if isinstance(value, Prior) else value
        for name, value in options.items()
        if name not in NOT_RECORDED
    }


def _row(found: Estimates) -> Row:
    return {
        "subjects": found.subjects.tolist(),
        "labels": list(found.labels),
        "converged": found.converged.tolist(),
        **{name: getattr(found, name).tolist() for name in FIGURES},
    }


def table_of(rows: list[Row]) -> pd.DataFrame:
    """Rows of data sets as a table by data set, subject and parameter."""
    tables = []
    for row in rows:
        s, p = len(row["subjects"]), len(row["labels"])
        columns = {
            "data_set": np.full(s * p, row[NUMBER]),
            "subject": np.repeat(np.array(row["subjects"]), p),
            "parameter": np.tile(np.array(row["labels"], dtype=object), s),
            **{name: np.reshape(row[name], s * p) for name in FIGURES},
            "converged": np.repeat(row["converged"], p),
        }
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def _links(model: Model, rows: list[Row]) -> dict[str, str]:
    """Link of each scalar by its label."""
    return {label: model.parameter(label.partition("[")[0]).link for label in rows[0]["labels"]}
