"""Correlation matrices from partial correlations: roots, gradients, and the LKJ prior."""

import numpy as np
import pytest
from scipy.stats import beta

from hierrl.kernels.correlation import correlation_root, correlation_root_pullback, lkj_shapes


def random_partial(n, seed=0, size=0.9):
    return np.random.default_rng(seed).uniform(-size, size, n * (n - 1) // 2)


@pytest.mark.parametrize("n", [2, 3, 6])
def test_the_root_is_that_of_the_inverse_of_a_correlation_matrix(n):
    root = correlation_root(random_partial(n))
    np.testing.assert_array_equal(root, np.tril(root))
    omega = np.linalg.inv(root.T @ root)
    np.testing.assert_allclose(np.diagonal(omega), 1.0)
    assert np.linalg.eigvalsh(omega).min() > 0


def test_two_parameters_have_their_partial_correlation():
    root = correlation_root(np.array([0.6]))
    assert np.linalg.inv(root.T @ root)[0, 1] == pytest.approx(0.6)


def test_the_third_pair_is_correlated_as_given_the_first_parameter():
    z = np.array([0.5, -0.3, 0.7])
    root = correlation_root(z)
    omega = np.linalg.inv(root.T @ root)
    given = (omega[1, 2] - omega[0, 1] * omega[0, 2]) / np.sqrt(
        (1 - omega[0, 1] ** 2) * (1 - omega[0, 2] ** 2)
    )
    assert (omega[0, 1], omega[0, 2], given) == pytest.approx(tuple(z))


@pytest.mark.parametrize("n", [2, 3, 5])
def test_the_gradient_agrees_with_differences(n):
    z, bar = random_partial(n, 1), np.random.default_rng(2).normal(size=(n, n))
    found = correlation_root_pullback(z, bar)
    steps = 1e-6 * np.eye(z.size)
    expected = [((correlation_root(z + h) - correlation_root(z - h)) * bar).sum() / 2e-6 for h in steps]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("n", "shape"), [(2, 1.0), (3, 2.0), (4, 1.0), (5, 3.0)])
def test_the_density_is_that_of_lkj(n, shape):
    # log p(Omega) = (shape - 1) log det Omega + const: the rest is the Jacobian of partial -> correlations.
    rows, columns = np.tril_indices(n, -1)

    def correlations(z):
        root = correlation_root(z)
        return np.linalg.inv(root.T @ root)

    values = []
    for seed in range(4):
        z = random_partial(n, seed, size=0.7)
        log_density = beta.logpdf((z + 1) / 2, *[lkj_shapes(n, shape)] * 2).sum() - z.size * np.log(2)
        jacobian = np.stack(
            [
                (correlations(z + h) - correlations(z - h))[rows, columns] / 2e-6
                for h in 1e-6 * np.eye(z.size)
            ],
            axis=1,
        )
        log_det = np.linalg.slogdet(correlations(z))[1]
        values.append(log_density - np.linalg.slogdet(jacobian)[1] - (shape - 1) * log_det)
    np.testing.assert_allclose(values, values[0], atol=1e-5)
