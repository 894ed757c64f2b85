"""Hierarchical reinforcement-learning models of choice data.

``import hierrl as hr`` is the whole entry: every public name hangs on the package and is loaded with its
module when it is first asked for (PEP 562), so that the import itself costs nothing. What type checkers and
editors see stands in ``__init__.pyi``.
"""

import sys
from importlib import import_module
from types import ModuleType

__version__ = "0.1.0.dev0"

# Module of the package -> the public names it gives. A name and its module may be spelled alike.
_PUBLIC = {
    "data": (
        "behaviour",
        "from_arrays",
        "from_cpm",
        "from_hbayesdm",
        "from_hssm",
        "from_rlfit",
        "split",
        "to_table",
    ),
    "models": ("Channel", "Model", "Recursion", "Regressor", "model", "models"),
    "fits": ("load",),
    "convex": ("fit_convex",),
    "mle": ("fit_mle",),
    "prior": ("Prior", "empirical_prior", "weak_prior"),
    "posterior": ("fit_posterior", "prior_sensitivity", "pymc_model"),
    "latents": ("latents", "log_likelihood"),
    "latent_table": ("latent_table",),
    "compare": ("compare", "compare_models", "random_effects"),
    "identifiability": ("identifiability",),
    "contrast": ("contrast",),
    "simulate": ("Bandit", "Decks", "prior_predictive", "simulate"),
    "calibration": ("calibrate",),
    "checks": ("predictive_check",),
    "studies": ("confusion", "power", "recovery"),
    "describe": ("describe",),
    "plots": (
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
    ),
    "report": ("report",),
}
_HOME = {name: module for module, names in _PUBLIC.items() for name in names}

__all__ = ["__version__", *sorted(_HOME)]  # pyright: ignore[reportUnsupportedDunderAll]


class _Package(ModuleType):
    """A package whose public names stay what they are when a submodule of the same name is imported.

    Python binds a submodule to its package after importing it: ``hierrl.compare``, the function, would turn
    into the module of that name as soon as anybody imports the latter. Such a module isn't let in here, so
    that the lookup below answers. (``from hierrl.compare import ...`` is unaffected.)
    """

    def __setattr__(self, name, value):
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value  # the next access is an ordinary one
    return value


def __dir__():
    return __all__
