"""What a model says, in words and equations: derived from its parts, for `repr` and for the documentation."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from hierrl.models.channels import Channel, Weight
from hierrl.models.learners import LEARNERS

if TYPE_CHECKING:
    from hierrl.models.model import Model

GREEK = ("alpha", "beta", "gamma", "eta", "kappa", "lambda", "phi", "rho", "theta", "xi")

SIGNALS = {
    "reward": ("r", "r"),
    "gain": ("g", "g"),
    "loss": ("l", "l"),
    "choice": ("1", "1"),
    "forgone": ("f", "f"),
    "reward+": ("max(r, 0)", r"\max(r, 0)"),
    "reward-": ("min(r, 0)", r"\min(r, 0)"),
    "sign(reward)": ("sign(r)", r"\operatorname{sign}(r)"),
    "reward>=0": ("[r >= 0]", r"[r \ge 0]"),
    "reward<0": ("[r < 0]", "[r < 0]"),
}
"""Signal -> how it is written in text and in LaTeX."""


def symbol(name: str | float) -> str:
    r"""A parameter in LaTeX: ``alpha_pos`` is :math:`\alpha_{\mathrm{pos}}`."""
    if not isinstance(name, str):
        return f"{name:g}"
    head, _, tail = name.partition("_")
    letter = rf"\{head}" if head in GREEK else rf"\mathrm{{{head}}}"
    return letter + (rf"_{{\mathrm{{{tail.replace('_', ' ')}}}}}" if tail else "")


def plain(name: str | float) -> str:
    """A parameter in text."""
    return name if isinstance(name, str) else f"{name:g}"


def logit(model: Model, *, latex: bool = False) -> str:
    """The logit of arm i: weights times values, bias and regressors."""
    write = symbol if latex else plain
    times = r"\," if latex else " "
    terms = [
        f"{_weight(channel, write, times)}{times}{value_of(model, c, latex=latex)}"
        for c, channel in enumerate(model.channels)
    ]
    terms += [
        f"{write(r.weight)}{times}" + (rf"\mathrm{{{_safe(r.column)}}}_i" if latex else f"{r.column}[i]")
        for r in model.regressors
    ]
    if model.bias:
        terms.append(rf"{symbol('bias')}_i" if latex else "bias[i]")
    joined = re.sub(r"\+ -", "- ", " + ".join(terms))
    return f"x_i = {joined}" if latex else f"logit[i] = {joined}"


def value_of(model: Model, c: int, *, latex: bool = False) -> str:
    """What the value of channel c is called: numbered if there are several."""
    number = str(c + 1) if len(model.channels) > 1 else ""
    return rf"Q^{{({number})}}_i" if latex and number else ("Q_i" if latex else f"Q{number}[i]")


def probability(model: Model, *, latex: bool = False) -> str:
    """The choice rule."""
    if latex:
        soft = r"\frac{e^{x_i}}{\sum_j e^{x_j}}"
        return rf"P(i) = (1 - \xi) {soft} + \frac{{\xi}}{{m}}" if model.lapse else rf"P(i) = {soft}"
    return "P = (1 - lapse) softmax(logit) + lapse / arms" if model.lapse else "P = softmax(logit)"


def rules(channel: Channel, *, latex: bool = False) -> list[str]:
    """How values change: one equation for each kind of arm. Q is the value, c the chosen arm, j another one."""
    write = symbol if latex else plain
    if channel.learner != "delta":
        learner = LEARNERS[channel.learner]
        found = learner.latex if latex else learner.text
        for role in learner.roles:
            found = found.replace(f"{{{role.name}}}", write(channel.role(role)))
        return [found, f"u = {signal(channel, latex=latex)}", *_first(channel, write, latex)]
    u = signal(channel, latex=latex)
    c, j = ("Q_c", "Q_j") if latex else ("Q[c]", "Q[j]")
    rate = _rate(channel, write, latex, own=True)
    if channel.signal == "forgone":
        return [
            _toward(channel, j, rate, "f_j" if latex else "f[j]", latex),
            *_which_rate(channel, write, latex),
            *_first(channel, write, latex),
        ]
    lines = [_toward(channel, c, rate, u, latex)]
    if channel.unchosen == "decay":
        fade = rate if channel.decay is None else write(channel.decay)
        faded = "0" if fade == "1" else f"(1 - {fade}) {j}"
        lines.append(rf"{j} \leftarrow {faded}" if latex else f"{j} = {faded}")
    elif channel.unchosen == "forgone":
        lines.append(_toward(channel, j, rate, "f_j" if latex else "f[j]", latex))
    elif channel.unchosen in ("mirror", "fictive"):
        share = "" if channel.unchosen == "mirror" else (r" / (m - 1)" if latex else " / (arms - 1)")
        own = channel.unchosen == "mirror"
        lines.append(_toward(channel, j, _rate(channel, write, latex, own=own), f"-{u}{share}", latex))
    return lines + _which_rate(channel, write, latex) + _first(channel, write, latex)


def signal(channel: Channel, *, latex: bool = False) -> str:
    """What a channel learns from, with its utility."""
    text, tex = SIGNALS.get(channel.signal, (channel.signal, rf"\mathrm{{{_safe(channel.signal)}}}"))
    found = tex if latex else text
    if channel.utility is None:
        return found
    sign = {"reward+": "", "gain": "", "reward-": "-", "loss": "-"}.get(
        channel.signal, rf"\operatorname{{sign}}({found})\," if latex else f"sign({found}) "
    )
    if latex:
        return rf"{sign}|{found} / s|^{{{symbol(channel.utility)}}}"
    return f"{sign}|{found} / scale|^{plain(channel.utility)}"


def _safe(name: str) -> str:
    return name.replace("_", r"\_")


def _weight(channel: Channel, write: Callable[[str | float], str], times: str) -> str:
    weight = Weight.parse(channel.weight)
    number = "" if abs(weight.coefficient) == 1 else f"{abs(weight.coefficient):g}{times}"
    return ("-" if weight.coefficient < 0 else "") + number + times.join(write(name) for name in weight.names)


def _rate(channel: Channel, write: Callable[[str | float], str], latex: bool, *, own: bool) -> str:
    """The rate, or the sign by which one of two is chosen."""
    if channel.rates[0] == channel.rates[1]:
        return write(channel.rates[0])
    if latex:
        return r"\alpha_{\pm}" if own else r"\alpha_{\mp}"
    return "rate" if own else "other rate"


def _which_rate(channel: Channel, write: Callable[[str | float], str], latex: bool) -> list[str]:
    if channel.rates[0] == channel.rates[1]:
        return []
    first, second = map(write, channel.rates)
    by = (
        "r"
        if channel.rate_by == "reward"
        else ("\\text{the prediction error}" if latex else "the prediction error")
    )
    if latex:
        return [rf"\alpha_{{\pm}} = {first} \text{{ if }} {by} \ge 0, \text{{ else }} {second}"]
    return [f"rate = {first} if {by} >= 0, else {second}"]


def _first(channel: Channel, write: Callable[[str | float], str], latex: bool) -> list[str]:
    """Where values start, unless at 0."""
    if channel.start == 0:
        return []
    start = write(channel.start)
    return [rf"Q_i = {start} \text{{ at first}}" if latex else f"Q[i] = {start} at first"]


def _toward(channel: Channel, q: str, rate: str, u: str, latex: bool) -> str:
    arrow = r"\leftarrow" if latex else "="
    if channel.update == "accumulate":
        return f"{q} {arrow} (1 - {rate}) {q} {u if u.startswith('-') else '+ ' + u}"
    if rate == "1":
        return f"{q} {arrow} {u}"
    brackets = f"({u} - {q})" if not u.startswith("-") else f"(-{u[1:]} - {q})"
    return f"{q} {arrow} {q} + {rate} {brackets}" if latex else f"{q} += {rate} {brackets}"


def describe(model: Model) -> str:
    """Name, equations, parameters and what the convex step can do, in a few lines."""
    lines = [f"Model {model.title}", f"  {probability(model)};  {logit(model)}"]
    for c, channel in enumerate(model.channels):
        name = value_of(model, c)[:-3]
        where = f", apart by {channel.context}" if channel.context else ""
        lines.append(f"  {name}{where}: " + ";  ".join(rules(channel)))
    lines.append("  parameters: " + ", ".join(_parameter(model, name) for name in model.names))
    if model.fixed:
        lines.append("  fixed: " + ", ".join(f"{name} = {value:g}" for name, value in model.fixed.items()))
    lines.append("  " + capability(model))
    return "\n".join(lines)


def _parameter(model: Model, name: str) -> str:
    parameter = model.parameter(name)
    if parameter.lower is None or parameter.upper is None:
        return f"{name} in the range of the signal"
    return f"{name} in [{parameter.lower:g}, {parameter.upper:g}]"


def capability(model: Model) -> str:
    """What the convex step can do, in a sentence."""
    can = model.supports
    if can.bound:
        signs = (
            f"; {can.sign_cases} weight{'s' * (can.sign_cases > 1)} of either sign" if can.sign_cases else ""
        )
        return f"convex bound and certified maximum likelihood: yes{signs}"
    return "convex bound: no. " + " ".join(can.reasons)
