"""PyTensor Ops around the kernels, with all their data as graph inputs. The one file here that sees numba.

They run in PyTensor's numba backend without Python in the loop, under cache keys of their own, so that a second
process finds them compiled. ``perform`` serves the other backends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numba
import numba.extending
import numpy as np
import pytensor.tensor as pt
from numba import types
from numba.core import cgutils
from pytensor.gradient import DisconnectedType, grad_not_implemented
from pytensor.graph.basic import Apply, Variable
from pytensor.graph.op import Op
from pytensor.link.numba.cache import CACHED_SRC_FUNCTIONS, compile_numba_function_src
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_default_op_cache_key

from hierrl.kernels.correlation import correlation_root, correlation_root_pullback
from hierrl.kernels.informed import (
    informed_coordinates,
    informed_map,
    informed_pullback,
    population_mean,
    population_mean_pullback,
)
from hierrl.kernels.jit import fingerprint, intrinsic
from hierrl.kernels.population import group_caller
from hierrl.kernels.symbols import FLOATS, loglik_caller, probability_caller

VERSION = int(fingerprint(Path(__file__).resolve())[:8], 16)
"""Part of every cache key: changes with the sources behind the Ops."""


class ArraysOp(Op):
    """An Op: `function`, compiled, turns arrays into arrays of the types `outputs`."""

    __props__ = ()

    outputs: tuple[Any, ...] = ()
    """Types of the outputs."""

    n_differentiable = 1
    """So many inputs, from the first on, are what gradients flow to."""

    def function(self) -> Callable[..., Any]:
        """What the Op does, as a function for numba."""
        raise NotImplementedError

    def make_node(self, *inputs: Any) -> Apply:
        return Apply(self, [pt.as_tensor(value) for value in inputs], [make() for make in self.outputs])

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        return super().__call__(*inputs, **options)

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: list[list[Any]]) -> None:
        found = _compiled(self)(*(np.require(value, requirements="C") for value in inputs))
        found = found if len(output_storage) > 1 else (found,)
        for storage, value in zip(output_storage, found, strict=True):
            storage[0] = value

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Outputs that each input influences smoothly."""
        return [[k < self.n_differentiable] * len(node.outputs) for k in range(len(node.inputs))]


@cache
def _compiled(op: ArraysOp) -> Callable[..., Any]:
    return numba.njit(op.function())


@register_funcify_default_op_cache_key(ArraysOp)
def _funcify(op: ArraysOp, node: Apply | None = None, **_: Any) -> tuple[Callable[..., Any], int]:
    return numba_njit(op.function()), VERSION


def disconnected(inputs: Sequence[Variable]) -> list[Variable]:
    """What gradients of data are."""
    return [DisconnectedType()() for _ in inputs]


class WithGradient(ArraysOp):
    """Log-likelihood (S,) of each subject and its gradient (S, P) at theta (S, P), natural scale, scaled signal.

    Theta is the first input. Who differentiates the log-likelihood gets the second output of the same node: nothing
    is computed twice.
    """

    outputs = (pt.dvector, pt.dmatrix)

    def infer_shape(self, node: Apply, shapes: Any) -> Any:
        return [shapes[0][:1], shapes[0]]

    def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> list[Variable]:
        value_bar, gradient_bar = cotangents
        if isinstance(gradient_bar.type, DisconnectedType):
            return [value_bar[:, None] * outputs[1], *disconnected(inputs[1:])]
        refused = grad_not_implemented(self, 0, inputs[0], "second derivatives of the likelihood in a graph")
        return [refused, *disconnected(inputs[1:])]


class SubjectLogLik(WithGradient):
    """That of a model of channels. Other inputs: the arrays of `Lanes`, those of `PackedTables`."""

    def function(self) -> Callable[..., Any]:
        call = numba_njit(loglik_caller())

        def subject_log_lik(theta, *arrays):
            theta = np.ascontiguousarray(theta)
            value, gradient = np.empty(theta.shape[0]), np.empty(theta.shape)
            call(theta, value, gradient, *arrays)
            return value, gradient

        return subject_log_lik


class ChoiceProbability(ArraysOp):
    """Choice probabilities (n, m) before each trial given the choices so far.

    Inputs: theta (S, P), the arrays of `Trials`, those of `PackedTables`.
    """

    outputs = (pt.dmatrix,)
    n_differentiable = 0

    def function(self) -> Callable[..., Any]:
        call = numba_njit(probability_caller())

        def choice_probability(theta, offset, choice, reset, scored, kind, *arrays):
            _, m, n = kind.shape
            probability, loglik = np.empty((m, n)), np.empty(n)
            call(
                np.ascontiguousarray(theta), probability, loglik, offset, choice, reset, scored, kind, *arrays
            )
            return np.ascontiguousarray(probability.T)

        return choice_probability

    def infer_shape(self, node: Apply, shapes: Any) -> Any:
        kind = shapes[5]
        return [(kind[2], kind[1])]


class InformedMap(ArraysOp):
    """Parameters (S, P) on the link scale and log-Jacobian (S,); see `hierrl.kernels.informed`.

    Inputs: z (S, P), mean (S, P), precision (G, P, P), group (S,), curvature (S, P, P), pull (S, P).
    """

    outputs = (pt.dmatrix, pt.dvector)
    n_differentiable = 3

    def function(self) -> Callable[..., Any]:
        def informed(z, mean, precision, group, curvature, pull):
            return informed_map(z, mean, precision, group, curvature, pull)

        return informed

    def infer_shape(self, node: Apply, shapes: Any) -> Any:
        return [shapes[0], shapes[0][:1]]

    def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> list[Variable]:
        zeros = (pt.zeros_like(inputs[0]), pt.zeros_like(inputs[0][:, 0]))
        known = [not isinstance(bar.type, DisconnectedType) for bar in cotangents]
        bars = [bar if k else zero for bar, k, zero in zip(cotangents, known, zeros, strict=True)]
        return [*InformedPullback()(*inputs, *bars), *disconnected(inputs[3:])]


class InformedPullback(ArraysOp):
    """The gradient of `InformedMap`: its inputs and cotangents of its outputs -> those of its first three inputs."""

    outputs = (pt.dmatrix, pt.dmatrix, pt.dtensor3)
    n_differentiable = 0

    def function(self) -> Callable[..., Any]:
        def pulled_back(z, mean, precision, group, curvature, pull, eta_bar, jacobian_bar):
            return informed_pullback(z, mean, precision, group, curvature, pull, eta_bar, jacobian_bar)

        return pulled_back

    def infer_shape(self, node: Apply, shapes: Any) -> Any:
        return list(shapes[:3])


class InformedCoordinates(ArraysOp):
    """The inverse of `InformedMap`, z (S, P) from parameters (S, P); other inputs as there. Only for drawing."""

    outputs = (pt.dmatrix,)
    n_differentiable = 0

    def function(self) -> Callable[..., Any]:
        def coordinates(eta, mean, precision, group, curvature, pull):
            return informed_coordinates(eta, mean, precision, group, curvature, pull)

        return coordinates

    def infer_shape(self, node: Apply, shapes: Any) -> Any:
        return [shapes[0]]


class PopulationMean(ArraysOp):
    """Population mean (S, P) of each subject from effects (T,), design (S, T) and the effects' parameters (T,)."""

    outputs = (pt.dmatrix,)

    def function(self) -> Callable[..., Any]:
        def mean(effects, design, owner):
            return population_mean(effects, design, owner)

        return mean

    def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> list[Variable]:
        return [PopulationMeanPullback()(cotangents[0], *inputs[1:]), *disconnected(inputs[1:])]


class PopulationMeanPullback(ArraysOp):
    """The gradient of `PopulationMean`: cotangent (S, P), design, parameters -> cotangent of the effects."""

    outputs = (pt.dvector,)
    n_differentiable = 0

    def function(self) -> Callable[..., Any]:
        def pulled_back(mean_bar, design, owner):
            return population_mean_pullback(mean_bar, design, owner)

        return pulled_back

    def infer_shape(self, node: Apply, shapes: Any) -> Any:
        return [shapes[2]]


class CorrelationRoot(ArraysOp):
    """Root (P, P) of the inverse of a correlation matrix from partial correlations (K,)."""

    outputs = (pt.dmatrix,)

    def function(self) -> Callable[..., Any]:
        def root(partial):
            return correlation_root(partial)

        return root

    def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> list[Variable]:
        return [CorrelationRootPullback()(inputs[0], cotangents[0])]


class CorrelationRootPullback(ArraysOp):
    """The gradient of `CorrelationRoot`: partial correlations (K,), cotangent of the root -> theirs."""

    outputs = (pt.dvector,)
    n_differentiable = 0

    def function(self) -> Callable[..., Any]:
        def pulled_back(partial, root_bar):
            return correlation_root_pullback(partial, root_bar)

        return pulled_back

    def infer_shape(self, node: Apply, shapes: Any) -> Any:
        return [shapes[0]]


class LogMarginal(ArraysOp):
    """Log marginal likelihood (1,) of all subjects from importance points, and its gradient (D,).

    Inputs: all numbers of the population (D,), then the other arguments of `hierrl.kernels.population.group_pass`,
    with points in single precision.
    """

    outputs = (pt.dvector, pt.dvector)

    def function(self) -> Callable[..., Any]:
        call = numba_njit(group_caller())

        def log_marginal(phi, *arrays):
            value, slope = np.empty(1), np.empty(phi.size)
            call(np.ascontiguousarray(phi), *arrays, value, slope)
            return value, slope

        return log_marginal

    def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> list[Variable]:
        bar: Any = cotangents[0][0]
        return [bar * outputs[1], *disconnected(inputs[1:])]


LOGP_IN_C = types.int64(types.uint64, FLOATS, FLOATS, FLOATS, types.voidptr)
"""What nutpie calls: dimension, position, gradient and log-density to write, pointer to user data."""

EXPAND_IN_C = types.int64(types.uint64, types.uint64, FLOATS, FLOATS, types.voidptr)
"""What nutpie calls for a draw to be stored: dimension before and after, position, where to write, user data."""


@intrinsic
def _as_pointer(typingctx, address):
    """An integer as a pointer to anything."""

    def code(context, builder, signature, args):
        return builder.inttoptr(args[0], cgutils.voidptr_t)

    return types.voidptr(address), code


@numba_njit
def _copy(source, target, at):
    """Elements of `source` into `target` (1-D) from `at` on; where they end."""
    for value in source.flat:
        target[at] = value
        at += 1
    return at


def c_function(source: str, name: str, signature: Any, function: Any) -> Any:
    """Compile `source`, which defines `name` and may call ``function``, for C; cached if that function is.

    `function` is what PyTensor compiled: its cache key holds everything that the machine code depends on.
    """
    scope = {
        "__name__": __name__,
        "function": function,
        "carray": numba.carray,
        "as_pointer": _as_pointer,
        "copy": _copy,
        "np": np,
    }
    inner = CACHED_SRC_FUNCTIONS.get(function.py_func)
    key = sha256(f"{inner} {source}".encode()).hexdigest() if inner else None
    python = compile_numba_function_src(source, name, scope, cache_key=key)
    return numba.cfunc(signature, cache=key is not None)(python)
