"""Maximum likelihood per subject, started from the convex fit."""

from __future__ import annotations

from itertools import product
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.convex import CERTIFIED, INTERRUPTED, convex_fit, fit_convex
from hierrl.convex.branch import Proof, prove
from hierrl.convex.layout import lay_out
from hierrl.convex.recovery import concave_scalars
from hierrl.convex.search import search
from hierrl.data import check_behaviour
from hierrl.fits import build_fit, check_fit, data_of, model_of, settings_of, theta_of, warn_of_failures
from hierrl.kernels.newton import Maximum, maximise
from hierrl.kernels.problem import Problem, prepare
from hierrl.kernels.scatter import scattered_starts
from hierrl.models.given import check_model
from hierrl.models.model import Model
from hierrl.oddities import at_bound, statuses

FloatArray = npt.NDArray[np.float64]

SPREAD = (0.005, 0.05, 0.2, 0.5, 0.85)
"""Rates at which further starts are placed, all rates alike."""
CORNERS = {2: (0.003, 0.15, 0.7), 3: (0.15, 0.7)}
"""By the number of a model's rates, those whose combinations are further starts. Slow ones have basins of their own."""

SEARCHED, ROUND = 36, 4
"""At most so many further starts where more than two rates shape the paths, so many at a time."""
AGREEING, SAME = 3, 0.01
"""Rounds that must reach the same maximum, and nats within which it is the same: then a subject needs no more."""

UNDEFINED = "Not fitted: the log-likelihood was not a finite number wherever the search began."


def fit_mle(
    model: Model,
    data: xr.Dataset,
    *,
    start: xr.DataTree | None = None,
    certify: float | None = None,
    budget: float = 10.0,
    cores: int | None = None,
    progress: bool = True,
) -> xr.DataTree:
    r"""Maximum likelihood for every subject, from the convex estimate.

    A box-constrained Newton method with exact second derivatives climbs from the convex estimate, from its
    atoms, and from a few spread rates whose weights are first solved for; the best point is kept. For a `Recursion`,
    which has no convex estimate, it climbs from the likeliest of points scattered over the bounds. Where the
    convex bound meets it (``certified``), no parameter value within bounds fits better.

    Parameters
    ----------
    model : Model
        What to fit.
    data : Dataset
        Behaviour from `behaviour`.
    start : DataTree, optional
        A fit of the same model to the same subjects. Without one, or where it has no bound for these data,
        the hull relaxation runs first (for models that have one).
    certify : float, optional
        Prove by branch and bound over the rates that no parameter value within bounds is better by more than so many
        nats, and find it if there is one. Without, the bound is that of the relaxation.
    budget : float
        Seconds for each subject's proof; where it runs out, ``gap`` says how far it got.
    cores : int, optional
        Threads; all cores if not given.
    progress : bool
        Show a progress bar on a terminal.

    Returns
    -------
    DataTree
        ``posterior`` with one chain and one draw, dims (chain, draw, subject[, arm]) in raw reward units;
        ``fit_stats`` with ``loglik``, ``bound``, ``gap`` (nats), ``certified``, and by (subject, parameter)
        ``se`` (standard error on the link scale, from the observed information of the parameters that are not
        on a bound; NaN where it is singular) and ``at_bound``.

    Raises
    ------
    TypeError, ValueError
        If the data are not a behaviour Dataset, `start` is no fit of this model to these subjects, or `certify` is
        asked of a model that the relaxation does not contain.

    Examples
    --------
    >>> import hierrl as hr
    >>> task = hr.Bandit(odds=(0.8, 0.2), n_trials=120)
    >>> data = hr.simulate(hr.model("rw"), task, {"alpha": 0.3, "beta": 4.0}, n_subjects=3, random_seed=1)
    >>> fit = hr.fit_mle(hr.model("rw"), data)
    >>> bool((fit["fit_stats"]["bound"] >= fit["fit_stats"]["loglik"]).all())
    True
    """
    check_model(model)
    check_behaviour(data)
    _check_certify(model, certify)
    started = perf_counter()
    problem = prepare(model, data)
    own, relaxed = 0.0, np.full(problem.n_subjects, np.nan)
    if not model.supports.relaxation:
        best = _climb_scattered(problem, start, cores=cores, progress=progress)
    else:
        convex = _convex_fit(problem, data, start, cores=cores, progress=progress)
        best = _climb(problem, convex, start, cores=cores, progress=progress)
        known_stats = convex.children["fit_stats"].dataset
        relaxed = known_stats["bound"].values
        own = known_stats["seconds"].values if convex is not start else 0.0
    known = Proof(best.theta, best.loglik, relaxed, *_untried(problem))
    proof = known
    if certify is not None:
        proof = prove(
            problem, lay_out(problem), known, tolerance=certify, budget=budget, cores=cores, progress=progress
        )
    gap = proof.bound - proof.loglik
    tolerance = CERTIFIED if certify is None else certify
    fit = build_fit(
        problem,
        data,
        proof.theta,
        stats={
            "loglik": proof.loglik,
            "bound": proof.bound,
            "gap": gap,
            "converged": best.converged,
            "certified": gap <= tolerance,
            "nodes": proof.nodes,
            "status": statuses(problem, _outcome(best, gap <= tolerance, gap, certify), proof.theta),
            "seconds": best.seconds + proof.seconds + own,
            "se": standard_errors(problem, proof.theta),
            "at_bound": at_bound(problem, proof.theta),
        },
        settings={
            "estimator": "mle",
            "certify": certify,
            "budget": budget,
            "started": _began(model, start),
            "seconds": perf_counter() - started,
        },
    )
    if model.supports.reasons:
        fit["fit_stats"]["bound"].attrs["reason"] = " ".join(model.supports.reasons)
    warn_of_failures(fit)
    return fit


def _check_certify(model: Model, certify: float | None) -> None:
    if certify is None:
        return
    if not certify > 0:
        raise ValueError(f"certify is a tolerance in nats above 0; found {certify}. 1e-3 is a good one.")
    if not model.supports.bound:
        raise ValueError(
            f"This model's maximum can't be certified: {' '.join(model.supports.reasons)} "
            "Fit without certify=, or the model without that part."
        )


def _climb(
    problem: Problem, convex: xr.DataTree, start: xr.DataTree | None, *, cores: int | None, progress: bool
) -> Maximum:
    """The best of the climbs from the convex fit, `start` if it is another one, and spread rates.

    The spread rates are spared where the bound says that they can't lead to anything better.
    """
    candidates = [theta_of(convex, problem)[0, 0]]
    if start is not None and start is not convex:
        candidates.append(_start_values(problem, start))
    run = {"cores": cores, "progress": progress, "description": "Maximum likelihood"}
    best = maximise(problem, np.stack(candidates, axis=1), **run)
    best = best._replace(done=best.done & ~np.isnan(best.theta).any(axis=1))
    loose = ~(convex.children["fit_stats"].dataset["bound"].values - best.loglik <= CERTIFIED)
    if not best.done.all():
        return best._replace(converged=best.converged & ~loose, done=best.done & ~loose)
    if not loose.any():
        return best
    if (more := _spread(problem, candidates[0], loose, cores=cores)).shape[1]:
        best = _better(best, maximise(problem, more, **run))
    if not best.done.all() or not _needs_search(problem):
        return best
    return _climb_in_rounds(problem, best, search(problem, keep=SEARCHED, wanted=loose, cores=cores), **run)


def _climb_in_rounds(
    problem: Problem, best: Maximum, starts: FloatArray, *, progress: bool, **run: Any
) -> Maximum:
    """The best of `best` and of the climbs from starts (S, K, P): a few at a time, until rounds agree.

    Most subjects have one maximum, which the first rounds find; likelihoods with many maxima get all starts.
    """
    agreed = np.zeros(problem.n_subjects, dtype=np.int64)
    for k in range(0, starts.shape[1], ROUND):
        wanted = (agreed < AGREEING)[:, None, None]
        if np.isnan(batch := np.where(wanted, starts[:, k : k + ROUND], np.nan)).all():
            break
        found = maximise(problem, batch, progress=progress and k == 0, **run)
        agrees = np.abs(found.loglik - best.loglik) <= SAME
        agreed = np.where(found.loglik > best.loglik + SAME, 1, agreed + agrees)
        best = _better(best, found)
        if not found.done.all():
            break
    return best


def _climb_scattered(
    problem: Problem, start: xr.DataTree | None, *, cores: int | None, progress: bool
) -> Maximum:
    """The best of the climbs from the best of scattered points, and from `start` if there is one."""
    starts = scattered_starts(problem)
    if start is not None:
        check_fit(start)
        starts = np.concatenate([_start_values(problem, start)[:, None], starts], axis=1)
    run = {"cores": cores, "progress": progress, "description": "Maximum likelihood"}
    return maximise(problem, starts, **run)


def _began(model: Model, start: xr.DataTree | None) -> str:
    """From where the climb started."""
    if start is not None:
        return "start"
    return "convex" if model.supports.relaxation else "scattered"


def quick_fit(
    model: Model, data: xr.Dataset, *, cores: int | None = None, progress: bool = False
) -> xr.DataTree:
    """The fit to start others from: convex, or where a model has no relaxation, maximum likelihood."""
    fit = fit_convex if model.supports.relaxation else fit_mle
    return fit(model, data, cores=cores, progress=progress)


def _better(first: Maximum, second: Maximum) -> Maximum:
    """The better of two maxima of each subject; steps and seconds add up."""
    wins = second.loglik > first.loglik
    picked = {
        name: np.where(
            wins if name != "theta" else wins[:, None], getattr(second, name), getattr(first, name)
        )
        for name in ("theta", "loglik", "converged")
    }
    return first._replace(
        **picked, steps=first.steps + second.steps, done=second.done, seconds=first.seconds + second.seconds
    )._replace(converged=picked["converged"] & second.done)


def _untried(problem: Problem) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Nodes and seconds before any proof."""
    return np.zeros(problem.n_subjects, dtype=np.int64), np.zeros(problem.n_subjects)


def standard_errors(problem: Problem, theta: FloatArray) -> FloatArray:
    """(S, P) standard errors on the link scale from the observed information; NaN on a bound or where it is
    singular.
    """
    inside = ~at_bound(problem, theta)
    safe = np.clip(theta, problem.lower, problem.upper)
    eta = problem.to_link(np.where(inside, safe, _interior(problem)))
    # Parameters on a bound stay there: their rows are taken out, the others' derivatives are taken at the
    # estimate.
    _, gradient, hessian = problem.derivatives(safe)
    slope, bend = problem.link_slopes(problem.from_link(eta))
    information = -hessian * slope[:, :, None] * slope[:, None, :]
    diagonal = np.arange(problem.n_parameters)
    information[:, diagonal, diagonal] -= gradient * bend
    errors = np.full(theta.shape, np.nan)
    for s in range(problem.n_subjects):
        keep = np.flatnonzero(inside[s])
        block = information[s][np.ix_(keep, keep)]
        if (
            keep.size
            and np.isfinite(block).all()
            and np.linalg.eigvalsh(block)[0] > 1e-8 * max(1.0, block.diagonal().max())
        ):
            errors[s, keep] = np.sqrt(np.linalg.inv(block).diagonal())
    return errors


def _interior(problem: Problem) -> FloatArray:
    return 0.5 * (problem.lower + problem.upper)


def _convex_fit(
    problem: Problem, data: xr.Dataset, start: xr.DataTree | None, *, cores: int | None, progress: bool
) -> xr.DataTree:
    """`start` if it carries bounds for this very problem, else a hull fit."""
    if start is not None:
        check_fit(start)
        whole = not np.isnan(theta_of(start)).any()
        if whole and _same_problem(problem, data, start) and settings_of(start)["estimator"] == "convex":
            return start
    return convex_fit(problem.model, data, cores=cores, progress=progress)


def _same_problem(problem: Problem, data: xr.Dataset, start: xr.DataTree) -> bool:
    """Whether the bounds of `start` hold for `problem`: same model, same choices, outcomes and scored trials."""
    known = data_of(start)
    if model_of(start) != problem.model or settings_of(start)["reward_scale"] != problem.reward_scale:
        return False
    names = [name for name in data.data_vars if "trial" in data[name].dims]
    return all(name in known and known[name].equals(data[name]) for name in names)


def _start_values(problem: Problem, start: xr.DataTree) -> FloatArray:
    """Values of another fit for these subjects: its mean over draws."""
    if model_of(start).names != problem.model.names:
        raise ValueError(
            f"`start` is a fit of a model with {', '.join(model_of(start).names)}; "
            f"this model has {', '.join(problem.model.names)}."
        )
    subjects = list(start.children["posterior"].dataset["subject"].values)
    if missing := [subject for subject in problem.subjects if subject not in subjects]:
        raise ValueError(
            f"`start` has no subject {missing[0]!r} ({len(missing)} missing). Start from a fit to these subjects."
        )
    values = start["posterior"].to_dataset().sel(subject=problem.subjects)
    return problem.clip(problem.pack(values).mean(axis=(0, 1)))


def _spread(
    problem: Problem, theta: FloatArray, wanted: npt.NDArray[np.bool_], *, cores: int | None
) -> FloatArray:
    """Starts (S, K, P) at spread rates with the weights solved for at them; NaN for subjects that aren't wanted.

    None where other parameters than rates shape the paths: a search spreads over all of them.
    """
    if any(parameter.is_shape and parameter.kind != "rate" for _, parameter, _ in problem.scalars):
        return np.empty((problem.n_subjects, 0, problem.n_parameters))
    rates = np.array([parameter.kind == "rate" for _, parameter, _ in problem.scalars])
    patterns = [np.full(rates.sum(), rate) for rate in SPREAD]
    if rates.sum() in CORNERS:
        patterns += [np.array(corner) for corner in product(CORNERS[rates.sum()], repeat=int(rates.sum()))]
    spread = np.empty((problem.n_subjects, 0, problem.n_parameters))
    for pattern in patterns if rates.any() else []:
        at = np.where(wanted[:, None], theta, np.nan)
        at[:, rates] = pattern
        at_rate = maximise(problem, problem.clip(at), free=concave_scalars(problem), cores=cores)
        spread = np.concatenate([spread, np.where(wanted[:, None], at_rate.theta, np.nan)[:, None]], axis=1)
    return spread


def _needs_search(problem: Problem) -> bool:
    """Whether paths have a shape that spread rates don't cover: three rates and more, or other parameters."""
    kinds = [parameter.kind for _, parameter, _ in problem.scalars if parameter.is_shape]
    return len(kinds) > 2 or any(kind != "rate" for kind in kinds)


def _outcome(
    best: Maximum, certified: npt.NDArray[np.bool_], gap: FloatArray, certify: float | None
) -> list[str]:
    sentences = []
    parts = (best.done, best.converged, best.loglik, certified, gap)
    for done, converged, value, proven, left in zip(*parts, strict=True):
        if proven:
            sentences.append("Proven optimal: the bound is met.")
        elif not np.isfinite(value):
            sentences.append(UNDEFINED if done else INTERRUPTED)
        elif not done:
            sentences.append("Interrupted: the best of the starts that were tried.")
        else:
            told = "Converged" if converged else "The optimiser stopped before its tolerance was met"
            proof = f"; the proof stopped at a gap of {left:.3g} nats (raise budget=)"
            sentences.append(f"{told}{proof if certify is not None else ''}.")
    return sentences
