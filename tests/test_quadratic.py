"""The small quadratic program of the hull relaxation, where paths are alike."""

import numpy as np
import pytest

from hierrl.kernels.jit import njit
from hierrl.kernels.quadratic import solve_quadratic

N_TRIALS = 40


@njit(nogil=True)
def solved(matrix, gradient, start, low, high, group, group_low, group_high):
    out = np.empty(start.size)
    solve_quadratic(matrix, gradient, start, low, high, group, group_low, group_high, out)
    return out


def problem(n_groups: int, per_group: int, *, alike: float, seed: int) -> tuple[np.ndarray, ...]:
    """Hessian, gradient, groups and their bounds; columns of different groups are equal up to `alike`."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(per_group, N_TRIALS))
    paths = np.concatenate([shared + alike * rng.normal(size=shared.shape) for _ in range(n_groups)])
    group = np.repeat(np.arange(n_groups), per_group)
    low, high = rng.uniform(0, 1, n_groups), rng.uniform(2, 4, n_groups)
    return paths @ paths.T, paths @ rng.normal(1.0, 2.0, N_TRIALS), group, low, high


@pytest.mark.parametrize("alike", [1.0, 1e-4, 1e-8, 0.0])
@pytest.mark.parametrize("per_group", [1, 4])
@pytest.mark.parametrize("seed", range(8))
def test_solution_is_feasible_and_optimal_however_alike_the_paths(per_group, alike, seed):
    n_groups = 5
    matrix, gradient, group, low, high = problem(n_groups, per_group, alike=alike, seed=seed)
    n = group.size
    start = np.repeat(low / per_group, per_group)
    out = solved(matrix, gradient, start, np.zeros(n), np.full(n, np.inf), group, low, high)
    mass = np.bincount(group, weights=out)
    assert (out >= 0).all()
    assert (mass >= low - 1e-9).all()
    assert (mass <= high + 1e-9).all()
    slope = gradient - matrix @ (out - start)
    best = np.array([slope[group == g].max() for g in range(n_groups)])
    reachable = np.maximum(best * low, best * high).sum()  # concavity: no feasible point gains more than this
    assert reachable - slope @ out < 1e-4 * (1.0 + np.abs(gradient) @ out)
