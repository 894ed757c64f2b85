"""What is odd about a subject's data or estimate, in sentences: for the status that every fit reports by
subject.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hierrl.kernels.problem import Problem

FloatArray = npt.NDArray[np.float64]

EDGE = 1e-6
"""Share of the width of its bounds within which an estimate counts as lying on one."""
FEW_TRIALS = 20


def at_bound(problem: Problem, theta: FloatArray) -> npt.NDArray[np.bool_]:
    """(S, P) which estimates lie on a bound."""
    edge = EDGE * (problem.upper - problem.lower)
    return (theta <= problem.lower + edge) | (theta >= problem.upper - edge)


def data_oddities(problem: Problem) -> list[list[str]]:
    """For each subject, sentences on data that say little about any model."""
    return [_of_subject(problem, s) for s in range(problem.n_subjects)]


def statuses(
    problem: Problem, outcome: list[str], theta: FloatArray | None = None
) -> npt.NDArray[np.object_]:
    """One status sentence (or several) by subject: the outcome, what is odd in the data, estimates on a bound."""
    held = None if theta is None else at_bound(problem, theta)
    sentences = []
    for s, odd in enumerate(data_oddities(problem)):
        parts = [outcome[s], *odd]
        if held is not None and held[s].any():
            labels = [label for label, on in zip(problem.labels, held[s], strict=True) if on]
            parts.append(f"On a bound: {', '.join(labels)}.")
        sentences.append(" ".join(parts))
    return np.array(sentences, dtype=object)


def _of_subject(problem: Problem, s: int) -> list[str]:
    rows = slice(problem.trials.offset[s], problem.trials.offset[s + 1])
    scored = problem.trials.choice[rows][problem.trials.scored[rows]]
    if scored.size == 0:
        return ["No trial is scored, so every parameter value fits alike."]
    found = []
    if (scored == scored[0]).all():
        found.append(f"Only arm {problem.arms[scored[0]]} was chosen.")
    if scored.size < FEW_TRIALS:
        found.append(f"Only {scored.size} trials are scored.")
    return found
