"""Weights of importance points in vector instructions: the exponential, values and gradients."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import approx_fprime
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm

from hierrl.kernels.correlation import correlation_root
from hierrl.kernels.exponential import exp_negative
from hierrl.kernels.jit import njit
from hierrl.kernels.points import log_marginal_pass
from hierrl.kernels.population import group_pass
from hierrl.kernels.resampling import log_marginals_at, resample

N_POINTS = 37


@njit(nogil=True)
def exponentials(x):
    out = np.empty(x.size, x.dtype)
    for j in range(x.size):
        out[j] = exp_negative(x[j])
    return out


@given(st.lists(st.floats(-708, 0), min_size=1, max_size=40))
def test_the_exponential_is_exact_to_rounding(values):
    x = np.array(values)
    np.testing.assert_allclose(exponentials(x), np.exp(x), rtol=3e-14)


@given(st.lists(st.floats(-87, 0, width=32), min_size=1, max_size=40))
def test_the_exponential_in_single_precision_is_nearly_exact_to_rounding(values):
    x = np.array(values, dtype=np.float32)
    np.testing.assert_allclose(exponentials(x), np.exp(x.astype(np.float64)), rtol=5e-7)


def test_the_exponential_of_very_small_numbers_is_next_to_nothing():
    assert (exponentials(np.array([-709.0, -1e5, -1e300, -np.inf])) < 1e-300).all()


def study(n_parameters: int, dense: bool, *, floor: float = 0.0, seed: int = 0) -> dict[str, np.ndarray]:
    """Points of five subjects in two groups, whose populations differ."""
    rng = np.random.default_rng(seed)
    root = np.tril(rng.normal(0, 0.5, (2, n_parameters, n_parameters)), -1)
    root = root * dense + rng.uniform(0.5, 1.5, (2, 1, n_parameters)) * np.eye(n_parameters)
    return {
        "eta": rng.normal(size=(5, n_parameters, N_POINTS)),
        "log_ratio": rng.normal(0, 3, (5, N_POINTS)),
        "mean": rng.normal(0, 0.5, (5, n_parameters)),
        "root": root,
        "group": np.array([0, 1, 0, 1, 1]),
        "floor": floor * rng.uniform(0.5, 1.5, (5, n_parameters)),
    }


def single(study: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same points in single precision."""
    return {**study, **{name: study[name].astype(np.float32) for name in ("eta", "log_ratio")}}


def log_marginal(study: dict[str, np.ndarray], dense: bool) -> tuple[float, np.ndarray, np.ndarray]:
    slopes = np.full(study["mean"].shape, np.nan), np.full(study["root"].shape, np.nan)
    return log_marginal_pass(*study.values(), dense, *slopes), *slopes


CASES = [(1, False), (2, False), (2, True), (3, False), (4, True)]


@pytest.mark.parametrize(("n_parameters", "dense"), CASES)
def test_the_value_is_the_mean_of_the_weights(n_parameters, dense):
    given_ = study(n_parameters, dense)
    expected = 0.0
    for s, group in enumerate(given_["group"]):
        covariance = np.linalg.inv(given_["root"][group].T @ given_["root"][group])
        density = multivariate_normal(given_["mean"][s], covariance).logpdf(given_["eta"][s].T)
        expected += logsumexp(given_["log_ratio"][s] + density) - np.log(N_POINTS)
    assert log_marginal(given_, dense)[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("floor", [0.0, 1.0, 3.0])
@pytest.mark.parametrize(("n_parameters", "dense"), CASES)
def test_the_gradient_is_that_of_finite_differences(n_parameters, dense, floor):
    given_, step = study(n_parameters, dense, floor=floor), 1e-6
    slopes = dict(zip(("mean", "root"), log_marginal(given_, dense)[1:], strict=True))
    for name, slope in slopes.items():
        for at in np.ndindex(slope.shape):
            if name == "root" and (at[2] > at[1] or (not dense and at[2] < at[1])):
                continue
            around = [{**given_, name: given_[name].copy()} for _ in range(2)]
            around[0][name][at] += step
            around[1][name][at] -= step
            up, down = (log_marginal(each, dense)[0] for each in around)
            assert slope[at] == pytest.approx((up - down) / (2 * step), rel=1e-5, abs=1e-6), (name, at)


@pytest.mark.parametrize(("n_parameters", "dense"), CASES)
def test_single_precision_is_enough(n_parameters, dense):
    given_ = study(n_parameters, dense, floor=1.0)
    exact, rounded = log_marginal(given_, dense), log_marginal(single(given_), dense)
    for one, other in zip(exact, rounded, strict=True):
        np.testing.assert_allclose(one, other, rtol=3e-5, atol=3e-5)


@pytest.mark.parametrize("n_partial", [0, 1, 3])
def test_all_numbers_of_a_population_in_one_vector(n_partial):
    rng = np.random.default_rng(3)
    n, n_groups = (3, 1) if n_partial == 3 else (2, 1) if n_partial else (2, 2)
    points = study(n, bool(n_partial))
    owner, design = np.array([0, 1, 0, *range(2, n)]), rng.normal(size=(5, n + 1))
    group, floor = np.arange(5) % n_groups, np.zeros((5, n))
    shapes, centre = rng.uniform(1, 3, n_partial), rng.normal(0, 0.3, (5, n))
    phi = rng.normal(0, 0.4, owner.size + n * n_groups + n_partial)
    given_ = (design, owner, group, floor, centre, points["eta"], points["log_ratio"])

    def value_and_slope(at):
        slope = np.full(phi.size, np.nan)
        return group_pass(at, shapes, *given_, slope), slope

    value, slope = value_and_slope(phi)
    mean = (design * phi[: owner.size]) @ np.eye(n)[owner] - centre
    sigma = np.exp(phi[owner.size : phi.size - n_partial]).reshape(n, n_groups).T
    partial = np.tanh(phi[phi.size - n_partial :] / 2)
    correlation = (
        np.linalg.inv(correlation_root(partial).T @ correlation_root(partial)) if n_partial else np.eye(n)
    )
    expected = (shapes * (np.log((1 + partial) / 2) + np.log((1 - partial) / 2))).sum()
    for s in range(5):
        covariance = correlation * np.outer(sigma[group[s]], sigma[group[s]])
        density = multivariate_normal(mean[s], covariance).logpdf(points["eta"][s].T)
        expected += logsumexp(points["log_ratio"][s] + density) - np.log(N_POINTS)
    assert value == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(slope, approx_fprime(phi, lambda at: value_and_slope(at)[0], 1e-7), atol=1e-4)


def test_points_that_all_are_impossible_give_no_number():
    given_ = study(2, False)
    given_["log_ratio"][1] = -np.inf
    assert np.isnan(log_marginal(given_, False)[0])


def test_a_population_of_no_width_gives_no_number():
    given_ = study(2, False)
    given_["root"][0, 0, 0] = np.inf
    assert not np.isfinite(log_marginal(given_, False)[0])


WIDTH, CENTRE = 0.8, 0.4


def normal_likelihood(n_points: int) -> dict[str, np.ndarray]:
    """Points of one subject with the likelihood N(CENTRE, WIDTH^2), spread evenly over quantiles."""
    eta = norm.ppf((np.arange(n_points) + 0.5) / n_points, CENTRE, 1.3 * WIDTH)[None, None]
    log_ratio = (norm.logpdf(eta, CENTRE, WIDTH) - norm.logpdf(eta, CENTRE, 1.3 * WIDTH))[0]
    rest = {"group": np.zeros(1, np.int64), "floor": np.full((1, 1), 0.3 * WIDTH)}
    return {"eta": eta, "log_ratio": log_ratio, "mean": np.zeros((1, 1)), "root": np.ones((1, 1, 1)), **rest}


@pytest.mark.parametrize("mean", [-1.0, 0.4, 1.5])
@pytest.mark.parametrize("sd", [1e-6, 0.05, 0.2, 0.5])
def test_spreads_without_points_are_extrapolated_well(mean, sd):
    given_ = normal_likelihood(400)
    given_["mean"][:], given_["root"][:] = mean, 1 / sd
    exact = norm.logpdf(mean, CENTRE, np.hypot(WIDTH, sd))
    assert log_marginal(given_, False)[0] == pytest.approx(exact, abs=0.015)


@pytest.mark.parametrize("sd", [1e-6, 0.05, 0.2, 0.5])
def test_subjects_of_a_narrow_population_are_drawn_from_their_posterior(sd):
    given_, n, mean = normal_likelihood(2000), 4000, -0.5
    share = (np.arange(n)[:, None] + 0.5) / n
    drawn, effects = np.empty((n, 1, 1)), np.full((n, 1), mean)
    root, one, nobody = np.full((n, 1, 1, 1), 1 / sd), np.ones((1, 1)), np.zeros(1, np.int64)
    rest = (False, one, nobody, given_["group"], given_["floor"], nobody, share, drawn)
    resample(given_["eta"], given_["log_ratio"], effects, root, *rest)
    precision = WIDTH**-2 + sd**-2
    centre, spread = (CENTRE * WIDTH**-2 + mean * sd**-2) / precision, precision**-0.5
    assert drawn.mean() == pytest.approx(centre, abs=0.05 * spread)
    assert drawn.std() == pytest.approx(spread, rel=0.05)


def test_many_populations_are_weighed_as_one_is():
    given_, n = study(2, False, floor=1.0), 5
    rng = np.random.default_rng(3)
    effects, design = rng.normal(size=(n, 3)), rng.normal(size=(5, 3))
    owner, value = np.array([0, 0, 1]), np.empty((n, 5))
    roots = np.stack([given_["root"] * scale for scale in (0.5, 1.0, 2.0, 4.0, 9.0)])
    points = given_["eta"], given_["log_ratio"]
    where = design, owner, given_["group"], given_["floor"], np.arange(5)
    log_marginals_at(*points, effects, roots, False, *where, value)
    for k in range(n):
        mean = np.stack([design[:, :2] @ effects[k, :2], design[:, 2] * effects[k, 2]], axis=1)
        assert log_marginal({**given_, "mean": mean, "root": roots[k]}, False)[0] == pytest.approx(
            value[k].sum()
        )
