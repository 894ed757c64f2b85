"""A prior as a table: every number of the population prior, readable and storable."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from hierrl.formulas import DesignMatrix

FloatArray = npt.NDArray[np.float64]
Source = Literal["empirical", "weak", "user"]

# What the terms of a prior are about.
MU, LOG_SIGMA = "mu", "log_sigma"

NORMAL_95 = 1.959964
"""Half the width of a central 95 % interval of the standard normal."""

ENDS = ("low", "high")
NUMBERS = ("loc", "scale", *ENDS)
"""What a user may say of a number of the prior: the columns of `Prior.table`."""


@dataclass(frozen=True)
class PriorTerm:
    """One number of the population with its normal prior, on the link scale and the scaled signal."""

    parameter: str
    """Label of the scalar: ``alpha``, ``alpha[<arm>]``."""
    role: Literal["mu", "log_sigma"]
    """A coefficient of the population mean, or the logarithm of the population's standard deviation."""
    coefficient: str
    """Name of the coefficient (``Intercept``, ``age_group[old]``); for ``log_sigma`` the group that it is the
    spread of, empty if all subjects share one."""
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
    def name(self) -> str:
        """What `Prior.changed` calls the number: the coefficient, ``log_sigma`` or ``log_sigma[<group>]``."""
        if self.role == MU:
            return self.coefficient
        return f"{self.role}[{self.coefficient}]" if self.coefficient else self.role

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

    def on_link(self, value: float, reward_scale: float) -> float:
        """The inverse of `natural`; NaN or infinite where there is no such value."""
        factor = reward_scale**self.unit
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.link == "identity":
                return float(np.log(value / factor) if self.role == LOG_SIGMA else value / factor)
            if self.role == LOG_SIGMA or not self.is_level:
                return float(np.log(value))
            return float(np.log(value) - np.log1p(-value) if self.link == "logit" else np.log(value / factor))

    def changed(self, given: Mapping[str, float], reward_scale: float) -> PriorTerm:
        """The term with the user's numbers: ``loc``, ``scale``, or both of ``low`` and ``high``."""
        low, high = (self.on_link(given[end], reward_scale) if end in given else None for end in ENDS)
        numbers = {name: float(given[name]) for name in ("loc", "scale") if name in given}
        if low is not None and high is not None:
            numbers = {"loc": (low + high) / 2, "scale": (high - low) / (2 * NORMAL_95)}
        new = replace(self, **numbers, source="user", note="")
        if not (np.isfinite(new.loc) and np.isfinite(new.scale) and new.scale > 0):
            raise ValueError(
                f"A prior needs a finite loc and a positive scale, or low < high where the number can be; found "
                f"{dict(given)} for {self.name} of {self.parameter!r}, whose natural scale is: {self.meaning}."
            )
        return new


@dataclass(frozen=True)
class Prior:
    r"""The prior of a population.

    For each scalar parameter, on its link scale and for the scaled signal (rewards divided by the largest
    absolute reward), with :math:`x_s` the subject's row of the formula's design matrix,

    .. math:: \theta_s \sim N(x_s^\top \Gamma, \sigma^2), \quad
              \Gamma_k \sim N(m_k, c_k^2), \quad \log \sigma \sim N(l, d^2).

    With `spread_by` each group has a :math:`\sigma` of its own; with `lkj` the parameters of a subject are
    correlated, and their correlation matrix has an LKJ prior.

    Make one with `empirical_prior` or `weak_prior`, change numbers with `changed` or `updated`, look at it with
    `table`.

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
    spread_by: str | None = None
    """The covariate whose groups have spreads of their own."""
    lkj: float | None = None
    """Shape of the LKJ prior of the correlations between parameters (1 = uniform, larger = nearer to 0);
    None = no correlations."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the scalar parameters, in the order of the model."""
        return tuple(dict.fromkeys(term.parameter for term in self.terms))

    @property
    def groups(self) -> tuple[str, ...]:
        """Groups with spreads of their own; empty if all subjects share one."""
        names = (term.coefficient for term in self.terms if term.role == LOG_SIGMA and term.coefficient)
        return tuple(dict.fromkeys(names))

    def mu(self, label: str) -> tuple[tuple[str, ...], FloatArray, FloatArray]:
        """Names (K,), locs (K,) and scales (K,) of a parameter's coefficients."""
        found = [term for term in self._of(label) if term.role == MU]
        names = tuple(term.coefficient for term in found)
        return names, np.array([term.loc for term in found]), np.array([term.scale for term in found])

    def log_sigma(self, label: str, group: str = "") -> tuple[float, float]:
        """Loc and scale of the logarithm of a parameter's population standard deviation (in a group)."""
        found = next(t for t in self._of(label) if t.role == LOG_SIGMA and t.coefficient == group)
        return found.loc, found.scale

    def centre(self, designs: Mapping[str, DesignMatrix]) -> tuple[FloatArray, FloatArray]:
        """Population mean and standard deviation (S, P) of each subject at the prior's centre."""
        mean = [design.mean(self.mu(label)[1]) for label, design in designs.items()]
        groups = self.groups or ("",)
        sd = [np.exp([self.log_sigma(label, group)[0] for group in groups]) for label in designs]
        of_subject = next(iter(designs.values())).groups.of_subject
        return np.stack(mean, axis=1), np.stack(sd, axis=1)[of_subject]

    def changed(
        self,
        label: str,
        coefficient: str,
        *,
        loc: float | None = None,
        scale: float | None = None,
        low: float | None = None,
        high: float | None = None,
    ) -> Prior:
        """A prior with one normal distribution changed by the user.

        Parameters
        ----------
        label : str
            Of the scalar parameter, such as ``"alpha"``; a parameter per arm by its name alone, for all arms.
        coefficient : str
            ``"Intercept"``, another coefficient of the formula, or ``"log_sigma"`` (of all groups;
            ``"log_sigma[<group>]"`` of one).
        loc, scale : float, optional
            On the link scale, for the scaled signal.
        low, high : float, optional
            In place of them: the central 95 % of the prior on the natural scale in raw reward units, as in
            `table`.
        """
        pairs = zip(NUMBERS, (loc, scale, low, high), strict=True)
        given = {name: value for name, value in pairs if value is not None}
        return self.updated({label: {coefficient: given}})

    def updated(self, numbers: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Prior:
        """A prior with several normal distributions changed by the user.

        Parameters
        ----------
        numbers : mapping
            Label -> coefficient -> numbers, all as in `changed`:
            ``{"alpha": {"Intercept": {"low": 0.1, "high": 0.7}, "log_sigma": {"loc": -0.5, "scale": 0.4}}}``.
        """
        terms = list(self.terms)
        nested = isinstance(numbers, Mapping) and all(isinstance(each, Mapping) for each in numbers.values())
        if not nested or not all(
            isinstance(one, Mapping) for each in numbers.values() for one in each.values()
        ):
            raise TypeError(
                'A prior is changed by label, coefficient and number, such as {"alpha": {"Intercept": {"low": 0.1, '
                f'"high": 0.7}}}}}}; found {numbers!r}.'
            )
        for label, coefficients in numbers.items():
            for coefficient, given in coefficients.items():
                _check_numbers(label, coefficient, given)
                for k in self._places(label, coefficient):
                    terms[k] = terms[k].changed(given, self.reward_scale)
        return replace(self, kind="user", terms=tuple(terms))

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

    def to_dataset(self) -> xr.Dataset:
        """`table` as a Dataset, dim ``term`` (``"alpha: Intercept"``): the group ``prior`` of a fit."""
        table = self.table
        names = np.array([f"{term.parameter}: {term.name}" for term in self.terms], dtype=object)
        columns = {name: ("term", table[name].to_numpy()) for name in table}
        return xr.Dataset(columns, coords={"term": names}, attrs={"kind": self.kind})

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

    def _places(self, label: str, coefficient: str) -> list[int]:
        """Where the terms stand that a user calls so: those of all arms, and of all groups."""
        names = [name for name in self.labels if label in (name, name.partition("[")[0])]
        if not names:
            self._of(label)
        places = [
            k
            for k, term in enumerate(self.terms)
            if term.parameter in names
            and coefficient in (term.name, term.role if term.role == LOG_SIGMA else None)
        ]
        if not places:
            known = ", ".join(term.name for term in self._of(names[0]))
            raise ValueError(f"The prior of {label!r} has no coefficient {coefficient!r}; it has {known}.")
        return places


def _check_numbers(label: str, coefficient: str, given: Mapping[str, float]) -> None:
    wrong = set(given) - set(NUMBERS)
    ends = [end for end in ENDS if end in given]
    if wrong or not given or (ends and (len(ends) < len(ENDS) or len(given) > len(ENDS))):
        raise ValueError(
            f"The prior of {coefficient} of {label!r} takes loc= and scale= (link scale), or low= and high= (central "
            f"95 %, natural scale); found {dict(given)}."
        )
