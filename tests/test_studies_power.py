"""Power: effects that are as large as asked, tests as scipy makes them, grids that grow, plots."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.stats import binomtest, mannwhitneyu, pearsonr, spearmanr, ttest_ind

import hierrl as hr
from hierrl.compare.estimates import raw_link
from hierrl.fits import problem_of, theta_of
from hierrl.simulate import truth_of
from hierrl.studies import estimates
from hierrl.studies.detection import detect
from hierrl.studies.effects import centre_of, draw_study, effect_of
from hierrl.studies.power import Cell, _Study
from hierrl.studies.powered import powered
from tests.builders import random_behaviour
from tests.sampled import pretend_posterior

MODEL = hr.model("rw")
TASK = hr.Bandit((0.8, 0.2), n_trials=60, reverse_every=20)
POPULATION = {"alpha": (0.3, 0.8), "beta": (4.0, 0.4)}
HOW = {"population": POPULATION, "progress": False, "random_seed": 2}


def logit(p):
    return np.log(p / (1 - p))


def study(effect=None, *, design=TASK, kind="group", scale="link", population=POPULATION) -> _Study:
    effect = effect or {"alpha": 1.0}
    asked = effect_of(MODEL, effect, kind=kind, scale=scale)
    how = {"population": population, "estimator": "mle", "alpha": 0.05, "random_seed": 2, "options": {}}
    return _Study.of(MODEL, design, asked, **how)


@pytest.fixture(scope="module")
def found():
    return hr.power(
        MODEL,
        TASK,
        {"alpha": (0.5, 2.5)},
        n_subjects=(10, 30),
        n_trials=(30, 60),
        replications=20,
        estimator="convex",
        **HOW,
    )


# Effects


def many(effect, *, kind="group", scale="link", n=40_000):
    centre = centre_of(MODEL, POPULATION)
    asked = effect_of(MODEL, effect, kind=kind, scale=scale)
    return draw_study(centre, asked, asked.sizes[0], n_subjects=n, rng=np.random.default_rng(1))


def test_groups_differ_by_the_effect_on_the_link_scale():
    values, covariates = many({"alpha": 0.7})
    a, b = (logit(values["alpha"][covariates["group"] == g]) for g in "AB")
    assert b.mean() - a.mean() == pytest.approx(0.7, abs=0.03)
    assert [a.mean(), a.std(), b.std()] == pytest.approx([logit(0.3), 0.8, 0.8], abs=0.02)
    assert np.median(values["beta"]) == pytest.approx(4.0, rel=0.01)
    assert np.log(values["beta"]).std() == pytest.approx(0.4, rel=0.02)


def test_medians_differ_by_the_effect_on_the_natural_scale():
    values, covariates = many({"beta": 1.5}, scale="natural")
    a, b = (np.median(values["beta"][covariates["group"] == g]) for g in "AB")
    assert [a, b] == pytest.approx([4.0, 5.5], rel=0.01)


def test_a_parameter_correlates_with_the_score_as_asked():
    values, covariates = many({"alpha": -0.4}, kind="correlation")
    eta = logit(values["alpha"])
    assert np.corrcoef(eta, covariates["score"])[0, 1] == pytest.approx(-0.4, abs=0.02)
    assert eta.std() == pytest.approx(0.8, abs=0.02)


def test_studies_of_one_number_differ_by_the_effect_alone():
    none, some = (study().data(Cell(12, 40, size), 3) for size in (0.0, 1.0))
    group = none["group"].values
    assert (group == some["group"].values).all()
    shift = logit(some["true_alpha"].values) - logit(none["true_alpha"].values)
    np.testing.assert_allclose(shift, np.where(group == "B", 1.0, 0.0), atol=1e-9)
    assert none.sizes["trial"] == 480


def test_populations_come_from_priors_and_fits():
    data = hr.simulate(MODEL, TASK, {"alpha": 0.3, "beta": 3.0}, n_subjects=5, random_seed=1)
    prior = hr.weak_prior(MODEL, data)
    middle = centre_of(MODEL, prior)
    np.testing.assert_allclose(middle.mean, [0.0, np.log(3)])
    np.testing.assert_allclose(middle.sd, [1.0, 0.7])
    fit = hr.fit_mle(MODEL, data, progress=False)
    problem = problem_of(fit)
    link = raw_link(problem, theta_of(fit, problem)[0, 0])
    np.testing.assert_allclose(centre_of(MODEL, fit).mean, np.median(link, axis=0))
    posterior = pretend_posterior(fit, cells=("",))
    group = posterior["population"]
    of_posterior = centre_of(MODEL, posterior)
    mu = group["mu"].sel(coefficient="Intercept").mean(("chain", "draw"))
    np.testing.assert_allclose(of_posterior.mean, mu, atol=1e-9)
    np.testing.assert_allclose(of_posterior.sd, group["sigma"].mean(("chain", "draw")))
    with pytest.raises(ValueError, match="posterior with groups or sessions"):
        centre_of(MODEL, pretend_posterior(fit))


def test_weights_of_a_population_are_in_raw_reward_units():
    data = random_behaviour(4, graded=True)
    middle = centre_of(MODEL, hr.weak_prior(MODEL, data))
    scale = np.abs(data["reward"]).max().item()
    assert middle.mean[1] == pytest.approx(np.log(3.0 / scale))


# Tests


def test_p_values_are_those_of_a_fit_to_the_study_alone():
    one = study()
    cells = [Cell(12, 40, size) for size in (0.0, 1.0)]
    keys = [f"{cell.name}:{k}" for cell in cells for k in range(2)]
    rows = one.replicate(keys)
    for row, (cell, k) in zip(rows, [(cell, k) for cell in cells for k in range(2)], strict=True):
        data = one.data(cell, k)
        fit = hr.fit_mle(MODEL, data, progress=False)
        problem = problem_of(fit)
        link = raw_link(problem, theta_of(fit, problem)[0, 0])[:, 0]
        a, b = (link[data["group"].values == g] for g in "AB")
        assert row["p"]["Welch's t"] == pytest.approx(ttest_ind(a, b, equal_var=False).pvalue, rel=1e-3)
        assert row["p"]["Mann-Whitney"] == pytest.approx(mannwhitneyu(a, b).pvalue, rel=1e-3)
        assert row["estimate"] == pytest.approx(b.mean() - a.mean(), rel=1e-3)


def test_correlations_are_tested_as_scipy_does():
    x, y = np.random.default_rng(1).normal(size=(2, 20))
    row = detect(y, x, "correlation")
    assert row["p"] == {"Pearson": pearsonr(y, x).pvalue, "Spearman": spearmanr(y, x).pvalue}
    assert row["estimate"] == pytest.approx(pearsonr(y, x).statistic)


def test_estimates_that_are_all_alike_detect_nothing():
    row = detect(np.full(8, 6.0), np.array(["A", "B"] * 4), "group")
    assert row["p"]["Welch's t"] is None
    cell = Cell(8, None, 1.0)
    rows = [row | {"replication": f"{c.name}:{k}"} for c in (cell, cell._replace(size=0.0)) for k in range(3)]
    assert powered(rows, [cell], alpha=0.05, settings={}).table["power"].tolist() == [0.0, 0.0]


def test_power_is_the_share_of_small_p_values_with_its_interval():
    cell = Cell(8, None, 1.0)
    null = cell._replace(size=0.0)
    p = {cell: [0.01] * 7 + [0.2] * 3, null: [0.03] + [0.5] * 9}
    rows = [{"replication": f"{c.name}:{k}", "p": {"t": x}, "estimate": 1.0, "converged": True}
            for c, values in p.items() for k, x in enumerate(values)]  # fmt: skip
    row = powered(rows, [null, cell], alpha=0.05, settings={}).table.iloc[0]
    limits = binomtest(7, 10).proportion_ci(0.95, method="exact")
    assert [row["power"], row["power_low"], row["power_high"]] == pytest.approx(
        [0.7, limits.low, limits.high]
    )
    assert row["type_1"] == pytest.approx(0.1)


# The result


def test_power_grows_with_effect_and_subjects_and_false_alarms_do_not(found):
    table = found.table.set_index(["n_subjects", "n_trials", "effect", "test"])
    weak, strong = (table.loc[(n, t, e, "Welch's t")] for n, t, e in ((10, 30, 0.5), (30, 60, 2.5)))
    assert strong["power"] > 0.9 > 0.5 > weak["power"]
    assert (found.table["type_1_low"] <= 0.05).all()
    assert strong["estimate"] > 2.0 > weak["estimate"]
    assert (table["type_1"].groupby(level=[0, 1, 3]).nunique() == 1).all()  # one null for all effects


def test_needed_is_the_fewest_subjects_of_the_grid(found):
    needed = found.needed(0.5)
    for row in needed.to_dict("records"):
        mine = found.table[(found.table["effect"] == row["effect"]) & (found.table["test"] == row["test"])
                           & (found.table["n_trials"] == row["n_trials"])]  # fmt: skip
        enough = mine.loc[mine["power"] >= 0.5, "n_subjects"]
        assert np.isnan(row["n_subjects"]) if enough.empty else row["n_subjects"] == enough.min()
    assert len(needed) == 8
    assert "have a power of 80%" in found.text.replace("has", "have")
    assert "shrunken" in found.text
    with pytest.raises(ValueError, match="power= lies between"):
        found.needed(80)


def test_a_file_takes_further_numbers_and_effects(tmp_path, monkeypatch):
    file = tmp_path / "rows.jsonl"
    small = {"n_subjects": 8, "replications": 5, **HOW}
    hr.power(MODEL, TASK, {"alpha": 1.0}, file=file, **small)
    grown = hr.power(MODEL, TASK, {"alpha": (1.0, 2.0)}, file=file, **{**small, "n_subjects": (8, 12)})
    fresh = hr.power(MODEL, TASK, {"alpha": (1.0, 2.0)}, **{**small, "n_subjects": (8, 12)})
    pd.testing.assert_frame_equal(grown.table, fresh.table, check_exact=True)
    assert len(file.read_text().splitlines()) == 1 + 2 * 3 * 5

    def stops(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(estimates, "fit_mle", stops)
    with pytest.warns(UserWarning, match="10 of 20 replications are done"):
        partial = hr.power(MODEL, TASK, {"alpha": 1.0}, file=file, **{**small, "n_subjects": (8, 14)})
    assert partial.table["n_subjects"].unique().tolist() == [8]
    with pytest.raises(ValueError, match="holds replications with effect="):
        hr.power(MODEL, TASK, {"beta": 1.0}, file=file, **small)


@pytest.mark.parametrize(
    ("effect", "change", "match"),
    [
        ({"alpha": 0.0}, {}, "sizes that are not 0"),
        ({"alpha": 1.0, "beta": 1.0}, {}, "one parameter with its effect"),
        ({"alfa": 1.0}, {}, "names 'alfa'.*Did you mean 'alpha'"),
        ({"alpha": 1.2}, {"kind": "correlation"}, "between -1 and 1"),
        ({"alpha": 0.9}, {"scale": "natural"}, "takes the median of 'alpha' from 0.3 to 1.2, outside"),
        ({"alpha": 1.0}, {"kind": "slope"}, "kind= is one of"),
        ({"alpha": 1.0}, {"population": {"alpha": (0.3, 1.0)}}, "population= is a prior, a fit, or"),
        ({"alpha": 1.0}, {"population": POPULATION | {"alpha": (1.3, 1.0)}}, "median inside its range"),
        ({"alpha": 1.0}, {"n_subjects": 3}, "must be at least 4"),
        ({"alpha": 1.0}, {"alpha": 5}, "level of the test"),
        ({"alpha": 1.0}, {"n_trials": 0}, "must be a whole number of at least 1"),
        ({"alpha": 1.0}, {"estimator": "map"}, "estimator='map'"),
    ],
)
def test_bad_input_is_told(effect, change, match):
    with pytest.raises(ValueError, match=match):
        hr.power(MODEL, TASK, effect, **{**HOW, "n_subjects": 8, "replications": 1} | change)


def test_models_with_values_per_arm_are_refused():
    with pytest.raises(ValueError, match="'bias' has one for each arm"):
        hr.power(hr.model("rw", bias=True), TASK, {"alpha": 1.0}, n_subjects=8, replications=1, **HOW)


# Plot and real designs


def test_the_plot_has_a_panel_for_each_effect_and_test(found):
    figure = hr.plot_power(found)
    expected = [f"{e}, {t}" for t in ("Welch's t", "Mann-Whitney") for e in ("0.5", "2.5")]
    assert [axes.get_label() for axes in figure.axes] == expected
    shown = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines}
    mine = found.table[(found.table["effect"] == 0.5) & (found.table["test"] == "Welch's t")]
    np.testing.assert_allclose(shown["60 trials"], mine.loc[mine["n_trials"] == 60, "power"])
    assert len(hr.plot_power(found, tests="Welch's t").axes) == 2
    with pytest.raises(ValueError, match="no test 'anova'"):
        hr.plot_power(found, tests=["anova"])
    with pytest.raises(TypeError, match="no result of hr.power"):
        hr.plot_power(xr.Dataset())


def test_recorded_schedules_are_lent_to_as_many_subjects_as_needed(shared_data):
    data = hr.behaviour(shared_data("fitzgerald_reversal"))
    made = study({"alpha": 0.5}, design=data, kind="correlation").data(Cell(90, 50, 0.5), 1)
    assert made.sizes["subject"] == 90
    assert made.sizes["trial"] == 90 * 50
    assert set(truth_of(made, MODEL).data_vars) == {"alpha", "beta"}
    with pytest.raises(ValueError, match="128 trials; asked are 300"):
        hr.power(MODEL, data, {"alpha": 0.5}, n_subjects=8, n_trials=300, replications=1, **HOW)


@pytest.mark.slow
def test_the_posterior_detects_a_large_effect():
    options = {"estimator": "posterior", "draws": 300, "chains": 2}
    large = hr.power(MODEL, TASK, {"alpha": 2.0}, n_subjects=40, replications=2, **options, **HOW)
    assert large.table["power"].tolist() == [1.0]
    assert large.table["test"].tolist() == ["posterior"]
    assert large.table["estimate"][0] == pytest.approx(2.0, abs=0.8)  # the weak prior of slopes pulls to 0
