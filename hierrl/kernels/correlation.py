r"""Correlation matrices from partial correlations, as roots of their inverse.

A correlation matrix :math:`\Omega = L L^\top` of P parameters has P (P - 1) / 2 canonical partial correlations
:math:`z_{ij}` in (-1, 1), one for each pair i > j, row by row; any values make a correlation matrix:

.. math:: L_{ij} = z_{ij} \sqrt{\textstyle\prod_{k<j} (1 - z_{ik}^2)}, \qquad
          L_{ii} = \sqrt{\textstyle\prod_{k<i} (1 - z_{ik}^2)}.

Under the LKJ prior with shape :math:`\nu` they are independent, :math:`(z_{ij} + 1) / 2` has a Beta(b, b) distribution
with :math:`b = \nu + (P - 2 - j) / 2`, j from 0 (Lewandowski, Kurowicka and Joe 2009). What densities need is the root
of the inverse, :math:`W = L^{-1}` with :math:`W^\top W = \Omega^{-1}`.
"""

from __future__ import annotations

import numpy as np

from hierrl.kernels.jit import njit
from hierrl.kernels.loops import INNER, JIT


def lkj_shapes(n_parameters, shape):
    """Parameters b (K,) of the beta distributions of the partial correlations under an LKJ prior."""
    column = np.array([j for i in range(n_parameters) for j in range(i)], dtype=np.float64)
    return shape + (n_parameters - 2 - column) / 2


@njit(**INNER)
def _factor(partial, factor):
    """Lower Cholesky factor (P, P) of the correlation matrix."""
    k = 0
    for i in range(factor.shape[0]):
        rest = 1.0
        for j in range(i):
            factor[i, j] = partial[k] * np.sqrt(rest)
            rest *= 1.0 - partial[k] * partial[k]
            k += 1
        factor[i, i] = np.sqrt(rest)


@njit(**INNER)
def _invert_lower(factor, root):
    """root = factor^-1, both lower triangular."""
    n = factor.shape[0]
    for j in range(n):
        root[j, j] = 1.0 / factor[j, j]
        for i in range(j + 1, n):
            total = 0.0
            for k in range(j, i):
                total += factor[i, k] * root[k, j]
            root[i, j] = -total / factor[i, i]


@njit(**INNER)
def _n_parameters(n_pairs):
    return int(round((1.0 + np.sqrt(1.0 + 8.0 * n_pairs)) / 2.0))


@njit(**JIT)
def correlation_root(partial):
    """W (P, P), lower triangular, from partial correlations (K,)."""
    n = _n_parameters(partial.size)
    factor, root = np.zeros((n, n)), np.zeros((n, n))
    _factor(partial, factor)
    _invert_lower(factor, root)
    return root


@njit(**JIT)
def correlation_root_pullback(partial, root_bar):
    """Gradient in the partial correlations (K,) from that in W (P, P).

    A partial correlation moves one row of L only, and dW = -W dL W.
    """
    n = _n_parameters(partial.size)
    factor, root = np.zeros((n, n)), np.zeros((n, n))
    _factor(partial, factor)
    _invert_lower(factor, root)
    bar, row_bar = np.zeros(partial.size), np.zeros((n, n))
    for i in range(n):
        # What L's row i gets: -(W^T root_bar W^T)[i].
        for b in range(n):
            left = 0.0
            for a in range(n):
                left += root[a, i] * root_bar[a, b]
            for j in range(n):
                row_bar[i, j] -= left * root[j, b]
    k = 0
    for i in range(n):
        for j in range(i):
            room = factor[i, i] * factor[i, i]
            for later in range(j, i):
                room += factor[i, later] * factor[i, later]
            bar[k] += row_bar[i, j] * np.sqrt(room)
            shrink = partial[k] / (1.0 - partial[k] * partial[k])
            for later in range(j + 1, i + 1):
                bar[k] -= row_bar[i, later] * factor[i, later] * shrink
            k += 1
    return bar
