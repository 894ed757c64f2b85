"""The likelihood of a user's recursion in a PyMC model: Ops around the loops that were written for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pymc as pm
import pytensor.tensor as pt
from pytensor.graph.basic import Apply

from hierrl.kernels.recursion_code import Program, gradient_caller, probability_caller
from hierrl.kernels.recursion_rows import RowsOfTrials
from hierrl.posterior.op import ArraysOp, WithGradient, numba_njit

SIGNATURE = "(s,p),(o),(n),(n),(n),(n),(m,a),(r,n),(d)->(n)"
N_ARRAYS = len(RowsOfTrials._fields)


class RecursionOp(ArraysOp):
    """An Op around loops of a recursion; two are the same if they run the same code."""

    __props__ = ("key",)

    def __init__(self, program: Program):
        self.program, self.key = program, program.key


class RecursionLogLik(RecursionOp, WithGradient):
    """That of a recursion. Other inputs: the arrays of `RowsOfTrials`."""

    def function(self) -> Callable[..., Any]:
        call = numba_njit(gradient_caller(self.program))

        def recursion_log_lik(theta, offset, choice, reset, scored, learns, available, inputs, context):
            return call(theta, offset, choice, reset, scored, learns, available, inputs, context)

        return recursion_log_lik


class RecursionProbability(RecursionOp):
    """Choice probabilities (n, m) before each trial given the choices so far; inputs as `RecursionLogLik`."""

    outputs = (pt.dmatrix,)
    n_differentiable = 0

    def function(self) -> Callable[..., Any]:
        call = numba_njit(probability_caller(self.program))

        def recursion_probability(theta, offset, choice, reset, scored, learns, available, inputs, context):
            return call(theta, offset, choice, reset, scored, learns, available, inputs, context)

        return recursion_probability

    def infer_shape(self, node: Apply, shapes: Any) -> Any:
        return [(shapes[2][0], shapes[6][0])]


def recursion_choices(program: Program) -> dict[str, Any]:
    """What `pm.CustomDist` needs to know of the choices."""

    def logp(choice: Any, theta: Any, *arrays: Any) -> Any:
        return RecursionLogLik(program)(theta, *arrays)[0].sum()

    def dist(theta: Any, *arrays_and_size: Any) -> Any:
        arrays = arrays_and_size[:N_ARRAYS]
        drawn = pm.Categorical.dist(p=RecursionProbability(program)(theta, *arrays))
        return pt.where(arrays[1] < 0, -1, drawn)

    return {"logp": logp, "dist": dist, "signature": SIGNATURE}
