"""A prior as a table: every number of the population prior, readable and storable."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from hierrl.formulas import DesignMatrix

FloatArray = npt.NDArray[np.float64]
Source = Literal["empirical", "weak", "user"]

# What the terms of a prior are about.
MU, LOG_SIGMA = "mu", "log_sigma"


@dataclass(frozen=True)
class PriorTerm:
    """One number of the population with its normal prior, on the link scale and the scaled signal."""

    parameter: str
    """Label of the scalar: ``alpha``, ``alpha[<arm>]``."""
    role: Literal["mu", "log_sigma"]
    """A coefficient of the population mean, or the logarithm of the population's standard deviation."""
    coefficient: str
    """Name of the coefficient (``Intercept``, ``age_group[old]``); empty for ``log_sigma``."""
    loc: float
    scale: float
    link: Literal["logit", "log", "identity"]
    unit: int
    """Power of the reward unit that the parameter carries."""
    source: Source
    note: str = ""
    """Why the number is what it is, where that isn't plain."""


@dataclass(frozen=True)
class Prior:
    r"""The prior of a population.

    For each scalar parameter, on its link scale and for the scaled signal,

    .. math:: \theta_s \sim N(x_s^\top \Gamma, \sigma^2), \quad \Gamma_k \sim N(m_k, c_k^2), \quad \log \sigma \sim N(l, d^2).
    """

    kind: Literal["empirical", "weak", "user"]
    formula: Mapping[str, str]
    """Parameter name -> right-hand side."""
    terms: tuple[PriorTerm, ...]
    reward_scale: float = 1.0
    notes: tuple[str, ...] = ()
    """Sentences on how the prior came about."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Arguments it was made with."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the scalar parameters, in the order of the model."""
        return tuple(dict.fromkeys(term.parameter for term in self.terms))

    def mu(self, label: str) -> tuple[tuple[str, ...], FloatArray, FloatArray]:
        """Names (K,), locs (K,) and scales (K,) of a parameter's coefficients."""
        found = [term for term in self.terms if term.parameter == label and term.role == MU]
        names = tuple(term.coefficient for term in found)
        return names, np.array([term.loc for term in found]), np.array([term.scale for term in found])

    def log_sigma(self, label: str) -> tuple[float, float]:
        """Loc and scale of the logarithm of a parameter's population standard deviation."""
        found = next(term for term in self.terms if term.parameter == label and term.role == LOG_SIGMA)
        return found.loc, found.scale

    def centre(self, designs: Mapping[str, DesignMatrix]) -> tuple[FloatArray, FloatArray]:
        """Population mean (S, P) of each subject and standard deviation (P,) at the prior's centre."""
        mean = [design.mean(self.mu(label)[1]) for label, design in designs.items()]
        sd = [np.exp(self.log_sigma(label)[0]) for label in designs]
        return np.stack(mean, axis=1), np.array(sd)

    @property
    def table(self) -> pd.DataFrame:
        """Every number of the prior, one row each, with what it means on the natural scale."""
        raise NotImplementedError

    def to_json(self) -> str:
        """The prior as JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Prior:
        """The prior that `to_json` wrote."""
        parts = json.loads(text)
        parts["terms"] = tuple(PriorTerm(**term) for term in parts["terms"])
        parts["notes"] = tuple(parts["notes"])
        return cls(**parts)
