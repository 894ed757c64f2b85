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
def conditional(mean, precision, curvature, pull, a, r, w):
    """Factor r of A, and w = R^-1 (b + Lambda mu), so that R^-T w is the mean given the site."""
    n = mean.size
    for i in range(n):
        w[i] = pull[i]
        for k in range(n):
            a[i, k] = curvature[i, k] + precision[i, k]
            w[i] += precision[i, k] * mean[k]
    if not factorise(a, r):
        return False
    solve_lower(r, w)
    return True


@njit(**JIT)
def informed_map(z, mean, precision, group, curvature, pull):
    """eta (S, P) and log-Jacobian (S,); NaN and -inf where the population is degenerate."""
    n_subjects, n = z.shape
    eta, log_jacobian = np.full((n_subjects, n), np.nan), np.full(n_subjects, -np.inf)
    a, r, w = np.empty((n, n)), np.zeros((n, n)), np.empty(n)
    for s in range(n_subjects):
        if conditional(mean[s], precision[group[s]], curvature[s], pull[s], a, r, w):
            for i in range(n):
                eta[s, i] = w[i] + z[s, i]
            solve_upper(r, eta[s])
            log_jacobian[s] = 0.0
            for i in range(n):
                log_jacobian[s] -= np.log(r[i, i])
    return eta, log_jacobian


@njit(**JIT)
def informed_coordinates(eta, mean, precision, group, curvature, pull):
    """The inverse of `informed_map`: z (S, P) for given eta (S, P)."""
    n_subjects, n = eta.shape
    z = np.full((n_subjects, n), np.nan)
    a, r, w = np.empty((n, n)), np.zeros((n, n)), np.empty(n)
    for s in range(n_subjects):
        if conditional(mean[s], precision[group[s]], curvature[s], pull[s], a, r, w):
            for i in range(n):
                z[s, i] = -w[i]
                for k in range(i, n):
                    z[s, i] += r[k, i] * eta[s, k]
    return z


@njit(**JIT)
def informed_pullback(z, mean, precision, group, curvature, pull, eta_bar, jacobian_bar):
    """Gradients in z (S, P), mean (S, P), precision (G, P, P) from those in eta (S, P) and log-Jacobian (S,)."""
    n_subjects, n = z.shape
    z_bar, mean_bar, precision_bar = np.zeros(z.shape), np.zeros(z.shape), np.zeros(precision.shape)
    a, r, r_bar = np.empty((n, n)), np.zeros((n, n)), np.zeros((n, n))
    w, eta, back = np.empty(n), np.empty(n), np.empty(n)
    for s in range(n_subjects):
        g = group[s]
        if not conditional(mean[s], precision[g], curvature[s], pull[s], a, r, w):
            continue
        slopes = z_bar[s]
        for i in range(n):
            eta[i], slopes[i] = w[i] + z[s, i], eta_bar[s, i]
        solve_upper(r, eta)
        solve_lower(r, slopes)
        for i in range(n):
            back[i] = slopes[i]
        solve_upper(r, back)
        for i in range(n):
            for k in range(n):
                mean_bar[s, i] += precision[g, i, k] * back[k]
                precision_bar[g, i, k] += 0.5 * (back[i] * mean[s, k] + back[k] * mean[s, i])
            for j in range(i + 1):
                r_bar[i, j] = -eta[i] * slopes[j] - back[i] * w[j]
            r_bar[i, i] -= jacobian_bar[s] / r[i, i]
        _through_factor(r, r_bar, a, precision_bar[g])
    return z_bar, mean_bar, precision_bar


@njit(**INNER)
def _through_factor(r, r_bar, work, a_bar):
    """Back through A = R R^T (Murray 2016): adds R^-T Phi(R^T R_bar) R^-1, made symmetric, to a_bar."""
    n = r.shape[0]
    for i in range(n):
        for j in range(i + 1):
            total = 0.0
            for k in range(i, n):
                total += r[k, i] * r_bar[k, j]
            # Phi halves the diagonal; half is also what the symmetric part keeps of the rest.
            work[i, j] = work[j, i] = 0.5 * total
    for j in range(n):
        solve_upper(r, work[:, j])
    for i in range(n):
        solve_upper(r, work[i])
    for i in range(n):
        for j in range(n):
            a_bar[i, j] += work[i, j]


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
