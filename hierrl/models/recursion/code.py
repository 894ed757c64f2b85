"""One trial as a list of steps on single numbers, and its derivatives.

A user's update is a graph of arrays over a few arms. Compiled as such it would make an array at every step, a thousand
times slower than the arithmetic itself. So it is written out number by number: an *operand* is the name of a number
(or a literal), an *instruction* names the result of a scalar operation of PyTensor on operands. Equal instructions are
merged, and what is known to be 0 or 1 disappears.

Derivatives are taken forward: each instruction carries its slope along each direction, from the local derivatives that
PyTensor's scalar operations know of themselves. Slopes are instructions too, so that slopes of slopes come for free.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytensor.scalar as ps
from pytensor.graph.basic import Constant
from pytensor.graph.traversal import io_toposort
from pytensor.scalar.basic import Composite, ScalarOp

ZERO, ONE = "0.0", "1.0"

CONSTANT_IN_SLOPES = "constant_in_slopes"
"""A pretended operation: its operand, which slopes take for a constant."""

# Truth values are the numbers 1 and 0.
TEXT: dict[str, str] = {
    "Abs": "abs({0})",
    "AND": "(({0} != 0.0) & ({1} != 0.0)) * 1.0",
    "ArcTan": "math.atan({0})",
    "Ceil": "math.ceil({0})",
    "Clip": "min(max({0}, {1}), {2})",
    "Cos": "math.cos({0})",
    "Cosh": "math.cosh({0})",
    "EQ": "({0} == {1}) * 1.0",
    "Erf": "math.erf({0})",
    "Erfc": "math.erfc({0})",
    "Exp": "math.exp({0})",
    "Exp2": "2.0 ** {0}",
    "Expm1": "math.expm1({0})",
    "Floor": "math.floor({0})",
    "GE": "({0} >= {1}) * 1.0",
    "GT": "({0} > {1}) * 1.0",
    "IntDiv": "math.floor({0} / {1})",
    "Invert": "(1.0 - {0})",
    "IsInf": "math.isinf({0}) * 1.0",
    "IsNan": "({0} != {0}) * 1.0",
    "LE": "({0} <= {1}) * 1.0",
    "LT": "({0} < {1}) * 1.0",
    "Log": "np.log({0})",
    "Log10": "np.log10({0})",
    "Log1p": "np.log1p({0})",
    "Log2": "np.log2({0})",
    "Mod": "({0} % {1})",
    "NEQ": "({0} != {1}) * 1.0",
    "Neg": "-{0}",
    "OR": "(({0} != 0.0) | ({1} != 0.0)) * 1.0",
    "Pow": "{0} ** {1}",
    "Reciprocal": "1.0 / {0}",
    "Maximum": "select({0} >= {1}, {0}, {1})",
    "Minimum": "select({0} <= {1}, {0}, {1})",
    "Sigmoid": "1.0 / (1.0 + math.exp(-{0}))",
    "Sign": "np.sign({0})",
    "Sin": "math.sin({0})",
    "Sinh": "math.sinh({0})",
    "Softplus": "(max({0}, 0.0) + np.log1p(math.exp(-abs({0}))))",
    "Sqr": "{0} * {0}",
    "Sqrt": "np.sqrt({0})",
    "Sub": "{0} - {1}",
    "Switch": "select({0} != 0.0, {1}, {2})",
    "Tan": "math.tan({0})",
    "Tanh": "math.tanh({0})",
    "Trunc": "math.trunc({0})",
    "TrueDiv": "{0} / {1}",
    "XOR": "(({0} != 0.0) != ({1} != 0.0)) * 1.0",
}
"""What an operation of PyTensor is in Python, by the name of its class."""

FOLDS = {"Add": " + ", "Mul": " * "}
"""Operations with any number of operands."""


class Code:
    """Instructions, and the slopes of operands along P directions.

    Parameters
    ----------
    slopes : mapping
        Operand that comes from outside -> its slope along each direction, as operands; what isn't there has none.
    """

    def __init__(self, slopes: Mapping[str, Sequence[str]] | None = None):
        self.instructions: dict[str, tuple[Any, tuple[str, ...]]] = {}
        self.given = dict(slopes or {})
        self._names: dict[tuple[Any, ...], str] = {}
        self._slopes: dict[tuple[str, int], str] = {}

    def apply(self, op: Any, *operands: str) -> str:
        """The operand that is `op` of others."""
        if isinstance(op, Composite):
            return self.graph(op.inputs, op.outputs, operands)[0]
        kind = op if isinstance(op, str) else type(op).__name__
        simple = _simplified(kind, op, operands)
        if simple is not None:
            return simple[0] if simple[1:] == () else self.apply(*simple)
        if kind not in TEXT and kind not in FOLDS and kind != CONSTANT_IN_SLOPES:
            raise NotImplementedError(kind)
        if all(map(is_literal, operands)):
            return literal(_value(kind, operands))
        key = (kind, operands)
        if key not in self._names:
            self._names[key] = f"v{len(self._names)}"
            self.instructions[self._names[key]] = (op, operands)
        return self._names[key]

    def graph(self, inputs: Sequence[Any], outputs: Sequence[Any], operands: Sequence[str]) -> list[str]:
        """Operands of the outputs of a graph of PyTensor scalars, at operands for its inputs."""
        known: dict[Any, str] = dict(zip(inputs, operands, strict=True))
        for node in io_toposort(list(inputs), list(outputs)):
            if isinstance(node.op, Composite) and len(node.outputs) > 1:
                found = self.graph(node.op.inputs, node.op.outputs, [_known(v, known) for v in node.inputs])
                known.update(zip(node.outputs, found, strict=True))
                continue
            known[node.outputs[0]] = self.apply(node.op, *(_known(v, known) for v in node.inputs))
        return [_known(output, known) for output in outputs]

    def total(self, operands: Iterable[str]) -> str:
        """Their sum."""
        return self.apply(ps.add, *operands)

    def slope(self, operand: str, direction: int) -> str:
        """The slope of an operand along a direction."""
        if is_literal(operand):
            return ZERO
        if operand not in self.instructions:
            given = self.given.get(operand)
            return ZERO if given is None else given[direction]
        key = (operand, direction)
        if key not in self._slopes:
            self._slopes[key] = self._sloped(operand, direction)
        return self._slopes[key]

    def _sloped(self, operand: str, direction: int) -> str:
        op, operands = self.instructions[operand]
        if op == CONSTANT_IN_SLOPES:
            return ZERO
        inner = [self.slope(each, direction) for each in operands]
        if all(slope == ZERO for slope in inner):
            return ZERO
        inputs, partials = _partials(op, len(operands))
        terms = []
        for partial, slope in zip(partials, inner, strict=True):
            if slope != ZERO and partial is not None:
                terms.append(self.apply(ps.mul, self.graph(inputs, [partial], operands)[0], slope))
        return self.total(terms) if terms else ZERO

    def lines(self, wanted: Iterable[str]) -> list[str]:
        """Statements in Python that compute the operands that are `wanted`."""
        needed, open_ends = set(), list(wanted)
        while open_ends:
            name = open_ends.pop()
            if name in self.instructions and name not in needed:
                needed.add(name)
                open_ends += self.instructions[name][1]
        # A name is made after those of its operands.
        return [f"{name} = {self._text(name)}" for name in self.instructions if name in needed]

    def _text(self, name: str) -> str:
        op, operands = self.instructions[name]
        return text_of(op if isinstance(op, str) else type(op).__name__, operands)


def text_of(kind: str, operands: Sequence[str]) -> str:
    """An operation in Python."""
    operands = [f"({each})" if each.startswith("-") else each for each in operands]
    if kind == CONSTANT_IN_SLOPES:
        return operands[0]
    return FOLDS[kind].join(operands) if kind in FOLDS else TEXT[kind].format(*operands)


def literal(value: Any) -> str:
    """A number as it stands in the code."""
    number = float(value)
    return repr(number + 0.0) if np.isfinite(number) else f"np.{'nan' if np.isnan(number) else 'inf'}"


def is_literal(operand: str) -> bool:
    """Whether an operand is a number."""
    return operand[0].isdigit() or operand[0] == "-" or operand.startswith("np.")


def select(condition: bool, first: float, second: float) -> float:
    """What compiled code calls by this name."""
    return first if condition else second


def _value(kind: str, operands: Sequence[str]) -> float:
    import math

    with np.errstate(all="ignore"):
        return float(eval(text_of(kind, operands), {"np": np, "math": math, "select": select}))


def _known(variable: Any, known: Mapping[Any, str]) -> str:
    return literal(variable.data) if isinstance(variable, Constant) else known[variable]


def _simplified(kind: str, op: Any, operands: tuple[str, ...]) -> tuple[Any, ...] | None:
    """An operand, or an operation and its operands, that does the same with less; None if there is none."""
    if kind in ("Identity", "Second"):
        return (operands[-1],)
    if kind == "Cast":
        return _cast(op, operands[0])
    if kind in FOLDS:
        return _folded(kind, op, operands)
    first, last = operands[0], operands[-1]
    if (kind == "Sub" and last == ZERO) or (kind == "TrueDiv" and (last == ONE or first == ZERO)):
        return (first,)
    if kind == "Sub" and first == ZERO:
        return (ps.neg, last)
    if kind == "Pow" and last in (ONE, "2.0"):
        return (first,) if last == ONE else (ps.sqr, first)
    if kind == "Switch" and (operands[1] == operands[2] or is_literal(first)):
        return (operands[2] if first == ZERO else operands[1],)
    return None


def _folded(kind: str, op: Any, operands: tuple[str, ...]) -> tuple[Any, ...] | None:
    idle = ZERO if kind == "Add" else ONE
    if kind == "Mul" and ZERO in operands:
        return (ZERO,)
    kept = tuple(operand for operand in operands if operand != idle)
    if len(kept) < 2:
        return kept or (idle,)
    return (op, *kept) if len(kept) < len(operands) else None


def _cast(op: Any, operand: str) -> tuple[Any, ...]:
    dtype = op.o_type.dtype
    if dtype == "bool":
        return (ps.neq, operand, ZERO)
    return (ps.trunc, operand) if dtype.startswith(("int", "uint")) else (operand,)


@cache
def _partials(op: ScalarOp, count: int) -> tuple[list[Any], list[Any]]:
    """Inputs, and the derivative of `op` in each of them as a graph; None where it has none."""
    inputs: list[Any] = [ps.float64(f"x{k}") for k in range(count)]
    output: Any = op(*inputs)
    if type(op).__name__ == "Pow":
        # PyTensor's is y x^(y - 1), which at x = 0 and y = 0 is 0 times infinity.
        x, y = inputs
        slope = y * x ** ps.switch(ps.eq(y, 0.0), 1.0, y - 1.0)
        return inputs, [slope, op.L_op(inputs, [output], [ps.constant(np.float64(1.0))])[1]]
    slopes = op.L_op(inputs, [output], [ps.constant(np.float64(1.0))])
    return inputs, [slope if hasattr(slope.type, "dtype") else None for slope in slopes]
