"""How well chains mixed: the measures are ArviZ's, chance is told from chains that disagree."""

import numpy as np
import pytest
from arviz_stats.base import array_stats

from hierrl.posterior.mixing import FALSE_ALARM, LARGEST_RHAT, TAILS, Mixing

AXES = {"chain_axis": 0, "draw_axis": 1}


def chains(shape, *, memory=0.0, seed=0):
    """Stationary draws (chain, draw, K) with variance 1 and first autocorrelation `memory`."""
    draws = np.random.default_rng(seed).normal(size=shape)
    for t in range(1, shape[1]):
        draws[:, t] = memory * draws[:, t - 1] + np.sqrt(1 - memory**2) * draws[:, t]
    return draws


def mixing(draws):
    return Mixing.of(draws, tuple(str(k) for k in range(draws.shape[2])))


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.95, -0.9])
@pytest.mark.parametrize("length", [100, 301])
def test_rhat_and_effective_draws_are_those_of_arviz(memory, length):
    draws = chains((4, length, 12), memory=memory)
    found = mixing(draws)
    np.testing.assert_allclose(found.rhat, array_stats.rhat(draws, **AXES), rtol=1e-12)
    np.testing.assert_allclose(found.ess_bulk, array_stats.ess(draws, **AXES), rtol=1e-10)
    tail = array_stats.ess(draws, method="tail", prob=TAILS, **AXES)
    np.testing.assert_allclose(found.ess_tail, tail, rtol=1e-10)


def test_work_in_parts_changes_nothing(monkeypatch):
    draws = chains((2, 100, 7), memory=0.3)
    whole = mixing(draws)
    monkeypatch.setattr("hierrl.posterior.mixing.CHUNK", 1)
    for one, other in zip(vars(whole).values(), vars(mixing(draws)).values(), strict=True):
        if isinstance(one, np.ndarray):
            np.testing.assert_allclose(one, other, rtol=1e-12)


@pytest.mark.parametrize(("memory", "length"), [(0.0, 300), (0.5, 400), (-0.4, 300)])
def test_good_runs_with_many_parameters_are_seldom_flagged(memory, length):
    runs = [mixing(chains((4, length, 120), memory=memory, seed=seed)) for seed in range(25)]
    alarms = np.mean([run.apart.any() for run in runs])
    # Three standard errors of a share that is `FALSE_ALARM`.
    assert alarms <= FALSE_ALARM + 3 * np.sqrt(FALSE_ALARM * (1 - FALSE_ALARM) / len(runs))


def test_a_fixed_threshold_flags_good_runs():
    # What the rule is for: each of these runs is good, and 1.01 calls each of them bad.
    runs = [mixing(chains((4, 400, 160), memory=0.5, seed=seed)) for seed in range(10)]
    assert all(run.rhat.max() > LARGEST_RHAT for run in runs)
    assert min(np.fmin(run.ess_bulk, run.ess_tail).mean() for run in runs) > 400


@pytest.mark.parametrize(("memory", "shift"), [(0.0, 0.4), (0.3, 0.5), (0.5, 0.7)])
def test_one_chain_elsewhere_is_found_among_many_parameters(memory, shift):
    for seed in range(10):
        draws = chains((4, 500, 160), memory=memory, seed=seed)
        draws[0, :, 3] += shift
        assert mixing(draws).apart[3]


def test_a_chain_that_drifts_is_found():
    draws = chains((4, 500, 160))
    draws[1, :, 5] += np.linspace(-0.7, 0.7, 500)
    assert mixing(draws).apart[5]


def test_chains_that_differ_in_width_only_are_found():
    draws = chains((4, 500, 160))
    draws[2, :, 9] *= 1.8
    assert mixing(draws).apart[9]


def test_chains_in_two_modes_are_found_however_well_each_mixes():
    draws = 0.1 * chains((4, 500, 160))
    draws[:2, :, 0] += 3.0
    found = mixing(draws)
    assert found.worst == 0
    assert found.apart[0]
    assert found.ess_bulk[0] < 400


def test_quantities_that_do_not_vary_are_missing_and_no_fault():
    draws = chains((4, 100, 3))
    draws[:, :, 1] = 2.0
    found = mixing(draws)
    assert np.isnan([found.rhat[1], found.ess_bulk[1], found.ess_tail[1]]).all()
    assert not found.apart[1]
    assert found.worst in (0, 2)


def test_too_few_draws_never_pass():
    found = mixing(chains((4, 3, 2)))
    assert found.apart.all()
    assert found.fewest[0] == 0
