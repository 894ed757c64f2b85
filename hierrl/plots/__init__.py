"""Plots for papers: matplotlib, one look, figures that are returned and can be changed.

``style`` is the look, ``axes`` the scales of parameters, ``groups`` the colours of groups · ``calibration``,
``checks``, ``comparison``, ``confusion``, ``estimates``, ``kernel``, ``population``, ``power``, ``recovery``,
``sensitivity`` and ``subject`` draw. Nothing else in the package imports matplotlib, and nothing here pyplot.
"""

from hierrl.plots.calibration import plot_calibration
from hierrl.plots.checks import plot_predictive_check
from hierrl.plots.comparison import plot_comparison
from hierrl.plots.confusion import plot_confusion
from hierrl.plots.estimates import plot_estimates
from hierrl.plots.kernel import plot_kernel
from hierrl.plots.population import plot_population
from hierrl.plots.power import plot_power
from hierrl.plots.recovery import plot_recovery
from hierrl.plots.sensitivity import plot_prior_sensitivity
from hierrl.plots.subject import plot_subject

__all__ = [
    "plot_calibration",
    "plot_comparison",
    "plot_confusion",
    "plot_estimates",
    "plot_kernel",
    "plot_population",
    "plot_power",
    "plot_predictive_check",
    "plot_prior_sensitivity",
    "plot_recovery",
    "plot_subject",
]
