"""Spreads of their own for groups, correlated parameters: one posterior in all coordinates, named and reported."""

import numpy as np
import pymc as pm
import pytest
from scipy.stats import beta, multivariate_normal, norm

import hierrl as hr
from hierrl.kernels.correlation import lkj_shapes
from hierrl.posterior.coordinates import Point, coordinates_of, parameters_of
from hierrl.posterior.layout import lay_out
from hierrl.posterior.model import write_model
from hierrl.posterior.natural import natural_mean
from hierrl.posterior.population import correlations
from hierrl.posterior.samplers import start_of_chain
from tests.builders import random_behaviour
from tests.densities import PARAMETRIZATIONS, SLOWLY, assert_gradient_agrees, at

STRUCTURES = {
    "groups": {"spread_by": "group"},
    "correlated": {"correlated": True},
    "both": {"spread_by": "group", "correlated": True},
}
MODEL = hr.model("forgetting_q", bias=True)


@pytest.fixture(scope="module")
def data():
    return random_behaviour(5, 30, 2, rich=True, graded=True)


def layout_of(data, structure, parametrization="informed"):
    return lay_out(
        MODEL,
        data,
        prior={"alpha": {"Intercept": {"loc": -0.5, "scale": 1.0}}},
        formula={"alpha": "1 + age"},
        parametrization=parametrization,
        **STRUCTURES[structure],
    )


def log_density(layout, values):
    """By SciPy, subject by subject."""
    population, problem = layout.population, layout.problem
    total = problem.loglik(problem.from_link(values.eta)).sum()
    total += norm.logpdf(values.effects, *population.effects_prior).sum()
    total += norm.logpdf(values.log_sigma, *population.spread_prior).sum()
    omega = np.eye(len(population.labels))
    if values.partial is not None:
        shapes = lkj_shapes(len(omega), 2.0)
        total += beta.logpdf(values.partial, shapes, shapes).sum()
        omega = correlations(values.partial)
    mean = population.mean(values.effects)
    for s, group in enumerate(population.groups.of_subject):
        log_sigma = values.log_sigma[:, group] if values.log_sigma.ndim == 2 else values.log_sigma
        sigma = np.exp(log_sigma)
        total += multivariate_normal.logpdf(values.eta[s], mean[s], omega * np.outer(sigma, sigma))
    return total


@pytest.mark.parametrize("structure", STRUCTURES)
def test_all_parametrizations_have_the_density_of_the_model_and_its_change_of_variables(data, structure):
    for parametrization in PARAMETRIZATIONS:
        layout = layout_of(data, structure, parametrization)
        pm_model = write_model(layout)
        logp = {jacobian: pm_model.compile_logp(jacobian=jacobian, mode=SLOWLY) for jacobian in (True, False)}
        for seed in range(2):
            values = start_of_chain(layout, seed)
            point = at(pm_model, layout, values)
            assert logp[False](point) == pytest.approx(log_density(layout, values), abs=1e-7)
            expected = log_jacobian(layout, values)
            assert logp[True](point) - logp[False](point) == pytest.approx(expected, abs=1e-3)


def log_jacobian(layout, values):
    """Of the map from coordinates to parameters, by differences."""
    z = coordinates_of(layout, values.reshaped(0, (1,)))
    flat = np.concatenate([np.ravel(x) for x in z if x is not None])
    sizes = np.cumsum([x.size for x in z if x is not None])[:-1]
    shapes = [x.shape for x in z if x is not None]

    def parameters(x):
        parts = [part.reshape(shape) for part, shape in zip(np.split(x, sizes), shapes, strict=True)]
        return np.concatenate([np.ravel(v) for v in parameters_of(layout, Point(*parts)) if v is not None])

    steps = 1e-5 * np.eye(flat.size)
    jacobian = np.stack([(parameters(flat + h) - parameters(flat - h)) / 2e-5 for h in steps])
    return np.linalg.slogdet(jacobian)[1]


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("parametrization", PARAMETRIZATIONS)
def test_the_gradient_agrees_with_differences(data, structure, parametrization):
    layout = layout_of(data, structure, parametrization)
    pm_model = write_model(layout)
    assert_gradient_agrees(pm_model, at(pm_model, layout, start_of_chain(layout, 3)))


@pytest.mark.parametrize("structure", STRUCTURES)
def test_coordinates_and_parameters_are_inverse_to_each_other(data, structure):
    layout = layout_of(data, structure)
    starts = [start_of_chain(layout, seed).reshaped(0, (1,)) for seed in range(3)]
    values = Point(*(None if x[0] is None else np.concatenate(x) for x in zip(*starts, strict=True)))
    again = parameters_of(layout, coordinates_of(layout, values))
    for one, other in zip(values, again, strict=True):
        if one is not None:
            np.testing.assert_allclose(one, other, atol=1e-9)


def test_dims_name_groups_pairs_and_correlations(data):
    pm_model = write_model(layout_of(data, "both"))
    dims = pm_model.named_vars_to_dims
    assert dims["sigma"] == ("parameter", "group")
    assert dims["correlation"] == ("parameter", "parameter_2")
    assert pm_model.coords["group"] == ("old", "young")
    assert pm_model.coords["pair"] == ("beta, alpha", "bias[B], alpha", "bias[B], beta")


def test_the_population_has_a_spread_for_each_group_and_means_use_it(data):
    layout = layout_of(data, "both")
    values = start_of_chain(layout, 1).reshaped(0, (1, 1))
    population = layout.population.to_dataset(values.effects, values.log_sigma, values.partial)
    assert population["sigma"].dims == ("chain", "draw", "parameter", "group")
    assert list(population["cell"].values) == ["group=old", "group=young"]
    for group in ("old", "young"):
        found = population.sel(cell=f"group={group}", parameter="alpha")
        mu = population["mu"].sel(parameter="alpha", coefficient="Intercept").item()
        sigma = population["sigma"].sel(parameter="alpha", group=group).item()
        assert found["median"].item() == pytest.approx(1 / (1 + np.exp(-mu)))
        assert found["mean"].item() == pytest.approx(natural_mean(mu, sigma, "logit").item())
    omega = population["correlation"].values[0, 0]
    np.testing.assert_allclose(omega, omega.T)
    np.testing.assert_allclose(np.diagonal(omega), 1.0)


def test_deterministics_agree_with_the_layout(data):
    layout = layout_of(data, "both")
    pm_model, values = write_model(layout), start_of_chain(layout, 2)
    names = [variable.name for variable in pm_model.deterministics]
    function = pm_model.compile_fn(pm_model.replace_rvs_by_values(pm_model.deterministics), mode=SLOWLY)
    found = dict(zip(names, function(at(pm_model, layout, values)), strict=True))
    draws = values.reshaped(0, (1, 1))
    expected = layout.population.to_dataset(draws.effects, draws.log_sigma, draws.partial)
    for name in ("mu", "sigma", "correlation"):
        np.testing.assert_allclose(found[name], expected[name].values[0, 0], err_msg=name)


@pytest.mark.slow
def test_prior_draws_have_the_spreads_and_correlations_of_their_population(data):
    layout = layout_of(data, "both")
    with write_model(layout):
        drawn = pm.sample_prior_predictive(
            1500, random_seed=1, var_names=["effects", "log_sigma", "partial", "eta", "correlation"]
        )["prior"].to_dataset()
    values = {name: drawn[name].values[0] for name in ("effects", "log_sigma", "eta", "correlation")}
    mean = layout.population.mean(values["effects"])
    z = (values["eta"] - mean) / layout.population.sigma_of_subjects(values["log_sigma"])
    assert z.mean() == pytest.approx(0, abs=0.03)
    assert z.std() == pytest.approx(1, abs=0.03)
    factor = np.linalg.cholesky(values["correlation"])
    independent = np.linalg.solve(factor[:, None], z[..., None])[..., 0].reshape(-1, 3)
    np.testing.assert_allclose(np.corrcoef(independent.T), np.eye(3), atol=0.04)


def test_a_prior_for_other_groups_is_refused(data):
    prior = hr.weak_prior(MODEL, data, spread_by="group")
    with pytest.raises(ValueError, match="spread_by= says 'age', the prior was made for 'group'"):
        lay_out(MODEL, data, prior=prior, spread_by="age")
    other = data.assign(group=("subject", ["old", "x", "young", "x", "old"], {"level": "subject"}))
    with pytest.raises(
        ValueError, match="spreads of the groups old, young; 'group' of these data has old, x"
    ):
        lay_out(MODEL, other, prior=prior)


def test_correlations_can_be_asked_for_beside_a_prior(data):
    prior = hr.weak_prior(MODEL, data)
    layout = lay_out(MODEL, data, prior=prior, correlated=True, parametrization="noncentered")
    assert layout.population.prior.lkj == 2.0
    assert layout.record()["correlated"]
    assert not lay_out(MODEL, data, prior=prior, parametrization="noncentered").record()["correlated"]


@pytest.mark.slow
def test_spreads_and_correlations_of_a_simulated_study_are_found():
    rng = np.random.default_rng(3)
    group = np.array(["a", "b"])[np.arange(80) % 2]
    z = rng.multivariate_normal([0, 0], [[1, 0.7], [0.7, 1]], 80)
    truth = {
        "alpha": 1 / (1 + np.exp(0.5 - np.where(group == "a", 0.3, 1.0) * z[:, 0])),
        "beta": np.exp(1.2 + 0.4 * z[:, 1]),
    }
    task, model = hr.Bandit((0.8, 0.2), n_trials=200, reverse_every=25), hr.model("rw")
    data = hr.simulate(model, task, truth, covariates={"group": group}, random_seed=1)
    fit = hr.fit_posterior(model, data, spread_by="group", correlated=True, draws=700, progress=False)
    population = fit["population"].to_dataset()
    # A uniform LKJ prior and 80 subjects: standard errors are about .1 on each of these.
    ratio = population["sigma"].sel(group="b") / population["sigma"].sel(group="a")
    assert ratio.sel(parameter="alpha").mean() > 2
    assert 0.5 < ratio.sel(parameter="beta").mean() < 2
    omega = population["correlation"].sel(parameter="alpha", parameter_2="beta")
    assert 0.4 < omega.mean() < 0.95
    assert (omega > 0).mean() > 0.99
