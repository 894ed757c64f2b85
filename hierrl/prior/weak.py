"""Weakly informative priors: broad enough for any study, narrow enough to keep a sampler out of nowhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from hierrl.data import check_behaviour
from hierrl.formulas import DesignMatrix, Formula, by_parameter, design_matrices
from hierrl.formulas.design import typical_size
from hierrl.kernels.trials import reward_range, reward_scale_of, signal_range
from hierrl.models.channels import FROM_REWARD, OUTCOME_SIGNALS, Weight
from hierrl.models.given import check_model
from hierrl.models.model import Model, Parameter
from hierrl.models.recursion import Recursion
from hierrl.prior.terms import LOG_SIGMA, MU, Prior, PriorTerm


@dataclass(frozen=True)
class Scales:
    """Normal priors of a population on the link scale: its median, slopes of it, the log of its spread."""

    loc: float
    scale: float
    slope: float
    """Scale of a group contrast, or of the effect of one standard deviation of a number."""
    log_sigma: float
    log_sigma_scale: float = 0.7
    """Wide enough for a factor of four in either direction."""

    def times(self, factor: float) -> Scales:
        """The same in other units, for parameters that are used as they are (identity link)."""
        return Scales(
            self.loc * factor,
            self.scale * factor,
            self.slope * factor,
            self.log_sigma + float(np.log(factor)),
            self.log_sigma_scale,
        )

    def shifted(self, shift: float) -> Scales:
        """The same in other units, for parameters with log link."""
        return Scales(self.loc + shift, self.scale, self.slope, self.log_sigma, self.log_sigma_scale)


RATE = Scales(0.0, 1.5, 1.0, np.log(1.0))
EXPONENT = Scales(np.log(0.6), 0.6, 0.5, np.log(0.4))
NOISE = Scales(np.log(0.5), 1.0, 0.7, np.log(0.7))
LAPSE = Scales(-3.0, 1.0, 1.0, np.log(1.0))
WEIGHT = Scales(np.log(3.0), 1.5, 1.0, np.log(0.7))
FACTOR = Scales(0.0, 1.0, 1.0, np.log(0.5))
SIGNED_OUTCOME_WEIGHT = Scales(0.0, 5.0, 2.5, np.log(2.0))
SIGNED_WEIGHT = Scales(0.0, 2.5, 1.5, np.log(1.0))
BIAS = Scales(0.0, 1.0, 1.0, np.log(0.7))
START = Scales(0.5, 0.5, 0.25, np.log(0.25))  # of a signal between 0 and 1


BY_KIND = {"rate": RATE, "exponent": EXPONENT, "noise": NOISE, "lapse": LAPSE, "bias": BIAS}

SLOPES_DIFFER = 0.5
"""Spread of slopes within subjects, as a share of the scale of their mean: most subjects change alike."""


def weak_prior(
    model: Model, data: xr.Dataset, *, formula: Formula = None, spread_by: str | None = None
) -> Prior:
    r"""A weakly informative prior of the population.

    All numbers are normal distributions on the link scale for the scaled signal:

    ====================  =================  =========  ===============  ==============================
    parameter (link)      population median  slopes     log sigma        what it says
    ====================  =================  =========  ===============  ==============================
    rate (logit)          N(0, 1.5)          N(0, 1)    N(log 1, 0.7)    a subject's rate: near uniform
    weight (log)          N(log 3, 1.5)      N(0, 1)    N(log 0.7, 0.7)  95 % between 0.16 and 57
    further factor (log)  N(0, 1)            N(0, 1)    N(log 0.5, 0.7)  loss aversion and such: near 1
    signed weight         N(0, 2.5)          N(0, 1.5)  N(log 1, 0.7)    of choices, of columns
    ... of an outcome     N(0, 5)            N(0, 2.5)  N(log 2, 0.7)    twice that
    bias                  N(0, 1)            N(0, 1)    N(log 0.7, 0.7)  odds between arms up to 7
    exponent (log)        N(log 0.6, 0.6)    N(0, 0.5)  N(log 0.4, 0.7)  95 % between 0.19 and 1.9
    noise (log)           N(log 0.5, 1)      N(0, 0.7)  N(log 0.7, 0.7)  95 % between 0.07 and 3.5
    lapse (logit)         N(-3, 1)           N(0, 1)    N(log 1, 0.7)    95 % between 0.7 % and 26 %
    start                 N(1/2, 1/2)        N(0, 1/4)  N(log 1/4, 0.7)  for a signal in [0, 1]
    ====================  =================  =========  ===============  ==============================

    A slope's scale holds for a group contrast, and for one standard deviation of a numeric covariate. A
    covariate that varies by session gives each subject a slope of its own, with mean N(0, as above) and
    log sigma N(log half of that scale, 0.7). Parameters of a `Recursion` get the numbers of their kind, start values in
    the range of the scaled rewards or their bounds. Weights of regressors, and of channels that remember a column of
    the user's, are per unit of the column; their numbers follow its size.

    Parameters
    ----------
    model : Model
    data : Dataset
        Behaviour; the choices aren't looked at.
    formula : str or mapping of str to str, optional
        Parameter name -> right-hand side (``{"alpha": "1 + age_group"}``); a bare string holds for all.
    spread_by : str, optional
        A categorical covariate of the subjects whose groups have spreads of their own.

    Returns
    -------
    Prior

    Raises
    ------
    ValueError
        If the formula or `spread_by` asks for what the behaviour doesn't have.

    Examples
    --------
    >>> import hierrl as hr, pandas as pd
    >>> df = pd.DataFrame({"subject": 1, "choice": [0, 1, 1, 0], "reward": [1, 0, 1, 1]})
    >>> prior = hr.weak_prior(hr.model("rw"), hr.behaviour(df))
    >>> prior.table[["parameter", "coefficient", "loc", "scale", "low", "high"]].round(2)
      parameter coefficient   loc  scale   low   high
    0     alpha   Intercept  0.00    1.5  0.05   0.95
    1     alpha              0.00    0.7  0.25   3.94
    2      beta   Intercept  1.10    1.5  0.16  56.74
    3      beta             -0.36    0.7  0.18   2.76
    """
    check_model(model)
    check_behaviour(data)
    designs = design_matrices(model, data, formula, spread_by=spread_by)
    scale = reward_scale_of(data)
    parameters = {label: parameter for label, parameter, _ in model.scalars(list(data["arm"].values))}
    terms = []
    for label, design in designs.items():
        parameter = parameters[design.slope.of if design.slope else label]
        scales = scales_of(parameter, model, data, reward_scale=scale)
        groups = design.groups.names if spread_by else ("",)
        terms += _terms(label, parameter, design, scales=scales, groups=groups)
    return Prior("weak", by_parameter(model, formula), tuple(terms), scale, spread_by=spread_by)


def _terms(
    label: str, parameter: Parameter, design: DesignMatrix, *, scales: Scales, groups: tuple[str, ...]
) -> list[PriorTerm]:
    shared: dict[str, Any] = {
        "parameter": label,
        "link": parameter.link,
        "unit": parameter.unit,
        "source": "weak",
    }
    size, log_sigma = 1.0, scales.log_sigma
    if design.slope:
        size = typical_size(design.slope.session_values[:, None]).item()
        log_sigma = float(np.log(SLOPES_DIFFER * scales.slope / size))
    terms = [
        PriorTerm(
            role=MU,
            coefficient=name,
            loc=scales.loc if is_level else 0.0,
            scale=scales.scale if is_level else float(scales.slope / (of_column * size)),
            is_level=is_level,
            **shared,
        )
        for name, is_level, of_column in zip(design.names, design.is_level, design.sizes, strict=True)
    ]
    spreads = [
        PriorTerm(
            role=LOG_SIGMA,
            coefficient=group,
            loc=float(log_sigma),
            scale=scales.log_sigma_scale,
            is_level=False,
            **shared,
        )
        for group in groups
    ]
    return [*terms, *spreads]


def scales_of(parameter: Parameter, model: Model, data: xr.Dataset, *, reward_scale: float) -> Scales:
    """The weak prior of one parameter, for the scaled signal."""
    if isinstance(model, Recursion):
        return _of_kind(parameter, data, reward_scale if model.scale else 1.0)
    if parameter.kind == "start":
        return _start(parameter, model, data, reward_scale)
    if parameter.kind != "weight":
        return BY_KIND[parameter.kind]
    first = [c for c in model.channels if Weight.parse(c.weight).names[0] == parameter.name]
    if parameter.link == "log":
        if not first:
            return FACTOR
        return WEIGHT.shifted(-float(np.log(_signal_size(first[0].signal, data))))
    if parameter.unit != 0:
        return SIGNED_OUTCOME_WEIGHT
    column = (
        first[0].signal if first else next(r.column for r in model.regressors if r.weight == parameter.name)
    )
    return SIGNED_WEIGHT.times(1 / _signal_size(column, data))


def _of_kind(parameter: Parameter, data: xr.Dataset, reward_scale: float) -> Scales:
    """The weak prior of a recursion's parameter: what it does is known to its author alone, so its kind decides."""
    if parameter.kind == "start":
        low, high = parameter.lower, parameter.upper
        low, high = reward_range(data, reward_scale) if low is None or high is None else (low, high)
        return _in_range(low, high)
    if parameter.kind == "weight":
        signed = SIGNED_OUTCOME_WEIGHT if parameter.unit != 0 else SIGNED_WEIGHT
        return WEIGHT if parameter.link == "log" else signed
    return BY_KIND[parameter.kind]


def _signal_size(signal: str, data: xr.Dataset) -> float:
    """Largest absolute value of a user's column; 1 for choices, and for outcomes, which are scaled."""
    if signal == "choice" or signal in (*OUTCOME_SIGNALS, *FROM_REWARD):
        return 1.0
    values = np.abs(np.asarray(data[signal].values, dtype=np.float64))
    largest = float(np.nanmax(values)) if np.isfinite(values).any() else 1.0
    return largest if largest > 0 else 1.0


def _start(parameter: Parameter, model: Model, data: xr.Dataset, reward_scale: float) -> Scales:
    """Around the middle of the smallest and largest signal (or of the user's bounds)."""
    low, high = parameter.lower, parameter.upper
    if low is None or high is None:
        uses = model.starts_of(parameter.name)
        ranges = [signal_range(model, data, c, reward_scale=reward_scale) for c in uses]
        low, high = min(r[0] for r in ranges), max(r[1] for r in ranges)
    return _in_range(low, high)


def _in_range(low: float, high: float) -> Scales:
    in_units = START.times(high - low)
    return Scales(low + in_units.loc, in_units.scale, in_units.slope, in_units.log_sigma)
