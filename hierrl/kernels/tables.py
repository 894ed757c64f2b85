"""Index tables that tell the universal kernel what a model is made of.

A kernel never sees names. It sees an extended parameter vector ``z = [theta, constants]`` and, for each
channel and arm, where in ``z`` its rates, start value and weight factors stand. Derivatives are carried for
*slots*: the distinct free shape parameters of a channel, at most five.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hierrl.models.channels import Channel, Weight
from hierrl.models.learners import DELTA, LEARNERS
from hierrl.models.model import Model

# Roles of a channel's shape parameters: columns of `value` and `slot`. (Other learners have roles of their own.)
POSITIVE, NEGATIVE, OWN_DECAY, START, EXPONENT = range(5)
N_ROLES = 5
MAX_SLOTS = 5

# What an unchosen arm does (`unchosen`); ONLY_FORGONE is a channel whose signal itself is what was forgone.
UNCHOSEN_HOLD, UNCHOSEN_DECAY, UNCHOSEN_OWN_DECAY, UNCHOSEN_MIRROR, UNCHOSEN_FICTIVE = range(5)
UNCHOSEN_FORGONE, ONLY_FORGONE = 5, 6

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


class Tables(NamedTuple):
    """The model as arrays. C channels, m arms, R regressors, P free scalars, A scalars at most that touch one
    arm.
    """

    value: IntArray
    """(C, m, roles): position in ``z`` of the rates, start value and exponent, or of the learner's parameters."""
    slot: IntArray
    """(C, roles): slot of the role, -1 if it is a constant."""
    n_slots: IntArray
    """(C,): number of free shape parameters."""
    slot_local: IntArray
    """(C, m, slots): column of the arm's Jacobian."""
    weight_value: IntArray
    """(C, m, factors): position in ``z`` of the weight's factors (padded with the constant 1)."""
    weight_local: IntArray
    """(C, m, factors): column of the arm's Jacobian, -1 for padding."""
    coefficient: FloatArray
    """(C,): numeric coefficient of the weight."""
    unchosen: IntArray
    """(C,): what unchosen arms do."""
    accumulate: IntArray
    """(C,): 1 if the channel adds its signal instead of moving toward it."""
    split: IntArray
    """(C,): 1 if the rate depends on the sign of the prediction error."""
    by_reward: IntArray
    """(C,): 1 if it depends on the sign of the reward."""
    power: IntArray
    """(C,): 1 if the channel learns from powers of its signal with a free exponent."""
    learner: IntArray
    """(C,): code of the learner, see `hierrl.models.learners`; 0 for the delta rule."""
    bias_value: IntArray
    """(m,): position in ``z``; the constant 0 for arm 0 or without bias."""
    bias_local: IntArray
    """(m,): column of the arm's Jacobian, -1 if fixed."""
    regressor_value: IntArray
    """(R,): position in ``z``."""
    regressor_local: IntArray
    """(R, m): column of the arm's Jacobian."""
    lapse_value: IntArray
    """(1,): position in ``z``; the constant 0 without lapse."""
    lapse_scalar: IntArray
    """(1,): the free scalar that is the lapse, -1 without."""
    arm_scalars: IntArray
    """(m, A): free scalars that touch the arm's logit, the columns of its Jacobian."""
    n_arm_scalars: IntArray
    """(m,): how many of them there are."""
    missed_decay: IntArray
    """(1,): 1 if a missed choice lets trial-clock traces fade."""
    n_contexts: IntArray
    """(1,): number of contexts that values are kept apart for (1 without)."""
    constants: FloatArray
    """Appended to theta to make ``z``."""


def build_tables(model: Model, arms: list[Any], *, reward_scale: float, n_contexts: int = 1) -> Tables:
    """Lay out `model` on `arms`; constant start values are divided by `reward_scale` where the signal is an
    outcome.
    """
    return _Builder(model, arms, reward_scale).build(n_contexts)


class _Builder:
    """Collects positions while walking over the parts of a model."""

    def __init__(self, model: Model, arms: list[Any], reward_scale: float):
        self.model, self.n_arms, self.reward_scale = model, len(arms), reward_scale
        scalars = model.scalars(arms)
        self.position = {(p.name, arm): k for k, (_, p, arm) in enumerate(scalars)}
        units = {parameter.name: parameter.unit for parameter in model.all_parameters}
        self.fixed = {name: value / reward_scale ** units[name] for name, value in model.fixed.items()}
        self.n_scalars = len(scalars)
        self.constants: list[float] = []
        self.arm_scalars: list[list[int]] = [[] for _ in arms]

    def scalar(self, name: str, arm: int) -> int:
        """Position of a named parameter in theta, -1 if it is not free on this arm."""
        return self.position.get((name, arm), self.position.get((name, None), -1))

    def place(self, value: str | float, arm: int) -> int:
        """Position in ``z`` of a name or a constant."""
        value = self.fixed.get(value, value) if isinstance(value, str) else value
        if isinstance(value, str):
            return self.scalar(value, arm)
        if value not in self.constants:
            self.constants.append(float(value))
        return self.n_scalars + self.constants.index(value)

    def local(self, scalar: int, arm: int) -> int:
        """Column of the arm's Jacobian for a free scalar."""
        if scalar < 0 or scalar >= self.n_scalars:
            return -1
        columns = self.arm_scalars[arm]
        if scalar not in columns:
            columns.append(scalar)
        return columns.index(scalar)

    def build(self, n_contexts: int) -> Tables:
        channels, m = self.model.channels, self.n_arms
        weights = [Weight.parse(channel.weight) for channel in channels]
        n_factors = max((len(weight.names) for weight in weights), default=1)
        shapes = [self.shape_values(channel) for channel in channels]
        value = [[[self.place(v, i) for v in values] for i in range(m)] for values in shapes]
        free = [self.free(channel) for channel in channels]
        slots = [
            [names.index(v) if v in names else -1 for v in values]
            for names, values in zip(free, shapes, strict=True)
        ]
        factors = [[*w.names, *[1.0] * (n_factors - len(w.names))] for w in weights]
        weight_value = [[[self.place(n, i) for n in row] for i in range(m)] for row in factors]
        bias_value, bias_local = self.bias()
        regressors = [self.place(r.weight, 0) for r in self.model.regressors]
        arrays = {
            "value": _table(value, (0, m, N_ROLES)),
            "slot": _table(slots, (0, N_ROLES)),
            "n_slots": _table([len(names) for names in free], (0,)),
            "slot_local": _table(
                [[self.slot_columns(names, i) for i in range(m)] for names in free], (0, m, MAX_SLOTS)
            ),
            "weight_value": _table(weight_value, (0, m, 1)),
            "weight_local": _table(
                [[[self.local(k, i) for k in row[i]] for i in range(m)] for row in weight_value], (0, m, 1)
            ),
            "coefficient": np.array([weight.coefficient for weight in weights], dtype=np.float64),
            "unchosen": _table([_unchosen_mode(channel) for channel in channels], (0,)),
            "accumulate": _table([channel.update == "accumulate" for channel in channels], (0,)),
            "split": _table([two_rates(c) and c.rate_by == "error" for c in channels], (0,)),
            "by_reward": _table([two_rates(c) and c.rate_by == "reward" for c in channels], (0,)),
            "power": _table([c.utility in names for c, names in zip(channels, free, strict=True)], (0,)),
            "learner": _table(
                [LEARNERS[c.learner].code if c.learner in LEARNERS else DELTA for c in channels], (0,)
            ),
            "bias_value": bias_value,
            "bias_local": bias_local,
            "regressor_value": _table(regressors, (0,)),
            "regressor_local": _table([[self.local(k, i) for i in range(m)] for k in regressors], (0, m)),
            "lapse_value": _table([self.place("lapse" if self.model.lapse else 0.0, 0)], (1,)),
            "lapse_scalar": _table([self.scalar("lapse", 0)], (1,)),
            "missed_decay": _table([self.model.missed == "decay"], (1,)),
            "n_contexts": _table([n_contexts], (1,)),
        }
        width = max((len(columns) for columns in self.arm_scalars), default=0)
        padded = [columns + [-1] * (width - len(columns)) for columns in self.arm_scalars]
        arrays["arm_scalars"] = _table(padded, (m, width))
        arrays["n_arm_scalars"] = _table([len(columns) for columns in self.arm_scalars], (m,))
        return Tables(**arrays, constants=np.array(self.constants, dtype=np.float64))

    def shape_values(self, channel: Channel) -> list[str | float]:
        """Names or numbers of the roles of a channel, values of the signal in its scaled unit."""
        unit = self.reward_scale**channel.unit
        if channel.learner == "delta":
            decay = channel.rates[0] if channel.decay is None else channel.decay
            exponent = 1.0 if channel.utility is None else channel.utility
            return [*channel.rates, decay, _divided(channel.start, unit), exponent]
        values = [(channel.role(role), role.unit) for role in channel.learner_roles]
        found = [_divided(value, unit) if power else value for value, power in values]
        return found + [0.0] * (N_ROLES - len(found))

    def free(self, channel: Channel) -> tuple[str, ...]:
        """Names of a channel's free shape parameters: its slots."""
        return tuple(name for name in channel.shapes if name not in self.fixed)

    def slot_columns(self, names: tuple[str, ...], arm: int) -> list[int]:
        """Jacobian columns of a channel's slots on one arm."""
        columns = [self.local(self.scalar(name, arm), arm) for name in names]
        return columns + [-1] * (MAX_SLOTS - len(columns))

    def bias(self) -> tuple[IntArray, IntArray]:
        """Positions and Jacobian columns of the biases; arm 0's is the constant 0."""
        names = ["bias" if self.model.bias and i > 0 else 0.0 for i in range(self.n_arms)]
        values = [self.place(name, i) for i, name in enumerate(names)]
        return _table(values, (self.n_arms,)), _table(
            [self.local(k, i) for i, k in enumerate(values)], (self.n_arms,)
        )


def two_rates(channel: Channel) -> bool:
    """Whether a channel has a pair of rates."""
    return channel.rates[0] != channel.rates[1]


def _divided(value: str | float, unit: float) -> str | float:
    """A number in another unit; names are left alone."""
    return value if isinstance(value, str) else value / unit


UNCHOSEN = {
    "hold": UNCHOSEN_HOLD,
    "mirror": UNCHOSEN_MIRROR,
    "fictive": UNCHOSEN_FICTIVE,
    "forgone": UNCHOSEN_FORGONE,
}


def _unchosen_mode(channel: Channel) -> int:
    if channel.signal == "forgone":
        return ONLY_FORGONE
    if channel.learner in LEARNERS and LEARNERS[channel.learner].drifts:
        return UNCHOSEN_OWN_DECAY
    if channel.unchosen == "decay":
        return UNCHOSEN_DECAY if channel.decay is None else UNCHOSEN_OWN_DECAY
    return UNCHOSEN[channel.unchosen]


def _table(rows: Any, shape: tuple[int, ...]) -> IntArray:
    """An int64 table; `shape` is used where there are no rows, so that the kernel always sees the same ranks."""
    table = np.array(rows, dtype=np.int64)
    return np.ascontiguousarray(table if table.size else np.zeros(shape, dtype=np.int64))
