"""Two real studies, worked through: do groups differ in how they choose? For docs/groups.md.

    python benchmarks/groups.py DATA                     # a folder with the data sets, not part of this project
    python benchmarks/groups.py DATA --fits FOLDER       # keeps fits there, and reads those it finds

*fitzgerald_reversal*: young and old adults, with sex, and age within each group. *dezfouli_clinical_2arm*: three
diagnoses; by the marginal sampler only, as 132,000 trials make NUTS slow. Both with `subvalue` (a trace of rewards and
a signed trace of choices), all four parameters by group, default settings, and again under the weak prior. Numbers go
to benchmarks/results/groups.json; `groups_page.py` puts them and the figures into the docs.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import xarray as xr
from groups_figure import draw

import hierrl as hr
from hierrl.fits import settings_of
from hierrl.summary.population import population_table

RESULTS = Path(__file__).parent / "results" / "groups.json"
METHODS = ("marginal", "nuts")
PARAMETERS = ("alpha", "beta", "alpha_choice", "beta_choice")
ROPE = {"mu": 0.1}
"""On the link scale: a tenth in log odds or logarithm, about ten per cent."""
WIDTHS = (5.0,)
"""The default prior again, so that the two fits that are compared have as many draws, and the weak one."""
WITHIN = "decades"
"""Age minus the mean of the subject's group, in tens of years."""


class Analysis(NamedTuple):
    """One study: what is read, and what is asked."""

    name: str
    formula: str
    covariates: tuple[str, ...]
    contrasts: tuple[str, ...]
    prepare: Callable[[pd.DataFrame], pd.DataFrame]
    methods: tuple[str, ...] = METHODS
    draws: int = 500
    """Of each chain under the two priors."""

    def read(self, folder: Path) -> xr.Dataset:
        """Behaviour with covariates."""
        path = folder / f"{self.name}.csv.gz"
        if not path.exists():
            raise SystemExit(f"There is no {path}. The data are not part of this project; give their folder.")
        return hr.behaviour(self.prepare(pd.read_csv(path)), covariates=list(self.covariates))


def with_age_in_group(table: pd.DataFrame) -> pd.DataFrame:
    """Age says the group; what it says beyond is age minus the group's mean over subjects."""
    people = table.drop_duplicates("subject").set_index("subject")
    away = people["age"] - people.groupby("age_group")["age"].transform("mean")
    groups = pd.Categorical(table["age_group"], ["young", "old"])
    return table.assign(**{WITHIN: table["subject"].map(away) / 10, "age_group": groups})


ANALYSES = (
    Analysis(
        "fitzgerald_reversal",
        f"1 + age_group + sex + {WITHIN}",
        ("age_group", "sex", WITHIN),
        ("age_group", "sex", WITHIN),
        with_age_in_group,
    ),
    Analysis(
        "dezfouli_clinical_2arm", "1 + group", ("group",), ("group",), lambda table: table, ("marginal",)
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where <name>.csv.gz lie")
    parser.add_argument(
        "--fits", type=Path, help="a folder for the fits; those found there are not made again"
    )
    parser.add_argument("--only", nargs="+", choices=[one.name for one in ANALYSES])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    for analysis in ANALYSES:
        if not options.only or analysis.name in options.only:
            keep(options.results, analysis.name, analyse(analysis, options))


def analyse(analysis: Analysis, options: argparse.Namespace) -> dict[str, Any]:
    """Fit, contrast, and vary the prior."""
    data, fits = analysis.read(options.folder), {}
    for method in analysis.methods:
        name = f"{analysis.name}_{method}"
        make = partial(fitted, method, data, formula=analysis.formula, random_seed=options.seed)
        fits[method] = kept(options.fits, name, make)
        print(name, *settings_of(fits[method])["diagnostics"]["sentences"], sep="\n  ", flush=True)
    sensitivity = hr.prior_sensitivity(
        fits["marginal"], widen=WIDTHS, draws=analysis.draws, random_seed=options.seed, progress=False
    )
    found = {method: recorded(analysis, fit) for method, fit in fits.items()}
    draw(
        analysis.name,
        fits["marginal"],
        contrasts={method: one["contrasts"] for method, one in found.items()},
        sensitivity=sensitivity,
    )
    return {
        "subjects": data.sizes["subject"],
        "trials": data.sizes["trial"],
        "formula": analysis.formula,
        "fits": found,
        "sensitivity": sensitivity.to_dict("records"),
    }


def fitted(method: str, data: xr.Dataset, **options: Any) -> xr.DataTree:
    """A posterior; what it says of convergence is in its settings."""
    model = hr.model("subvalue")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return hr.fit_posterior(model, data, method=method, progress=False, **options)


def kept(folder: Path | None, name: str, make: Callable[[], xr.DataTree]) -> xr.DataTree:
    """A fit from the folder, if it is there; else made, and put there."""
    path = folder / f"{name}.nc" if folder else None
    if path and path.exists():
        return hr.load(path)
    fit = make()
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        fit.to_netcdf(path)
    return fit


def recorded(analysis: Analysis, fit: xr.DataTree) -> dict[str, Any]:
    """What the page shows of a fit."""
    settings = settings_of(fit)
    contrasts = [
        hr.contrast(fit, parameter, covariate, rope=ROPE)
        for parameter in PARAMETERS
        for covariate in analysis.contrasts
    ]
    return {
        "diagnostics": settings["diagnostics"],
        "seconds": settings["seconds"],
        "draws": settings["draws"] * settings["chains"],
        "notes": settings["notes"],
        "prior": fit["prior"].to_dataset().to_dataframe().to_dict("records"),
        "population": population_table(fit).drop(columns="meaning").to_dict("records"),
        "contrasts": pd.concat(contrasts).to_dict("records"),
    }


def keep(path: Path, name: str, found: dict[str, Any]) -> None:
    """Put a study's results beside those of the other."""
    results = json.loads(path.read_text()) if path.exists() else {}
    results[name] = found
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
