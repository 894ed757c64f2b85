"""Two real studies, checked: what does each model miss? For docs/checks.md.

    python benchmarks/checks.py DATA                     # a folder with the data sets, not part of this project
    python benchmarks/checks.py DATA --fits FOLDER       # keeps fits there, and reads those it finds

*fitzgerald_reversal*: young and old adults, reversals known. *dezfouli_clinical_2arm*: three diagnoses; people switch
more after a reward than after none. Maximum likelihood of all subjects under each model, one posterior, replayed and
generated. Numbers go to benchmarks/results/checks.json; `checks_page.py` puts them into the docs, where figures go at
once.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import xarray as xr
from groups import keep, kept
from pages import DOCS

import hierrl as hr

RESULTS = Path(__file__).parent / "results" / "checks.json"
FOLDER, DPI = DOCS / "images", 110
REPLICATES = 200
MODES = ("replay", "generate")
TRACE = hr.Channel("choice", rate="alpha_choice", weight="beta_choice", unchosen="decay", signed=True)
SIGNED = hr.Model(
    channels=(hr.Channel("reward", unchosen="decay", signed=True), TRACE), bias=True, name="signed"
)
"""`subvalue` in which reward may also turn choices away from an arm, with a preference for one side."""
MODELS: Mapping[str, hr.Model] = {
    "rw": hr.model("rw"),
    "forgetting_q": hr.model("forgetting_q"),
    "subvalue": hr.model("subvalue"),
    "signed": SIGNED,
}
THRESHOLDS = (0.1, 0.5)
"""Of information, as `identifiability` words it."""


class Study(NamedTuple):
    """One study: what is read, and how it is checked."""

    name: str
    covariates: tuple[str, ...]
    by: str
    best: str | None
    lent_by: str
    """Within which subjects lend each other payoffs that are not known."""
    posterior: str | None
    """The model that is also fitted as a posterior."""
    shown: tuple[tuple[str, str], ...]
    """Checks with a figure: model and mode."""

    def read(self, folder: Path) -> xr.Dataset:
        """Behaviour with covariates."""
        path = folder / f"{self.name}.csv.gz"
        if not path.exists():
            raise SystemExit(f"There is no {path}. The data are not part of this project; give their folder.")
        return hr.behaviour(pd.read_csv(path), covariates=list(self.covariates))


STUDIES = (
    Study(
        "fitzgerald_reversal",
        ("age_group", "best"),
        "age_group",
        "best",
        "best",
        "subvalue",
        (("rw", "replay"), ("subvalue", "replay"), ("subvalue", "generate")),
    ),
    Study(
        "dezfouli_clinical_2arm",
        ("group", "condition"),
        "group",
        None,
        "condition",
        None,
        (("rw", "replay"), ("signed", "replay")),
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
    parser.add_argument("--only", nargs="+", choices=[one.name for one in STUDIES])
    parser.add_argument("--replicates", type=int, default=REPLICATES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    for study in STUDIES:
        if not options.only or study.name in options.only:
            keep(options.results, study.name, examine(study, options))


def examine(study: Study, options: argparse.Namespace) -> dict[str, Any]:
    """Fit, check, and say what is known of each subject."""
    data, checks, known = study.read(options.folder), {}, {}
    for name, model in MODELS.items():
        make = partial(hr.fit_mle, model, data, progress=False)
        fit = kept_quietly(options.fits, f"checks_{study.name}_{name}", make)
        checks[name] = {mode: checked(study, fit, mode, options) for mode in MODES}
        known[name] = read_out(hr.identifiability(fit))
        print(study.name, name, flush=True)
        for mode in MODES:
            if (name, mode) in study.shown:
                draw(checks[name][mode], f"checks_{study.name}_{name}_{mode}")
    if study.posterior:
        make = partial(posterior, MODELS[study.posterior], data, options.seed)
        fit = kept_quietly(options.fits, f"checks_{study.name}_posterior", make)
        checks["posterior"] = {mode: checked(study, fit, mode, options) for mode in MODES}
        known["posterior"] = read_out(hr.identifiability(fit))
    return {
        "subjects": data.sizes["subject"],
        "trials": data.sizes["trial"],
        "replicates": options.replicates,
        "checks": {
            name: {mode: recorded(one) for mode, one in both.items()} for name, both in checks.items()
        },
        "identifiability": known,
    }


def posterior(model: hr.Model, data: xr.Dataset, seed: int) -> xr.DataTree:
    """Draws enough for a check."""
    return hr.fit_posterior(model, data, formula="1 + age_group", draws=250, random_seed=seed, progress=False)


def kept_quietly(folder: Path | None, name: str, make: Callable[[], xr.DataTree]) -> xr.DataTree:
    """A fit from the folder, or a new one, without what it says on the way."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return kept(folder, name, make)


def checked(study: Study, fit: xr.DataTree, mode: Any, options: argparse.Namespace) -> Any:
    """One predictive check."""
    return hr.predictive_check(
        fit,
        mode=mode,
        task=hr.Bandit.recorded(study.read(options.folder), by=study.lent_by) if mode == "generate" else None,
        by=study.by,
        best=study.best,
        replicates=options.replicates,
        random_seed=options.seed,
        progress=False,
    )


def draw(check: Any, name: str) -> None:
    """Save the figure of a check."""
    FOLDER.mkdir(exist_ok=True)
    hr.plot_predictive_check(check).savefig(FOLDER / f"{name}.png", dpi=DPI)


def recorded(check: Any) -> dict[str, Any]:
    """What the page shows of a check."""
    return {
        "table": check.table.to_dict("records"),
        "verdicts": check.verdicts.to_dict("records"),
        "sentences": list(check.sentences),
    }


def read_out(table: pd.DataFrame) -> dict[str, Any]:
    """What the choices tell of each parameter, over subjects, and sentences on the least known and on the best."""
    rows = {}
    for name, one in table.groupby("parameter", sort=False):
        rows[name] = {
            "subjects": len(one),
            "median": float(one["information"].median()),
            **{f"below_{share}": float((one["information"] < share).mean()) for share in THRESHOLDS},
            "tied": float((one["correlation"].abs() > 0.8).mean()),
            "faint": float((one["channel_nats"] < 2).mean()),
            "least": one.loc[one["information"].idxmin(), "sentence"],
            "most": one.loc[one["information"].idxmax(), "sentence"],
        }
    return rows


if __name__ == "__main__":
    main()
