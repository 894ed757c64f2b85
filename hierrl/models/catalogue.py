"""Named models: short names for channel combinations that the field uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from hierrl.models.channels import Channel
from hierrl.models.model import Model


@dataclass(frozen=True)
class Entry:
    """A line of the catalogue: what a named model is made of."""

    channels: tuple[Channel, ...]
    summary: str
    source: str


CATALOGUE: dict[str, Entry] = {
    "rw": Entry(
        (Channel(),),
        "Rescorla-Wagner: the chosen arm's value moves toward its reward, the others keep theirs.",
        "Rescorla & Wagner (1972); Sutton & Barto (2018), ch. 2",
    ),
    "forgetting_q": Entry(
        (Channel(unchosen="decay"),),
        "Forgetting Q-learning: as rw, and the values of arms not chosen fade toward 0 at the same rate.",
        "Ito & Doya (2009); Zhu et al. (2025), experiment 'basic'",
    ),
    "subvalue": Entry(
        (
            Channel(unchosen="decay"),
            Channel("choice", rate="alpha_choice", weight="beta_choice", unchosen="decay", signed=True),
        ),
        "A fading reward trace plus a fading trace of own choices (perseveration or alternation).",
        "Zhu et al. (2025), experiment 'subvalue'; Lau & Glimcher (2005)",
    ),
}


def model(
    name: str,
    *,
    bias: bool = False,
    lapse: bool = False,
    per_arm: bool = False,
    signed: bool | None = None,
    start: float | str = 0.0,
    missed: Literal["hold", "decay"] = "hold",
    bounds: Mapping[str, tuple[float, float]] | None = None,
) -> Model:
    """A named model.

    Parameters
    ----------
    name : str
        ``"rw"``, ``"forgetting_q"`` or ``"subvalue"``; `models` lists them with their sources.
    bias, lapse, missed, bounds
        As in `Model`.
    per_arm : bool
        Each arm has its own rate and weight in every channel.
    signed : bool, optional
        Whether weights may be negative: all (True), none (False), or as in the catalogue (None: in
        ``subvalue`` the choice trace only).
    start : float or str
        Value of the outcome channels at the start of a session in raw reward units; a name makes it a
        parameter.

    Returns
    -------
    Model

    Raises
    ------
    ValueError
        If there is no model of that name.

    Examples
    --------
    >>> import hierrl as hr
    >>> hr.model("subvalue", bias=True).names
    ('alpha', 'beta', 'alpha_choice', 'beta_choice', 'bias')
    """
    if name not in CATALOGUE:
        known = ", ".join(repr(known) for known in CATALOGUE)
        raise ValueError(
            f"There is no model called {name!r}. Known models: {known}; or compose one with hr.Model."
        )
    channels = tuple(_with_options(channel, per_arm, signed, start) for channel in CATALOGUE[name].channels)
    return Model(channels=channels, bias=bias, lapse=lapse, missed=missed, bounds=bounds or {}, name=name)


def models() -> dict[str, str]:
    """Names of the catalogue with one sentence on each.

    Returns
    -------
    dict of str to str
        Name -> what the model says, with its source.

    Examples
    --------
    >>> import hierrl as hr
    >>> sorted(hr.models())
    ['forgetting_q', 'rw', 'subvalue']
    """
    return {name: f"{entry.summary} ({entry.source})" for name, entry in CATALOGUE.items()}


def _with_options(channel: Channel, per_arm: bool, signed: bool | None, start: float | str) -> Channel:
    return replace(
        channel,
        per_arm=per_arm,
        signed=channel.signed if signed is None else signed,
        start=start if channel.is_outcome else channel.start,
    )
