r"""Importance points of the subjects under many populations: marginal likelihoods, and draws of the subjects.

Population n has effects (T,) and a root W (G, P, P) of the precision for each of G groups; subject s has the mean
:math:`\mu_a = \sum_t x_{st} \gamma_t` over the effects t of parameter a. See `hierrl.kernels.points` for the weights.
"""

from __future__ import annotations

import numpy as np

from hierrl.kernels.jit import njit
from hierrl.kernels.loops import INNER, JIT, fill
from hierrl.kernels.points import weigh


@njit(**INNER)
def _subject_mean(effects, row, owner, mean):
    """Population mean (P,) of a subject from its row (T,) of the design."""
    fill(mean, 0.0)
    for t in range(effects.size):
        mean[owner[t]] += row[t] * effects[t]


@njit(**JIT)
def log_marginals_at(eta, log_ratio, effects, root, dense, design, owner, group, subjects, value):
    """Log marginal likelihoods, value (N, S), under N populations: effects (N, T), root (N, G, P, P)."""
    n, n_points = eta.shape[1:]
    mean, z, weight = np.empty(n), np.empty((n, n_points)), np.empty(n_points)
    for s in subjects:
        for k in range(effects.shape[0]):
            _subject_mean(effects[k], design[s], owner, mean)
            value[k, s] = weigh(eta, log_ratio, s, mean, root[k, group[s]], dense, z, weight)[0]


@njit(**JIT)
def resample(eta, log_ratio, effects, root, dense, design, owner, group, subjects, share, drawn):
    """One point of each subject for each population, drawn (N, S, P); share (N, S) in [0, 1) says which."""
    n, n_points = eta.shape[1:]
    mean, z, weight = np.empty(n), np.empty((n, n_points)), np.empty(n_points)
    for s in subjects:
        for k in range(effects.shape[0]):
            _subject_mean(effects[k], design[s], owner, mean)
            total = weigh(eta, log_ratio, s, mean, root[k, group[s]], dense, z, weight)[1]
            left, at = share[k, s] * total, 0
            while at < n_points - 1 and left >= weight[at]:
                left -= weight[at]
                at += 1
            for a in range(n):
                drawn[k, s, a] = eta[s, a, at]
