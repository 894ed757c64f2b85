r"""How well chains mixed: R-hat, effective draws, and how large R-hat gets by chance. Many quantities at once.

R-hat and effective draws are those of Vehtari et al. (2021), as ArviZ computes them one quantity at a time. R-hat of
chains that all sample the same distribution is not 1: with M half-chains of N draws, each worth n effective ones,

.. math:: \hat R^2 = 1 - \frac1N + \frac{F}{n}, \qquad (M - 1) F \sim \chi^2_{M-1},

since the means of the half-chains differ by chance. Among hundreds of parameters of subjects the largest F is far out
in the tail, and 1.01 is passed by a run that has nothing wrong. `Mixing.by_chance` is what all K quantities together
stay below with probability 95 %. There, n comes from autocorrelations *within* half-chains: what chains disagree on
can't excuse itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri
from scipy.stats import f as f_distribution
from scipy.stats import rankdata

FloatArray = npt.NDArray[np.float64]

LARGEST_RHAT = 1.01
"""Vehtari et al. (2021)."""

FALSE_ALARM = 0.05
"""Probability that a run whose chains all sample the same distribution shows an R-hat beyond chance somewhere."""

DRAWS_PER_FREEDOM = 5
"""Effective draws are an estimate, whose window is some 2.5 times as long as the autocorrelation on both sides."""

TAILS = (0.05, 0.95)

FEWEST_DRAWS = 4
"""Half-chains of one draw have no variance."""

BLOM = 3 / 8
"""Offset of ranks on their way to normal scores."""

CHUNK = 1 << 20
"""Draws that are worked on at once: bounds memory."""


@dataclass(frozen=True)
class Mixing:
    """R-hat and effective draws of quantities, each (K,); NaN where a quantity does not vary."""

    names: tuple[str, ...]
    rhat: FloatArray
    """The larger one of that of the draws and that of their distances from the median, both rank-normalised."""
    by_chance: FloatArray
    """What R-hat stays below by chance alone."""
    apart: npt.NDArray[np.bool_]
    """R-hat is neither below 1.01 nor explained by chance."""
    ess_bulk: FloatArray
    ess_tail: FloatArray

    @classmethod
    def of(cls, draws: FloatArray, names: tuple[str, ...]) -> Mixing:
        """From draws (chain, draw, K)."""
        chains, length, count = draws.shape
        if length < FEWEST_DRAWS:
            nothing = np.zeros(count)
            return cls(names, nothing + np.inf, nothing + LARGEST_RHAT, nothing == 0, nothing, nothing)
        step = max(1, CHUNK // (chains * length))
        parts = [_measures(draws[:, :, k : k + step], count) for k in range(0, count, step)]
        rhat, by_chance, apart, bulk, tail = (np.concatenate(part) for part in zip(*parts, strict=True))
        return cls(names, rhat, by_chance, apart.astype(bool), bulk, tail)

    @property
    def worst(self) -> int:
        """Which quantity has the largest R-hat, of those that chance does not explain if there are any."""
        return int(np.nanargmax(np.where(self.apart | ~self.apart.any(), self.rhat, np.nan)))

    @property
    def fewest(self) -> tuple[float, str]:
        """Smallest number of effective draws, bulk or tail, and whose it is."""
        ess = np.fmin(self.ess_bulk, self.ess_tail)
        worst = int(np.nanargmin(ess))
        return float(ess[worst]), self.names[worst]


def _measures(draws: FloatArray, tested: int) -> tuple[FloatArray, ...]:
    """Fields of `Mixing` after the names, for draws (chain, draw, K)."""
    halves = split(draws)
    still = np.ptp(halves, axis=(0, 1)) == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = [normal_scores(halves), normal_scores(np.abs(halves - np.median(halves, axis=(0, 1))))]
        rhats = np.stack([r_hat(x) for x in scores])
        limits = np.stack([chance_limit(x, tested) for x in scores])
        tails = [effective_draws(1.0 * (halves <= q)) for q in np.quantile(draws, TAILS, axis=(0, 1))]
        measures = (
            rhats.max(axis=0),
            limits.max(axis=0),
            (rhats > np.maximum(limits, LARGEST_RHAT)).any(axis=0),
            effective_draws(scores[0]),
            np.minimum(*tails),
        )
    return tuple(np.where(still, 0.0 if k == 2 else np.nan, x) for k, x in enumerate(measures))


def split(draws: FloatArray) -> FloatArray:
    """(chain, draw, K) -> (2 chains, draw / 2, K): a chain that drifts disagrees with itself."""
    half = draws.shape[1] // 2
    return np.concatenate([draws[:, :half], draws[:, -half:]])


def normal_scores(draws: FloatArray) -> FloatArray:
    """Normal scores of the ranks among all draws, (M, N, K)."""
    flat = draws.reshape(-1, draws.shape[2])
    ranks = rankdata(flat, axis=0)
    return ndtri((ranks - BLOM) / (len(flat) - 2 * BLOM + 1)).reshape(draws.shape)


def r_hat(draws: FloatArray) -> FloatArray:
    """(K,) of draws (M, N, K) as they are: neither split nor ranked."""
    n = draws.shape[1]
    between, within = draws.mean(axis=1).var(axis=0, ddof=1), draws.var(axis=1, ddof=1).mean(axis=0)
    return np.sqrt((n - 1) / n + between / within)


def chance_limit(draws: FloatArray, tested: int) -> FloatArray:
    """What R-hat (K,) of draws (M, N, K) stays below by chance, for all of `tested` quantities together."""
    m, n, _ = draws.shape
    effective = effective_draws(draws, between=False)
    # Two R-hats of each quantity are looked at.
    extreme = f_distribution.isf(FALSE_ALARM / (2 * tested), m - 1, effective / DRAWS_PER_FREEDOM)
    return np.sqrt(1 - 1 / n + extreme * m / effective)


def effective_draws(draws: FloatArray, *, between: bool = True) -> FloatArray:
    """Number (K,) of independent draws that are worth as much as draws (M, N, K) for their mean.

    Geyer's initial monotone sequence, as in Vehtari et al. (2021). Without `between`, differences between the means
    of chains don't count as autocorrelation.
    """
    m, n, _ = draws.shape
    covariance = _autocovariance(draws)
    variance = covariance[0] * n / (n - 1)
    total = covariance[0] + (draws.mean(axis=1).var(axis=0, ddof=1) if between else 0.0)
    rho = 1 - (variance - covariance) / total
    rho[0] = 1.0
    n_pairs = max((n - 3) // 2 + 1, 1)
    pairs = rho[: 2 * n_pairs : 2] + rho[1 : 2 * n_pairs : 2]
    positive = np.logical_and.accumulate(pairs > 0, axis=0)
    positive[-1] = False
    kept = positive.sum(axis=0)
    smooth = np.minimum.accumulate(pairs, axis=0)
    last = np.take_along_axis(rho, 2 * kept[None], axis=0)[0]
    tau = -1 + 2 * np.where(positive, smooth, 0.0).sum(axis=0) + np.maximum(last, 0.0)
    effective = m * n / np.maximum(tau, 1 / np.log10(m * n))
    return np.where(np.ptp(draws, axis=(0, 1)) == 0, m * n, effective)


def _autocovariance(draws: FloatArray) -> FloatArray:
    """(N, K), averaged over chains, of draws (M, N, K)."""
    n = draws.shape[1]
    centred = draws - draws.mean(axis=1, keepdims=True)
    size = 1 << (2 * n - 1).bit_length()
    power = np.zeros((size // 2 + 1, draws.shape[2]))
    for chain in centred:
        power += np.abs(np.fft.rfft(chain, size, axis=0)) ** 2
    return np.fft.irfft(power, size, axis=0)[:n] / (n * len(draws))
