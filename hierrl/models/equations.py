"""What a model says, in equations: derived from its parts, for `repr`, the command line and the documentation.

Q is a value, c the chosen arm, j any other one, i whichever; `legend` explains what else there is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hierrl.models.channels import Channel, Weight
from hierrl.models.learners import LEARNERS
from hierrl.models.notation import LATEX, TEXT, Text

if TYPE_CHECKING:
    from hierrl.models.model import Model
    from hierrl.models.recursion import Recursion

AT_FIRST = "at the start of a session"


@dataclass(frozen=True)
class Term:
    """A value and its weight: a channel, or two for gains and losses that a paper writes as one.

    Both move at the same rates and start at 0, and the weight of the second is that of the first times further
    parameters: then ``w Q1 + w lambda Q2`` is w times the value of a reward whose losses count lambda times.
    """

    channel: Channel
    number: int
    aversion: tuple[str, ...] | None = None
    """What losses are multiplied by, if there are two."""


def terms(model: Model) -> list[Term]:
    """The values in the order of the channels, numbered if there are several."""
    found: list[Term] = []
    channels = list(model.channels)
    while channels:
        first = channels.pop(0)
        aversion = _aversion(first, channels[0]) if channels else None
        if aversion is not None:
            channels.pop(0)
        found.append(Term(first, len(found) + 1, aversion))
    return found if len(found) > 1 else [replace(term, number=0) for term in found]


def _aversion(gains: Channel, losses: Channel) -> tuple[str, ...] | None:
    """What makes `losses` the other half of `gains`; None if it isn't."""
    if (gains.signal, losses.signal) != ("reward+", "reward-"):
        return None
    additive = gains.start == 0 and (gains.rates[0] == gains.rates[1] or gains.rate_by == "reward")
    if not additive or replace(losses, signal=gains.signal, weight=gains.weight) != gains:
        return None
    mine, other = Weight.parse(gains.weight), Weight.parse(losses.weight)
    same_weight = other.coefficient == mine.coefficient and other.names[: len(mine.names)] == mine.names
    return other.names[len(mine.names) :] if same_weight else None


def equations(model: Model, script: Text = TEXT) -> list[str]:
    """All of them: the choice rule, the logit, how values change, where they start."""
    values = [line for term in terms(model) for line in (*rules(term, script), *utility(term, script))]
    return [probability(model, script), logit(model, script), *values, *starts(model, script)]


def of_recursion(model: Recursion, script: Text = TEXT) -> list[str]:
    """How states become choices, by the author's functions, and where states start."""
    latex, by_logits = script is LATEX, model.logits is not None
    letter, made_by = ("x", "logits") if by_logits else ("p", "probabilities")
    s, theta = ("s", r"\theta") if latex else ("state", "parameters")
    shares = r"P(i) = \frac{p_i}{\sum_k p_k}" if latex else "P = p / sum(p)"
    return [
        probability(model, script) if by_logits else shares,
        f"{script.value(letter, 0, 'i')} = {script.signal(made_by, 'i')}({s}, {theta})",
        f"{s} {script.becomes} {script.signal('update')}({s}, {script.signal('trial')}, {theta})",
        *_starts_of_states(model, script),
    ]


def _starts_of_states(model: Recursion, script: Text) -> list[str]:
    found: dict[float | str, list[str]] = {}
    for name, (start, _) in model.starts.items():
        found.setdefault(start, []).append(script.signal(name))
    return [
        " = ".join([*names, script.parameter(start)])
        + script.words(AT_FIRST + (f", apart in each {model.context}" if model.context else ""))
        for start, names in found.items()
    ]


def aligned(model: Model) -> str:
    """The equations as a LaTeX block, one below the other at their relation."""
    lines = [
        re.sub(r"(?<!\\)(=|\\leftarrow)", r"&\1", line, count=1)
        for line in (*model.equations(LATEX), *_numbers(model))
    ]
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"


def _numbers(model: Model) -> list[str]:
    """Parameters that are numbers: one equation for those with the same."""
    found: dict[float, list[str]] = {}
    for name, value in model.fixed.items():
        found.setdefault(value, []).append(LATEX.parameter(name))
    return [" = ".join([*names, LATEX.parameter(value)]) for value, names in found.items()]


def probability(model: Model, script: Text = TEXT) -> str:
    """The choice rule."""
    if script is LATEX:
        soft = r"\frac{e^{x_i}}{\sum_k e^{x_k}}"
        lapse = script.parameter("lapse")
        return rf"P(i) = (1 - {lapse})\, {soft} + \frac{{{lapse}}}{{m}}" if model.lapse else f"P(i) = {soft}"
    return "P = (1 - lapse) softmax(x) + lapse / m" if model.lapse else "P = softmax(x)"


def logit(model: Model, script: Text = TEXT) -> str:
    """The logit of arm i: weights times values, regressors and bias."""
    parts = [
        f"{_weight(term.channel, script)}{script.times}{script.value('Q', term.number, 'i')}"
        for term in terms(model)
    ]
    parts += [
        f"{script.parameter(r.weight)}{script.times}{script.signal(r.column, 'i')}" for r in model.regressors
    ]
    if model.bias:
        parts.append(script.parameter("bias", "i"))
    return f"{script.value('x', 0, 'i')} = " + " + ".join(parts).replace("+ -", "- ")


def rules(term: Term, script: Text = TEXT) -> list[str]:
    """How values change: one equation for each kind of arm."""
    channel = term.channel
    if channel.learner != "delta":
        return _learner(term, script)
    u = _target(term, script)
    if channel.signal == "forgone":
        return [_change(term, "j", u, script)]
    lines = [_change(term, "c", u, script)]
    other = {
        "decay": "0",
        "mirror": f"-{u}",
        "fictive": f"-{script.over(u, 'm - 1')}",
        "forgone": script.signal("forgone"),
    }
    if channel.unchosen in other:
        lines.append(_change(term, "j", other[channel.unchosen], script))
    return lines


def utility(term: Term, script: Text = TEXT) -> list[str]:
    """What u stands for, where the signal itself is not what a value learns from."""
    if not _has_utility(term):
        return []
    channel = term.channel
    r = "r" if term.aversion is not None else script.signal(channel.signal)
    bent = script.power(r, script.parameter(channel.utility)) if channel.utility is not None else r
    if term.aversion is None:
        sign = {"reward+": "", "gain": "", "reward-": "-", "loss": "-"}.get(channel.signal, script.sign(r))
        return [f"{_u(term, script)} = {sign}{bent}"]
    arm = "c" if channel.per_arm else ""
    worse = script.times.join([*(script.parameter(name, arm) for name in term.aversion), bent])
    loss = worse if channel.utility is None else f"-{worse}"
    return [f"{_u(term, script)} = {script.cases(bent, f'r {script.at_least} 0', loss)}"]


def starts(model: Model, script: Text = TEXT) -> list[str]:
    """Where values begin: one equation for those that begin alike."""
    found: dict[tuple[str, str | None], list[str]] = {}
    for term in terms(model):
        start = script.parameter(term.channel.start, _arm(term.channel, "i"))
        found.setdefault((start, term.channel.context), []).append(script.value("Q", term.number, "i"))
    return [
        " = ".join([*values, start])
        + script.words(AT_FIRST + (f", apart in each {context}" if context else ""))
        for (start, context), values in found.items()
    ]


def legend(model: Model, script: Text = TEXT) -> list[tuple[str, str]]:
    """The symbols that are no parameters, with what they mean."""
    shown = " ".join(model.equations(script))
    known = [
        ("c", "the chosen arm", bool(model.channels)),
        ("j", "any other arm", any(_moves_others(channel) for channel in model.channels)),
        ("r", "the reward", any(_of_reward(channel) for channel in model.channels)),
        *((script.signal(name), f"the {name}", _uses(model, name)) for name in ("gain", "loss")),
        (script.signal("forgone"), "what arm j would have paid", script.signal("forgone") in shown),
        ("s", "the largest absolute reward of the data (`reward_scale`)", bool(re.search(r"/ s\b", shown))),
        ("[...]", "1 where that is so and 0 elsewhere", bool(re.search(r"\[r ", shown))),
        ("m", "the number of arms" + " shown" * (not _fictive(model)), model.lapse or _fictive(model)),
    ]
    columns = [
        (
            script.signal(r.column, "i"),
            f"the column `{r.column}`; 0 for the first arm unless it has arms",
            True,
        )
        for r in model.regressors
    ]
    names = dict.fromkeys(channel.learner for channel in model.channels if channel.learner != "delta")
    own = [(*pair, True) for name in names for pair in LEARNERS[name].symbols]
    return [(symbol, meaning) for symbol, meaning, on in (*known, *columns, *own) if on]


def _moves_others(channel: Channel) -> bool:
    return channel.unchosen != "hold" or channel.signal == "forgone"


def _of_reward(channel: Channel) -> bool:
    return "reward" in channel.signal or channel.rate_by == "reward"


def _uses(model: Model, signal: str) -> bool:
    return any(channel.signal == signal for channel in model.channels)


def _fictive(model: Model) -> bool:
    return any(channel.unchosen == "fictive" for channel in model.channels)


def _has_utility(term: Term) -> bool:
    return term.channel.utility is not None or bool(term.aversion)


def _u(term: Term, script: Text) -> str:
    return script.value("u", term.number, "")


def _target(term: Term, script: Text) -> str:
    """What the chosen arm learns from."""
    if _has_utility(term):
        return _u(term, script)
    return script.signal("reward" if term.aversion is not None else term.channel.signal)


def _arm(channel: Channel, arm: str) -> str:
    """The index of the channel's parameters: none unless each arm has its own."""
    return arm if channel.per_arm else ""


def _weight(channel: Channel, script: Text) -> str:
    weight = Weight.parse(channel.weight)
    number = "" if abs(weight.coefficient) == 1 else f"{abs(weight.coefficient):g}{script.times}"
    names = script.times.join(script.parameter(name, _arm(channel, "i")) for name in weight.names)
    return ("-" if weight.coefficient < 0 else "") + number + names


def _change(term: Term, arm: str, u: str, script: Text) -> str:
    """How the value of an arm changes that is to learn from u."""
    channel, q = term.channel, script.value("Q", term.number, arm)
    first, second = (script.parameter(rate, _arm(channel, arm)) for rate in channel.rates)
    if arm == "j" and channel.unchosen == "decay" and channel.decay is not None:
        first = second = script.parameter(channel.decay, _arm(channel, arm))
    by_reward = channel.rate_by == "reward"
    if arm == "j" and channel.unchosen == "fictive" and by_reward:
        first, second = second, first
    if first == second:
        return f"{q} {script.becomes} {_moved(channel, q, u, first, script)}"
    mirrored = arm == "j" and channel.unchosen == "mirror"  # its error is told as that of minus its value
    error = f"{u[1:]} {script.at_least} -{q}" if mirrored else f"{u} {script.at_least} {q}"
    condition = f"r {script.at_least} 0" if by_reward else error
    either = [_moved(channel, q, u, rate, script) for rate in (first, second)]
    head = f"{q} + " if all(one.startswith(f"{q} + ") for one in either) else ""
    one, other = (whole.removeprefix(head) for whole in either)
    return f"{q} {script.becomes} {head}{script.cases(one, condition, other)}"


def _moved(channel: Channel, q: str, u: str, rate: str, script: Text) -> str:
    """The new value: toward the target, or faded with the target on top."""
    if channel.update == "accumulate" or u == "0":
        kept = "" if rate == "1" else q if rate == "0" else f"(1 - {rate}){script.times}{q}"
        if u == "0":
            return kept or "0"
        plus = f"- {u[1:]}" if u.startswith("-") else f"+ {u}"
        return f"{kept} {plus}" if kept else u
    if rate == "1":
        return u
    return f"{q} + {rate}{script.times}({u} - {q})"


def _learner(term: Term, script: Text) -> list[str]:
    """The equations that the learner states of itself, with the channel's names and signal in them."""
    learner, u = LEARNERS[term.channel.learner], script.signal(term.channel.signal)
    lines = []
    for line in script.learner(learner.text, learner.latex):
        for role in learner.roles:
            line = line.replace(f"{{{role.name}}}", script.parameter(term.channel.role(role)))
        line = re.sub(r"\bu\b", lambda _: u, line)
        lines.append(re.sub(r"\bQ(?=[_\[])|\bQ\b", lambda _: script.value("Q", term.number, ""), line))
    return lines


def describe(model: Model) -> str:
    """Name, equations, parameters and what the convex step can do, in a few lines."""
    lines = [f"Model {model.title}", f"  {probability(model)};  {logit(model)}"]
    for term in terms(model):
        lines.append("  " + ";  ".join([*rules(term), *utility(term)]))
    lines += [f"  {line}" for line in starts(model)]
    lines.append("  (" + "; ".join(f"{symbol}: {meaning}" for symbol, meaning in legend(model)) + ")")
    lines.append("  parameters: " + ", ".join(_parameter(model, name) for name in model.names))
    if model.fixed:
        lines.append("  fixed: " + ", ".join(f"{name} = {value:g}" for name, value in model.fixed.items()))
    if model.missed == "decay":
        lines.append("  after a missed choice, what fades on every trial fades on")
    lines.append("  " + capability(model))
    return "\n".join(lines)


def _parameter(model: Model, name: str) -> str:
    parameter = model.parameter(name)
    each = " for each arm" if parameter.per_arm else ""
    if parameter.lower is None or parameter.upper is None:
        return f"{name}{each} in the range of the signal"
    return f"{name}{each} in [{parameter.lower:g}, {parameter.upper:g}]"


def capability(model: Model) -> str:
    """What the convex step can do, in a sentence."""
    can = model.supports
    if can.bound:
        signs = (
            f"; {can.sign_cases} weight{'s' * (can.sign_cases > 1)} of either sign" if can.sign_cases else ""
        )
        return f"convex bound and certified maximum likelihood: yes{signs}"
    return "convex bound: no. " + " ".join(can.reasons)
