r"""Importance points of the subjects under many populations: marginal likelihoods, and draws of the subjects.

Population n has effects (T,) and a root W (G, P, P) of the precision for each of G groups; subject s has the mean
:math:`\mu_a = \sum_t x_{st} \gamma_t` over the effects t of parameter a. See `hierrl.kernels.points` for the weights.

A point that was drawn under a raised standard deviation f is then pulled towards the mean by what the true one,
:math:`\sigma`, knows more: an observation of the mean with precision :math:`\sigma^{-2} - f^{-2}`, in the square-root
form of the Kalman filter (Whitaker & Hamill 2002), which is exact where the subject's posterior is normal. A
population without spread pulls to its mean.
"""

from __future__ import annotations

import numpy as np

from hierrl.kernels.jit import njit
from hierrl.kernels.loops import INNER, JIT, fill
from hierrl.kernels.points import continued, raised, weigh


@njit(**INNER)
def _subject_mean(effects, row, owner, mean):
    """Population mean (P,) of a subject from its row (T,) of the design."""
    fill(mean, 0.0)
    for t in range(effects.size):
        mean[owner[t]] += row[t] * effects[t]


@njit(**JIT)
def log_marginals_at(eta, log_ratio, effects, root, dense, design, owner, group, floor, subjects, value):
    """Log marginal likelihoods, value (N, S), under N populations: effects (N, T), root (N, G, P, P)."""
    n, n_points = eta.shape[1:]
    mean, z, weight = np.empty(n), np.empty((n, n_points), eta.dtype), np.empty(n_points, eta.dtype)
    used, kappa, first, second = np.empty((n, n)), np.empty(n), np.empty(n), np.empty((n, n))
    for s in subjects:
        for k in range(effects.shape[0]):
            _subject_mean(effects[k], design[s], owner, mean)
            any_raised = raised(root[k, group[s]], floor[s], dense, used, kappa)
            value[k, s], total = weigh(eta, log_ratio, s, mean, used, dense, z, weight)
            if any_raised:
                value[k, s] += continued(z, weight, total, kappa, first, second)


@njit(**JIT)
def shares_at(eta, log_ratio, effects, root, dense, design, owner, group, floor, subjects, share):
    """Normalised weights, share (S, J), under one population: effects (T,), root (G, P, P)."""
    n, n_points = eta.shape[1:]
    mean, z, used, kappa = np.empty(n), np.empty((n, n_points)), np.empty((n, n)), np.empty(n)
    for s in subjects:
        _subject_mean(effects, design[s], owner, mean)
        raised(root[group[s]], floor[s], dense, used, kappa)
        total = weigh(eta, log_ratio, s, mean, used, dense, z, share[s])[1]
        for j in range(n_points):
            share[s, j] /= total


@njit(**JIT)
def resample(eta, log_ratio, effects, root, dense, design, owner, group, floor, subjects, share, drawn):
    """One point of each subject for each population, drawn (N, S, P); share (N, S) in [0, 1) says which."""
    n, n_points = eta.shape[1:]
    mean, z, weight = np.empty(n), np.empty((n, n_points), eta.dtype), np.empty(n_points, eta.dtype)
    used, kappa, centre, covariance = np.empty((n, n)), np.empty(n), np.empty(n), np.empty((n, n))
    for s in subjects:
        for k in range(effects.shape[0]):
            own = root[k, group[s]]
            _subject_mean(effects[k], design[s], owner, mean)
            any_raised = raised(own, floor[s], dense, used, kappa)
            total = weigh(eta, log_ratio, s, mean, used, dense, z, weight)[1]
            at = _picked(weight, share[k, s] * total)
            for a in range(n):
                drawn[k, s, a] = eta[s, a, at]
            if any_raised:
                _moments(eta, s, weight, total, centre, covariance)
                _pull(drawn[k, s], mean, own, used, kappa, centre, covariance)


@njit(**INNER)
def _picked(weight, left):
    """The point up to which weights add up to `left`."""
    at = 0
    while at < weight.size - 1 and left >= weight[at]:
        left -= weight[at]
        at += 1
    return at


@njit(**INNER)
def _moments(eta, s, weight, total, centre, covariance):
    """Weighted mean (P,) and covariance (P, P) of a subject's points."""
    for a in range(centre.size):
        centre[a] = 0.0
        for j in range(weight.size):
            centre[a] += weight[j] * eta[s, a, j]
        centre[a] /= total
    for a in range(centre.size):
        for b in range(a + 1):
            covariance[a, b] = 0.0
            for j in range(weight.size):
                covariance[a, b] += weight[j] * (eta[s, a, j] - centre[a]) * (eta[s, b, j] - centre[b])
            covariance[a, b] /= total
            covariance[b, a] = covariance[a, b]


@njit(**INNER)
def _pull(point, mean, root, used, kappa, centre, covariance):
    """Move a point (P,) as the raised parameters' true spreads say, one after the other; uses up the moments."""
    n = point.size
    gain = np.empty(n)
    for a in range(n):
        if kappa[a] < 0.0:
            noise = 1.0 / (root[a, a] ** 2 - used[a, a] ** 2)
            spread = covariance[a, a] + noise
            share = 1.0 / (1.0 + np.sqrt(noise / spread))
            beyond, off = mean[a] - centre[a], point[a] - centre[a]
            for b in range(n):
                gain[b] = covariance[b, a] / spread
            for b in range(n):
                point[b] += gain[b] * (beyond - share * off)
                centre[b] += gain[b] * beyond
            for b in range(n):
                for c in range(n):
                    covariance[b, c] -= gain[b] * gain[c] * spread
