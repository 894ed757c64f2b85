"""Contrasts: how groups and sessions differ in a parameter, according to a posterior."""

from hierrl.contrast.between import contrast, population_of
from hierrl.contrast.intervals import equal_tailed, highest_density, interval_of

__all__ = ["contrast", "equal_tailed", "highest_density", "interval_of", "population_of"]
