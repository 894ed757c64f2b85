"""Maximum likelihood of *basic* by brute force: it shares nothing with the package.

Its own recursion over a fine grid of rates, at each of which the likelihood is concave in beta and solved
exactly; local maxima over the rate are then refined.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import xarray as xr
from experiments import N_TRIALS, FloatArray, Range

IntArray = npt.NDArray[np.int64]

UNIFORM, LOGIT, WIDEST = 401, 241, 14.0
"""Points of the grid that are uniform in the rate, and in its logit up to plus or minus the widest."""
ZOOM, ROUNDS, PEAKS = 17, 6, 5
"""Points of each finer grid around a local maximum, how often it is refined, and how many maxima are."""
NEWTON_STEPS, STILL = 60, 1e-10
"""Steps toward the best beta at most, and the largest move that counts as none."""


def values_before(choice: IntArray, reward: FloatArray, alpha: FloatArray, n_arms: int) -> FloatArray:
    """(T, m, G) value of each arm before each trial, at each rate."""
    value, path = np.zeros((n_arms, alpha.size)), np.empty((choice.size, n_arms, alpha.size))
    for t in range(choice.size):
        path[t] = value
        value = (1.0 - alpha) * value
        value[choice[t]] += alpha * reward[t]
    return path


def best_beta(lead: FloatArray, betas: Range) -> tuple[FloatArray, FloatArray]:
    """Best beta within bounds and its log-likelihood at each of G rates.

    `lead` (T, m - 1, G) is the value of the other arms minus that of the chosen one:
    ``-sum log(1 + sum exp(beta lead))`` is concave in beta, so its slope falls, and the root is bracketed and
    found by safeguarded Newton steps.
    """
    low, high = (np.full(lead.shape[2], end) for end in betas)
    beta = 0.5 * (low + high)
    for _ in range(NEWTON_STEPS):
        odds = np.exp(beta * lead)
        p = odds / (1.0 + odds.sum(axis=1, keepdims=True))
        mean = (p * lead).sum(axis=1)
        slope, bend = -mean.sum(axis=0), (mean**2 - (p * lead**2).sum(axis=1)).sum(axis=0)
        low, high = np.where(slope > 0, beta, low), np.where(slope > 0, high, beta)
        with np.errstate(divide="ignore", invalid="ignore"):
            newton = beta - slope / bend
        # Half-way if Newton's step leaves the bracket; the bracket closes on an end where that is best.
        inside = np.isfinite(newton) & (newton > low) & (newton < high)
        step = np.where(inside, newton, 0.5 * (low + high)) - beta
        beta = beta + step
        if np.abs(step).max() < STILL:
            break
    candidates = np.stack([np.full_like(beta, betas[0]), beta, np.full_like(beta, betas[1])])
    loglik = np.stack([-np.log1p(np.exp(value * lead).sum(axis=1)).sum(axis=0) for value in candidates])
    best, pick = loglik.argmax(axis=0), np.arange(beta.size)
    return candidates[best, pick], loglik[best, pick]


def brute_force(
    choice: IntArray, reward: FloatArray, betas: Range, n_arms: int
) -> tuple[float, float, float]:
    """(alpha, beta, log-likelihood) of one subject's global maximum."""
    others = np.array([[arm for arm in range(n_arms) if arm != chosen] for chosen in choice])
    trial = np.arange(choice.size)

    def profile(alpha: FloatArray) -> tuple[FloatArray, FloatArray]:
        values = values_before(choice, reward, alpha, n_arms)
        lead = values[trial[:, None], others] - values[trial, choice][:, None]
        return best_beta(lead, betas)

    logit = 1.0 / (1.0 + np.exp(-np.linspace(-WIDEST, WIDEST, LOGIT)))
    grid = np.unique(np.concatenate([np.linspace(0.0, 1.0, UNIFORM), logit]))
    beta, loglik = profile(grid)
    padded = np.concatenate([[-np.inf], loglik, [-np.inf]])
    peaks = np.flatnonzero((loglik >= padded[:-2]) & (loglik >= padded[2:]))
    found = []
    for peak in peaks[np.argsort(-loglik[peaks])][:PEAKS]:
        low, high = grid[max(peak - 1, 0)], grid[min(peak + 1, grid.size - 1)]
        for _ in range(ROUNDS):
            fine = np.linspace(low, high, ZOOM)
            beta, values = profile(fine)
            best = int(values.argmax())
            low, high = fine[max(best - 1, 0)], fine[min(best + 1, ZOOM - 1)]
        found.append((float(fine[best]), float(beta[best]), float(values[best])))
    return max(found, key=lambda point: point[2])


def brute_force_all(data: xr.Dataset, betas: Range) -> FloatArray:
    """(S, 3) alpha, beta and log-likelihood of every subject."""
    choice, reward = (data[name].values.reshape(-1, N_TRIALS) for name in ("choice", "reward"))
    return np.array(
        [brute_force(c, r, betas, data.sizes["arm"]) for c, r in zip(choice, reward, strict=True)]
    )


def policy_of_points(data: xr.Dataset, points: FloatArray) -> FloatArray:
    """Choice probabilities (trial, arm) at points (S, 2 or more) of alpha and beta."""
    choice, reward = (data[name].values.reshape(-1, N_TRIALS) for name in ("choice", "reward"))
    policies = []
    for c, r, (alpha, beta, *_) in zip(choice, reward, points, strict=True):
        logit = beta * values_before(c, r, np.array([alpha]), data.sizes["arm"])[:, :, 0]
        odds = np.exp(logit - logit.max(axis=1, keepdims=True))
        policies.append(odds / odds.sum(axis=1, keepdims=True))
    return np.concatenate(policies)
