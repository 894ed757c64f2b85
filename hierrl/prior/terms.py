"""A prior as a table: every number of the population prior, readable and storable."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from hierrl.formulas import DesignMatrix

FloatArray = npt.NDArray[np.float64]
Source = Literal["empirical", "weak", "user"]

# What the terms of a prior are about.
MU, LOG_SIGMA = "mu", "log_sigma"

NORMAL_95 = 1.959964
"""Half the width of a central 95 % interval of the standard normal."""


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
    is_level: bool
    """Whether the coefficient is a mean of subjects, not a slope or contrast."""
    source: Source
    note: str = ""
    """Why the number is what it is, where that isn't plain."""

    @property
    def meaning(self) -> str:
        """What `natural` gives."""
        if self.role == LOG_SIGMA:
            return "spread between subjects (sd on the link scale)"
        if self.is_level:
            return "median of the population"
        return {"logit": "odds ratio", "log": "ratio", "identity": "difference"}[self.link]

    def natural(self, value: float, reward_scale: float) -> float:
        """A value of this number as researchers would read it, in raw reward units; see `meaning`."""
        factor = reward_scale**self.unit
        if self.link == "identity":
            return factor * (np.exp(value) if self.role == LOG_SIGMA else value)
        if self.role == LOG_SIGMA or not self.is_level:
            return float(np.exp(value))
        return float(1 / (1 + np.exp(-value)) if self.link == "logit" else factor * np.exp(value))


@dataclass(frozen=True)
class Prior:
    r"""The prior of a population.

    For each scalar parameter, on its link scale and for the scaled signal (rewards divided by the largest
    absolute reward), with :math:`x_s` the subject's row of the formula's design matrix,

    .. math:: \theta_s \sim N(x_s^\top \Gamma, \sigma^2), \quad
              \Gamma_k \sim N(m_k, c_k^2), \quad \log \sigma \sim N(l, d^2).

    Make one with `empirical_prior` or `weak_prior`, change numbers with `changed`, look at it with `table`.

    Examples
    --------
    >>> import hierrl as hr, pandas as pd
    >>> df = pd.DataFrame({"subject": 1, "choice": [0, 1, 1, 0], "reward": [1, 0, 1, 1]})
    >>> prior = hr.weak_prior(hr.model("rw"), hr.behaviour(df))
    >>> prior = prior.changed("alpha", "Intercept", loc=-1.0, scale=0.5)
    >>> prior.kind, prior.mu("alpha")[1].tolist()
    ('user', [-1.0])
    """

    kind: Literal["empirical", "weak", "user"]
    formula: Mapping[str, str]
    """Parameter name -> right-hand side."""
    terms: tuple[PriorTerm, ...]
    reward_scale: float = 1.0
    """Largest absolute reward of the data: only used to show numbers in raw reward units."""
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
        found = [term for term in self._of(label) if term.role == MU]
        names = tuple(term.coefficient for term in found)
        return names, np.array([term.loc for term in found]), np.array([term.scale for term in found])

    def log_sigma(self, label: str) -> tuple[float, float]:
        """Loc and scale of the logarithm of a parameter's population standard deviation."""
        found = next(term for term in self._of(label) if term.role == LOG_SIGMA)
        return found.loc, found.scale

    def centre(self, designs: Mapping[str, DesignMatrix]) -> tuple[FloatArray, FloatArray]:
        """Population mean (S, P) of each subject and standard deviation (P,) at the prior's centre."""
        mean = [design.mean(self.mu(label)[1]) for label, design in designs.items()]
        sd = [np.exp(self.log_sigma(label)[0]) for label in designs]
        return np.stack(mean, axis=1), np.array(sd)

    def changed(
        self, label: str, coefficient: str, *, loc: float | None = None, scale: float | None = None
    ) -> Prior:
        """A prior with one normal distribution changed by the user.

        Parameters
        ----------
        label : str
            Of the scalar parameter, such as ``"alpha"``.
        coefficient : str
            ``"Intercept"``, another coefficient of the formula, or ``"log_sigma"``.
        loc, scale : float, optional
            On the link scale, for the scaled signal.
        """
        terms = self._of(label)
        found = [t for t in terms if coefficient == (t.role if t.role == LOG_SIGMA else t.coefficient)]
        if not found:
            names = ", ".join(t.role if t.role == LOG_SIGMA else t.coefficient for t in terms)
            raise ValueError(f"The prior of {label!r} has no coefficient {coefficient!r}; it has {names}.")
        new = replace(
            found[0],
            loc=found[0].loc if loc is None else float(loc),
            scale=found[0].scale if scale is None else float(scale),
            source="user",
            note="",
        )
        if not (np.isfinite(new.loc) and np.isfinite(new.scale) and new.scale > 0):
            raise ValueError(
                f"A prior needs a finite loc and a positive scale; found {new.loc} and {new.scale}."
            )
        return replace(self, kind="user", terms=tuple(new if t is found[0] else t for t in self.terms))

    @property
    def table(self) -> pd.DataFrame:
        """Every number of the prior, one row each.

        ``loc`` and ``scale`` are on the link scale and the scaled signal; ``low``, ``middle`` and ``high``
        are the central 95 % of the prior on the natural scale in raw reward units, of what ``meaning`` says.
        """
        rows = []
        for term in self.terms:
            row = asdict(term) | {"meaning": term.meaning}
            for name, width in (("low", -NORMAL_95), ("middle", 0.0), ("high", NORMAL_95)):
                row[name] = term.natural(term.loc + width * term.scale, self.reward_scale)
            rows.append(row)
        columns = ["parameter", "role", "coefficient", "link", "loc", "scale", "source"]
        return pd.DataFrame(rows, columns=[*columns, "low", "middle", "high", "meaning", "note"])

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

    def _of(self, label: str) -> list[PriorTerm]:
        found = [term for term in self.terms if term.parameter == label]
        if not found:
            raise KeyError(f"The prior has no parameter {label!r}; it has {', '.join(self.labels)}.")
        return found
