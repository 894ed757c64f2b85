"""Pictures of a fit: estimates side by side, the population, one subject."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xarray as xr


def draw(fits: Mapping[str, xr.DataTree], *, group: str | None = None) -> Iterator[tuple[str, str, Any]]:
    """Name, what it shows, and the figure, for every picture that these fits allow; `group` gives colours."""
    from hierrl.plots import plot_estimates, plot_population, plot_subject

    last = list(fits.values())[-1]
    yield "estimates", "estimates of every subject", plot_estimates(fits, group=group)
    if "population" in last.children:
        yield "population", "the population, with its uncertainty", plot_population(last)
    subject = typical_subject(fits)
    yield "subject", f"choices, rewards and values of {subject}", plot_subject(last, subject)


def typical_subject(fits: Mapping[str, xr.DataTree]) -> Any:
    """The subject in the middle: with the median log-likelihood per scored choice, by the first fit that has one."""
    from hierrl.fits import data_of
    from hierrl.summary.behaviour import counts

    fit = next((fit for fit in fits.values() if fit["fit_stats"]["loglik"].notnull().any()), None)
    if fit is None:
        return next(iter(fits.values())).children["fit_stats"].dataset["subject"].values[0]
    scored = counts(data_of(fit)).scored
    each = fit["fit_stats"]["loglik"].values / np.maximum(scored, 1)
    order = np.argsort(np.where(np.isfinite(each) & (scored > 0), each, np.inf), kind="stable")
    return fit.children["fit_stats"].dataset["subject"].values[order[int((scored > 0).sum() - 1) // 2]]
