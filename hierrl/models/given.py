"""Is this a model? Whoever takes one asks here first."""

from __future__ import annotations

from typing import Any

from hierrl.models.model import Model


def check_model(model: Any) -> None:
    """Raise a TypeError unless `model` is a `Model` (a `Recursion` is one)."""
    if isinstance(model, Model):
        return
    advice = (
        f"Names are looked up by hr.model: hr.model({model!r})."
        if isinstance(model, str)
        else "It comes first."
    )
    raise TypeError(
        "The model must be one that hr.model(name), hr.Model(...) or hr.Recursion(...) made; "
        f"found {type(model).__name__}. {advice}"
    )
