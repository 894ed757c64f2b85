"""Pictures of a fit: estimates side by side, the population, one subject."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

os.environ.setdefault("MPLBACKEND", "Agg")  # pictures go to files: no window, no display needed


def draw(fits: Mapping[str, xr.DataTree]) -> Iterator[tuple[str, str, Any]]:
    """Name, what it shows, and the figure, for every picture that these fits allow."""
    from hierrl.plots import plot_estimates, plot_population, plot_subject

    last = list(fits.values())[-1]
    yield "estimates", "estimates of every subject", _figure(plot_estimates(dict(fits)))
    if "population" in last.children:
        yield "population", "the population, with its uncertainty", _figure(plot_population(last))
    subject = typical_subject(last)
    yield "subject", f"choices, rewards and values of {subject}", _figure(plot_subject(last, subject))


def typical_subject(fit: xr.DataTree) -> Any:
    """The subject in the middle: with the median log-likelihood per scored choice."""
    from hierrl.fits import data_of
    from hierrl.summary.behaviour import counts

    scored = counts(data_of(fit)).scored
    each = fit["fit_stats"]["loglik"].values / np.maximum(scored, 1)
    order = np.argsort(np.where(np.isfinite(each) & (scored > 0), each, np.inf), kind="stable")
    return fit["fit_stats"]["subject"].values[order[int((scored > 0).sum() - 1) // 2]]


def _figure(drawn: Any) -> Any:
    """The figure behind what a plot function gives back: itself, or that of its axes."""
    first = np.ravel(drawn)[0] if isinstance(drawn, np.ndarray | list | tuple) else drawn
    return getattr(first, "figure", first)
