"""In plain words: what converged, what is proven, what to mind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.convex import CERTIFIED
from hierrl.fits import problem_of, settings_of, theta_of

Level = Literal["good", "mind", "bad"]

MANY_HELD = 0.25
"""Share of subjects with an estimate on a bound from which on the model itself is in doubt."""
SEVERAL = 5
"""Subjects from which on such a share says something."""
WHOLE = 10
"""Nats from which on decimals say nothing."""
SHOWN = 3
"""So many subjects are named; more are counted."""


@dataclass(frozen=True)
class Verdict:
    """What to think of a fit."""

    level: Level
    """``good`` = use it; ``mind`` = usable, read the sentences; ``bad`` = don't use it as it is."""
    remarks: tuple[tuple[Level, str], ...]
    """Sentences, each with its own level."""


def verdict_of(fit: xr.DataTree) -> Verdict:
    """Judge a fit by what it says of itself.

    Parameters
    ----------
    fit : DataTree
        From any ``fit_*`` function.

    Returns
    -------
    Verdict
    """
    remarks = tuple(_of_posterior(fit) if settings_of(fit)["estimator"] == "posterior" else _of_points(fit))
    levels = {level for level, _ in remarks}
    return Verdict("bad" if "bad" in levels else "mind" if "mind" in levels else "good", remarks)


Judged = Iterator[tuple[Level, str]]


def _of_points(fit: xr.DataTree) -> Judged:
    stats = fit["fit_stats"].to_dataset()
    labels, n = stats["subject"].values, stats.sizes["subject"]
    failed = labels[~stats["converged"].values]
    if failed.size == n:
        yield "bad", "No subject converged."
    elif failed.size:
        yield (
            "mind",
            f"{n - failed.size:,} of {n:,} subjects converged; not: {_first(failed)} (see their status).",
        )
    else:
        yield "good", f"All {n:,} subjects converged." if n > 1 else "The subject converged."
    yield "good", _certificate(stats)
    if settings_of(fit)["estimator"] == "mle":
        yield from _on_bounds(fit)


def _certificate(stats: xr.Dataset) -> str:
    gap = stats["gap"].values
    known = np.isfinite(gap)
    if not known.any():
        return stats["bound"].attrs.get("reason", "There is no bound for this model.")
    proven = gap <= CERTIFIED
    if proven.all():
        return "For every subject it is proven that no parameter values within the bounds fit better."
    left = f"No parameter values within the bounds fit any subject better by more than {nats_beyond(gap)}"
    return (
        f"{left}; for {proven.sum():,} of {gap.size:,} it is proven that none fit better."
        if proven.any()
        else f"{left}."
    )


def nats_beyond(gap: npt.NDArray[np.float64]) -> str:
    """The largest gap and the median one, as a sentence ends with them."""
    known = gap[np.isfinite(gap)]
    under = "under " if np.median(known) < CERTIFIED else ""
    return f"{_nats(known.max())} nats (median {under}{_nats(np.median(known))})"


def _nats(gap: float) -> str:
    """Two digits, and nothing finer than what counts as proven."""
    if gap <= CERTIFIED:
        return f"{CERTIFIED:g}"
    return f"{gap:,.0f}" if gap >= WHOLE else f"{gap:#.2g}"


def _on_bounds(fit: xr.DataTree) -> Judged:
    problem = problem_of(fit)
    theta = theta_of(fit, problem)[0, 0]
    held = fit.children["fit_stats"].dataset["at_bound"].values.astype(bool)
    low = held & (theta < (problem.lower + problem.upper) / 2)
    counts = [
        f"{label} ({', '.join(f'{n:,} at the {end}' for n, end in ((below, 'lower'), (above, 'upper')) if n)})"
        for label, below, above in zip(
            problem.labels, low.sum(axis=0), (held & ~low).sum(axis=0), strict=True
        )
        if below or above
    ]
    if counts:
        yield "good", f"Estimates on a bound: {', '.join(counts)}."
    for label, share in zip(problem.labels, held.mean(axis=0), strict=True):
        if share > MANY_HELD and len(held) >= SEVERAL:
            yield (
                "mind",
                f"{label} is on a bound for {share:.0%} of the subjects: the data say little about it, or the "
                "model doesn't suit them.",
            )


def _of_posterior(fit: xr.DataTree) -> Judged:
    """What `fit_posterior` found when it looked at its own draws, and what it notes."""
    settings = settings_of(fit)
    found = settings["diagnostics"]
    first, *rest = found["sentences"]
    yield ("good" if found["converged"] else "bad"), first
    for sentence in rest:
        yield "good", sentence
    if found["advice"]:
        yield "mind", f"What to do: {found['advice']}."
    for note in settings.get("notes", ()):
        yield "good", note
    yield (
        "good",
        f"Time: {', '.join(f'{name} {spent:.1f} s' for name, spent in settings['seconds'].items())}.",
    )


def _first(labels: npt.NDArray[Any]) -> str:
    shown = ", ".join(str(label) for label in labels[:SHOWN])
    return shown + (f" and {labels.size - SHOWN:,} more" if labels.size > SHOWN else "")
