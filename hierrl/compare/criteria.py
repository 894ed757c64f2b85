"""The criteria of a comparison of models, from fits to scores by unit and one Dataset."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.compare.estimators import split_pairs
from hierrl.compare.integrated import Integrated, evidence, future_left_out, units_left_out
from hierrl.compare.leave_out import Scores, trials_left_out
from hierrl.compare.model_comparison import ModelComparison
from hierrl.compare.point_evidence import PriorChoice, evidence_under_prior, information_criterion
from hierrl.compare.refit import Resources
from hierrl.compare.refitted import future_pairs, future_rows, held_out, refitted_future, refitted_units
from hierrl.compare.units import By, Units, units_of
from hierrl.fits import data_of, problem_of, settings_of
from hierrl.importance.pareto import GOOD_K

FloatArray = npt.NDArray[np.float64]
Fits = dict[str, xr.DataTree]


def are_posteriors(fits: Fits) -> bool:
    """Whether all of the fits have draws to reweight."""
    return all(settings_of(fit)["estimator"] == "posterior" for fit in fits.values())


def scores_of(
    fit: xr.DataTree,
    name: str,
    method: str,
    *,
    units: Units,
    prior: PriorChoice,
    refit: bool,
    resources: Resources,
) -> Scores:
    """What a criterion that needs no split says of one model."""
    seed = _seed(fit, resources)
    if method in ("aic", "bic", "laplace") or settings_of(fit)["estimator"] != "posterior":
        if method in ("aic", "bic"):
            found = information_criterion(fit, name, method)
        else:
            found = evidence_under_prior(fit, name, method, prior=prior, random_seed=seed)
        return Scores(found.score[units.subject], notes=found.notes)
    if units.by == "trial":
        integrated, found = None, trials_left_out(fit)
    else:
        integrated = Integrated.of(fit, random_seed=seed)
        found = (units_left_out if method == "loo" else evidence)(integrated, units)
    if refit and found.unsure.size:
        found = refitted_units(fit, found, units, integrated=integrated, resources=resources)
    return found


def _seed(fit: xr.DataTree, resources: Resources) -> int:
    return int(
        settings_of(fit).get("random_seed", 0) if resources.random_seed is None else resources.random_seed
    )


def by_refits(
    fits: Fits, data: xr.Dataset, by: By, *, resources: Resources, how: dict[str, Any]
) -> tuple[Units, dict[str, Scores]]:
    """Held-out trials, or the future (``{"first": share}``) of point fits, summed over units."""
    if "first" in how:
        if not how["first"] > 0:
            raise ValueError(
                "first= must be above 0 for point fits, which need trials to begin with; found 0."
            )
        pairs = future_pairs(data, how["first"])
    else:
        pairs = split_pairs(data, how, resources.random_seed)
    found = held_out(fits, pairs, resources)
    units = units_of(data, by, np.any([test["scored"].values for _, test in pairs], axis=0))
    return units, {name: Scores(units.sums(score)) for name, score in found.items()}


def future(
    fits: Fits, data: xr.Dataset, by: By, *, resources: Resources, first: float, refit: bool
) -> tuple[Units, dict[str, Scores]]:
    """Each trial after the first share of its subject's scored ones, predicted from those before it."""
    used = future_rows(data, first)
    if not used.any():
        raise ValueError(f"first={first!r} leaves no trial to predict. Use a smaller share.")
    units, scores = units_of(data, by, used), {}
    for name, fit in fits.items():
        integrated = Integrated.of(fit, random_seed=_seed(fit, resources))
        found = future_left_out(integrated, used)
        if refit and found.unsure.size:
            found = refitted_future(fit, found, used, integrated=integrated, resources=resources)
        trials = np.full(data.sizes["trial"], np.nan)
        trials[used] = found.score
        k = np.full(units.size, -np.inf)
        np.maximum.at(k, units.of_row, np.nan_to_num(np.array(found.pareto_k), nan=-np.inf))
        scores[name] = Scores(units.sums(trials), k, draws=found.draws, notes=found.notes)
    return units, scores


def assembled(
    fits: Fits, method: str, units: Units, scores: dict[str, Scores], *, how: dict[str, Any]
) -> ModelComparison:
    """All of it as one Dataset, with what must be said about it."""
    data = data_of(next(iter(fits.values())))
    variables: dict[str, Any] = {
        "score": (("model", units.by), np.array([one.score for one in scores.values()]), {"units": "nats"}),
        "n_trials": (units.by, units.n_trials),
        "unit_subject": (units.by, data["subject"].values[units.subject]),
        "n_parameters": ("model", [problem_of(fit).n_parameters for fit in fits.values()]),
        "draws": ("model", [one.draws for one in scores.values()]),
    }
    for name in ("pareto_k", "effective"):
        if all(getattr(one, name) is not None for one in scores.values()):
            variables[name] = (("model", units.by), np.array([getattr(one, name) for one in scores.values()]))
    coords = {**units.coords, "model": np.array(list(fits), dtype=object)}
    notes = [note for one in scores.values() for note in one.notes]
    return ModelComparison.of(
        xr.Dataset(variables, coords=coords),
        method=method,
        by=units.by,
        how=how,
        notes=list(dict.fromkeys([*_on_data(fits, data), *notes])),
        good_k=GOOD_K,
        posteriors=are_posteriors(fits),
    )


def _on_data(fits: Fits, data: xr.Dataset) -> list[str]:
    """Outcomes may differ where models are told different things; then it should be said."""
    names = [str(name) for name in data.data_vars if "trial" in data[name].dims]
    found = []
    for name, fit in fits.items():
        other = data_of(fit)
        differ = [one for one in names if one not in other or not other[one].equals(data[one])]
        if differ:
            found.append(
                f"{name!r} was fitted to another {differ[0]!r} than {next(iter(fits))!r}; the choices are the same."
            )
    return found
