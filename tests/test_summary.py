"""Tables and sentences about data and fits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import hierrl as hr
from hierrl.demo import (
    LOGIT_ALPHA,
    PER_GROUP,
    demo_model,
    demo_study,
    population_recovery,
    subject_recovery,
    true_population,
)
from hierrl.simulate import truth_of
from hierrl.summary import population_table, subject_table, summarise, verdict_of
from hierrl.summary.behaviour import counts
from hierrl.summary.verdicts import nats_beyond


def behaviour_of(choices: dict[str, list[int]]) -> xr.Dataset:
    """Behaviour from the choices of each subject (-1 = missed), every choice rewarded."""
    rows = [(name, i + 1, choice) for name, made in choices.items() for i, choice in enumerate(made)]
    table = pd.DataFrame(rows, columns=["subject", "trial", "choice"]).assign(reward=1.0)
    return hr.behaviour(table.assign(reward=table["reward"].where(table["choice"] >= 0)))


@pytest.fixture(scope="module")
def small() -> xr.Dataset:
    return demo_study(per_group=3)


@pytest.fixture(scope="module")
def points(small) -> dict[str, xr.DataTree]:
    quick = hr.fit_convex(demo_model(), small, progress=False)
    return {"convex": quick, "mle": hr.fit_mle(demo_model(), small, start=quick, progress=False)}


def test_counts_are_those_of_a_loop(small):
    each = counts(small)
    for s, label in enumerate(small["subject"].values):
        rows = small["trial_subject"].values == label
        assert each.trials[s] == rows.sum()
        assert each.missed[s] == (small["choice"].values[rows] < 0).sum()
        assert each.scored[s] == small["scored"].values[rows].sum()
        assert each.sessions[s] == np.unique(small["trial_session"].values[rows]).size


def test_summary_of_a_study_names_its_numbers(small):
    lines = dict(summarise(small).lines)
    assert lines["Subjects"].startswith("6, with ")
    assert lines["Arms"].startswith("2: blue")
    assert lines["Reward"].startswith("0 or 1")
    assert lines["group"] == "control (3), patient (3)"
    assert not any(name.startswith("true_") for name in lines)


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        ([0] * 40, "chose the same arm on every trial: odd."),
        ([0, 1, -1] * 20, "missed more than 20% of the trials: odd."),
        ([0, 1] * 40 + [-1] * 12 + [1, 0] * 40, "missed 10 or more trials in a row: odd."),
        ([0, 1] * 5, "made fewer than 20 choices that are scored: odd."),
    ],
)
def test_odd_subjects_are_named(made, sentence):
    summary = summarise(behaviour_of({"odd": made, "even": [0, 1] * 30}))
    assert [text for text in summary.oddities if text.endswith(sentence)] == [f"1 subject {sentence}"]


def test_ordinary_subjects_are_not_named():
    assert summarise(behaviour_of({"a": [0, 1, -1, 1, 1, 0] * 10, "b": [0, 1] * 30})).oddities == ()


def test_table_of_subjects_holds_what_the_fits_hold(points, small):
    table = subject_table(points)
    assert next(iter(table)) == "subject"
    assert list(table["group"]) == list(small["group"].values)
    for name, fit in points.items():
        for parameter in ("alpha", "beta"):
            np.testing.assert_array_equal(
                table[f"{parameter}_{name}"], fit["posterior"][parameter].values[0, 0]
            )
        np.testing.assert_array_equal(table[f"loglik_{name}"], fit["fit_stats"]["loglik"])
    assert "alpha_convex_se_link" not in table  # the convex fit has no standard errors
    assert "alpha_mle_se_link" in table


def test_table_of_subjects_gives_parameters_per_arm_their_arm():
    data = behaviour_of({"a": [0, 1, 0, 1, 1] * 8, "b": [0, 1, 1, 1, 0] * 8})
    table = subject_table({"convex": hr.fit_convex(hr.model("rw", per_arm=True), data, progress=False)})
    assert {"alpha[0]_convex", "alpha[1]_convex", "beta[0]_convex", "beta[1]_convex"} <= set(table)


def posterior_like(points: dict[str, xr.DataTree]) -> xr.DataTree:
    """A fit with draws and a population, made up around the maximum likelihood."""
    rng = np.random.default_rng(0)
    size = {"chain": 2, "draw": 100}
    mu = rng.normal(size=(2, 100, 2, 2)) * 0.1
    mu[:, :, 1, 1] = np.nan  # beta has no coefficient for the group
    coords = {"parameter": ["alpha", "beta"], "coefficient": ["Intercept", "group[patient]"], "cell": ["all"]}
    population = xr.Dataset(
        {
            "mu": (("chain", "draw", "parameter", "coefficient"), mu),
            "sigma": (("chain", "draw", "parameter"), np.exp(rng.normal(size=(2, 100, 2)))),
            "median": (("chain", "draw", "parameter", "cell"), rng.random((2, 100, 2, 1))),
        },
        coords=coords,
    )
    draws = points["mle"]["posterior"].to_dataset().isel(chain=0, draw=0, drop=True).expand_dims(size)
    noisy = draws + xr.DataArray(rng.normal(size=(2, 100)), dims=("chain", "draw"))
    return xr.DataTree.from_dict(
        {
            **{
                name: node.to_dataset()
                for name, node in points["mle"].children.items()
                if name != "posterior"
            },
            "posterior": noisy,
            "population": population,
        }
    )


def test_table_of_the_population_has_a_row_for_each_number_and_none_for_absent_ones(points):
    fit = posterior_like(points)
    table = population_table(fit)
    assert table["quantity"].value_counts().to_dict() == {"mu": 3, "median": 2, "sigma": 2}
    row = table[(table["quantity"] == "mu") & (table["of"] == "group[patient]")].squeeze()
    draws = fit["population"]["mu"].sel(parameter="alpha", coefficient="group[patient]").values.ravel()
    assert row["parameter"] == "alpha"
    np.testing.assert_allclose(row["estimate"], draws.mean())
    np.testing.assert_allclose([row["eti95_low"], row["eti95_high"]], np.quantile(draws, [0.025, 0.975]))


def test_posterior_columns_are_mean_sd_and_interval(points):
    fit = posterior_like(points)
    fit.attrs.update(points["mle"].attrs)
    table = subject_table({"posterior": fit})
    draws = fit["posterior"]["alpha"].transpose("subject", ...).values.reshape(6, -1)
    np.testing.assert_allclose(table["alpha_posterior"], draws.mean(axis=1))
    np.testing.assert_allclose(table["alpha_posterior_sd"], draws.std(axis=1, ddof=1))
    np.testing.assert_allclose(table["alpha_posterior_eti95_high"], np.quantile(draws, 0.975, axis=1))


def test_verdict_counts_who_converged_and_what_is_proven(points):
    verdict = verdict_of(points["mle"])
    assert verdict.remarks[0] == ("good", "All 6 subjects converged.")
    assert "it is proven that none fit better" in verdict.remarks[1][1]


def test_verdict_of_certified_fits_says_that_all_are_proven(small):
    fit = hr.fit_mle(demo_model(), small, certify=1e-3, progress=False)
    assert verdict_of(fit).remarks[1][1].startswith("For every subject it is proven")


def test_verdict_names_who_did_not_converge(points):
    fit = points["mle"].copy()
    converged = fit["fit_stats"]["converged"].copy()
    converged[1] = False
    fit["fit_stats"]["converged"] = converged
    verdict = verdict_of(fit)
    assert verdict.level == "mind"
    assert verdict.remarks[0][1] == "5 of 6 subjects converged; not: 2 (see their status)."


def test_verdict_doubts_a_model_whose_estimates_lie_on_bounds():
    data = behaviour_of({name: [0] * 30 + [1] for name in "abcde"})  # rewards that change nothing
    verdict = verdict_of(hr.fit_mle(hr.model("rw"), data, progress=False))
    assert verdict.level == "mind"
    assert "on a bound for" in verdict.remarks[-1][1]


def test_demo_study_is_what_it_says():
    data = demo_study()
    truth = truth_of(data)
    assert data.sizes["subject"] == len(LOGIT_ALPHA) * PER_GROUP
    assert 0.01 < (data["choice"] < 0).mean() < 0.06
    assert np.unique(counts(data).trials).size > 1
    assert (counts(data).sessions == 2).all()
    logit = np.log(truth["alpha"] / (1 - truth["alpha"]))
    difference = (
        logit[data["group"].values == "patient"].mean() - logit[data["group"].values == "control"].mean()
    )
    assert abs(float(difference) - (LOGIT_ALPHA["patient"] - LOGIT_ALPHA["control"])) < 0.7
    xr.testing.assert_identical(data, demo_study())


def test_recovery_of_the_truth_by_itself_is_perfect(points, small):
    truth = truth_of(small)
    exact = points["mle"].copy()
    exact["posterior"] = xr.DataTree(truth.expand_dims({"chain": 1, "draw": 1}))
    table = subject_recovery({"exact": exact}, small)
    np.testing.assert_allclose(table["correlation"], 1.0)
    np.testing.assert_allclose(table["error"], 0.0, atol=1e-12)


def test_population_recovery_says_whether_the_truth_is_inside():
    table = true_population().rename(columns={"truth": "estimate"}).drop(columns="what")
    table["eti95_low"] = table["estimate"] - 0.1
    table["eti95_high"] = table["estimate"] + np.where(table.index == 0, -0.05, 0.1)
    found = population_recovery(table)
    assert list(found["inside"]) == [False, True, True, True, True, True]
    np.testing.assert_array_equal(found["truth"], found["estimate"])


@pytest.mark.parametrize(
    ("gaps", "text"),
    [
        ([2e-5, 1e-4, 0.204], "0.20 nats (median under 0.001)"),
        ([1.0, 2.34, np.nan], "2.3 nats (median 1.7)"),
        ([30.0, 40.0, 191.2], "191 nats (median 40)"),
    ],
)
def test_gaps_are_told_with_the_digits_they_deserve(gaps, text):
    assert nats_beyond(np.array(gaps)) == text
