"""Importance sampling of a subject's parameters: where the mass is, how to draw there, how well it went."""

from hierrl.importance.modes import Modes, highest_modes, penalised_modes
from hierrl.importance.pareto import effective_size, pareto_k
from hierrl.importance.proposals import Component, Proposal, proposal_at

__all__ = [
    "Component",
    "Modes",
    "Proposal",
    "effective_size",
    "highest_modes",
    "pareto_k",
    "penalised_modes",
    "proposal_at",
]
