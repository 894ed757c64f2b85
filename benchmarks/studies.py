"""Simulation studies of designs: parameter recovery, model recovery, power. For docs/studies.md.

    python benchmarks/studies.py DATA                    # a folder with the real data, not part of this project
    python benchmarks/studies.py DATA --keep FOLDER      # keeps replications there, and goes on from those it finds
    python benchmarks/studies.py DATA --only recovery    # one part

Designs: the environments of Zhu et al. (2arm, 10arm; 200 trials, true values uniform in their ranges), and the
recorded schedule of *fitzgerald_reversal*, played again with true values drawn from the posterior of its 79 people.
Numbers go to benchmarks/results/studies.json; `studies_page.py` puts them into the docs.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from time import perf_counter
from typing import Any

import xarray as xr

import hierrl as hr
from hierrl.plots.style import Canvas

RESULTS = Path(__file__).parent / "results" / "studies.json"
IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
REAL = "fitzgerald_reversal"
MODELS = ("rw", "forgetting_q", "subvalue")
N_SUBJECTS = 100
RANGES: dict[str, dict[str, tuple[float, float]]] = {
    "2arm": {"alpha": (0.0, 1.0), "beta": (0.0, 5.0), "alpha_choice": (0.0, 1.0), "beta_choice": (0.0, 2.0)},
    "10arm": {
        "alpha": (0.0, 1.0),
        "beta": (5.0, 10.0),
        "alpha_choice": (0.0, 1.0),
        "beta_choice": (0.0, 5.0),
    },
}
"""Zhu et al. (2025)."""
STICKY = hr.Channel("choice", rate=1.0, weight="kappa", unchosen="decay", signed=True)
FIVE = {
    **{name: hr.model(name) for name in MODELS},
    "sticky": hr.Model(channels=(hr.Channel(), STICKY), name="sticky"),
    "last_trial": hr.Model(channels=(hr.Channel(rate=1.0, unchosen="decay"), STICKY), name="last_trial"),
}
FIVE_RANGES = {"alpha": (0.1, 0.9), "beta": (1.0, 6.0), "alpha_choice": (0.1, 0.9), "beta_choice": (-2.0, 2.0),
               "kappa": (-2.0, 2.0)}  # fmt: skip
EFFECTS = (0.5, 1.0)
"""Differences between two groups in alpha, on the link scale."""
SIZES = (20, 40, 80)


def main() -> None:
    options = _options()
    parts = {"recovery": recoveries, "confusion": model_recovery, "power": powers}
    for name, make in parts.items():
        if not options.only or name in options.only:
            keep(options.results, name, make(options))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where <name>.csv.gz lie")
    parser.add_argument("--keep", type=Path, help="a folder for replications and fits")
    parser.add_argument("--only", nargs="+", choices=["recovery", "confusion", "power"])
    parser.add_argument(
        "--replications", type=int, default=10, help="data sets of each recovery by point fits"
    )
    parser.add_argument("--posteriors", type=int, default=1, help="data sets of each recovery by posteriors")
    parser.add_argument("--data-sets", type=int, default=50, help="from each model, of the model recovery")
    parser.add_argument("--studies", type=int, default=200, help="of each number of subjects and effect")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", type=Path, default=RESULTS)
    return parser.parse_args()


def real(options: argparse.Namespace) -> xr.Dataset:
    """The recorded behaviour."""
    path = options.folder / f"{REAL}.csv.gz"
    if not path.exists():
        raise SystemExit(f"There is no {path}. The data are not part of this project; give their folder.")
    return hr.behaviour(path)


def posterior(options: argparse.Namespace, name: str) -> xr.DataTree:
    """The posterior of the real subjects under a model, from the folder if it is there."""
    path = options.keep / f"{REAL}-{name}.nc" if options.keep else None
    if path and path.exists():
        return hr.load(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = hr.fit_posterior(
            hr.model(name), real(options), method="marginal", random_seed=options.seed, progress=False
        )
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        fit.to_netcdf(path)
    return fit


def recoveries(options: argparse.Namespace) -> dict[str, Any]:
    """Each model in each design, by maximum likelihood and by posteriors."""
    found: dict[str, Any] = {}
    for design in (*RANGES, REAL):
        for name in MODELS:
            for estimator in ("mle", "posterior"):
                result = recovered(options, design, name, estimator)
                if estimator == "mle" and (design, name) in (("2arm", "rw"), (REAL, "subvalue")):
                    save(hr.plot_recovery(result), f"recovery-{design}-{name}")
                found.setdefault(design, {}).setdefault(name, {})[estimator] = {
                    "summary": result.summary.to_dict("records"),
                    "text": result.text,
                    "n_subjects": result.settings["n_subjects"],
                }
                print(design, result, sep="\n", flush=True)
    return found


def recovered(options: argparse.Namespace, design: str, name: str, estimator: str) -> Any:
    """One recovery."""
    model = hr.model(name)
    shared: dict[str, Any] = {"estimator": estimator, "random_seed": options.seed, "progress": False}
    if estimator == "posterior":
        shared["method"] = "marginal"
    number = options.replications if estimator == "mle" else options.posteriors
    shared["replications"] = number
    shared["file"] = store(options, f"recovery-{design}-{name}-{estimator}")
    if design == REAL:
        return hr.recovery(model, real(options), truth=posterior(options, name), **shared)
    task = {"2arm": hr.Bandit.zhu_2arm, "10arm": hr.Bandit.zhu_10arm}[design]()
    truth = {parameter: RANGES[design][parameter] for parameter in model.names}
    return hr.recovery(model, task, truth=truth, n_subjects=N_SUBJECTS, **shared)


def model_recovery(options: argparse.Namespace) -> dict[str, Any]:
    """Five models on the two-arm environment."""
    truth = {name: {p: FIVE_RANGES[p] for p in model.names} for name, model in FIVE.items()}
    found: dict[str, Any] = {}
    for estimator in ("mle", "convex"):
        file, started = store(options, f"confusion-{estimator}"), perf_counter()
        fresh = file is None or not file.exists()
        result = hr.confusion(
            FIVE,
            hr.Bandit.zhu_2arm(),
            truth=truth,
            estimator=estimator,
            n_subjects=N_SUBJECTS,
            replications=options.data_sets,
            random_seed=options.seed,
            file=file,
            progress=False,
        )
        print(result, flush=True)
        found[estimator] = {
            "table": result.table.to_dict("records"),
            "text": result.text,
            "seconds": spent(file, perf_counter() - started, fresh=fresh),
            "data_sets": options.data_sets,
        }
        if estimator == "mle":
            save(hr.plot_confusion(result, criterion="bic"), "confusion")
    return found


def powers(options: argparse.Namespace) -> dict[str, Any]:
    """A difference in the learning rate of two groups, in the recorded design."""
    result = hr.power(
        hr.model("rw"),
        real(options),
        {"alpha": EFFECTS},
        population=posterior(options, "rw"),
        n_subjects=SIZES,
        n_trials=(60, 120),
        replications=options.studies,
        random_seed=options.seed,
        file=store(options, "power"),
        progress=False,
    )
    print(result, flush=True)
    save(hr.plot_power(result), "power")
    return {
        "table": result.table.to_dict("records"),
        "text": result.text,
        "population": result.settings["population"],
    }


def spent(file: Path | None, seconds: float, *, fresh: bool) -> float:
    """Seconds of a run that was made at once; kept beside its replications, as reading these takes none."""
    if file is None:
        return seconds
    path = file.with_suffix(".seconds")
    if fresh:
        path.write_text(str(seconds))
    return float(path.read_text()) if path.exists() else float("nan")


def store(options: argparse.Namespace, name: str) -> Path | None:
    """Where the replications of a part are kept."""
    return options.keep / f"{name}.jsonl" if options.keep else None


def save(figure: Canvas, name: str) -> None:
    """A figure for the page."""
    figure.figure.savefig(IMAGES / f"studies_{name}.png", dpi=150)


def keep(path: Path, name: str, found: dict[str, Any]) -> None:
    """Put a part's results beside the others'."""
    results = json.loads(path.read_text()) if path.exists() else {}
    results[name] = found
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
