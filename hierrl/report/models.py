"""The models of a report, in words, equations and parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from hierrl.models.catalogue import CATALOGUE
from hierrl.models.channels import Channel, Weight
from hierrl.models.equations import symbol
from hierrl.models.learners import LEARNERS
from hierrl.models.model import Model, Parameter
from hierrl.models.recursion.model import Recursion
from hierrl.report.equations import equations_of, mathml
from hierrl.report.parts import MINUS, number

REMEMBERS = {
    "reward": "rewards",
    "gain": "gains",
    "loss": "losses",
    "choice": "own choices",
    "forgone": "what arms not chosen would have paid",
    "reward+": "rewards above 0",
    "reward-": "rewards below 0",
    "sign(reward)": "wins and losses, whatever their size",
    "reward>=0": "choices that paid",
    "reward<0": "choices that cost",
}
LINKS = {"logit": "log-odds", "log": "logarithm", "identity": "the value itself"}
LIKE = re.compile(r"\b[Aa]s (\w+)")
SYMBOLS = {
    "x_i": "logit of arm i",
    "Q": "value, what is remembered of an arm",
    "c": "the chosen arm",
    "j": "every arm not chosen",
    "r": "reward",
    "g": "gain",
    "l": "loss",
    "f": "forgone reward",
    "m": "number of arms",
    "u": "what is learned from",
}
"""Letters of equations that are no parameters."""


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
                mathml(symbol(one.name)).replace(' display="block"', ""),
                meaning(model, one),
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
    text = model.latex
    signals = {one.signal for one in model.channels}
    there = {
        "x_i": True,
        "Q": bool(model.channels),
        "c": "_c" in text,
        "j": "_j \\leftarrow" in text or "_j " in text.split("\\\\\n", 1)[-1],
        "r": any("reward" in one for one in signals),
        "g": "gain" in signals,
        "l": "loss" in signals,
        "f": "forgone" in signals or any(one.unchosen == "forgone" for one in model.channels),
        "m": model.lapse or "(m - 1)" in text,
        "u": "u = " in text,
    }
    for letter, told in SYMBOLS.items():
        if there[letter]:
            yield mathml(letter).replace(' display="block"', ""), told


def meaning(model: Model, parameter: Parameter) -> str:
    """What a parameter is, in words."""
    if isinstance(model, Recursion):
        return f"{parameter.kind} of the user's model"
    found = [text for one in model.channels if (text := _in_channel(one, parameter.name))]
    found += [f"weight of {one.column}" for one in model.regressors if one.weight == parameter.name]
    if parameter.kind == "bias":
        found.append("constant preference for an arm; 0 for the first")
    if parameter.kind == "lapse":
        found.append("share of choices made at random")
    text = "; ".join(dict.fromkeys(found)) or parameter.kind
    return f"{text}, for each arm" if parameter.per_arm and parameter.kind != "bias" else text


def _in_channel(channel: Channel, name: str) -> str:
    """The role of a name in a channel; empty if it has none."""
    what = REMEMBERS.get(channel.signal, channel.signal)
    first, second = channel.rates
    weight = Weight.parse(channel.weight)
    if name in weight.names:
        strength = f"how strongly {what} sway choices"
        return strength if len(weight.names) == 1 or name == weight.names[0] else f"factor of {what}"
    if channel.learner != "delta":
        roles = {channel.role(role): role.meaning for role in LEARNERS[channel.learner].roles}
        return roles.get(name, "")
    if name in (first, second):
        by = "outcomes" if channel.rate_by == "reward" else "prediction errors"
        when = "" if first == second else f" after {'positive' if name == first else 'negative'} {by}"
        return f"how fast values follow {what}{when}: 0 not at all, 1 the last one only"
    if name == channel.decay:
        return f"how fast {what} of arms not chosen are forgotten"
    if name == channel.start:
        return "value before the first trial"
    if name == channel.utility:
        return f"exponent of {what}: below 1, large ones count less than in proportion"
    return ""


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
