r"""Numbers that carry their derivatives: equations of learners, run on these, give exact first and second derivatives.

A *jet* is a value with its slopes in five parameters, and with its bends (the lower triangle of second derivatives) if
it is of second order; it is one number, or eight side by side (`hierrl.kernels.vectors`). In compiled code ``+ - * /``,
negation and ``abs`` act on jets by the rules of calculus:

.. math:: (ab)_{kj} = a\,b_{kj} + a_k b_j + a_j b_k + a_{kj} b, \qquad
          c = a / b:\; c_{kj} = (a_{kj} - c_k b_j - c_j b_k - c\,b_{kj}) / b.

(Griewank & Walther 2008, ch. 13.) At 0 ``abs`` has the slope of positive numbers.
"""

from __future__ import annotations

import operator
from typing import Any

import llvmlite.ir as ir
from numba import types
from numba.core import typing
from numba.extending import models, overload, register_model

from hierrl.kernels.jit import intrinsic
from hierrl.kernels.tables import N_ROLES
from hierrl.kernels.vectors import CONTRACT, FLAGS, FLOATS, WIDTH, as_floats, pointer

N_BENDS = N_ROLES * (N_ROLES + 1) // 2
PAIRS = [(k, j) for k in range(N_ROLES) for j in range(k + 1)]
"""In the order of `hierrl.kernels.rule.pair`."""


class Jet(types.Type):
    """A value with derivatives up to `order`, eight side by side if `wide`."""

    def __init__(self, order: int, *, wide: bool):
        super().__init__(name=f"jet_{order}_{'wide' if wide else 'single'}")
        self.order, self.wide = order, wide
        self.element: ir.Type = FLOATS.code if wide else ir.DoubleType()
        self.size = 1 + N_ROLES + (N_BENDS if order > 1 else 0)
        self.code = ir.ArrayType(self.element, self.size)


WIDE, SECOND = Jet(1, wide=True), Jet(2, wide=False)
JETS = (WIDE, SECOND)


@register_model(Jet)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Jet):
        super().__init__(manager, kind, kind.code)


class _Parts:
    """The parts of a jet while code is made: value, slopes, bends; a constant has neither of the latter."""

    def __init__(self, value: Any, slopes: list[Any] | None = None, bends: list[Any] | None = None):
        self.value, self.slopes, self.bends = value, slopes, bends


class _Writer:
    """Writes the arithmetic of jets of one type."""

    def __init__(self, context: Any, builder: Any, kind: Jet):
        self.context, self.builder, self.kind = context, builder, kind
        # single numbers keep the bits that plain floats would have
        self.flags = CONTRACT if kind.wide else ()

    def parts(self, value: Any, kind: Any) -> _Parts:
        """A jet, or a number, taken apart."""
        if not isinstance(kind, Jet):
            number = (
                as_floats(self.context, self.builder, value, kind)
                if self.kind.wide
                else self.context.cast(self.builder, value, kind, types.float64)
            )
            return _Parts(number)
        items = [self.builder.extract_value(value, k) for k in range(self.kind.size)]
        return _Parts(items[0], items[1 : 1 + N_ROLES], items[1 + N_ROLES :])

    def joined(self, parts: _Parts) -> Any:
        """The inverse for jets."""
        value = ir.Constant(self.kind.code, ir.Undefined)
        for k, item in enumerate([parts.value, *(parts.slopes or []), *(parts.bends or [])]):
            value = self.builder.insert_value(value, item, k)
        return value

    def add(self, x: Any, y: Any) -> Any:
        return self.builder.fadd(x, y, flags=self.flags)

    def sub(self, x: Any, y: Any) -> Any:
        return self.builder.fsub(x, y, flags=self.flags)

    def mul(self, x: Any, y: Any) -> Any:
        return self.builder.fmul(x, y, flags=self.flags)

    def div(self, x: Any, y: Any) -> Any:
        return self.builder.fdiv(x, y, flags=self.flags)

    def negative(self, x: Any) -> Any:
        return self.builder.fneg(x)

    def each(self, x: _Parts, function: Any) -> _Parts:
        """A linear function of a jet, part by part."""
        return _Parts(
            function(x.value),
            None if x.slopes is None else [function(one) for one in x.slopes],
            None if x.bends is None else [function(one) for one in x.bends],
        )

    def summed(self, x: _Parts, y: _Parts, sign: int) -> _Parts:
        """The sum or the difference."""
        join = self.add if sign > 0 else self.sub

        def lists(ours: list[Any] | None, theirs: list[Any] | None) -> list[Any] | None:
            if theirs is None:
                return ours
            if ours is None:
                return theirs if sign > 0 else [self.negative(one) for one in theirs]
            return [join(one, other) for one, other in zip(ours, theirs, strict=True)]

        return _Parts(join(x.value, y.value), lists(x.slopes, y.slopes), lists(x.bends, y.bends))

    def product(self, x: _Parts, y: _Parts) -> _Parts:
        """By the rule at the head of the module."""
        if y.slopes is None:
            return self.each(x, lambda one: self.mul(one, y.value))
        if x.slopes is None:
            return self.each(y, lambda one: self.mul(one, x.value))
        slopes = [
            self.add(self.mul(x.value, b), self.mul(a, y.value))
            for a, b in zip(x.slopes, y.slopes, strict=True)
        ]
        bends = []
        for a, b, (k, j) in zip(x.bends or [], y.bends or [], PAIRS, strict=False):
            cross = self.add(self.mul(x.slopes[k], y.slopes[j]), self.mul(x.slopes[j], y.slopes[k]))
            bends.append(self.add(self.add(self.mul(x.value, b), self.mul(a, y.value)), cross))
        return _Parts(self.mul(x.value, y.value), slopes, bends)

    def quotient(self, x: _Parts, y: _Parts) -> _Parts:
        """By the rule at the head of the module."""
        if y.slopes is None:
            return self.each(x, lambda part: self.div(part, y.value))
        one = self.div(ir.Constant(self.kind.element, [1.0] * WIDTH if self.kind.wide else 1.0), y.value)
        value = self.div(x.value, y.value)
        zero = ir.Constant(self.kind.element, None)
        ours = x.slopes or [zero] * N_ROLES
        slopes = [self.mul(self.sub(a, self.mul(value, b)), one) for a, b in zip(ours, y.slopes, strict=True)]
        bends = []
        for a, b, (k, j) in zip(x.bends or [zero] * N_BENDS, y.bends or [], PAIRS, strict=False):
            cross = self.add(self.mul(slopes[k], y.slopes[j]), self.mul(slopes[j], y.slopes[k]))
            bends.append(self.mul(self.sub(self.sub(a, cross), self.mul(value, b)), one))
        return _Parts(value, slopes, bends)

    def size(self, x: _Parts) -> _Parts:
        """The absolute value."""
        below = self.builder.fcmp_ordered("<", x.value, ir.Constant(self.kind.element, None))
        return self.each(x, lambda one: self.builder.select(below, self.negative(one), one))


RULES = {
    operator.add: lambda writer, x, y: writer.summed(x, y, 1),
    operator.sub: lambda writer, x, y: writer.summed(x, y, -1),
    operator.mul: lambda writer, x, y: writer.product(x, y),
    operator.truediv: lambda writer, x, y: writer.quotient(x, y),
}


def _result(left: Any, right: Any) -> Jet | None:
    """The jet that an operation on these gives, if one is a jet and the other goes with it."""
    for kind in JETS:
        others = (kind, FLOATS) if kind.wide else (kind,)
        fit = [one in others or isinstance(one, types.Number) for one in (left, right)]
        if kind in (left, right) and all(fit):
            return kind
    return None


def _overload_binary(function: Any, rule: Any) -> None:
    @intrinsic
    def apply(typingctx, left, right):
        kind = _result(left, right)

        def code(context, builder, signature, args):
            writer = _Writer(context, builder, signature.return_type)
            return writer.joined(rule(writer, *map(writer.parts, args, signature.args)))

        return typing.signature(kind, left, right), code

    @overload(function)
    def _(left, right):
        return (lambda left, right: apply(left, right)) if _result(left, right) else None


for _function, _rule in RULES.items():
    _overload_binary(_function, _rule)


def _unary(rule: Any) -> Any:
    @intrinsic
    def apply(typingctx, x):
        def code(context, builder, signature, args):
            writer = _Writer(context, builder, x)
            return writer.joined(rule(writer, writer.parts(args[0], x)))

        return x(x), code

    return apply


_size_of_jet = _unary(lambda writer, x: writer.size(x))
_negative_of_jet = _unary(lambda writer, x: writer.each(x, writer.negative))


@intrinsic
def _size_of_eight(typingctx, x):
    def code(context, builder, signature, args):
        below = builder.fcmp_ordered("<", args[0], ir.Constant(FLOATS.code, None))
        return builder.select(below, builder.fneg(args[0]), args[0])

    return FLOATS(x), code


@overload(abs)
def _size(x):
    if x in JETS:
        return lambda x: _size_of_jet(x)
    return (lambda x: _size_of_eight(x)) if x == FLOATS else None


@overload(operator.neg)
def _negative(x):
    return (lambda x: _negative_of_jet(x)) if x in JETS else None


def _variables(kind: Jet) -> Any:
    """A function that makes jets of five numbers: the variables that slopes are taken in."""

    @intrinsic
    def make(typingctx, a, b, c, d, e):
        def code(context, builder, signature, args):
            writer = _Writer(context, builder, kind)
            zero = ir.Constant(kind.element, None)
            one = ir.Constant(kind.element, [1.0] * WIDTH if kind.wide else 1.0)
            made = []
            for k, (value, given) in enumerate(zip(args, signature.args, strict=True)):
                parts = writer.parts(value, given)
                slopes = [one if j == k else zero for j in range(N_ROLES)]
                made.append(writer.joined(_Parts(parts.value, slopes, [zero] * (kind.size - 1 - N_ROLES))))
            return context.make_tuple(builder, signature.return_type, made)

        return types.UniTuple(kind, N_ROLES)(a, b, c, d, e), code

    return make


variables_wide, variables_second = _variables(WIDE), _variables(SECOND)


def _reader(kind: Jet) -> Any:
    """A function that reads a jet from an array: its parts stand `stride` elements apart."""

    @intrinsic
    def take(typingctx, array, at, stride):
        def code(context, builder, signature, args):
            value = ir.Constant(kind.code, ir.Undefined)
            for k, place in enumerate(_places(context, builder, signature, args, kind)):
                value = builder.insert_value(value, builder.load(place, align=8), k)
            return value

        return kind(array, types.int64, types.int64), code

    return take


def _places(context: Any, builder: Any, signature: Any, args: Any, kind: Jet) -> list[Any]:
    """Pointers to the parts of a jet in args[0], from element args[1] on, args[2] elements apart."""
    found, at = [], args[1]
    for _ in range(kind.size):
        found.append(pointer(context, builder, signature, (args[0], at), kind.element))
        at = builder.add(at, args[2])
    return found


read_wide, read_second = _reader(WIDE), _reader(SECOND)


@intrinsic
def write_jet(typingctx, array, at, stride, jet):
    """A jet into an array, its parts `stride` elements apart."""

    def code(context, builder, signature, args):
        kind = signature.args[3]
        for k, place in enumerate(_places(context, builder, signature, args, kind)):
            builder.store(builder.extract_value(args[3], k), place, align=8)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64, jet), code


@intrinsic
def choose_jet(typingctx, flags, yes, no):
    """Of each pair of jets the first where the flag is set, else the second: flags are eight, or one."""

    def code(context, builder, signature, args):
        kind, value = signature.return_type, ir.Constant(signature.return_type.code, ir.Undefined)
        for k in range(kind.size):
            both = (builder.extract_value(args[1], k), builder.extract_value(args[2], k))
            value = builder.insert_value(value, builder.select(args[0], *both), k)
        return value

    return yes(FLAGS if yes.wide else types.boolean, yes, no), code
