"""What a model supports, derived from its parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hierrl.models.channels import Channel

if TYPE_CHECKING:
    from hierrl.models.model import Model


@dataclass(frozen=True)
class Abilities:
    """What the convex step can do for a model; everything else works for every model.

    Attributes
    ----------
    bound : bool
        The hull relaxation contains the model: convex and maximum-likelihood fits carry a bound and can be certified.
    reasons : tuple of str
        Why not, in sentences; empty if `bound`.
    sibling : Model
        The nearest model that the hull contains, which the relaxation solves; the model itself if `bound`.
    sign_cases : int
        Channels with a free shape parameter whose weight may have either sign; each doubles the number of problems.
    """

    bound: bool
    reasons: tuple[str, ...]
    sibling: Model
    sign_cases: int


def abilities(model: Model) -> Abilities:
    """Derive them."""
    reasons = ("The lapse is outside the softmax, which the relaxation leaves out.",) if model.lapse else ()
    sibling = model.replace(lapse=False) if model.lapse else model
    return Abilities(not reasons, reasons, sibling, sum(_two_signs(channel) for channel in model.channels))


def _two_signs(channel: Channel) -> bool:
    return channel.signed and bool(channel.shapes)
