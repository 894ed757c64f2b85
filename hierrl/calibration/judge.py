"""Ranks against uniform ones, and intervals against what they promise."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from arviz_stats.ecdf_utils import get_pointwise_confidence_band, simulate_confidence_bands
from scipy.stats import beta, t

from hierrl.calibration.ranks import N_RANKED

FloatArray = npt.NDArray[np.float64]

INTERVALS = (0.5, 0.8, 0.95)
SIMULTANEOUS = 0.95
N_SIMULATED = 2000
"""Sets of uniform ranks that bands come from."""
CONFIDENCE = 0.95
GRID: FloatArray = np.arange(1, N_RANKED + 1) / (N_RANKED + 1)
"""Where distributions of ranks are looked at: between neighbouring ranks."""
ROUNDING = 1e-9
"""Differences of shares of counts: what lies on the band is inside."""


def ecdf_band(rank: npt.ArrayLike) -> xr.Dataset:
    """Empirical distribution of ranks minus the uniform one, and the band that all of it should stay in.

    Bands are simultaneous: uniform ranks stay inside everywhere with a probability of 95 %. For independent ranks they
    are those of Säilynoja, Bürkner & Vehtari (2022), by simulation in ArviZ. Subjects of one study share an error in
    the population, so their ranks are not independent: bands then come from replications whose deviations from the
    uniform distribution change sign at random.

    Parameters
    ----------
    rank : array_like, (R,) or (R, S)
        Of one quantity, one for each replication, or one for each of its subjects: whole numbers 0 ... 99.

    Returns
    -------
    Dataset
        By ``x`` in [0, 1]: ``difference``, ``low``, ``high``. In ``attrs``: ``outside``, whether the band is left, and
        ``p_uniform``, the p-value of uniform ranks (for independent ones that of pointwise tests combined, Tesso et
        al. 2026, in ArviZ).

    Examples
    --------
    >>> import numpy as np
    >>> from hierrl.calibration import ecdf_band
    >>> ecdf_band(np.arange(100)).attrs["outside"], ecdf_band(np.arange(100) // 2).attrs["outside"]
    (False, True)
    """
    ranks = np.asarray(rank, dtype=np.int64)
    below = ranks.reshape(len(ranks), -1)[:, :, None] <= np.arange(N_RANKED)
    deviation = below.mean(axis=1) - GRID
    judged = _of_independent(ranks) if ranks.ndim == 1 else _of_clusters(deviation, ranks.size)
    difference = deviation.mean(axis=0)
    beyond = np.maximum(judged.low - difference, difference - judged.high)
    found = {"difference": difference, "low": judged.low, "high": judged.high}
    return xr.Dataset(
        {name: ("x", np.pad(values, 1)) for name, values in found.items()},
        {"x": np.concatenate([[0.0], GRID, [1.0]])},
        {"outside": bool((beyond > ROUNDING).any()), "p_uniform": judged.p},
    )


class _Judged(NamedTuple):
    low: FloatArray
    high: FloatArray
    p: float


def _of_independent(rank: npt.NDArray[np.int64]) -> _Judged:
    """Band and p-value for ranks (R,)."""
    low, high = get_pointwise_confidence_band(_pointwise(len(rank)), len(rank), GRID)
    spread = (rank + np.random.default_rng(0).random(len(rank))) / (N_RANKED + 1)
    p = xr.DataArray(spread, dims="rank").azstats.uniformity_test(dim="rank")[0]
    return _Judged(low - GRID, high - GRID, float(p))


@cache
def _pointwise(n: int) -> float:
    """How much a band must hold at each point for all of n uniform ranks to stay inside with `SIMULTANEOUS`."""
    rng = np.random.default_rng(0)
    return float(simulate_confidence_bands(n, 1, GRID, SIMULTANEOUS, N_SIMULATED, rng))


def _of_clusters(deviation: FloatArray, n_ranks: int) -> _Judged:
    """Band and p-value for deviations (R, X) of each replication from the uniform distribution."""
    n = len(deviation)
    # At the ends few replications vary: no error is smaller there than that of independent ranks.
    error = np.maximum(np.sqrt((deviation**2).sum(axis=0)) / n, np.sqrt(GRID * (1 - GRID) / n_ranks))
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (N_SIMULATED, n))
    farthest = np.abs(signs @ deviation / n / error).max(axis=1)
    half = error * np.quantile(farthest, SIMULTANEOUS)
    found = np.abs(deviation.mean(axis=0) / error).max()
    return _Judged(-half, half, float((1 + (farthest >= found).sum()) / (1 + N_SIMULATED)))


def coverage_of(below: npt.ArrayLike) -> xr.Dataset:
    r"""How often central intervals hold the truth.

    Parameters
    ----------
    below : array_like, (R,) or (R, S)
        Share of the draws below the truth, by replication, and by subject.

    Returns
    -------
    Dataset
        By ``interval`` (.5, .8, .95): ``coverage``, and ``low`` and ``high``, its 95 % confidence interval: exact
        binomial (Clopper-Pearson) for one truth per replication; for several, which are not independent, from the
        variation between replications (Student's t).

    Examples
    --------
    >>> import numpy as np
    >>> from hierrl.calibration import coverage_of
    >>> coverage_of(np.linspace(0.005, 0.995, 100))["coverage"].values.tolist()
    [0.5, 0.8, 0.94]
    """
    values = np.asarray(below, dtype=np.float64)
    rows = [_covered(np.abs(values - 0.5) <= interval / 2) for interval in INTERVALS]
    columns = zip(("coverage", "low", "high"), zip(*rows, strict=True), strict=True)
    return xr.Dataset(
        {name: ("interval", list(column)) for name, column in columns}, {"interval": list(INTERVALS)}
    )


def _covered(inside: npt.NDArray[np.bool_]) -> tuple[float, float, float]:
    n, tail = len(inside), (1 - CONFIDENCE) / 2
    if inside.ndim == 1:
        k = int(inside.sum())
        low = beta.ppf(tail, k, n - k + 1) if k else 0.0
        high = beta.ppf(1 - tail, k + 1, n - k) if k < n else 1.0
        return k / n, float(low), float(high)
    each = inside.reshape(n, -1).mean(axis=1)
    middle = float(each.mean())
    half = float(t.ppf(1 - tail, n - 1) * each.std(ddof=1) / np.sqrt(n)) if n > 1 else np.inf
    return middle, max(0.0, middle - half), min(1.0, middle + half)
