"""Design matrices: formulas evaluated on the covariates of subjects and sessions.

Two things are ours. Numeric covariates and what is computed from them are centred at their mean over subjects (over
sessions where they vary by session), also inside interactions: ``Intercept`` is then the population mean at average
covariates, contrasts hold there, slopes stay in units of the covariate. And all formulas are evaluated on the same
*cells*, the combinations of all categorical covariates, so that population means line up.

A term with a covariate that varies by session splits into what is constant within subjects and what isn't. The latter
(``drug[on]``) becomes a slope that each subject has of its own, with the label ``alpha:drug[on]``; the former is the
design of that slope's population mean: ``1 + group * drug`` gives it ``Intercept`` and ``group[young]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from hierrl.formulas.cells import EVERYBODY, cells_of, levels_in
from hierrl.formulas.covariates import Covariates, covariate_rows
from hierrl.formulas.parts import Part, Slope, split
from hierrl.formulas.reading import Formula, by_parameter, covariates_of, evaluate, factors_of, parse
from hierrl.models.model import Model

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

ROUNDING = 1e-6
"""Shares of a column below this are rounding errors."""


@dataclass(frozen=True)
class Groups:
    """Groups of subjects that may have spreads of their own."""

    names: tuple[str, ...]
    """(G,); ``"all"`` where all subjects share one spread."""
    of_subject: IntArray
    """(S,)"""
    of_cell: IntArray
    """(cells,)"""


@dataclass(frozen=True)
class DesignMatrix:
    """What the population mean of one scalar parameter (or slope) is made of: K coefficients, S subjects.

    The mean of subject s on the link scale is ``matrix[s] @ coefficients``.
    """

    formula: str
    """The right-hand side, such as ``"1 + age_group"``."""
    names: tuple[str, ...]
    """(K,) names of the coefficients: ``Intercept``, ``group[young]``, ``age``, ``group[young]:age``."""
    matrix: FloatArray
    """(S, K), subjects in the order of the behaviour."""
    is_level: tuple[bool, ...]
    """(K,) whether a coefficient is the mean of some subjects (an intercept), not a slope or contrast."""
    sizes: FloatArray
    """(K,) typical size of a column where it isn't 0: 1 for a group, a standard deviation for a number."""
    centres: Mapping[str, float]
    """What was subtracted from numeric columns, by their name (``age``, ``np.log(age)``)."""
    cells: tuple[str, ...]
    """Combinations of the categorical covariates of all formulas, such as ``"group=old"``; else ``"all"``."""
    cell_matrix: FloatArray
    """(cells, K): rows of the design in each cell, at the mean of the numeric covariates."""
    groups: Groups
    """Whose spreads differ; the same for all parameters."""
    slope: Slope | None = None
    """What makes this a slope within subjects; None for a scalar itself."""

    def mean(self, coefficients: npt.ArrayLike) -> FloatArray:
        """Population mean (..., S) of each subject for coefficients (..., K)."""
        return np.asarray(coefficients, dtype=np.float64) @ self.matrix.T


def design_matrices(
    model: Model, data: xr.Dataset, formula: Formula = None, *, spread_by: str | None = None
) -> dict[str, DesignMatrix]:
    """The design matrix of every free scalar of a model, and of its slopes within subjects.

    Parameters
    ----------
    model : Model
    data : Dataset
        Behaviour; covariates are its variables on dim ``subject``, and those by trial that vary by session.
    formula : str or mapping of str to str, optional
        Parameter name -> right-hand side, such as ``{"alpha": "1 + age_group * iq"}``; a bare string holds
        for all parameters, and a parameter that isn't named gets ``"1"``. What is given for a parameter per
        arm holds for each arm.
    spread_by : str, optional
        A categorical covariate by subject whose groups have spreads of their own.

    Returns
    -------
    dict of str to DesignMatrix
        By label of the scalar (``alpha``, ``alpha[<arm>]``), in the order of the model; then slopes by theirs
        (``alpha:drug[on]``).

    Raises
    ------
    ValueError
        If a covariate doesn't exist, varies by trial, is missing for somebody or is constant; if the
        coefficients can't be told apart; if a formula has no intercept, a response, an offset or a
        group-specific term.
    """
    formulas = by_parameter(model, formula)
    parsed = {text: parse(text) for text in dict.fromkeys(formulas.values())}
    names = dict.fromkeys(name for description in parsed.values() for name in covariates_of(description))
    covariates = covariate_rows(data, dict.fromkeys([*names, *([spread_by] if spread_by else [])]))
    evaluated = {text: evaluate(text, covariates.frame) for text in parsed}
    factors = dict.fromkeys(
        name for terms in evaluated.values() for name in factors_of(terms, covariates.frame)
    )
    cells = cells_of(covariates.frame, dict.fromkeys([*factors, *([spread_by] if spread_by else [])]))
    groups = _groups(covariates, cells[1], spread_by)
    designs = {
        text: _designs(text, terms, covariates, cells=cells, groups=groups)
        for text, terms in evaluated.items()
    }
    scalars = model.scalars(list(data["arm"].values))
    own = {label: designs[formulas[parameter.name]] for label, parameter, _ in scalars}
    slopes = {
        f"{label}:{name}": replace(design, slope=replace(design.slope, of=label))
        for label, found in own.items()
        for name, design in found.items()
        if design.slope is not None
    }
    return {label: found[""] for label, found in own.items()} | slopes


def slopes_of(designs: Mapping[str, DesignMatrix]) -> dict[str, tuple[str, FloatArray]]:
    """Slopes within subjects: label -> the scalar's label and values in all sessions."""
    return {
        label: (design.slope.of, design.slope.session_values)
        for label, design in designs.items()
        if design.slope
    }


def _groups(covariates: Covariates, cell_frame: pd.DataFrame, spread_by: str | None) -> Groups:
    if spread_by is None:
        everybody, everywhere = np.zeros(covariates.first.size), np.zeros(len(cell_frame))
        return Groups((EVERYBODY,), everybody.astype(np.int64), everywhere.astype(np.int64))
    column = cast("pd.Series", covariates.frame[spread_by])  # names of columns are unique
    if spread_by in covariates.by_session or not isinstance(column.dtype, pd.CategoricalDtype):
        raise ValueError(
            f"spread_by={spread_by!r} must be a categorical covariate (text or flags) that is constant within "
            "subjects: its groups get spreads of their own."
        )
    of_row, of_cell = (
        values.cat.codes.to_numpy(dtype=np.int64) for values in (column, cell_frame[spread_by])
    )
    return Groups(tuple(levels_in(column)), of_row[covariates.first], of_cell)


def _designs(
    text: str,
    terms: list[Any],
    covariates: Covariates,
    *,
    cells: tuple[tuple[str, ...], pd.DataFrame],
    groups: Groups,
) -> dict[str, DesignMatrix]:
    """The design of a parameter itself (``""``) and those of its slopes within subjects, by their names."""
    parts: dict[str, list[Part]] = {"": []}
    for term in terms:
        for name, part in split(text, term, covariates, cells[1]):
            parts.setdefault(name, []).append(part)
    if not any(part.spans_constant for part in parts[""]):
        raise ValueError(
            f"The formula {text!r} has no intercept: the population would have mean 0 on the link scale. "
            "Start it with '1 +'; '0 + group' also works with a categorical covariate of the subjects."
        )
    return {name: _design(text, found, cells[0], groups) for name, found in parts.items()}


def _design(text: str, parts: list[Part], cells: tuple[str, ...], groups: Groups) -> DesignMatrix:
    """The parts of a parameter, or of a slope, side by side."""
    matrix = np.concatenate([part.matrix for part in parts], axis=1)
    slope = parts[0].slope
    design = DesignMatrix(
        formula=text,
        names=tuple(name for part in parts for name in part.names),
        matrix=matrix,
        is_level=tuple(part.spans_constant and slope is None for part in parts for _ in part.names),
        sizes=typical_size(matrix),
        centres=reduce(lambda one, other: one | other, [part.centres for part in parts]),
        cells=cells,
        cell_matrix=np.concatenate([part.cell_matrix for part in parts], axis=1),
        groups=groups,
        slope=slope,
    )
    _check(design)
    return design


def typical_size(matrix: FloatArray) -> FloatArray:
    """Root mean square (K,) of each column of a matrix (n, K) over the rows to which it applies."""
    used = np.maximum((matrix != 0).sum(axis=0), 1)
    sizes = np.sqrt((matrix**2).sum(axis=0) / used)
    return np.where(sizes > 0, sizes, 1.0)


def _check(design: DesignMatrix) -> None:
    finite = np.isfinite(design.matrix)
    if not (finite.all() and (design.slope is None or np.isfinite(design.slope.session_values).all())):
        column = int(np.flatnonzero(~finite.all(axis=0))[0]) if not finite.all() else 0
        raise ValueError(
            f"The formula {design.formula!r} gives values of {design.names[column]} that aren't finite. "
            "Is the function defined for all values of the covariate?"
        )
    scaled = design.matrix / design.sizes
    if np.linalg.matrix_rank(scaled) < len(design.names):
        raise ValueError(
            f"The formula {design.formula!r} has {len(design.names)} coefficients "
            f"({', '.join(design.names)}), and {len(scaled)} subjects can't tell them apart: "
            f"{_culprits(scaled, design.names)}. Leave a term out; a combination of groups needs at least "
            "one subject."
        )


def _culprits(matrix: FloatArray, names: tuple[str, ...]) -> str:
    """Columns that take part in a combination which is zero for every subject."""
    null = np.linalg.svd(matrix, full_matrices=True)[2][np.linalg.matrix_rank(matrix) :]
    involved = [name for name, share in zip(names, np.abs(null).max(axis=0), strict=True) if share > ROUNDING]
    if len(involved) == 1:
        return f"{involved[0]} is 0 for everybody"
    return f"{', '.join(involved)} are linearly dependent"
