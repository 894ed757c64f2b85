"""Models written by the user: one trial in PyTensor, from there on like any other."""

from hierrl.models.recursion.model import Recursion, from_record

__all__ = ["Recursion", "from_record"]
