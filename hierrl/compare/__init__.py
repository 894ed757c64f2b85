"""Estimators of one model compared: estimates, populations, held-out scores, time.

``refit`` repeats a fit on other scored trials · ``scores`` are log predictive densities by trial ·
``estimates`` brings fits to one scale · ``comparison`` is what comes out, ``tables`` computes its tables."""

from hierrl.compare.comparison import Comparison
from hierrl.compare.estimators import compare

__all__ = ["Comparison", "compare"]
