"""Simulation studies of a design, before it costs subjects: what is found again, told apart, detected.

``designs`` makes data sets and joins them, ``truths`` says where true parameters come from, ``estimates`` fits ·
``recovery`` (`recovered`: its result) asks whether parameters are found again · ``confusion`` (`confused`, `evidence`)
whether models are told apart · ``power`` (`powered`, `effects`, `detection`) how many subjects and trials a difference
needs.
"""

from hierrl.studies.confusion import confusion
from hierrl.studies.power import power
from hierrl.studies.recovery import recovery

__all__ = ["confusion", "power", "recovery"]
