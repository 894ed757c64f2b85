r"""All numbers of the population in one vector: the marginal likelihood of all subjects, and its gradient.

The vector phi (D,) holds T effects, log standard deviations of P parameters in G groups (parameter by parameter),
and logits y of K partial correlations z = tanh(y / 2) with Beta(b, b) priors on (z + 1) / 2. The root of a group's
precision is :math:`W_{ab} = R_{ab} / \sigma_b`, with R the root of the inverse of the correlation matrix (the
identity if K is 0).

Samplers call this ten thousands of times, behind a C symbol and with points in single precision: of a log marginal
likelihood that costs some 1e-6, where the choice of the points costs 1e-2.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import carray, types

from hierrl.kernels.correlation import correlation_root, correlation_root_pullback
from hierrl.kernels.informed import population_mean, population_mean_pullback
from hierrl.kernels.jit import njit
from hierrl.kernels.loops import INNER, JIT, fill
from hierrl.kernels.points import log_marginal_pass
from hierrl.kernels.symbols import FLOATS, INTS, symbol


@njit(**INNER)
def _roots(log_sigma, correlation, root):
    """Roots (G, P, P) from log standard deviations (P, G) and the root (P, P) of the inverse correlations."""
    for g in range(root.shape[0]):
        for a in range(root.shape[1]):
            for b in range(root.shape[1]):
                root[g, a, b] = correlation[a, b] * np.exp(-log_sigma[b, g])


@njit(**INNER)
def _roots_pullback(log_sigma, root, root_bar, spread_bar, correlation_bar):
    """Gradients in log_sigma (P, G) and in the root of the inverse correlations from root_bar (G, P, P)."""
    for b in range(log_sigma.shape[0]):
        for g in range(log_sigma.shape[1]):
            spread_bar[b, g] = 0.0
            for a in range(log_sigma.shape[0]):
                spread_bar[b, g] -= root_bar[g, a, b] * root[g, a, b]
                correlation_bar[a, b] += root_bar[g, a, b] * np.exp(-log_sigma[b, g])


@njit(**INNER)
def _identity(n):
    eye = np.zeros((n, n))
    for a in range(n):
        eye[a, a] = 1.0
    return eye


@njit(**INNER)
def _partial_prior(shapes, partial, slope):
    """Log-density of partial correlations z (K,) with respect to their logits; slope (K,) in the logits."""
    value = 0.0
    for k in range(shapes.size):
        value += shapes[k] * np.log(0.25 * (1.0 - partial[k] * partial[k]))
        slope[k] = -shapes[k] * partial[k]
    return value


@njit(**JIT)
def group_pass(phi, shapes, design, owner, group, floor, centre, eta, log_ratio, slope):
    """Log marginal likelihood of all subjects (and log prior of correlations) at phi (D,), and its gradient (D,).

    Beta parameters `shapes` (K,); design (S, T), owner (T,), group (S,), floor and centre (S, P); points eta
    (S, P, J), measured from the centre, and log_ratio (S, J).
    """
    n_subjects, n, _ = eta.shape
    t, k = owner.size, shapes.size
    log_sigma = phi[t : phi.size - k].reshape((n, (phi.size - t - k) // n))
    partial = np.empty(k)
    for j in range(k):
        partial[j] = np.tanh(0.5 * phi[phi.size - k + j])
    correlation = correlation_root(partial) if k > 0 else _identity(n)
    mean, root = population_mean(phi[:t], design, owner), np.empty((log_sigma.shape[1], n, n))
    mean_bar, root_bar = np.empty(mean.shape), np.empty(root.shape)
    for s in range(n_subjects):
        for a in range(n):
            mean[s, a] -= centre[s, a]
    _roots(log_sigma, correlation, root)
    value = log_marginal_pass(eta, log_ratio, mean, root, group, floor, k > 0, mean_bar, root_bar)
    value += _partial_prior(shapes, partial, slope[phi.size - k :])
    effects_bar, correlation_bar = population_mean_pullback(mean_bar, design, owner), np.zeros((n, n))
    for j in range(t):
        slope[j] = effects_bar[j]
    _roots_pullback(
        log_sigma, root, root_bar, slope[t : phi.size - k].reshape(log_sigma.shape), correlation_bar
    )
    if k > 0:
        partial_bar = correlation_root_pullback(partial, correlation_bar)
        for j in range(k):
            slope[phi.size - k + j] += 0.5 * (1.0 - partial[j] * partial[j]) * partial_bar[j]
    return value


SINGLES = types.CPointer(types.float32)
# sizes D, K, S, P, T, J; phi, shapes, design, owner, group, floor, centre; eta, log_ratio; value and gradient
SIGNATURE = types.int64(
    INTS, FLOATS, FLOATS, FLOATS, INTS, INTS, FLOATS, FLOATS, SINGLES, SINGLES, FLOATS, FLOATS
)
N_SIZES = 6


@njit(**JIT)
def group_in_c(sizes, phi, shapes, design, owner, group, floor, centre, eta, log_ratio, value, slope):
    """`group_pass` behind C pointers."""
    z = carray(sizes, (N_SIZES,))
    d, k, n_subjects, n, t, n_points = z[0], z[1], z[2], z[3], z[4], z[5]
    out, gradient = carray(value, (1,)), carray(slope, (d,))
    fill(gradient, 0.0)
    out[0] = group_pass(
        carray(phi, (d,)),
        carray(shapes, (k,)),
        carray(design, (n_subjects, t)),
        carray(owner, (t,)),
        carray(group, (n_subjects,)),
        carray(floor, (n_subjects, n)),
        carray(centre, (n_subjects, n)),
        carray(eta, (n_subjects, n, n_points)),
        carray(log_ratio, (n_subjects, n_points)),
        gradient,
    )
    return 0


def group_caller() -> Callable[..., None]:
    """A plain function, to be compiled by its user, that hands C-contiguous arrays over to `group_in_c`."""
    in_c = symbol(group_in_c, SIGNATURE)

    def call(phi, shapes, design, owner, group, floor, centre, eta, log_ratio, value, slope):
        sizes = np.array((phi.size, shapes.size, eta.shape[0], eta.shape[1], owner.size, eta.shape[2]))
        given = (phi.ctypes, shapes.ctypes, design.ctypes, owner.ctypes, group.ctypes)
        points = (floor.ctypes, centre.ctypes, eta.ctypes, log_ratio.ctypes)
        in_c(sizes.ctypes, *given, *points, value.ctypes, slope.ctypes)

    return call
