"""What the parameters of a model mean, in which range and unit, and what data it needs: derived from its parts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hierrl.models.channels import FROM_REWARD, Channel, Weight
from hierrl.models.equations import Term, terms

if TYPE_CHECKING:
    from hierrl.models.model import Model, Parameter

NOUNS = {
    "reward": "rewards",
    "gain": "gains",
    "loss": "losses",
    "choice": "own choices",
    "forgone": "forgone rewards",
    "reward+": "the rewards' positive part",
    "reward-": "the rewards' negative part",
    "sign(reward)": "the signs of rewards",
    "reward>=0": "choices that paid 0 or more",
    "reward<0": "choices that paid less than 0",
}
"""Signal -> what a value remembers."""

LINKS = {"logit": "logit", "log": "logarithm", "identity": "identity"}


@dataclass(frozen=True)
class Meaning:
    """A parameter as a table shows it."""

    name: str
    range: str
    unit: str
    link: str
    text: str


def meanings(model: Model) -> list[Meaning]:
    """One for each free parameter, in their order."""
    return [
        Meaning(p.name, range_of(p), unit_of(model, p), LINKS[p.link], text)
        for p in model.parameters
        if (text := meaning(model, p))
    ]


def meaning(model: Model, parameter: Parameter) -> str:
    """What a parameter does, in a phrase; several if it has several places."""
    phrases = [phrase for name, phrase in _phrases(model) if name == parameter.name]
    each = "for each arm: " if parameter.per_arm and parameter.kind != "bias" else ""
    return each + "; ".join(dict.fromkeys(phrases))


def range_of(parameter: Parameter) -> str:
    """Its bounds in point fits, for rewards divided by the largest absolute reward."""
    if parameter.lower is None or parameter.upper is None:
        return "smallest to largest reward"
    return f"{parameter.lower:g} to {parameter.upper:g}"


def unit_of(model: Model, parameter: Parameter) -> str:
    """The unit in which it is reported."""
    if parameter.unit:
        return "reward" if parameter.unit > 0 else "1 / reward"
    if parameter.kind == "noise":
        return "sd of a reward"
    bends = any(
        parameter.name == Weight.parse(channel.weight).names[0]
        for channel in model.channels
        if channel.utility is not None
    )
    return "1 / utility of the largest reward" if bends else ""


def _phrases(model: Model) -> Iterable[tuple[object, str]]:
    """(parameter, what it does there) for every place that a name can have."""
    for term in terms(model):
        yield from _of_shape(term)
        yield from _of_weight(term)
    for regressor in model.regressors:
        yield regressor.weight, f"weight of the column `{regressor.column}`"
    yield "bias", "constant preference for an arm; 0 for the first"
    yield "lapse", "share of choices made at random"


def _of_shape(term: Term) -> Iterable[tuple[object, str]]:
    channel = term.channel
    if channel.learner != "delta":
        yield from ((channel.role(role), role.meaning) for role in channel.learner_roles)
        return
    yield from _of_rates(term)
    yield channel.decay, _of_decay(channel)
    yield channel.start, "value at the start of a session"
    yield channel.utility, "exponent of the utility: 1 is linear, less levels off"


def _of_rates(term: Term) -> Iterable[tuple[str | float, str]]:
    channel = term.channel
    if channel.rates[0] == channel.rates[1]:
        yield channel.rates[0], _of_rate(term)
        return
    after = (
        ("rewards of 0 or more", "rewards below 0")
        if channel.rate_by == "reward"
        else ("positive prediction errors", "negative prediction errors")
    )
    for rate, what in zip(channel.rates, after, strict=True):
        yield rate, f"learning rate after {what}"


def _of_rate(term: Term) -> str:
    channel = term.channel
    if channel.signal == "choice":
        return "rate of the choice trace; at 1 it is the last choice alone"
    if channel.update == "accumulate":
        when = "on each trial" if channel.unchosen == "decay" else "each time an arm is chosen"
        return f"share of the past that is forgotten {when}"
    of = "" if channel.signal == "reward" or term.aversion is not None else f" of {noun(channel)}"
    return f"learning rate{of}: the share of the prediction error that is learned" + (
        "; also the rate at which arms not chosen fade"
        if channel.unchosen == "decay" and channel.decay is None
        else ""
    )


def _of_decay(channel: Channel) -> str:
    if channel.signal == "choice":
        return "rate at which the trace of a choice fades"
    return "rate at which the values of arms not chosen fade"


def _of_weight(term: Term) -> Iterable[tuple[str, str]]:
    weight = Weight.parse(term.channel.weight)
    yield weight.names[0], _weighs(term)
    for name in weight.names[1:]:
        yield name, "factor of a weight"
    for name in term.aversion or ():
        yield name, "loss aversion: how many times a loss counts that a gain of its size counts"


def _weighs(term: Term) -> str:
    channel = term.channel
    if channel.signal == "choice" and channel.rates == (1.0, 1.0) and channel.decay is None:
        return "weight of the last choice: above 0 it is repeated, below 0 avoided"
    if channel.signal == "choice":
        return "weight of the choice trace: above 0 choices are repeated, below 0 alternated"
    if term.aversion is not None or channel.signal == "reward":
        return "weight of the value (inverse temperature): 0 chooses at random"
    return f"weight of what is remembered of {noun(channel)}"


def noun(channel: Channel) -> str:
    """What a value remembers."""
    return NOUNS.get(channel.signal, f"the column `{channel.signal}`")


def needs(model: Model) -> list[tuple[str, str]]:
    """Columns of the behaviour that the model reads besides the subject, and what they hold."""
    found = {"choice": "the arm chosen; missed choices stay in"}
    for channel in model.channels:
        found |= _columns(channel)
    for regressor in model.regressors:
        found[regressor.column] = "a number for each trial, or for each trial and arm"
    return list(found.items())


def _columns(channel: Channel) -> dict[str, str]:
    known = {
        "gain": "what was won on the trial, 0 or more",
        "loss": "what was lost on the trial, 0 or less",
        "forgone": "what the arms not chosen would have paid",
    }
    found = {}
    if channel.signal in FROM_REWARD or channel.rate_by == "reward":
        found["reward"] = "what the chosen arm paid, in any unit; empty where unknown"
    elif channel.signal != "choice":
        found[channel.signal] = known.get(channel.signal, "a number for each trial")
    if channel.unchosen == "forgone":
        found["forgone"] = known["forgone"]
    if channel.context:
        found[channel.context] = "the context of the trial"
    return found
