"""Models compared on two real studies, at three levels and by every criterion. For docs/comparison.md.

    python benchmarks/comparison.py DATA                 # a folder with the data sets, not part of this project
    python benchmarks/comparison.py DATA --fits FOLDER   # keeps fits there, and reads those it finds

*fitzgerald_reversal*: five models of 79 people, by trial, by subject and into the future as posteriors; AIC, BIC,
evidence and held-out trials as point fits; and what exact refits without some subjects say. *dezfouli_clinical_2arm*:
three models of 15 people (the first five of each diagnosis) in 12 blocks each, which are left out as sessions.
Numbers go to benchmarks/results/comparison.json; `comparison_page.py` puts them and the figures into the docs.
"""

from __future__ import annotations

import argparse
import warnings
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from groups import keep, kept
from pages import DOCS

import hierrl as hr
from hierrl.compare import ModelComparison
from hierrl.compare.integrated import Integrated
from hierrl.compare.leave_out import Scores
from hierrl.compare.refit import Resources
from hierrl.compare.refitted import refitted_units
from hierrl.compare.units import units_of

RESULTS = Path(__file__).parent / "results" / "comparison.json"
FIGURES = DOCS / "images"
DPI = 110
MODELS = {
    "rw": hr.model("rw"),
    "rw + bias": hr.model("rw", bias=True),
    "dual rates": hr.Model(channels=(hr.Channel(rate=("alpha_pos", "alpha_neg")),), name="dual_rate"),
    "forgetting": hr.model("forgetting_q"),
    "choice trace": hr.model("subvalue"),
}
SHORT = ("rw", "forgetting", "choice trace")
CHECKED = 4
"""Subjects that are left out by exact refits too, under two models."""
EACH = 5
"""People of each diagnosis."""
FOLDS = 4


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where <name>.csv.gz lie")
    parser.add_argument(
        "--fits", type=Path, help="a folder for the fits; those found there are not made again"
    )
    parser.add_argument("--only", nargs="+", choices=STUDIES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    FIGURES.mkdir(exist_ok=True)
    for name, study in STUDIES.items():
        if not options.only or name in options.only:
            path = options.folder / f"{name}.csv.gz"
            if not path.exists():
                raise SystemExit(
                    f"There is no {path}. The data are not part of this project; give their folder."
                )
            keep(options.results, name, study(pd.read_csv(path), options))


def fitzgerald(table: pd.DataFrame, options: argparse.Namespace) -> dict[str, Any]:
    """Five models, every criterion."""
    data = hr.behaviour(table)
    posteriors = fits_of("fitzgerald_reversal", data, MODELS, options)
    points = {name: hr.fit_mle(model, data, progress=False) for name, model in MODELS.items()}
    done = {
        "trial": compared(posteriors, by="trial"),
        "subject": compared(posteriors, by="subject"),
        "future": compared(posteriors, method="lfo"),
        "evidence": compared(posteriors, method="evidence"),
        "held_out": compared(points, folds=FOLDS),
        "aic": compared(points, method="aic"),
        "bic": compared(points, method="bic"),
        "laplace": compared(points, method="laplace"),
    }
    for name in ("trial", "subject"):
        hr.plot_comparison(done[name][0]).savefig(FIGURES / f"comparison_fitzgerald_{name}.png", dpi=DPI)
    found = recorded(data, done)
    found["refits"] = {
        name: refits(posteriors[name], done["subject"][0], name) for name in ("rw", "choice trace")
    }
    return found


def dezfouli(table: pd.DataFrame, options: argparse.Namespace) -> dict[str, Any]:
    """Three models, blocks as sessions."""
    people = table.drop_duplicates("subject").groupby("group").head(EACH)["subject"]
    data = hr.behaviour(table[table["subject"].isin(people)])
    fits = fits_of("dezfouli_clinical_2arm", data, {name: MODELS[name] for name in SHORT}, options)
    done = {
        "trial": compared(fits, by="trial"),
        "session": compared(fits, by="session"),
        "subject": compared(fits, by="subject"),
    }
    hr.plot_comparison(done["subject"][0]).savefig(FIGURES / "comparison_dezfouli_subject.png", dpi=DPI)
    return recorded(data, done)


STUDIES = {"fitzgerald_reversal": fitzgerald, "dezfouli_clinical_2arm": dezfouli}


def fits_of(
    study: str, data: xr.Dataset, models: dict[str, hr.Model], options: argparse.Namespace
) -> dict[str, xr.DataTree]:
    """A posterior of each model."""
    found = {}
    for name, model in models.items():
        label = f"{study}_{name.replace(' ', '_')}"
        found[name] = kept(options.fits, label, partial(quietly, model, data, options.seed))
        print(label, flush=True)
    return found


def quietly(model: hr.Model, data: xr.Dataset, seed: int) -> xr.DataTree:
    """A posterior; what it says of convergence is in its settings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return hr.fit_posterior(model, data, random_seed=seed, progress=False)


def compared(fits: dict[str, xr.DataTree], **options: Any) -> tuple[ModelComparison, float]:
    """A comparison and its seconds."""
    began = perf_counter()
    found = hr.compare_models(fits, progress=False, **options)
    print(found, flush=True)
    return found, perf_counter() - began


def recorded(data: xr.Dataset, done: dict[str, tuple[ModelComparison, float]]) -> dict[str, Any]:
    """What the page shows of a study."""
    criteria = {}
    for name, (one, seconds) in done.items():
        criteria[name] = {
            "table": one.table.reset_index().to_dict("records"),
            "notes": list(one.notes),
            "seconds": seconds,
        }
        if one.by == "subject":
            chosen = one.random_effects
            criteria[name]["random_effects"] = chosen.table.reset_index().to_dict("records")
            criteria[name]["omnibus_risk"] = chosen.omnibus_risk
    scored = int(data["scored"].sum())
    return {"subjects": data.sizes["subject"], "trials": scored, "criteria": criteria}


def refits(fit: xr.DataTree, psis: ModelComparison, name: str) -> list[dict[str, Any]]:
    """Scores of some subjects by exact refits without them, beside those of importance sampling."""
    scores = psis.scores.sel(model=name).to_series()
    chosen = np.linspace(0, len(scores) - 1, CHECKED).round().astype(int)
    integrated = Integrated.of(fit)
    units = units_of(integrated.data, "subject")
    k = np.full(units.size, -1.0)
    k[chosen] = np.inf
    again = refitted_units(
        fit, Scores(scores.to_numpy(), k), units, integrated=integrated, resources=Resources()
    )
    pairs = zip(scores.index[chosen], scores.to_numpy()[chosen], again.score[chosen], strict=True)
    return [
        {"subject": str(subject), "psis": float(one), "refit": float(other)} for subject, one, other in pairs
    ]


if __name__ == "__main__":
    main()
