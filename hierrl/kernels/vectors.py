"""Eight numbers as one: vector instructions by construction, where a compiler might or might not find them.

In compiled code ``read(array, at)`` gives eight consecutive elements as one value; arithmetic, comparisons and
``choose`` act on all eight, a number stands for eight equal ones, and ``write`` puts them back. No index is checked.
"""

from __future__ import annotations

import operator
from typing import Any

import llvmlite.ir as ir
from numba import types
from numba.extending import models, overload, register_model

from hierrl.kernels.exponential import (
    BIAS,
    C3,
    C4,
    C5,
    C6,
    C7,
    C8,
    C9,
    C10,
    C11,
    LOG2_E,
    LOG_2_HIGH,
    LOG_2_LOW,
    MANTISSA,
    ROUND,
    SMALLEST,
    exp_negative,
)
from hierrl.kernels.jit import intrinsic, njit
from hierrl.kernels.loops import INNER

WIDTH = 8

CONTRACT = ("contract", "nsz")
"""Products may join sums."""


class Eight(types.Type):
    """Eight numbers of one kind."""

    def __init__(self, kind: str, code: ir.Type):
        super().__init__(name=f"eight_{kind}")
        self.code = ir.VectorType(code, WIDTH)


FLOATS, FLAGS = Eight("floats", ir.DoubleType()), Eight("flags", ir.IntType(1))


@register_model(Eight)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Eight):
        super().__init__(manager, kind, kind.code)


def _splat(builder: Any, value: Any) -> Any:
    """Eight times the same number."""
    one = builder.insert_element(ir.Constant(FLOATS.code, ir.Undefined), value, ir.IntType(32)(0))
    pattern = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
    return builder.shuffle_vector(one, ir.Constant(FLOATS.code, ir.Undefined), pattern)


def as_floats(context: Any, builder: Any, value: Any, kind: Any) -> Any:
    """Eight floats from eight floats or from a number."""
    return value if kind == FLOATS else _splat(builder, context.cast(builder, value, kind, types.float64))


def _is_mixed(*kinds: Any) -> bool:
    """Whether these are eight floats and perhaps numbers."""
    return FLOATS in kinds and all(kind == FLOATS or isinstance(kind, types.Number) for kind in kinds)


def _binary(make: Any, result: Eight) -> Any:
    """An operation on two times eight floats, of which one may be a number."""

    @intrinsic
    def apply(typingctx, left, right):
        def code(context, builder, signature, args):
            pairs = zip(args, signature.args, strict=True)
            return make(builder, *(as_floats(context, builder, value, kind) for value, kind in pairs))

        return result(left, right), code

    return apply


ARITHMETIC = {operator.add: "fadd", operator.sub: "fsub", operator.mul: "fmul", operator.truediv: "fdiv"}
COMPARISONS = {operator.lt: "<", operator.gt: ">"}


def _overload_binary(function: Any, apply: Any) -> None:
    @overload(function)
    def _(left, right):
        return (lambda left, right: apply(left, right)) if _is_mixed(left, right) else None


for _function, _name in ARITHMETIC.items():
    _overload_binary(
        _function, _binary(lambda b, x, y, name=_name: getattr(b, name)(x, y, flags=CONTRACT), FLOATS)
    )
for _function, _name in COMPARISONS.items():
    _overload_binary(_function, _binary(lambda b, x, y, name=_name: b.fcmp_ordered(name, x, y), FLAGS))


@overload(operator.neg)
def _negative(x):
    return (lambda x: -0.0 - x) if x == FLOATS else None


@overload(operator.and_)
def _and(left, right):
    return (lambda left, right: _both(left, right)) if left == right == FLAGS else None


@intrinsic
def _both(typingctx, left, right):
    def code(context, builder, signature, args):
        return builder.and_(*args)

    return FLAGS(left, right), code


@intrinsic
def choose(typingctx, flags, yes, no):
    """Of each pair the first where the flag is set, else the second."""

    def code(context, builder, signature, args):
        flags_, *both = args
        kinds = signature.args[1:]
        values = [as_floats(context, builder, v, kind) for v, kind in zip(both, kinds, strict=True)]
        return builder.select(flags_, *values)

    return FLOATS(flags, yes, no), code


def pointer(context: Any, builder: Any, signature: Any, args: Any, code: ir.Type) -> Any:
    """Where eight elements of args[0] stand, from the element args[1] on (counted without axes)."""
    array = context.make_array(signature.args[0])(context, builder, args[0])
    return builder.bitcast(builder.gep(array.data, [args[1]]), code.as_pointer())


@intrinsic
def read(typingctx, array, at):
    """Elements `at` to `at` + 7 of a contiguous array of floats."""

    def code(context, builder, signature, args):
        place = pointer(context, builder, signature, args, FLOATS.code)
        return builder.load(place, align=8)

    return FLOATS(array, types.int64), code


@intrinsic
def write(typingctx, array, at, value):
    """Eight floats to `array` from element `at` on."""

    def code(context, builder, signature, args):
        place = pointer(context, builder, signature, args, FLOATS.code)
        builder.store(as_floats(context, builder, args[2], signature.args[2]), place, align=8)
        return context.get_dummy_value()

    return types.void(array, types.int64, value), code


@intrinsic
def equal(typingctx, array, at, value):
    """Which of the elements `at` to `at` + 7 of a contiguous array of integers have this value."""

    def code(context, builder, signature, args):
        element = context.get_value_type(array.dtype)
        place = pointer(context, builder, signature, args, ir.VectorType(element, WIDTH))
        found = builder.load(place, align=element.width // 8)
        one = context.cast(builder, args[2], signature.args[2], array.dtype)
        undefined = ir.Constant(found.type, ir.Undefined)
        first = builder.insert_element(undefined, one, ir.IntType(32)(0))
        pattern = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
        return builder.icmp_signed("==", found, builder.shuffle_vector(first, undefined, pattern))

    return FLAGS(array, types.int64, types.int64), code


@intrinsic
def _power_of_two(typingctx, shifted):
    """2^k, of which `shifted` holds k in its last bits: see `hierrl.kernels.exponential`."""

    def code(context, builder, signature, args):
        whole = ir.VectorType(ir.IntType(64), WIDTH)
        bits = builder.add(builder.bitcast(args[0], whole), ir.Constant(whole, [BIAS] * WIDTH))
        return builder.bitcast(builder.shl(bits, ir.Constant(whole, [MANTISSA] * WIDTH)), FLOATS.code)

    return FLOATS(shifted), code


@njit(**INNER, forceinline=True)
def _exponential(x):
    x = choose(x > SMALLEST, x, SMALLEST)
    shifted = x * LOG2_E + ROUND
    whole = shifted - ROUND
    r = x - whole * LOG_2_HIGH - whole * LOG_2_LOW
    p = (((C11 * r + C10) * r + C9) * r + C8) * r + C7
    p = ((((p * r + C6) * r + C5) * r + C4) * r + C3) * r + 0.5
    p = (p * r + 1.0) * r + 1.0
    return p * _power_of_two(shifted)


@overload(exp_negative)
def _of_eight(x):
    return (lambda x: _exponential(x)) if x == FLOATS else None
