"""Do the two samplers of `fit_posterior` give the same population, and the right one? Long runs.

    python benchmarks/agreement.py                                 # simulated studies
    python benchmarks/agreement.py --folder DATA                   # and fitzgerald_reversal, from that folder
    python benchmarks/agreement.py --only typical-20 hard-20       # some of them; the others' results stay

Both get the same weak prior. Of every mean (mu) and every log spread of the population on the link scale: posterior
mean and standard deviation under NUTS, under the marginal sampler, and for simulated studies, whose subjects have two
parameters, by quadrature, each with its Monte Carlo error. Results go to benchmarks/results/agreement.json, study by
study, and from there into docs/marginal.md (`benchmarks/agreement_page.py`).
"""

from __future__ import annotations

import argparse
import json
import platform
import warnings
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import arviz as az
import numpy as np
import xarray as xr
from posterior_studies import Study
from quadrature import exact_population

import hierrl as hr
from hierrl.fits import settings_of
from hierrl.models.model import Model

RESULTS = Path(__file__).parent / "results" / "agreement.json"
SIZES = (20, 50, 500)
REAL = "fitzgerald_reversal"
DRAWS = {"typical": 2500, "hard": 4000, REAL: 2000}
"""Of each of four chains and method: as many as make Monte Carlo errors small beside .05."""
MANY, COARSER = 200, {"n_grid": 241, "n_draws": 10_000}
"""Quadrature of more subjects than this has fewer points and draws."""
TARGET_ACCEPT = 0.9
"""Of NUTS, which is the yardstick here: smaller steps than by default."""


class Task(NamedTuple):
    """A study that both methods fit."""

    name: str
    n_subjects: int
    make: Callable[[], tuple[Model, xr.Dataset]]
    draws: int


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--folder", type=Path, help=f"where {REAL}.csv.gz lies; without it only simulated studies"
    )
    parser.add_argument("--only", nargs="+", help="names of studies, such as typical-20")
    parser.add_argument("--draws", type=int, help="of each chain, in place of those of each study")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    for task in tasks(options.folder):
        if options.only and task.name not in options.only:
            continue
        found = agreement(task, draws=options.draws or task.draws, seed=options.seed)
        keep(options.results, task.name, found)
        print(*said(task.name, found), sep="\n", flush=True)


def tasks(folder: Path | None) -> list[Task]:
    """Simulated studies, then the real one if its folder is known."""
    made = [
        Task(f"{name}-{n}", n, lambda name=name, n=n: _simulated(name, n), DRAWS[name])
        for name in ("typical", "hard")
        for n in SIZES
    ]
    if folder is None:
        return made
    path = folder / f"{REAL}.csv.gz"
    if not path.exists():
        raise SystemExit(f"There is no {path}. Give the folder with the real data: --folder DATA.")
    return [*made, Task(REAL, 79, lambda: (hr.model("subvalue"), hr.behaviour(path)), DRAWS[REAL])]


def _simulated(name: str, n_subjects: int) -> tuple[Model, xr.Dataset]:
    study = Study.of(name, n_subjects)
    return study.model, study.data


def agreement(task: Task, *, draws: int, seed: int) -> dict[str, Any]:
    """Fit by both methods and compare."""
    model, data = task.make()
    start, prior = hr.fit_convex(model, data, progress=False), hr.weak_prior(model, data)
    fits, seconds = {}, {}
    for method, options in (("nuts", {"target_accept": TARGET_ACCEPT}), ("marginal", {})):
        began = perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what they say is kept
            fits[method] = hr.fit_posterior(
                model, data, prior=prior, start=start, method=method,
                draws=draws, random_seed=seed, progress=False, **options,
            )  # fmt: skip
        seconds[method] = round(perf_counter() - began, 1)
    settings = {method: settings_of(fit) for method, fit in fits.items()}
    numbers = {method: numbers_of(fit["population"].to_dataset()) for method, fit in fits.items()}
    found = {method: [summary(draws) for draws in one.values()] for method, one in numbers.items()}
    if len(prior.labels) == 2:
        began = perf_counter()
        found["exact"] = exactly(model, data, prior, near=np.stack(list(numbers["marginal"].values())))
        seconds["exact"] = round(perf_counter() - began, 1)
    return {
        "subjects": task.n_subjects,
        "trials": data.sizes["trial"],
        "draws": draws,
        "seed": seed,
        "version": hr.__version__,
        "machine": platform.machine(),
        "seconds": seconds,
        "diagnostics": {method: one["diagnostics"] for method, one in settings.items()},
        "rounds": settings["marginal"]["rounds"],
        "numbers": [" of ".join(key) for key in numbers["nuts"]],
        "found": found,
    }


def numbers_of(population: xr.Dataset) -> dict[tuple[str, str], np.ndarray]:
    """Draws (chain, draw) of every mean, then of every log spread."""
    labels = [str(label) for label in population["parameter"].values]
    mu = population["mu"].isel(coefficient=0).transpose("parameter", "chain", "draw").values
    log_sigma = np.log(population["sigma"].transpose("parameter", "chain", "draw").values)
    means = {("mean", label): draws for label, draws in zip(labels, mu, strict=True)}
    return means | {("log spread", label): draws for label, draws in zip(labels, log_sigma, strict=True)}


def summary(draws: np.ndarray) -> dict[str, float]:
    """Mean and standard deviation, and their Monte Carlo errors as shares of the standard deviation."""
    of_mean, of_sd = (float(az.ess(draws, method=method)) for method in ("mean", "sd"))
    return {
        "mean": float(draws.mean()),
        "sd": float(draws.std(ddof=1)),
        "mean_error": float(of_mean**-0.5),
        "sd_error": float((2 * of_sd) ** -0.5),  # were the posterior normal
    }


def exactly(model: Model, data: xr.Dataset, prior: hr.Prior, *, near: np.ndarray) -> list[dict[str, float]]:
    """The same without a sampler, given draws (4, chain, draw) that say where to look."""
    flat = near.reshape(len(near), -1)
    size = COARSER if data.sizes["subject"] > MANY else {}
    exact = exact_population(model, data, prior, centre=flat.mean(axis=1), covariance=np.cov(flat), **size)
    columns = (exact.mean, exact.sd, exact.mean_error, exact.sd_error)
    names = ("mean", "sd", "mean_error", "sd_error")
    return [dict(zip(names, map(float, row), strict=True)) for row in zip(*columns, strict=True)]


def against(one: dict[str, float], other: dict[str, float]) -> dict[str, float]:
    """By what the second differs from the first, in standard deviations of the first, with Monte Carlo errors."""
    return {
        "shift": (other["mean"] - one["mean"]) / one["sd"],
        "shift_error": float(np.hypot(one["mean_error"], other["mean_error"])),
        "ratio": other["sd"] / one["sd"],
        "ratio_error": float(np.hypot(one["sd_error"], other["sd_error"])),
    }


def keep(path: Path, name: str, found: dict[str, Any]) -> None:
    """Put a study's results among those of the others."""
    results = json.loads(path.read_text()) if path.exists() else {}
    results[name] = found
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n")


def said(name: str, found: dict[str, Any]) -> list[str]:
    """For a terminal: every method against the reference, exact where there is one."""
    all_found = found["found"]
    reference = "exact" if "exact" in all_found else "nuts"
    lines = [f"{name}: seconds {found['seconds']}"]
    for method in (one for one in all_found if one != reference):
        for number, one, other in zip(found["numbers"], all_found[reference], all_found[method], strict=True):
            by = against(one, other)
            lines.append(
                f"  {method} - {reference}, {number}: shift {by['shift']:+.3f} ({by['shift_error']:.3f}), "
                f"sd ratio {by['ratio']:.3f} ({by['ratio_error']:.3f})"
            )
    return lines


if __name__ == "__main__":
    main()
