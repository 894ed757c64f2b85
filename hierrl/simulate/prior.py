"""Subjects from a prior, in raw reward units."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.formulas import design_matrices
from hierrl.models.model import Model
from hierrl.prior import Prior
from hierrl.prior.draws import draw_population, draw_subjects, record_of

FloatArray = npt.NDArray[np.float64]


def subjects_of(
    model: Model, prior: Prior, frame: xr.Dataset, rng: np.random.Generator
) -> tuple[FloatArray, dict[str, Any]]:
    """Parameters (S, P) of the subjects of a task in raw reward units, and a record of their population."""
    designs = design_matrices(model, frame, dict(prior.formula), spread_by=prior.spread_by)
    if set(designs) != set(prior.labels):
        raise ValueError(
            f"The prior is for the parameters {', '.join(prior.labels)}; the model in this task has "
            f"{', '.join(designs)}. Make the prior with the same model and arms."
        )
    population = draw_population(prior, rng)
    theta = draw_subjects(prior, population, designs, rng)
    for k, (_, parameter, _) in enumerate(model.scalars(list(frame["arm"].values))):
        if parameter.link == "logit":
            theta[:, k] = 1 / (1 + np.exp(-theta[:, k]))
        elif parameter.link == "log":
            theta[:, k] = np.exp(theta[:, k])
        theta[:, k] *= prior.reward_scale**parameter.unit
    return theta, {"population": record_of(prior, population)}
