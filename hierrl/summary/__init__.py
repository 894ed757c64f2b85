"""What is told about data and fits: tables to save, and sentences to read.

``behaviour`` sums up a study and what is odd in it · ``subjects`` and ``population`` are the tables of
estimates · ``verdicts`` says in plain words what converged and what did not. The command line prints and
writes these.
"""

from hierrl.summary.behaviour import StudySummary, summarise
from hierrl.summary.population import population_table
from hierrl.summary.subjects import subject_table
from hierrl.summary.verdicts import Verdict, verdict_of

__all__ = ["StudySummary", "Verdict", "population_table", "subject_table", "summarise", "verdict_of"]
