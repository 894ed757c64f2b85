"""What a fit is: an ``xarray.DataTree`` in ArviZ's schema that carries its model, data and settings.

Groups: ``posterior`` (parameters in raw reward units; a point fit has one chain and one draw), ``fit_stats``
(by subject), ``observed_data`` and ``constant_data`` (the behaviour), and what an estimator adds
(``relaxation``, ``population``, ``sample_stats``). Root attributes hold the model, the settings and the
versions as JSON.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.kernels.problem import Problem, prepare
from hierrl.kernels.sessions import SessionProblem
from hierrl.kernels.trials import session_rows
from hierrl.models.model import Model

MODEL, SETTINGS, VERSIONS = "hierrl_model", "hierrl_settings", "hierrl_versions"

BY_SUBJECT: dict[str, Any] = {
    "loglik": np.nan,
    "bound": np.nan,
    "gap": np.nan,
    "converged": False,
    "certified": False,
    "status": "",
    "seconds": np.nan,
}
"""What ``fit_stats`` always holds by subject, with the value it has where an estimator does not set it."""

BY_PARAMETER: dict[str, Any] = {"se": np.nan, "at_bound": False}
"""What ``fit_stats`` always holds by (subject, parameter)."""

DESCRIPTIONS = {
    "loglik": ("log-likelihood of the scored trials", "nats"),
    "bound": ("upper bound on the log-likelihood at every parameter value within bounds", "nats"),
    "gap": ("bound minus loglik", "nats"),
    "converged": ("the estimator reached its tolerance, or its estimate is proven optimal", ""),
    "nodes": ("parts of the box of rates that were bounded for the proof", ""),
    "certified": ("the bound proves the optimum to the asked tolerance", ""),
    "seconds": ("time spent on the subject", "s"),
    "se": ("standard error on the link scale from the observed information; NaN where it is singular", ""),
    "at_bound": ("the estimate lies on a bound", ""),
}


def build_fit(
    problem: Problem,
    data: xr.Dataset,
    theta: npt.ArrayLike,
    *,
    stats: Mapping[str, npt.ArrayLike],
    settings: Mapping[str, Any],
    attrs: Mapping[str, Any] | None = None,
    groups: Mapping[str, xr.Dataset] | None = None,
) -> xr.DataTree:
    """Put a result into the tree that every fit is.

    Parameters
    ----------
    problem : Problem
        The model laid out on `data`.
    data : Dataset
        The behaviour that was fitted.
    theta : array_like, (S, P) or (chain, draw, S, P)
        Estimates or draws on the scaled signal.
    stats : mapping
        Arrays (S,) or (S, P) for ``fit_stats``; what is left out is filled as in `BY_SUBJECT` and
        `BY_PARAMETER`.
    settings : mapping
        JSON-able record of the estimator and its arguments; ``reward_scale`` is added.
    attrs : mapping, optional
        Attributes of the root.
    groups : mapping of str to Dataset, optional
        Further groups.

    Returns
    -------
    DataTree
    """
    draws = np.asarray(theta, dtype=np.float64)
    draws = draws[None, None] if draws.ndim == 2 else draws
    stats = {**BY_SUBJECT, **stats}
    stats["converged"] = np.asarray(stats["converged"]) | np.asarray(stats["certified"])
    unfitted = np.isnan(draws).any(axis=(0, 1, 3))
    for name in ("loglik", "gap"):
        stats[name] = np.where(unfitted, np.nan, stats[name])
    observed = ["choice"]
    datasets = {
        "posterior": _posterior(problem, draws),
        "fit_stats": _fit_stats(problem, stats),
        **(groups or {}),
        "observed_data": data[observed],
        "constant_data": data.drop_vars(observed),
    }
    tree = xr.DataTree.from_dict(datasets, name="fit")
    samplers = {"pymc", settings["sampler"]} if "sampler" in settings else set()
    versions = {name: version(name) for name in ("hierrl", "numpy", "xarray", *sorted(samplers))}
    tree.attrs.update(attrs or {})
    tree.attrs[MODEL] = problem.model.to_json()
    tree.attrs[SETTINGS] = json.dumps({**settings, "reward_scale": problem.reward_scale})
    tree.attrs[VERSIONS] = json.dumps(versions)
    return tree


def check_fit(fit: Any) -> None:
    """Raise a TypeError unless `fit` came from one of the ``fit_*`` functions."""
    if not isinstance(fit, xr.DataTree):
        raise TypeError(
            "A fit is the DataTree that hr.fit_convex, hr.fit_mle or hr.fit_posterior returns; "
            f"found {type(fit).__name__}."
        )
    if MODEL not in fit.attrs:
        raise TypeError(
            "This DataTree carries no hierrl model, so it is not a fit of this package (or a group was taken "
            "out of one). Pass the whole tree that a fit_* function or hr.load returned."
        )


def model_of(fit: xr.DataTree) -> Model:
    """The model of a fit."""
    check_fit(fit)
    return Model.from_json(fit.attrs[MODEL])


def settings_of(fit: xr.DataTree) -> dict[str, Any]:
    """The settings of a fit: estimator, arguments, seed, reward scale."""
    check_fit(fit)
    return json.loads(fit.attrs[SETTINGS])


def data_of(fit: xr.DataTree) -> xr.Dataset:
    """The behaviour that was fitted."""
    check_fit(fit)
    constant = fit["constant_data"].to_dataset()
    return constant.assign(choice=fit["observed_data"]["choice"])


def problem_of(fit: xr.DataTree, data: xr.Dataset | None = None) -> Problem:
    """The model of a fit laid out on its data, or on new `data`, with the reward scale of the fit."""
    return prepare(
        model_of(fit), data_of(fit) if data is None else data, reward_scale=settings_of(fit)["reward_scale"]
    )


def theta_of(fit: xr.DataTree, problem: Problem | None = None) -> npt.NDArray[np.float64]:
    """Parameters of a fit as (chain, draw, S, P) on the scaled signal."""
    return (problem or problem_of(fit)).pack(fit["posterior"].to_dataset())


def in_sessions(
    fit: xr.DataTree, problem: Problem, theta: npt.NDArray[np.float64], data: xr.Dataset
) -> tuple[Problem, npt.NDArray[np.float64]]:
    """What scores the trials of `data`: problem and draws (chain, draw, S, P) as they are, or by session.

    Where subjects have slopes, each session takes the place of a subject: draws are then (chain, draw, sessions, P).
    """
    if "sessions" not in fit.children:
        return problem, theta
    group, posterior = fit["sessions"].to_dataset(), fit["posterior"].to_dataset()
    values = _session_values(group, data)
    slopes, columns = {}, [problem.to_link(theta)]
    for k, label in enumerate(group["slope"].values):
        of, arm = str(group["scalar"].values[k]), int(group["variable_arm"].values[k])
        draws = posterior[group["variable"].values[k]].sel(subject=problem.subjects)
        draws = draws if arm < 0 else draws.isel(arm=arm)
        scalar = problem.labels.index(of)
        factor = problem.raw_factor()[scalar] if problem.links[scalar] == "identity" else 1.0
        columns.append(draws.transpose("chain", "draw", "subject").values[..., None] / factor)
        slopes[str(label)] = (of, values[:, k])
    study = SessionProblem.of(problem, slopes)
    eta = study.of_sessions(np.concatenate(columns, axis=-1))
    return study.sessions, study.sessions.from_link(eta)


def _session_values(group: xr.Dataset, data: xr.Dataset) -> npt.NDArray[np.float64]:
    """What slopes are multiplied by (R, slopes) in the sessions of `data`, which must be among those fitted."""
    fitted = zip(group["session_subject"].values, group["session_label"].values, strict=True)
    known = {place: k for k, place in enumerate(fitted)}
    first, _ = session_rows(data)
    asked = zip(data["trial_subject"].values[first], data["trial_session"].values[first], strict=True)
    found = []
    for subject, session in asked:
        if (subject, session) not in known:
            raise ValueError(
                f"This fit has slopes within subjects, and session {session} of subject {subject} was not fitted: "
                "what its slopes are multiplied by is not known. Use the sessions that were fitted."
            )
        found.append(known[subject, session])
    return group["value"].values[found]


def load(path: str | Path) -> xr.DataTree:
    """Read a fit that was saved with ``fit.to_netcdf(path)`` or ``fit.to_zarr(path)``.

    Parameters
    ----------
    path : str or Path
        A NetCDF file or a Zarr directory.

    Returns
    -------
    DataTree
        The fit, in memory.

    Raises
    ------
    FileNotFoundError
        If there is nothing at `path`.
    TypeError
        If the file does not hold a fit of this package.

    Examples
    --------
    >>> import hierrl as hr
    >>> fit = hr.load("fit.nc")  # doctest: +SKIP
    """
    if not Path(path).exists():
        raise FileNotFoundError(
            f"There is no file {str(path)!r}. Save a fit first: fit.to_netcdf({str(path)!r})."
        )
    # Zarr's consolidated metadata are no part of its format: stores with and without them are read alike.
    how: dict[str, Any] = (
        {"engine": "zarr", "consolidated": False} if Path(path).is_dir() else {"engine": "h5netcdf"}
    )
    try:
        with xr.open_datatree(path, **how) as tree:
            fit = tree.load()
    except OSError as error:
        raise TypeError(
            f"{str(path)!r} is not a file that fit.to_netcdf wrote, nor a folder of fit.to_zarr ({error}). "
            "Tables of choices are read by hr.behaviour."
        ) from error
    check_fit(fit)
    return fit


def _posterior(problem: Problem, draws: npt.NDArray[np.float64]) -> xr.Dataset:
    named = {
        name: (("chain", "draw", *dims), values) for name, (dims, values) in problem.unpack(draws).items()
    }
    chains, length = draws.shape[:2]
    coords = {"chain": np.arange(chains), "draw": np.arange(length), "subject": problem.subjects}
    if any("arm" in dims for dims, _ in named.values()):
        coords["arm"] = problem.arms
    return xr.Dataset(named, coords=coords)


def _fit_stats(problem: Problem, stats: Mapping[str, npt.ArrayLike]) -> xr.Dataset:
    variables = {}
    for name, default in {**BY_SUBJECT, **BY_PARAMETER, **stats}.items():
        dims = ("subject",) if name not in BY_PARAMETER and np.ndim(default) < 2 else ("subject", "parameter")
        size = tuple({"subject": problem.n_subjects, "parameter": problem.n_parameters}[dim] for dim in dims)
        text, unit = DESCRIPTIONS.get(name, ("", ""))
        attributes = {key: value for key, value in (("long_name", text), ("units", unit)) if value}
        values = np.broadcast_to(
            np.asarray(default, dtype=object if isinstance(default, str) else None), size
        )
        variables[name] = (dims, values.copy(), attributes)
    coords = {"subject": problem.subjects, "parameter": np.array(problem.labels, dtype=object)}
    return xr.Dataset(variables, coords=coords)


def warn_of_failures(fit: xr.DataTree) -> None:
    """One warning that counts the subjects that did not converge and says where to look."""
    stats = fit.children["fit_stats"].dataset
    failed = stats["subject"].values[~stats["converged"].values]
    if failed.size:
        warnings.warn(
            f"{failed.size} of {stats.sizes['subject']} subjects did not converge (the first: {failed[0]}). "
            "fit['fit_stats']['status'] has a sentence on each; their estimates are kept.",
            stacklevel=3,
        )
