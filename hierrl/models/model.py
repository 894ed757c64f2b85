"""A model: channels, regressors and options; its parameters, bounds and abilities are derived from these parts."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from hierrl.models import equations
from hierrl.models.abilities import Abilities, abilities
from hierrl.models.channels import MOST_EXPONENT, Channel, Regressor, Weight
from hierrl.models.notation import TEXT, Text

Link = Literal["logit", "log", "identity"]
Kind = Literal["rate", "weight", "start", "exponent", "noise", "bias", "lapse"]

SHAPE_KINDS = ("rate", "start", "exponent", "noise")
"""Kinds that shape a path; the log-likelihood is concave in the others (but for the lapse, and products of weights)."""

WEIGHT_BOUND = 50.0
BIAS_BOUND = 10.0
NOISE_BOUND = 10.0
"""Standard deviations of a Kalman filter, in those of a reward: with more, the last reward is all that counts."""
RESERVED = ("arm", "subject", "trial", "chain", "draw", "choice", "reward", "parameter")


@dataclass(frozen=True)
class Parameter:
    """One named parameter of a model.

    ``unit`` is the power of the reward unit it carries: a weight of an outcome channel is per reward (-1), a
    start value is a reward (+1), all else is free of units (0). ``lower`` and ``upper`` hold on the scaled
    signal; ``None`` means that they follow from the data (start values: the smallest and largest signal).
    """

    name: str
    kind: Kind
    link: Link
    per_arm: bool
    unit: int
    lower: float | None
    upper: float | None

    @property
    def is_shape(self) -> bool:
        """Whether it shapes a path, instead of weighing one."""
        return self.kind in SHAPE_KINDS


@dataclass(frozen=True, repr=False)
class Model:
    r"""A choice model whose logits are a sum of channels.

    .. math:: x_{t,i} = \text{bias}_i + \sum_c w_c F_{c,i}(t) + \sum_r w_r z_{r,i}(t), \qquad
              P(\text{choice}_t = i) = (1 - \xi) \frac{e^{x_{t,i}}}{\sum_j e^{x_{t,j}}} + \frac{\xi}{m}

    Parameters
    ----------
    channels : tuple of Channel
        What is remembered. :math:`F_c` is the channel's path: its trace computed with unit weight.
    regressors : tuple of Regressor
        Memoryless columns.
    bias : bool
        A constant for each arm but the first, whose bias is 0.
    lapse : bool
        A share :math:`\xi` of choices made at random.
    missed : {"hold", "decay"}
        What a missed choice does to traces that fade on every trial (``unchosen="decay"``).
    bounds : mapping of str to (float, float)
        Overrides of the default bounds, on the scaled signal (rewards divided by the largest absolute
        reward).
    fixed : mapping of str to float
        Parameters that are numbers instead, for all subjects, in raw reward units: ``{"beta": 1.0}``.
    name : str, optional
        A name for tables and plots.

    Examples
    --------
    >>> import hierrl as hr
    >>> model = hr.Model(channels=(hr.Channel(rate=("alpha_pos", "alpha_neg")),), bias=True)
    >>> model.names
    ('alpha_pos', 'alpha_neg', 'beta', 'bias')
    """

    channels: tuple[Channel, ...]
    regressors: tuple[Regressor, ...] = ()
    bias: bool = False
    lapse: bool = False
    missed: Literal["hold", "decay"] = "hold"
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    name: str | None = None
    fixed: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for part, kind in (("channels", Channel), ("regressors", Regressor)):
            given = getattr(self, part)
            items = (given,) if isinstance(given, kind) else tuple(given)
            if wrong := [item for item in items if not isinstance(item, kind)]:
                raise TypeError(f"{part} must be {kind.__name__} objects; found {wrong[0]!r}.")
            object.__setattr__(self, part, items)
        if not (self.channels or self.regressors or self.bias):
            raise ValueError(
                "A model needs at least one channel, regressor or bias; this one has nothing to fit."
            )
        if self.missed not in ("hold", "decay"):
            raise ValueError(f"missed={self.missed!r} is not one of ('hold', 'decay').")
        object.__setattr__(self, "bounds", self._checked_bounds())
        object.__setattr__(self, "fixed", self._checked_fixed())

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """The free parameters in the order in which the parts name them."""
        return tuple(parameter for parameter in self.all_parameters if parameter.name not in self.fixed)

    @cached_property
    def all_parameters(self) -> tuple[Parameter, ...]:
        """The free and the fixed parameters."""
        found: dict[str, Parameter] = {}
        for parameter in self._declared():
            known = found.setdefault(parameter.name, parameter)
            if known != parameter:
                raise ValueError(
                    f"The parameter {parameter.name!r} is used in two ways that do not agree ({known} and "
                    f"{parameter}). Give one of them another name."
                )
        for reserved in RESERVED:
            if reserved in found:
                raise ValueError(
                    f"{reserved!r} cannot name a parameter: it is a dimension or column of every fit."
                )
        return tuple(found.values())

    @property
    def title(self) -> str:
        """The name, or one derived from the parts, with the options that are on."""
        signals = " + ".join(dict.fromkeys(channel.signal for channel in self.channels))
        extras = [name for name, on in (("bias", self.bias), ("lapse", self.lapse)) if on]
        name = self.name or signals or "without channels"
        return " + ".join([name, *(r.column for r in self.regressors), *(e for e in extras if e not in name)])

    @property
    def reads(self) -> frozenset[str]:
        """What a task or data must hold for the model: signals, columns of regressors and contexts."""
        signals = {channel.signal for channel in self.channels}
        signals |= {"forgone" for channel in self.channels if channel.unchosen == "forgone"}
        contexts = {channel.context for channel in self.channels if channel.context}
        return frozenset(signals | contexts | {regressor.column for regressor in self.regressors})

    def equations(self, script: Text = TEXT) -> list[str]:
        """The choice rule, the logit, how values change, where they start: a line of text or LaTeX for each."""
        return equations.equations(self, script)

    @property
    def latex(self) -> str:
        """The equations in LaTeX, one below the other in an ``aligned`` block."""
        return equations.aligned(self)

    def _repr_latex_(self) -> str:
        return rf"$\displaystyle {self.latex}$"

    def __repr__(self) -> str:
        return equations.describe(self)

    @cached_property
    def supports(self) -> Abilities:
        """What the convex step can do for this model, with the reasons where it can't."""
        return abilities(self)

    @property
    def is_linear(self) -> bool:
        """Whether rewards in another unit give the same choices, with parameters in that unit."""
        return all(channel.is_linear for channel in self.channels)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return tuple(parameter.name for parameter in self.parameters)

    def parameter(self, name: str) -> Parameter:
        """The parameter called `name`."""
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise KeyError(f"This model has no parameter {name!r}; it has {', '.join(self.names)}.")

    def scalars(self, arms: Sequence[Any]) -> tuple[tuple[str, Parameter, int | None], ...]:
        """Free scalars as (label, parameter, arm index): ``alpha``, or ``alpha[<arm>]`` per arm; bias from arm 1
        on.
        """
        found = []
        for parameter in self.parameters:
            if not parameter.per_arm:
                found.append((parameter.name, parameter, None))
                continue
            first = 1 if parameter.kind == "bias" else 0
            found += [(f"{parameter.name}[{arms[i]}]", parameter, i) for i in range(first, len(arms))]
        return tuple(found)

    def labels(self, arms: Sequence[Any]) -> tuple[str, ...]:
        """Labels of the free scalars on these arms."""
        return tuple(label for label, _, _ in self.scalars(arms))

    def starts_of(self, name: str) -> list[int]:
        """Channels in which a parameter is a value of the signal: where values start, what they return to."""
        return [c for c, channel in enumerate(self.channels) if name in channel.starts]

    def replace(self, **changes: Any) -> Model:
        """A model with some parts changed; bounds and numbers of parameters that are gone are dropped."""
        keep = {**{f.name: getattr(self, f.name) for f in dataclasses.fields(self)}, **changes}
        bare = dataclasses.replace(self, **{**keep, "bounds": {}, "fixed": {}})
        names = {"fixed": bare.names}
        keep["fixed"] = {name: value for name, value in keep["fixed"].items() if name in names["fixed"]}
        names["bounds"] = tuple(name for name in bare.names if name not in keep["fixed"])
        keep["bounds"] = {name: pair for name, pair in keep["bounds"].items() if name in names["bounds"]}
        return Model(**keep)

    def to_json(self) -> str:
        """The model as JSON text."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Model:
        """The model that `to_json` wrote."""
        parts = json.loads(text)
        if "recursion" in parts:
            from hierrl.models.recursion import from_record  # a kind of model itself

            return from_record(parts["recursion"])
        parts["channels"] = tuple(Channel(**channel) for channel in parts["channels"])
        parts["regressors"] = tuple(Regressor(**regressor) for regressor in parts["regressors"])
        return cls(**parts)

    def __hash__(self) -> int:
        return hash(self.to_json())

    def _declared(self) -> Iterable[Parameter]:
        for channel in self.channels:
            yield from _channel_parameters(channel, self.bounds)
        for regressor in self.regressors:
            yield self._bounded(regressor.weight, "weight", "identity", (-WEIGHT_BOUND, WEIGHT_BOUND))
        if self.bias:
            yield self._bounded("bias", "bias", "identity", (-BIAS_BOUND, BIAS_BOUND), per_arm=True)
        if self.lapse:
            yield self._bounded("lapse", "lapse", "logit", (0.0, 1.0))

    def _bounded(
        self, name: str, kind: Kind, link: Link, default: tuple[float, float], *, per_arm: bool = False
    ) -> Parameter:
        return Parameter(name, kind, link, per_arm, 0, *self.bounds.get(name, default))

    def _checked_bounds(self) -> dict[str, tuple[float, float]]:
        given = {name: _as_pair(name, pair) for name, pair in dict(self.bounds).items()}
        object.__setattr__(self, "bounds", {})
        kinds = {parameter.name: parameter for parameter in self.all_parameters}
        object.__delattr__(self, "all_parameters")  # the cache was filled without the bounds
        for name, (lower, upper) in given.items():
            _check_bound(name, lower, upper, kinds)
        return given

    def _checked_fixed(self) -> dict[str, float]:
        declared = {parameter.name: parameter for parameter in self.all_parameters}
        fixed = {}
        for name, value in dict(self.fixed).items():
            if name not in declared or declared[name].kind == "bias":
                known = ", ".join(n for n, p in declared.items() if p.kind != "bias")
                raise ValueError(f"fixed names {name!r}, which this model can't fix; it can fix {known}.")
            if name in self.bounds:
                raise ValueError(f"{name!r} stands in both bounds and fixed. Leave it out of one of them.")
            fixed[name] = _fixed_number(declared[name], value)
        if declared and len(fixed) == len(declared):
            raise ValueError(f"All parameters are fixed ({', '.join(fixed)}): there is nothing to fit.")
        return fixed


def _channel_parameters(channel: Channel, bounds: Mapping[str, tuple[float, float]]) -> Iterable[Parameter]:
    unit = channel.unit
    for name, kind in _shapes(channel):
        link, default = SHAPE_RANGES[kind]
        power = unit if kind == "start" else 0
        yield Parameter(name, kind, link, channel.per_arm, power, *bounds.get(name, default))
    for position, name in enumerate(Weight.parse(channel.weight).names):
        signed = channel.signed and position == 0
        pair = bounds.get(name, (-WEIGHT_BOUND if signed else 0.0, WEIGHT_BOUND))
        # Only the first factor carries the unit: a product of weights is per reward once.
        link: Link = "identity" if signed else "log"
        yield Parameter(name, "weight", link, channel.per_arm, -unit if position == 0 else 0, *pair)


SHAPE_RANGES: dict[Kind, tuple[Link, tuple[float | None, float | None]]] = {
    "rate": ("logit", (0.0, 1.0)),
    "start": ("identity", (None, None)),
    "exponent": ("log", (0.0, MOST_EXPONENT)),
    "noise": ("log", (0.0, NOISE_BOUND)),
}


def _shapes(channel: Channel) -> Iterable[tuple[str, Kind]]:
    """Names and kinds of a channel's shape parameters."""
    if channel.learner != "delta":
        found = [(channel.role(role), role.kind) for role in channel.learner_roles]
    else:
        rates = [(name, "rate") for name in (*channel.rates, channel.decay)]
        found = [*rates, (channel.start, "start"), (channel.utility, "exponent")]
    for name, kind in found:
        if isinstance(name, str):
            yield name, kind  # type: ignore[misc]


def _fixed_number(parameter: Parameter, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"fixed[{parameter.name!r}] must be a number; found {value!r}.") from None
    low, high = {"logit": (0.0, 1.0), "log": (0.0, math.inf)}.get(parameter.link, (-math.inf, math.inf))
    if not (low <= number <= high and math.isfinite(number)):
        raise ValueError(
            f"fixed[{parameter.name!r}] = {number:g} is outside the range of a {parameter.kind}."
        )
    return number


def _as_pair(name: str, pair: Any) -> tuple[float, float]:
    try:
        lower, upper = (float(end) for end in pair)
    except (TypeError, ValueError):
        raise ValueError(
            f"The bounds of {name!r} must be two numbers (lower, upper); found {pair!r}."
        ) from None
    return lower, upper


def _check_bound(name: str, lower: float, upper: float, kinds: Mapping[str, Parameter]) -> None:
    if name not in kinds:
        raise ValueError(
            f"bounds names {name!r}, which is not a parameter of this model ({', '.join(kinds)})."
        )
    if not lower < upper or abs(lower) == float("inf") or abs(upper) == float("inf"):
        raise ValueError(
            f"The bounds of {name!r} must be finite with lower < upper; found ({lower}, {upper})."
        )
    parameter = kinds[name]
    if parameter.link == "logit" and not 0 <= lower < upper <= 1:
        raise ValueError(f"{name!r} is a {parameter.kind} in [0, 1]; found the bounds ({lower}, {upper}).")
    if parameter.link == "log" and lower < 0:
        advice = " Use signed=True to let it be negative." if parameter.kind == "weight" else ""
        raise ValueError(
            f"{name!r} is a non-negative {parameter.kind}; found the lower bound {lower}.{advice}"
        )
