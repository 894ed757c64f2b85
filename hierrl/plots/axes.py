"""Axes for parameters: bounded for rates, logarithmic for weights that span orders of magnitude, named with
units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter

from hierrl.models.model import Parameter

FloatArray = npt.NDArray[np.float64]

WIDE_SPAN = 25.0
"""Ratio of a weight's 95 % to its 5 % quantile from which on its axis is logarithmic."""
REACH = 3.0
"""An axis of weights reaches this many of their interquartile ranges beyond the quartiles (Tukey's "far
out"); what is farther is drawn at its end."""
NARROW = 0.3
"""Rates that all lie within a stretch shorter than this get an axis of their own instead of [0, 1]."""
MARGIN = 0.04
SYMBOLS = {"alpha": "α", "beta": "β", "kappa": "κ", "lambda": "λ", "gamma": "γ", "rho": "ρ", "lapse": "ξ"}


@dataclass(frozen=True)
class Scale:
    """The axis of a parameter."""

    kind: Literal["bounded", "log", "linear"]
    low: float
    high: float

    def inside(self, values: npt.ArrayLike) -> FloatArray:
        """Values moved to the ends of the axis where they lie beyond (zeros on a logarithmic axis, for
        one)."""
        return np.clip(np.asarray(values, dtype=np.float64), self.low, self.high)

    def beyond(self, values: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """-1 below the axis, 1 above it, 0 on it."""
        values = np.asarray(values, dtype=np.float64)
        return (values > self.high).astype(np.int64) - (values < self.low)

    def apply(self, axes: Axes, which: Literal["x", "y"]) -> None:
        """Limits, ticks and scale of one axis."""
        axis = axes.xaxis if which == "x" else axes.yaxis
        set_limits, set_scale = (
            (axes.set_xlim, axes.set_xscale) if which == "x" else (axes.set_ylim, axes.set_yscale)
        )
        if self.kind == "log":
            set_scale("log")
            _log_ticks(axis, self.high / self.low)
            room = (self.high / self.low) ** MARGIN
            set_limits(self.low / room, self.high * room)
            return
        room = MARGIN * (self.high - self.low)
        set_limits(self.low - room, self.high + room)
        if self.kind == "bounded" and (self.low, self.high) == (0.0, 1.0):
            axis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 1]))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _log_ticks(axis: Axis, span: float) -> None:
    axis.set_major_locator(LogLocator(subs=(1.0,) if span > 1e3 else (1.0, 3.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def scale_of(parameter: Parameter, values: npt.ArrayLike) -> Scale:
    """An axis on which `values` of a parameter, whatever their shape, can be seen."""
    finite = np.asarray(values, dtype=np.float64).ravel()
    finite = finite[np.isfinite(finite)]
    if finite.size == 0:
        return Scale("linear", 0.0, 1.0)
    if parameter.link == "logit":
        return Scale("bounded", *_rate_ends(finite))
    positive = finite[finite > 0]
    if parameter.link == "log" and positive.size:
        core = np.quantile(positive, [0.05, 0.95])
        if core[1] / core[0] > WIDE_SPAN:
            return Scale("log", *np.exp(_ends(np.log(positive))))
    low, high = _ends(finite)
    return Scale("linear", 0.0 if parameter.link == "log" else low, high)


def _ends(values: FloatArray) -> tuple[float, float]:
    """Ends of an axis that a few extreme values do not stretch."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    reach = max(REACH * (high - low), 0.1 * abs(middle), 1e-6)
    low, high = max(values.min(), low - reach), min(values.max(), high + reach)
    return (low, high) if high > low else (low - reach, high + reach)


def _rate_ends(values: FloatArray) -> tuple[float, float]:
    width = np.ptp(values)
    if width >= NARROW or values.min() < MARGIN or values.max() > 1 - MARGIN:
        return 0.0, 1.0
    room = 0.25 * width + 0.02
    return max(values.min() - room, 0.0), min(values.max() + room, 1.0)


def title_of(label: str) -> str:
    """A parameter in symbols and words: ``alpha_choice[A]`` -> ``α choice [A]``."""
    name, bracket, arm = label.partition("[")
    head, _, rest = name.partition("_")
    text = " ".join(part for part in (SYMBOLS.get(head, head), rest.replace("_", " ")) if part)
    return f"{text} [{arm}" if bracket else text


UNITS: Mapping[tuple[str, int], str] = {
    ("rate", 0): "rate, 0 to 1",
    ("lapse", 0): "probability",
    ("start", 1): "reward units",
    ("start", 0): "value",
    ("weight", -1): "log-odds per unit of reward",
    ("weight", 0): "log-odds",
    ("bias", 0): "log-odds",
}


def name_with_unit(label: str, parameter: Parameter) -> str:
    """An axis label."""
    unit = UNITS.get((parameter.kind, parameter.unit), "")
    return f"{title_of(label)} ({unit})" if unit else title_of(label)
