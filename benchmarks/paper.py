"""The three experiments of Zhu et al. (2025) in both of their tasks: every method on the same subjects, one run.

    python benchmarks/paper.py                                     # 1,000 subjects; see --help
    python benchmarks/paper_page.py                                # results into docs/paper.md and its figure

`rlfit`, our monotone relaxation and brute force take 0.1 to 10 s a subject: they run on the first subjects, and
what is paired with them is paired on these. All else runs on all subjects. Results are written after each
experiment, so that an interrupted run keeps what is done; experiments named on the command line replace
themselves in the results of an earlier run with the same settings.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from experiments import N_TRIALS, NAMES, TASKS, Experiment
from methods import FULL, HORIZON, TOLERANCE, Study, brute, fast, monotone, reference, warm_up
from scores import Result, ratio_of_medians, summary, wins

RESULTS = Path(__file__).parent / "results" / "paper.json"
SLOW_SHARE = {
    ("basic", "2arm"): 1.0,
    ("basic", "10arm"): 0.5,
    ("per-arm", "2arm"): 0.5,
    ("per-arm", "10arm"): 0.25,
    ("subvalue", "2arm"): 0.4,
    ("subvalue", "10arm"): 0.1,
}
"""Share of `--slow-subjects` in each experiment, so that none takes much longer than the others."""
FEWEST = 5
RIVALS = ("rlfit_recovery", f"rlfit{HORIZON}_recovery")
Found = dict[tuple[str, str], Result]
"""(start, method) -> result."""


def main() -> None:
    options = _options()
    settings = {
        "trials": N_TRIALS,
        "seed": options.seed,
        "budget": options.budget,
        "tolerance": TOLERANCE,
        "cores": os.cpu_count(),
        "versions": {name: version(name) for name in ("hierrl", "rlfit", "cvxpy", "numpy")},
    }
    done = _known(options.results, settings)
    began = time.perf_counter()
    for experiment in [Experiment(name, task) for name in NAMES for task in TASKS]:
        if f"{experiment.name}/{experiment.task}" in options.only:
            done[f"{experiment.name}/{experiment.task}"] = run(experiment, options)
            options.results.parent.mkdir(parents=True, exist_ok=True)
            options.results.write_text(_text({"settings": settings, "experiments": done}))
    print(f"{time.perf_counter() - began:.0f} s in all; results are in {options.results}")


def run(experiment: Experiment, options: argparse.Namespace) -> dict[str, Any]:
    """All methods on one experiment; prints a line for each."""
    n_slow = max(FEWEST, round(SLOW_SHARE[experiment.name, experiment.task] * options.slow_subjects))
    n_slow = min(n_slow, options.subjects)
    print(
        f"{experiment.name} {experiment.task}: {options.subjects} subjects x {N_TRIALS} trials, "
        f"slow methods on {n_slow}",
        flush=True,
    )
    study = Study.of(experiment, options.subjects, options.seed)
    warm_up(study)
    found: Found = {}
    stages: dict[str, float] = {}
    for stage, start, results in _stages(study, study.first(n_slow), options.budget):
        began = time.perf_counter()
        for method, result in results:
            found[start, method] = result
            print(_line(start, method, result), flush=True)
        stages[stage] = round(time.perf_counter() - began, 2)
    print("  seconds: " + ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in stages.items()))
    return {"slow": n_slow, "seconds": stages, "rows": _rows(found)}


def _stages(study: Study, few: Study, budget: float) -> Iterator[tuple[str, str, Any]]:
    yield "fast, start 0", "zero", fast(study, "zero", budget)
    yield "fast, learned start", "learned", fast(study, "learned", budget)
    yield "monotone", "zero", monotone(few)
    yield "rlfit", "zero", reference(few, FULL)
    yield f"rlfit, horizon {HORIZON}", "zero", reference(few, HORIZON)
    if not study.experiment.per_arm:
        yield "brute force", "zero", brute(few)


def _rows(found: Found) -> list[dict[str, Any]]:
    """What is kept of each method, paired with maximum likelihood and the reference package."""
    rows = []
    for (start, method), result in found.items():
        best = np.fmax(found[start, "certified"].loglik, found[start, "mle"].loglik)
        row = {"start": start, "method": method, **summary(result, best)}
        row["ratio_to_mle"] = ratio_of_medians(result, found[start, "certified"])
        row["wins"] = {
            rival: wins(result, found["zero", rival])
            for rival in RIVALS
            if (start, method) != ("zero", rival)
        }
        if method in ("mle", "certified"):
            gap = result.bound - result.loglik
            row["certified"] = float((gap <= TOLERANCE).mean())
        rows.append(row)
    return rows


def _line(start: str, method: str, result: Result) -> str:
    known = result.kl[~np.isnan(result.kl)]
    median = np.median(known) if known.size else np.nan
    return (
        f"  {start:8}{method:18} n {result.n:5}  median KL {median:.5f}  "
        f"{1e3 * result.seconds / result.n:9.2f} ms"
    )


def _text(results: dict[str, Any]) -> str:
    """JSON with lists of numbers on one line each."""
    text = json.dumps(results, indent=1)
    return re.sub(r"\[([^][{}]*)\]", lambda found: f"[{' '.join(found[1].split())}]", text) + "\n"


def _known(path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Results of an earlier run, if it had the same settings; how many subjects there were each experiment tells."""
    if not path.exists():
        return {}
    earlier = json.loads(path.read_text())
    return earlier["experiments"] if earlier["settings"] == settings else {}


def _options() -> argparse.Namespace:
    every = [f"{name}/{task}" for name in NAMES for task in TASKS]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--subjects", type=int, default=1000)
    parser.add_argument(
        "--slow-subjects", type=int, default=200, help="for slow methods; harder experiments take a share"
    )
    parser.add_argument("--budget", type=float, default=0.25, help="seconds for the proof of a subject")
    parser.add_argument("--only", nargs="+", choices=every, default=every, metavar="MODEL/TASK")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", type=Path, default=RESULTS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
