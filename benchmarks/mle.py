"""Maximum likelihood against brute force on the paper's *basic 2arm*: is there a better point anywhere?

The brute force shares nothing with the package: its own recursion over a fine grid of rates, at each of which
the likelihood is concave in beta and solved exactly; local maxima over the rate are then refined.

    python benchmarks/mle.py --subjects 1000
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import numpy.typing as npt
import xarray as xr
from basic import N_TRIALS, basic, kl_by_subject, policy_of, stat, true_policy

import hierrl as hr

FloatArray = npt.NDArray[np.float64]

UNIFORM, LOGIT, WIDEST = 401, 241, 14.0
"""Points of the grid that are uniform in the rate, and in its logit up to plus or minus the widest."""
ZOOM, ROUNDS = 17, 6
"""Points of each finer grid around a local maximum, and how often it is refined."""
NEWTON_STEPS = 30
TOLERANCE = 1e-6


def value_difference(choice: npt.NDArray[np.int64], reward: FloatArray, alpha: FloatArray) -> FloatArray:
    """(T, G) value of arm 1 minus that of arm 0 before each trial, at each rate."""
    difference, path = np.zeros(alpha.size), np.empty((choice.size, alpha.size))
    for t in range(choice.size):
        path[t] = difference
        won = reward[t] if choice[t] == 1 else -reward[t]
        difference = difference + alpha * (won - difference)
    return path


def best_beta(signed: FloatArray, upper: float) -> tuple[FloatArray, FloatArray]:
    """Best beta in [0, upper] and its log-likelihood for each column of ``signed`` (T, G).

    ``signed`` is the value of the arm chosen minus the other's: -sum log(1 + exp(-beta signed)) is concave in
    beta, so its slope falls, and the root is bracketed and found by safeguarded Newton steps.
    """
    low, high = np.zeros(signed.shape[1]), np.full(signed.shape[1], upper)
    beta = 0.5 * (low + high)
    for _ in range(NEWTON_STEPS):
        p = 1.0 / (1.0 + np.exp(beta * signed))
        slope, bend = (p * signed).sum(axis=0), -(p * (1 - p) * signed**2).sum(axis=0)
        low, high = np.where(slope > 0, beta, low), np.where(slope > 0, high, beta)
        with np.errstate(divide="ignore", invalid="ignore"):
            newton = beta - slope / bend
        inside = np.isfinite(newton) & (newton > low) & (newton < high)
        beta = np.where(inside, newton, 0.5 * (low + high))
    candidates = np.stack([np.zeros_like(beta), beta, np.full_like(beta, upper)])
    loglik = -np.logaddexp(0.0, -candidates[:, None, :] * signed[None]).sum(axis=1)
    best = loglik.argmax(axis=0)
    pick = np.arange(beta.size)
    return candidates[best, pick], loglik[best, pick]


def brute_force(
    choice: npt.NDArray[np.int64], reward: FloatArray, upper: float
) -> tuple[float, float, float]:
    """(alpha, beta, log-likelihood) of one subject's global maximum."""
    sign = np.where(choice == 1, 1.0, -1.0)[:, None]

    def profile(alpha: FloatArray) -> tuple[FloatArray, FloatArray]:
        return best_beta(sign * value_difference(choice, reward, alpha), upper)

    logit = 1.0 / (1.0 + np.exp(-np.linspace(-WIDEST, WIDEST, LOGIT)))
    grid = np.unique(np.concatenate([np.linspace(0.0, 1.0, UNIFORM), logit]))
    beta, loglik = profile(grid)
    padded = np.concatenate([[-np.inf], loglik, [-np.inf]])
    peaks = np.flatnonzero((loglik >= padded[:-2]) & (loglik >= padded[2:]))
    found = []
    for peak in peaks[np.argsort(-loglik[peaks])][:5]:
        low, high = grid[max(peak - 1, 0)], grid[min(peak + 1, grid.size - 1)]
        for _ in range(ROUNDS):
            fine = np.linspace(low, high, ZOOM)
            beta, values = profile(fine)
            best = int(values.argmax())
            low, high = fine[max(best - 1, 0)], fine[min(best + 1, ZOOM - 1)]
        found.append((float(fine[best]), float(beta[best]), float(values[best])))
    return max(found, key=lambda point: point[2])


def brute_force_all(data: xr.Dataset, upper: float) -> FloatArray:
    """(S, 3) alpha, beta and log-likelihood of every subject."""
    choice = data["choice"].values.reshape(-1, N_TRIALS)
    reward = data["reward"].values.reshape(-1, N_TRIALS)
    return np.array([brute_force(c, r, upper) for c, r in zip(choice, reward, strict=True)])


def policy_at(data: xr.Dataset, points: FloatArray) -> FloatArray:
    """Choice probabilities (trial, arm) at brute-force points."""
    choice = data["choice"].values.reshape(-1, N_TRIALS)
    reward = data["reward"].values.reshape(-1, N_TRIALS)
    second = []
    for c, r, (alpha, beta, _) in zip(choice, reward, points, strict=True):
        second.append(1.0 / (1.0 + np.exp(-beta * value_difference(c, r, np.array([alpha]))[:, 0])))
    p = np.concatenate(second)
    return np.column_stack([1 - p, p])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--subjects", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    data, model = basic("2arm", options.subjects, seed=options.seed)
    upper = model.bounds["beta"][1]
    hr.fit_mle(model, basic("2arm", 2, seed=0)[0], progress=False)  # compiles
    began = time.perf_counter()
    fit = hr.fit_mle(model, data, progress=False)
    seconds = time.perf_counter() - began
    began = time.perf_counter()
    points = brute_force_all(data, upper)
    brute_seconds = time.perf_counter() - began
    loglik, bound = stat(fit, "loglik"), stat(fit, "bound")
    behind, true = points[:, 2] - loglik, true_policy(data)
    kl_fit, kl_brute = kl_by_subject(true, policy_of(fit)), kl_by_subject(true, policy_at(data, points))
    print(f"basic 2arm, {options.subjects} subjects x {N_TRIALS} trials, beta in [0, {upper:g}]")
    print(f"{'':22}{'median KL':>11}{'seconds':>9}")
    print(f"{'fit_mle':22}{np.median(kl_fit):>11.5f}{seconds:>9.2f}")
    print(f"{'brute force':22}{np.median(kl_brute):>11.5f}{brute_seconds:>9.2f}")
    print(
        f"largest lead of brute force over fit_mle: {behind.max():.2e} nats; of fit_mle: {-behind.min():.2e}"
    )
    print(
        f"bound minus brute force: at least {(bound - points[:, 2]).min():.2e} nats, "
        f"median {np.median(bound - points[:, 2]):.4f}"
    )
    lagging = int((behind > TOLERANCE).sum())
    print(f"subjects where fit_mle lags by more than {TOLERANCE:g} nats: {lagging} of {options.subjects}")
    raise SystemExit(lagging > 0)


if __name__ == "__main__":
    main()
