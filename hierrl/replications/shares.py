"""Shares of counts, with 95 % confidence intervals that know about clusters."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import beta, t

FloatArray = npt.NDArray[np.float64]

CONFIDENCE = 0.95
TAIL = (1 - CONFIDENCE) / 2


class Share(NamedTuple):
    """A share and the ends of its 95 % confidence interval; NaN where nothing was counted."""

    share: float
    low: float
    high: float


def binomial(hits: float, n: float) -> Share:
    """The exact interval of Clopper and Pearson; counts may be effective ones, which are not whole."""
    if n <= 0:
        return Share(np.nan, np.nan, np.nan)
    low = beta.ppf(TAIL, hits, n - hits + 1) if hits > 0 else 0.0
    high = beta.ppf(1 - TAIL, hits + 1, n - hits) if hits < n else 1.0
    return Share(float(hits / n), float(low), float(high))


def share_of(hits: npt.ArrayLike, n: npt.ArrayLike, *, clusters: bool) -> Share:
    """A share of counts (C,) from clusters, whose members may be alike or are independent."""
    return (
        clustered(hits, n)
        if clusters
        else binomial(np.asarray(hits).sum().item(), np.asarray(n).sum().item())
    )


def interval_name(clusters: bool) -> str:
    """What `share_of` gives, in words."""
    return "95 % intervals, exact binomial" + (", corrected for data sets that differ" if clusters else "")


def clustered(hits: npt.ArrayLike, n: npt.ArrayLike) -> Share:
    r"""A share of counts from several clusters, such as data sets of many subjects.

    Members of a cluster may be alike. The number of counts is divided by the design effect, how much more the share
    varies between clusters than independent counts would, and the exact binomial interval is taken of what is left
    (Korn and Graubard 1998).

    Parameters
    ----------
    hits, n : array_like, (C,)
        Counts of each cluster.
    """
    hits, n = np.asarray(hits, dtype=np.float64), np.asarray(n, dtype=np.float64)
    total, clusters = float(n.sum()), int((n > 0).sum())
    if total == 0:
        return binomial(0, 0)
    share = float(hits.sum() / total)
    if clusters < 2 or share in (0.0, 1.0) or clusters == total:
        return binomial(float(hits.sum()), total)
    variance = clusters / (clusters - 1) * ((hits - share * n) ** 2).sum() / total**2
    effect = max(1.0, variance / (share * (1 - share) / total))
    few = t.ppf(1 - TAIL, total - 1) / t.ppf(1 - TAIL, clusters - 1) if effect > 1 else 1.0
    effective = max(1.0, float(total / effect * few**2))
    return binomial(share * effective, effective)._replace(share=share)
