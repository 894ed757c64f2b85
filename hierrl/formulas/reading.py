"""Reading formulas: the grammar is that of the package formulae, right-hand sides in R's style."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping
from typing import Any

import formulae
import numpy as np
import pandas as pd
from formulae.categorical import ENCODINGS
from formulae.environment import Environment
from formulae.matrices import DesignMatrices

from hierrl.data.table import nearest
from hierrl.models.model import Model

Formula = str | Mapping[str, str] | None

INTERCEPT = "Intercept"

# What a formula may call besides formulae's own functions (center, scale, C, I, poly, bs ...).
NAMESPACE = {"np": np}


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


def parse(text: str) -> Any:
    """formulae's description of a right-hand side."""
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


def covariates_of(description: Any) -> list[str]:
    """Names of the covariates in the order of the terms."""
    names = [name for term in description.common_terms for name in sorted(term.var_names)]
    # In a call, formulae takes encodings (C(group, Sum)) for variables and gives literals the name "".
    return [name for name in names if name and name not in ENCODINGS]


def evaluate(text: str, frame: pd.DataFrame) -> list[Any]:
    """Terms of a formula with their values in the rows of `frame`."""
    # Without any covariate the table still needs a column to have rows.
    table = frame.assign(**{"": np.zeros(len(frame))}) if frame.empty else frame
    try:
        # formulae prints before it raises; values that aren't finite are found in the design.
        with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
            common = DesignMatrices(formulae.model_description(text), table, Environment([NAMESPACE])).common
    except Exception as error:
        raise ValueError(f"The formula {text!r} can't be evaluated: {error}") from error
    terms = [] if common is None else list(common.terms.values())
    for term in terms:
        for component in components_of(term):
            if component.kind not in ("numeric", "categoric"):
                raise ValueError(f"The formula {text!r} uses {component.name}: a population mean can't.")
    return terms


def components_of(term: Any) -> list[Any]:
    """What a term is a product of; nothing for the intercept."""
    return getattr(term, "components", [])


def factors_of(terms: list[Any], frame: pd.DataFrame) -> Iterator[str]:
    """Names of the covariates that a formula takes as categorical."""
    components = (component for term in terms for component in components_of(term))
    for component in (component for component in components if component.kind == "categoric"):
        names = sorted(component.var_names & set(frame))
        if len(names) != 1 or len(component.levels) != frame[names[0]].nunique():
            raise ValueError(
                f"The formula makes categories with {component.name}. Make them a column of the table "
                "instead, so that population means can be given for each: hr.behaviour(..., "
                "covariates=[...])."
            )
        yield names[0]
