"""`confusion`: are models told apart in a design? Simulate from each, fit all, see which one wins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import xarray as xr

from hierrl.models.given import whole_seed
from hierrl.models.model import Model
from hierrl.prior import Prior
from hierrl.replications.record import model_record, task_record, truth_record
from hierrl.replications.store import NUMBER, Row, in_batches
from hierrl.simulate import Bandit, Recorded, simulate
from hierrl.studies.confused import Confusion, confused
from hierrl.studies.designs import TOGETHER, batches, n_subjects_of, numbers_of, seeds_of, task_of
from hierrl.studies.evidence import check_criteria, scores_of
from hierrl.studies.recovery import check_options, recordable
from hierrl.studies.truths import Truth, checked_truth, draw_truth

POINT = ("mle", "convex")


def confusion(
    models: Mapping[str, Model],
    design: Bandit | Recorded | xr.Dataset,
    *,
    truth: Mapping[str, Truth] | None = None,
    criteria: Sequence[str] = ("aic", "bic"),
    last: float | None = None,
    estimator: str = "mle",
    n_subjects: int | None = None,
    replications: int | Iterable[int] = 10,
    file: str | Path | None = None,
    random_seed: int = 0,
    progress: bool = True,
    **options: Any,
) -> Confusion:
    r"""Model recovery: which model fits best, by the model that generated the data.

    From each model data sets are simulated; all models are fitted to each, and scored for every subject. The confusion
    matrix is P(best | generating). The inversion matrix is P(generating | best), what a reader wants to know who sees a
    winner; here all models generate equally often (Wilson & Collins 2019):

    .. math:: P(g \mid b) = P(b \mid g) / \textstyle\sum_{g'} P(b \mid g')

    A winner is chosen for each subject, and for each data set by the sum over its subjects.

    Parameters
    ----------
    models : mapping of str to Model
        Two or more.
    design : Bandit, Recorded or Dataset
        A task, with `n_subjects`; or recorded behaviour, whose schedule is played again by as many subjects.
    truth : mapping of str to truth, optional
        Model -> where its true values come from, as for `recovery`; the weak prior for models that are not named.
    criteria : sequence of {"aic", "bic", "laplace", "held_out"}
        What decides: information criteria, with k parameters and n scored trials
        (:math:`2k - 2\ell` and :math:`k \log n - 2\ell`); Laplace's approximation of the evidence under the weak prior;
        log-likelihood of the `last` trials after a fit to the others.
    last : float, optional
        Share of each subject's trials that ``"held_out"`` scores.
    estimator : {"mle", "convex"}
        ``"convex"`` is several times faster for models with signed weights or several rates, but no maximum: models
        whose relaxation is loose are at a disadvantage.
    n_subjects, replications, file, random_seed, progress
        As for `recovery`; `replications` data sets are simulated from each model.
    **options
        For the fit: ``cores=``.

    Returns
    -------
    Confusion
        ``table`` with counts, shares and 95 % intervals, ``matrix()`` and ``inversion()`` as tables, ``text``.
        `plot_confusion` draws it.

    Raises
    ------
    ValueError, TypeError
        If models, design and truth don't fit together, or `file` holds a run with other settings.

    Notes
    -----
    After Ctrl-C those data sets that are done for every generating model are returned, with a warning.

    Examples
    --------
    >>> import hierrl as hr
    >>> models = {name: hr.model(name) for name in ("rw", "forgetting_q")}
    >>> task = hr.Bandit((0.8, 0.2), n_trials=100, reverse_every=25)
    >>> found = hr.confusion(models, task, n_subjects=10, replications=2, progress=False)
    >>> found.matrix("bic").shape
    (2, 2)
    """
    criteria = check_criteria(criteria, last)
    study = _Study.of(
        models,
        design,
        truth=truth or {},
        criteria=criteria,
        last=last,
        estimator=estimator,
        n_subjects=n_subjects,
        random_seed=random_seed,
        options=options,
    )
    numbers = numbers_of(replications)
    chunks = batches(numbers, study.n_subjects, together=TOGETHER)
    keys = [[_key(name, k) for k in chunk] for chunk in chunks for name in models]
    settings = study.settings()
    rows = in_batches(
        study.replicate,
        keys,
        settings=settings,
        file=file,
        progress=progress,
        description="Model recovery",
        keep=True,
    )
    return confused(_complete(rows, list(models)), settings)


@dataclass(frozen=True)
class _Study:
    """Data sets of several models, and how they are scored."""

    models: Mapping[str, Model]
    task: Bandit | Recorded
    truth: Mapping[str, Any]
    criteria: Sequence[str]
    last: float | None
    estimator: str
    n_subjects: int
    random_seed: int
    options: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        models: Mapping[str, Model],
        design: Any,
        *,
        truth: Mapping[str, Truth],
        criteria: Sequence[str],
        last: float | None,
        estimator: str,
        n_subjects: int | None,
        random_seed: int,
        options: Mapping[str, Any],
    ) -> _Study:
        """The study that was asked for, checked."""
        _check_models(models, truth)
        check_options(options)
        random_seed = whole_seed(random_seed)
        if estimator not in POINT:
            raise ValueError(
                f"estimator={estimator!r} is not one of {POINT}: models are compared by point fits."
            )
        task = task_of(design)
        number = n_subjects_of(task, n_subjects)
        sources = {
            name: checked_truth(model, task, truth.get(name), n_subjects=number, covariates=None)
            for name, model in models.items()
        }
        return cls(dict(models), task, sources, criteria, last, estimator, number, random_seed, options)

    def settings(self) -> dict[str, Any]:
        """All that replications depend on."""
        return {
            "study": "confusion",
            "models": {name: model_record(model) for name, model in self.models.items()},
            "task": task_record(self.task),
            "truth": {name: truth_record(truth) for name, truth in self.truth.items()},
            "clusters": any(isinstance(truth, Prior) for truth in self.truth.values()),
            "criteria": list(self.criteria),
            "last": self.last,
            "estimator": self.estimator,
            "n_subjects": self.n_subjects,
            "random_seed": self.random_seed,
            "options": recordable(self.options),
            "version": version("hierrl"),
        }

    def data(self, name: str, k: int) -> xr.Dataset:
        """Data set k of a model."""
        place = list(self.models).index(name)
        of_truth, of_behaviour = seeds_of(self.random_seed, place, k, n=2)
        model = self.models[name]
        where = {"task": self.task, "n_subjects": self.n_subjects, "random_seed": of_truth}
        return simulate(
            model,
            self.task,
            draw_truth(model, self.truth[name], **where),
            n_subjects=None if isinstance(self.task, Recorded) else self.n_subjects,
            random_seed=of_behaviour,
        )

    def replicate(self, keys: list[str]) -> list[Row]:
        """Simulate some data sets and score all models on them."""
        sets = [_bare(self.data(*_parts(key))) for key in keys]
        how = {"criteria": self.criteria, "last": self.last, "estimator": self.estimator}
        scores = {
            name: scores_of(model, sets, **how, options=self.options) for name, model in self.models.items()
        }
        return [
            {
                "scores": {
                    criterion: {name: found[criterion][k].tolist() for name, found in scores.items()}
                    for criterion in self.criteria
                }
            }
            for k in range(len(sets))
        ]


def _key(name: str, k: int) -> str:
    return f"{k}:{name}"


def _parts(key: str) -> tuple[str, int]:
    number, _, name = key.partition(":")
    return name, int(number)


def _bare(data: xr.Dataset) -> xr.Dataset:
    """Without true values, which differ between models and must not reach a fit."""
    return data.drop_vars([name for name in map(str, data.data_vars) if name.startswith("true_")])


def _complete(rows: list[Row], names: Sequence[str]) -> dict[tuple[str, int], dict[str, Any]]:
    """Scores by generating model and data set, of those data sets that are done for every model."""
    found = {_parts(row[NUMBER]): row["scores"] for row in rows}
    numbers = list(dict.fromkeys(k for _, k in found))
    whole = [k for k in numbers if all((name, k) in found for name in names)]
    if not whole:
        raise KeyboardInterrupt
    return {(name, k): found[name, k] for name in names for k in whole}


def _check_models(models: Mapping[str, Model], truth: Mapping[str, Any]) -> None:
    if not isinstance(models, Mapping) or len(models) < 2:
        raise ValueError('models= is a mapping with two or more models: {"rw": hr.model("rw"), ...}.')
    for name, model in models.items():
        if not isinstance(model, Model):
            raise TypeError(
                f"models[{name!r}] must be a model (hr.model, hr.Model); found {type(model).__name__}."
            )
    if unknown := [name for name in truth if name not in models]:
        raise ValueError(f"truth= names {unknown[0]!r}, which is no model; there are {', '.join(models)}.")
