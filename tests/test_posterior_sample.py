"""The posterior as a fit: right where it can be known, complete, honest about how well it mixed."""

import json
import warnings
from importlib.metadata import version

import arviz as az
import numpy as np
import pytest
import xarray as xr
from scipy.special import logsumexp
from scipy.stats import norm

import hierrl as hr
from hierrl.fits import problem_of, settings_of, theta_of
from hierrl.kernels.problem import prepare
from hierrl.posterior import fit_posterior
from hierrl.posterior.diagnostics import diagnose, warn_if_not_converged
from hierrl.posterior.layout import lay_out
from hierrl.posterior.sample import _on_prior
from hierrl.posterior.samplers import _complete
from hierrl.prior import weak_prior
from tests.builders import random_behaviour

MODEL = hr.model("rw")


@pytest.fixture(scope="module")
def data():
    task = hr.Bandit((0.8, 0.2), n_trials=80)
    truth = {"alpha": np.linspace(0.2, 0.6, 8), "beta": np.linspace(2.0, 5.0, 8)}
    group = {"group": ["a", "b"] * 4}
    return hr.simulate(MODEL, task, truth, n_subjects=8, covariates=group, random_seed=1)


@pytest.fixture(scope="module")
def fit(data):
    return fit_posterior(
        MODEL, data, formula={"alpha": "1 + group"}, draws=1200, chains=2, progress=False, log_likelihood=True
    )


def test_the_tree_has_every_group_with_the_promised_dims(fit):
    assert {"posterior", "population", "sample_stats", "fit_stats", "observed_data", "constant_data"} <= set(
        fit
    )
    assert fit["posterior"]["alpha"].dims == ("chain", "draw", "subject")
    population = fit["population"]
    assert population["mu"].dims == ("chain", "draw", "parameter", "coefficient")
    assert population["sigma"].dims == ("chain", "draw", "parameter")
    assert population["mean"].dims == population["median"].dims == ("chain", "draw", "parameter", "cell")
    assert list(population["parameter"].values) == ["alpha", "beta"]
    assert list(population["cell"].values) == ["group=a", "group=b"]
    assert {"diverging", "energy", "lp", "tree_depth", "acceptance_rate"} <= set(
        fit["sample_stats"].data_vars
    )


@pytest.mark.parametrize(("n", "sentence"), [(1, "fewer than 3 subjects"), (4, "the data say too little")])
def test_a_prior_that_the_data_could_not_make_is_called_weak(n, sentence):
    data = hr.simulate(MODEL, hr.Bandit((0.8, 0.2), n_trials=12), {"alpha": 0.5, "beta": 1.0}, n_subjects=n)
    told = _on_prior(lay_out(MODEL, data))
    assert told.startswith("The prior is the weak one") and sentence in told


def test_terms_of_the_prior_that_stayed_weak_are_named(data):
    prior = lay_out(MODEL, data).population.prior
    assert [term.source for term in prior.terms].count("empirical") == 1, (
        "another data set than this was written for"
    )
    weak = "alpha (Intercept), alpha (spread), beta (spread)"
    assert _on_prior(lay_out(MODEL, data)).endswith(f"Weak too, as the data say too little: {weak}.")


def test_versions_of_the_samplers_are_on_record(fit):
    kept = json.loads(fit.attrs["hierrl_versions"])
    assert kept["nutpie"] == version("nutpie") and kept["pymc"] == version("pymc")
    assert f"nutpie {version('nutpie')}" in hr.describe(fit).text


def test_population_medians_are_the_coefficients_on_the_natural_scale(fit):
    population = fit["population"].to_dataset()
    mu = population["mu"].sel(parameter="alpha")
    old = mu.sel(coefficient="Intercept")
    for cell, centre in {"group=a": old, "group=b": old + mu.isel(coefficient=1)}.items():
        expected = 1 / (1 + np.exp(-centre))
        np.testing.assert_allclose(population["median"].sel(parameter="alpha", cell=cell), expected)
    assert np.isnan(population["mu"].sel(parameter="beta").isel(coefficient=1)).all()


def test_the_median_lies_beyond_the_mean_of_a_rate(fit):
    # Averaging over subjects draws a rate toward one half.
    population = fit["population"].to_dataset().sel(parameter="alpha")
    assert (np.abs(population["mean"] - 0.5) <= np.abs(population["median"] - 0.5) + 1e-12).all()


def test_a_posterior_has_no_log_likelihood_bound_or_gap_and_says_why(fit):
    for name in ("loglik", "bound", "gap"):
        assert np.isnan(fit["fit_stats"][name]).all()
        assert "point fits" in fit["fit_stats"][name].attrs["reason"]
    assert not fit["fit_stats"]["certified"].any()


def test_settings_say_what_was_done_and_how_it_went(fit):
    settings = settings_of(fit)
    assert settings["estimator"] == "posterior"
    assert settings["parametrization"] == "informed"
    assert "own trials" in settings["parametrization_reason"]
    assert not settings["prior_given"]
    assert any("from the same data" in note for note in settings["notes"])
    assert settings["diagnostics"]["converged"] in (True, False)
    assert settings["diagnostics"]["sentences"][0].startswith("The chains")
    assert all("R-hat" in status for status in fit["fit_stats"]["status"].values)
    assert json.loads(settings["prior"])["formula"] == {"alpha": "1 + group", "beta": "1"}


def test_arviz_summarises_population_and_subjects(fit):
    assert "sigma[alpha]" in az.summary(fit, group="population").index
    assert len(az.summary(fit)) == 16


def test_log_likelihood_by_trial_sums_to_that_of_the_subjects(fit):
    problem, theta = problem_of(fit), theta_of(fit)
    stored = fit["log_likelihood"]["choice"]
    for chain, draw in ((0, 0), (1, 1199)):
        total = problem.loglik(theta[chain, draw]).sum()
        assert stored.isel(chain=chain, draw=draw).sum().item() == pytest.approx(total)


@pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part")  # zarr, of itself
@pytest.mark.filterwarnings("ignore:The data type .* does not have a Zarr V3 specification")
@pytest.mark.parametrize("kind", ["netcdf", "zarr"])
def test_a_posterior_survives_saving(fit, tmp_path, kind):
    path = tmp_path / ("fit.nc" if kind == "netcdf" else "fit.zarr")
    getattr(fit, f"to_{kind}")(path)
    again = hr.load(path)
    assert settings_of(again) == settings_of(fit)
    for group in fit.children:
        xr.testing.assert_equal(again[group].to_dataset(), fit[group].to_dataset())


def test_the_same_seed_gives_the_same_draws(data):
    options = {"prior": weak_prior(MODEL, data), "draws": 60, "tune": 60, "chains": 2, "progress": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # far too few draws
        first, again, other = (fit_posterior(MODEL, data, random_seed=seed, **options) for seed in (3, 3, 4))
    xr.testing.assert_equal(first["posterior"].to_dataset(), again["posterior"].to_dataset())
    assert not first["posterior"].to_dataset().equals(other["posterior"].to_dataset())


def test_the_prior_that_was_given_is_the_one_that_is_used_and_recorded(data):
    prior = weak_prior(MODEL, data).changed("beta", "Intercept", loc=1.0, scale=1e-4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        fit = fit_posterior(MODEL, data, prior=prior, draws=60, chains=2, progress=False)
    np.testing.assert_allclose(fit["population"]["mu"].sel(parameter="beta"), 1.0, atol=1e-3)
    assert hr.Prior.from_json(settings_of(fit)["prior"]) == prior
    assert settings_of(fit)["prior_given"]


def test_methods_and_samplers_that_do_not_exist_are_refused(data):
    with pytest.raises(ValueError, match="method='gibbs' is not one of"):
        fit_posterior(MODEL, data, method="gibbs")
    with pytest.raises(ValueError, match="sampler='stan' is not one of"):
        fit_posterior(MODEL, data, sampler="stan")
    with pytest.raises(ValueError, match="draws= must be at least 1; found 0"):
        fit_posterior(MODEL, data, draws=0)


def draws_of(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def diagnosis(eta, mu, diverging):
    problem = prepare(MODEL, random_behaviour(3, 10, 2))
    dims = ("chain", "draw", "parameter", "coefficient")
    population = xr.Dataset({"mu": (dims, mu), "sigma": (dims[:3], np.exp(mu[..., 0]))})
    return diagnose(
        population.assign_coords(parameter=["alpha", "beta"], coefficient=["Intercept"]),
        eta,
        diverging,
        problem=problem,
    )


def test_good_chains_are_called_converged():
    found = diagnosis(draws_of((4, 500, 3, 2)), draws_of((4, 500, 2, 1)), np.zeros((4, 500), bool))
    assert found.converged
    assert found.by_subject.all()
    assert found.sentences[:2] == ("The chains converged.", "No divergences.")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_if_not_converged(found)


def test_chains_that_differ_are_named_with_parameter_and_subject():
    eta = draws_of((4, 500, 3, 2))
    eta[0, :, 1, 1] += 3.0
    found = diagnosis(eta, draws_of((4, 500, 2, 1)), np.zeros((4, 500), bool))
    assert not found.converged
    assert list(found.by_subject) == [True, False, True]
    assert found.status[1].startswith("Not converged (beta)")
    assert any("beta of subject s1" in sentence for sentence in found.sentences)
    with pytest.warns(UserWarning, match="did not converge.*What to do: sample longer .tune=1000, draws="):
        warn_if_not_converged(found)


def test_divergences_are_counted_and_count():
    diverging = np.zeros((4, 500), bool)
    diverging[2, :10] = True
    found = diagnosis(draws_of((4, 500, 3, 2)), draws_of((4, 500, 2, 1)), diverging)
    assert not found.converged
    assert "10 of 2,000 transitions diverged (0.5%)." in found.sentences
    assert "target_accept" in found.advice


def test_chains_that_agree_but_are_too_short_are_told_from_chains_that_disagree():
    found = diagnosis(draws_of((4, 60, 3, 2), 1), draws_of((4, 60, 2, 1), 2), np.zeros((4, 60), bool))
    assert not found.converged
    assert found.sentences[0] == "The chains agree, but have too few effective draws."
    assert found.advice == "sample longer (draws=500)"


def test_a_single_chain_is_never_called_converged():
    found = diagnosis(draws_of((1, 2000, 3, 2)), draws_of((1, 2000, 2, 1)), np.zeros((1, 2000), bool))
    assert not found.converged
    assert "at least two chains" in found.advice


def test_an_rhat_that_chance_explains_is_no_fault_and_is_said_to_be_chance():
    eta, mu = draws_of((4, 300, 3, 2)), draws_of((4, 300, 2, 1))
    # Autocorrelated draws of a good sampler: R-hat passes 1.01 somewhere.
    for t in range(1, 300):
        eta[:, t] = 0.3 * eta[:, t - 1] + np.sqrt(1 - 0.3**2) * eta[:, t]
    found = diagnosis(eta, mu, np.zeros((4, 300), bool))
    assert found.measures["max_rhat"] > 1.01
    assert found.converged
    assert "chance alone gives up to" in found.sentences[3]
    assert found.measures["max_rhat"] < found.measures["rhat_by_chance"]


def test_after_an_interrupt_whole_chains_of_one_length_are_kept():
    draws = np.full((4, 300, 2), np.nan)
    draws[0, :300] = draws[1, :120] = draws[2, :20] = 0.0
    kept, length = _complete(draws)
    assert list(kept) == [True, True, False, False]
    assert length == 120


def grid_posterior(problem, prior):
    """Exact posterior mean and sd of (mu, log sigma, eta of each subject) for a model with one parameter."""
    # Wide: the subject with the largest weight has a long tail, which a narrow grid would cut off.
    mu, log_sigma = np.linspace(-3.0, 6.0, 181), np.linspace(-3.0, 3.0, 121)
    eta = np.linspace(-12.0, 20.0, 641)
    loglik = np.stack(
        [problem.loglik(problem.from_link(np.full((problem.n_subjects, 1), e))) for e in eta], axis=1
    )
    density = norm.logpdf(eta, mu[:, None, None], np.exp(log_sigma)[:, None]) + np.log(eta[1] - eta[0])
    joint = density[None] + loglik[:, None, None, :]  # (S, mu, log sigma, eta)
    marginal = logsumexp(joint, axis=3)
    log_post = marginal.sum(axis=0)
    log_post += norm.logpdf(mu, *(x[0] for x in prior.mu("beta")[1:]))[:, None]
    log_post += norm.logpdf(log_sigma, *prior.log_sigma("beta"))
    weight = np.exp(log_post - logsumexp(log_post))
    given = np.exp(joint - marginal[..., None])

    def moments(values, weights):
        mean = (values * weights).sum()
        return mean, np.sqrt(((values - mean) ** 2 * weights).sum())

    by_subject = [moments(eta, np.einsum("ab,abe->e", weight, each)) for each in given]
    return moments(mu, weight.sum(axis=1)), moments(log_sigma, weight.sum(axis=0)), by_subject


@pytest.mark.slow
@pytest.mark.parametrize("parametrization", ["informed", "noncentered", "centered"])
def test_the_posterior_is_the_one_of_quadrature(parametrization):
    model = hr.Model(channels=(hr.Channel(rate=0.3),))
    task = hr.Bandit((0.8, 0.2), n_trials=60)
    data = hr.simulate(
        model, task, {"beta": np.array([0.5, 1.0, 2.0, 4.0, 8.0])}, n_subjects=5, random_seed=2
    )
    prior = weak_prior(model, data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the centred one may diverge
        fit = fit_posterior(
            model,
            data,
            prior=prior,
            parametrization=parametrization,
            draws=3000,
            target_accept=0.95,
            progress=False,
        )
    population, eta = fit["population"], np.log(fit["posterior"]["beta"].values)
    exact = grid_posterior(prepare(model, data), prior)
    found = [population["mu"].values, np.log(population["sigma"].values), *np.moveaxis(eta, -1, 0)]
    for draws, (mean, sd) in zip(found, [*exact[:2], *exact[2]], strict=True):
        assert draws.mean() == pytest.approx(mean, abs=0.08 * sd)
        assert draws.std() == pytest.approx(sd, rel=0.08)


@pytest.mark.slow
def test_both_samplers_agree(data):
    prior = weak_prior(MODEL, data)
    options = {"prior": prior, "draws": 2000, "chains": 2, "target_accept": 0.9, "progress": False}
    fits = [fit_posterior(MODEL, data, sampler=name, cores=1, **options) for name in ("nutpie", "pymc")]
    for name in ("alpha", "beta"):
        draws = [fit["posterior"][name] for fit in fits]
        over = ("chain", "draw")
        gap = (draws[0].mean(over) - draws[1].mean(over)) / draws[0].std(over)
        assert np.abs(gap).max() < 0.12


@pytest.mark.slow
def test_without_the_fast_path_nutpie_compiles_the_model_itself(data, monkeypatch):
    def gone(*_):
        raise AttributeError("nutpie has changed")

    monkeypatch.setattr("hierrl.posterior.compiled._compile", gone)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        fit = fit_posterior(MODEL, data, prior=weak_prior(MODEL, data), draws=100, chains=2, progress=False)
    assert np.isfinite(fit["posterior"]["alpha"]).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["forgetting_q", "subvalue"])
def test_real_subjects_converge_in_a_default_run(shared_data, name):
    data = hr.behaviour(shared_data("fitzgerald_reversal"), covariates=["age_group"])
    model = hr.model(name)
    fit = fit_posterior(model, data, formula="1 + age_group", progress=False)
    found = settings_of(fit)["diagnostics"]
    assert found["divergences"] == 0
    assert found["max_rhat"] < 1.01
    assert found["converged"]
