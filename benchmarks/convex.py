"""The convex step against `rlfit`, the reference package, end to end per subject on the paper's *basic* data.

    python benchmarks/convex.py --subjects 20 [--task 10arm] [--repeats 3] [--many 1000]

End to end means: from arrays of choices and rewards to estimated parameters. `rlfit` fits and recovers subject
by subject (in one process; its own pool of workers costs more than it gives); ours takes all subjects in one
call. Every time is the median of several runs in this process; what is paid once (imports, compilation) is
listed apart.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from experiments import N_TRIALS, TASKS, Experiment, first, kl_by_subject, policy_of, relaxed_policy, stat
from rival import fit_rlfit, recovered_policy

import hierrl as hr

FloatArray = npt.NDArray[np.float64]


class Row(NamedTuple):
    """A line of the table; policies are (trial, arm), bounds by subject."""

    name: str
    data: xr.Dataset
    seconds: float
    relaxed: FloatArray
    recovered: FloatArray
    bound: FloatArray | None
    without_recovery: float = np.nan


def timed(work: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Median wall time of several calls, and the last result."""
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds)), result


def rival(name: str, experiment: Experiment, data: xr.Dataset, horizon: int, repeats: int) -> Row:
    """The reference package at one horizon."""
    seconds, outcome = timed(lambda: fit_rlfit(experiment, data, horizon), repeats)
    number, recovered = data.sizes["subject"], recovered_policy(experiment, data, outcome)
    return Row(name, data, seconds / number, outcome.relaxed, recovered, None, outcome.relaxing / number)


def ours(name: str, model: hr.Model, data: xr.Dataset, repeats: int, **arguments: Any) -> Row:
    """One way of `fit_convex`."""
    seconds, fit = timed(lambda: hr.fit_convex(model, data, progress=False, **arguments), repeats)
    return Row(
        name, data, seconds / data.sizes["subject"], relaxed_policy(fit), policy_of(fit), stat(fit, "bound")
    )


def first_calls(experiment: Experiment, model: hr.Model, data: xr.Dataset) -> list[tuple[str, float]]:
    """What is paid once in a process: imports, and loading or compiling code."""
    two = first(data, 2)
    calls = {
        "fit_convex (hull)": lambda: hr.fit_convex(model, two, progress=False),
        "fit_convex (monotone)": lambda: hr.fit_convex(model, two, relaxation="monotone", progress=False),
        "fit_mle": lambda: hr.fit_mle(model, two, progress=False),
        "rlfit": lambda: fit_rlfit(experiment, two, 5),
    }
    return [(name, timed(call, 1)[0]) for name, call in calls.items()]


def print_table(experiment: Experiment, rows: list[Row]) -> None:
    """Times, ratios to the reference package, accuracy and tightness."""
    full, short = rows[0].seconds, rows[1].seconds
    for heads in (
        ("ms/subject", "x faster", "x faster", "median KL", "median KL", "bound - MLE, nats"),
        ("", "than full", "than 5", "relaxed", "recovered", "median      max"),
    ):
        print(f"{'':26}" + "".join(f"{head:>11}" for head in heads[:5]) + f"{heads[5]:>22}")
    for row in rows:
        ratios = f"{full / row.seconds:>11.1f}{short / row.seconds:>11.1f}"
        print(
            f"{row.name:26}{1e3 * row.seconds:>11.2f}{ratios}{errors(experiment, row)}{looseness(experiment, row)}"
        )


def errors(experiment: Experiment, row: Row) -> str:
    """Median divergence of the relaxed and of the recovered policy from the true one."""
    true = experiment.true_policy(row.data)
    medians = [np.median(kl_by_subject(true, policy)) for policy in (row.relaxed, row.recovered)]
    return "".join(f"{median:>11.5f}" for median in medians)


def looseness(experiment: Experiment, row: Row) -> str:
    """How far the bound lies above the maximum likelihood."""
    if row.bound is None or np.isnan(row.bound).all():
        return f"{'no bound':>22}"
    gap = row.bound - stat(hr.fit_mle(experiment.model(), row.data, progress=False), "loglik")
    return f"{np.median(gap):>13.4f}{gap.max():>9.4f}"


def print_pairs(experiment: Experiment, reference: Row, rows: list[Row]) -> None:
    """On how many of the same subjects ours is closer to the truth than the reference package."""
    true = experiment.true_policy(reference.data)
    theirs = kl_by_subject(true, reference.recovered)
    for row in rows:
        wins = int((kl_by_subject(true, row.recovered) < theirs).sum())
        print(f"{row.name}: lower KL than {reference.name} for {wins} of {theirs.size} subjects")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--subjects", type=int, default=20)
    parser.add_argument("--many", type=int, default=1000, help="subjects of the rows that need many")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--task", choices=tuple(TASKS), default="2arm")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    experiment, repeats = Experiment("basic", options.task), options.repeats
    data, model = experiment.simulated(options.subjects, seed=options.seed), experiment.model()
    many = experiment.simulated(options.many, seed=options.seed)
    once = first_calls(experiment, model, data)
    rows = [
        rival("rlfit, full horizon", experiment, data, -1, repeats),
        rival("rlfit, horizon 5", experiment, data, 5, repeats),
        ours("hull", model, data, repeats),
        ours("monotone", model, data, repeats, relaxation="monotone"),
        ours("monotone, horizon 5", model, data, repeats, relaxation="monotone", horizon=5),
        ours(f"hull, {options.many} subjects", model, many, repeats),
        ours("the same on one core", model, many, repeats, cores=1),
    ]
    print(f"basic {options.task}, {options.subjects} subjects x {N_TRIALS} trials, median of {repeats} runs")
    print_table(experiment, rows)
    print_pairs(experiment, rows[0], rows[2:5])
    for row in rows[:2]:
        ratio = row.without_recovery / rows[-2].seconds
        print(
            f"{row.name}, without recovery: {1e3 * row.without_recovery:.1f} ms, {ratio:.0f} times {rows[-2].name}"
        )
    print("paid once in this process: " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in once))


if __name__ == "__main__":
    main()
