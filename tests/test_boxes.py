"""Enclosures over boxes of shape parameters contain what they enclose; bounds on prices hold and are reached."""

from __future__ import annotations

import numpy as np
import pytest
from builders import random_behaviour
from hypothesis import given, settings
from hypothesis import strategies as st
from vocabulary import few_examples

import hierrl as hr
from hierrl.convex.layout import lay_out
from hierrl.kernels.boxes import INSIDE
from hierrl.kernels.jit import njit
from hierrl.kernels.planes import centre_prices, enclose, plane_bound, plane_prices
from hierrl.kernels.problem import prepare

MODELS = {
    "two rates": hr.Model(channels=(hr.Channel(rate=("up", "down")),)),
    "own decay": hr.Model(channels=(hr.Channel(unchosen="decay", decay="fade", start=0.3),)),
    "three rates": hr.Model(channels=(hr.Channel(rate=("up", "down"), unchosen="decay", decay="fade"),)),
    "start and rates": hr.Model(channels=(hr.Channel(rate=("up", "down"), start="start"),)),
    "adding": hr.Model(channels=(hr.Channel(update="accumulate", unchosen="decay", decay="fade"),)),
    "a rate beside a number": hr.Model(channels=(hr.Channel(rate=(0.3, "down")),)),
    "by reward": hr.Model(channels=(hr.Channel(rate=("up", "down"), rate_by="reward"),)),
    "mirrored": hr.Model(channels=(hr.Channel(rate=("up", "down"), unchosen="mirror", start=0.2),)),
    "fictive": hr.Model(channels=(hr.Channel(rate=("up", "down"), rate_by="reward", unchosen="fictive"),)),
    "power": hr.Model(channels=(hr.Channel(utility="rho"),)),
    "power of losses, adding": hr.Model(
        channels=(hr.Channel("reward-", utility="rho", update="accumulate", unchosen="decay"),)
    ),
    "power and start": hr.Model(channels=(hr.Channel(utility="rho", start="start"),)),
    "power and two rates": hr.Model(channels=(hr.Channel(rate=("up", "down"), utility="rho"),)),
    "contexts": hr.Model(channels=(hr.Channel(rate=("up", "down"), context="context"),)),
}
WIDTHS = (0.3, 0.05, 0.01, 0.001)


@njit(nogil=True)
def enclosed(tables, trials, layout, r, low, high):
    return enclose(tables, trials, 0, layout, 0, r, low, high)


@njit(nogil=True)
def priced(tables, trials, layout, r, points):
    return plane_prices(tables, trials, 0, layout, 0, r, points)


@njit(nogil=True)
def sloped(tables, trials, layout, r, points):
    return centre_prices(tables, trials, 0, layout, 0, r, points)


@njit(nogil=True)
def bounded(tables, trials, layout, r, low, high, slack, point):
    return plane_bound(tables, trials, 0, layout, low, high, 0, r, slack, point)


class Group:
    """One group of paths of one subject with random residuals."""

    def __init__(self, name: str, *, graded: bool, seed: int, n_trials: int = 40):
        data = random_behaviour(1, n_trials, 2, graded=graded, rich=name == "contexts", seed=seed)
        self.problem = prepare(MODELS[name], data)
        self.layout = lay_out(self.problem).layout
        n = int(self.layout.n_axes[0])
        self.low, self.high = self.layout.axis_low[0, :n].copy(), self.layout.axis_high[0, :n].copy()
        self.rng = np.random.default_rng(seed)
        self.r = self.rng.normal(size=(2, self.problem.n_trials))
        self.parts = (self.problem.tables, self.problem.trials, self.layout, self.r)

    def boxes(self, n: int, width: float) -> tuple[np.ndarray, np.ndarray]:
        """Boxes low, high (D, n) of a width relative to the whole."""
        size = width * (self.high - self.low)[:, None]
        low = self.low[:, None] + self.rng.uniform(size=(self.low.size, n)) * (
            (self.high - self.low)[:, None] - size
        )
        return low, low + size

    def by_hand(self, point: np.ndarray) -> float:
        """The price at one point (D,), from the model's own paths."""
        theta = self.problem.clip(np.ones((1, self.problem.n_parameters)))
        axes = lay_out(self.problem).groups[0].axes
        theta[0, list(axes)] = point
        return float((self.r.T * self.problem.paths(theta)[0]).sum())


@settings(few_examples, max_examples=200)
@given(
    name=st.sampled_from(sorted(MODELS)),
    graded=st.booleans(),
    seed=st.integers(0, 10_000),
    width=st.sampled_from(WIDTHS),
)
def test_enclosures_contain_prices_slopes_and_bends_all_over_the_box(name, graded, seed, width):
    group = Group(name, graded=graded, seed=seed)
    low, high = group.boxes(6, width)
    value, slope, bend, kinks = enclosed(*group.parts, low, high)
    step = 1e-5
    for _ in range(8):
        points = low + group.rng.uniform(size=low.shape) * (high - low)
        price, here = sloped(*group.parts, points)
        scale = 1e-9 * (1 + np.abs(price).max())
        assert (price >= value[0] - scale).all() and (price <= value[1] + scale).all()
        assert (here >= slope[0] - scale).all() and (here <= slope[1] + scale).all()
        for a in range(low.shape[0]):
            inside = np.clip(points[a], low[a] + step, high[a] - step)
            above, below = points.copy(), points.copy()
            above[a], below[a] = inside + step, inside - step
            change = (sloped(*group.parts, above)[1] - sloped(*group.parts, below)[1]) / (2 * step)
            for b in range(low.shape[0]):
                j = max(a, b) * (max(a, b) + 1) // 2 + min(a, b)
                room = 1e-3 * (1 + np.abs(bend[:, j]).max())
                smooth = kinks < INSIDE
                assert (change[b] >= bend[0, j] - room)[smooth].all()
                assert (change[b] <= bend[1, j] + room)[smooth].all()


@pytest.mark.parametrize("name", sorted(MODELS))
def test_prices_side_by_side_are_those_of_the_models_paths(name):
    group = Group(name, graded=True, seed=3)
    low, high = group.boxes(5, 0.0)
    together = priced(*group.parts, low)
    np.testing.assert_allclose(together, [group.by_hand(point) for point in low.T], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(sloped(*group.parts, low)[0], together, rtol=1e-9, atol=1e-9)


@settings(few_examples, max_examples=200)
@given(name=st.sampled_from(sorted(MODELS)), graded=st.booleans(), seed=st.integers(0, 10_000))
def test_no_price_beats_the_bound_and_with_two_axes_one_comes_close(name, graded, seed):
    group = Group(name, graded=graded, seed=seed, n_trials=25)
    point = np.zeros(group.low.size)
    bound, best = bounded(*group.parts, group.low, group.high, 1e-3, point)
    tried = (
        group.low[:, None]
        + group.rng.beta(0.4, 0.4, (group.low.size, 4000)) * (group.high - group.low)[:, None]
    )
    assert priced(*group.parts, tried).max() <= bound + 1e-9
    assert group.by_hand(point) == pytest.approx(best, abs=1e-8)
    if group.low.size < 3:
        assert bound <= max(best, 0.0) + 1e-3 + 1e-9
