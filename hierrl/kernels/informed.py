r"""The informed map: from coordinates of a sampler to parameters of subjects, given population and sites.

Subject s has the population :math:`N(\mu_s, \Lambda^{-1})` and a site, a Gaussian stand-in of its
log-likelihood with curvature :math:`H_s` and pull :math:`b_s` (its gradient at 0). With
:math:`A = H_s + \Lambda = R R^\top`,

.. math:: \eta_s = A^{-1} (b_s + \Lambda \mu_s) + R^{-\top} z_s, \qquad
          \log |d\eta_s / dz_s| = -\sum_j \log R_{jj}.

It is a change of variables, right for any site; where the log-likelihood is nearly quadratic, z is nearly
standard normal and independent of the population.

Shapes: z, mean, pull, eta (S, P); curvature (S, P, P); precision (G, P, P) of G groups of subjects, and the
group (S,) of each. Matrices are small, so plain loops beat library calls; and arrays are never assigned to
slices, as numba would compile an error message for each such line, which takes longer than all the rest.
"""

from __future__ import annotations

import numpy as np

from hierrl.kernels.jit import njit
from hierrl.kernels.loops import INNER, JIT
from hierrl.kernels.ownership import keep, uncounted


@njit(**INNER)
def factorise(a, r):
    """Lower Cholesky factor r (P, P) of a (P, P); False if a isn't positive definite (or has NaN)."""
    for i in range(a.shape[0]):
        for j in range(i + 1):
            total = a[i, j]
            for k in range(j):
                total -= r[i, k] * r[j, k]
            if i > j:
                r[i, j] = total / r[j, j]
            elif total > 0.0:
                r[i, i] = np.sqrt(total)
            else:
                return False
    return True


@njit(**INNER)
def solve_lower(r, x):
    """x becomes R^-1 x."""
    for i in range(x.size):
        for k in range(i):
            x[i] -= r[i, k] * x[k]
        x[i] /= r[i, i]


@njit(**INNER)
def solve_upper(r, x):
    """x becomes R^-T x."""
    for i in range(x.size - 1, -1, -1):
        for k in range(i + 1, x.size):
            x[i] -= r[k, i] * x[k]
        x[i] /= r[i, i]


@njit(**INNER)
def conditional(mean, precision, curvature, pull, s, g, a, r, w):
    """Of subject s in group g: factor r of A, and w = R^-1 (b + Lambda mu); R^-T w is the mean given the site."""
    n = w.size
    for i in range(n):
        w[i] = pull[s, i]
        for k in range(n):
            a[i, k] = curvature[s, i, k] + precision[g, i, k]
            w[i] += precision[g, i, k] * mean[s, k]
    if not factorise(a, r):
        return False
    solve_lower(r, w)
    return True


@njit(**JIT)
def informed_map(z, mean, precision, group, curvature, pull):
    """eta (S, P) and log-Jacobian (S,); NaN and -inf where the population is degenerate."""
    n_subjects, n = z.shape
    eta, log_jacobian = np.full((n_subjects, n), np.nan), np.full(n_subjects, -np.inf)
    work = np.zeros((2, n, n))
    row, given = np.empty(n), (uncounted(mean), uncounted(precision), uncounted(curvature), uncounted(pull))
    _map_all(
        uncounted(z), group, *given, uncounted(work), uncounted(row), uncounted(eta), uncounted(log_jacobian)
    )
    keep(work, row)
    return eta, log_jacobian


@njit(**INNER)
def _map_all(z, group, mean, precision, curvature, pull, work, row, eta, log_jacobian):
    a, r, n = work[0], work[1], row.size
    for s in range(z.shape[0]):
        if not conditional(mean, precision, curvature, pull, s, group[s], a, r, row):
            continue
        log_jacobian[s] = 0.0
        for i in range(n):
            row[i] += z[s, i]
            log_jacobian[s] -= np.log(r[i, i])
        solve_upper(r, row)
        for i in range(n):
            eta[s, i] = row[i]


@njit(**JIT)
def informed_coordinates(eta, mean, precision, group, curvature, pull):
    """The inverse of `informed_map`: z (S, P) for given eta (S, P)."""
    n_subjects, n = eta.shape
    z = np.full((n_subjects, n), np.nan)
    a, r, w = np.empty((n, n)), np.zeros((n, n)), np.empty(n)
    for s in range(n_subjects):
        if conditional(mean, precision, curvature, pull, s, group[s], a, r, w):
            for i in range(n):
                z[s, i] = -w[i]
                for k in range(i, n):
                    z[s, i] += r[k, i] * eta[s, k]
    return z


@njit(**JIT)
def informed_pullback(z, mean, precision, group, curvature, pull, eta_bar, jacobian_bar):
    """Gradients in z (S, P), mean (S, P), precision (G, P, P) from those in eta (S, P) and log-Jacobian (S,)."""
    n = z.shape[1]
    z_bar, mean_bar, precision_bar = np.zeros(z.shape), np.zeros(z.shape), np.zeros(precision.shape)
    work, rows = np.zeros((4, n, n)), np.empty((4, n))
    given = (uncounted(mean), uncounted(precision), uncounted(curvature), uncounted(pull))
    bars = (uncounted(eta_bar), uncounted(jacobian_bar))
    out = (uncounted(z_bar), uncounted(mean_bar), uncounted(precision_bar))
    _pull_back_all(uncounted(z), group, *given, *bars, uncounted(work), uncounted(rows), *out)
    keep(work, rows)
    return z_bar, mean_bar, precision_bar


@njit(**INNER)
def _pull_back_all(
    z,
    group,
    mean,
    precision,
    curvature,
    pull,
    eta_bar,
    jacobian_bar,
    work,
    rows,
    z_bar,
    mean_bar,
    precision_bar,
):
    a, r, r_bar, a_bar = work[0], work[1], work[2], work[3]
    w, eta, slopes, back = rows[0], rows[1], rows[2], rows[3]
    n = w.size
    for s in range(z.shape[0]):
        g = group[s]
        if not conditional(mean, precision, curvature, pull, s, g, a, r, w):
            continue
        for i in range(n):
            eta[i], slopes[i] = w[i] + z[s, i], eta_bar[s, i]
        solve_upper(r, eta)
        solve_lower(r, slopes)
        for i in range(n):
            z_bar[s, i] = back[i] = slopes[i]
        solve_upper(r, back)
        for i in range(n):
            for j in range(i + 1):
                r_bar[i, j] = -eta[i] * slopes[j] - back[i] * w[j]
            r_bar[i, i] -= jacobian_bar[s] / r[i, i]
        _through_factor(r, r_bar, a_bar)
        for i in range(n):
            for k in range(n):
                mean_bar[s, i] += precision[g, i, k] * back[k]
                half = 0.5 * (back[i] * mean[s, k] + back[k] * mean[s, i])
                precision_bar[g, i, k] += half + a_bar[i, k]


@njit(**INNER)
def _through_factor(r, r_bar, work):
    """Back through A = R R^T (Murray 2016): R^-T Phi(R^T R_bar) R^-1, made symmetric, into work."""
    n = r.shape[0]
    for i in range(n):
        for j in range(i + 1):
            total = 0.0
            for k in range(i, n):
                total += r[k, i] * r_bar[k, j]
            # Phi halves the diagonal; half is also what the symmetric part keeps of the rest.
            work[i, j] = work[j, i] = 0.5 * total
    # From the left, then from the right.
    for j in range(n):
        for i in range(n - 1, -1, -1):
            for k in range(i + 1, n):
                work[i, j] -= r[k, i] * work[k, j]
            work[i, j] /= r[i, i]
    for j in range(n):
        for i in range(n - 1, -1, -1):
            for k in range(i + 1, n):
                work[j, i] -= r[k, i] * work[j, k]
            work[j, i] /= r[i, i]


@njit(**JIT)
def population_mean(effects, design, owner):
    """Population mean (S, P) of each subject from effects (T,), design (S, T) and their parameters (T,)."""
    mean = np.zeros((design.shape[0], owner.max() + 1))
    for s in range(design.shape[0]):
        for t in range(effects.size):
            mean[s, owner[t]] += design[s, t] * effects[t]
    return mean


@njit(**JIT)
def population_mean_pullback(mean_bar, design, owner):
    """Gradient in the effects (T,) from that in the means (S, P)."""
    bar = np.zeros(owner.size)
    for s in range(design.shape[0]):
        for t in range(owner.size):
            bar[t] += design[s, t] * mean_bar[s, owner[t]]
    return bar
