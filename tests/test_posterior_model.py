"""The PyMC model: one posterior whatever its coordinates, names and units as promised, PyMC's own tools work."""

import re

import numpy as np
import pymc as pm
import pytest
from arviz_base import from_dict
from scipy.stats import norm

import hierrl as hr
from hierrl.kernels.problem import prepare
from hierrl.posterior import pymc_model, trial_data
from hierrl.posterior.coordinates import Point, parameters_of
from hierrl.posterior.layout import FREE, lay_out
from hierrl.posterior.model import write_model
from hierrl.posterior.natural import natural_mean
from hierrl.posterior.population import Population
from hierrl.posterior.samplers import OVERDISPERSION, start_of_chain
from hierrl.prior import weak_prior
from tests.builders import random_behaviour
from tests.densities import PARAMETRIZATIONS, SLOWLY, assert_gradient_agrees, at

FORMULA = {"alpha": "1 + group", "beta_choice": "1 + age"}


@pytest.fixture(scope="module")
def data():
    return random_behaviour(4, 30, 2, rich=True, graded=True)


@pytest.fixture(scope="module")
def layouts(data):
    model = hr.model("subvalue", bias=True)
    prior = weak_prior(model, data, formula=FORMULA)
    return {name: lay_out(model, data, prior=prior, parametrization=name) for name in PARAMETRIZATIONS}


@pytest.fixture(scope="module")
def pm_models(layouts):
    return {name: write_model(layout) for name, layout in layouts.items()}


def test_all_parametrizations_have_the_density_of_the_model_at_random_points(layouts, pm_models):
    population, problem = layouts["informed"].population, layouts["informed"].problem
    logps = {name: one.compile_logp(jacobian=False, mode=SLOWLY) for name, one in pm_models.items()}
    for seed in range(5):
        values = start_of_chain(layouts["informed"], seed)
        expected = (
            problem.loglik(problem.from_link(values.eta)).sum()
            + norm.logpdf(values.effects, *population.effects_prior).sum()
            + norm.logpdf(values.log_sigma, *population.spread_prior).sum()
            + norm.logpdf(values.eta, population.mean(values.effects), np.exp(values.log_sigma)).sum()
        )
        for name, pm_model in pm_models.items():
            found = logps[name](at(pm_model, layouts[name], values))
            assert found == pytest.approx(expected, abs=1e-8), name


@pytest.mark.parametrize("name", PARAMETRIZATIONS)
def test_the_change_of_variables_is_in_the_density(layouts, pm_models, name):
    layout, pm_model = layouts[name], pm_models[name]
    values = start_of_chain(layout, 5)
    point = at(pm_model, layout, values)
    both = [pm_model.compile_logp(jacobian=jacobian, mode=SLOWLY)(point) for jacobian in (True, False)]
    flat = np.concatenate([np.ravel(value) for value in point.values()])
    shapes = [value.shape for value in point.values()]

    def parameters(x):
        parts = np.split(x, np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1])
        z = Point(*(part.reshape(1, *shape) for part, shape in zip(parts, shapes, strict=True)))
        return np.concatenate([np.ravel(value) for value in parameters_of(layout, z)[:3]])

    jacobian = np.stack(
        [(parameters(flat + h) - parameters(flat - h)) / 2e-5 for h in 1e-5 * np.eye(flat.size)]
    )
    assert both[0] - both[1] == pytest.approx(np.linalg.slogdet(jacobian)[1], abs=1e-4)


@pytest.mark.parametrize("name", PARAMETRIZATIONS)
def test_gradient_of_the_density_agrees_with_differences(layouts, pm_models, name):
    pm_model = pm_models[name]
    point = at(pm_model, layouts[name], start_of_chain(layouts[name], 7))
    assert_gradient_agrees(pm_model, point, rel=1e-5, absolute=1e-4)


def test_deterministics_are_those_of_the_layout_in_raw_units(layouts, pm_models):
    layout, pm_model = layouts["informed"], pm_models["informed"]
    values = start_of_chain(layout, 2)
    names = [variable.name for variable in pm_model.deterministics]
    function = pm_model.compile_fn(pm_model.replace_rvs_by_values(pm_model.deterministics), mode=SLOWLY)
    found = dict(zip(names, function(at(pm_model, layout, values)), strict=True))
    for name, (_, expected) in layout.problem.unpack(layout.problem.from_link(values.eta)).items():
        np.testing.assert_allclose(found[name], expected, err_msg=name)
    population = layout.population.to_dataset(values.effects[None, None], values.log_sigma[None, None])
    for name in ("mu", "sigma"):
        np.testing.assert_allclose(found[name], population[name].values[0, 0], err_msg=name)


def test_dims_and_coords_are_named(layouts, pm_models):
    dims = pm_models["informed"].named_vars_to_dims
    assert dims["alpha"] == ("subject",)
    assert dims["bias"] == ("subject", "arm")
    assert dims["mu"] == ("parameter", "coefficient")
    assert dims["sigma"] == ("parameter",)
    assert dims["eta"] == ("subject", "parameter")
    assert dims["choice"] == ("trial",)
    coords = pm_models["informed"].coords
    assert coords["parameter"] == layouts["informed"].problem.labels
    assert coords["coefficient"] == ("Intercept", "group[young]", "age")


def test_parameters_per_arm_have_an_arm_dim(data):
    model = hr.model("rw", per_arm=True)
    pm_model = pymc_model(model, data, prior=weak_prior(model, data), parametrization="noncentered")
    assert pm_model.named_vars_to_dims["alpha"] == ("subject", "arm")
    assert pm_model.coords["parameter"] == ("alpha[A]", "alpha[B]", "beta[A]", "beta[B]")


def test_users_can_add_terms_of_their_own(layouts):
    pm_model = write_model(layouts["noncentered"])
    point = pm_model.initial_point()
    before = pm_model.compile_logp(mode=SLOWLY)(point)
    with pm_model:
        pm.Potential("firm", -3.0 * pm_model["alpha"].sum())
    after = pm_model.compile_logp(mode=SLOWLY)(point)
    start = layouts["noncentered"].problem.from_link(layouts["noncentered"].centre)
    assert after - before == pytest.approx(-3.0 * start[:, 0].sum())


def test_new_data_need_no_new_compilation(data, layouts):
    layout = layouts["informed"]
    pm_model = write_model(layout)
    logp, point = pm_model.compile_logp(mode=SLOWLY), pm_model.initial_point()
    before = logp(point)
    new = prepare(
        layout.problem.model,
        random_behaviour(4, 50, 2, rich=True, graded=True, seed=9),
        reward_scale=layout.problem.reward_scale,
    )
    with pm_model:
        pm.set_data(trial_data(new), coords={"trial": np.arange(new.n_trials)})
    theta = new.from_link(layout.centre)
    expected = new.loglik(theta).sum() - layout.problem.loglik(theta).sum()
    assert logp(point) - before == pytest.approx(expected, abs=1e-8)


def test_the_model_graph_shows_population_subjects_and_choices(pm_models):
    graph = pm.model_to_mermaid(pm_models["informed"])
    for name in ("effects", "log_sigma", "eta", "choice", "mu"):
        assert name in graph


def test_population_means_agree_with_quadrature():
    centre, sigma = np.array([-4.0, 0.0, 1.5]), np.array([0.1, 2.0, 6.0])
    nodes = np.linspace(-12, 12, 200_001)
    weights = norm.pdf(nodes) * (nodes[1] - nodes[0])
    exact = [(weights / (1 + np.exp(-(c + s * nodes)))).sum() for c, s in zip(centre, sigma, strict=True)]
    np.testing.assert_allclose(natural_mean(centre, sigma, "logit"), exact, atol=1e-8)
    exact = [(weights * np.exp(c + s * nodes)).sum() for c, s in zip(centre[:2], sigma[:2], strict=True)]
    np.testing.assert_allclose(natural_mean(centre[:2], sigma[:2], "log"), exact, rtol=1e-6)
    np.testing.assert_array_equal(natural_mean(centre, sigma, "identity"), centre)


def test_rewards_in_another_unit_change_weights_and_nothing_else(data):
    model = hr.Model(
        channels=(
            hr.Channel(start="start"),
            hr.Channel(weight="gamma", rate="alpha", signed=True, unchosen="decay"),
        )
    )
    summaries = []
    for unit in (1.0, 100.0):
        scaled = data.assign({name: data[name] * unit for name in ("reward", "gain", "loss", "forgone")})
        prior = weak_prior(model, scaled)
        layout = lay_out(model, scaled, prior=prior, parametrization="noncentered")
        values = (np.full((1, 1, 4), 0.3), np.full((1, 1, 4), -0.5))
        summaries.append(layout.population.to_dataset(*values).squeeze())
    expected = {"alpha": 1.0, "beta": 0.01, "gamma": 0.01, "start": 100.0}
    for quantity in ("mean", "median"):
        ratio = summaries[1][quantity] / summaries[0][quantity]
        assert dict(zip(ratio["parameter"].values, ratio.values, strict=True)) == pytest.approx(expected)
    assert (summaries[1]["mu"] - summaries[0]["mu"]).sel(parameter="beta").item() == pytest.approx(
        -np.log(100)
    )
    ratio = summaries[1]["sigma"] / summaries[0]["sigma"]
    # On the log link a unit shifts the mean and leaves the spread alone.
    expected["beta"] = 1.0
    assert dict(zip(ratio["parameter"].values, ratio.values, strict=True)) == pytest.approx(expected)


def test_coefficients_that_a_parameter_lacks_are_missing_in_mu(layouts):
    population: Population = layouts["informed"].population
    mu = population.raw.mu(population.effects_prior[0])
    present = {(label, name) for label, name in population.terms}
    for i, label in enumerate(population.labels):
        for k, name in enumerate(population.coefficients):
            assert np.isfinite(mu[i, k]) == ((label, name) in present)


def test_a_formula_that_the_prior_does_not_have_is_refused(data):
    model = hr.model("rw")
    with pytest.raises(ValueError, match="the prior was made for"):
        lay_out(model, data, prior=weak_prior(model, data), formula={"alpha": "1 + group"})


def test_the_prior_of_another_model_is_refused(data):
    with pytest.raises(ValueError, match="The prior is for the parameters"):
        lay_out(hr.model("subvalue"), data, prior=weak_prior(hr.model("rw"), data))


def test_auto_says_what_it_chose_and_what_the_trials_say(data):
    layout = lay_out(hr.model("rw"), data, prior=weak_prior(hr.model("rw"), data))
    assert layout.parametrization == "informed"
    assert re.match(r"Chosen by 'auto': .* they settle \d+% to \d+% ", layout.reason)
    asked = lay_out(
        hr.model("rw"), data, prior=weak_prior(hr.model("rw"), data), parametrization="noncentered"
    )
    assert (asked.parametrization, asked.reason) == ("noncentered", "As asked.")


def test_chains_start_farther_apart_than_the_posterior_is_wide():
    # Of what the layout takes the posterior for; that it is right, quadrature and real data show elsewhere.
    task = hr.Bandit((0.8, 0.2), n_trials=100)
    truth = {"alpha": np.linspace(0.2, 0.6, 6), "beta": np.linspace(2.0, 5.0, 6)}
    data = hr.simulate(hr.model("rw"), task, truth, n_subjects=6, random_seed=1)
    layout = lay_out(hr.model("rw"), data, prior=weak_prior(hr.model("rw"), data))
    starts = [start_of_chain(layout, seed) for seed in range(400)]
    expected = {
        "effects": np.sqrt((layout.sizes.effects**2).sum(axis=1)),
        "log_sigma": np.diagonal(layout.sizes.log_sigma),
        "eta": np.sqrt((layout.sizes.subjects**2).sum(axis=2)),
    }
    for name, sd in expected.items():
        ratio = np.std([getattr(start, name) for start in starts], axis=0) / sd
        np.testing.assert_allclose(ratio, OVERDISPERSION, rtol=0.15, err_msg=name)


def test_an_unknown_parametrization_is_refused(data):
    with pytest.raises(ValueError, match="parametrization='clever' is not one of"):
        pymc_model(hr.model("rw"), data, parametrization="clever")


def test_a_parameter_named_like_a_variable_is_refused(data):
    model = hr.Model(channels=(hr.Channel(weight="sigma"),))
    with pytest.raises(ValueError, match="A parameter called 'sigma' would clash"):
        pymc_model(model, data, prior=weak_prior(model, data))


@pytest.mark.slow
def test_prior_predictive_draws_come_from_the_population(layouts, pm_models):
    population = layouts["informed"].population
    with pm_models["informed"]:
        drawn = pm.sample_prior_predictive(2000, random_seed=1)["prior"].to_dataset()
    effects, log_sigma = drawn["effects"].values[0], drawn["log_sigma"].values[0]
    z = (drawn["eta"].values[0] - population.mean(effects)) / np.exp(log_sigma)[:, None]
    assert z.mean() == pytest.approx(0, abs=0.02)
    assert z.std() == pytest.approx(1, abs=0.02)
    np.testing.assert_allclose(effects.std(axis=0), population.effects_prior[1], rtol=0.1)


@pytest.mark.slow
def test_predictive_choices_follow_the_subjects_probabilities(layouts, pm_models):
    layout, pm_model = layouts["noncentered"], pm_models["noncentered"]
    with pm_model:
        # One draw of the parameters, many of the choices.
        values = start_of_chain(layout, 1)
        names = {
            name: np.broadcast_to(value, (1, 3000, *value.shape))
            for name, value in zip(FREE, values, strict=False)  # no partial correlations
        }
        drawn = pm.sample_posterior_predictive(
            from_dict({"posterior": names}),
            var_names=["choice"],
            freeze_vars=list(FREE),
            random_seed=2,
            progressbar=False,
        )
    choice = drawn["posterior_predictive"]["choice"].values[0]
    problem = layout.problem
    expected = problem.probabilities(problem.from_link(values.eta))
    made = problem.trials.choice >= 0
    assert (choice[:, ~made] == -1).all()
    np.testing.assert_allclose((choice == 1).mean(axis=0)[made], expected[made, 1], atol=0.05)
