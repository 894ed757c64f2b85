"""Where a true value stands among draws of its posterior."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

N_RANKED = 99
"""Draws that a truth is ranked among: so few of thousands that neighbours are nearly independent, and ranks 0 to 99
fill histograms of 10 and 20 bins evenly."""


class Ranks(NamedTuple):
    """Of K truths."""

    rank: IntArray
    """(K,) draws below the truth, of the `N_RANKED` thinned ones: uniform on 0 ... `N_RANKED` if all is right."""
    below: FloatArray
    """(K,) share of *all* draws below the truth, within [0, 1]: a central interval holds the truth if it holds this."""


def rank_truths(truth: FloatArray, draws: FloatArray, rng: np.random.Generator) -> Ranks:
    """Rank truths (K,) among draws (N, K); where they are equal, at random.

    Parameters
    ----------
    truth : ndarray, (K,)
    draws : ndarray, (N, K)
        Of all chains, one after the other; at least `N_RANKED`.
    rng : Generator
        For ties.
    """
    if len(draws) < N_RANKED:
        raise ValueError(
            f"Ranks need at least {N_RANKED} draws; found {len(draws)}. Sample more (draws=, chains=)."
        )
    thinned = draws[np.linspace(0, len(draws) - 1, N_RANKED).round().astype(np.int64)]
    ties = (thinned == truth).sum(axis=0)
    rank = (thinned < truth).sum(axis=0) + rng.integers(0, ties + 1)
    below = (draws < truth).mean(axis=0) + (draws == truth).mean(axis=0) / 2
    return Ranks(rank, below)
