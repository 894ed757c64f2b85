"""A recursion on a number of arms, written out: which operands go in, which come out, and their slopes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Any

import numpy as np
import pytensor.scalar as ps
import pytensor.tensor as pt

from hierrl.models.recursion.code import ZERO, Code, literal
from hierrl.models.recursion.trace import Operands, Unknown, walk

if TYPE_CHECKING:
    from hierrl.models.recursion.model import Recursion

TINY = 1e-300
"""A probability below this counts as this, so that its logarithm exists."""

LATER = ("choice", "chosen", "reward", "known", "gain", "loss", "forgone")
"""Parts of a trial that are not there yet when the choice is made."""


@dataclass(frozen=True)
class Unrolled:
    """K state numbers, P parameters, m arms."""

    code: Code
    labels: tuple[str, ...]
    """(P,)"""
    state: tuple[str, ...]
    """(K,) operands of the state before the trial."""
    start: tuple[str, ...]
    """(K,) operands at the start of a session."""
    after: tuple[str, ...]
    """(K,) operands of the state after the trial."""
    logits: tuple[str, ...]
    """(m,) operands."""
    inputs: tuple[tuple[str, str, int], ...]
    """What varies by trial: operand, name, arm (-1 = one number)."""
    parts: tuple[tuple[str, int], ...]
    """Names of the states and how many numbers each has."""

    @property
    def n_parameters(self) -> int:
        """P."""
        return len(self.labels)

    @cached_property
    def moving(self) -> frozenset[tuple[int, int]]:
        """(state, parameter) for which the state ever depends on the parameter."""
        found = {
            (k, p)
            for k, start in enumerate(self.start)
            for p in range(self.n_parameters)
            if start == parameter(p)
        }
        while True:
            code = self.coded(found, frozenset())
            more = {
                (k, p)
                for k, after in enumerate(self.after)
                for p in range(self.n_parameters)
                if code.slope(after, p) != ZERO
            }
            if more <= found:
                return frozenset(found)
            found |= more

    @cached_property
    def bending(self) -> frozenset[tuple[int, int, int]]:
        """(state, parameter, parameter) for which the state ever has a second derivative."""
        found: set[tuple[int, int, int]] = set()
        while True:
            code = self.coded(self.moving, found)
            more = {
                (k, p, q)
                for k, after in enumerate(self.after)
                for p, q in self.pairs
                if code.slope(code.slope(after, p), q) != ZERO
            }
            if more <= found:
                return frozenset(found)
            found |= more

    def statements(self) -> list[str]:
        """What happens on a trial, as text."""
        ends = {f"after {name}": end for name, end in zip(self.state, self.after, strict=True)}
        ends |= {f"logit {i}": end for i, end in enumerate(self.logits)}
        return [*self.code.lines(ends.values()), *(f"{name}: {end}" for name, end in ends.items())]

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Pairs of parameters."""
        return list(combinations_with_replacement(range(self.n_parameters), 2))

    def coded(self, moving: Any, bending: Any) -> Code:
        """The instructions, with the slopes of the state as operands of their own."""
        each = range(self.n_parameters)
        slopes: dict[str, list[str]] = {parameter(p): [literal(float(p == q)) for q in each] for p in each}
        for k, name in enumerate(self.state):
            slopes[name] = [first(k, p) if (k, p) in moving else ZERO for p in each]
        for k, p in moving:
            slopes[first(k, p)] = [
                second(k, *sorted((p, q))) if (k, *sorted((p, q))) in bending else ZERO for q in each
            ]
        code = Code(slopes)
        code.instructions, code._names = dict(self.code.instructions), dict(self.code._names)
        return code


def parameter(p: int) -> str:
    """The operand of a parameter."""
    return f"p{p}"


def first(k: int, p: int) -> str:
    """The operand of a state's slope."""
    return f"s{k}_{p}"


def second(k: int, p: int, q: int) -> str:
    """The operand of a state's second derivative, p <= q."""
    return f"s{k}_{p}_{q}"


def unroll(model: Recursion, n_arms: int) -> Unrolled:
    """Call the functions of a recursion with symbols and write out what they return."""
    code, scalars = Code(), model.scalars(range(n_arms))
    symbols, known = _Symbols(n_arms), {}
    position: dict[Any, int] = {(name.name, arm): p for p, (_, name, arm) in enumerate(scalars)}
    p = {
        each.name: symbols.make(
            each.name,
            by_arm=each.per_arm,
            operand=lambda arm, each=each: (
                parameter(position[each.name, arm]) if (each.name, arm) in position else ZERO
            ),
        )
        for each in model.parameters
    }
    numbers, state, start, parts = 0, {}, [], []
    for name, (begin, by_arm) in model.starts.items():
        base, size = numbers, n_arms if by_arm else 1
        state[name] = symbols.make(
            name, by_arm=by_arm, operand=lambda arm, base=base: f"s{base + (arm or 0)}"
        )
        own = [(begin, arm if (begin, arm) in position else None) for arm in range(size)]
        start += [parameter(position[at]) if isinstance(begin, str) else literal(begin) for at in own]
        parts.append((name, size))
        numbers += size
    trial, inputs = {}, []
    for name, by_arm in model.inputs.items():
        operand = {
            "choice": lambda arm: "c",
            "chosen": lambda arm: f"h{arm}",
            "available": lambda arm: f"a{arm}",
        }
        place = len(inputs)
        trial[name] = symbols.make(
            name, by_arm=by_arm, whole=name == "choice",
            operand=operand.get(name, lambda arm, place=place: f"x{place + (arm or 0)}"),
        )  # fmt: skip
        if name not in operand:
            inputs += [(f"x{place + i}", name, i if by_arm else -1) for i in range(n_arms if by_arm else 1)]
    known = symbols.known
    after = _after(model, state, trial, p)
    rule = _called(model, "probabilities" if model.probabilities else "logits", state, trial, p)
    found = _walked(model, code, known, [*after.values(), rule])
    ends = [
        operand
        for (name, size), array in zip(parts, found, strict=False)
        for operand in _fitting(model, "update", f"the state {name!r}", array, size, scalar_too=True)
    ]
    x = _fitting(model, "probabilities" if model.probabilities else "logits", "", found[-1], n_arms)
    if model.probabilities:
        x = [code.apply(ps.log, code.apply(ps.scalar_maximum, each, literal(TINY))) for each in x]
    return Unrolled(
        code=code,
        labels=tuple(label for label, _, _ in scalars),
        state=tuple(f"s{k}" for k in range(numbers)),
        start=tuple(start),
        after=tuple(ends),
        logits=tuple(x),
        inputs=tuple(inputs),
        parts=tuple(parts),
    )


class _Symbols:
    """PyTensor variables and the operands that they stand for."""

    def __init__(self, n_arms: int):
        self.n_arms = n_arms
        self.known: dict[Any, Operands] = {}

    def make(self, name: str, *, by_arm: bool, operand: Any, whole: bool = False) -> Any:
        dtype, shape = "int64" if whole else "float64", (self.n_arms,) if by_arm else ()
        variable = pt.tensor(name, shape=shape, dtype=dtype)
        operands = np.empty(shape, dtype=object)
        for at in np.ndindex(shape):
            operands[at] = operand(at[0] if at else None)
        self.known[variable] = operands
        return variable


class _Named(dict):
    """A dict that says what it has when asked for something else."""

    def __init__(self, values: Mapping[str, Any], what: str, model: str):
        super().__init__(values)
        self.what, self.model = what, model

    def __missing__(self, key: Any) -> Any:
        raise ValueError(
            f"The recursion {self.model!r} asks for {self.what}[{key!r}], which there is not; there is "
            f"{', '.join(map(repr, self)) or 'nothing'}.{HINTS.get(self.what, '')}"
        )


HINTS = {
    "trial": " Further columns of the behaviour are named in columns=(...).",
    "state": " States are declared in states={...}.",
    "p": " Parameters are declared in parameters={...}.",
}


def _called(model: Recursion, which: str, state: Any, trial: Any, p: Any) -> Any:
    name = str(model.name)
    if which != "update":  # what happens after the choice can't be looked at before
        trial = {key: value for key, value in trial.items() if key not in LATER}
    given = (_Named(state, "state", name), _Named(trial, "trial", name), _Named(p, "p", name))
    return getattr(model, which)(*given)


def _after(model: Recursion, state: Any, trial: Any, p: Any) -> dict[str, Any]:
    found = _called(model, "update", state, trial, p)
    if not isinstance(found, Mapping) or set(found) != set(state):
        got = (
            f"a dict with {', '.join(map(repr, found))}"
            if isinstance(found, Mapping)
            else f"{type(found).__name__}"
        )
        raise ValueError(
            f"update of the recursion {model.name!r} must return a dict with every state "
            f"({', '.join(map(repr, state))}); found {got}. States that stay as they are are returned too."
        )
    return {name: found[name] for name in state}


def _walked(model: Recursion, code: Code, known: dict[Any, Operands], outputs: list[Any]) -> list[Operands]:
    try:
        return walk(code, known, [pt.as_tensor(output) for output in outputs])
    except Unknown as error:
        raise ValueError(
            f"The recursion {model.name!r} uses {error}, which can't be written out number by number. Use arithmetic, "
            "comparisons, pt.switch, sums, products and maxima over arms, softmax, logsumexp, dot products, stack and "
            "(set_)subtensor; loops of Python over a few arms are fine."
        ) from None


def _fitting(
    model: Recursion, which: str, part: str, array: Operands, size: int, *, scalar_too: bool = False
) -> list[str]:
    """Operands of an output that must have `size` numbers."""
    if array.shape == () and (size == 1 or scalar_too):
        return [array.item()] * size
    if array.shape != (size,) or (which == "update" and size == 1 and array.shape != ()):
        wanted = f"one number for each of {size} arms" if size > 1 else "one number"
        raise ValueError(
            f"{which} of the recursion {model.name!r} must give {wanted}{f' for {part}' if part else ''}; "
            f"found the shape {array.shape}."
        )
    return array.tolist()
