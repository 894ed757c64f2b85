"""Replications in batches, shares with intervals, records of what they depend on."""

import json

import numpy as np
import pytest
from scipy.stats import binomtest

import hierrl as hr
from hierrl.replications.record import fingerprint, task_record, truth_record
from hierrl.replications.shares import binomial, clustered, share_of
from hierrl.replications.store import in_batches

TASK = hr.Bandit((0.8, 0.2), n_trials=20)


def squares(keys):
    return [{"value": int(key[1:]) ** 2} for key in keys]


def values(rows):
    return [row["value"] for row in rows]


def test_batches_do_only_what_the_file_lacks(tmp_path):
    asked = []

    def work(keys):
        asked.append(keys)
        return squares(keys)

    file = tmp_path / "rows.jsonl"
    in_batches(work, [["a1", "a2"]], settings={}, file=file)
    rows = in_batches(work, [["a1", "a2", "a3"], ["a4"]], settings={}, file=file)
    assert values(rows) == [1, 4, 9, 16]
    assert asked == [["a1", "a2"], ["a3"], ["a4"]]


def test_an_interrupt_keeps_the_batches_that_are_done(tmp_path):
    def work(keys):
        if "a3" in keys:
            raise KeyboardInterrupt
        return squares(keys)

    file = tmp_path / "rows.jsonl"
    batches = [["a1", "a2"], ["a3"], ["a4"]]
    with pytest.warns(UserWarning, match="2 of 4 replications are done. The same call goes on from"):
        rows = in_batches(work, batches, settings={}, file=file, keep=True)
    assert values(rows) == [1, 4]
    assert values(in_batches(squares, batches, settings={}, file=file)) == [1, 4, 9, 16]


def test_an_interrupt_before_anything_is_done_is_an_interrupt():
    def work(keys):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        in_batches(work, [["a1"]], settings={}, keep=True)


@pytest.mark.parametrize(("hits", "n"), [(0, 7), (3, 11), (50, 50), (12, 200)])
def test_shares_have_exact_binomial_limits(hits, n):
    limits = binomtest(hits, n).proportion_ci(0.95, method="exact")
    np.testing.assert_allclose(binomial(hits, n), [hits / n, limits.low, limits.high])
    alone = np.arange(n) < hits
    np.testing.assert_allclose(clustered(alone, np.ones(n)), [hits / n, limits.low, limits.high])


def test_nothing_counted_is_no_share():
    assert np.isnan(binomial(0, 0)).all()
    assert np.isnan(clustered([0, 0], [0, 0])).all()


def test_clusters_that_stand_and_fall_together_count_as_one_each():
    hits = np.repeat([0, 20], 25)  # 50 clusters of 20 that are all right or all wrong
    together, as_if_alone = (share_of(hits, np.full(50, 20), clusters=flag) for flag in (True, False))
    one_each = binomial(25, 50)
    assert together.share == as_if_alone.share == 0.5
    assert together.high - together.low == pytest.approx(one_each.high - one_each.low, rel=0.05)
    assert as_if_alone.high - as_if_alone.low < 0.3 * (together.high - together.low)


def test_intervals_of_clustered_shares_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(400):
        chance = rng.beta(3, 2, 30)  # differs between clusters, .6 on average
        found = clustered(rng.binomial(15, chance), np.full(30, 15))
        held += found.low <= 0.6 <= found.high
    assert binomtest(held, 400, 0.95).pvalue > 0.01


def test_fingerprints_change_with_any_value():
    data = hr.simulate(hr.model("rw"), TASK, {"alpha": 0.3, "beta": 3.0}, n_subjects=3, random_seed=1)
    other = data.copy(deep=True)
    assert fingerprint(data) == fingerprint(other)
    other["choice"].values[5] = 1 - other["choice"].values[5]
    assert fingerprint(data) != fingerprint(other)
    assert task_record(hr.Bandit.recorded(data)) != task_record(hr.Bandit.recorded(other))


def test_records_of_truths_are_json_and_tell_ranges_from_values():
    assert truth_record({"alpha": (0, 1)}) != truth_record({"alpha": [0, 1]})
    data = hr.simulate(hr.model("rw"), TASK, {"alpha": 0.3, "beta": 3.0}, n_subjects=3, random_seed=1)
    for truth in (None, hr.weak_prior(hr.model("rw"), data), {"alpha": np.array([0.1, 0.2]), "beta": 3}):
        json.dumps(truth_record(truth))
