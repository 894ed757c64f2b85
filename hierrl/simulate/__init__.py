"""Simulated behaviour: a model with known parameters plays a task.

``schedule`` says what a task holds ready for each trial · ``bandit`` draws schedules from a description
(``description`` checks it), ``decks`` from decks of cards ·
``recorded`` takes them from data · ``run`` plays them (`simulate`) and finds the truth again (`truth_of`) ·
``prior`` draws subjects from a prior, ``predictive`` many studies (`prior_predictive`).
"""

from hierrl.simulate.bandit import Bandit
from hierrl.simulate.decks import Decks
from hierrl.simulate.predictive import prior_predictive
from hierrl.simulate.recorded import Recorded
from hierrl.simulate.run import Task, simulate, truth_of

__all__ = ["Bandit", "Decks", "Recorded", "Task", "prior_predictive", "simulate", "truth_of"]
