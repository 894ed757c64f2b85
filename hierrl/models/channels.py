"""The vocabulary of models: what is remembered, how it fades, and how it is weighted.

A *channel* is the trace of one signal over the arms. A *regressor* is a memoryless column. Both enter the
logit of an arm linearly through their weight, which is what makes every channel model convex in its weights.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal, TypeGuard

OUTCOME_SIGNALS = ("reward", "gain", "loss", "forgone")
"""Signals measured in reward units: divided by ``reward_scale`` before a kernel sees them."""

Unchosen = Literal["hold", "decay", "mirror", "forgone"]
Update = Literal["delta", "accumulate"]

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
        arms not chosen would have paid) or the name of a numeric column by trial.
    rate : str, float or pair
        Name of the rate in [0, 1], a fixed number, or a pair (after a positive, after a negative prediction
        error).
    weight : str
        Name of the weight, or a signed product of names such as ``"-beta*lambda"``.
    unchosen : {"hold", "decay", "mirror", "forgone"}
        Arms not chosen keep their value, fade toward 0, learn from minus the signal, or learn from the column
        ``forgone``.
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

    def __post_init__(self) -> None:
        for field in ("rate", "decay", "start"):
            object.__setattr__(self, field, _plain(getattr(self, field)))
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

    def _check_choices(self) -> None:
        allowed = {"unchosen": ("hold", "decay", "mirror", "forgone"), "update": ("delta", "accumulate")}
        for field, values in allowed.items():
            if getattr(self, field) not in values:
                raise ValueError(f"{field}={getattr(self, field)!r} is not one of {values}.")
        if self.signal == "choice" and self.unchosen == "mirror":
            raise ValueError("unchosen='mirror' needs an outcome signal; this channel remembers choices.")
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
        if self.update == "accumulate" and self.rates[0] != self.rates[1]:
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
        """Names of the free shape parameters: rates, decay, start."""
        found = (*self.rates, self.decay, self.start)
        return tuple(dict.fromkeys(name for name in found if isinstance(name, str)))

    @property
    def is_outcome(self) -> bool:
        """Whether the signal is measured in reward units."""
        return self.signal in OUTCOME_SIGNALS


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
