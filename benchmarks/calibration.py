"""Calibration of posteriors, and what the empirical prior's double use of the data costs.

    python benchmarks/calibration.py                 # two hours on one idle core; --quick for a few minutes; see --help
    python benchmarks/calibration_page.py            # results into docs/calibration.md and its figures

Simulation-based calibration under the weak prior (`hr.calibrate`), the same studies for both methods; then studies of
fixed populations under empirical priors of several widths (`widths.py`). Every replication is appended to a file in
`--rows` as soon as it is done: an interrupted run goes on where it was, and a larger one adds to a smaller one.
"""

from __future__ import annotations

import argparse
import json
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from widths import SAMPLING, SEED, TRUTHS, WIDTHS, replicate
from widths_table import cells, not_converged, sampled_again

import hierrl as hr
from hierrl.replications.store import Row, replicated

RESULTS = Path(__file__).parent / "results" / "calibration.json"
ROWS = RESULTS.with_suffix("")
MODEL, TASK, N_SUBJECTS = "rw", hr.Bandit((0.8, 0.2), n_trials=100, reverse_every=25), 20
METHODS = {
    "nuts": {"chains": 2, "draws": 1000, "tune": 500},
    "marginal": {"chains": 2, "draws": 1000, "tune": 200},
}
"""Arguments of `fit_posterior` for each."""
STUDIES = {10: 1.0, 30: 1.0, 100: 0.5}
"""Subjects of a study, and its share of `--studies`: the largest take half of the time."""
QUICK = {"replications": 10, "studies": 6}
SBC_SEED = 1


def main() -> None:
    options = _options()
    began = time.perf_counter()
    results = json.loads(options.results.read_text()) if options.results.exists() else {}
    results["versions"] = {name: version(name) for name in ("hierrl", "nutpie", "pymc", "numpy")}
    if "sbc" in options.only:
        results["sbc"] = {method: _calibrated(method, options) for method in METHODS}
    if "widths" in options.only:
        results["widths"] = _widths(options)
    options.results.parent.mkdir(parents=True, exist_ok=True)
    options.results.write_text(json.dumps(results, indent=None, separators=(",", ":")) + "\n")
    print(f"{time.perf_counter() - began:.0f} s; results are in {options.results}")


def _calibrated(method: str, options: argparse.Namespace) -> Row:
    """Ranks of all replications, and the settings that repeat any of them."""
    result = hr.calibrate(
        hr.model(MODEL),
        TASK,
        n_subjects=N_SUBJECTS,
        replications=options.replications,
        file=options.rows / f"sbc-{method}.jsonl",
        random_seed=SBC_SEED,
        method=method,
        cores=1,
        **METHODS[method],
    )
    failed = int((~result["runs"]["converged"]).sum())
    print(f"{method}: {options.replications} replications, {failed} did not converge", flush=True)
    return record_of(result)


def record_of(result: xr.DataTree) -> Row:
    """A result of `hr.calibrate` as JSON that `calibration_page` needs, to four digits."""
    short: dict[str, Any] = {"settings": json.loads(result.attrs["settings"])}
    for group in ("runs", "population", "subjects"):
        data = result[group].to_dataset()
        coords = {str(name): values.values.tolist() for name, values in data.coords.items()}
        names = [name for name in data if name != "truth"]
        short[group] = coords | {str(name): _rounded(data[name]) for name in names}
    return short


def _rounded(values: xr.DataArray) -> list[Any]:
    if values.dtype.kind != "f":
        return values.values.tolist()
    return np.where(np.isnan(values), None, values.round(4).astype(object)).tolist()


def _widths(options: argparse.Namespace) -> Row:
    """What became of each number of the population, by population, size of the study and prior."""
    table, repeated, studies = [], [], {}
    for name in TRUTHS:
        for size, share in STUDIES.items():
            settings = {"widths": WIDTHS, "seed": SEED, "truth": repr(TRUTHS[name]), **SAMPLING}
            rows = replicated(
                lambda k, name=name, size=size: replicate(name, size, k),
                range(max(2, round(share * options.studies))),
                settings={**settings, "subjects": size},
                file=options.rows / f"widths-{name}-{size}.jsonl",
                progress=True,
                description=f"{name}, {size} subjects",
            )
            studies[f"{name}, {size} subjects"] = {"studies": len(rows), "not_converged": not_converged(rows)}
            table += cells(rows, TRUTHS[name].numbers(), {"population": name, "subjects": size})
            repeated.append(sampled_again(rows))
            print(f"{name}, {size} subjects: {len(rows)} studies", flush=True)
    return {"studies": studies, "table": table, "sampled_again": int(sum(repeated))}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--replications", type=int, default=200, help="of calibration, for each method")
    parser.add_argument("--studies", type=int, default=200, help="by population and size, under all priors")
    parser.add_argument("--only", nargs="+", choices=("sbc", "widths"), default=("sbc", "widths"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--rows", type=Path, default=ROWS, help="folder of the replications")
    parser.add_argument("--quick", action="store_true", help=f"a small version: {QUICK}")
    options = parser.parse_args()
    if options.quick:
        vars(options).update(QUICK)
        if options.results == RESULTS:  # a small run doesn't replace the results of a large one
            options.results = RESULTS.with_name("calibration-quick.json")
    return options


if __name__ == "__main__":
    main()
