"""In plain words: what converged, what is proven, what to mind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.convex import CERTIFIED
from hierrl.fits import settings_of

Level = Literal["good", "mind", "bad"]

SHOWN = 3
"""So many subjects are named; more are counted."""


@dataclass(frozen=True)
class Verdict:
    """What to think of a fit."""

    level: Level
    """``good`` = use it; ``mind`` = usable, read the sentences; ``bad`` = don't use it as it is."""
    sentences: tuple[str, ...]


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
    judged = list(_of_posterior(fit) if settings_of(fit)["estimator"] == "posterior" else _of_points(fit))
    levels = [level for level, _ in judged]
    worst: Level = "bad" if "bad" in levels else "mind" if "mind" in levels else "good"
    return Verdict(worst, tuple(sentence for _, sentence in judged))


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
    edge = _on_bounds(stats)
    if edge and settings_of(fit)["estimator"] == "mle":
        yield "good", edge


def _certificate(stats: xr.Dataset) -> str:
    gap = stats["gap"].values
    known = np.isfinite(gap)
    if not known.any():
        return stats["bound"].attrs.get("reason", "There is no bound for this model.")
    proven = int((gap[known] <= CERTIFIED).sum())
    if proven == known.sum():
        return "The bound proves for every one that no parameter values fit better."
    room = gap[known & ~(gap <= CERTIFIED)]
    rest = f"for the others it leaves room for {np.median(room):.2g} nats (median), at most {room.max():.2g}"
    return f"For {proven:,} of {gap.size:,} the bound proves that no parameter values fit better; {rest}."


def _on_bounds(stats: xr.Dataset) -> str:
    held = stats["at_bound"].transpose("parameter", "subject").values.astype(bool)
    counts = [
        f"{label} ({flags.sum():,})"
        for label, flags in zip(stats["parameter"].values, held, strict=True)
        if flags.any()
    ]
    return f"Estimates on a bound, as happens with few trials: {', '.join(counts)}." if counts else ""


def _of_posterior(fit: xr.DataTree) -> Judged:
    raise NotImplementedError


def _first(labels: npt.NDArray[Any]) -> str:
    shown = ", ".join(str(label) for label in labels[:SHOWN])
    return shown + (f" and {labels.size - SHOWN:,} more" if labels.size > SHOWN else "")
