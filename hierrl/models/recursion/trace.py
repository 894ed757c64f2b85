"""From functions on PyTensor variables to instructions on single numbers.

The functions are called once with symbols. The graph that they return is walked operation by operation, with arrays
of operands (`hierrl.models.recursion.code`) in the place of arrays of numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytensor.scalar as ps
from pytensor.graph.basic import Constant
from pytensor.graph.traversal import io_toposort
from pytensor.tensor.subtensor import indices_from_subtensor

from hierrl.models.recursion.code import CONSTANT_IN_SLOPES, ZERO, Code, is_literal, literal

Operands = npt.NDArray[np.object_]
"""Operands in the shape of a tensor."""


class Unknown(NotImplementedError):
    """An operation that can't be written out number by number."""


def walk(code: Code, inputs: dict[Any, Operands], outputs: Sequence[Any]) -> list[Operands]:
    """Operands of `outputs`, tensors that depend on the tensors `inputs` alone."""
    known: dict[Any, Operands] = dict(inputs)
    for node in io_toposort(list(inputs), list(outputs)):
        arrays = [_array(variable, known) for variable in node.inputs]
        rule = _rule_of(node.op)
        if rule is None:
            raise Unknown(str(node.op))
        try:
            found = rule(code, node, arrays)
        except NotImplementedError as error:
            raise Unknown(str(error) or str(node.op)) from error
        found = found if isinstance(found, list) else [found]
        known.update(zip(node.outputs, found, strict=False))
    return [_array(output, known) for output in outputs]


def _array(variable: Any, known: dict[Any, Operands]) -> Operands:
    if variable in known:
        return known[variable]
    if isinstance(variable, Constant):
        return (
            _literals(variable.data)
            if isinstance(variable.data, np.ndarray | np.generic | int | float)
            else (np.array(None, dtype=object))
        )
    raise Unknown(f"the input {variable}, which is none of state, trial and p")


def _literals(values: Any) -> Operands:
    values = np.asarray(values)
    found = np.empty(values.shape, dtype=object)
    for at in np.ndindex(values.shape):
        found[at] = literal(values[at])
    return found


def _of(value: str) -> Operands:
    found = np.empty((), dtype=object)
    found[()] = value
    return found


def _whole(operand: str) -> int:
    if not is_literal(operand):
        raise Unknown("a shape or position that depends on the data in a way that is not known beforehand")
    return int(float(operand))


def elementwise(code: Code, op: Any, *arrays: Operands) -> Operands:
    """A scalar operation on arrays of operands."""
    spread: Any = np.broadcast_arrays(*arrays)
    found = np.empty(spread[0].shape, dtype=object)
    for at in np.ndindex(found.shape):
        found[at] = code.apply(op, *(array[at] for array in spread))
    return found


def fold(code: Code, op: Any, array: Operands, axis: Any) -> Operands:
    """A scalar operation over one axis, several or all (None)."""
    axes = range(array.ndim) if axis is None else np.atleast_1d(axis).tolist()
    for one in sorted((a % array.ndim for a in axes), reverse=True):
        slices = [array.take(k, axis=one) for k in range(array.shape[one])]
        total = np.asarray(slices[0], dtype=object)
        if getattr(op, "nin", 2) < 0:  # any number of operands
            total = elementwise(code, op, *(np.asarray(part, dtype=object) for part in slices))
        else:
            for part in slices[1:]:
                total = elementwise(code, op, total, np.asarray(part, dtype=object))
        array = total
    return array


def _elemwise(code: Code, node: Any, arrays: list[Operands]) -> Operands | list[Operands]:
    op = node.op.scalar_op
    if len(node.outputs) == 1:
        return elementwise(code, op, *arrays)
    spread: Any = np.broadcast_arrays(*arrays)
    found = [np.empty(spread[0].shape, dtype=object) for _ in node.outputs]
    for at in np.ndindex(spread[0].shape):
        values = code.graph(op.inputs, op.outputs, [array[at] for array in spread])
        for array, value in zip(found, values, strict=True):
            array[at] = value
    return found


def _dimshuffle(code: Code, node: Any, arrays: list[Operands]) -> Operands:
    order = node.op.new_order
    kept = [axis for axis in order if axis != "x"]
    dropped = tuple(axis for axis in range(arrays[0].ndim) if axis not in kept)
    squeezed = arrays[0].transpose(*kept, *dropped)
    squeezed = squeezed.reshape(squeezed.shape[: len(kept)])
    for place, axis in enumerate(order):
        if axis == "x":
            squeezed = np.expand_dims(squeezed, place)
    return squeezed


def _index(node: Any, arrays: list[Operands], first: int) -> tuple[Any, ...]:
    """Indices of a (Inc)Subtensor: whole numbers, slices, and operands where a position depends on the trial."""
    given = [array.item() for array in arrays[first:]]
    positions: Any = [Position(one) for one in given]
    index = indices_from_subtensor(positions, node.op.idx_list)
    return tuple(_resolved(one) for one in index)


class Position:
    """An operand among indices."""

    def __init__(self, operand: str):
        self.operand = operand


def _resolved(one: Any) -> Any:
    if isinstance(one, slice):
        return slice(*(_bound(end) for end in (one.start, one.stop, one.step)))
    if isinstance(one, Position):
        return _whole(one.operand) if is_literal(one.operand) else one.operand
    return int(one.data) if isinstance(one, Constant) else one


def _bound(end: Any) -> int | None:
    if end is None or isinstance(end, int):
        return end
    return _whole(end.operand) if isinstance(end, Position) else int(end.data)


def _places(
    code: Code, index: tuple[Any, ...], shape: tuple[int, ...]
) -> list[tuple[tuple[Any, ...], list[str]]]:
    """All whole indices that `index` may be, each with the conditions under which it is."""
    found: list[tuple[tuple[Any, ...], list[str]]] = [((), [])]
    for axis, one in enumerate(index):
        if not isinstance(one, str):
            found = [((*place, one), conditions) for place, conditions in found]
            continue
        found = [
            ((*place, k), [*conditions, code.apply(ps.eq, one, literal(k))])
            for place, conditions in found
            for k in range(shape[axis])
        ]
    return found


def _both(code: Code, conditions: list[str]) -> str:
    condition = conditions[0]
    for other in conditions[1:]:
        condition = code.apply(ps.and_, condition, other)
    return condition


def _subtensor(code: Code, node: Any, arrays: list[Operands]) -> Operands:
    whole = arrays[0]
    places = _places(code, _index(node, arrays, 1), whole.shape)
    if not places[0][1]:
        return np.asarray(whole[places[0][0]], dtype=object)
    found = np.full(np.shape(whole[places[0][0]]), ZERO, dtype=object)
    for place, conditions in reversed(places):
        part = np.asarray(whole[place], dtype=object)
        found = elementwise(code, ps.switch, _of(_both(code, conditions)), part, found)
    return found


def _inc_subtensor(code: Code, node: Any, arrays: list[Operands]) -> Operands:
    whole, part = arrays[0].copy(), arrays[1]
    for place, conditions in _places(code, _index(node, arrays, 2), whole.shape):
        before = np.asarray(whole[place], dtype=object)
        part_there = np.broadcast_to(part, before.shape)
        after = part_there if node.op.set_instead_of_inc else elementwise(code, ps.add, before, part_there)
        if conditions:
            after = elementwise(code, ps.switch, _of(_both(code, conditions)), after, before)
        whole[place] = after.item() if after.ndim == 0 else after
    return whole


def _advanced_subtensor(code: Code, node: Any, arrays: list[Operands]) -> Operands:
    if len(arrays) != 2:
        raise Unknown(str(node.op))
    return arrays[0][[_whole(one) for one in arrays[1].ravel()]].reshape(
        (*arrays[1].shape, *arrays[0].shape[1:])
    )


def _shifted(code: Code, array: Operands, axis: Any) -> tuple[Operands, Operands]:
    """The largest element along an axis, and exponentials of what the others are below it."""
    axes = tuple(range(array.ndim)) if axis is None else axis
    top = np.expand_dims(fold(code, ps.scalar_maximum, array, axes), axes)
    # Shifting all alike changes no result, so slopes needn't know of it.
    top = elementwise(code, CONSTANT_IN_SLOPES, top)
    return top, elementwise(code, ps.exp, elementwise(code, ps.sub, array, top))


def _softmax(code: Code, node: Any, arrays: list[Operands]) -> Operands:
    axes = tuple(range(arrays[0].ndim)) if node.op.axis is None else node.op.axis
    _, powers = _shifted(code, arrays[0], axes)
    total = np.expand_dims(fold(code, ps.add, powers, axes), axes)
    return elementwise(code, ps.true_div, powers, total)


def _log_total(code: Code, array: Operands, axes: Any) -> Operands:
    top, powers = _shifted(code, array, axes)
    total = np.expand_dims(fold(code, ps.add, powers, axes), axes)
    return elementwise(code, ps.add, top, elementwise(code, ps.log, total))


def _log_softmax(code: Code, node: Any, arrays: list[Operands]) -> Operands:
    axes = tuple(range(arrays[0].ndim)) if node.op.axis is None else node.op.axis
    return elementwise(code, ps.sub, arrays[0], _log_total(code, arrays[0], axes))


def _log_sum_exp(code: Code, node: Any, arrays: list[Operands]) -> Operands:
    axes = tuple(range(arrays[0].ndim)) if node.op.axis is None else node.op.axis
    return _log_total(code, arrays[0], axes).reshape(
        [size for axis, size in enumerate(arrays[0].shape) if axis not in axes]
    )


def _dot(code: Code, node: Any, arrays: list[Operands]) -> Operands:
    left, right = arrays
    products = elementwise(code, ps.mul, left[:, :, None], right[None])
    return fold(code, ps.add, products, 1)


def _argmax(code: Code, node: Any, arrays: list[Operands]) -> Operands:
    if arrays[0].ndim != 1:
        raise Unknown(str(node.op))
    best, at = arrays[0][0], ZERO
    for k, value in enumerate(arrays[0][1:], start=1):
        higher = code.apply(ps.gt, value, best)
        best, at = code.apply(ps.switch, higher, value, best), code.apply(ps.switch, higher, literal(k), at)
    return _of(at)


def _cumulated(code: Code, node: Any, arrays: list[Operands]) -> Operands:
    op = ps.add if node.op.mode == "add" else ps.mul
    axis = node.op.axis
    array = arrays[0].ravel() if axis is None else np.moveaxis(arrays[0], axis, 0)
    found = array.copy()
    for k in range(1, len(found)):
        found[k] = elementwise(code, op, np.asarray(found[k - 1]), np.asarray(found[k]))[()]
    return found if axis is None else np.moveaxis(found, 0, axis)


def _alloc(code: Code, node: Any, arrays: list[Operands]) -> Operands:
    return np.broadcast_to(arrays[0], [_whole(size.item()) for size in arrays[1:]])


def _join(code: Code, node: Any, arrays: list[Operands]) -> Operands:
    axis = getattr(node.op, "axis", None)
    parts = arrays if axis is not None else arrays[1:]
    return np.concatenate(parts, axis=_whole(arrays[0].item()) if axis is None else axis)


def _reshape(code: Code, node: Any, arrays: list[Operands]) -> Operands:
    return arrays[0].reshape([_whole(size) for size in arrays[1].ravel()])


def _inlined(code: Code, node: Any, arrays: list[Operands]) -> list[Operands]:
    op = node.op
    return walk(code, dict(zip(op.inner_inputs, arrays, strict=True)), op.inner_outputs)


def _blockwise(code: Code, node: Any, arrays: list[Operands]) -> Any:
    core = node.op.core_op
    rule = _rule_of(core)
    n_core = len(node.op.inputs_sig[0])
    if rule is None or any(array.ndim > n_core and np.prod(array.shape[:-n_core]) > 1 for array in arrays):
        raise Unknown(str(core))
    return rule(code, _Node(core, node.outputs), arrays)


class _Node:
    """An operation inside another one."""

    def __init__(self, op: Any, outputs: Any):
        self.op, self.outputs = op, outputs


def _same(code: Code, node: Any, arrays: list[Operands]) -> Operands:
    return arrays[0]


RULES: dict[str, Callable[[Code, Any, list[Operands]], Any]] = {
    "AdvancedSubtensor": _advanced_subtensor,
    "AdvancedSubtensor1": _advanced_subtensor,
    "Alloc": _alloc,
    "ARange": lambda code, node, arrays: _literals(np.arange(*(_whole(one.item()) for one in arrays))),
    "Argmax": _argmax,
    "Blockwise": _blockwise,
    "CAReduce": lambda code, node, arrays: fold(code, node.op.scalar_op, arrays[0], node.op.axis),
    "CumOp": _cumulated,
    "DimShuffle": _dimshuffle,
    "Dot": _dot,
    "Elemwise": _elemwise,
    "IncSubtensor": _inc_subtensor,
    "Join": _join,
    "LogSoftmax": _log_softmax,
    "LogSumExp": _log_sum_exp,
    "MakeVector": lambda code, node, arrays: np.array([one.item() for one in arrays], dtype=object),
    "OpFromGraph": _inlined,
    "Reshape": _reshape,
    "ScalarFromTensor": _same,
    "Shape": lambda code, node, arrays: _literals(np.array(arrays[0].shape, dtype=float)),
    "Shape_i": lambda code, node, arrays: _of(literal(arrays[0].shape[node.op.i])),
    "Softmax": _softmax,
    "SpecifyShape": _same,
    "Subtensor": _subtensor,
    "TensorFromScalar": _same,
}
"""How an operation of PyTensor acts on operands, by the name of its class or of one that this inherits from."""


def _rule_of(op: Any) -> Callable[[Code, Any, list[Operands]], Any] | None:
    return next((RULES[kind.__name__] for kind in type(op).__mro__ if kind.__name__ in RULES), None)
