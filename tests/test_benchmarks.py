"""The benchmarks measure what they say: truth, divergences, intervals, the page that is written."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

import hierrl as hr
from hierrl.simulate.run import truth_of

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def in_folder(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)


def naive_policy(data, s: int) -> np.ndarray:
    """Choice probabilities of one subject whose weighted values start at 1, as the paper writes them down."""
    truth = {name: values.values[s] for name, values in truth_of(data).items()}
    n_arms, rows = (
        data.sizes["arm"],
        np.flatnonzero(data["trial_subject"].values == data["subject"].values[s]),
    )
    traces = {"": np.ones(n_arms)} | ({"_choice": np.ones(n_arms)} if "beta_choice" in truth else {})
    told = []
    for choice, reward in zip(data["choice"].values[rows], data["reward"].values[rows], strict=True):
        odds = np.exp(sum(traces.values()))
        told.append(odds / odds.sum())
        for channel, signal in (("", reward), ("_choice", 1.0)):
            if channel in traces:
                alpha, beta = (truth[f"{name}{channel}"] for name in ("alpha", "beta"))
                got = beta * signal * (np.arange(n_arms) == choice)
                traces[channel] = (1 - alpha) * traces[channel] + alpha * got
    return np.array(told)


@pytest.mark.parametrize("task", ["2arm", "10arm"])
@pytest.mark.parametrize("name", ["basic", "per-arm", "subvalue"])
def test_true_policy_is_that_of_values_which_start_at_one(name, task):
    experiments = importlib.import_module("experiments")
    experiment = experiments.Experiment(name, task)
    data = experiment.simulated(2, seed=3)
    wanted = np.concatenate([naive_policy(data, s) for s in range(2)])
    np.testing.assert_allclose(experiment.true_policy(data), wanted, atol=1e-12)


def test_a_divergence_is_zero_at_the_truth_and_an_error_too():
    experiments = importlib.import_module("experiments")
    experiment = experiments.Experiment("subvalue", "2arm")
    data = experiment.simulated(3)
    true = experiment.true_policy(data)
    np.testing.assert_allclose(experiments.kl_by_subject(true, true), 0, atol=1e-15)
    assert (experiments.kl_by_subject(true, np.full_like(true, 0.5)) > 0).all()
    truth = truth_of(data)
    shifted = truth.assign(beta=truth["beta"] + 3.0, beta_choice=truth["beta_choice"] + 4.0)
    apart = experiments.distance(data, shifted, ["beta", "beta_choice"])
    np.testing.assert_allclose(apart, np.sqrt(2) * 5)


@pytest.mark.parametrize("task", ["2arm", "10arm"])
def test_brute_force_and_maximum_likelihood_find_the_same(task):
    experiments, brute = importlib.import_module("experiments"), importlib.import_module("brute")
    experiment = experiments.Experiment("basic", task)
    data = experiment.simulated(2, seed=5)
    points = brute.brute_force_all(data, experiment.ranges["beta"])
    fit = hr.fit_mle(experiment.model(), data, progress=False)
    np.testing.assert_allclose(points[:, 2], fit["fit_stats"]["loglik"], atol=1e-6)
    policy = brute.policy_of_points(data, points)
    np.testing.assert_allclose(policy, experiments.policy_of(fit), atol=1e-3)


@pytest.mark.parametrize(("successes", "n"), [(0, 7), (5, 7), (7, 7), (40, 100)])
def test_wilson_interval_is_that_of_scipy(successes, n):
    scores = importlib.import_module("scores")
    known = binomtest(successes, n).proportion_ci(method="wilson")
    np.testing.assert_allclose(scores.wilson(successes, n), [successes / n, known.low, known.high], atol=1e-6)


def test_failed_subjects_are_counted_and_left_out_of_pairs():
    scores = importlib.import_module("scores")
    kl = np.array([0.1, np.nan, 0.3, 0.4])
    nothing = np.full(4, np.nan)
    one = scores.Result(kl, nothing, nothing, np.zeros(4), np.array([0.0, 1, 2, np.nan]), 0.4)
    two = scores.Result(np.array([0.2, 0.2, 0.2]), *[np.full(3, np.nan)] * 4, 0.3)
    told = scores.summary(one, np.zeros(4))
    assert (told["n"], told["failed"], told["ms"], told["kl"][1]) == (4, 1, 100.0, 0.3)
    assert (told["tightness"]["missing"], told["tightness"]["max"]) == (1, 2.0)
    assert scores.wins(one, two)[0] == 0.5
    assert scores.ratio_of_medians(one, two) == pytest.approx(1.0)


def test_page_is_written_between_its_markers_only():
    page = importlib.import_module("paper_page")
    before = "head\n<!-- begin a -->\nold\n<!-- end a -->\nfoot"
    after = page.between(before, "a", r"new \1")
    assert after == "head\n<!-- begin a -->\n\nnew \\1\n\n<!-- end a -->\nfoot"
    assert page.between(after, "a", r"new \1") == after
    with pytest.raises(SystemExit, match="no markers <!-- begin b -->"):
        page.between(before, "b", "")
