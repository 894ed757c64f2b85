"""The models of a report, in words, equations and parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from hierrl.models.catalogue import CATALOGUE
from hierrl.models.equations import legend
from hierrl.models.meanings import LINKS, meaning
from hierrl.models.model import Model, Parameter
from hierrl.models.notation import LATEX
from hierrl.models.recursion.model import Recursion
from hierrl.report.equations import equations_of, inline
from hierrl.report.parts import MINUS, number

REMEMBERS = {
    "reward": "rewards",
    "gain": "gains",
    "loss": "losses",
    "choice": "own choices",
    "forgone": "what arms not chosen would have paid",
    "reward+": "rewards above 0",
    "reward-": "rewards below 0",
    "sign(reward)": "the signs of outcomes",
    "reward>=0": "choices that paid",
    "reward<0": "choices that cost",
}
LIKE = re.compile(r"\b[Aa]s (\w+)")


@dataclass(frozen=True)
class ParameterLine:
    """A parameter of a model."""

    name: str
    symbol: str
    """MathML."""
    meaning: str
    values: str
    link: str


@dataclass(frozen=True)
class ModelPart:
    """A model as it is told."""

    title: str
    words: str
    equations: tuple[str, ...]
    symbols: tuple[tuple[str, str], ...]
    """MathML, and what it stands for."""
    parameters: tuple[ParameterLine, ...]
    remarks: tuple[str, ...]
    fits: tuple[str, ...]


def model_part(model: Model, fits: list[str], *, reward_scale: float) -> ModelPart:
    """Tell a model, and which fits are of it."""
    return ModelPart(
        title=model.title,
        words=_words(model),
        equations=tuple(equations_of(model)),
        symbols=tuple(_symbols(model)),
        parameters=tuple(
            ParameterLine(
                one.name,
                inline(LATEX.parameter(one.name)),
                _meaning(model, one),
                _values(one),
                LINKS[one.link],
            )
            for one in model.parameters
        ),
        remarks=tuple(_remarks(model, reward_scale)),
        fits=tuple(fits),
    )


def _words(model: Model) -> str:
    if model.name in CATALOGUE:
        entry = CATALOGUE[model.name]
        return f"{entry.summary} {_explained(entry.summary)}({entry.source}.)"
    if isinstance(model, Recursion):
        return (
            f"A model of the user's own, one trial written in PyTensor, with the states {', '.join(model.starts)}. How "
            "they change is in the code that was run."
        )
    parts = [f"a trace of {REMEMBERS.get(one.signal, one.signal)}" for one in model.channels]
    parts += [f"the column {one.column}" for one in model.regressors]
    return f"Choices depend on {' and '.join(parts) or 'nothing that is remembered'}."


def _explained(summary: str) -> str:
    """The models that a summary refers to, in their own words."""
    names = [name for name in LIKE.findall(summary) if name in CATALOGUE]
    return "".join(f"[{name}: {CATALOGUE[name].summary}] " for name in names)


def _symbols(model: Model) -> Iterator[tuple[str, str]]:
    """Letters of the equations that are no parameters, as MathML, and what they stand for."""
    if "x_i" in " ".join(model.equations(LATEX)):
        yield inline("x_i"), "the logit of arm i"
    if model.channels:
        yield inline("Q"), "the value, what is remembered of an arm"
    for letter, told in legend(model, LATEX):
        yield inline(letter), told.replace("`", "")


def _meaning(model: Model, parameter: Parameter) -> str:
    """What a parameter is, in words."""
    return meaning(model, parameter) or f"{parameter.kind} of the user's model"


def _values(parameter: Parameter) -> str:
    if parameter.lower is None or parameter.upper is None:
        return "the range of the signal"
    return f"{parameter.lower:g} to {parameter.upper:g}".replace("-", MINUS)


def _remarks(model: Model, reward_scale: float) -> Iterator[str]:
    if model.fixed:
        given = ", ".join(f"{name} = {number(value)}" for name, value in model.fixed.items())
        yield f"Fixed for all subjects: {given}."
    if reward_scale != 1:
        yield (
            f"Ranges hold for rewards divided by {number(reward_scale)}, the largest one; all estimates in this report "
            "are in the units of the data."
        )
    if model.supports.bound:
        yield "That a point fit of this model is the best one can be proven (see certificate, under Words)."
    else:
        yield f"There is no certificate for point fits. {' '.join(model.supports.reasons)}"
