"""Predictive checks: does a fitted model behave as the subjects do?

``rows`` turns behaviour into arrays with the history of each choice · ``statistics`` measures it · ``replicates``
lets the model choose · ``judge`` holds what was observed against what the model does · ``result`` is what users get ·
``check`` puts it together (`predictive_check`).
"""

from hierrl.checks.check import predictive_check
from hierrl.checks.result import PredictiveCheck
from hierrl.checks.rows import Rows

__all__ = ["PredictiveCheck", "Rows", "predictive_check"]
