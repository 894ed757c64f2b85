"""Every model of the catalogue, and an own one, tried at everything the package does. For docs/model_table.md.

    python benchmarks/models.py                      # all models: about ten minutes of processor time
    python benchmarks/models.py --only rw kalman     # these alone; the others stay as they were in the results
    python benchmarks/models.py --quick --only rw --results /tmp/models.json

For each model: subjects are simulated in a task that suits it (`model_designs.py`), 100 and 400 trials each, and fitted
by the convex estimate and by maximum likelihood; estimates are correlated with the truth (Spearman, all subjects, those
on a bound included). For a few of them the maximum is proven by branch and bound. A small study is sampled with both
samplers. The log-likelihood and its gradient are timed as the samplers call them. What can't be done is recorded with
the sentence that the package gives. Numbers go to benchmarks/results/models.json; `models_page.py` puts them into the
docs.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import xarray as xr
from groups import keep
from model_designs import Design, designs
from scipy.stats import spearmanr

import hierrl as hr
from hierrl.fits import problem_of, settings_of
from hierrl.kernels.abreast import all_pass
from hierrl.kernels.lanes import side_by_side
from hierrl.kernels.problem import prepare
from hierrl.models.recursion import Recursion
from hierrl.simulate import truth_of

RESULTS = Path(__file__).parent / "results" / "models.json"
TRIALS = (100, 400)
N_SUBJECTS = 100
FEWER = dict.fromkeys(("fictitious_dual", "gain_loss_decay", "pvl_delta", "pvl_decay", "vpp", "orl"), 50)
"""Subjects of models whose relaxation is slow."""
PROVEN, TOLERANCE, BUDGET = 10, 1e-3, 1.0
"""Subjects whose maximum is to be proven, nats, and seconds for each."""
STUDY = (12, 100)
"""Subjects and trials of the study that is sampled."""
DRAWS, CHAINS = 500, 4
RUNS = 20
"""Of which the quickest is the cost of a gradient."""
ROUNDING = 1e-6
NANO, MILLI = 1e9, 1e3


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", help="names of models")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--quick", action="store_true", help="a tenth of the subjects")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    known = designs()
    for name in options.only or known:
        for part in options.parts:
            began = process_time()
            keep(options.results, f"{name} {part}", PARTS[part](name, known[name], options))
            print(f"{name} {part}: {process_time() - began:.1f} s of processor time", flush=True)


def recovery(name: str, design: Design, options: argparse.Namespace) -> dict[str, Any]:
    """Truth and estimates, by number of trials."""
    subjects = FEWER.get(name, N_SUBJECTS) // (10 if options.quick else 1)
    found: dict[str, Any] = {
        "task": design.task,
        "subjects": subjects,
        "parameters": list(design.model.names),
        "ranges": {parameter: list(ends) for parameter, ends in design.ranges.items()},
        "bound": design.model.supports.bound and not isinstance(design.model, Recursion),
        "reasons": list(design.model.supports.reasons),
        "trials": {},
    }
    for n_trials in TRIALS:
        rng = np.random.default_rng([options.seed, n_trials])
        found["trials"][str(n_trials)] = fitted(design, design.data(n_trials, subjects, rng))
    return found


def fitted(design: Design, data: xr.Dataset) -> dict[str, Any]:
    """What point fits make of behaviour whose truth is known."""
    out: dict[str, Any] = {"estimators": {}}
    start = None
    for estimator in ("convex", "mle"):
        if estimator == "convex" and isinstance(design.model, Recursion):
            continue
        began = process_time()
        fit = quietly(hr.fit_convex, design.model, data) if estimator == "convex" else None
        fit = quietly(hr.fit_mle, design.model, data, start=start) if fit is None else fit
        out["estimators"][estimator] = {
            **told(fit, data),
            "cpu_ms": MILLI * (process_time() - began) / data.sizes["subject"],
        }
        start = fit
    return out


def told(fit: xr.DataTree, data: xr.Dataset) -> dict[str, Any]:
    """Correlations of estimates with the truth, estimates on bounds, and the gap of the bound."""
    stats, truth = fit["fit_stats"].to_dataset(), truth_of(data)
    estimates = fit["posterior"].to_dataset().squeeze(["chain", "draw"])
    last = {name: {"arm": -1} if "arm" in truth[name].dims else {} for name in truth.data_vars}
    gap = stats["gap"].values
    return {
        "spearman": {
            str(name): ranked(truth[name].isel(last[name]).values, estimates[name].isel(last[name]).values)
            for name in truth.data_vars
        },
        "at_bound": {
            str(label).partition("[")[0]: float(stats["at_bound"].sel(parameter=label).mean())
            for label in stats["parameter"].values
        },
        "gap": None if np.isnan(gap).all() else float(np.nanmedian(gap)),
        "certified": float(stats["certified"].mean()),
        "unfinished": int((~stats["converged"]).sum()),
        "truth_is_better": outdone(fit, data),
    }


def outdone(fit: xr.DataTree, data: xr.Dataset) -> int:
    """Subjects whose true parameters fit better than their estimates: an optimiser that finds the top has none."""
    problem = problem_of(fit)
    truth = problem.clip(problem.pack(truth_of(data)).reshape(problem.n_subjects, -1))
    return int((problem.loglik(truth) > fit["fit_stats"]["loglik"].values + ROUNDING).sum())


def ranked(truth: Any, estimate: Any) -> float | None:
    """Spearman's correlation; estimates on the same bound tie. None if all estimates are alike."""
    if np.ptp(estimate) == 0 or not np.isfinite(estimate).all():
        return None
    return float(spearmanr(truth, estimate).statistic)


def proof(name: str, design: Design, options: argparse.Namespace) -> dict[str, Any] | None:
    """Share of some subjects' maxima that branch and bound proves."""
    if isinstance(design.model, Recursion) or not design.model.supports.bound:
        return None
    rng = np.random.default_rng([options.seed, STUDY[1]])
    data = design.data(STUDY[1], PROVEN, rng)
    fit = quietly(hr.fit_mle, design.model, data, certify=TOLERANCE, budget=BUDGET)
    stats = fit["fit_stats"].to_dataset()
    return {
        "subjects": PROVEN,
        "certified": float(stats["certified"].mean()),
        "gap": float(stats["gap"].median()),
        "most": float(stats["gap"].max()),
    }


def posterior(name: str, design: Design, options: argparse.Namespace) -> dict[str, Any]:
    """Both samplers on a small study; why not, where one refuses."""
    n_subjects, n_trials = STUDY
    data = design.data(n_trials, n_subjects, np.random.default_rng([options.seed, n_subjects]))
    run = {"draws": DRAWS, "chains": CHAINS, "random_seed": options.seed}
    found: dict[str, Any] = {}
    for method in ("nuts", "marginal"):
        began = perf_counter()
        try:
            fit = quietly(hr.fit_posterior, design.model, data, method=method, **run)
        except ValueError as error:
            found[method] = {"refused": str(error)}
            continue
        found[method] = {
            **settings_of(fit)["diagnostics"],
            "seconds": perf_counter() - began,
            "parametrization": settings_of(fit)["parametrization"],
        }
    return found


def gradient(name: str, design: Design, options: argparse.Namespace) -> dict[str, Any]:
    """Nanoseconds per trial of the log-likelihood of all subjects and its gradient, in one thread."""
    rng = np.random.default_rng([options.seed, TRIALS[0]])
    data = design.data(TRIALS[0], N_SUBJECTS, rng)
    problem = prepare(design.model, data)
    theta = np.ascontiguousarray(problem.clip(problem.pack(truth_of(data)).reshape(N_SUBJECTS, -1)))
    run = pass_of(problem, theta)
    run()
    seconds = []
    for _ in range(RUNS):
        began = perf_counter()
        run()
        seconds.append(perf_counter() - began)
    return {"ns": NANO * min(seconds) / problem.n_trials, "arms": int(problem.arms.size)}


def pass_of(problem: Any, theta: Any) -> Callable[[], Any]:
    """Value and gradient at theta (S, P), as the samplers' compiled model calls them."""
    value, slope = np.empty(theta.shape[0]), np.empty(theta.shape)
    if isinstance(problem.model, Recursion):
        everybody, empty = np.arange(theta.shape[0]), np.empty((theta.shape[0], 0, 0))
        one_pass = problem.tables.loops.pass_1
        return lambda: one_pass(everybody, theta, *problem.trials, value, slope, empty)
    lanes = side_by_side(problem.trials)
    return lambda: all_pass(problem.tables, lanes, theta, value, slope)


def quietly(fit: Callable[..., xr.DataTree], *arguments: Any, **options: Any) -> xr.DataTree:
    """A fit; what it warns of is in its statuses and settings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fit(*arguments, progress=False, **options)


PARTS = {"recovery": recovery, "proof": proof, "posterior": posterior, "gradient": gradient}

if __name__ == "__main__":
    main()
