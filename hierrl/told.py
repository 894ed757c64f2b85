"""A fit looked at trial by trial: its problem, the data, and the draws at which both are to be seen."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.data import check_behaviour
from hierrl.data.table import listed, nearest
from hierrl.fits import check_fit, data_of, in_sessions, model_of, problem_of
from hierrl.kernels.problem import Problem
from hierrl.models.values import Values, gather

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Told:
    """A problem with the draws at which it is to be looked at; one for each session where subjects have slopes."""

    problem: Problem
    data: xr.Dataset
    theta: FloatArray
    """(chain, draw, S, P) on the scaled signal."""
    draw_coords: dict[Hashable, Any]
    n_draws: int
    """By chain, before thinning."""

    def thinned(self, draws: int) -> Told:
        """With at most so many draws in all, evenly spaced in each chain."""
        chains, length = self.theta.shape[:2]
        kept = np.unique(np.linspace(0, length - 1, max(1, min(length, draws // chains))).astype(np.int64))
        coords = {**self.draw_coords, "draw": np.asarray(self.draw_coords["draw"])[kept]}
        return Told(self.problem, self.data, self.theta[:, kept], coords, self.n_draws)


def told_of(fit: xr.DataTree, data: xr.Dataset | None, parameters: Values | None, draws: int | None) -> Told:
    """A fit at its draws, or at given parameters, on its own data or on others."""
    check_fit(fit)
    if draws is not None and draws < 1:
        raise ValueError(f"draws must be at least 1; found {draws}.")
    posterior = fit["posterior"].to_dataset()
    if data is None:
        data = data_of(fit)
    else:
        check_behaviour(data)
        check_same_arms(fit, data)
    problem = problem_of(fit, data)
    values = posterior if parameters is None else parameters
    subjects, arms = data["subject"].values.tolist(), data["arm"].values.tolist()
    raw = gather(model_of(fit), values, subjects=subjects, arms=arms, unfitted=parameters is None)
    if raw.ndim > 4:
        raise ValueError(
            f"Parameters may have the dims chain and draw before subject; found {raw.ndim - 2} of them."
        )
    theta = raw.reshape((1,) * (4 - raw.ndim) + raw.shape) / problem.raw_factor()
    if parameters is None:
        problem, theta = in_sessions(fit, problem, theta, data)
    source = values if isinstance(values, xr.Dataset) else xr.Dataset()
    coords: dict[Hashable, Any] = {
        dim: source[dim].values if dim in source.indexes else np.arange(size)
        for dim, size in zip(("chain", "draw"), theta.shape[:2], strict=True)
    }
    told = Told(problem, data, theta, coords, theta.shape[1])
    return told if draws is None else told.thinned(draws * theta.shape[0])


def check_same_arms(fit: xr.DataTree, data: xr.Dataset) -> None:
    """Raise a ValueError unless new data have the arms of the fit, in its order."""
    fitted, found = data_of(fit)["arm"].values.tolist(), data["arm"].values.tolist()
    if fitted != found:
        raise ValueError(
            f"The new data have the arms {found}, the fit has {fitted}. "
            f"Name them alike, in the same order: hr.behaviour(..., arms={fitted})."
        )


def of_subjects(data: xr.Dataset, subjects: Sequence[Any]) -> xr.Dataset:
    """The rows of some subjects, in the order of the data."""
    labels = [subjects] if isinstance(subjects, str) or not isinstance(subjects, Sequence) else list(subjects)
    known = data["subject"].values.tolist()
    if strange := [label for label in labels if label not in known]:
        raise ValueError(
            f"There is no subject {strange[0]!r}.{nearest(strange[0], known)} There are {listed(known)}."
        )
    if not labels:
        raise ValueError("subjects= names nobody.")
    kept = [label for label in known if label in labels]
    return data.isel(trial=np.flatnonzero(np.isin(data["trial_subject"].values, kept))).sel(subject=kept)
