"""Terms of formulas as columns, split into what is constant within subjects and what varies by session."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hierrl.formulas.covariates import Covariates
from hierrl.formulas.reading import INTERCEPT, components_of

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Slope:
    """How a scalar changes from session to session: by the slope times these values."""

    of: str
    """Label of the scalar."""
    session_values: FloatArray
    """(sessions of all subjects,)"""
    cell_values: FloatArray
    """(cells,)"""


@dataclass(frozen=True)
class Part:
    """One term as far as it belongs to a parameter, or to one slope."""

    names: tuple[str, ...]
    """(K,) of the coefficients."""
    matrix: FloatArray
    """(S, K)"""
    cell_matrix: FloatArray
    """(cells, K)"""
    spans_constant: bool
    centres: dict[str, float]
    slope: Slope | None = None


def split(
    text: str, term: Any, covariates: Covariates, cell_frame: pd.DataFrame
) -> Iterator[tuple[str, Part]]:
    """A term as one part, named ``""``, or as one for each slope that it makes."""
    components = components_of(term)
    within = [c for c in components if c.var_names & covariates.by_session]
    between = [c for c in components if not c.var_names & covariates.by_session]
    if any(c.kind == "categoric" and c.spans_intercept for c in within):
        names = " and ".join(sorted(name for c in within for name in c.var_names & covariates.by_session))
        raise ValueError(
            f"The formula {text!r} has no reference session: every level of {names} has a coefficient. A parameter "
            f"is that of the reference session, and {names} a difference from there: write '1 + {names}', and "
            f"'<covariate> * {names}' for an interaction."
        )
    centres: dict[str, float] = {}
    matrix, cell_matrix, names = _columns(between, covariates.first, cell_frame, centres)
    rows = np.arange(covariates.owner.size)
    values, cell_values, slopes = _columns(within, rows, cell_frame, centres)
    # The intercept has no components.
    spans_constant = all(c.kind == "categoric" and c.spans_intercept for c in between)
    part = Part(names, matrix, cell_matrix, spans_constant, centres)
    if not within:
        yield "", part
    for k, name in enumerate(slopes if within else ()):
        yield name, replace(part, slope=Slope("", values[:, k], cell_values[:, k]))


def _columns(
    components: list[Any], rows: IntArray, cell_frame: pd.DataFrame, centres: dict[str, float]
) -> tuple[FloatArray, FloatArray, tuple[str, ...]]:
    """Columns of a product in some rows and in the cells, numbers centred there, and their names."""
    at_rows, at_cells, names = np.ones((rows.size, 1)), np.ones((len(cell_frame), 1)), [""]
    for component in components:
        with np.errstate(all="ignore"):
            values, in_cells = _as_columns(component.value), _as_columns(component.eval_new_data(cell_frame))
            values = values[rows]
            if component.kind == "numeric":
                centre = values.mean(axis=0)
                centres |= dict(zip(component.labels, centre.tolist(), strict=True))
                values, in_cells = values - centre, in_cells - centre
            at_rows, at_cells = _rowwise_product(at_rows, values), _rowwise_product(at_cells, in_cells)
        names = [f"{one}:{label}" if one else label for one in names for label in component.labels]
    return at_rows, at_cells, tuple(name or INTERCEPT for name in names)


def _as_columns(values: npt.ArrayLike) -> FloatArray:
    values = np.asarray(values, dtype=np.float64)
    return values[:, None] if values.ndim == 1 else values


def _rowwise_product(left: FloatArray, right: FloatArray) -> FloatArray:
    return (left[:, :, None] * right[:, None, :]).reshape(left.shape[0], -1)
