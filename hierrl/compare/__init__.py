"""Estimators of one model compared, and models of the same choices.

``refit`` repeats a fit on other scored trials · ``scores`` are log predictive densities by trial ·
``estimates`` brings fits to one scale · ``comparison`` is what comes out of `compare`, ``tables`` computes its tables.

Models: ``units`` are what is scored together · ``leave_out`` leaves trials out, ``integrated`` sessions, subjects and
the future, with the subject integrated out · ``point_evidence`` has the criteria of point fits · ``refitted`` what
takes refits · ``criteria`` brings them together · ``random_effects`` are model frequencies · ``model_comparison`` is
what comes out, ``model_tables`` computes its tables."""

from hierrl.compare.comparison import Comparison
from hierrl.compare.estimators import compare
from hierrl.compare.model_comparison import ModelComparison
from hierrl.compare.models import compare_models
from hierrl.compare.random_effects import RandomEffects, random_effects

__all__ = [
    "Comparison",
    "ModelComparison",
    "RandomEffects",
    "compare",
    "compare_models",
    "random_effects",
]
