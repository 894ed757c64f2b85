# What `hierrl/__init__.py` loads on first use, for type checkers and editors; a test holds the two together.
from hierrl.calibration import calibrate as calibrate
from hierrl.checks import predictive_check as predictive_check
from hierrl.compare import compare as compare
from hierrl.compare import compare_models as compare_models
from hierrl.compare import random_effects as random_effects
from hierrl.contrast import contrast as contrast
from hierrl.convex import fit_convex as fit_convex
from hierrl.data import behaviour as behaviour
from hierrl.data import from_arrays as from_arrays
from hierrl.data import from_cpm as from_cpm
from hierrl.data import from_hbayesdm as from_hbayesdm
from hierrl.data import from_hssm as from_hssm
from hierrl.data import from_rlfit as from_rlfit
from hierrl.data import split as split
from hierrl.data import to_table as to_table
from hierrl.describe import describe as describe
from hierrl.fits import load as load
from hierrl.identifiability import identifiability as identifiability
from hierrl.latent_table import latent_table as latent_table
from hierrl.latents import latents as latents
from hierrl.latents import log_likelihood as log_likelihood
from hierrl.mle import fit_mle as fit_mle
from hierrl.models import Channel as Channel
from hierrl.models import Model as Model
from hierrl.models import Recursion as Recursion
from hierrl.models import Regressor as Regressor
from hierrl.models import model as model
from hierrl.models import models as models
from hierrl.plots import plot_calibration as plot_calibration
from hierrl.plots import plot_comparison as plot_comparison
from hierrl.plots import plot_confusion as plot_confusion
from hierrl.plots import plot_estimates as plot_estimates
from hierrl.plots import plot_kernel as plot_kernel
from hierrl.plots import plot_population as plot_population
from hierrl.plots import plot_power as plot_power
from hierrl.plots import plot_predictive_check as plot_predictive_check
from hierrl.plots import plot_prior_sensitivity as plot_prior_sensitivity
from hierrl.plots import plot_recovery as plot_recovery
from hierrl.plots import plot_subject as plot_subject
from hierrl.posterior import fit_posterior as fit_posterior
from hierrl.posterior import prior_sensitivity as prior_sensitivity
from hierrl.posterior import pymc_model as pymc_model
from hierrl.prior import Prior as Prior
from hierrl.prior import empirical_prior as empirical_prior
from hierrl.prior import weak_prior as weak_prior
from hierrl.report import report as report
from hierrl.simulate import Bandit as Bandit
from hierrl.simulate import Decks as Decks
from hierrl.simulate import prior_predictive as prior_predictive
from hierrl.simulate import simulate as simulate
from hierrl.studies import confusion as confusion
from hierrl.studies import power as power
from hierrl.studies import recovery as recovery

__version__: str
__all__: list[str]
_PUBLIC: dict[str, tuple[str, ...]]  # module -> names
_HOME: dict[str, str]  # name -> module
