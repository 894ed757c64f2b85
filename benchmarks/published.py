"""What Zhu et al. (arXiv 2511.04454) report: medians over 1,000 subjects of each experiment.

Divergence (nats), error of the rates and of the weights, milliseconds of the solver alone. Their *direct* fits
score the choice of a trial with the values of the trial before, so these are no maximum-likelihood estimates.
"""

from __future__ import annotations

from typing import NamedTuple

METHODS = {
    "relaxation": "relaxation",
    "recovery": "relaxation + recovery",
    "horizon 5": "horizon 5 + recovery",
    "direct": "direct (L-BFGS, 5 starts)",
    "mcmc": "MCMC (NumPyro)",
}


class Published(NamedTuple):
    """A line of their tables."""

    kl: float
    rate_error: float | None
    weight_error: float | None
    ms: float


PUBLISHED: dict[tuple[str, str], dict[str, Published]] = {
    ("basic", "2arm"): {
        "relaxation": Published(0.00576, None, None, 53),
        "recovery": Published(0.00426, 0.0947, 0.308, 66),
        "horizon 5": Published(0.00458, 0.1005, 0.378, 8.3),
        "direct": Published(0.00692, 0.1287, 0.371, 48),
        "mcmc": Published(0.00270, 0.0769, 0.241, 1366),
    },
    ("basic", "10arm"): {
        "relaxation": Published(0.00992, None, None, 74),
        "recovery": Published(0.00530, 0.0660, 0.718, 90),
        "horizon 5": Published(0.00736, 0.0738, 0.899, 28),
        "direct": Published(0.00919, 0.0848, 0.958, 61),
        "mcmc": Published(0.00232, 0.0456, 0.466, 2259),
    },
    ("per-arm", "2arm"): {
        "relaxation": Published(0.01377, None, None, 80),
        "recovery": Published(0.01155, 0.293, 1.06, 157),
        "horizon 5": Published(0.01196, 0.284, 1.02, 74),
        "direct": Published(0.01416, 0.381, 1.05, 143),
        "mcmc": Published(0.00615, 0.223, 0.637, 1811),
    },
    ("per-arm", "10arm"): {
        "relaxation": Published(0.0941, None, None, 171),
        "recovery": Published(0.0339, 1.16, 8.18, 343),
        "horizon 5": Published(0.0364, 1.08, 8.08, 237),
        "direct": Published(0.0338, 1.19, 6.65, 1425),
        "mcmc": Published(0.0113, 0.713, 4.21, 3828),
    },
    ("subvalue", "2arm"): {
        "relaxation": Published(0.0224, None, None, 186),
        "recovery": Published(0.0193, 0.731, 2.00, 301),
        "horizon 5": Published(0.0185, 0.731, 2.11, 87),
        "direct": Published(0.0166, 0.759, 2.01, 1040),
        "mcmc": Published(0.00860, 0.478, 1.18, 2967),
    },
    ("subvalue", "10arm"): {
        "relaxation": Published(0.0784, None, None, 283),
        "recovery": Published(0.0307, 2.26, 12.1, 456),
        "horizon 5": Published(0.0261, 2.21, 11.7, 198),
        "direct": Published(0.0240, 1.89, 9.24, 5942),
        "mcmc": Published(0.00907, 1.22, 6.25, 13040),
    },
}
