"""`model` and `models`: the catalogue, with options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, Literal

from hierrl.models.aliases import ALIASES
from hierrl.models.catalogue import CATALOGUE, CHOICE_TRACE, STICKY
from hierrl.models.channels import Channel, Regressor, Weight
from hierrl.models.model import Model


def model(
    name: str,
    *,
    bias: bool | None = None,
    lapse: bool | None = None,
    choice_trace: bool = False,
    sticky: bool = False,
    regressors: Sequence[str | Regressor] = (),
    per_arm: bool = False,
    signed: bool | None = None,
    start: float | str | None = None,
    context: str | None = None,
    missed: Literal["hold", "decay"] = "hold",
    fixed: Mapping[str, float] | None = None,
    shared: Mapping[str, str] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
) -> Model:
    """A named model.

    Parameters
    ----------
    name : str
        A model of the catalogue, or hBayesDM's name for one (``"bandit4arm_lapse"``, ``"igt_orl"``; the parameters
        are called as here). `models` lists them with their sources, ``docs/models`` has a page on each.
    bias, lapse : bool, optional
        As in `Model`; off if not given, but for models that are named after them.
    choice_trace : bool
        Add a fading trace of own choices (``alpha_choice``, ``beta_choice``).
    sticky : bool
        Add the last choice (``kappa``).
    regressors : sequence of str or Regressor
        Columns by trial, or by trial and arm, to add to the logits.
    per_arm : bool
        Each arm has its own rate and weight in every channel.
    signed : bool, optional
        Whether weights may be negative: all (True), none (False), or as in the catalogue (None: in
        ``subvalue`` the choice trace only).
    start : float or str, optional
        Value of the outcome channels at the start of a session in raw reward units; a name makes it a
        parameter. As in the catalogue if not given: 0 nearly everywhere.
    context : str, optional
        A column by trial: values are kept separately in each of its contexts.
    missed, bounds
        As in `Model`.
    fixed : mapping of str to float, optional
        Parameters that are numbers instead: ``{"alpha_decay": 0.1}``.
    shared : mapping of str to str, optional
        Parameter -> the one that is used in its place: ``{"alpha_choice": "alpha"}`` leaves one rate for both.

    Returns
    -------
    Model

    Raises
    ------
    ValueError
        If there is no model of that name, or an option names a parameter that the model does not have.

    Examples
    --------
    >>> import hierrl as hr
    >>> hr.model("rw", lapse=True, choice_trace=True).names
    ('alpha', 'beta', 'alpha_choice', 'beta_choice', 'lapse')
    >>> hr.model("subvalue", shared={"alpha_choice": "alpha"}, fixed={"beta": 3.0}).names
    ('alpha', 'beta_choice')
    """
    if not isinstance(name, str):
        raise TypeError(
            f"hr.model takes the name of a model, such as 'rw'; found {type(name).__name__}. "
            "Channels are put together by hr.Model(channels=(...))."
        )
    for option, given in (("bounds", bounds), ("fixed", fixed), ("shared", shared)):
        if given is not None and not isinstance(given, Mapping):
            raise TypeError(f"{option}= is a dict with names of parameters; found {type(given).__name__}.")
    alias = ALIASES.get(name)
    entry = CATALOGUE.get(name if alias is None else alias.model)
    if entry is None:
        raise ValueError(_unknown(name))
    preset = {**entry.options, **(alias.options if alias else {})}
    start = preset.get("start") if start is None else start
    added = (*([CHOICE_TRACE] if choice_trace else ()), *([STICKY] if sticky else ()))
    channels = tuple(
        _with_options(channel, per_arm, signed, start, context) for channel in (*entry.channels, *added)
    )
    plain = Model(
        channels=tuple(_renamed(channel, _checked_shared(shared, channels)) for channel in channels),
        regressors=tuple(Regressor(r) if isinstance(r, str) else r for r in regressors),
        bias=bool(preset.get("bias", False) if bias is None else bias),
        lapse=bool(preset.get("lapse", False) if lapse is None else lapse),
        missed=missed,
        name=name,
    )
    known = {**preset.get("fixed", {}), **(fixed or {})}
    usual = {n: pair for n, pair in entry.bounds.items() if n in plain.names and not (signed and n == "beta")}
    limits = {
        n: pair for n, pair in {**usual, **(bounds or {})}.items() if n not in known or n in (bounds or {})
    }
    return replace(plain, fixed=known, bounds=limits)


def models(*, aliases: bool = False) -> dict[str, str]:
    """Names of the catalogue with one sentence on each.

    Parameters
    ----------
    aliases : bool
        Also give other packages' names, with what they stand for.

    Returns
    -------
    dict of str to str
        Name -> what the model says, with its source.

    Examples
    --------
    >>> import hierrl as hr
    >>> [name for name in hr.models() if name.startswith("rw")]
    ['rw', 'rw_bias', 'rw_lapse', 'rw_start']
    >>> hr.models(aliases=True)["pst_Q"]
    'rw. (hBayesDM)'
    """
    found = {name: f"{entry.summary} ({entry.source})" for name, entry in CATALOGUE.items()}
    if not aliases:
        return found
    return found | {
        name: f"{_call(alias.model, alias.options)}. (hBayesDM)" for name, alias in ALIASES.items()
    }


def _call(name: str, options: Mapping[str, Any]) -> str:
    return " ".join(
        [name, *([f"with {', '.join(f'{k}={v}' for k, v in options.items())}"] if options else [])]
    )


def _unknown(name: str) -> str:
    near = get_close_matches(name, [*CATALOGUE, *ALIASES], n=1)
    meant = f" Did you mean {near[0]!r}?" if near else ""
    return (
        f"There is no model called {name!r}.{meant} Known models: {', '.join(map(repr, CATALOGUE))}; "
        "or compose one with hr.Model."
    )


def _with_options(
    channel: Channel, per_arm: bool, signed: bool | None, start: float | str | None, context: str | None
) -> Channel:
    return replace(
        channel,
        per_arm=per_arm,
        signed=channel.signed if signed is None else signed,
        start=start if start is not None and channel.is_outcome else channel.start,
        context=context,
    )


def _checked_shared(shared: Mapping[str, str] | None, channels: tuple[Channel, ...]) -> Mapping[str, str]:
    shared = shared or {}
    names = {name for channel in channels for name in (*channel.shapes, *Weight.parse(channel.weight).names)}
    if absent := [name for name in shared if name not in names]:
        raise ValueError(
            f"shared names {absent[0]!r}, which no channel of this model has ({', '.join(sorted(names))})."
        )
    return shared


def _renamed(channel: Channel, shared: Mapping[str, str]) -> Channel:
    """The channel with other names for some parameters."""

    def new(value: Any) -> Any:
        return shared.get(value, value) if isinstance(value, str) else value

    weight = Weight.parse(channel.weight)
    factors = [f"{weight.coefficient:g}"] if abs(weight.coefficient) != 1 else []
    sign = "-" if weight.coefficient == -1 else ""
    return replace(
        channel,
        rate=tuple(new(rate) for rate in channel.rates)
        if isinstance(channel.rate, tuple)
        else new(channel.rate),
        decay=new(channel.decay),
        start=new(channel.start),
        utility=new(channel.utility),
        shape={role: new(value) for role, value in channel.shape.items()},
        weight=sign + "*".join([*factors, *(new(name) for name in weight.names)]),
    )
