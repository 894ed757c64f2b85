"""Heavy tails told from heaps, and mixtures that lie where the points are."""

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm

import hierrl as hr
from hierrl.importance import highest_modes, penalised_modes
from hierrl.importance.mixtures import N_RESAMPLED, parts_of, resampled
from hierrl.importance.pareto import ENOUGH_TO_LOOK_HIGHER, FLAT, effective_size, pareto_k, tail_index
from hierrl.kernels.problem import prepare

N_SETS = 400


def normalised(weight):
    return weight / weight.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("n_points", [1024, 4096])
@pytest.mark.parametrize(("share", "height"), [(0.02, 5.0), (0.03, 10.0)])
def test_bounded_weights_with_a_heap_are_no_heavy_tail(share, height, n_points):
    rng = np.random.default_rng(1)
    heap = rng.random((N_SETS, n_points)) < share
    many = 1 + 0.05 * rng.random((N_SETS, n_points))
    weight = normalised(np.where(heap, height * rng.uniform(0.3, 1, heap.shape), many))
    assert (pareto_k(weight) > 0.7).mean() > 0.9, "the usual tail is fooled"
    assert (tail_index(weight) > 0.7).mean() < 0.4
    # and the mean that such weights estimate is as good as it looks
    values = rng.standard_normal((N_SETS, n_points))
    spread = (weight * values).sum(axis=1).std() * np.sqrt(1 / (weight**2).sum(axis=1).mean())
    assert spread == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("n_points", [1024, 4096])
@pytest.mark.parametrize("k", [0.8, 1.0, 1.5])
def test_heavy_tails_are_found_as_before(k, n_points):
    weight = normalised(np.random.default_rng(2).random((N_SETS, n_points)) ** -k)
    missed = (pareto_k(weight) > 0.7) & ~(tail_index(weight) > 0.7)
    assert missed.mean() <= 0.13
    assert k < 1 or missed.mean() < 0.03


@pytest.mark.parametrize("n_points", [64, 256, 512])
def test_few_points_are_judged_by_the_usual_tail(n_points):
    weight = normalised(np.random.default_rng(8).random((N_SETS, n_points)) ** -1.0)
    np.testing.assert_array_equal(tail_index(weight), pareto_k(weight))


@pytest.mark.parametrize("n_points", [64, 1024])
@pytest.mark.parametrize("n_used", [1, 3])
def test_a_few_points_with_all_the_weight_are_a_heavy_tail(n_used, n_points):
    weight = np.zeros((1, n_points))
    weight[0, :n_used] = 1 / n_used
    assert tail_index(weight) > 1


def test_a_tail_of_index_one_seldom_leaves_a_tenth_of_many_points_effective():
    weight = normalised(np.random.default_rng(9).random((2000, ENOUGH_TO_LOOK_HIGHER)) ** -1.0)
    assert (effective_size(weight) >= FLAT * ENOUGH_TO_LOOK_HIGHER).mean() < 0.05


def test_light_tails_keep_their_index_and_weights_of_nothing_have_none():
    weight = normalised(np.random.default_rng(3).random((50, 1024)) ** -0.3)
    np.testing.assert_array_equal(tail_index(weight), pareto_k(weight))
    assert np.isnan(tail_index(np.full((2, 1024), np.nan))).all()
    one_is_bad = np.where(np.arange(1024) == 5, np.nan, weight[:1])
    assert np.isnan(tail_index(np.append(one_is_bad, weight[1:2], axis=0))).tolist() == [True, False]


def test_resampled_points_stand_for_the_weights():
    weight = normalised(np.random.default_rng(4).random((3, 100)) ** 4)
    counts = np.stack([np.bincount(row, minlength=100) for row in resampled(weight, 500)])
    np.testing.assert_allclose(counts / 500, weight, atol=1 / 500)


def test_points_without_weight_are_never_resampled():
    weight = np.random.default_rng(10).random((50, 64))
    weight[:, :5] = weight[:, 20:40] = weight[:, -7:] = 0.0
    picked = resampled(normalised(weight), 500)
    assert (np.take_along_axis(weight, picked, axis=1) > 0).all()


def two_modes(n_points, rng):
    """Points of a wide proposal with the weights of two distant normal parts, 9 to 1, for a few subjects."""
    eta = rng.normal(0, 4, (4, 2, n_points))
    parts = [(0.9, [-3.0, 1.0], 1.0), (0.1, [3.0, -1.0], 0.5)]
    target = logsumexp(
        [np.log(p) + norm.logpdf(eta, np.array(m)[:, None], s).sum(axis=1) for p, m, s in parts], axis=0
    )
    log_weight = target - norm.logpdf(eta, 0, 4).sum(axis=1)
    return eta, np.exp(log_weight - logsumexp(log_weight, axis=1, keepdims=True))


def test_a_small_mode_far_away_gets_a_part_of_its_own():
    eta, weight = two_modes(8192, np.random.default_rng(5))
    centre, covariance = parts_of(eta, weight, 2)
    order = np.argsort(centre[:, :, 0], axis=0)
    left, right = (np.take_along_axis(centre, order[k][None, :, None], axis=0)[0] for k in (0, 1))
    np.testing.assert_allclose(left, np.tile([-3.0, 1.0], (4, 1)), atol=0.25)
    np.testing.assert_allclose(right, np.tile([3.0, -1.0], (4, 1)), atol=0.25)
    sd = np.sqrt(np.take_along_axis(covariance, order[1][None, :, None, None], axis=0)[0][:, 0, 0])
    np.testing.assert_allclose(sd, 0.5, atol=0.25)


@pytest.mark.parametrize("shape", [(1, 64), (2, 256)])
@pytest.mark.parametrize("n_parts", [1, 2, 4])
def test_parts_of_any_points_can_be_drawn_from(n_parts, shape):
    n_parameters, n_points = shape
    eta = np.random.default_rng(6).normal(size=(3, *shape))
    lonely = np.zeros((3, n_points))
    lonely[:, 7] = 1.0  # one point has all the weight
    for weight in (np.full((3, n_points), 1 / n_points), lonely):
        centre, covariance = parts_of(eta, weight, n_parts)
        assert centre.shape == (n_parts, 3, n_parameters)
        assert np.isfinite(np.linalg.cholesky(covariance)).all()


def test_one_part_has_the_moments_of_the_points():
    rng = np.random.default_rng(7)
    eta, weight = rng.normal(2.0, 3.0, (5, 3, N_RESAMPLED)), np.full((5, N_RESAMPLED), 1 / N_RESAMPLED)
    centre, covariance = parts_of(eta, weight, 1)
    np.testing.assert_allclose(centre[0], eta.mean(axis=2), atol=1e-9)
    np.testing.assert_allclose(covariance[0], [np.cov(one, bias=True) for one in eta], rtol=0.02, atol=0.02)


def test_the_highest_mode_is_found_from_any_of_the_starts():
    task = hr.Bandit((0.8, 0.2), n_trials=120, reverse_every=30)
    truth = {"alpha": 0.3, "beta": 0.5, "alpha_choice": [0.05, 0.9, 0.4], "beta_choice": [8.0, 3.0, -2.0]}
    model = hr.model("subvalue")
    problem = prepare(model, hr.simulate(model, task, truth, random_seed=1))
    rng = np.random.default_rng(8)
    begins = [np.zeros(4), *rng.normal(0, 2, (4, 3, 4))]
    one_by_one = [penalised_modes(problem, 0.0, 3.0, start=np.broadcast_to(b, (3, 4))) for b in begins]
    best = highest_modes(problem, 0.0, 3.0, starts=begins)
    np.testing.assert_array_equal(best.value, np.max([one.value for one in one_by_one], axis=0))
    assert (best.value > one_by_one[0].value - 1e-9).all()
    loglik = problem.loglik(problem.from_link(best.eta))
    np.testing.assert_allclose(best.value, loglik + norm.logpdf(best.eta, 0, 3).sum(axis=1), atol=1e-8)
