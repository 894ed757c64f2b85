"""The hierarchical posterior: a PyMC model with a fused likelihood, sampled with NUTS."""

from hierrl.posterior.model import pymc_model, trial_data
from hierrl.posterior.sample import fit_posterior

__all__ = ["fit_posterior", "pymc_model", "trial_data"]
