"""Models that people fit to gambling tasks and to drifting bandits, on two real studies. For docs/real_models.md.

    python benchmarks/real_models.py DATA                 # a folder with the data sets, not part of this project
    python benchmarks/real_models.py DATA --fits FOLDER   # keeps posteriors there, and reads those it finds

*ahn_igt_3groups*: the Iowa gambling task of 129 people in three groups, with PVL-delta, PVL-decay, VPP, ORL, and `rw`
as the simplest; all parameters by group. *bahrami_4arm*: 965 people and four arms that drift, with the Kalman filter
and `rw`, with and without a trace of own choices. Every row of the tables is kept. Numbers go to
benchmarks/results/real_models.json; `real_models_page.py` puts them and the figures into the docs.
"""

from __future__ import annotations

import argparse
import warnings
from functools import partial
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from groups import keep, kept
from models import quietly
from pages import DOCS

import hierrl as hr
from hierrl.compare import ModelComparison
from hierrl.fits import problem_of, settings_of, theta_of
from hierrl.summary.population import population_table

RESULTS = Path(__file__).parent / "results" / "real_models.json"
FIGURES = DOCS / "images"
DPI = 110
LAST = 0.25
"""Share of each subject's trials, the last ones, that is held out."""
EDGE = 1e-6
SIMILAR, FEWEST = 1.05, 50
"""R-hat below, and effective draws (of any number of any subject) above which posteriors are compared and tested."""
FIGURED = {"orl"}
"""Models whose population gets a figure."""
MILLI = 1e3
STEEP = {"beta": (0.0, 500.0)}
"""Weights are per largest loss, 2,330: with the usual bound of 50, 100 points would change a logit by 2 at most."""
GROUPS = ["healthy_control", "amphetamine", "heroin"]


class Study(NamedTuple):
    """What is read, which models are fitted, and how their posteriors are sampled."""

    models: dict[str, hr.Model]
    methods: dict[str, str]
    """Model -> sampler, for those that get a posterior."""
    formula: str | None = None
    covariates: tuple[str, ...] = ()
    draws: int = 500


STUDIES = {
    "ahn_igt_3groups": Study(
        {
            "rw": hr.model("rw", bounds=STEEP),
            **{name: hr.model(name) for name in ("pvl_delta", "pvl_decay", "vpp", "orl")},
        },
        {
            "rw": "marginal",
            "pvl_delta": "marginal",
            "pvl_decay": "marginal",
            "vpp": "nuts",
            "orl": "marginal",
        },
        "1 + group",
        ("group",),
    ),
    "bahrami_4arm": Study(
        {
            "rw": hr.model("rw"),
            "rw + choice trace": hr.model("rw", choice_trace=True),
            "kalman": hr.model("kalman"),
            "kalman + choice trace": hr.model("kalman", choice_trace=True),
        },
        {"rw": "marginal"},
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where <name>.csv.gz lie")
    parser.add_argument(
        "--fits", type=Path, help="a folder for the posteriors; those found there are not made again"
    )
    parser.add_argument("--only", nargs="+", choices=list(STUDIES))
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument(
        "--every", type=int, default=1, help="only every so many-th subject, to try the script"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    FIGURES.mkdir(exist_ok=True)
    for name in options.only or STUDIES:
        data, counts = read(name, options)
        keep(options.results, f"{name} counts", counts)
        for part in options.parts:
            began = process_time()
            keep(options.results, f"{name} {part}", PARTS[part](name, data, options))
            print(f"{name} {part}: {process_time() - began:.0f} s of processor time", flush=True)


def read(name: str, options: argparse.Namespace) -> tuple[xr.Dataset, dict[str, Any]]:
    """Behaviour, and how much of the table is in it."""
    path = options.folder / f"{name}.csv.gz"
    if not path.exists():
        raise SystemExit(f"There is no {path}. The data are not part of this project; give their folder.")
    table = pd.read_csv(path)
    if options.every > 1:
        table = table[table["subject"].isin(table["subject"].drop_duplicates().iloc[:: options.every])]
    covariates = list(STUDIES[name].covariates)
    for covariate in covariates:
        table[covariate] = pd.Categorical(table[covariate], GROUPS)
    data = hr.behaviour(table, covariates=covariates)
    return data, counted(table, data)


def counted(table: pd.DataFrame, data: xr.Dataset) -> dict[str, Any]:
    """Rows and subjects of the table and of the behaviour."""
    missed = data["choice"].values == -1
    unknown = ~missed & np.isnan(data["reward"].values)
    lengths = data["trial_subject"].to_series().value_counts()
    return {
        "rows": len(table),
        "trials": data.sizes["trial"],
        "subjects in the table": int(table["subject"].nunique()),
        "subjects": data.sizes["subject"],
        "missed": int(missed.sum()),
        "unknown": int(unknown.sum()),
        "scored": int(data["scored"].sum()),
        "shortest": int(lengths.min()),
        "longest": int(lengths.max()),
        "groups": data["group"].to_series().value_counts().to_dict() if "group" in data else {},
    }


def points(name: str, data: xr.Dataset, options: argparse.Namespace) -> dict[str, Any]:
    """Convex and maximum-likelihood fits of every model, and their comparisons."""
    found, fits = {}, {}
    for label, model in STUDIES[name].models.items():
        began = process_time()
        convex = quietly(hr.fit_convex, model, data)
        between = process_time()
        fits[label] = quietly(hr.fit_mle, model, data, start=convex)
        found[label] = {
            **pointed(convex, fits[label]),
            "convex_ms": MILLI * (between - began) / data.sizes["subject"],
            "mle_ms": MILLI * (process_time() - between) / data.sizes["subject"],
        }
        print(f"{name} {label}", flush=True)
    comparisons = {
        "bic": compared(fits, method="bic"),
        "aic": compared(fits, method="aic"),
        "held_out": compared(fits, last=LAST),
    }
    hr.plot_comparison(comparisons["bic"][0]).savefig(FIGURES / f"real_models_{name}_bic.png", dpi=DPI)
    return {"fits": found, "criteria": {k: recorded(*one) for k, one in comparisons.items()}}


def pointed(convex: xr.DataTree, mle: xr.DataTree) -> dict[str, Any]:
    """What the two point fits say of all subjects."""
    stats, first = mle["fit_stats"].to_dataset(), convex["fit_stats"].to_dataset()
    problem = problem_of(mle)
    theta, edge = theta_of(mle, problem)[0, 0], EDGE * (problem.upper - problem.lower)
    gap = stats["gap"].values
    return {
        "parameters": list(problem.labels),
        "chance": float(-np.log(problem.arms.size) * problem.n_scored.sum()),
        "loglik": float(stats["loglik"].sum()),
        "convex_loglik": float(first["loglik"].sum()),
        "gap": None if np.isnan(gap).all() else float(np.median(gap)),
        "certified": int(stats["certified"].sum()),
        "failed": int(np.isnan(stats["loglik"].values).sum()),
        "unfinished": int((~stats["converged"]).sum()),
        "at_lower": dict(
            zip(problem.labels, map(int, (theta <= problem.lower + edge).sum(axis=0)), strict=True)
        ),
        "at_upper": dict(
            zip(problem.labels, map(int, (theta >= problem.upper - edge).sum(axis=0)), strict=True)
        ),
        "median": {label: float(np.median(theta[:, k])) for k, label in enumerate(problem.labels)},
        "reward_scale": problem.reward_scale,
    }


def posteriors(name: str, data: xr.Dataset, options: argparse.Namespace) -> dict[str, Any]:
    """A posterior of each model that gets one, group contrasts, and comparisons of those that converged."""
    study = STUDIES[name]
    fits = {}
    for label, method in study.methods.items():
        file = f"{name}_{label.replace(' ', '_')}_{method}"
        make = partial(sampled, study, label, data, options.seed)
        fits[label] = kept(options.fits, file, make)
        print(file, *settings_of(fits[label])["diagnostics"]["sentences"], sep="\n  ", flush=True)
    usable = {label: fit for label, fit in fits.items() if mixed(fit)}
    levels = ("subject", "trial") if len(usable) > 1 else ()
    comparisons = {by: compared(usable, by=by) for by in levels}
    if comparisons:
        figure = hr.plot_comparison(comparisons["subject"][0])
        figure.savefig(FIGURES / f"real_models_{name}_subject.png", dpi=DPI)
    if study.formula:
        for label in FIGURED & set(usable):
            hr.plot_population(fits[label]).savefig(FIGURES / f"real_models_{name}_{label}.png", dpi=DPI)
    return {
        "fits": {label: described(study, fit) for label, fit in fits.items()},
        "criteria": {k: recorded(*one) for k, one in comparisons.items()},
    }


def mixed(fit: xr.DataTree) -> bool:
    """Whether the chains say about the same, which is less than all that a fit should meet."""
    said = settings_of(fit)["diagnostics"]
    return said["max_rhat"] < SIMILAR and min(said["min_ess_bulk"], said["min_ess_tail"]) > FEWEST


def sampled(study: Study, label: str, data: xr.Dataset, seed: int) -> xr.DataTree:
    """A posterior of one model."""
    return quietly(
        hr.fit_posterior,
        study.models[label],
        data,
        method=study.methods[label],
        formula=study.formula,
        draws=study.draws,
        random_seed=seed,
    )


def described(study: Study, fit: xr.DataTree) -> dict[str, Any]:
    """What the page shows of a posterior."""
    settings = settings_of(fit)
    names = fit["posterior"].to_dataset().data_vars
    rows = [hr.contrast(fit, str(name), one) for name in names for one in study.covariates]
    return {
        "method": settings["method"],
        "diagnostics": settings["diagnostics"],
        "seconds": sum(settings["seconds"].values()),
        "draws": settings["draws"] * settings["chains"],
        "contrasts": pd.concat(rows).to_dict("records") if rows and mixed(fit) else [],
        "compared": mixed(fit),
        "population": population_table(fit).drop(columns="meaning").to_dict("records"),
    }


def compared(fits: dict[str, xr.DataTree], **how: Any) -> tuple[ModelComparison, float]:
    """A comparison and its seconds."""
    began = perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it warns of is in its notes
        found = hr.compare_models(fits, progress=False, **how)
    print(found, flush=True)
    return found, perf_counter() - began


def recorded(one: ModelComparison, seconds: float) -> dict[str, Any]:
    """What the page shows of a comparison."""
    found: dict[str, Any] = {
        "table": one.table.reset_index().to_dict("records"),
        "notes": list(one.notes),
        "seconds": seconds,
    }
    if one.by == "subject" and one.method != "held_out":
        chosen = one.random_effects
        found["random_effects"] = chosen.table.reset_index().to_dict("records")
        found["omnibus_risk"] = chosen.omnibus_risk
    return found


PARTS = {"points": points, "posteriors": posteriors}

if __name__ == "__main__":
    main()
