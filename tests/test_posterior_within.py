"""Slopes within subjects: one posterior in all coordinates, reported by name, scored session by session."""

import json
from dataclasses import replace

import numpy as np
import pymc as pm
import pytest
import xarray as xr
from scipy.stats import multivariate_normal, norm

import hierrl as hr
from hierrl.checks.replicates import generations
from hierrl.checks.rows import rows_of
from hierrl.fits import data_of, in_sessions, problem_of, theta_of
from hierrl.formulas import design_matrices
from hierrl.kernels.correlation import lkj_shapes
from hierrl.posterior.layout import lay_out
from hierrl.posterior.model import write_model
from hierrl.posterior.natural import natural_mean
from hierrl.posterior.population import correlations
from hierrl.posterior.samplers import start_of_chain
from hierrl.simulate import truth_of
from hierrl.told import told_of
from tests.builders import random_behaviour
from tests.densities import PARAMETRIZATIONS, SLOWLY, assert_gradient_agrees, at

MODEL = hr.model("forgetting_q", bias=True)
FORMULA = {"alpha": "1 + group * drug", "beta": "1 + drug", "bias": "1 + drug"}


def with_drug(data: xr.Dataset) -> xr.Dataset:
    """Drug in every other session."""
    new = np.append(True, data["trial_session"].values[1:] != data["trial_session"].values[:-1])
    new |= np.append(True, data["trial_subject"].values[1:] != data["trial_subject"].values[:-1])
    drug = np.where(np.cumsum(new) % 2 == 0, "on", "off")
    return data.assign(drug=("trial", drug, {"level": "session"}))


@pytest.fixture(scope="module")
def data():
    return with_drug(random_behaviour(5, 40, 2, rich=True, graded=True, seed=2))


def layout_of(data, parametrization="informed", **options):
    prior = {"alpha": {"Intercept": {"loc": -0.5, "scale": 1.0}}}
    return lay_out(MODEL, data, prior=prior, formula=FORMULA, parametrization=parametrization, **options)


def log_density(layout, data, values):
    """By hand: session by session, subject by subject."""
    population, problem = layout.population, layout.problem
    labels = list(population.labels)
    drug = data["drug"].values
    total = norm.logpdf(values.effects, *population.effects_prior).sum()
    total += norm.logpdf(values.log_sigma, *population.spread_prior).sum()
    omega = np.eye(len(labels))
    if values.partial is not None:
        from scipy.stats import beta

        total += beta.logpdf(values.partial, *[lkj_shapes(len(labels), 2.0)] * 2).sum()
        omega = correlations(values.partial)
    sigma = np.exp(values.log_sigma)
    mean = population.mean(values.effects)
    sums = {}
    for on in ("off", "on"):
        eta = values.eta[:, :3].copy()
        if on == "on":
            for of, label in (
                ("alpha", "alpha:drug[on]"),
                ("beta", "beta:drug[on]"),
                ("bias[B]", "bias[B]:drug[on]"),
            ):
                eta[:, labels.index(of)] += values.eta[:, labels.index(label)]
        sums[on] = problem.trial_loglik(problem.from_link(eta))
    total += np.nansum(np.where(drug == "on", sums["on"], sums["off"]))
    for s in range(problem.n_subjects):
        total += multivariate_normal.logpdf(values.eta[s], mean[s], omega * np.outer(sigma, sigma))
    return total


@pytest.mark.parametrize("correlated", [False, True])
@pytest.mark.parametrize("parametrization", PARAMETRIZATIONS)
def test_the_density_scores_each_session_with_its_own_parameters(data, parametrization, correlated):
    layout = layout_of(data, parametrization, correlated=correlated)
    pm_model = write_model(layout)
    logp = pm_model.compile_logp(jacobian=False, mode=SLOWLY)
    for seed in range(2):
        values = start_of_chain(layout, seed)
        expected = log_density(layout, data, values)
        assert logp(at(pm_model, layout, values)) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("parametrization", PARAMETRIZATIONS)
def test_the_gradient_agrees_with_differences(data, parametrization):
    layout = layout_of(data, parametrization)
    pm_model = write_model(layout)
    assert_gradient_agrees(pm_model, at(pm_model, layout, start_of_chain(layout, 3)))


def test_variables_and_dims_name_the_slopes(data):
    pm_model = write_model(layout_of(data))
    dims = pm_model.named_vars_to_dims
    assert dims["alpha:drug[on]"] == ("subject",)
    assert dims["bias:drug[on]"] == ("subject", "arm")
    assert pm_model.coords["parameter"] == (
        "alpha", "beta", "bias[B]", "alpha:drug[on]", "beta:drug[on]", "bias[B]:drug[on]",
    )  # fmt: skip
    for name in ("eta", "alpha:drug[on]", "choice"):
        assert name in pm.model_to_mermaid(pm_model)


@pytest.mark.parametrize("correlated", [False, True])
def test_cells_of_sessions_add_the_slope_and_its_spread(data, correlated):
    layout = layout_of(data, correlated=correlated)
    values = start_of_chain(layout, 1).reshaped(0, (1, 1))
    population = layout.population.to_dataset(values.effects, values.log_sigma, values.partial)
    assert list(population["cell"].values) == [
        "group=old, drug=off", "group=old, drug=on", "group=young, drug=off", "group=young, drug=on",
    ]  # fmt: skip
    mu = population["mu"].squeeze()
    sigma = population["sigma"].squeeze()
    own = mu.sel(parameter="alpha", coefficient=["Intercept", "group[young]"]).sum().item()
    slope = mu.sel(parameter="alpha:drug[on]", coefficient=["Intercept", "group[young]"]).sum().item()
    rho = 0.0
    if correlated:
        rho = population["correlation"].squeeze().sel(parameter="alpha", parameter_2="alpha:drug[on]").item()
    a, b = sigma.sel(parameter="alpha").item(), sigma.sel(parameter="alpha:drug[on]").item()
    spread = np.sqrt(a * a + b * b + 2 * rho * a * b)
    found = population.sel(parameter="alpha").squeeze()
    assert found["median"].sel(cell="group=young, drug=on").item() == pytest.approx(
        1 / (1 + np.exp(-own - slope))
    )
    assert found["mean"].sel(cell="group=young, drug=on").item() == pytest.approx(
        natural_mean(own + slope, spread, "logit").item()
    )
    assert found["mean"].sel(cell="group=young, drug=off").item() == pytest.approx(
        natural_mean(own, a, "logit").item()
    )
    # A weight's log link: the mean is that of a lognormal variable, in raw reward units.
    beta = population.sel(parameter="beta").squeeze()
    total = mu.sel(coefficient="Intercept", parameter=["beta", "beta:drug[on]"]).sum().item()
    assert beta["median"].sel(cell="group=old, drug=on").item() == pytest.approx(np.exp(total))


def test_priors_of_slopes_are_weak_whatever_the_data_say(data):
    empirical = hr.empirical_prior(MODEL, data, formula=FORMULA)
    weak = hr.weak_prior(MODEL, data, formula=FORMULA)
    for mine, plain in zip(empirical.terms, weak.terms, strict=True):
        if ":" in mine.parameter:
            assert (mine.loc, mine.scale, mine.source) == (plain.loc, plain.scale, "weak")
    assert [t.loc for t in weak.terms if t.parameter == "alpha:drug[on]"] == [0.0, 0.0, np.log(0.5)]


# A study with a drug: simulated from its prior, fitted, scored


@pytest.fixture(scope="module")
def study():
    frame = hr.simulate(
        hr.model("rw"), hr.Bandit((0.8, 0.2), n_trials=60, n_sessions=4, reverse_every=20),
        {"alpha": 0.3, "beta": 3.0}, n_subjects=24, covariates={"group": ["a", "b"] * 12}, random_seed=1,
    )  # fmt: skip
    frame = with_drug(frame.drop_vars([name for name in frame if str(name).startswith("true_")]))
    formula = {"alpha": "1 + drug", "beta": "1"}
    prior = hr.weak_prior(hr.model("rw"), frame, formula=formula).updated(
        {
            "alpha": {"Intercept": {"loc": -1.0, "scale": 0.01}, "log_sigma": {"loc": -0.7, "scale": 0.01}},
            "alpha:drug[on]": {
                "Intercept": {"loc": 1.5, "scale": 0.01},
                "log_sigma": {"loc": -1.0, "scale": 0.01},
            },
            "beta": {"Intercept": {"loc": 1.2, "scale": 0.01}, "log_sigma": {"loc": -1.2, "scale": 0.01}},
        }
    )
    return hr.simulate(hr.model("rw"), hr.Bandit.recorded(frame), prior, random_seed=3)


def test_simulated_slopes_are_on_record(study):
    population = json.loads(study.attrs["simulation"])["population"]
    assert population["mu"]["alpha:drug[on]"]["Intercept"] == pytest.approx(1.5, abs=0.05)
    assert study["true_alpha:drug[on]"].mean() == pytest.approx(1.5, abs=0.3)
    assert truth_of(study)["alpha"].dims == ("subject",)


@pytest.fixture(scope="module")
def fit(study):
    return hr.fit_posterior(
        hr.model("rw"),
        study,
        formula={"alpha": "1 + drug"},
        draws=400,
        chains=2,
        progress=False,
        log_likelihood=True,
    )


@pytest.mark.filterwarnings("ignore:The chains")
def test_the_drug_is_found_and_subjects_have_slopes_of_their_own(study, fit):
    slope = fit["population"]["mu"].sel(parameter="alpha:drug[on]", coefficient="Intercept")
    assert abs(slope.mean() - 1.5) < 3 * slope.std()
    assert slope.std() < 0.4
    table = hr.contrast(fit, "alpha", "drug").set_index("quantity")
    assert table.loc["mu", "mean"] == pytest.approx(slope.mean().item())
    assert table.loc["median", "p_direction"] > 0.99
    draws = fit["posterior"]["alpha:drug[on]"]
    assert draws.dims == ("chain", "draw", "subject")
    assert np.corrcoef(draws.mean(("chain", "draw")), study["true_alpha:drug[on]"])[0, 1] > 0


def test_a_slope_differs_between_groups_on_the_link_scale_only(fit):
    tree = fit.copy()
    population = tree["population"].to_dataset()
    cells = np.array(["group=a", "group=b"], dtype=object)
    changed = population.isel(cell=[0, 1]).assign_coords(cell=cells)
    changed["median"] = changed["median"] + xr.DataArray([0.0, 0.3], dims="cell")
    tree["population"] = xr.DataTree(changed)
    table = hr.contrast(tree, "alpha:drug[on]", "group")
    assert table["quantity"].tolist() == ["mu"]
    assert table["scale"].tolist() == ["link (log odds ratio)"]
    assert table["mean"].item() == pytest.approx(0.3)


def test_scores_are_those_of_sessions_with_their_slopes(study, fit):
    problem, data = problem_of(fit), data_of(fit)
    posterior = fit["posterior"].to_dataset()
    stored = fit["log_likelihood"]["choice"].isel(chain=1, draw=7)
    on = data["drug"].values == "on"
    alpha = posterior["alpha"].isel(chain=1, draw=7).values
    shifted = 1 / (
        1 + np.exp(-(np.log(alpha / (1 - alpha)) + posterior["alpha:drug[on]"].isel(chain=1, draw=7).values))
    )
    beta = posterior["beta"].isel(chain=1, draw=7).values
    scores = [problem.trial_loglik(np.stack([a, beta], axis=1)) for a in (alpha, shifted)]
    expected = np.where(on, scores[1], scores[0])[stored["trial"].values]
    np.testing.assert_allclose(stored, expected, atol=1e-10)
    by_trial = hr.log_likelihood(fit, by="trial").isel(chain=1, draw=7)
    np.testing.assert_allclose(by_trial, expected, atol=1e-10)
    by_subject = hr.log_likelihood(fit, by="subject").isel(chain=1, draw=7)
    assert by_subject["subject"].values.tolist() == data["subject"].values.tolist()
    assert by_subject.sum().item() == pytest.approx(expected.sum())
    probability = hr.latents(fit, draws=20)["probability"]
    assert np.isfinite(probability).all()


def test_a_session_that_was_not_fitted_cannot_be_scored(study, fit):
    other = study.assign_coords(trial_session=("trial", study["trial_session"].values + 10))
    with pytest.raises(ValueError, match="session 11 of subject 1 was not fitted"):
        in_sessions(fit, problem_of(fit), theta_of(fit), other)


def test_a_posterior_with_slopes_survives_saving(fit, tmp_path):
    fit.to_netcdf(tmp_path / "fit.nc")
    again = hr.load(tmp_path / "fit.nc")
    xr.testing.assert_equal(again["sessions"].to_dataset(), fit["sessions"].to_dataset())
    assert "alpha:drug[on]" in again["posterior"]


def test_simulating_from_a_posterior_with_slopes_is_refused(fit):
    with pytest.raises(
        ValueError, match=r"slopes within subjects \(alpha:drug\[on\]\), which simulate does not"
    ):
        hr.simulate(
            hr.model("rw"), hr.Bandit((0.8, 0.2)), fit["posterior"].isel(chain=0, draw=0).to_dataset()
        )


def test_the_marginal_sampler_counts_slopes_among_the_parameters(study):
    with pytest.raises(ValueError, match="here a subject has 8 parameters"):
        hr.fit_posterior(hr.model("subvalue"), study, formula="1 + drug", method="marginal", progress=False)


def test_designs_of_new_data_have_the_same_slopes(study):
    assert list(design_matrices(hr.model("rw"), study, {"alpha": "1 + drug"})) == [
        "alpha", "beta", "alpha:drug[on]",
    ]  # fmt: skip


def test_new_behaviour_of_sessions_has_the_parameters_of_each_session(study, fit):
    told = told_of(fit, None, None, 1)
    problem = told.problem  # of sessions: in every second one choices are random, in the others wins are kept
    lazy = np.arange(problem.n_subjects) % 2 == 0
    theta = np.where(lazy[:, None], [0.9, 1e-9], [0.9, 50.0])
    extreme = replace(told, theta=np.broadcast_to(theta, (1, 1, *theta.shape)))
    (data,) = generations(fit, extreme, hr.Bandit.recorded(study), 1, np.random.default_rng(1))
    rows = rows_of(data)
    session = np.cumsum(rows.position == 0) - 1
    stay = [rows.stayed[rows.won & lazy[session]].mean(), rows.stayed[rows.won & ~lazy[session]].mean()]
    assert abs(stay[0] - 0.5) < 0.05
    assert stay[1] > 0.95
    check = hr.predictive_check(fit, mode="generate", replicates=3, random_seed=1, progress=False)
    assert check.simulated.sizes["replicate"] == 3
    with pytest.raises(ValueError, match="parameters belong to the sessions that were fitted"):
        hr.predictive_check(fit, mode="generate", task=hr.Bandit((0.5, 0.5)), progress=False)
