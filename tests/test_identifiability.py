"""What choices tell of a parameter: as by numbers found independently, and in words."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import sampled
import xarray as xr
from builders import random_behaviour

import hierrl as hr
from hierrl.kernels.problem import prepare

QUIET = {"progress": False}
MODEL = hr.model("rw")
SD = {"alpha": np.sqrt(1.5**2 + 1.0), "beta": np.sqrt(1.5**2 + 0.7**2)}
"""Of a subject under the weak prior, as its page says."""


@pytest.fixture(scope="module")
def study() -> xr.Dataset:
    task = hr.Bandit((0.8, 0.2), n_trials=200, reverse_every=20)
    return hr.simulate(MODEL, task, {"alpha": 0.3, "beta": [0.01, 1.0, 6.0]}, random_seed=4)


@pytest.fixture(scope="module")
def mle(study) -> xr.DataTree:
    return hr.fit_mle(MODEL, study, **QUIET)


def test_what_is_known_at_a_point_fit_is_that_of_a_quadrature_under_the_weak_prior(study, mle):
    # By brute force: posterior of each subject on a grid of the link scale.
    problem = prepare(MODEL, study)
    a, b = np.meshgrid(np.linspace(-8, 8, 161), np.linspace(-6, 7, 131), indexing="ij")
    grid = np.stack([a.ravel(), b.ravel()], axis=1)
    log_prior = -0.5 * (grid[:, 0] / SD["alpha"]) ** 2 - 0.5 * ((grid[:, 1] - np.log(3)) / SD["beta"]) ** 2
    theta = np.stack([1 / (1 + np.exp(-grid[:, 0])), np.exp(grid[:, 1])], axis=1)
    loglik = np.array([problem.loglik(np.tile(one, (3, 1))) for one in theta])
    table = hr.identifiability(mle).set_index(["subject", "parameter"])
    for s, subject in enumerate(study["subject"].values):
        weight = np.exp(loglik[:, s] + log_prior - (loglik[:, s] + log_prior).max())
        weight /= weight.sum()
        centre = weight @ grid
        covariance = ((grid - centre) * weight[:, None]).T @ (grid - centre)
        r = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
        middle = np.tile([1 / (1 + np.exp(-centre[0])), np.exp(centre[1])], (3, 1))
        nats = problem.loglik(middle)[s] - problem.loglik(middle * [1, 0])[s]
        for k, name in enumerate(("alpha", "beta")):
            row = table.loc[(subject, name)]
            assert abs(row["information"] - (1 - covariance[k, k] / SD[name] ** 2)) < 0.03
            assert abs(row["correlation"] - r) < 0.05
            np.testing.assert_allclose(row["channel_nats"], nats, atol=0.1, rtol=0.02)
            order = np.argsort(grid[:, k], kind="stable")
            ends = grid[order, k][np.searchsorted(np.cumsum(weight[order]), [0.025, 0.975])]
            ends = np.exp(ends) / (1 + np.exp(ends) * (name == "alpha"))
            np.testing.assert_allclose([row["low"], row["high"]], ends, rtol=0.15, atol=0.02)
    assert table.loc[(1, "alpha"), "information"] < 0.2
    assert table.loc[(3, "alpha"), "information"] > 0.8


def test_sentences_name_the_weight_that_hides_the_rate(mle):
    table = hr.identifiability(mle).set_index(["subject", "parameter"])
    faint = table.loc[(1, "alpha"), "sentence"]
    assert re.match(r"Subject 1: the choices say (next to nothing|little) about alpha \(information", faint)
    assert "as beta can't be told from 0: what it drives is worth 0." in faint
    assert (
        "it can't be told from 0, where the log-likelihood is lower by" in table.loc[(1, "beta"), "sentence"]
    )
    clear = table.loc[(3, "alpha"), "sentence"]
    assert clear.startswith("Subject 3: alpha is estimated at 0.")
    assert "95 % ETI under the weak prior" in clear
    assert "told from 0" not in clear


def test_information_of_a_posterior_compares_its_draws_with_the_population(study, mle):
    post = sampled.pretend_posterior(mle, cells=("all",))
    table = hr.identifiability(post).set_index(["subject", "parameter"])
    draws = post["posterior"]["alpha"].sel(subject=2).values.ravel()
    link = np.log(draws / (1 - draws))
    population = post["population"].to_dataset().sel(parameter="alpha")
    mean = population["mu"].sel(coefficient="Intercept")
    variance = float((population["sigma"] ** 2).mean() + mean.var())
    np.testing.assert_allclose(table.loc[(2, "alpha"), "sd_link"], link.std(ddof=1), rtol=1e-6)
    expected = np.clip(1 - link.var(ddof=1) / variance, 0, 1)
    np.testing.assert_allclose(table.loc[(2, "alpha"), "information"], expected)
    other = np.log(post["posterior"]["beta"].sel(subject=2).values.ravel())
    np.testing.assert_allclose(table.loc[(2, "alpha"), "correlation"], np.corrcoef(link, other)[0, 1])
    low, high = np.quantile(draws, [0.025, 0.975])
    np.testing.assert_allclose(table.loc[(2, "alpha"), ["low", "high"]].astype(float), [low, high])
    assert "95 % ETI" in table.loc[(3, "beta"), "sentence"]


def test_two_parameters_that_only_work_together_are_called_tied(mle):
    post = sampled.pretend_posterior(mle, cells=("all",))  # all its draws move in step
    table = hr.identifiability(post)
    assert (table["correlation"].abs() > 0.99).all()
    assert table["sentence"].str.contains("it trades off with").all()


def test_estimates_are_in_raw_units_and_every_kind_of_parameter_has_its_row():
    data = random_behaviour(3, 60, 2, graded=True, rich=True)
    model = hr.Model(
        channels=(hr.Channel(start="q0"), hr.Channel("choice", rate="a2", weight="b2", signed=True)),
        regressors=(hr.Regressor("side"),),
        bias=True,
        lapse=True,
    )
    problem = prepare(model, data)
    fit = hr.fit_mle(model, data, **QUIET)
    table = hr.identifiability(fit)
    assert len(table) == 3 * problem.n_parameters
    assert table["information"].between(0, 1).all()
    one = table.set_index(["parameter", "subject"])
    np.testing.assert_allclose(one.loc["q0", "estimate"].to_numpy(), fit["posterior"]["q0"].squeeze().values)
    without = one.loc[
        [label for label in problem.labels if label.startswith(("bias", "lapse", "weight_side"))]
    ]
    assert without["channel_nats"].isna().all()
    assert one.loc[["q0", "beta", "a2"], "channel_nats"].notna().all()


def test_no_fit_is_refused():
    with pytest.raises(TypeError, match="A fit is the DataTree"):
        hr.identifiability(random_behaviour())  # type: ignore[arg-type]


def test_people_with_thousands_of_trials_are_known_well_but_not_for_certain(shared_data):
    table = pd.read_csv(shared_data("dezfouli_clinical_2arm"))
    hard = ["s_21_d", "s_037_", "s_20_d"]  # likelihoods with several modes, far from the middle of the prior
    data = hr.behaviour(table[table["subject"].isin(hard)])
    found = hr.identifiability(hr.fit_mle(hr.model("subvalue"), data, progress=False))
    assert (found["high"] > found["low"]).all()
    told = found[found["information"] > 0.9]
    assert len(told) > 3
    width = told["high"] - told["low"]
    assert told["estimate"].between(told["low"] - width, told["high"] + width).all()
