"""Do the two samplers of `fit_posterior` give the same population? NUTS against the marginal sampler, long runs.

    python benchmarks/agreement.py                                 # simulated studies
    python benchmarks/agreement.py --folder DATA                   # and fitzgerald_reversal, from that folder
    python benchmarks/agreement.py --only typical-20 hard-20       # some of them; the others' results stay

Both get the same weak prior. Of every mean (mu) and every log spread of the population on the link scale: by how many
posterior standard deviations the two posterior means differ, and the ratio of the two standard deviations, each with
its Monte Carlo standard error from effective draws. Results go to benchmarks/results/agreement.json, study by study,
and from there into docs/marginal.md (`benchmarks/agreement_page.py`).
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

import hierrl as hr
from hierrl.fits import settings_of
from hierrl.models.model import Model

RESULTS = Path(__file__).parent / "results" / "agreement.json"
SIZES = (20, 50, 500)
REAL = "fitzgerald_reversal"
DRAWS = {"typical": 2500, "hard": 4000, REAL: 2500}
"""Of each of four chains and method: as many as make Monte Carlo errors small beside .05."""
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
        "numbers": compared(
            fits["nuts"]["population"].to_dataset(), fits["marginal"]["population"].to_dataset()
        ),
    }


def compared(one: xr.Dataset, other: xr.Dataset) -> list[dict[str, Any]]:
    """What the second population differs by from the first, number by number."""
    rows = []
    for quantity, of in (("mu", "coefficient"), ("log_sigma", None)):
        for label in one["parameter"].values:
            sides = [_draws(population, quantity, label, of) for population in (one, other)]
            rows.append({"quantity": quantity, "parameter": str(label), **difference(*sides)})
    return rows


def _draws(population: xr.Dataset, quantity: str, label: str, of: str | None) -> np.ndarray:
    """Draws (chain, draw) of one number."""
    if of is None:
        return np.log(population["sigma"].sel(parameter=label).transpose("chain", "draw").values)
    return population[quantity].sel(parameter=label).isel({of: 0}).transpose("chain", "draw").values


def difference(one: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """Shift in standard deviations of the first, ratio of standard deviations, and Monte Carlo errors of both."""
    sd = one.std(ddof=1)
    of_mean, of_sd = (
        np.sqrt(sum(1 / float(az.ess(draws, method=method)) for draws in (one, other)))
        for method in ("mean", "sd")
    )
    return {
        "mean": float(one.mean()),
        "sd": float(sd),
        "shift": float((other.mean() - one.mean()) / sd),
        "shift_error": float(of_mean),
        "sd_ratio": float(other.std(ddof=1) / sd),
        "sd_ratio_error": float(of_sd / np.sqrt(2)),  # a standard deviation's relative error, were it normal
    }


def keep(path: Path, name: str, found: dict[str, Any]) -> None:
    """Put a study's results among those of the others."""
    results = json.loads(path.read_text()) if path.exists() else {}
    results[name] = found
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n")


def said(name: str, found: dict[str, Any]) -> list[str]:
    """For a terminal."""
    rows = [
        f"  {row['quantity']} of {row['parameter']}: shift {row['shift']:+.3f} ({row['shift_error']:.3f}), "
        f"sd ratio {row['sd_ratio']:.3f} ({row['sd_ratio_error']:.3f})"
        for row in found["numbers"]
    ]
    return [f"{name}: seconds {found['seconds']}", *rows]


if __name__ == "__main__":
    main()
