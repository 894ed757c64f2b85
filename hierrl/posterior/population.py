"""The population of a posterior: its coefficients in a row, and what they mean in raw reward units."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.formulas import DesignMatrix
from hierrl.formulas.design import Groups, slopes_of
from hierrl.kernels.correlation import correlation_root, lkj_shapes
from hierrl.kernels.problem import Problem
from hierrl.posterior.natural import natural_cells
from hierrl.prior import Prior

FloatArray = npt.NDArray[np.float64]

SLOPES = "slopes"
"""Attribute of the group ``population``: labels of the slopes within subjects, as JSON."""


@dataclass(frozen=True)
class Population:
    """T effects (coefficients of all parameters, one after the other) and P spreads; see `Prior` for their priors.

    With G groups that have spreads of their own, spreads are (P, G). Effects and spreads are on the link scale for
    the *scaled* signal; what is reported is for raw reward units.
    """

    problem: Problem
    designs: Mapping[str, DesignMatrix]
    """By label of the scalar parameter."""
    prior: Prior

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the P scalar parameters; slopes within subjects come last."""
        return tuple(self.designs)

    @cached_property
    def terms(self) -> tuple[tuple[str, str], ...]:
        """(parameter, coefficient) of the T effects."""
        return tuple((label, name) for label, design in self.designs.items() for name in design.names)

    @property
    def term_names(self) -> list[str]:
        """Names of the effects: ``alpha: Intercept``."""
        return [f"{label}: {name}" for label, name in self.terms]

    @cached_property
    def coefficients(self) -> tuple[str, ...]:
        """Names of all coefficients, each once."""
        return tuple(dict.fromkeys(name for _, name in self.terms))

    @cached_property
    def design(self) -> FloatArray:
        """(S, T): columns of all design matrices."""
        return np.ascontiguousarray(np.concatenate([d.matrix for d in self.designs.values()], axis=1))

    @cached_property
    def owner(self) -> npt.NDArray[np.int64]:
        """(T,): the parameter of each effect."""
        return np.array([self.labels.index(label) for label, _ in self.terms], dtype=np.int64)

    @cached_property
    def effects_prior(self) -> tuple[FloatArray, FloatArray]:
        """Locs and scales (T,) of the effects."""
        pairs = [self.prior.mu(label)[1:] for label in self.labels]
        return np.concatenate([loc for loc, _ in pairs]), np.concatenate([scale for _, scale in pairs])

    @cached_property
    def slopes(self) -> dict[str, tuple[str, FloatArray]]:
        """Slopes within subjects: label -> the scalar's label and values in all sessions."""
        return slopes_of(self.designs)

    @cached_property
    def scalar(self) -> npt.NDArray[np.int64]:
        """(P,): which of the model's scalars each parameter is, or is a slope of."""
        own = self.problem.labels
        return np.array([own.index(self.slopes[x][0] if x in self.slopes else x) for x in self.labels])

    @property
    def slope_variables(self) -> list[tuple[str, tuple[str, ...], list[tuple[int, float]]]]:
        """Slopes as fits report them: name, dims, and for each column the parameter and its factor to raw units.

        A slope is on the link scale: a difference of logits or logarithms has no unit.
        """
        columns: dict[str, list[tuple[int, float]]] = {}
        dims: dict[str, tuple[str, ...]] = {}
        for k, label in enumerate(self.labels):
            if label not in self.slopes:
                continue
            of = self.slopes[label][0]
            _, parameter, arm = self.problem.scalars[self.scalar[k]]
            name = f"{parameter.name}{label.removeprefix(of)}"
            factor = self.problem.raw_factor()[self.scalar[k]] if self.links[k] == "identity" else 1.0
            if parameter.kind == "bias" and name not in columns:
                columns[name] = [(k, 0.0)]  # that of the first arm is 0
            columns.setdefault(name, []).append((k, float(factor)))
            dims[name] = ("subject",) if arm is None else ("subject", "arm")
        return [(name, dims[name], found) for name, found in columns.items()]

    @property
    def links(self) -> tuple[str, ...]:
        """Links of the P parameters; a slope is on the link scale of its scalar."""
        return tuple(self.problem.links[k] for k in self.scalar)

    @property
    def groups(self) -> Groups:
        """Whose spreads differ."""
        return next(iter(self.designs.values())).groups

    @cached_property
    def spread_prior(self) -> tuple[FloatArray, FloatArray]:
        """Locs and scales of the log standard deviations: (P,), with groups (P, G)."""
        groups = self.prior.groups
        pairs = np.array(
            [[self.prior.log_sigma(label, group) for group in groups or ("",)] for label in self.labels]
        )
        pairs = pairs if groups else pairs[:, 0]
        return pairs[..., 0].copy(), pairs[..., 1].copy()

    @property
    def spread_dims(self) -> tuple[str, ...]:
        """Dims of the spreads."""
        return ("parameter", "group") if self.prior.groups else ("parameter",)

    @property
    def is_correlated(self) -> bool:
        """Whether the parameters of a subject are correlated."""
        return self.prior.lkj is not None and len(self.labels) > 1

    @property
    def pairs(self) -> list[str]:
        """Names of the pairs of parameters, in the order of partial correlations."""
        return [f"{one}, {other}" for i, one in enumerate(self.labels) for other in self.labels[:i]]

    @property
    def partial_shapes(self) -> FloatArray:
        """Parameters (K,) of the beta distributions of the partial correlations, mapped to (0, 1)."""
        return lkj_shapes(len(self.labels), self.prior.lkj or 1.0)

    def sigma_of_subjects(self, log_sigma: FloatArray) -> FloatArray:
        """Standard deviations (..., S, P) for log standard deviations (..., P) or (..., P, G)."""
        sigma = np.exp(log_sigma)
        if not self.prior.groups:
            return np.broadcast_to(
                sigma[..., None, :], (*sigma.shape[:-1], self.problem.n_subjects, sigma.shape[-1])
            )
        return np.swapaxes(sigma, -1, -2)[..., self.groups.of_subject, :]

    def mean(self, effects: FloatArray) -> FloatArray:
        """Population mean (..., S, P) of each subject for effects (..., T)."""
        indicator = np.eye(len(self.labels))[self.owner]
        return np.einsum("st,...t,tp->...sp", self.design, effects, indicator)

    @cached_property
    def raw(self) -> RawUnits:
        """How effects and spreads on the scaled signal become those in raw reward units."""
        return RawUnits.of(self)

    def to_dataset(
        self, effects: FloatArray, log_sigma: FloatArray, partial: FloatArray | None = None
    ) -> xr.Dataset:
        """The group ``population`` of a fit from draws, leading dims (chain, draw).

        Of effects (T,), log standard deviations (P,) or (P, G), and partial correlations in (0, 1), (K,).
        """
        omega = None if partial is None else correlations(partial)
        median, mean = natural_cells(self, effects, np.exp(log_sigma), omega)
        draws = ("chain", "draw")
        variables = {
            "mu": ((*draws, "parameter", "coefficient"), self.raw.mu(effects), {"scale": "link"}),
            "sigma": ((*draws, *self.spread_dims), self.raw.sigma(log_sigma), self._spread_attrs()),
            "mean": ((*draws, "parameter", "cell"), mean, {"scale": "natural"}),
            "median": ((*draws, "parameter", "cell"), median, {"scale": "natural"}),
        }
        coords = {
            "chain": np.arange(effects.shape[0]),
            "draw": np.arange(effects.shape[1]),
            "parameter": np.array(self.labels, dtype=object),
            "coefficient": np.array(self.coefficients, dtype=object),
            "cell": np.array(next(iter(self.designs.values())).cells, dtype=object),
        }
        if self.prior.groups:
            coords["group"] = np.array(self.groups.names, dtype=object)
        if omega is not None:
            dims = (*draws, "parameter", "parameter_2")
            variables["correlation"] = (dims, omega, {"scale": "link"})
            coords["parameter_2"] = coords["parameter"]
        return xr.Dataset(variables, coords=coords, attrs={SLOPES: json.dumps(list(self.slopes))})

    def _spread_attrs(self) -> dict[str, str]:
        groups = {"spread_by": str(self.prior.spread_by)} if self.prior.groups else {}
        return {"scale": "link", **groups}


def correlations(partial: FloatArray) -> FloatArray:
    """Correlation matrices (..., P, P) from partial correlations in (0, 1), (..., K)."""
    flat = partial.reshape(-1, partial.shape[-1])
    factors = [np.linalg.inv(correlation_root(2 * one - 1)) for one in flat]
    found = np.stack([factor @ factor.T for factor in factors])
    return found.reshape(*partial.shape[:-1], *found.shape[1:])


@dataclass(frozen=True)
class RawUnits:
    """Rewards in raw units are `reward_scale` times the scaled signal; a weight is per reward, so it shrinks.

    On the log link that is a shift of what is a level; on the identity link a factor; rates have no unit.
    """

    row: npt.NDArray[np.int64]
    """(T,) position of an effect's parameter ..."""
    column: npt.NDArray[np.int64]
    """(T,) ... and of its coefficient in ``mu``."""
    shape: tuple[int, int]
    """Parameters and coefficients of ``mu``."""
    shift: FloatArray
    """(T,)"""
    factor: FloatArray
    """(T,)"""
    sigma_factor: FloatArray
    """(P,), with groups (P, 1)"""

    @classmethod
    def of(cls, population: Population) -> RawUnits:
        """For a population, from the links and units of its parameters."""
        owner, link = population.owner, np.array(population.links)
        size = population.problem.raw_factor()[population.scalar]
        is_level = np.concatenate([design.is_level for design in population.designs.values()])
        factor = np.where(link == "identity", size, 1.0)
        column = [population.coefficients.index(name) for _, name in population.terms]
        return cls(
            row=owner,
            column=np.array(column, dtype=np.int64),
            shape=(len(population.labels), len(population.coefficients)),
            shift=np.where((link == "log")[owner] & is_level, np.log(size)[owner], 0.0),
            factor=factor[owner],
            sigma_factor=factor[:, None] if population.prior.groups else factor,
        )

    def mu(self, effects: FloatArray) -> FloatArray:
        """Effects (..., T) as (..., parameter, coefficient), NaN where a parameter has no such coefficient."""
        table = np.full((*effects.shape[:-1], *self.shape), np.nan)
        table[..., self.row, self.column] = self.factor * effects + self.shift
        return table

    def sigma(self, log_sigma: FloatArray) -> FloatArray:
        """Standard deviations (..., P) or (..., P, G) on the link scale."""
        return self.sigma_factor * np.exp(log_sigma)
