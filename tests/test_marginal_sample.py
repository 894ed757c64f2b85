"""method='marginal': the same posterior, the same fit, and fresh points that judge it."""

import warnings

import arviz as az
import numpy as np
import pytest
import xarray as xr

import hierrl as hr
from hierrl.compare.refit import Resources, refit
from hierrl.fits import settings_of
from hierrl.posterior import fit_posterior
from tests.learners import learners, population
from tests.test_posterior_quadrature import MODEL as ONE
from tests.test_posterior_quadrature import by_quadrature

MODEL = hr.model("rw")
FAST = {"method": "marginal", "points": 512, "progress": False}


@pytest.fixture(scope="module")
def data():
    alpha, beta = population([0.0, 1.2], [1.0, 0.7], 16, seed=1)
    return learners(alpha, beta, n_trials=120, seed=2, group=np.array(["a", "b"] * 8))


@pytest.fixture(scope="module")
def fit(data):
    return fit_posterior(MODEL, data, formula={"alpha": "1 + group"}, log_likelihood=True, **FAST)


def test_a_marginal_fit_is_a_posterior_like_any_other(fit):
    groups = {"posterior", "population", "sample_stats", "fit_stats", "log_likelihood", "observed_data"}
    assert groups <= set(fit)
    assert fit["posterior"]["alpha"].dims == ("chain", "draw", "subject")
    assert fit["population"]["mu"].dims == ("chain", "draw", "parameter", "coefficient")
    assert list(fit["population"]["cell"].values) == ["group=a", "group=b"]
    assert "sigma[alpha]" in az.summary(fit, group="population").index
    assert len(az.summary(fit)) == 32
    assert {"diverging", "lp", "n_steps"} <= set(fit["sample_stats"].data_vars)
    assert np.isfinite(fit["log_likelihood"]["choice"]).all()


def test_what_was_done_is_in_the_fit(fit):
    settings, audit = settings_of(fit), fit["audit"]
    assert settings["method"] == "marginal"
    assert settings["rounds"][-1]["passed"]
    assert settings["diagnostics"]["converged"]
    assert settings["diagnostics"]["max_shift"] <= 0.05
    assert any("fresh" in sentence for sentence in settings["diagnostics"]["sentences"])
    assert audit["shift"].dims == ("round", "quantity")
    assert audit["k_hat"].dims == ("round", "subject")
    names = ["mu of alpha, Intercept", "mu of alpha, group[b]", "mu of beta, Intercept"]
    assert list(audit["quantity"].values) == [*names, "sigma of alpha", "sigma of beta"]
    assert (fit["fit_stats"]["k_hat"] < 0.7).all()
    assert (fit["fit_stats"]["effective_points"] > 30).all()


def test_contrasts_and_latents_take_a_marginal_fit(fit):
    assert np.isfinite(hr.contrast(fit, "alpha", "group").select_dtypes("number")).all().all()
    assert "value" in hr.latents(fit)


def test_a_marginal_fit_survives_saving(fit, tmp_path):
    fit.to_netcdf(tmp_path / "fit.nc")
    again = hr.load(tmp_path / "fit.nc")
    xr.testing.assert_equal(again["audit"].to_dataset(), fit["audit"].to_dataset())
    xr.testing.assert_equal(again["posterior"].to_dataset(), fit["posterior"].to_dataset())


def test_the_same_seed_gives_the_same_draws(data):
    prior = hr.weak_prior(MODEL, data)
    options = {"prior": prior, "draws": 60, "tune": 60, "chains": 2, **FAST}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # far too few draws
        first, again, other = (fit_posterior(MODEL, data, random_seed=seed, **options) for seed in (3, 3, 4))
    xr.testing.assert_equal(first["posterior"].to_dataset(), again["posterior"].to_dataset())
    assert not first["posterior"].to_dataset().equals(other["posterior"].to_dataset())


def test_a_marginal_fit_is_repeated_as_one(fit, data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        again = refit(fit, data, Resources())
    for name in ("method", "points", "draws", "chains", "parametrization"):
        assert settings_of(again)[name] == settings_of(fit)[name]


def test_what_the_marginal_sampler_cannot_do_is_refused_in_words(data):
    many = hr.model("subvalue", per_arm=True)
    with pytest.raises(
        ValueError,
        match="too few in more than 6 dimensions; here a subject has 8 parameters. Use method='nuts'",
    ):
        fit_posterior(many, data, method="marginal")
    with pytest.raises(ValueError, match="parametrization='centered' are for method='nuts'"):
        fit_posterior(MODEL, data, method="marginal", parametrization="centered")
    with pytest.raises(ValueError, match="sampler='pymc'"):
        fit_posterior(MODEL, data, method="marginal", sampler="pymc")
    with pytest.raises(ValueError, match="points= must be at least 64"):
        fit_posterior(MODEL, data, method="marginal", points=10)


@pytest.fixture(scope="module")
def tiny():
    task = hr.Bandit(odds=(0.8, 0.2), n_trials=60, reverse_every=15, missed=0.03)
    beta = np.exp(np.random.default_rng(2).normal(1.0, 0.5, 6))
    return hr.simulate(ONE, task, {"beta": beta}, n_subjects=6, random_seed=2)


def test_the_population_posterior_is_that_of_quadrature(tiny):
    prior = hr.weak_prior(ONE, tiny)
    fit = fit_posterior(ONE, tiny, prior=prior, draws=2000, random_seed=5, target_accept=0.9, **FAST)
    draws = {
        "mu": fit["population"]["mu"].sel(parameter="beta", coefficient="Intercept").values,
        "log_sigma": np.log(fit["population"]["sigma"].sel(parameter="beta").values),
    }
    for name, (mean, sd) in by_quadrature(tiny, prior).items():
        assert abs(draws[name].mean() - mean) < 0.08 * sd, name
        assert 0.92 < draws[name].std() / sd < 1.08, name
