"""What a model supports, derived from its parts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hierrl.models.channels import Channel

if TYPE_CHECKING:
    from hierrl.models.model import Model


@dataclass(frozen=True)
class Abilities:
    """What the convex step can do for a model; everything else works for every model.

    Attributes
    ----------
    relaxation : bool
        There is a convex step at all. Only a recursion has none.
    bound : bool
        The hull relaxation contains the model: convex and maximum-likelihood fits carry a bound and can be certified.
    reasons : tuple of str
        Why not, in sentences; empty if `bound`.
    sibling : Model
        The nearest model that the hull contains, which the relaxation solves; the model itself if `bound`.
    sign_cases : int
        Channels with a free shape parameter whose weight may have either sign; each doubles the number of problems.
    """

    relaxation: bool
    bound: bool
    reasons: tuple[str, ...]
    sibling: Model
    sign_cases: int


def abilities(model: Model) -> Abilities:
    """Derive them."""
    learners = dict.fromkeys(channel.learner for channel in model.channels if channel.learner != "delta")
    reasons = [
        f"The learning rate of a channel with learner={name!r} is itself a state, so no relaxation encloses its paths: "
        "the estimate is the best of a fixed set of shape parameters, with all weights solved for."
        for name in learners
    ]
    if model.lapse:
        reasons.append("The lapse is outside the softmax, which the relaxation leaves out.")
    sibling = model.replace(lapse=False, channels=tuple(_plain(channel) for channel in model.channels))
    signs = sum(_two_signs(model, channel) for channel in model.channels)
    return Abilities(True, not reasons, tuple(reasons), sibling if reasons else model, signs)


def _plain(channel: Channel) -> Channel:
    """The channel with a rate that does not change."""
    return channel if channel.learner == "delta" else replace(channel, learner="delta", shape={})


def _two_signs(model: Model, channel: Channel) -> bool:
    return channel.signed and any(name not in model.fixed for name in channel.shapes)
