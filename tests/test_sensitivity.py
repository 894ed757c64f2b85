"""How much a posterior hangs on its prior: the table, the plot, and where the empirical prior is centred."""

import warnings

import numpy as np
import pandas as pd
import pytest
from builders import random_behaviour

import hierrl as hr
from hierrl.fits import settings_of

TWO = hr.model("forgetting_q")


@pytest.fixture(scope="module")
def table():
    """As `prior_sensitivity` makes it: two parameters, two coefficients of one of them, four priors."""
    rows = []
    for k, name in enumerate(("1 se", "5 se", "10 se", "weak")):
        for parameter, quantity, of in (
            ("alpha", "mu", "Intercept"),
            ("alpha", "mu", "group[b]"),
            ("alpha", "sigma", ""),
            ("beta", "mu", "Intercept"),
            ("beta", "sigma", ""),
        ):
            place = {
                "prior": name,
                "widen": float(k + 1),
                "quantity": quantity,
                "parameter": parameter,
                "of": of,
            }
            rows.append(place | {"mean": 0.1 * k, "sd": 1.0, "eti95_low": -2.0, "eti95_high": 2.0})
    return pd.DataFrame(rows)


def panel(figure, label):
    return next(axes for axes in figure.axes if axes.get_label() == label)


def test_the_plot_has_a_panel_for_every_parameter_and_quantity(table):
    figure = hr.plot_prior_sensitivity(table)
    assert [axes.get_label() for axes in figure.axes] == ["alpha mu", "beta mu", "alpha sigma", "beta sigma"]
    line = panel(figure, "beta mu").lines[0]
    np.testing.assert_allclose(line.get_xydata(), [[k, 0.1 * k] for k in range(4)])
    ticks = [text.get_text() for text in panel(figure, "beta sigma").get_xticklabels()]
    assert ticks == ["1 se", "5 se", "10 se", "weak"]


def test_several_numbers_of_a_panel_are_told_apart(table):
    figure = hr.plot_prior_sensitivity(table, parameters=["alpha"], quantities=["mu"])
    lines = {line.get_label(): line for line in panel(figure, "alpha mu").lines}
    assert set(lines) == {"Intercept", "group[b]"}
    assert lines["Intercept"].get_color() != lines["group[b]"].get_color()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["Intercept", "group[b]"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"parameters": ["alfa"]}, "no parameter 'alfa'. Did you mean 'alpha'"),
        ({"quantities": ["spread"]}, "no quantity 'spread'"),
    ],
)
def test_what_is_not_in_the_table_is_refused(table, wrong, message):
    with pytest.raises(ValueError, match=message):
        hr.plot_prior_sensitivity(table, **wrong)


def test_another_table_is_refused():
    with pytest.raises(ValueError, match="no table of hr.prior_sensitivity: it has no column 'prior'"):
        hr.plot_prior_sensitivity(pd.DataFrame({"a": [1]}))


def test_point_fits_have_no_prior_to_be_sensitive_to():
    fit = hr.fit_mle(hr.model("rw"), random_behaviour(4, 30), progress=False)
    with pytest.raises(ValueError, match="Priors matter to posteriors; this fit is by 'mle'"):
        hr.prior_sensitivity(fit)


@pytest.fixture(scope="module")
def study():
    rng = np.random.default_rng(1)
    alpha, beta = 1 / (1 + np.exp(-rng.normal(0.0, 0.8, 30))), np.exp(rng.normal(1.2, 0.4, 30))
    task = hr.Bandit((0.8, 0.2), n_trials=120, reverse_every=25)
    group = {"group": ["a", "b"] * 15}
    return hr.simulate(TWO, task, {"alpha": alpha, "beta": beta}, covariates=group, random_seed=2)


def quick(data, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return hr.fit_posterior(TWO, data, progress=False, **options)


@pytest.mark.slow
def test_the_table_compares_widths_with_the_weak_prior(study):
    fit = quick(study, formula={"alpha": "1 + group"}, draws=300, chains=2)
    found = hr.prior_sensitivity(fit, widen=(1, 5), draws=400, progress=False)
    assert list(found["prior"].unique()) == ["1 se", "5 se", "weak"]
    assert found.attrs["reference"] == "weak"
    one = found.set_index(["prior", "quantity", "parameter", "of"]).sort_index()
    np.testing.assert_allclose(found.loc[found["prior"] == "weak", "shift"], 0.0)
    # Near-Gaussian numbers shrink by w / sqrt(1 + w^2): .71 and .98, within Monte Carlo error.
    assert one.loc[("1 se", "mu", "beta", "Intercept"), "sd_ratio"] == pytest.approx(0.71, abs=0.12)
    assert one.loc[("5 se", "mu", "beta", "Intercept"), "sd_ratio"] == pytest.approx(0.98, abs=0.12)
    # A contrast has the weak prior in all of them; what it still shrinks by comes from spread and level.
    assert one.loc[("1 se", "mu", "alpha", "group[b]"), "sd_ratio"] > 0.72
    with pytest.raises(ValueError, match="A comparison needs two priors"):
        hr.prior_sensitivity(fit, widen=(5,), weak=False)


def distances(model, data):
    """How far the empirical centre lies from the weak prior's posterior mean, in posterior sds, by number."""
    start = hr.fit_convex(model, data, progress=False)
    # One standard error: with five, some numbers of a small study keep their weak prior.
    prior = hr.empirical_prior(model, data, start=start, widen=1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        fit = hr.fit_posterior(
            model, data, prior=hr.weak_prior(model, data), start=start, draws=700, progress=False
        )
    assert settings_of(fit)["diagnostics"]["max_rhat"] < 1.05
    population, found = fit["population"].to_dataset(), {}
    for term in (term for term in prior.terms if term.source == "empirical"):
        one = population.sel(parameter=term.parameter)
        draws = (
            np.log(one["sigma"]) if term.role == "log_sigma" else one["mu"].sel(coefficient=term.coefficient)
        )
        found[term.parameter, term.role] = float((term.loc - draws.mean()) / draws.std())
    return found


@pytest.mark.slow
def test_the_empirical_centre_is_near_the_posterior_mean_of_the_weak_prior(study):
    found = distances(TWO, study)
    assert len(found) == 4
    assert max(map(abs, found.values())) < 1, found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rw", "forgetting_q", "subvalue"])
def test_the_empirical_centre_is_near_the_posterior_mean_of_the_weak_prior_on_real_data(shared_data, name):
    found = distances(hr.model(name), hr.behaviour(shared_data("fitzgerald_reversal")))
    assert max(map(abs, found.values())) < 1, found
