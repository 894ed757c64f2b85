"""Do the two samplers of `fit_posterior` give the same population, and the right one? Long runs.

    python benchmarks/agreement.py                                 # simulated studies
    python benchmarks/agreement.py --folder DATA                   # and fitzgerald_reversal, from that folder
    python benchmarks/agreement.py --only typical-20 hard-20       # some of them; the others' results stay

Both get the same prior: weak for simulated studies; the real one is the posterior of `groups.py`. Of every mean (mu)
and every log spread of the population on the link scale: posterior mean and standard deviation under NUTS, under the
marginal sampler, and for simulated studies, whose subjects have two parameters, by quadrature, each with its Monte
Carlo error. Results go to benchmarks/results/agreement.json, study by study, and from there into docs/marginal.md
(`benchmarks/agreement_page.py`).
"""

from __future__ import annotations

import argparse
import json
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import arviz as az
import groups
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
DRAWS = {"typical": 2500, "hard": 4000}
"""Of each of four chains and method: as many as make Monte Carlo errors small beside .05."""
MANY, COARSER = 200, {"n_grid": 241, "n_draws": 10_000}
"""Quadrature of more subjects than this has fewer points and draws."""
METHODS = {"nuts": {"target_accept": 0.9}, "marginal": {}}
"""NUTS with smaller steps than by default, as it is a yardstick here."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--folder", type=Path, help=f"where {REAL}.csv.gz lies; without it only simulated studies"
    )
    parser.add_argument("--fits", type=Path, help="a folder for the fits of the real study, as in groups.py")
    parser.add_argument("--only", nargs="+", help="names of studies, such as typical-20")
    parser.add_argument("--draws", type=int, help="of each chain, in place of those of each study")
    parser.add_argument(
        "--without-nuts", action="store_true", help="of simulated studies: quadrature is exact"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    wanted = [f"{name}-{n}" for name in DRAWS for n in SIZES] + ([REAL] if options.folder else [])
    for name in options.only or wanted:
        found = real(options) if name == REAL else simulated(name, options)
        keep(options.results, name, found)
        print(*said(name, found), sep="\n", flush=True)


def simulated(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Fit a simulated study by both methods, and without a sampler."""
    kind, _, n = name.partition("-")
    study, draws = Study.of(kind, int(n)), options.draws or DRAWS[kind]
    start = hr.fit_convex(study.model, study.data, progress=False)
    prior = hr.weak_prior(study.model, study.data)
    fits = {}
    for method, more in METHODS.items():
        if method == "nuts" and options.without_nuts:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what they say is kept
            fits[method] = hr.fit_posterior(
                study.model, study.data, prior=prior, start=start, method=method,
                draws=draws, random_seed=options.seed, progress=False, **more,
            )  # fmt: skip
    near = np.stack(list(numbers_of(fits["marginal"]["population"].to_dataset()).values()))
    exact = exactly(study.model, study.data, prior, near=near)
    return recorded(fits) | {"seed": options.seed, "found": found_in(fits) | {"exact": exact}}


def real(options: argparse.Namespace) -> dict[str, Any]:
    """Likewise a real study, without quadrature: four parameters of each subject, twelve coefficients."""
    analysis = next(one for one in groups.ANALYSES if one.name == REAL)
    data = analysis.read(options.folder)
    fits = {
        method: groups.kept(
            options.fits,
            f"{REAL}_{method}",
            partial(groups.fitted, method, data, formula=analysis.formula, random_seed=options.seed),
        )
        for method in ("nuts", "marginal")
    }
    return recorded(fits) | {"seed": options.seed, "found": found_in(fits)}


def recorded(fits: dict[str, xr.DataTree]) -> dict[str, Any]:
    """What is known of two fits besides their draws."""
    settings = {method: settings_of(fit) for method, fit in fits.items()}
    fit, one = fits["marginal"], settings["marginal"]
    return {
        "subjects": fit["posterior"].sizes["subject"],
        "trials": fit["observed_data"].sizes["trial"],
        "draws": one["draws"] * one["chains"],
        "version": hr.__version__,
        "seconds": {method: round(sum(one["seconds"].values()), 1) for method, one in settings.items()},
        "diagnostics": {method: one["diagnostics"] for method, one in settings.items()},
        "rounds": settings["marginal"]["rounds"],
        "numbers": [" of ".join(key) for key in numbers_of(fit["population"].to_dataset())],
    }


def found_in(fits: dict[str, xr.DataTree]) -> dict[str, list[dict[str, float]]]:
    """Every number of the population under each method."""
    return {
        method: [summary(draws) for draws in numbers_of(fit["population"].to_dataset()).values()]
        for method, fit in fits.items()
    }


def numbers_of(population: xr.Dataset) -> dict[tuple[str, str], np.ndarray]:
    """Draws (chain, draw) of every mean or coefficient, then of every log spread."""
    labels = [str(label) for label in population["parameter"].values]
    names = ["mean" if str(name) == "Intercept" else str(name) for name in population["coefficient"].values]
    mu = population["mu"].transpose("parameter", "coefficient", "chain", "draw").values
    log_sigma = np.log(population["sigma"].transpose("parameter", "chain", "draw").values)
    means = {
        (name, label): mu[k, c]
        for k, label in enumerate(labels)
        for c, name in enumerate(names)
        if np.isfinite(mu[k, c]).all()
    }
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
