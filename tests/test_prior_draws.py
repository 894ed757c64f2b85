"""Draws from priors: populations, subjects, behaviour; in raw reward units, with the truth on record."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import beta as beta_distribution

import hierrl as hr
from hierrl.formulas import design_matrices
from hierrl.prior.draws import draw_population, draw_subjects
from hierrl.simulate import truth_of
from tests.builders import random_behaviour

MODEL = hr.model("forgetting_q", bias=True)
TASK = hr.Bandit((0.8, 0.2), n_trials=40, arms=("A", "B"))


@pytest.fixture(scope="module")
def data():
    return random_behaviour(6, 30, 2, rich=True, graded=True)


def test_populations_are_drawn_from_their_normal_distributions(data):
    prior = hr.weak_prior(MODEL, data, formula={"alpha": "1 + group"}, spread_by="group")
    rng = np.random.default_rng(0)
    numbers = np.array([draw_population(prior, rng).numbers for _ in range(4000)])
    z = (numbers - [t.loc for t in prior.terms]) / [t.scale for t in prior.terms]
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=0.06)
    np.testing.assert_allclose(z.std(axis=0), 1, atol=0.06)
    np.testing.assert_allclose(np.corrcoef(z.T), np.eye(len(prior.terms)), atol=0.08)


def test_correlations_are_drawn_from_lkj(data):
    prior = replace(hr.weak_prior(MODEL, data), lkj=2.0)
    rng = np.random.default_rng(1)
    omega = np.array([draw_population(prior, rng).correlation for _ in range(4000)])
    # Every correlation has the same marginal distribution: (r + 1) / 2 ~ Beta(shape + P / 2 - 1, same).
    shape = 2.0 + 3 / 2 - 1
    for i, k in ((1, 0), (2, 0), (2, 1)):
        found = np.quantile((omega[:, i, k] + 1) / 2, [0.1, 0.5, 0.9])
        np.testing.assert_allclose(found, beta_distribution.ppf([0.1, 0.5, 0.9], shape, shape), atol=0.02)


def test_subjects_have_the_mean_spread_and_correlations_of_their_population(data):
    many = random_behaviour(4000, 2, 2, rich=True, gaps=False)
    prior = replace(hr.weak_prior(MODEL, many, formula={"alpha": "1 + group"}, spread_by="group"), lkj=2.0)
    rng = np.random.default_rng(2)
    designs = design_matrices(MODEL, many, {"alpha": "1 + group"}, spread_by="group")
    drawn = draw_population(prior, rng)
    eta = draw_subjects(prior, drawn, designs, rng)
    value = {(t.parameter, t.role, t.coefficient): v for t, v in zip(prior.terms, drawn.numbers, strict=True)}
    group = many["group"].values
    young = value["alpha", "mu", "Intercept"] + value["alpha", "mu", "group[young]"]
    assert eta[group == "young", 0].mean() == pytest.approx(young, abs=0.15)
    for name in ("old", "young"):
        sd = [np.exp(value[label, "log_sigma", name]) for label in prior.labels]
        np.testing.assert_allclose(eta[group == name].std(axis=0), sd, rtol=0.1)
        found = np.corrcoef(eta[group == name].T)
        np.testing.assert_allclose(found, drawn.correlation, atol=0.08)


def test_a_study_from_a_prior_carries_its_population_and_its_subjects(data):
    prior = hr.weak_prior(MODEL, data, formula={"alpha": "1 + group"})
    group = ["old", "young"] * 10
    study = hr.simulate(MODEL, TASK, prior, covariates={"group": group}, random_seed=3)
    population = json.loads(study.attrs["simulation"])["population"]
    assert set(population["mu"]["alpha"]) == {"Intercept", "group[young]"}
    assert set(population["sigma"]) == set(prior.labels)
    truth = truth_of(study, MODEL)
    assert truth.sizes["subject"] == 20
    assert ((truth["alpha"] > 0) & (truth["alpha"] < 1)).all()
    assert hr.fit_mle(MODEL, study, progress=False)["posterior"]["alpha"].notnull().all()
    again = hr.simulate(MODEL, TASK, prior, covariates={"group": group}, random_seed=3)
    np.testing.assert_array_equal(study["choice"], again["choice"])


def test_populations_are_on_record_in_raw_reward_units(data):
    # Rewards are up to `reward_scale`: a weight is per reward, on the log link a shift.
    prior = hr.weak_prior(MODEL, data).updated(
        {
            "beta": {"Intercept": {"loc": 1.0, "scale": 1e-9}, "log_sigma": {"loc": -20.0, "scale": 1e-9}},
            "bias": {"Intercept": {"loc": 0.5, "scale": 1e-9}, "log_sigma": {"loc": -20.0, "scale": 1e-9}},
        }
    )
    study = hr.simulate(MODEL, hr.Bandit.recorded(data), prior, random_seed=1)
    population = json.loads(study.attrs["simulation"])["population"]
    expected = 1.0 - np.log(prior.reward_scale)
    assert population["mu"]["beta"]["Intercept"] == pytest.approx(expected)
    np.testing.assert_allclose(study["true_beta"], np.exp(expected))
    np.testing.assert_allclose(study["true_bias[B]"], 0.5)


def test_a_prior_for_another_model_is_refused(data):
    with pytest.raises(
        ValueError, match=r"The prior is for the parameters alpha, beta; the model.* bias\[B\]"
    ):
        hr.simulate(MODEL, TASK, hr.weak_prior(hr.model("rw"), data))


def test_prior_predictive_studies_are_studies_from_the_prior(data):
    prior = hr.weak_prior(MODEL, data, spread_by="group")
    options = {"covariates": {"group": ["old", "young"] * 4}, "random_seed": 5}
    tree = hr.prior_predictive(MODEL, TASK, prior, draws=7, **options)
    assert tree["prior"]["alpha"].dims == ("chain", "draw", "subject")
    assert tree["prior"]["bias"].dims == ("chain", "draw", "subject", "arm")
    assert tree["population"]["sigma"].dims == ("chain", "draw", "parameter", "group")
    assert tree["prior_predictive"]["choice"].shape == (1, 7, 8 * 40)
    assert tree["constant_data"]["group"].values.tolist() == ["old", "young"] * 4
    spread = tree["prior"]["alpha"].std(("subject", "draw"))
    assert (spread > 0).all()
    again = hr.prior_predictive(MODEL, TASK, prior, draws=7, **options)
    np.testing.assert_array_equal(tree["prior_predictive"]["choice"], again["prior_predictive"]["choice"])


def test_prior_predictive_choices_follow_the_parameters(data):
    prior = hr.weak_prior(hr.model("rw"), data)
    certain = prior.updated(
        {
            "alpha": {"Intercept": {"loc": 0.0, "scale": 0.1}},
            "beta": {"Intercept": {"low": 20.0, "high": 40.0}, "log_sigma": {"loc": -3.0, "scale": 0.1}},
        }
    )
    certain = replace(certain, reward_scale=1.0)
    tree = hr.prior_predictive(
        hr.model("rw"), hr.Bandit((1.0, 0.0), n_trials=50), certain, draws=20, n_subjects=3
    )
    assert (tree["prior_predictive"]["choice"] == 0).mean() > 0.9


def test_no_draws_are_refused(data):
    with pytest.raises(ValueError, match="draws= must be at least 1; found 0"):
        hr.prior_predictive(MODEL, TASK, hr.weak_prior(MODEL, data), draws=0)
