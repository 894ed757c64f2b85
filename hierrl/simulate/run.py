"""`simulate`: a model with known parameters plays a task; `truth_of` finds them in the behaviour."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from hierrl.models.channels import FROM_REWARD, OUTCOMES
from hierrl.models.given import check_model
from hierrl.models.model import Model
from hierrl.models.values import Values, gather
from hierrl.prior import Prior
from hierrl.simulate.bandit import Bandit
from hierrl.simulate.decks import Decks
from hierrl.simulate.prior import subjects_of
from hierrl.simulate.recorded import Recorded
from hierrl.simulate.schedule import Schedule
from hierrl.simulate.stage import attributes_of, behaviour_of, largest_payoff, play_schedule

Task = Bandit | Decks | Recorded

TRUE = "true_"
"""What the names of true parameters begin with in simulated behaviour."""


def simulate(
    model: Model,
    task: Task,
    parameters: Values | Prior,
    *,
    n_subjects: int | None = None,
    covariates: Mapping[str, Any] | pd.DataFrame | None = None,
    reward_scale: float | None = None,
    random_seed: int | np.random.Generator | None = None,
) -> xr.Dataset:
    r"""Behaviour of subjects who choose as a model says.

    On each trial arm i is chosen with the probability that `Model` defines, the task pays, and the channels
    learn: the same rules that `fit_*` score choices with, run forward. A `Recursion` divides rewards by the largest
    absolute payoff of the task (by that of its data, if parameters come from a prior).

    Parameters
    ----------
    model : Model
        From `hr.model` or `hr.Model`.
    task : Bandit, Decks or Recorded
        A description, or the schedule of recorded behaviour (``Bandit.recorded(data)``).
    parameters : mapping, Dataset or Prior
        Name -> number, array (S,), or, if the parameter is per arm, (m,) or (S, m); in raw reward units, as
        fits report them. One draw of a fit will do: ``fit["posterior"].isel(chain=0, draw=0)``. From a prior a
        population is drawn, and subjects who belong to it; what its formula needs must be in `covariates` or
        in recorded data.
    n_subjects : int, optional
        S, where neither the task nor the parameters say it.
    covariates : mapping or DataFrame, optional
        Name -> S values; stored with dim ``subject``.
    reward_scale : float, optional
        What outcomes are divided by in models that aren't linear in them (utilities, Pearce-Hall): the largest
        absolute outcome that the task offers, or that of the prior, if not given. It is kept in
        ``attrs["reward_scale"]``, so that fits use the same; other models don't need it.
    random_seed : int or Generator, optional
        The same seed gives the same behaviour.

    Returns
    -------
    Dataset
        As from `behaviour`: every fit takes it. Besides, by subject ``true_<label>``, the parameters
        (`truth_of` collects them); by trial, where the task knows them, ``best_arm`` (label of the arm with
        the highest mean payoff) and ``reversal`` (the means have just changed places);
        ``attrs["simulation"]`` (JSON: model, task, seed, and the population that was drawn from a prior).

    Raises
    ------
    ValueError
        If a parameter is missing or has the wrong shape, the numbers of subjects disagree, or the model needs
        a column that the task does not have.

    Examples
    --------
    >>> import hierrl as hr
    >>> task = hr.Bandit((0.8, 0.2), n_trials=100, reverse_every=25)
    >>> data = hr.simulate(hr.model("rw"), task, {"alpha": [0.1, 0.6], "beta": 4}, random_seed=1)
    >>> data["true_alpha"].values.tolist(), data["choice"].shape
    ([0.1, 0.6], (200,))
    """
    check_model(model)
    if not isinstance(task, Task):
        raise TypeError(
            "The task must be hr.Bandit(...), hr.Decks(...) or hr.Bandit.recorded(data); "
            f"found {type(task).__name__}."
        )
    rng = np.random.default_rng(random_seed)
    prior = parameters if isinstance(parameters, Prior) else None
    values: Values = {} if isinstance(parameters, Prior) else _one_draw(parameters)
    by_subject = (
        {} if covariates is None else {str(name): np.asarray(covariates[name]) for name in covariates}
    )
    schedule = task.schedule(_n_subjects(model, task, values, n_subjects, by_subject), rng)
    frame = _with_covariates(_with_labels(schedule.frame, task, values), by_subject)
    schedule = replace(schedule, frame=frame)
    _check_columns(model, schedule)
    subjects, arms = frame["subject"].values.tolist(), frame["arm"].values.tolist()
    drawn = None
    if prior is None:
        theta = played = np.ascontiguousarray(gather(model, values, subjects=subjects, arms=arms))
    else:
        drawn = subjects_of(model, prior, frame, rng)
        theta, played = drawn.theta, drawn.played
    scale = 1.0 if model.is_linear else _reward_scale(schedule, reward_scale, prior)
    uniform = rng.random(frame.sizes["trial"])
    data = behaviour_of(model, schedule, *play_schedule(model, schedule, played, uniform, reward_scale=scale))
    truth = {f"{TRUE}{label}": theta[:, k] for k, label in enumerate(model.labels(arms))}
    truth |= {f"{TRUE}{label}": values for label, values in (drawn.slopes if drawn else {}).items()}
    population = {"population": drawn.record} if drawn else {}
    seed = int(random_seed) if isinstance(random_seed, int | np.integer) else None
    record = {"model": json.loads(model.to_json()), "task": repr(task), "random_seed": seed, **population}
    data = data.assign({name: ("subject", values, {"level": "subject"}) for name, values in truth.items()})
    kept = {} if model.is_linear else {"reward_scale": scale}
    return data.assign_attrs(attributes_of(data), simulation=json.dumps(record), **kept)


def truth_of(data: xr.Dataset, model: Model | None = None) -> xr.Dataset:
    """The parameters that behaviour was simulated with, as fits report them.

    Parameters
    ----------
    data : Dataset
        From `simulate`, or the data of a fit to it.
    model : Model, optional
        The model simulated; the one that the behaviour has on record if not given.

    Returns
    -------
    Dataset
        Name -> (subject) or (subject, arm), raw reward units; ``fit["posterior"]`` without chain and draw.

    Raises
    ------
    ValueError
        If the behaviour was not simulated.

    Examples
    --------
    >>> import hierrl as hr
    >>> from hierrl.simulate import truth_of
    >>> data = hr.simulate(hr.model("rw"), hr.Bandit((0.7, 0.3)), {"alpha": [0.2, 0.4], "beta": 3})
    >>> truth_of(data)["beta"].values.tolist()
    [3.0, 3.0]
    """
    if model is None:
        if "simulation" not in data.attrs:
            raise ValueError(
                "This behaviour does not come from hr.simulate: it has no record of a simulation."
            )
        model = Model.from_json(json.dumps(json.loads(data.attrs["simulation"])["model"]))
    arms = data["arm"].values.tolist()
    truth: dict[str, xr.DataArray] = {}
    for parameter in model.parameters:
        if not parameter.per_arm:
            truth[parameter.name] = data[f"{TRUE}{parameter.name}"]
            continue
        columns = [data.get(f"{TRUE}{parameter.name}[{arm}]") for arm in arms]
        zero = xr.zeros_like(data["subject"], dtype=float)  # the bias of the first arm
        truth[parameter.name] = xr.concat([zero if c is None else c for c in columns], data["arm"])
    return xr.Dataset({name: values.transpose("subject", ...).drop_attrs() for name, values in truth.items()})


def _reward_scale(schedule: Schedule, asked: float | None, prior: Prior | None) -> float:
    """What outcomes are divided by."""
    if asked is None:
        return largest_payoff(schedule) if prior is None else prior.reward_scale
    if not (asked > 0 and np.isfinite(asked)):
        raise ValueError(f"reward_scale must be a number above 0; found {asked}.")
    return float(asked)


def _one_draw(parameters: Values) -> Values:
    if not isinstance(parameters, xr.Dataset):
        return parameters
    slopes = [str(name) for name, values in parameters.items() if values.attrs.get("scale") == "link"]
    if slopes:
        raise ValueError(
            f"The parameters hold slopes within subjects ({', '.join(slopes)}), which simulate does not apply. For "
            f"the reference session leave them out: parameters.drop_vars({slopes})."
        )
    several = {dim: parameters.sizes[dim] for dim in ("chain", "draw") if parameters.sizes.get(dim, 1) > 1}
    if several:
        raise ValueError(f"The parameters have {several}; choose one draw: parameters.isel(chain=0, draw=0).")
    return parameters.squeeze([dim for dim in ("chain", "draw") if dim in parameters.dims])


def _n_subjects(
    model: Model,
    task: Task,
    parameters: Values,
    asked: int | None,
    covariates: Mapping[str, Any],
) -> int:
    """The one number of subjects that everything agrees on."""
    found: dict[str, int] = {} if asked is None else {"n_subjects": int(asked)}
    if task.size is not None:
        found["the task"] = task.size
    for name in model.names:
        if name in parameters and (number := _length(model, name, parameters[name])) > 1:
            found[f"the parameter {name!r}"] = number
    found |= {f"the covariate {name!r}": len(values) for name, values in covariates.items()}
    if len(set(found.values())) > 1:
        told = ", ".join(f"{what} says {number}" for what, number in found.items())
        raise ValueError(f"The numbers of subjects disagree: {told}.")
    size = next(iter(found.values()), 1)
    if size < 1:
        raise ValueError(f"n_subjects must be at least 1; found {size}.")
    return size


def _length(model: Model, name: str, value: Any) -> int:
    """How many subjects a parameter has values for; 1 if it may be any number."""
    if isinstance(value, xr.DataArray):
        return value.sizes.get("subject", 1)
    by_subject = np.ndim(value) == (2 if model.parameter(name).per_arm else 1)
    return len(value) if by_subject else 1


def _with_labels(frame: xr.Dataset, task: Task, parameters: Values) -> xr.Dataset:
    """Subjects and arms as the parameters call them, where these have labels and the task has none."""
    if isinstance(task, Recorded):
        return frame
    named = [value for value in dict(parameters).values() if isinstance(value, xr.DataArray)]
    labels = {dim: index for value in named for dim, index in value.indexes.items()}
    if "subject" in labels:
        row = frame["trial_subject"].values - 1
        subjects = labels["subject"].to_numpy()
        frame = frame.assign_coords(subject=subjects, trial_subject=("trial", subjects[row]))
    if "arm" in labels and task.arms is None and labels["arm"].size == frame.sizes["arm"]:
        frame = frame.assign_coords(arm=labels["arm"].to_numpy())
    return frame


def _with_covariates(frame: xr.Dataset, covariates: Mapping[str, Any]) -> xr.Dataset:
    texts = {name: values.astype(str) for name, values in covariates.items() if values.dtype == object}
    all_of_them = {**covariates, **texts}
    return frame.assign({name: ("subject", v, {"level": "subject"}) for name, v in all_of_them.items()})


def _check_columns(model: Model, schedule: Schedule) -> None:
    made_by_playing = {*OUTCOMES, *FROM_REWARD, "choice"}
    absent = sorted(name for name in model.reads - made_by_playing if name not in schedule.frame)
    if absent:
        raise ValueError(
            f"The model needs the column {absent[0]!r} by trial, which the task does not have. "
            "Take the schedule from data that have it: hr.Bandit.recorded(data)."
        )
    if not schedule.tells_forgone and "forgone" in model.reads:
        raise ValueError(
            "The model learns from forgone rewards, which the task does not tell. "
            "Use hr.Bandit(..., forgone=True), or recorded data that have them."
        )
