"""Arguments that many functions take: is this a model, is this a seed?"""

from __future__ import annotations

import operator
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


def whole_seed(random_seed: Any) -> int:
    """`random_seed` as a plain int, for those who record it; a TypeError or ValueError unless it is a whole number."""
    try:
        seed = operator.index(random_seed)
    except TypeError:
        raise TypeError(
            "random_seed= is a whole number here, so that the result can record it and be made again; "
            f"found {type(random_seed).__name__}. From a generator: random_seed=int(rng.integers(2**31))."
        ) from None
    if seed < 0:
        raise ValueError(f"random_seed= is a whole number of 0 or more; found {seed}.")
    return seed
