"""Where to start the climb to maximum likelihood: at the convex estimate, or at random points?

    python benchmarks/starts.py DATA                               # a folder with the data sets

`subvalue` (a trace of rewards and a signed trace of choices) on real subjects. Random starts are uniform in the
logit of each rate and log-normal in each weight; a signed weight gets a random sign. They climb with the package's
own maximiser and with SciPy's L-BFGS-B on the exact gradient; groups of disjoint starts give the best of several.
The optimum is the one that ``hr.fit_mle(certify=...)`` proves, or the best point known where the proof stopped.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from experiments import stat
from paper_table import table
from scipy.optimize import minimize
from scores import wilson

import hierrl as hr
from hierrl.fits import problem_of, theta_of
from hierrl.kernels.newton import maximise
from hierrl.kernels.problem import Problem, prepare

FloatArray = npt.NDArray[np.float64]

RESULTS = Path(__file__).parent / "results" / "starts.json"
DATA = ("fitzgerald_reversal", "dezfouli_clinical_2arm")
WIDEST_LOGIT = 5.0
MEDIAN_WEIGHT, SPREAD = 3.0, 1.0
"""Of the log-normal weights: median, and standard deviation of the logarithm."""
MISSED = 0.05
"""Nats below the optimum from which a climb has missed it."""
TOLERANCE = 1e-3
SEVERAL = (1, 5, 10)


class Line(NamedTuple):
    """How often a way to start missed the optimum."""

    name: str
    missed: int
    tries: int
    seconds: float
    """A subject."""
    worst: float
    """Nats by which the worst try missed."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where <name>.csv.gz lie")
    parser.add_argument("--names", nargs="+", default=DATA)
    parser.add_argument("--starts", type=int, default=100, help="random starts for each subject")
    parser.add_argument("--scipy-starts", type=int, default=20, help="of them with L-BFGS-B too")
    parser.add_argument("--subjects", type=int, help="only the first so many")
    parser.add_argument("--budget", type=float, default=20.0, help="seconds for the proof of a subject")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    parts = [compare(name, options) for name in options.names]
    text = "\n\n".join([_how(options), *parts])
    print(text)
    options.results.parent.mkdir(parents=True, exist_ok=True)
    options.results.write_text(json.dumps({"table": text}, indent=1) + "\n")


def compare(name: str, options: argparse.Namespace) -> str:
    """The table of one data set."""
    data = hr.behaviour(options.folder / f"{name}.csv.gz")
    if options.subjects:
        labels = data["subject"].values[: options.subjects]
        data = data.isel(trial=np.isin(data["trial_subject"].values, labels)).sel(subject=labels)
    model = hr.model("subvalue")
    problem = prepare(model, data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of subjects that did not converge
        one = data.isel(trial=slice(0, 100)).sel(subject=data["trial_subject"].values[:1])
        hr.fit_mle(model, one, certify=TOLERANCE, progress=False)  # loads or compiles
        convex, relaxing = _timed(lambda: hr.fit_convex(model, data, progress=False))
        mle, climbing = _timed(lambda: hr.fit_mle(model, data, start=convex, progress=False))
        proven, proving = _timed(
            lambda: hr.fit_mle(
                model, data, start=convex, certify=TOLERANCE, budget=options.budget, progress=False
            )
        )
    single = maximise(problem, theta_of(convex, problem_of(convex))[0, 0])
    starts = random_starts(problem, options.starts, np.random.default_rng(options.seed))
    climbs, random_seconds = _timed(lambda: climb_each(problem, starts))
    few = starts[:, : options.scipy_starts]
    others, scipy_seconds = _timed(lambda: lbfgs_each(problem, few))
    best = np.max(
        [stat(proven, "loglik"), stat(mle, "loglik"), climbs.max(axis=1), others.max(axis=1)], axis=0
    )
    n = problem.n_subjects
    lines = [
        _line("convex estimate, one climb", single.loglik[:, None], best, relaxing / n),
        _line("`fit_mle`", stat(mle, "loglik")[:, None], best, (relaxing + climbing) / n),
        _line("`fit_mle(certify=0.001)`", stat(proven, "loglik")[:, None], best, (relaxing + proving) / n),
        *_grouped("random", climbs, best, random_seconds / starts[..., 0].size),
        *_grouped("random, L-BFGS-B", others, best, scipy_seconds / few[..., 0].size),
    ]
    certified = int(((stat(proven, "bound") - stat(proven, "loglik")) <= TOLERANCE).sum())
    heads = ("start", "missed", "95 % interval", "worst, nats", "ms a subject")
    title = f"*{name}*, {n} subjects ({certified} of them proven optimal to {TOLERANCE:g} nats):"
    return f"{title}\n\n{table(heads, [_cells(line) for line in lines])}"


def random_starts(problem: Problem, number: int, rng: np.random.Generator) -> FloatArray:
    """(S, K, P) within bounds, on the scaled signal."""
    shape = (problem.n_subjects, number)
    starts = np.zeros((*shape, problem.n_parameters))
    for k, (_, parameter, _) in enumerate(problem.scalars):
        if parameter.kind == "rate":
            starts[..., k] = 1.0 / (1.0 + np.exp(-rng.uniform(-WIDEST_LOGIT, WIDEST_LOGIT, shape)))
        else:
            starts[..., k] = np.exp(rng.normal(np.log(MEDIAN_WEIGHT), SPREAD, shape))
            if parameter.link == "identity":
                starts[..., k] *= rng.choice([-1.0, 1.0], shape)
    return problem.clip(starts)


def climb_each(problem: Problem, starts: FloatArray) -> FloatArray:
    """(S, K) log-likelihoods reached by the package's maximiser from each start."""
    return np.stack([maximise(problem, starts[:, k]).loglik for k in range(starts.shape[1])], axis=1)


def lbfgs_each(problem: Problem, starts: FloatArray) -> FloatArray:
    """(S, K) likewise by L-BFGS-B, within the same bounds."""
    reached = np.empty(starts.shape[:2])
    for s in range(problem.n_subjects):
        one = problem.select([s])
        bounds = list(zip(one.lower, one.upper, strict=True))

        def loss(theta: FloatArray, one: Problem = one) -> tuple[float, FloatArray]:
            value, gradient = one.derivatives(theta[None], order=1)
            return -float(value[0]), -gradient[0]

        for k in range(starts.shape[1]):
            reached[s, k] = -minimize(loss, starts[s, k], jac=True, method="L-BFGS-B", bounds=bounds).fun
    return reached


def _grouped(name: str, reached: FloatArray, best: FloatArray, seconds: float) -> list[Line]:
    """Lines for the best of one, five, ten ... disjoint starts; seconds are those of one."""
    lines = []
    for size in SEVERAL:
        groups = reached.shape[1] // size
        if groups:
            grouped = reached[:, : groups * size].reshape(reached.shape[0], groups, size).max(axis=2)
            many = "one start" if size == 1 else f"best of {size}"
            lines.append(_line(f"{name}, {many}", grouped, best, size * seconds))
    return lines


def _line(name: str, reached: FloatArray, best: FloatArray, seconds: float) -> Line:
    """Count the tries (S, K) that missed the best known (S,)."""
    short = best[:, None] - reached
    return Line(name, int((short > MISSED).sum()), short.size, seconds, float(short.max()))


def _cells(line: Line) -> tuple[str, ...]:
    share, low, high = (100 * part for part in wilson(line.missed, line.tries))
    missed = f"{share:.1f} % ({line.missed} of {line.tries})"
    return (line.name, missed, f"{low:.1f}-{high:.1f} %", f"{line.worst:.2f}", f"{1e3 * line.seconds:.1f}")


def _how(options: argparse.Namespace) -> str:
    return (
        "How often a climb ends more than "
        f"{MISSED} nats below the optimum, for `subvalue` with a signed choice weight on real subjects. Random "
        f"starts: rates uniform in logit ±{WIDEST_LOGIT:g}, weights log-normal with median {MEDIAN_WEIGHT:g} and "
        f"spread {SPREAD:g} of the logarithm, the choice weight with a random sign; {options.starts} for each subject "
        f"with our maximiser, {options.scipy_starts} of them with SciPy's L-BFGS-B and our gradient."
    )


def _timed(work: Any) -> tuple[Any, float]:
    began = time.perf_counter()
    result = work()
    return result, time.perf_counter() - began


if __name__ == "__main__":
    main()
