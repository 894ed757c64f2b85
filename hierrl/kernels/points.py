r"""Importance points of a subject under a population: weights, marginal likelihood, its gradient.

With J points :math:`\eta_j` and what each has apart from the population, :math:`r_j = \ell(\eta_j) - \log q(\eta_j)`,

.. math:: L = \frac1J \sum_j e^{r_j} N(\eta_j | \mu, \Sigma), \qquad
          \log N = \log \det W - \tfrac12 |z_j|^2 - \tfrac P2 \log 2\pi, \qquad z_j = W (\eta_j - \mu),

where W, lower triangular, is a root of the precision, :math:`W^\top W = \Sigma^{-1}`. With weighted means
:math:`\langle \cdot \rangle` over the points,

.. math:: \partial \log L / \partial \mu = W^\top \langle z \rangle, \qquad
          \partial \log L / \partial W = \text{lower part of } \operatorname{diag}(1 / W_{aa})
          - \langle z z^\top \rangle W^{-\top}.

**Small spreads.** Where a population's standard deviation :math:`\sigma_a` falls below a floor :math:`f_a`, few points
lie near :math:`\mu`, and chance would rule. But a likelihood is smooth: L solves the heat equation in
:math:`v_a = \sigma_a^2`, so below the floor log L goes on along its tangent in v,

.. math:: \log L(\sigma) = \log L(f) + \sum_a \kappa_a (\langle z_a^2 \rangle - 1), \qquad
          \kappa_a = \tfrac12 (\sigma_a^2 / f_a^2 - 1) \le 0,

which for a floor of a third of the likelihood's width errs by some :math:`10^{-3}`. Its gradient are weighted means
again, with weights times :math:`1 + \sum_a \kappa_a (z_a^2 - \langle z_a^2 \rangle)`.

Each step is a loop over the points that the compiler turns into vector instructions. ``dense`` says whether W has
anything beside its diagonal; then there are no floors.
"""

from __future__ import annotations

import numpy as np

from hierrl.kernels.exponential import exp_negative
from hierrl.kernels.informed import solve_lower
from hierrl.kernels.jit import njit
from hierrl.kernels.loops import INNER, JIT, fill
from hierrl.kernels.ownership import keep, uncounted

# Sums over points may be reordered, and weights are finite or of no use at all.
OVER_POINTS = {**INNER, "fastmath": {"reassoc", "contract", "nsz", "nnan"}}


# Rows are told by their numbers: a view of one costs as much as the work on forty points.
@njit(**OVER_POINTS)
def _from_mean(eta, s, a, mean, factor, z):
    """``z[a] = factor * (eta[s, a] - mean)`` over points."""
    for j in range(z.shape[1]):
        z[a, j] = factor * (eta[s, a, j] - mean)


@njit(**OVER_POINTS)
def _add_from_mean(eta, s, b, mean, factor, z, a):
    """``z[a] += factor * (eta[s, b] - mean)`` over points."""
    for j in range(z.shape[1]):
        z[a, j] += factor * (eta[s, b, j] - mean)


@njit(**OVER_POINTS)
def _subtract_scaled_square(z, a, scale, out):
    """``out -= scale * z[a]^2`` over points."""
    for j in range(out.size):
        out[j] -= scale * z[a, j] * z[a, j]


@njit(**OVER_POINTS)
def _largest(a):
    """The largest element. Eight at a time: of a single maximum the compiler makes no vector instructions."""
    b0 = b1 = b2 = b3 = b4 = b5 = b6 = b7 = a[0]
    whole = a.size // 8 * 8
    for j in range(0, whole, 8):
        b0, b1, b2, b3 = max(b0, a[j]), max(b1, a[j + 1]), max(b2, a[j + 2]), max(b3, a[j + 3])
        b4, b5, b6, b7 = max(b4, a[j + 4]), max(b5, a[j + 5]), max(b6, a[j + 6]), max(b7, a[j + 7])
    best = max(max(max(b0, b1), max(b2, b3)), max(max(b4, b5), max(b6, b7)))
    for j in range(whole, a.size):
        best = max(best, a[j])
    return best


@njit(**OVER_POINTS)
def _exponentials(a, top, total):
    """``a = exp(a - top)`` over points, `top` being the largest; their sum and `total`."""
    for j in range(a.size):
        a[j] = exp_negative(a[j] - top)
        total += a[j]
    return total


@njit(**OVER_POINTS)
def _sums(weight, z, a, first, second):
    """Sums over points of ``weight z[a]`` and ``weight z[a]^2``, on top of `first` and `second`."""
    for j in range(weight.size):
        share = weight[j] * z[a, j]
        first += share
        second += share * z[a, j]
    return first, second


@njit(**OVER_POINTS)
def _cross_sum(weight, z, a, b, total):
    """Sum over points of ``weight z[a] z[b]``, on top of `total`."""
    for j in range(weight.size):
        total += weight[j] * z[a, j] * z[b, j]
    return total


@njit(**OVER_POINTS)
def _add_scaled_deviation(z, a, scale, middle, out):
    """``out += scale * (z[a]^2 - middle)`` over points."""
    for j in range(out.size):
        out[j] += scale * (z[a, j] * z[a, j] - middle)


@njit(**OVER_POINTS)
def _multiply(factor, out):
    """``out *= factor`` over points."""
    for j in range(out.size):
        out[j] *= factor[j]


@njit(**OVER_POINTS)
def _copy_row(a, s, out):
    """``out = a[s]`` over points."""
    for j in range(out.size):
        out[j] = a[s, j]


@njit(**INNER)
def weigh(eta, log_ratio, s, mean, root, dense, z, weight):
    """Weights (J,) and standardised points z (P, J) of subject s; log L and the sum of the weights.

    Points eta (S, P, J) and log_ratio (S, J) are those of all subjects, mean (P,) and root (P, P) the subject's own.
    The largest weight is 1; divide by the sum for shares. NaN where no point has a finite weight. All arrays over
    points are of one precision, in which the loops then are.
    """
    n_parameters, n_points = z.shape
    real = weight.dtype.type
    constant = -0.5 * n_parameters * np.log(2.0 * np.pi)
    _copy_row(log_ratio, s, weight)
    for a in range(n_parameters):
        constant += np.log(root[a, a])
        _from_mean(eta, s, a, real(mean[a]), real(root[a, a]), z)
        if dense:
            for b in range(a):
                _add_from_mean(eta, s, b, real(mean[b]), real(root[a, b]), z, a)
        _subtract_scaled_square(z, a, real(0.5), weight)
    top = _largest(weight)
    if not np.isfinite(constant + top):
        fill(weight, np.nan)
        return np.nan, np.nan
    total = np.float64(_exponentials(weight, top, real(0.0)))
    return constant + top + np.log(total / n_points), total


@njit(**INNER)
def raised(root, floor, dense, used, kappa):
    """The root with standard deviations no smaller than their floor (P,), and kappa (P,); whether any was."""
    n, any_raised = kappa.size, False
    for a in range(n):
        kappa[a] = 0.0
        for b in range(n):
            used[a, b] = root[a, b]
        if not dense and root[a, a] * floor[a] > 1.0:
            used[a, a] = 1.0 / floor[a]
            kappa[a] = 0.5 * ((used[a, a] / root[a, a]) ** 2 - 1.0)
            any_raised = True
    return any_raised


@njit(**INNER)
def continued(z, weight, total, kappa, first, second):
    """What is added to log L where floors were in the way; means of z and z^2 there, first (P,), second (P, P)."""
    value, zero = 0.0, weight.dtype.type(0.0)
    for a in range(kappa.size):
        if kappa[a] < 0.0:
            one, two = _sums(weight, z, a, zero, zero)
            first[a], second[a, a] = one / total, two / total
            value += kappa[a] * (second[a, a] - 1.0)
    return value


@njit(**INNER)
def _reweighted(z, kappa, second, factor, weight):
    """Weights for the gradient of what `continued` adds."""
    real = weight.dtype.type
    fill(factor, real(1.0))
    for a in range(kappa.size):
        if kappa[a] < 0.0:
            _add_scaled_deviation(z, a, real(kappa[a]), real(second[a, a]), factor)
    _multiply(factor, weight)


@njit(**INNER)
def _diagonal_slopes(z, weight, total, root, used, kappa, first, second, mean_bar, root_bar):
    """Gradient of log L: mean_bar (P,) is overwritten, root_bar (P, P) is added to."""
    zero = weight.dtype.type(0.0)
    for a in range(kappa.size):
        one, two = _sums(weight, z, a, zero, zero)
        if kappa[a] < 0.0:
            mean_bar[a] = (one / total - 2.0 * kappa[a] * first[a]) * used[a, a]
            root_bar[a, a] -= (second[a, a] - 1.0) * used[a, a] ** 2 / root[a, a] ** 3
        else:
            mean_bar[a] = one / total * root[a, a]
            root_bar[a, a] -= (two / total - 1.0) / root[a, a]


@njit(**INNER)
def _dense_slopes(z, weight, total, root, first, second, row, mean_bar, root_bar):
    """As `_diagonal_slopes`, for any root."""
    n, zero = z.shape[0], weight.dtype.type(0.0)
    for a in range(n):
        one, two = _sums(weight, z, a, zero, zero)
        first[a], second[a, a] = one / total, two / total
        for b in range(a):
            second[a, b] = second[b, a] = _cross_sum(weight, z, a, b, zero) / total
    for a in range(n):
        mean_bar[a] = 0.0
        for b in range(a, n):
            mean_bar[a] += root[b, a] * first[b]
        for b in range(n):
            row[b] = second[a, b]
        solve_lower(root, row)  # a row of A W^-T for symmetric A
        for b in range(a + 1):
            root_bar[a, b] -= row[b]
        root_bar[a, a] += 1.0 / root[a, a]


@njit(**JIT)
def log_marginal_pass(eta, log_ratio, mean, root, group, floor, dense, mean_bar, root_bar):
    """Sum over subjects of log L, and its gradient.

    Points eta (S, P, J), log_ratio (S, J); populations mean (S, P), root (G, P, P) and the group (S,) of each
    subject; floor (S, P) of the standard deviations. The gradient is written to mean_bar (S, P) and root_bar
    (G, P, P).
    """
    n, n_points = eta.shape[1:]
    z, over_points = np.empty((n, n_points), eta.dtype), np.empty((2, n_points), eta.dtype)
    square, row = np.empty((2, n, n)), np.empty((3, n))
    for g in range(root.shape[0]):
        for a in range(n):
            for b in range(n):
                root_bar[g, a, b] = 0.0
    points = (uncounted(eta), uncounted(log_ratio))
    populations = (uncounted(mean), uncounted(root), uncounted(group), uncounted(floor))
    work = (uncounted(z), uncounted(over_points), uncounted(square), uncounted(row))
    value = _sum_over_subjects(*points, *populations, dense, *work, uncounted(mean_bar), uncounted(root_bar))
    keep(z, over_points, square, row)
    return value


@njit(**INNER)
def _sum_over_subjects(
    eta, log_ratio, mean, root, group, floor, dense, z, over_points, square, row, mean_bar, root_bar
):
    """The loop of `log_marginal_pass`."""
    weight, factor = over_points[0], over_points[1]
    used, second, kappa, first, solved = square[0], square[1], row[0], row[1], row[2]
    value = 0.0
    for s in range(eta.shape[0]):
        own, own_bar = root[group[s]], root_bar[group[s]]
        any_raised = raised(own, floor[s], dense, used, kappa)
        log_marginal, total = weigh(eta, log_ratio, s, mean[s], used, dense, z, weight)
        value += log_marginal
        if any_raised:
            value += continued(z, weight, total, kappa, first, second)
            _reweighted(z, kappa, second, factor, weight)
        if dense:
            _dense_slopes(z, weight, total, own, first, second, solved, mean_bar[s], own_bar)
        else:
            _diagonal_slopes(z, weight, total, own, used, kappa, first, second, mean_bar[s], own_bar)
    return value
