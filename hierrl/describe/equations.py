"""A model written out: the probability of a choice, and what each channel remembers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, fields

from hierrl.models.channels import Channel, Weight
from hierrl.models.equations import Term, rules
from hierrl.models.learners import LEARNERS
from hierrl.models.model import Model
from hierrl.models.recursion import Recursion

SIGNALS = {
    "reward": "the reward",
    "gain": "the gain",
    "loss": "the loss",
    "choice": "1 if the arm was chosen",
    "forgone": "the forgone reward",
    "reward+": "the positive part of the reward",
    "reward-": "the negative part of the reward",
    "sign(reward)": "the sign of the reward",
    "reward>=0": "1 if the reward was 0 or more",
    "reward<0": "1 if the reward was negative",
}
UNCHOSEN = {
    "hold": "the others keep theirs",
    "mirror": "those of the others move toward −u at the same rate",
    "fictive": "those of the others move toward −u / (number of arms − 1) at the rate for the other sign",
    "forgone": "those of the others move toward what they would have paid, at the same rate",
}
TOLD = {
    "signal", "rate", "weight", "unchosen", "decay", "start", "signed", "per_arm", "update", "context", "rate_by",
    "utility", "learner", "shape",
}  # fmt: skip
"""Fields of a channel that a sentence below is about."""


def model_sentences(model: Model) -> Iterator[str]:
    """The model in sentences with its equation."""
    if isinstance(model, Recursion):
        yield _of_recursion(model)
        yield _free(model)
        return
    name = f"the model {model.name}" if model.name else "a model"
    softmax = "exp(x[t, i]) / Σ_j exp(x[t, j])"
    if model.lapse:
        softmax = f"(1 − lapse) {softmax} + lapse / (number of arms)"
    yield (
        f"Choices were described by {name}: arm i is chosen on trial t with probability {softmax}, where "
        f"x[t, i] = {logit(model)}."
    )
    for channel, value in zip(model.channels, _values(model), strict=True):
        yield channel_sentence(channel, value)
    if model.missed == "decay":
        yield "Traces that fade on every trial fade on missed trials too."
    if model.fixed:
        known = ", ".join(f"{name} = {value:g}" for name, value in model.fixed.items())
        yield f"Fixed for all subjects: {known}."
    yield _free(model)


def _of_recursion(model: Recursion) -> str:
    states = ", ".join(model.starts)
    return (
        f"Choices were described by {model.name}, a model written as what one subject does on one trial, with the "
        f"states {states}; its equations stand in the code that defines it."
    )


def logit(model: Model) -> str:
    """The right-hand side of the logit."""
    terms = ["bias[i]"] if model.bias else []
    for channel, value in zip(model.channels, _values(model), strict=True):
        terms.append(f"{weight_text(channel)} {value}[t, i]")
    terms += [f"{regressor.weight} {regressor.column}[t, i]" for regressor in model.regressors]
    return " + ".join(terms).replace("+ −", "− ")


def weight_text(channel: Channel) -> str:
    """The weight of a channel, with an index if arms have their own."""
    weight = Weight.parse(channel.weight)
    index = "[i]" if channel.per_arm else ""
    size = abs(weight.coefficient)
    parts = ([] if size == 1 else [f"{size:g}"]) + [f"{name}{index}" for name in weight.names]
    return ("−" if weight.coefficient < 0 else "") + " ".join(parts)


def _values(model: Model) -> list[str]:
    """What the values of the channels are called: Q, or Q1, Q2 ... if there are several."""
    n = len(model.channels)
    return ["Q"] if n == 1 else [f"Q{c + 1}" for c in range(n)]


def channel_sentence(channel: Channel, value: str) -> str:
    """What a channel remembers, in one sentence."""
    signal = SIGNALS.get(channel.signal, f"the column {channel.signal}")
    if channel.utility is not None:
        exponent = channel.utility if isinstance(channel.utility, str) else f"{channel.utility:g}"
        signal = f"sign(v) |v / s|^{exponent} of v, {signal}, with s the largest absolute reward"
    told = f", u being {signal}" if channel.learner == "delta" else ""
    clauses = [f"{_learning(channel, value)}{told}", _others(channel)]
    start = f"{channel.start:g}" if isinstance(channel.start, float | int) else str(channel.start)
    clauses.append(f"at the start of a session {value} is {start}")
    if channel.per_arm:
        clauses.append("each arm has parameters of its own")
    if channel.context:
        clauses.append(f"values are kept apart by {channel.context}")
    clauses += _untold(channel)
    text = "; ".join(clause for clause in clauses if clause)
    return f"{text[0].upper()}{text[1:]}."


def _learning(channel: Channel, value: str) -> str:
    first, second = (_rate(rate) for rate in channel.rates)
    who = "the arms not chosen" if channel.signal == "forgone" else "the chosen arm"
    if channel.signal == "choice" and channel.unchosen == "decay" and first == "1" and channel.decay is None:
        return f"{value} remembers the last choice only: after a choice it becomes u"
    if channel.learner != "delta":
        equations = "; ".join(rules(Term(channel, int(value[1:] or 0))))
        return f"{value} follows the rule called {LEARNERS[channel.learner].title} ({equations})"
    if channel.update == "accumulate":
        return f"after a choice the value of {who} changes to (1 − {first}) {value} + u"
    rule = f"after a choice the value of {who} changes to {value} + {first} (u − {value})"
    if first != second and channel.rate_by == "reward":
        return f"{rule} if the reward is 0 or more and to {value} + {second} (u − {value}) otherwise"
    if first != second:
        rule += f" if u > {value} and to {value} + {second} (u − {value}) otherwise"
    return rule


def _rate(rate: str | float) -> str:
    return rate if isinstance(rate, str) else f"{rate:g}"


def _others(channel: Channel) -> str:
    if channel.signal == "forgone" or channel.learner != "delta":
        return ""
    if channel.unchosen != "decay":
        return UNCHOSEN[channel.unchosen]
    if channel.rates == (1.0, 1.0) and channel.decay is None:
        return ""
    rate = "the same rate" if channel.decay is None else f"the rate {_rate(channel.decay)}"
    return f"those of the others fade toward 0 at {rate}"


def _untold(channel: Channel) -> list[str]:
    """Settings that no sentence is about, as they are: nothing is left out."""
    found = []
    for field in fields(channel):
        default = field.default if field.default is not MISSING else None
        value = getattr(channel, field.name)
        if field.name not in TOLD and value != default:
            found.append(f"{field.name} = {value!r}")
    return found


def _free(model: Model) -> str:
    parts = []
    for parameter in model.parameters:
        scale = {"logit": "between 0 and 1", "log": "not negative", "identity": "of any sign"}[parameter.link]
        own = ", one for each arm" if parameter.per_arm else ""
        parts.append(f"{parameter.name} ({parameter.kind}, {scale}{own})")
    return f"Free parameters: {'; '.join(parts)}."
