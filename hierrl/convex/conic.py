"""Solvers that CVXPY can hand a sum of logistic terms to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cvxpy as cp
from cvxpy.constraints.exponential import ExpCone
from cvxpy.reductions.solvers.defines import SOLVER_MAP_CONIC

# The bound loses what the solver leaves: these tolerances cost an iteration or two and gain three digits.
TIGHT = {"CLARABEL": {"tol_gap_abs": 1e-9, "tol_gap_rel": 1e-9, "tol_feas": 1e-9}}


def check_solver(solver: str) -> None:
    """Raise ValueError if CVXPY does not have this solver, or if it has no exponential cones."""
    if solver in able_solvers():
        return
    what = "has no exponential cones" if solver in cp.installed_solvers() else "is not installed"
    raise ValueError(
        f"The solver {solver!r} {what}. Installed here and able to do this: {', '.join(able_solvers())}."
    )


def able_solvers() -> list[str]:
    """Installed solvers that a sum of logistic terms can be handed to."""
    return [name for name in cp.installed_solvers() if ExpCone in _cones(name)]


def _cones(solver: str) -> Sequence[Any]:
    found = SOLVER_MAP_CONIC.get(solver)
    return found.SUPPORTED_CONSTRAINTS if found is not None else ()
