"""The fit that draws make."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.fits import build_fit
from hierrl.kernels.problem import Problem
from hierrl.kernels.sessions import SessionProblem
from hierrl.posterior.diagnostics import Diagnosis
from hierrl.posterior.layout import Layout
from hierrl.posterior.samplers import Draws

FloatArray = npt.NDArray[np.float64]

NO_BOUND = "A posterior is no point: log-likelihood, bound and gap are for point fits."


def build_posterior(
    layout: Layout,
    data: xr.Dataset,
    found: Draws,
    *,
    population: xr.Dataset,
    diagnosis: Diagnosis,
    settings: dict[str, Any],
) -> xr.DataTree:
    """A posterior as the tree that every fit is."""
    problem, eta = layout.problem, found.values.eta
    own = eta[..., : problem.n_parameters]
    theta = problem.from_link(own)
    prior = layout.population.prior.to_dataset()
    groups = {"population": population, "prior": prior, "sample_stats": found.stats}
    if isinstance(layout.study, SessionProblem):
        groups["sessions"] = sessions_of(layout, data)
    if settings["log_likelihood"]:
        groups["log_likelihood"] = trial_log_likelihood(layout, eta)
    fit = build_fit(
        problem,
        data,
        theta,
        stats={
            "converged": diagnosis.by_subject,
            "status": diagnosis.status,
            "seconds": found.seconds["sample"] * problem.n_rows / problem.n_trials,
            "se": own.std(axis=(0, 1), ddof=1),
        },
        settings={**settings, "diagnostics": diagnosis.record()},
        groups=groups,
    )
    fit["posterior"] = fit["posterior"].to_dataset().assign(_slopes(layout, eta))
    for name in ("loglik", "bound", "gap"):
        fit["fit_stats"][name].attrs["reason"] = NO_BOUND
    fit["fit_stats"]["se"].attrs["long_name"] = "posterior standard deviation on the link scale"
    return fit


def _slopes(layout: Layout, eta: FloatArray) -> dict[str, xr.DataArray]:
    """Slopes within subjects by name, on the link scale in raw reward units."""
    found = {}
    for name, dims, columns in layout.population.slope_variables:
        values = np.stack([eta[..., k] * factor for k, factor in columns], axis=-1)
        coords = {"subject": layout.problem.subjects}
        if "arm" in dims:
            coords["arm"] = layout.problem.arms
        found[name] = xr.DataArray(
            values if "arm" in dims else values[..., 0],
            dims=("chain", "draw", *dims),
            coords=coords,
            attrs={"scale": "link"},
        )
    return found


def sessions_of(layout: Layout, data: xr.Dataset) -> xr.Dataset:
    """Group ``sessions``: what slopes are multiplied by in each session, and which variable each slope is."""
    population, problem = layout.population, layout.problem
    first = np.flatnonzero(problem.trials.reset)
    place = {
        k: (name, i if "arm" in dims else -1)
        for name, dims, columns in population.slope_variables
        for i, (k, factor) in enumerate(columns)
        if factor != 0.0
    }
    labels = list(population.slopes)
    where = [place[population.labels.index(label)] for label in labels]
    return xr.Dataset(
        {
            "value": (("session", "slope"), np.stack([x for _, x in population.slopes.values()], axis=1)),
            "scalar": ("slope", np.array([of for of, _ in population.slopes.values()], dtype=object)),
            "variable": ("slope", np.array([name for name, _ in where], dtype=object)),
            "variable_arm": ("slope", np.array([arm for _, arm in where], dtype=np.int64)),
        },
        coords={
            "session": np.arange(first.size),
            "slope": np.array(labels, dtype=object),
            "session_subject": ("session", data["trial_subject"].values[first]),
            "session_label": ("session", data["trial_session"].values[first]),
        },
    )


def trial_log_likelihood(layout: Layout, eta: FloatArray) -> xr.Dataset:
    """Group ``log_likelihood``: ``choice`` (chain, draw, trial) of the scored trials at eta (chain, draw, S, P)."""
    problem: Problem = layout.problem
    if isinstance(layout.study, SessionProblem):
        problem, eta = layout.study.sessions, layout.study.of_sessions(eta)
    scored = np.flatnonzero(problem.trials.scored)
    flat = problem.from_link(eta).reshape(-1, *eta.shape[2:])
    values = np.stack([problem.trial_loglik(draw)[scored] for draw in flat])
    coords = {"chain": np.arange(eta.shape[0]), "draw": np.arange(eta.shape[1]), "trial": scored}
    return xr.Dataset(
        {"choice": (("chain", "draw", "trial"), values.reshape(*eta.shape[:2], -1))}, coords=coords
    )
