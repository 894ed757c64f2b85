"""The convex step against `rlfit`, the reference package, end to end per subject on the paper's *basic* data.

    python benchmarks/convex.py --subjects 20 [--task 10arm] [--repeats 3] [--many 1000]

End to end means: from arrays of choices and rewards to estimated parameters. `rlfit` fits and recovers subject
by subject (in one process; its own pool of workers costs more than it gives); ours takes all subjects in one
call. Every time is the median of several runs in this process; what is paid once (imports, compilation) is
listed apart.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from basic import N_TRIALS, basic, kl_by_subject, policy_of, relaxed_policy, stat, true_policy

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


def one_hot(data: xr.Dataset) -> list[tuple[FloatArray, FloatArray]]:
    """(rewards, actions) of each subject as the reference package wants them."""
    actions = np.eye(data.sizes["arm"])[data["choice"].values]
    rewards = actions * data["reward"].values[:, None]
    shape = (-1, N_TRIALS, data.sizes["arm"])
    return list(zip(rewards.reshape(shape), actions.reshape(shape), strict=True))


def fit_rlfit(
    arrays: list[tuple[FloatArray, FloatArray]], horizon: int, betas: tuple[float, float]
) -> tuple[FloatArray, FloatArray, float]:
    """(relaxed policy, recovered policy, seconds without recovery) of the reference package."""
    from rlfit import RLFit

    np.random.seed(1)  # noqa: NPY002 - it draws its starts from numpy's global generator
    relaxed, recovered, alone = [], [], 0.0
    for rewards, actions in arrays:
        rival: Any = RLFit(horizon_len=horizon, share_param=True)
        began = time.perf_counter()
        rival.fit(rewards, actions)
        alone += time.perf_counter() - began
        relaxed.append(rival.predict(rewards))
        rival.fit_param(*betas, concurrent=False)
        recovered.append(rival.predict(rewards))
    return np.concatenate(relaxed), np.concatenate(recovered), alone


def timed(work: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Median wall time of several calls, and the last result."""
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds)), result


def rival(name: str, data: xr.Dataset, horizon: int, betas: tuple[float, float], repeats: int) -> Row:
    """The reference package at one horizon."""
    arrays = one_hot(data)
    seconds, (relaxed, recovered, alone) = timed(lambda: fit_rlfit(arrays, horizon, betas), repeats)
    return Row(name, data, seconds / len(arrays), relaxed, recovered, None, alone / len(arrays))


def ours(name: str, model: hr.Model, data: xr.Dataset, repeats: int, **arguments: Any) -> Row:
    """One way of `fit_convex`."""
    seconds, fit = timed(lambda: hr.fit_convex(model, data, progress=False, **arguments), repeats)
    return Row(
        name, data, seconds / data.sizes["subject"], relaxed_policy(fit), policy_of(fit), stat(fit, "bound")
    )


def first_calls(model: hr.Model, data: xr.Dataset, betas: tuple[float, float]) -> list[tuple[str, float]]:
    """What is paid once in a process: imports, and loading or compiling code."""
    two = data.isel(trial=slice(0, 2 * N_TRIALS), subject=slice(0, 2))
    calls = {
        "fit_convex (hull)": lambda: hr.fit_convex(model, two, progress=False),
        "fit_convex (monotone)": lambda: hr.fit_convex(model, two, relaxation="monotone", progress=False),
        "fit_mle": lambda: hr.fit_mle(model, two, progress=False),
        "rlfit": lambda: fit_rlfit(one_hot(two), 5, betas),
    }
    return [(name, timed(call, 1)[0]) for name, call in calls.items()]


def print_table(rows: list[Row], model: hr.Model) -> None:
    """Times, ratios to the reference package, accuracy and tightness."""
    full, short = rows[0].seconds, rows[1].seconds
    for heads in (
        ("ms/subject", "x faster", "x faster", "median KL", "median KL", "bound - MLE, nats"),
        ("", "than full", "than 5", "relaxed", "recovered", "median      max"),
    ):
        print(f"{'':26}" + "".join(f"{head:>11}" for head in heads[:5]) + f"{heads[5]:>22}")
    for row in rows:
        ratios = f"{full / row.seconds:>11.1f}{short / row.seconds:>11.1f}"
        print(f"{row.name:26}{1e3 * row.seconds:>11.2f}{ratios}{errors(row)}{looseness(row, model)}")


def errors(row: Row) -> str:
    """Median divergence of the relaxed and of the recovered policy from the true one."""
    true = true_policy(row.data)
    medians = [np.median(kl_by_subject(true, policy)) for policy in (row.relaxed, row.recovered)]
    return "".join(f"{median:>11.5f}" for median in medians)


def looseness(row: Row, model: hr.Model) -> str:
    """How far the bound lies above the maximum likelihood."""
    if row.bound is None or np.isnan(row.bound).all():
        return f"{'no bound':>22}"
    gap = row.bound - stat(hr.fit_mle(model, row.data, progress=False), "loglik")
    return f"{np.median(gap):>13.4f}{gap.max():>9.4f}"


def print_pairs(reference: Row, rows: list[Row]) -> None:
    """On how many of the same subjects ours is closer to the truth than the reference package."""
    true = true_policy(reference.data)
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
    parser.add_argument("--task", choices=("2arm", "10arm"), default="2arm")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    data, model = basic(options.task, options.subjects, seed=options.seed)
    many, _ = basic(options.task, options.many, seed=options.seed)
    betas, repeats = model.bounds["beta"], options.repeats
    once = first_calls(model, data, betas)
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of rlfit's solver
        rows = [
            rival("rlfit, full horizon", data, -1, betas, repeats),
            rival("rlfit, horizon 5", data, 5, betas, repeats),
            ours("hull", model, data, repeats),
            ours("monotone", model, data, repeats, relaxation="monotone"),
            ours("monotone, horizon 5", model, data, repeats, relaxation="monotone", horizon=5),
            ours(f"hull, {options.many} subjects", model, many, repeats),
            ours("the same on one core", model, many, repeats, cores=1),
        ]
    print(f"basic {options.task}, {options.subjects} subjects x {N_TRIALS} trials, median of {repeats} runs")
    print_table(rows, model)
    print_pairs(rows[0], rows[2:5])
    for row in rows[:2]:
        ratio = row.without_recovery / rows[-2].seconds
        print(
            f"{row.name}, without recovery: {1e3 * row.without_recovery:.1f} ms, {ratio:.0f} times {rows[-2].name}"
        )
    print("paid once in this process: " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in once))


if __name__ == "__main__":
    main()
