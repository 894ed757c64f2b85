"""Is a posterior right? Simulation-based calibration: truths from the prior, ranked among the draws of their fit.

``ranks`` places truths among draws · ``replicate`` simulates and fits one study · ``calibrate`` runs them and gives the
result · ``judge`` holds ranks against uniform ones and intervals against what they promise.
"""

from hierrl.calibration.calibrate import calibrate
from hierrl.calibration.judge import coverage_of, ecdf_band

__all__ = ["calibrate", "coverage_of", "ecdf_band"]
