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
    bound : bool
        The hull relaxation contains the model: convex and maximum-likelihood fits carry a bound and can be certified.
    reasons : tuple of str
        Why not, in sentences; empty if `bound`.
    sibling : Model
        The nearest model that the hull contains, which the relaxation solves; the model itself if `bound`.
    sign_cases : int
        Channels with a free rate whose weight may have either sign (each of them twice the number of problems).
    """

    bound: bool
    reasons: tuple[str, ...]
    sibling: Model
    sign_cases: int


def abilities(model: Model) -> Abilities:
    """Derive them."""
    reasons = ["The lapse is outside the softmax, which the relaxation leaves out."] if model.lapse else []
    for channel in model.channels:
        reasons += [sentence for sentence in _obstacles(channel) if sentence not in reasons]
    sibling = model
    if reasons:
        channels = tuple(_contained(channel) for channel in model.channels)
        sibling = model.replace(channels=channels, lapse=False)
    return Abilities(
        not reasons, tuple(reasons), sibling, sum(_two_signs(channel) for channel in model.channels)
    )


def _speeds(channel: Channel) -> tuple[str | float, ...]:
    """The distinct rates of a channel."""
    found = (*channel.rates, *([] if channel.decay is None else [channel.decay]))
    return tuple(dict.fromkeys(found))


def _obstacles(channel: Channel) -> list[str]:
    """Why the hull does not contain a channel."""
    found = []
    speeds = _speeds(channel)
    free = [rate for rate in speeds if isinstance(rate, str)]
    if len(free) > 1:
        found.append(f"The rates {' and '.join(free)} are tied in the relaxation.")
    elif free and channel.rates[0] != channel.rates[1]:
        found.append(f"A fixed rate beside {free[0]} is ignored in the relaxation.")
    elif not free and channel.rates[0] != channel.rates[1]:
        found.append("A channel with two fixed rates is treated as if it had one in the relaxation.")
    if isinstance(channel.start, str):
        found.append(f"The start value {channel.start!r} is free; the relaxation holds it at 0.")
    return found


def _contained(channel: Channel) -> Channel:
    """The channel with its rates tied and its start value held."""
    free = [rate for rate in _speeds(channel) if isinstance(rate, str)]
    rate = free[0] if free else channel.rates[0]
    start = 0.0 if isinstance(channel.start, str) else channel.start
    return replace(
        channel, rate=rate, start=start, decay=None if isinstance(channel.decay, str) else channel.decay
    )


def _two_signs(channel: Channel) -> bool:
    return channel.signed and any(isinstance(rate, str) for rate in _speeds(channel))
