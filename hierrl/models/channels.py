"""The vocabulary of models: what is remembered, how it fades, and how it is weighted.

A *channel* is the trace of one signal over the arms. A *regressor* is a memoryless column. Both enter the
logit of an arm linearly through their weight, which is what makes every channel model convex in its weights.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, Literal, TypeGuard

from hierrl.models.learners import LEARNERS, Role

OUTCOMES = ("reward", "gain", "loss", "forgone")
"""Variables of the behaviour that are measured in reward units."""

OUTCOME_SIGNALS = (*OUTCOMES, "reward+", "reward-")
"""Signals in reward units: divided by ``reward_scale`` before a kernel sees them."""

FROM_REWARD = ("reward", "reward+", "reward-", "sign(reward)", "reward>=0", "reward<0")
"""Signals that are worked out from the reward: itself, its positive and negative part, its sign, 0/1 for each sign."""

Unchosen = Literal["hold", "decay", "mirror", "fictive", "forgone"]
Update = Literal["delta", "accumulate"]

MOST_EXPONENT = 2.0
"""Default bound on the exponent of a utility, that of the published models."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*$")


@dataclass(frozen=True)
class Weight:
    """A signed product of parameter names, ``coefficient * name_1 * name_2 ...``.

    Examples
    --------
    >>> Weight.parse("-beta*lambda")
    Weight(coefficient=-1.0, names=('beta', 'lambda'))
    """

    coefficient: float
    names: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Weight:
        """Read ``"beta"``, ``"-beta*lambda"`` or ``"2*beta"``."""
        if not isinstance(text, str):
            raise TypeError(
                f"A weight is the name of a parameter ('beta') or a signed product of names; found {text!r}. "
                "To fix one at a number, name it and use fixed={'beta': 3.0} of the model."
            )
        stripped = text.replace(" ", "")
        coefficient = -1.0 if stripped.startswith("-") else 1.0
        names: list[str] = []
        for factor in stripped.lstrip("-").split("*"):
            if _NAME.match(factor):
                names.append(factor)
                continue
            try:
                coefficient *= float(factor)
            except ValueError:
                raise ValueError(
                    f"The weight {text!r} has the factor {factor!r}, which is neither a parameter name nor a number. "
                    "Write a name ('beta') or a signed product of names ('-beta*lambda')."
                ) from None
        if not names or len(set(names)) < len(names):
            raise ValueError(f"The weight {text!r} must name at least one parameter, and each only once.")
        return cls(coefficient, tuple(names))


@dataclass(frozen=True)
class Channel:
    r"""The remembered trace of one signal, one value per arm.

    With the default ``update="delta"`` the value of an arm that learns moves toward its target :math:`u`,
    :math:`Q \leftarrow Q + \alpha (u - Q)`; with ``"accumulate"`` it fades and adds,
    :math:`Q \leftarrow (1 - \alpha) Q + u` (Ahn et al. 2008, decay rule). The channel adds ``weight * Q`` to
    the logit.

    Parameters
    ----------
    signal : str
        ``"reward"``, ``"gain"``, ``"loss"``, ``"choice"`` (1 for the chosen arm), ``"forgone"`` (what the
        arms not chosen would have paid) or the name of a numeric column by trial. Worked out from the reward:
        ``"reward+"`` and ``"reward-"``, its positive and negative part (0 where it has the other sign);
        ``"sign(reward)"``; ``"reward>=0"`` and ``"reward<0"``, 1 where that is so and 0 elsewhere.
    rate : str, float or pair
        Name of the rate in [0, 1], a fixed number, or a pair (after a positive, after a negative prediction
        error; see `rate_by`).
    weight : str
        Name of the weight, or a signed product of names such as ``"-beta*lambda"``.
    unchosen : {"hold", "decay", "mirror", "fictive", "forgone"}
        Arms not chosen keep their value; fade toward 0; learn from minus the signal (``"mirror"``; of a pair of rates,
        they use the one that their own error would have if the signal were not turned round, which for two arms that
        start at 0 is the rate of the chosen arm); learn from minus the signal divided by their number, of a pair at the
        rate of the other sign (``"fictive"``, Haines et al. 2018); or learn from the column ``forgone``.
    decay : str, float, optional
        The rate at which unchosen arms fade if it is not ``rate`` (only with ``unchosen="decay"``).
    start : float or str
        Value at the start of a session in raw units of the signal, or the name of a parameter.
    signed : bool
        Whether the weight may be negative.
    per_arm : bool
        Whether each arm has rate, start and weight of its own.
    update : {"delta", "accumulate"}
        How an arm learns, see above.
    context : str, optional
        A column by trial: values are kept separately in each of its contexts.
    rate_by : {"error", "reward"}
        What chooses from a pair of rates: the sign of the prediction error, or that of the reward (the first where it
        is 0 or more).
    utility : str or float, optional
        Name of an exponent, or a number: the channel learns from :math:`\operatorname{sign}(u) |u|^\rho`, u being the
        signal divided by ``reward_scale`` (the largest absolute reward of the fitted data). The weight is then per
        utility of that largest reward, whatever the unit.
    learner : {"delta", "kalman", "pearce_hall", "ewa"}
        Anything but ``"delta"`` has a rate that is itself a state; see `hierrl.models.learners` for the equations.
    shape : mapping of str to str or float, optional
        Further parameters of such a learner: role -> name or number, for example ``{"sd_drift": 0.5}``.

    Examples
    --------
    >>> import hierrl as hr
    >>> sticky = hr.Channel("choice", rate=1.0, weight="kappa", unchosen="decay", signed=True)
    >>> hr.Model(channels=(hr.Channel(), sticky)).names
    ('alpha', 'beta', 'kappa')
    """

    signal: str = "reward"
    rate: str | float | tuple[str | float, str | float] = "alpha"
    weight: str = "beta"
    unchosen: Unchosen = "hold"
    decay: str | float | None = None
    start: float | str = 0.0
    signed: bool = False
    per_arm: bool = False
    update: Update = "delta"
    context: str | None = None
    rate_by: Literal["error", "reward"] = "error"
    utility: str | float | None = None
    learner: str = "delta"
    shape: Mapping[str, str | float] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for name in ("rate", "decay", "start", "utility"):
            object.__setattr__(self, name, _plain(getattr(self, name)))
        object.__setattr__(self, "shape", {name: _plain(value) for name, value in dict(self.shape).items()})
        if isinstance(self.rate, tuple) and len(self.rate) != 2:
            raise ValueError(
                f"rate={self.rate!r} must be one rate, or a pair: after a positive and after a negative "
                "prediction error."
            )
        Weight.parse(self.weight)
        self._check_choices()
        for rate in (*self.rates, *(() if self.decay is None else (self.decay,))):
            _check_rate(rate)
        _check_start(self.start)
        if self.decay is not None and self.unchosen != "decay":
            raise ValueError(
                f"decay={self.decay!r} needs unchosen='decay'; this channel has {self.unchosen!r}."
            )
        self._check_utility()
        self._check_learner()

    def _check_utility(self) -> None:
        if self.utility is None:
            return
        if not self.is_outcome:
            raise ValueError(
                f"utility={self.utility!r} needs an outcome signal; this channel has {self.signal!r}."
            )
        _check_start(self.utility)
        if not isinstance(self.utility, str) and not 0 <= self.utility <= MOST_EXPONENT:
            raise ValueError(
                f"The exponent of a utility must be in [0, {MOST_EXPONENT:g}]; found {self.utility!r}."
            )

    def _check_learner(self) -> None:
        if self.learner != "delta" and self.learner not in LEARNERS:
            raise ValueError(f"learner={self.learner!r} is not one of {('delta', *LEARNERS)}.")
        further = [role.name for role in self.learner_roles if role.name not in ("rate", "start")]
        if unknown := [name for name in self.shape if name not in further]:
            raise ValueError(
                f"shape names {unknown[0]!r}, which learner={self.learner!r} does not have; "
                f"it has {', '.join(further) or 'none beside rate, decay and start'}."
            )
        for role in self.learner_roles:
            (_check_rate if role.kind == "rate" else _check_start)(self.role(role))
        if self.learner == "delta":
            return
        plain = Channel(self.signal, weight=self.weight, per_arm=self.per_arm, context=self.context)
        ways = ("unchosen", "decay", "update", "rate_by", "utility")
        if changed := [name for name in ways if getattr(self, name) != getattr(plain, name)]:
            raise ValueError(
                f"learner={self.learner!r} says itself how arms learn: leave out {changed[0]}="
                f"{getattr(self, changed[0])!r}."
            )
        if self.signal in ("choice", "forgone") or self.rates[0] != self.rates[1]:
            raise ValueError(
                f"learner={self.learner!r} needs a signal that the chosen arm pays and one rate; found "
                f"signal={self.signal!r}, rate={self.rate!r}."
            )

    def _check_choices(self) -> None:
        allowed = {
            "unchosen": ("hold", "decay", "mirror", "fictive", "forgone"),
            "update": ("delta", "accumulate"),
            "rate_by": ("error", "reward"),
        }
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise ValueError(f"{name}={getattr(self, name)!r} is not one of {values}.")
        if self.signal == "choice" and self.unchosen in ("mirror", "fictive"):
            raise ValueError(
                f"unchosen={self.unchosen!r} needs an outcome signal; this channel remembers choices."
            )
        if self.rate_by == "reward" and self.signal not in FROM_REWARD:
            raise ValueError(
                f"rate_by='reward' needs a signal made of the reward ({', '.join(FROM_REWARD)}); found {self.signal!r}."
            )
        if self.unchosen == "forgone" and self.signal != "reward":
            raise ValueError(
                "unchosen='forgone' needs signal='reward', as forgone is what other arms would have paid; "
                f"found {self.signal!r}."
            )
        if self.signal == "forgone" and self.unchosen != "hold":
            raise ValueError(
                "signal='forgone' is about the arms not chosen and needs unchosen='hold'; "
                f"found unchosen={self.unchosen!r}."
            )
        if self.update == "accumulate" and self.rates[0] != self.rates[1] and self.rate_by == "error":
            raise ValueError(
                "update='accumulate' knows no prediction error by whose sign to choose among the rates "
                f"{self.rates}; give one rate."
            )

    @property
    def rates(self) -> tuple[str | float, str | float]:
        """Rates after a positive and after a negative prediction error (equal unless a pair was given)."""
        return self.rate if isinstance(self.rate, tuple) else (self.rate, self.rate)

    @property
    def shapes(self) -> tuple[str, ...]:
        """Names of the shape parameters: rates, decay, start, exponent; those of the learner."""
        found = (
            (*self.rates, self.decay, self.start, self.utility)
            if self.learner == "delta"
            else tuple(self.role(role) for role in self.learner_roles)
        )
        return tuple(dict.fromkeys(name for name in found if isinstance(name, str)))

    @property
    def learner_roles(self) -> tuple[Role, ...]:
        """What a learner's parameters are; empty for the delta rule."""
        return () if self.learner == "delta" else LEARNERS[self.learner].roles

    def role(self, role: Role) -> str | float:
        """Name or number of a parameter of the learner."""
        if role.name in ("rate", "start"):
            return self.rates[0] if role.name == "rate" else self.start
        value = self.shape.get(role.name, role.default)
        assert value is not None  # only `rate` and `start` have no default
        return value

    @property
    def starts(self) -> tuple[str, ...]:
        """Names of parameters that are values of the signal: where values start, what they return to."""
        found = [self.start, *(self.role(role) for role in self.learner_roles if role.kind == "start")]
        return tuple(dict.fromkeys(name for name in found if isinstance(name, str)))

    @property
    def is_outcome(self) -> bool:
        """Whether the signal is measured in reward units."""
        return self.signal in OUTCOME_SIGNALS

    @property
    def is_linear(self) -> bool:
        """Whether rewards in another unit give the same choices, with parameters in that unit."""
        return self.utility is None and (self.learner == "delta" or LEARNERS[self.learner].linear)

    @property
    def unit(self) -> int:
        """Power of the reward unit that values of the channel carry."""
        return 1 if self.is_outcome and self.utility is None else 0


@dataclass(frozen=True)
class Regressor:
    """A memoryless column with a weight of its own.

    A column by trial adds ``weight * column[trial]`` to the logit of every arm but the first (a bias that
    varies by trial); a column by (trial, arm) adds to each arm its own value.

    Parameters
    ----------
    column : str
        Name of a numeric variable of the behaviour, dims ``(trial)`` or ``(trial, arm)``.
    weight : str, optional
        Name of the weight; ``weight_<column>`` if not given.

    Raises
    ------
    ValueError
        If the weight is no name.

    Examples
    --------
    >>> import hierrl as hr
    >>> hr.Model(channels=(hr.Channel(),), regressors=(hr.Regressor("side"),)).names
    ('alpha', 'beta', 'weight_side')
    """

    column: str
    weight: str = ""

    def __post_init__(self) -> None:
        if not self.weight:
            object.__setattr__(self, "weight", f"weight_{self.column}")
        if not _NAME.match(self.weight):
            raise ValueError(
                f"The regressor {self.column!r} has the weight name {self.weight!r}; use letters, digits and _."
            )


def _plain(value: Any) -> Any:
    """Lists as tuples and numbers of any kind as floats, so that a channel is equal to itself read from JSON."""
    if isinstance(value, list | tuple):
        return tuple(_plain(part) for part in value)
    return float(value) if _is_number(value) else value


def _check_rate(rate: object) -> None:
    if isinstance(rate, str):
        _check_name(rate)
    elif not _is_number(rate) or not 0 <= rate <= 1:
        raise ValueError(f"A rate is the name of a parameter or a number in [0, 1]; found {rate!r}.")


def _check_start(start: object) -> None:
    if isinstance(start, str):
        _check_name(start)
    elif not _is_number(start) or not math.isfinite(start):
        raise ValueError(f"A start value is the name of a parameter or a finite number; found {start!r}.")


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, Real) and not isinstance(value, bool)


def _check_name(name: str) -> None:
    if not _NAME.match(name):
        raise ValueError(f"{name!r} is not a parameter name; use letters, digits and _.")
