"""Design matrices: formulas evaluated on the covariates of the subjects.

The grammar is that of the package formulae (right-hand sides in R's style). Two things are ours. Numeric
covariates and what is computed from them are centred at their mean over subjects, also inside interactions:
``Intercept`` is then the population mean at average covariates, contrasts hold there, slopes stay in units of
the covariate. And all formulas are evaluated on the same *cells*, the combinations of all categorical
covariates, so that population means line up.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from itertools import product
from typing import Any

import formulae
import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from formulae.categorical import ENCODINGS
from formulae.environment import Environment
from formulae.matrices import DesignMatrices

from hierrl.data.table import nearest
from hierrl.formulas.covariates import subject_frame
from hierrl.models.model import Model

FloatArray = npt.NDArray[np.float64]
Formula = str | Mapping[str, str] | None

INTERCEPT = "Intercept"
EVERYBODY = "all"
"""The one cell of a population without categorical covariates."""

ROUNDING = 1e-6
"""Shares of a column below this are rounding errors."""

# What a formula may call besides formulae's own functions (center, scale, C, I, poly, bs ...).
NAMESPACE = {"np": np}


@dataclass(frozen=True)
class DesignMatrix:
    """What the population mean of one scalar parameter is made of: K coefficients, S subjects.

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

    def mean(self, coefficients: npt.ArrayLike) -> FloatArray:
        """Population mean (..., S) of each subject for coefficients (..., K)."""
        return np.asarray(coefficients, dtype=np.float64) @ self.matrix.T


def by_parameter(model: Model, formula: Formula = None) -> dict[str, str]:
    """The right-hand side of every parameter; a bare string applies to all, ``"1"`` where none is given."""
    given = dict.fromkeys(model.names, formula) if isinstance(formula, str) else dict(formula or {})
    for name, text in given.items():
        if name not in model.names:
            raise ValueError(
                f"formula= names {name!r}, which isn't a parameter of this model."
                f"{nearest(name, model.names)} Its parameters are {', '.join(model.names)}."
            )
        if not isinstance(text, str):
            raise TypeError(f"The formula of {name!r} must be text such as '1 + age_group'; found {text!r}.")
    return {name: given.get(name, "1").strip().removeprefix("~").strip() for name in model.names}


def design_matrices(model: Model, data: xr.Dataset, formula: Formula = None) -> dict[str, DesignMatrix]:
    """The design matrix of every free scalar of a model.

    Parameters
    ----------
    model : Model
    data : Dataset
        Behaviour; covariates are its variables on dim ``subject``.
    formula : str or mapping of str to str, optional
        Parameter name -> right-hand side, such as ``{"alpha": "1 + age_group * iq"}``; a bare string holds
        for all parameters, and a parameter that isn't named gets ``"1"``. What is given for a parameter per
        arm holds for each arm.

    Returns
    -------
    dict of str to DesignMatrix
        By label of the scalar (``alpha``, ``alpha[<arm>]``), in the order of the model.

    Raises
    ------
    ValueError
        If a covariate doesn't exist, isn't by subject, is missing for somebody or is constant; if the
        coefficients can't be told apart; if a formula has no intercept, a response, an offset or a
        group-specific term.
    """
    formulas = by_parameter(model, formula)
    parsed = {text: _parse(text) for text in dict.fromkeys(formulas.values())}
    covariates = dict.fromkeys(name for description in parsed.values() for name in _covariates(description))
    frame = subject_frame(data, covariates)
    evaluated = {text: _evaluate(text, frame, data.sizes["subject"]) for text in parsed}
    factors = dict.fromkeys(name for terms in evaluated.values() for name in _factors(terms, frame))
    cells, cell_frame = _cells(frame, factors)
    designs = {text: _design(text, terms, cells, cell_frame, data) for text, terms in evaluated.items()}
    scalars = model.scalars(list(data["arm"].values))
    return {label: designs[formulas[parameter.name]] for label, parameter, _ in scalars}


def _parse(text: str) -> Any:
    try:
        description = formulae.model_description(text)
    except Exception as error:
        raise ValueError(
            f"The formula {text!r} can't be read ({error}). Write a right-hand side such as '1 + age_group'."
        ) from error
    if description.response is not None:
        raise ValueError(f"The formula {text!r} has a left-hand side; write {{'<parameter>': '1 + ...'}}.")
    if description.group_terms:
        raise ValueError(
            f"The formula {text!r} has a group-specific term ({description.group_terms[0].name}). "
            "Every subject has parameters of its own anyway: write the population mean only ('1 + "
            "age_group')."
        )
    return description


def _covariates(description: Any) -> list[str]:
    """Names of the covariates in the order of the terms."""
    names = [name for term in description.common_terms for name in sorted(term.var_names)]
    # In a call, formulae takes encodings (C(group, Sum)) for variables and gives literals the name "".
    return [name for name in names if name and name not in ENCODINGS]


def _evaluate(text: str, frame: pd.DataFrame, n_subjects: int) -> list[Any]:
    """Terms of a formula with their values."""
    # Without any covariate the table still needs a row for each subject.
    table = frame.assign(**{"": np.zeros(n_subjects)}) if frame.empty else frame
    try:
        # formulae prints before it raises; values that aren't finite are found in `_check`.
        with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
            common = DesignMatrices(formulae.model_description(text), table, Environment([NAMESPACE])).common
    except Exception as error:
        raise ValueError(f"The formula {text!r} can't be evaluated: {error}") from error
    terms = [] if common is None else list(common.terms.values())
    for term in terms:
        for component in _components(term):
            if component.kind not in ("numeric", "categoric"):
                raise ValueError(f"The formula {text!r} uses {component.name}: a population mean can't.")
    if not any(_spans_constant(term) for term in terms):
        raise ValueError(
            f"The formula {text!r} has no intercept: the population would have mean 0 on the link scale. "
            "Start it with '1 +'; '0 + group' also works with a categorical covariate."
        )
    return terms


def _components(term: Any) -> list[Any]:
    return getattr(term, "components", [])


def _spans_constant(term: Any) -> bool:
    # The intercept has no components.
    return all(c.kind == "categoric" and c.spans_intercept for c in _components(term))


def _factors(terms: list[Any], frame: pd.DataFrame) -> Iterator[str]:
    """Names of the covariates that a formula takes as categorical."""
    components = (component for term in terms for component in _components(term))
    for component in (component for component in components if component.kind == "categoric"):
        names = sorted(component.var_names & set(frame))
        if len(names) != 1 or len(component.levels) != frame[names[0]].nunique():
            raise ValueError(
                f"The formula makes categories with {component.name}. Make them a column of the table "
                "instead, so that population means can be given for each: hr.behaviour(..., "
                "covariates=[...])."
            )
        yield names[0]


def _cells(frame: pd.DataFrame, factors: Mapping[str, Any]) -> tuple[tuple[str, ...], pd.DataFrame]:
    """Labels of the cells, and covariates of an average subject in each."""
    levels = {name: _levels(pd.Series(frame[name])) for name in factors}
    rows = list(product(*levels.values()))
    labels = [", ".join(f"{name}={value}" for name, value in zip(levels, row, strict=True)) for row in rows]
    columns: dict[str, Any] = {"": np.zeros(len(rows))}
    for name in frame:
        if name not in levels:
            columns[name] = np.full(len(rows), frame[name].mean())
            continue
        values = [row[list(levels).index(name)] for row in rows]
        is_text = isinstance(frame[name].dtype, pd.CategoricalDtype)
        columns[name] = pd.Categorical(values, levels[name], ordered=True) if is_text else np.array(values)
    return tuple(labels) if levels else (EVERYBODY,), pd.DataFrame(columns)


def _levels(column: pd.Series) -> list[Any]:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return list(column.cat.categories)
    return [float(value) if value % 1 else int(value) for value in np.unique(column)]


def _design(
    text: str, terms: list[Any], cells: tuple[str, ...], cell_frame: pd.DataFrame, data: xr.Dataset
) -> DesignMatrix:
    centres: dict[str, float] = {}
    with np.errstate(all="ignore"):
        blocks = [_block(term, data.sizes["subject"], cell_frame, centres) for term in terms]
    names = tuple(label for term in terms for label in term.labels)
    matrix = np.concatenate([block for block, _ in blocks], axis=1)
    design = DesignMatrix(
        formula=text,
        names=names,
        matrix=matrix,
        is_level=tuple(_spans_constant(term) for term in terms for _ in term.labels),
        sizes=_sizes(matrix),
        centres=centres,
        cells=cells,
        cell_matrix=np.concatenate([block for _, block in blocks], axis=1),
    )
    _check(design)
    return design


def _block(
    term: Any, n_subjects: int, cell_frame: pd.DataFrame, centres: dict[str, float]
) -> tuple[FloatArray, FloatArray]:
    """Columns of one term for the subjects and for the cells, numeric components centred."""
    subjects, cells = [np.ones((n_subjects, 1))], [np.ones((len(cell_frame), 1))]
    for component in _components(term):
        values, at_cells = _columns(component.value), _columns(component.eval_new_data(cell_frame))
        if component.kind == "numeric":
            centre = values.mean(axis=0)
            centres |= dict(zip(component.labels, centre.tolist(), strict=True))
            values, at_cells = values - centre, at_cells - centre
        subjects.append(values)
        cells.append(at_cells)
    return reduce(_rowwise_product, subjects), reduce(_rowwise_product, cells)


def _columns(values: npt.ArrayLike) -> FloatArray:
    values = np.asarray(values, dtype=np.float64)
    return values[:, None] if values.ndim == 1 else values


def _rowwise_product(left: FloatArray, right: FloatArray) -> FloatArray:
    return (left[:, :, None] * right[:, None, :]).reshape(left.shape[0], -1)


def _sizes(matrix: FloatArray) -> FloatArray:
    """Root mean square (K,) of each column over the subjects to whom it applies."""
    used = np.maximum((matrix != 0).sum(axis=0), 1)
    sizes = np.sqrt((matrix**2).sum(axis=0) / used)
    return np.where(sizes > 0, sizes, 1.0)


def _check(design: DesignMatrix) -> None:
    finite = np.isfinite(design.matrix)
    if not finite.all():
        column = int(np.flatnonzero(~finite.all(axis=0))[0])
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
