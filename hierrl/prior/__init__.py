"""Priors of a population: weakly informative ones, and ones whose centre comes from the data."""

from hierrl.prior.empirical import empirical_prior
from hierrl.prior.terms import Prior, PriorTerm
from hierrl.prior.weak import weak_prior

__all__ = ["Prior", "PriorTerm", "empirical_prior", "weak_prior"]
