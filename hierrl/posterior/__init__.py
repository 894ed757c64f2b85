"""The hierarchical posterior: a PyMC model with a fused likelihood, sampled with NUTS."""

from hierrl.posterior.model import pymc_model, trial_data
from hierrl.posterior.sample import fit_posterior
from hierrl.posterior.sensitivity import prior_sensitivity

__all__ = ["fit_posterior", "prior_sensitivity", "pymc_model", "trial_data"]
