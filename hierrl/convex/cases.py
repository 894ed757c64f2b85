"""Signs of weights, and what a solver's answer is worth: what all relaxations through CVXPY share.

A kernel or a mixture has one sign. Where a weight may have either, each combination of signs is a problem of
its own and the best is kept.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hierrl.convex.lags import Design, Part
from hierrl.convex.program import Columns, Solution, Terms, terms_of
from hierrl.convex.steps import prices_of

FloatArray = npt.NDArray[np.float64]

MOST_CASES = 8
"""Up to this many combinations of signs are all solved; beyond, each takes the sign its price prefers."""

CLOSE = 1e-3
"""Nats within which a certificate makes up for a solver that stopped early."""


class Case(NamedTuple):
    """A group of subjects solved with the signs of their kernels fixed."""

    parts: tuple[Part, ...]
    designs: list[Design]
    columns: Columns
    solution: Solution


def best_case(
    parts: tuple[Part, ...],
    designs: Sequence[Design],
    solve: Callable[[tuple[Part, ...], Columns, Terms], Solution],
) -> Case:
    """Solve a group of designs with every combination of signs and keep the one of smallest loss."""
    cases = []
    for signed in sign_cases(parts, designs):
        own = [design.signed(signed) for design in designs]
        columns = Columns.of(own)
        cases.append(Case(signed, own, columns, solve(signed, columns, terms_of(own, columns))))
    return min(cases, key=lambda case: case.solution.loss)


def sign_cases(parts: tuple[Part, ...], designs: Sequence[Design]) -> list[tuple[Part, ...]]:
    """Ways of giving signed parts a sign: all, or if many the one that zero logits prefer."""
    choices = [[part.case(1.0), part.case(-1.0)] if part.signed else [part] for part in parts]
    if np.prod([len(options) for options in choices], dtype=float) <= MOST_CASES:
        return list(itertools.product(*choices))
    prices = [prices_of(design, np.zeros(design.shown.shape)) for design in designs]
    chosen = []
    for b, options in enumerate(choices):
        steps = [price[design.columns[b]] for price, design in zip(prices, designs, strict=True)]
        if parts[b].kind == "kernel":
            steps = [np.cumsum(step) for step in steps]
        gain, loss = sum(step.max() for step in steps), sum(-step.min() for step in steps)
        chosen.append(options[0] if len(options) == 1 or gain >= loss else options[1])
    return [tuple(chosen)]


def feasible(values: FloatArray, design: Design, parts: Sequence[Part]) -> FloatArray:
    """Unknowns without the solver's tolerance: kernels fall to 0 or above, coefficients lie in their box."""
    values, seen = values.copy(), design.scored_matrix
    for part, columns in zip(parts, design.columns, strict=True):
        own = values[columns]
        if part.kind == "kernel":
            # a kernel that no scored trial sees is zero
            own = np.minimum.accumulate(np.maximum(own, 0.0)) if seen[:, columns].nnz else 0.0 * own
        elif part.kind == "mixture":
            own = np.maximum(own, 0.0)
            own *= min(1.0, part.upper / own.sum()) if own.sum() > 0 else 1.0
        else:
            own = np.clip(own, part.lower, part.upper)
        values[columns] = own
    return values


def sentence(case: Case, gap: float, mass_bound: bool) -> tuple[str, bool]:
    """What happened, and whether the optimum was found; `gap` (nats) bounds its distance, NaN if unknown."""
    values, status = case.solution.values, case.solution.status
    if not any(design.scored.any() for design in case.designs):
        return "No trial is scored: there is nothing to fit.", False
    if case.solution.optimal:
        return "Solved.", True
    if values is not None and gap <= CLOSE:
        return f"Solved: the solver stopped early ({status}), within {CLOSE} nats of the optimum.", True
    if values is not None:
        return f"The solver stopped early ({status}): the estimate is approximate, a bound holds.", False
    if not mass_bound and "unbounded" in status:
        told = f"The problem is {status}: choices that can be predicted perfectly have no best kernel "
        return told + "without a bound on it. Set mass_bound=True.", False
    return f"The solver failed ({status}): estimate and bound are those of zero kernels.", False
