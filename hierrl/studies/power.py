"""`power`: how many subjects and trials a difference needs to be seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from hierrl.models.given import check_model, whole_seed
from hierrl.models.model import Model
from hierrl.replications.record import model_record, task_record
from hierrl.replications.store import Row, in_batches
from hierrl.simulate import Bandit, Recorded, simulate
from hierrl.studies.designs import (
    TOGETHER,
    batches,
    chosen_subjects,
    numbers_of,
    seeds_of,
    task_of,
    with_trials,
)
from hierrl.studies.detection import row_of_posterior, rows_of_points
from hierrl.studies.effects import Centre, Effect, centre_of, draw_study, effect_of, on_link
from hierrl.studies.estimates import check_estimator
from hierrl.studies.powered import Power, powered
from hierrl.studies.recovery import check_options, recordable

FEWEST = 4
"""Subjects of a study: two in each group."""
NO_TRIALS = 0
"""In keys: trials as the design has them."""


def power(
    model: Model,
    design: Bandit | Recorded | xr.Dataset,
    effect: Mapping[str, Any],
    *,
    population: Any,
    kind: str = "group",
    scale: str = "link",
    n_subjects: int | Sequence[int] = (20, 40, 80),
    n_trials: int | Sequence[int] | None = None,
    estimator: str = "mle",
    alpha: float = 0.05,
    replications: int | Iterable[int] = 200,
    file: str | Path | None = None,
    random_seed: int = 0,
    progress: bool = True,
    **options: Any,
) -> Power:
    r"""Power of a design: how often an effect in a parameter is detected, by numbers of subjects and trials.

    Studies are simulated from a population in which two groups differ in one parameter, or the parameter correlates
    with a covariate; they are fitted and tested as a user would; power is the share in which the test detects the
    effect. The same is done without an effect: the share of false alarms (type-I error) tells whether the test keeps
    its promise. Studies of one number are the same but for the effect.

    *Point fits* (``"mle"``, ``"convex"``) are tested with Welch's t-test and the Mann-Whitney test (correlation:
    Pearson and Spearman) on the estimates on the link scale. These estimates are not shrunken, so the tests are honest,
    but the noise of uninformative subjects counts fully, and extreme estimates cost the t-test power. The *posterior*
    (hierarchical, with the effect in its formula) weighs subjects by what they tell; it detects an effect if the
    central interval of its coefficient, 1 - `alpha` wide, leaves out 0. Never shrink first and test then.

    Parameters
    ----------
    model : Model
        Without parameters per arm.
    design : Bandit, Recorded or Dataset
        A task; or recorded behaviour, of whose subjects (with their schedules) each study takes as many as it needs, at
        random, repeatedly if it needs more.
    effect : mapping
        One parameter with the size of its effect, or several sizes: ``{"alpha": (0.4, 0.8)}``. For groups the
        difference B - A: of population means on the link scale (``scale="link"``: log odds ratio of rates, log ratio of
        weights), or of medians (``scale="natural"``). For a correlation, that of the link-scale values with a score.
    population : mapping, Prior or DataTree
        Group A, or everybody. By parameter the median (natural scale, raw reward units) and the standard deviation
        between subjects on the link scale: ``{"alpha": (0.3, 1.0), "beta": (4.0, 0.5)}``; the middle of a prior; the
        population of a posterior; or medians and spreads (from quartiles) of point estimates, which estimation noise
        makes too wide.
    kind : {"group", "correlation"}
    scale : {"link", "natural"}
    n_subjects : int or sequence of int
        Subjects of a study, of both groups together.
    n_trials : int or sequence of int, optional
        Trials of a session (a task), or of each subject from the first on (recorded behaviour); as the design says if
        not given.
    estimator : {"mle", "convex", "posterior"}
        ``"posterior"`` takes seconds for each study; ``method="marginal"`` unless given.
    alpha : float
        Level of the tests, two-sided.
    replications, file, random_seed, progress
        As for `recovery`; `replications` studies for each number of subjects, of trials, and size of the effect. A file
        takes further numbers and sizes.
    **options
        For the fit.

    Returns
    -------
    Power
        ``table`` with power and type-I error and their 95 % binomial intervals, ``needed()``, ``text``. `plot_power`
        draws it.

    Raises
    ------
    ValueError, TypeError
        If effect, population, design and model don't fit together, or `file` holds a run with other settings.

    Notes
    -----
    After Ctrl-C what is done is returned, with a warning.

    Examples
    --------
    >>> import hierrl as hr
    >>> task = hr.Bandit((0.8, 0.2), n_trials=100, reverse_every=25)
    >>> population = {"alpha": (0.3, 0.8), "beta": (4.0, 0.4)}
    >>> found = hr.power(hr.model("rw"), task, {"alpha": 1.5}, population=population, n_subjects=(10, 20),
    ...                  replications=10, progress=False)
    >>> found.table[["n_subjects", "test", "effect"]].shape
    (4, 3)
    """
    check_model(model)
    study = _Study.of(
        model,
        design,
        effect_of(model, effect, kind=kind, scale=scale),
        population=population,
        estimator=estimator,
        alpha=alpha,
        random_seed=random_seed,
        options=options,
    )
    cells = study.cells(n_subjects, n_trials)
    numbers = numbers_of(replications)
    together = 1 if estimator == "posterior" else TOGETHER
    keys = [
        batch
        for cell in cells
        for batch in batches([_key(cell, k) for k in numbers], cell.n_subjects, together=together)
    ]
    settings = study.settings()
    rows = in_batches(
        study.replicate,
        keys,
        settings=settings,
        file=file,
        progress=progress,
        description="Power",
        keep=True,
    )
    return powered(rows, cells, alpha=alpha, settings=settings)


class Cell(NamedTuple):
    """Studies that differ in their number only."""

    n_subjects: int
    n_trials: int | None
    size: float

    @property
    def name(self) -> str:
        """What the keys of its replications begin with."""
        return f"{self.n_subjects}x{self.n_trials or NO_TRIALS}x{self.size!r}"


def _key(cell: Cell, k: int) -> str:
    return f"{cell.name}:{k}"


def _parts(key: str) -> tuple[Cell, int]:
    name, _, number = key.partition(":")
    n_subjects, n_trials, size = name.split("x")
    return Cell(int(n_subjects), int(n_trials) or None, float(size)), int(number)


@dataclass(frozen=True)
class _Study:
    """Studies with an effect, and how it is looked for."""

    model: Model
    task: Bandit | Recorded
    effect: Effect
    centre: Centre
    estimator: str
    alpha: float
    random_seed: int
    options: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        model: Model,
        design: Any,
        effect: Effect,
        *,
        population: Any,
        estimator: str,
        alpha: float,
        random_seed: int,
        options: Mapping[str, Any],
    ) -> _Study:
        """The study that was asked for, checked."""
        check_estimator(estimator)
        random_seed = whole_seed(random_seed)
        check_options(options)
        if not 0 < alpha < 1:
            raise ValueError(f"alpha= is the level of the test, between 0 and 1; found {alpha!r}.")
        centre = centre_of(model, population)
        for size in effect.sizes:
            on_link(centre, effect, size)
        return cls(model, task_of(design), effect, centre, estimator, alpha, random_seed, options)

    def cells(self, n_subjects: Any, n_trials: Any) -> list[Cell]:
        """All numbers of subjects and trials with all sizes of the effect, and with none."""
        subjects = [int(n) for n in np.atleast_1d(n_subjects)]
        trials = [None] if n_trials is None else [int(n) for n in np.atleast_1d(n_trials)]
        if not subjects or min(subjects) < FEWEST:
            raise ValueError(f"n_subjects= must be at least {FEWEST}; found {n_subjects!r}.")
        if isinstance(self.task, Bandit) and self.task.size is not None:
            raise ValueError(
                "The task has a number of trials for each subject, and power varies the number of subjects: give "
                "n_trials= as one number or a range."
            )
        for n in trials:
            if n is not None:
                with_trials(self.task, n)  # says what is wrong with it
        return [Cell(*cell) for cell in product(subjects, trials, (0.0, *self.effect.sizes))]

    def settings(self) -> dict[str, Any]:
        """All that replications depend on but for what their keys say."""
        return {
            "study": "power",
            "model": model_record(self.model),
            "task": task_record(self.task),
            "population": self.centre.record(),
            "effect": self.effect.record(),
            "estimator": self.estimator,
            # The tests give p-values, the posterior an interval of this level.
            "alpha": self.alpha if self.estimator == "posterior" else None,
            "random_seed": self.random_seed,
            "options": recordable(self.options),
            "version": version("hierrl"),
        }

    def data(self, cell: Cell, k: int) -> xr.Dataset:
        """Study k of a cell: the same subjects and luck whatever the effect."""
        of_truth, of_task, of_behaviour = seeds_of(
            self.random_seed, cell.n_subjects, cell.n_trials or NO_TRIALS, k, n=3
        )
        values, covariates = draw_study(
            self.centre,
            self.effect,
            cell.size,
            n_subjects=cell.n_subjects,
            rng=np.random.default_rng(of_truth),
        )
        task = self._task(cell, np.random.default_rng(of_task))
        return simulate(
            self.model,
            task,
            values,
            n_subjects=cell.n_subjects,
            covariates=covariates,
            random_seed=of_behaviour,
        )

    def _task(self, cell: Cell, rng: np.random.Generator) -> Bandit | Recorded:
        """The task with so many trials; recorded schedules of so many subjects."""
        if isinstance(self.task, Bandit):
            return self.task if cell.n_trials is None else with_trials(self.task, cell.n_trials)
        there = self.task.size
        some = rng.choice(there, cell.n_subjects, replace=cell.n_subjects > there)
        return Recorded(chosen_subjects(self.task.data, some.tolist(), cell.n_trials), by=self.task.by)

    def replicate(self, keys: list[str]) -> list[Row]:
        """Simulate some studies, fit and test them."""
        sets = [self.data(*_parts(key)) for key in keys]
        how = {"options": self.options}
        if self.estimator != "posterior":
            return rows_of_points(self.model, sets, self.effect, estimator=self.estimator, **how)
        rows = []
        for key, data in zip(keys, sets, strict=True):
            cell, k = _parts(key)
            seed = seeds_of(self.random_seed, cell.n_subjects, cell.n_trials or NO_TRIALS, k, n=4)[3]
            rows.append(row_of_posterior(self.model, data, self.effect, alpha=self.alpha, seed=seed, **how))
        return rows
