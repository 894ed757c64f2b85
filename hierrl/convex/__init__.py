"""The convex step: fast estimates per subject with an upper bound on the log-likelihood of every parameter
value.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.convex.branch import Proof, prove
from hierrl.convex.hull import LOOSE, STATUS, Relaxation, logits_of, relaxation_and_leaves
from hierrl.convex.layout import Hull, lay_out
from hierrl.convex.recovery import recover, starts_from
from hierrl.convex.search import search
from hierrl.data import check_behaviour
from hierrl.fits import build_fit, warn_of_failures
from hierrl.kernels.newton import Maximum
from hierrl.kernels.problem import Problem, prepare
from hierrl.kernels.tables import START
from hierrl.models.given import check_model
from hierrl.models.model import Model
from hierrl.oddities import at_bound, statuses

CERTIFIED = 1e-3
"""Nats of gap up to which the bound counts as proof that no parameter value fits better."""

SPLITS = 1
"""How often a box of rates is split by default where the relaxation is loose."""

KEPT = 2
"""Points of a search whose weights are solved for to the end."""

SEARCHED = "The best of a fixed set of shape parameters, with all weights solved for; there is no bound."
INTERRUPTED = "Not fitted: interrupted."
UNSOLVED = "The estimate's weights were not solved for to their tolerance."

__all__ = ["CERTIFIED", "fit_convex"]


def fit_convex(
    model: Model,
    data: xr.Dataset,
    *,
    relaxation: Literal["hull", "monotone"] = "hull",
    cores: int | None = None,
    progress: bool = True,
    **options: Any,
) -> xr.DataTree:
    r"""Estimate every subject through a convex relaxation, with a bound on what any estimate could reach.

    The hull relaxation replaces a channel's path at one rate by mixtures of its paths at all rates,
    :math:`\int F(\rho)\,dw(\rho)` with :math:`w \ge 0` and total mass within the bounds of the weight. Its
    optimum bounds
    the log-likelihood of every parameter value within bounds, which ``bound`` certifies whatever the solver
    did;
    collapsing each mixture to one rate and solving for the weights gives the estimate. No step is non-convex.

    Parameters
    ----------
    model : Model
        What to fit.
    data : Dataset
        Behaviour from `behaviour`.
    relaxation : {"hull", "monotone"}
        ``"monotone"`` is the relaxation of Zhu et al. (2025), solved with CVXPY: free kernels that never
        increase with the lag. It is looser and slower; it shows the kernel without a model.
    cores : int, optional
        Threads; all cores if not given.
    progress : bool
        Show a progress bar on a terminal.
    **options
        For ``"hull"``: ``splits``, how often the rates of a subject are split in two where the gap exceeds 0.01 nats
        (1 if not given, 0 with exponents of utilities; 0 leaves the plain hull). For ``"monotone"``: ``horizon``,
        longest lag; ``solver``, any that CVXPY can hand exponential cones to, and its settings;
        ``mass_bound``, see `hierrl.convex.monotone`; ``penalty`` and ``constraints``, functions of the
        kernels (label -> CVXPY expression (subjects, lags)) that return a convex expression and a list of
        constraints; ``joint=True``, one problem for all subjects, so that these can tie them together.

    Returns
    -------
    DataTree
        ``posterior`` with one chain and one draw, dims (chain, draw, subject[, arm]) in raw reward units;
        ``fit_stats`` with ``loglik``, ``bound`` and ``gap`` (nats) by subject; ``relaxation`` with ``logit``
        (trial, arm) of the relaxed optimum and its atoms or kernels; for ``"monotone"`` also ``recovery``, the
        parameters closest to the kernels by Fisher information and by plain least squares, before the weights are
        solved for. ``bound`` is NaN where the relaxation
        does not contain the model; ``fit["fit_stats"]["bound"].attrs["reason"]`` says why.

    Raises
    ------
    TypeError, ValueError
        If the data are not a behaviour Dataset or lack a column that the model needs, or the model is a `Recursion`.

    Notes
    -----
    Source of the problem and of the monotone relaxation: Zhu, Hoffmann, Zhang & Boedecker, arXiv 2511.04454.

    Examples
    --------
    >>> import hierrl as hr
    >>> task = hr.Bandit(odds=(0.8, 0.2), n_trials=120)
    >>> data = hr.simulate(hr.model("rw"), task, {"alpha": 0.3, "beta": 4.0}, n_subjects=3, random_seed=1)
    >>> fit = hr.fit_convex(hr.model("rw"), data)
    >>> bool((fit["fit_stats"]["gap"] >= 0).all())
    True
    """
    fit = convex_fit(model, data, relaxation=relaxation, cores=cores, progress=progress, **options)
    warn_of_failures(fit)
    return fit


def convex_fit(
    model: Model,
    data: xr.Dataset,
    *,
    relaxation: str = "hull",
    cores: int | None = None,
    progress: bool = True,
    **options: Any,
) -> xr.DataTree:
    """As `fit_convex`, without its warning: for estimators that go on from there and speak for themselves."""
    check_model(model)
    check_behaviour(data)
    if not model.supports.relaxation:
        raise ValueError(f"fit_convex can't fit {model.name!r}. {' '.join(model.supports.reasons)}")
    started = perf_counter()
    problem = prepare(model, data)
    if relaxation == "hull":
        # where exponents are mixed the relaxation lies nats above the model, and one split takes little of that away
        splits = options.pop("splits", 0 if problem.tables.power.any() else SPLITS)
        _refuse(options, "hull")
        parts = _fit_hull(problem, splits=splits, cores=cores, progress=progress)
    elif relaxation == "monotone":
        parts = _fit_monotone(problem, cores=cores, progress=progress, **options)
    else:
        raise ValueError(f"relaxation={relaxation!r} is not one of ('hull', 'monotone').")
    estimate, bound, reasons, outcome, seconds, group = parts
    certified = bound - estimate.loglik <= CERTIFIED
    settings = {
        "estimator": "convex",
        "relaxation": relaxation,
        "options": _recordable(options),
        "bound_missing": reasons,
    }
    fit = build_fit(
        problem,
        data,
        estimate.theta,
        stats={
            "loglik": estimate.loglik,
            "bound": bound,
            "gap": bound - estimate.loglik,
            "converged": estimate.converged,
            "certified": certified,
            "status": statuses(problem, _told(outcome, estimate, certified), estimate.theta),
            "seconds": seconds + estimate.seconds,
            "at_bound": at_bound(problem, estimate.theta),
        },
        settings={**settings, "seconds": perf_counter() - started},
        groups={"relaxation": group},
    )
    if reasons:
        fit["fit_stats"]["bound"].attrs["reason"] = " ".join(reasons)
    return fit


Parts = tuple[Maximum, npt.NDArray[np.float64], list[str], list[str], npt.NDArray[np.float64], xr.Dataset]
"""The estimate, its bound, reasons why there is none, a sentence by subject, seconds, and the relaxed optimum."""


def _told(outcome: list[str], estimate: Maximum, certified: npt.NDArray[np.bool_]) -> list[str]:
    """What became of the relaxation, and of the estimate where its weights were not solved for to the end."""
    short = estimate.done & ~estimate.converged & ~certified
    return [f"{told} {UNSOLVED}" if left else told for told, left in zip(outcome, short, strict=True)]


def _fit_hull(problem: Problem, *, splits: int, cores: int | None, progress: bool) -> Parts:
    if any(channel.learner != "delta" for channel in problem.model.channels):
        return _fit_search(problem, cores=cores, progress=progress)
    hull = lay_out(problem)
    solution, leaves = relaxation_and_leaves(problem, hull, cores=cores, progress=progress)
    starts = starts_from(problem, hull, solution)
    if problem.tables.power.any():  # mixtures over exponents collapse badly
        starts = np.concatenate([starts, search(problem, keep=KEPT, cores=cores)], axis=1)
    estimate = recover(problem, starts, cores=cores, progress=progress)
    bound = np.full(problem.n_subjects, np.nan) if hull.reasons else solution.bound
    done = solution.done & estimate.done
    if splits and not hull.reasons and done.all():
        known = Proof(estimate.theta, estimate.loglik, bound, solution.nodes, solution.seconds)
        better = prove(
            problem, hull, known, tolerance=LOOSE, splits=splits, leaves=leaves, find=recover, cores=cores
        )
        estimate = estimate._replace(theta=better.theta, loglik=better.loglik)
        bound, solution = better.bound, solution._replace(nodes=better.nodes, seconds=better.seconds)
    estimate = _without_interrupted(estimate, done)
    outcome = [
        STATUS[int(code)] if ok else INTERRUPTED
        for code, ok in zip(solution.outcome, estimate.done, strict=True)
    ]
    group = _relaxation_group(problem, hull, solution)
    return estimate, bound, list(hull.reasons), outcome, solution.seconds, group


def _fit_search(problem: Problem, *, cores: int | None, progress: bool) -> Parts:
    """Without a relaxation: the best of a fixed set of shape parameters, its weights solved for."""
    starts = search(problem, keep=KEPT, cores=cores, progress=progress)
    estimate = recover(problem, starts, cores=cores, progress=progress)
    estimate = _without_interrupted(estimate, estimate.done)
    outcome = [SEARCHED if ok else INTERRUPTED for ok in estimate.done]
    nothing = np.full(problem.n_subjects, np.nan)
    group = xr.Dataset(
        {
            "logit": (
                ("trial", "arm"),
                _logits_at(problem, estimate.theta),
                {"long_name": "logits of the estimate"},
            )
        },
        coords={"trial": np.arange(problem.n_trials), "arm": problem.arms},
    )
    return estimate, nothing, list(problem.model.supports.reasons), outcome, np.zeros_like(nothing), group


def _without_interrupted(estimate: Maximum, done: npt.NDArray[np.bool_]) -> Maximum:
    """The estimate, with nothing for subjects whom Ctrl-C has left out at any stage."""
    done = done & ~np.isnan(estimate.theta).any(axis=1)
    theta = np.where(done[:, None], estimate.theta, np.nan)
    return estimate._replace(theta=theta, converged=estimate.converged & done, done=done)


def _logits_at(problem: Problem, theta: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(n, m) up to a constant on each trial; those of the softmax, without lapse."""
    without = [1.0 if parameter.kind != "lapse" else 0.0 for _, parameter, _ in problem.scalars]
    with np.errstate(divide="ignore"):
        return np.log(problem.probabilities(np.nan_to_num(theta * without)))


def _fit_monotone(problem: Problem, *, cores: int | None, progress: bool, **options: Any) -> Parts:
    # cvxpy takes a second to import, which the default relaxation does not need to pay
    from hierrl.convex.monotone import solve_monotone
    from hierrl.convex.steps import no_kernel

    for c in range(len(problem.model.channels)):
        if reason := no_kernel(problem, c):
            raise ValueError(
                f"relaxation='monotone' needs a kernel. {reason} Use the default relaxation, or fit_mle."
            )
    result = solve_monotone(problem, cores=cores, progress=progress, **options)
    starts = np.stack([result.theta, result.theta_plain], axis=1)
    estimate = recover(problem, starts, cores=cores, progress=progress)
    outcome = list(result.status)
    return estimate, result.bound, list(result.reasons), outcome, result.seconds, result.to_dataset(problem)


def _relaxation_group(problem: Problem, hull: Hull, solution: Relaxation) -> xr.Dataset:
    """The relaxed optimum: logits by trial and arm, and the atoms by subject, weights in raw reward units."""
    width = max(int(solution.n.max(initial=0)), 1)
    group, layout = solution.group[:, :width], hull.layout
    used = np.arange(width) < solution.n[:, None]
    channel = np.where(group >= 0, _pick(layout.channel, group), -1)
    arm = np.where(group >= 0, _pick(layout.arm, group), -1)
    sign = np.where(group >= 0, _pick(layout.sign, group), 1.0)
    outcome = np.array([c.unit == 1 for c in problem.model.channels] or [False])
    factor = np.where((channel >= 0) & outcome[channel], 1.0 / problem.reward_scale, 1.0)
    starts = layout.axis[:, START]
    is_start = (group >= 0)[:, :, None] & (
        _pick(starts, group)[:, :, None] == np.arange(layout.axis_low.shape[1])
    )
    unit = np.where(is_start & ((channel >= 0) & outcome[channel])[:, :, None], problem.reward_scale, 1.0)
    weight = np.where(used, sign * solution.coefficient[:, :width] * factor, np.nan)
    by_atom = ("subject", "atom")
    return xr.Dataset(
        {
            "logit": (
                ("trial", "arm"),
                logits_of(problem, hull, solution),
                {"long_name": "logits of the relaxed optimum, up to a constant on each trial"},
            ),
            "loglik": (
                "subject",
                solution.value,
                {"long_name": "log-likelihood of the relaxed optimum", "units": "nats"},
            ),
            "weight": (by_atom, weight, {"long_name": "weight of the atom, in raw reward units"}),
            "shape": (
                (*by_atom, "axis"),
                np.where(used[:, :, None], solution.point[:, :width] * unit, np.nan),
                {"long_name": "rates, then start value, of the atom; NaN where it has none"},
            ),
            "channel": (by_atom, channel, {"long_name": "channel of the atom; -1 for linear terms"}),
            "channel_arm": (by_atom, arm, {"long_name": "arm of a channel per arm; -1 = all arms"}),
            "rounds": ("subject", solution.rounds, {"long_name": "rounds of column generation"}),
            "nodes": ("subject", solution.nodes, {"long_name": "sign cases solved"}),
        },
        coords={
            "trial": np.arange(problem.n_trials),
            "arm": problem.arms,
            "subject": problem.subjects,
            "atom": np.arange(width),
        },
    )


def _pick(values: npt.NDArray, group: npt.NDArray[np.int64]) -> npt.NDArray:
    """values[group], with something harmless where there is no group."""
    return values[np.maximum(group, 0)] if values.size else np.zeros(group.shape, dtype=values.dtype)


def _refuse(options: dict[str, Any], relaxation: str) -> None:
    if options:
        raise TypeError(
            f"fit_convex(relaxation={relaxation!r}) does not take {', '.join(options)}; "
            "these belong to relaxation='monotone'."
        )


def _recordable(options: dict[str, Any]) -> dict[str, Any]:
    """Options as they can stand in JSON: functions by name."""
    return {
        name: value if isinstance(value, (int, float, str, bool, type(None))) else repr(value)
        for name, value in options.items()
    }
