"""The weak prior of a task that nobody has played yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from hierrl.models.model import Model
from hierrl.prior import Prior, weak_prior
from hierrl.simulate import Bandit, Recorded, simulate


def weak_prior_of_task(
    model: Model,
    task: Bandit | Recorded,
    *,
    n_subjects: int | None = None,
    covariates: Mapping[str, Any] | pd.DataFrame | None = None,
) -> Prior:
    """The weak prior, whose numbers don't depend on what anybody chooses in the task, but on its rewards' size."""
    middle = {p.name: 0.5 if p.link in ("logit", "log") else 0.0 for p in model.parameters}
    played = simulate(model, task, middle, n_subjects=n_subjects, covariates=covariates, random_seed=0)
    return weak_prior(model, played)
