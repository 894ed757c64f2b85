"""Formulas become design matrices by subject: how population means depend on covariates."""

from hierrl.formulas.design import DesignMatrix, Formula, by_parameter, design_matrices

__all__ = ["DesignMatrix", "Formula", "by_parameter", "design_matrices"]
