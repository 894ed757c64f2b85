"""Formulas become design matrices by subject: how population means depend on covariates."""

from hierrl.formulas.design import DesignMatrix, design_matrices
from hierrl.formulas.reading import Formula, by_parameter

__all__ = ["DesignMatrix", "Formula", "by_parameter", "design_matrices"]
