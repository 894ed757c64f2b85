"""Subjects from a prior, in raw reward units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.formulas import design_matrices
from hierrl.formulas.design import slopes_of
from hierrl.kernels.trials import session_rows
from hierrl.models.model import Model
from hierrl.prior import Prior
from hierrl.prior.draws import draw_population, draw_subjects, record_of

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Drawn:
    """Subjects from a prior."""

    theta: FloatArray
    """(S, P) in raw reward units; where subjects have slopes, in the reference session."""
    played: FloatArray
    """(S, P), or (R, P) by session where subjects have slopes."""
    slopes: dict[str, FloatArray]
    """(S,) of each slope within subjects by its label, on the link scale."""
    record: dict[str, Any]
    """The population, as fits report it."""


def subjects_of(model: Model, prior: Prior, frame: xr.Dataset, rng: np.random.Generator) -> Drawn:
    """Draw a population from a prior, and the subjects of a task from it."""
    designs = design_matrices(model, frame, dict(prior.formula), spread_by=prior.spread_by)
    if set(designs) != set(prior.labels):
        raise ValueError(
            f"The prior is for the parameters {', '.join(prior.labels)}; the model in this task has "
            f"{', '.join(designs)}. Make the prior with the same model and arms."
        )
    population = draw_population(prior, rng)
    eta = draw_subjects(prior, population, designs, rng)
    slopes, labels = slopes_of(designs), list(designs)
    own = eta[:, : len(labels) - len(slopes)]
    theta = played = _raw(model, prior, frame, own)
    if slopes:
        _, owner = session_rows(frame)
        by_session = own[owner]
        for label, (of, values) in slopes.items():
            by_session[:, labels.index(of)] += eta[owner, labels.index(label)] * values
        played = _raw(model, prior, frame, by_session)
    found = {label: eta[:, labels.index(label)] for label in slopes}
    return Drawn(theta, played, found, record_of(prior, population))


def _raw(model: Model, prior: Prior, frame: xr.Dataset, eta: FloatArray) -> FloatArray:
    """Parameters (n, P) on the natural scale in raw reward units from the link scale of the scaled signal."""
    theta = eta.copy()
    for k, (_, parameter, _) in enumerate(model.scalars(list(frame["arm"].values))):
        if parameter.link == "logit":
            theta[:, k] = 1 / (1 + np.exp(-theta[:, k]))
        elif parameter.link == "log":
            theta[:, k] = np.exp(theta[:, k])
        theta[:, k] *= prior.reward_scale**parameter.unit
    return theta
