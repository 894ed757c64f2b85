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
from hierrl.report.parts import MINUS, joined, number

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
PLAIN = {
    "bias": "constant preference for an arm; 0 for the first",
    "lapse": "share of choices made at random",
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
    roles: dict[str, list[str]] = {}
    for channel in model.channels:
        if role := _role(channel, parameter.name):
            roles.setdefault(role, []).append(REMEMBERS.get(channel.signal, channel.signal))
    found = [role.format(joined(what)) for role, what in roles.items()]
    found += [f"weight of {one.column}" for one in model.regressors if one.weight == parameter.name]
    if parameter.kind in PLAIN:
        found.append(PLAIN[parameter.kind])
    text = "; ".join(found) or parameter.kind
    return f"{text}, for each arm" if parameter.per_arm and parameter.kind != "bias" else text


def _role(channel: Channel, name: str) -> str:
    """What a name does in a channel, with a gap for what the channel remembers; empty if nothing."""
    first, second = channel.rates
    weight = Weight.parse(channel.weight)
    if name in weight.names:
        return "how strongly {} sway choices" if name == weight.names[0] else "factor of {}"
    if channel.learner != "delta":
        roles = {channel.role(role): role.meaning for role in LEARNERS[channel.learner].roles}
        return roles.get(name, "")
    if name in (first, second):
        by = "outcomes" if channel.rate_by == "reward" else "prediction errors"
        when = "" if first == second else f" after {'positive' if name == first else 'negative'} {by}"
        return f"how fast values follow {{}}{when}: 0 not at all, 1 the last one only"
    return {
        channel.decay: "how fast {} are forgotten for arms not chosen",
        channel.start: "value before the first trial",
        channel.utility: "exponent of {}: below 1, large ones count less than in proportion",
    }.get(name, "")


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
