"""`compare`: estimators of one model on the same data."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.compare.checks import checked
from hierrl.compare.comparison import Comparison
from hierrl.compare.estimates import membership, population_estimates, subject_estimates
from hierrl.compare.refit import Resources, refit_all
from hierrl.compare.scores import chance_scores, trial_scores
from hierrl.data import split
from hierrl.fits import data_of, problem_of, settings_of
from hierrl.formulas.cells import EVERYBODY

FloatArray = npt.NDArray[np.float64]
Fits = Mapping[str, xr.DataTree]
Pairs = list[tuple[xr.Dataset, xr.Dataset]]


def compare(
    fits: Mapping[str, xr.DataTree],
    *,
    last: float | None = None,
    sessions: int | Hashable | Iterable[Hashable] | None = None,
    folds: int | None = None,
    random_seed: int | None = None,
    cores: int | None = None,
    progress: bool = True,
) -> Comparison:
    r"""Compare estimators of one model on the same data.

    With `last`, `sessions` or `folds` the data that the fits carry are split as `split` does, every estimator
    is fitted anew to the training part with its recorded settings (its seed and its kind of prior among them;
    the convex fit starts the others), and the held-out trials are scored by their log predictive density. For
    draws :math:`\theta^{(d)}`,

    .. math:: \text{score}_t = \log \frac{1}{D} \sum_{d=1}^{D} P(c_t \mid \theta^{(d)}, h_t),

    with :math:`h_t` all that the subject chose and earned before trial t; a point fit is a single draw.
    Trials are scored one by one, not as a joint probability, so that estimators are judged by predicting a
    trial from its history. Without a split only in-sample scores are there, which reward overfitting; the
    result says so.

    Parameters
    ----------
    fits : mapping of str to DataTree
        Fits of the same model to the same data, under names of your choice.
    last, sessions, folds
        As in `split`; at most one of them. Each trial of `folds` is held out once, so scores add up over
        folds.
    random_seed : int, optional
        Deals sessions or blocks to `folds` at random, as in `split`, and takes the place of the seeds that
        the fits recorded when they are repeated.
    cores : int, optional
        Threads, and chains at a time, of the refits; all cores if not given.
    progress : bool
        Show progress bars of the refits on a terminal.

    Returns
    -------
    Comparison
        Prints as a table. ``.table`` has a row per estimator (scores in nats, their difference to the best
        with its standard error over subjects, seconds), ``.subjects`` one per subject and estimator,
        ``.population`` the moments of the estimates beside the posterior population, ``.differences`` pairs
        of estimators; ``.to_dataset()`` has it all.

    Raises
    ------
    TypeError
        If `fits` is not a mapping of fits.
    ValueError
        If models, subjects or data differ, the split holds out nothing, or a fit can't be repeated.

    Examples
    --------
    >>> import hierrl as hr
    >>> model, task = hr.model("rw"), hr.Bandit((0.8, 0.2), n_trials=120)
    >>> data = hr.simulate(model, task, {"alpha": 0.3, "beta": 4.0}, n_subjects=5, random_seed=1)
    >>> quick = hr.fit_convex(model, data)
    >>> comparison = hr.compare({"convex": quick, "mle": hr.fit_mle(model, data, start=quick)}, last=0.25)
    >>> sorted(comparison.table.index)
    ['convex', 'mle']
    """
    fits = checked(fits)
    data = data_of(next(iter(fits.values())))
    parts = [_rows(data), _estimates(fits), _seconds(fits)]
    in_sample = {name: trial_scores(fit, data) for name, fit in fits.items()}
    parts.append(_in_sample(in_sample, data))
    how = {
        name: value
        for name, value in (("last", last), ("sessions", sessions), ("folds", folds))
        if value is not None
    }
    if how:
        pairs = split_pairs(data, how, random_seed)
        parts.append(_held_out(fits, pairs, Resources(random_seed, cores, progress)))
    else:
        parts.append(_scores(in_sample, chance_scores(data)))
    dataset = xr.merge(parts, join="exact").assign_attrs(
        held_out=int(bool(how)), split=json.dumps(how, default=_plain)
    )
    return Comparison(dataset)


def split_pairs(data: xr.Dataset, how: dict[str, Any], random_seed: int | None) -> Pairs:
    """Training and test parts, however many the split makes."""
    pairs = split(data, **how, random_seed=random_seed if "folds" in how else None)
    return pairs if isinstance(pairs, list) else [pairs]


def _plain(value: Any) -> Any:
    """Labels of sessions as JSON can hold them."""
    return value.item() if isinstance(value, np.generic) else list(value)


def _rows(data: xr.Dataset) -> xr.Dataset:
    """The rows of the behaviour, by which scores are found again."""
    names = ("trial_subject", "trial_session", "trial_number")
    return xr.Dataset(
        coords={name: ("trial", data[name].values) for name in names} | {"trial": data["trial"].values}
    )


def _estimates(fits: Fits) -> xr.Dataset:
    """Estimates of subjects and populations, and who belongs to which cell of a population."""
    problems = {name: problem_of(fit) for name, fit in fits.items()}
    subjects = _along_estimators({name: subject_estimates(fit, problems[name]) for name, fit in fits.items()})
    found = {name: population_estimates(fit, problems[name]) for name, fit in fits.items()}
    populations = {name: population for name, population in found.items() if population is not None}
    members = [membership([EVERYBODY], data_of(next(iter(fits.values()))))]
    members += [
        membership(population["cell"].values.tolist(), data_of(fits[name]))
        for name, population in populations.items()
    ]
    member = xr.concat(members, dim="cell").drop_duplicates("cell")
    parts = [subjects, member.to_dataset(name="member")]
    if populations:
        nothing = next(iter(populations.values())) * np.nan
        together = _along_estimators({name: populations.get(name, nothing) for name in fits})
        parts.append(together.reindex(cell=member["cell"].values, parameter=subjects["parameter"].values))
    return xr.merge(parts, join="exact")


def _along_estimators(parts: Mapping[str, xr.Dataset]) -> xr.Dataset:
    names = xr.Variable("estimator", np.array(list(parts), dtype=object))
    return xr.concat(list(parts.values()), dim="estimator", join="outer", data_vars="all").assign_coords(
        estimator=names
    )


def _seconds(fits: Fits) -> xr.Dataset:
    seconds = [_total(settings_of(fit).get("seconds", np.nan)) for fit in fits.values()]
    attributes = {"units": "s", "long_name": "time that the given fit took"}
    return xr.Dataset({"seconds": ("estimator", seconds, attributes)}, coords={"estimator": _names(fits)})


def _total(seconds: float | Mapping[str, float]) -> float:
    """Of a posterior the parts are known: preparation, compilation, sampling."""
    return float(sum(seconds.values())) if isinstance(seconds, Mapping) else float(seconds)


def _names(fits: Mapping[str, Any]) -> npt.NDArray[np.object_]:
    return np.array(list(fits), dtype=object)


def _in_sample(scores: Mapping[str, FloatArray], data: xr.Dataset) -> xr.Dataset:
    """Sums by subject of the scores (n,) of the fitted trials."""
    subject = data.indexes["subject"].get_indexer(data["trial_subject"].values)
    fitted = data["scored"].values
    sums = [
        np.bincount(subject[fitted], score[fitted], minlength=data.sizes["subject"])
        for score in scores.values()
    ]
    variable = (("estimator", "subject"), np.array(sums), {"units": "nats"})
    return xr.Dataset(
        {"in_sample": variable}, coords={"estimator": _names(scores), "subject": data["subject"].values}
    )


def _scores(scores: Mapping[str, FloatArray], chance: FloatArray) -> xr.Dataset:
    variables = {
        "log_score": (("estimator", "trial"), np.array(list(scores.values())), {"units": "nats"}),
        "chance": ("trial", chance, {"units": "nats", "long_name": "log score of choosing at random"}),
    }
    return xr.Dataset(variables, coords={"estimator": _names(scores)})


def _held_out(fits: Fits, pairs: Pairs, resources: Resources) -> xr.Dataset:
    """Scores of the test parts by refits to the training parts, and the time of these."""
    n_trials = pairs[0][0].sizes["trial"]
    scores = {name: np.full(n_trials, np.nan) for name in fits}
    chance, fold = np.full(n_trials, np.nan), np.full(n_trials, -1)
    seconds = np.empty((len(fits), len(pairs)))
    for k, (train, test) in enumerate(pairs):
        held = test["scored"].values
        refits, took = refit_all(fits, train, resources)
        for row, (name, fit) in enumerate(refits.items()):
            scores[name][held] = trial_scores(fit, test)[held]
            seconds[row, k] = took[name]
        chance[held], fold[held] = chance_scores(test)[held], k
    times = (
        ("estimator", "refit"),
        seconds,
        {"units": "s", "long_name": "time of the refit without that of its start"},
    )
    return _scores(scores, chance).assign(fold=("trial", fold), refit_seconds=times)
