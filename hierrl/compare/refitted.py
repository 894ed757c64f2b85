"""Scores that take refits: held-out trials, the future of point fits, units whose importance weights fail."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.special import logsumexp

from hierrl.compare.integrated import Integrated, future_left_out
from hierrl.compare.leave_out import Scores
from hierrl.compare.refit import Resources, refit
from hierrl.compare.scores import trial_scores
from hierrl.compare.units import By, Units, subject_of_rows
from hierrl.data.table import counted
from hierrl.fits import data_of
from hierrl.importance.pareto import GOOD_K
from hierrl.latents import log_likelihood

FloatArray = npt.NDArray[np.float64]
Fits = Mapping[str, xr.DataTree]
Pairs = list[tuple[xr.Dataset, xr.Dataset]]

ORIGINS = 10
"""Times at which point fits are refitted to all that came before, evenly spaced over the trials to be predicted."""


def held_out(fits: Fits, pairs: Pairs, resources: Resources) -> dict[str, FloatArray]:
    """Log scores (n,) of the test parts under refits to the training parts; NaN where nothing was held out."""
    scores = {name: np.full(pairs[0][0].sizes["trial"], np.nan) for name in fits}
    for train, test in pairs:
        held = test["scored"].values
        for name, fit in fits.items():
            scores[name][held] = trial_scores(quietly_refitted(fit, train, resources), test)[held]
    return scores


def quietly_refitted(fit: xr.DataTree, train: xr.Dataset, resources: Resources) -> xr.DataTree:
    """A refit whose warnings (few trials, chains that could be longer) would be those of the fit again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return refit(fit, train, resources)


def rank_of_scored(data: xr.Dataset) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """For each row how many scored trials of its subject come before it, and how many there are."""
    scored, subject = data["scored"].values, subject_of_rows(data)
    total = np.bincount(subject[scored], minlength=data.sizes["subject"])
    before = np.append(0, np.cumsum(scored))[:-1]
    return before - np.append(0, np.cumsum(total))[:-1][subject], total[subject]


def future_rows(data: xr.Dataset, first: float) -> npt.NDArray[np.bool_]:
    """Scored rows (n,) beyond the first share of each subject's scored trials."""
    rank, total = rank_of_scored(data)
    return data["scored"].values & (rank >= np.ceil(first * total))


def future_pairs(data: xr.Dataset, first: float) -> Pairs:
    """Pairs of all that came before an origin and the trials from there to the next one."""
    rank, total = rank_of_scored(data)
    scored, share = data["scored"].values, np.linspace(first, 1.0, ORIGINS + 1)
    cuts = [np.ceil(one * total) for one in share]
    pairs: Pairs = []
    for low, high in zip(cuts[:-1], cuts[1:], strict=True):
        test = scored & (rank >= low) & (rank < high)
        if test.any():
            train = data.assign(scored=("trial", scored & (rank < low)))
            pairs.append((train, data.assign(scored=("trial", test))))
    return pairs


def refitted_units(
    fit: xr.DataTree, found: Scores, units: Units, *, integrated: Integrated | None, resources: Resources
) -> Scores:
    """The scores with those of unsure units replaced by what exact refits without them say."""
    score, k = found.score.copy(), np.array(found.pareto_k)
    for unit in found.unsure:
        rows = units.rows_of(unit)
        again, data = _without(fit, rows, integrated, resources)
        if integrated is None or (units.subject == units.subject[unit]).sum() > 1:
            only = np.zeros(data.sizes["trial"], dtype=bool)
            only[rows] = True
            score[unit] = _predicted(again, data.assign(scored=("trial", only)), units.by)
        else:
            there, one = integrated.under(again), units.only(int(unit))
            gain = there.whole[:, one.subject[0]] - there.parts(one)[0][:, 0]
            score[unit] = logsumexp(gain) - np.log(gain.size)
        k[unit] = np.nan
    return replace(found, score=score, pareto_k=k, notes=(*found.notes, _on_refits(found)))


def refitted_future(
    fit: xr.DataTree,
    found: Scores,
    used: npt.NDArray[np.bool_],
    *,
    integrated: Integrated,
    resources: Resources,
) -> Scores:
    """As `refitted_units`, for the trials of subjects whose weights are unsure: the population without each of them."""
    score, k = found.score.copy(), np.array(found.pareto_k)
    subject = subject_of_rows(integrated.data)
    for s in np.unique(subject[used][found.unsure]):
        again, _ = _without(fit, np.flatnonzero(subject == s), integrated, resources)
        own = subject[used] == s
        score[own] = future_left_out(integrated.under(again), used, unweighted=True).score[own]
        k[own] = np.nan
    return replace(found, score=score, pareto_k=k, notes=(*found.notes, _on_refits(found)))


def _predicted(fit: xr.DataTree, test: xr.Dataset, by: By) -> float:
    """Log-probability of one trial or session, averaged over the draws of a subject who has not seen it."""
    loglik = log_likelihood(fit, by=by, data=test).values.ravel()
    return float(logsumexp(loglik) - np.log(loglik.size))


def _without(
    fit: xr.DataTree, rows: npt.NDArray[np.int64], integrated: Integrated | None, resources: Resources
) -> tuple[xr.DataTree, xr.Dataset]:
    """The fit without the choices of some rows, and its data."""
    data = data_of(fit) if integrated is None else integrated.data
    scored = data["scored"].values.copy()
    scored[rows] = False
    return quietly_refitted(fit, data.assign(scored=("trial", scored)), resources), data


def _on_refits(found: Scores) -> str:
    units, k = counted(found.unsure.size, "unit"), f"Pareto k above {GOOD_K}"
    return f"Exact refits without them scored {units} with {k}."
