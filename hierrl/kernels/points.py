r"""Importance points of a subject under a population: weights, marginal likelihood, its gradient.

With J points :math:`\eta_j` and what each has apart from the population, :math:`r_j = \ell(\eta_j) - \log q(\eta_j)`,

.. math:: L = \frac1J \sum_j e^{r_j} N(\eta_j | \mu, \Sigma), \qquad
          \log N = \log \det W - \tfrac12 |z_j|^2 - \tfrac P2 \log 2\pi, \qquad z_j = W (\eta_j - \mu),

where W, lower triangular, is a root of the precision, :math:`W^\top W = \Sigma^{-1}`. With weighted means
:math:`\langle \cdot \rangle` over the points,

.. math:: \partial \log L / \partial \mu = W^\top \langle z \rangle, \qquad
          \partial \log L / \partial W = \text{lower part of } \operatorname{diag}(1 / W_{aa})
          - \langle z z^\top \rangle W^{-\top}.

Each step is a loop over the points that the compiler turns into vector instructions. ``dense`` says whether W has
anything beside its diagonal.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import carray, types

from hierrl.kernels.exponential import exp_negative
from hierrl.kernels.jit import njit
from hierrl.kernels.loops import INNER, JIT, copy, fill
from hierrl.kernels.symbols import FLOATS, INTS, symbol

# Sums over points may be reordered, and weights are finite or of no use at all.
OVER_POINTS = {**INNER, "fastmath": {"reassoc", "contract", "nsz", "nnan"}}


@njit(**OVER_POINTS)
def _from_mean(eta, mean, factor, z):
    """``z = factor * (eta - mean)`` over points."""
    for j in range(z.size):
        z[j] = factor * (eta[j] - mean)


@njit(**OVER_POINTS)
def _add_from_mean(eta, mean, factor, z):
    """``z += factor * (eta - mean)`` over points."""
    for j in range(z.size):
        z[j] += factor * (eta[j] - mean)


@njit(**OVER_POINTS)
def _subtract_half_square(z, out):
    """``out -= z^2 / 2`` over points."""
    for j in range(z.size):
        out[j] -= 0.5 * z[j] * z[j]


@njit(**OVER_POINTS)
def _largest(a):
    """The largest element."""
    best = a[0]
    for j in range(a.size):
        best = a[j] if a[j] > best else best
    return best


@njit(**OVER_POINTS)
def _exponentials(a, top):
    """``a = exp(a - top)`` over points, `top` being the largest; their sum."""
    total = 0.0
    for j in range(a.size):
        a[j] = exp_negative(a[j] - top)
        total += a[j]
    return total


@njit(**OVER_POINTS)
def _sums(weight, z):
    """Sums over points of ``weight z`` and ``weight z^2``."""
    first, second = 0.0, 0.0
    for j in range(z.size):
        share = weight[j] * z[j]
        first += share
        second += share * z[j]
    return first, second


@njit(**OVER_POINTS)
def _cross_sum(weight, y, z):
    """Sum over points of ``weight y z``."""
    total = 0.0
    for j in range(z.size):
        total += weight[j] * y[j] * z[j]
    return total


@njit(**INNER)
def weigh(eta, log_ratio, mean, root, dense, z, weight):
    """Weights (J,) of points eta (P, J) and standardised points z (P, J); log L and the sum of the weights.

    The largest weight is 1; divide by the sum for shares. NaN where no point has a finite weight.
    """
    n_parameters, n_points = eta.shape
    constant = -0.5 * n_parameters * np.log(2.0 * np.pi)
    copy(log_ratio, weight)
    for a in range(n_parameters):
        constant += np.log(root[a, a])
        _from_mean(eta[a], mean[a], root[a, a], z[a])
        if dense:
            for b in range(a):
                _add_from_mean(eta[b], mean[b], root[a, b], z[a])
        _subtract_half_square(z[a], weight)
    top = _largest(weight)
    if not np.isfinite(constant + top):
        fill(weight, np.nan)
        return np.nan, np.nan
    total = _exponentials(weight, top)
    return constant + top + np.log(total / n_points), total


@njit(**INNER)
def _slopes(z, weight, total, root, dense, first, second, row, mean_bar, root_bar):
    """Gradient of log L: mean_bar (P,) is overwritten, root_bar (P, P) is added to."""
    n = z.shape[0]
    for a in range(n):
        first[a], second[a, a] = _sums(weight, z[a])
        for b in range(a if dense else 0):
            second[a, b] = second[b, a] = _cross_sum(weight, z[a], z[b])
    for a in range(n):
        mean_bar[a] = 0.0
        for b in range(a, n if dense else a + 1):
            mean_bar[a] += root[b, a] * first[b] / total
    for a in range(n):
        if dense:
            for b in range(n):
                row[b] = second[a, b] / total
            _solve_root(root, row)
        else:
            row[a] = second[a, a] / total / root[a, a]
        for b in range(0 if dense else a, a + 1):
            root_bar[a, b] -= row[b]
        root_bar[a, a] += 1.0 / root[a, a]


@njit(**INNER)
def _solve_root(root, x):
    """x becomes W^-1 x: a row of ``A W^-T`` for symmetric A."""
    for i in range(x.size):
        for k in range(i):
            x[i] -= root[i, k] * x[k]
        x[i] /= root[i, i]


@njit(**JIT)
def log_marginal_pass(eta, log_ratio, mean, root, group, dense, mean_bar, root_bar):
    """Sum over subjects of log L, and its gradient.

    Points eta (S, P, J), log_ratio (S, J); populations mean (S, P), root (G, P, P) and the group (S,) of each
    subject. The gradient is written to mean_bar (S, P) and root_bar (G, P, P).
    """
    n_subjects, n, n_points = eta.shape
    z, weight = np.empty((n, n_points)), np.empty(n_points)
    first, second, row = np.empty(n), np.empty((n, n)), np.empty(n)
    for g in range(root.shape[0]):
        for a in range(n):
            fill(root_bar[g, a], 0.0)
    value = 0.0
    for s in range(n_subjects):
        own = root[group[s]]
        log_marginal, total = weigh(eta[s], log_ratio[s], mean[s], own, dense, z, weight)
        value += log_marginal
        _slopes(z, weight, total, own, dense, first, second, row, mean_bar[s], root_bar[group[s]])
    return value


# sizes S, P, J, G and dense; eta, log_ratio, mean, root, group; value and the two parts of the gradient
SIGNATURE = types.int64(INTS, FLOATS, FLOATS, FLOATS, FLOATS, INTS, FLOATS, FLOATS, FLOATS)
N_SIZES = 5


@njit(**JIT)
def log_marginal_in_c(sizes, eta, log_ratio, mean, root, group, value, mean_bar, root_bar):
    """`log_marginal_pass` behind C pointers."""
    shape = carray(sizes, (N_SIZES,))
    n_subjects, n, n_points, n_groups = shape[0], shape[1], shape[2], shape[3]
    carray(value, (1,))[0] = log_marginal_pass(
        carray(eta, (n_subjects, n, n_points)),
        carray(log_ratio, (n_subjects, n_points)),
        carray(mean, (n_subjects, n)),
        carray(root, (n_groups, n, n)),
        carray(group, (n_subjects,)),
        shape[4] != 0,
        carray(mean_bar, (n_subjects, n)),
        carray(root_bar, (n_groups, n, n)),
    )
    return 0


def log_marginal_caller() -> Callable[..., None]:
    """A plain function, to be compiled by its user, that hands C-contiguous arrays over to `log_marginal_in_c`."""
    in_c = symbol(log_marginal_in_c, SIGNATURE)

    def call(mean, root, dense, group, eta, log_ratio, value, mean_bar, root_bar):
        sizes = np.array((eta.shape[0], eta.shape[1], eta.shape[2], root.shape[0], dense))
        found = (value.ctypes, mean_bar.ctypes, root_bar.ctypes)
        in_c(sizes.ctypes, eta.ctypes, log_ratio.ctypes, mean.ctypes, root.ctypes, group.ctypes, *found)

    return call
