"""Formulas become design matrices by subject: how population means depend on covariates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.models.model import Model

FloatArray = npt.NDArray[np.float64]
Formula = str | Mapping[str, str] | None


@dataclass(frozen=True)
class DesignMatrix:
    """What the population mean of one scalar parameter is made of: K coefficients, S subjects.

    The mean of subject s on the link scale is ``matrix[s] @ coefficients``. Numeric covariates are centred at their
    mean over subjects, so that ``Intercept`` is the mean at average covariates (of the reference categories).
    """

    formula: str
    """The right-hand side, such as ``"1 + age_group"``."""
    names: tuple[str, ...]
    """(K,) names of the coefficients: ``Intercept``, ``age_group[young]``, ``age``, ``age:age_group[young]``."""
    matrix: FloatArray
    """(S, K), subjects in the order of the behaviour."""
    is_level: tuple[bool, ...]
    """(K,) whether a coefficient is the mean of some subjects (an intercept) and not a slope or contrast."""
    sizes: FloatArray
    """(K,) typical size of each column: 1 of a categorical one, the standard deviation of a numeric one."""
    centres: Mapping[str, float]
    """Means that numeric covariates were centred at."""
    cells: tuple[str, ...]
    """Combinations of the categorical covariates, such as ``"age_group=old"``; ``"all"`` without any."""
    cell_matrix: FloatArray
    """(cells, K): rows of the design in each cell, at the mean of the numeric covariates."""

    def mean(self, coefficients: npt.ArrayLike) -> FloatArray:
        """Population mean (..., S) of each subject for coefficients (..., K)."""
        return np.asarray(coefficients, dtype=np.float64) @ self.matrix.T


def design_matrices(model: Model, data: xr.Dataset, formula: Formula = None) -> dict[str, DesignMatrix]:
    """Design matrix of each free scalar of `model`, by its label; parameters that `formula` doesn't name get ``"1"``."""
    raise NotImplementedError
