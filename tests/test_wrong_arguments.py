"""What a user may well hand over by mistake: every function says what it takes, what it found, and what to do."""

import re
import warnings

import numpy as np
import pandas as pd
import pytest

import hierrl as hr

TASK = hr.Bandit((0.8, 0.2), n_trials=10)
RW = hr.model("rw")


@pytest.fixture(scope="module")
def data():
    return hr.simulate(RW, TASK, {"alpha": [0.3, 0.5], "beta": 3.0}, random_seed=1)


@pytest.mark.parametrize(
    "use",
    [
        hr.fit_convex,
        hr.fit_mle,
        hr.fit_posterior,
        hr.pymc_model,
        hr.weak_prior,
        hr.empirical_prior,
    ],
)
def test_a_name_is_no_model(use, data):
    with pytest.raises(
        TypeError, match=re.escape("found str. Names are looked up by hr.model: hr.model('rw').")
    ):
        use("rw", data)
    with pytest.raises(TypeError, match="found Dataset"):
        use(data, RW)
    with pytest.raises(TypeError, match=re.escape("hr.behaviour(table) makes; found DataFrame")):
        use(RW, hr.to_table(data))


def test_designs_take_a_model_too(data):
    fit = hr.fit_mle(RW, data, progress=False)
    effect = {"alpha": 0.5}
    for use in (
        lambda model: hr.simulate(model, TASK, {"alpha": 0.3, "beta": 3.0}),
        lambda model: hr.recovery(model, TASK),
        lambda model: hr.power(model, TASK, effect, population=fit),
        lambda model: hr.calibrate(model, TASK),
    ):
        for wrong in ("rw", fit):
            with pytest.raises(TypeError, match=f"found {type(wrong).__name__}"):
                use(wrong)


@pytest.mark.parametrize("cores", [0, -1])
def test_less_than_one_thread_is_none(cores, data):
    with pytest.raises(
        ValueError, match=f"cores= is a number of threads, at least 1, or None for all; found {cores}"
    ):
        hr.fit_convex(RW, data, cores=cores)


def test_a_fit_is_no_set_of_parameters_and_the_way_to_them_is_said(data):
    fit = hr.fit_mle(RW, data, progress=False)
    for use in (
        lambda values: hr.simulate(RW, TASK, values, random_seed=1),
        lambda values: hr.log_likelihood(fit, parameters=values),
        lambda values: hr.latents(fit, parameters=values),
    ):
        with pytest.raises(TypeError, match=re.escape("parameters=fit['posterior'].to_dataset()")):
            use(fit)
        use(fit["posterior"].to_dataset())


def test_tables_are_not_loaded_as_fits(tmp_path):
    (tmp_path / "table.csv").write_text("subject,choice\n1,0\n")
    (tmp_path / "folder").mkdir()
    for name in ("table.csv", "folder"):
        with pytest.raises(TypeError, match=f"{name}' is not a file that fit.to_netcdf wrote"):
            hr.load(tmp_path / name)


@pytest.mark.parametrize("numbers", [{"alpha": 1}, {"alpha": {"Intercept": 0.3}}, [("alpha", 1)]])
def test_a_prior_is_changed_by_label_coefficient_and_number(numbers, data):
    with pytest.raises(
        TypeError, match=re.escape('{"alpha": {"Intercept": {"low": 0.1, "high": 0.7}}}; found')
    ):
        hr.weak_prior(RW, data).updated(numbers)


def test_parts_of_models_say_what_they_take():
    with pytest.raises(TypeError, match="takes the name of a model, such as 'rw'; found Channel"):
        hr.model(hr.Channel())
    with pytest.raises(TypeError, match=re.escape("bounds= is a dict with names of parameters; found list")):
        hr.model("rw", bounds=[("alpha", (0, 1))])
    with pytest.raises(
        TypeError, match=re.escape("found 3.0. To fix one at a number, name it and use fixed=")
    ):
        hr.Channel(weight=3.0)


@pytest.mark.parametrize("odds", [0.8, [0.8], np.float64(0.8), pd.Series([0.8])])
def test_a_bandit_has_two_arms_at_least(odds):
    with pytest.raises(ValueError, match="odds must be two or more numbers, one for each arm; found"):
        hr.Bandit(odds)
    with pytest.raises(ValueError, match=re.escape("whole number of at least 1; found 10.5")):
        hr.Bandit((0.8, 0.2), n_trials=10.5)


def test_seeds_that_are_recorded_are_whole_numbers_of_any_kind(data):
    """A NumPy integer is one, also when the fit is written to its JSON."""
    small = {"method": "marginal", "draws": 20, "tune": 20, "chains": 1, "progress": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # so few draws never converge
        one, other = (hr.fit_posterior(RW, data, random_seed=seed, **small) for seed in (np.int64(3), 3))
    assert one["posterior"].to_dataset().equals(other["posterior"].to_dataset())
    found = hr.recovery(RW, TASK, n_subjects=2, replications=1, random_seed=np.uint8(3), progress=False)
    again = hr.recovery(RW, TASK, n_subjects=2, replications=1, random_seed=3, progress=False)
    assert found.table["estimate"].equals(again.table["estimate"])


@pytest.mark.parametrize("seed", [None, "a", 1.5, np.random.default_rng(1)])
def test_other_seeds_are_refused_before_any_work(seed, data):
    fit = hr.fit_mle(RW, data, progress=False)
    for use in (
        lambda: hr.fit_posterior(RW, data, random_seed=seed),
        lambda: hr.empirical_prior(RW, data, random_seed=seed),
        lambda: hr.recovery(RW, TASK, random_seed=seed),
        lambda: hr.calibrate(RW, TASK, random_seed=seed),
        lambda: hr.confusion({"a": RW, "b": hr.model("forgetting_q")}, TASK, random_seed=seed),
    ):
        with pytest.raises(
            TypeError, match="random_seed= is a whole number here.*found " + type(seed).__name__
        ):
            use()
    with pytest.raises(ValueError, match="0 or more; found -1"):
        hr.compare_models({"rw": fit}, random_seed=-1)
