"""Parameter recovery: the same figures as data set by data set and by hand; truths; files; plots."""

from importlib import import_module

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import hierrl as hr
from hierrl.fits import problem_of
from hierrl.kernels.problem import prepare
from hierrl.simulate import truth_of
from hierrl.studies import estimates as module
from hierrl.studies.designs import chosen_subjects, joined, laid_out_alike
from hierrl.studies.recovered import correlation, recovered
from hierrl.studies.recovery import _Study
from tests.builders import random_behaviour

MODEL = hr.model("rw")
TASK = hr.Bandit((0.8, 0.2), n_trials=60, reverse_every=20)
GRADED = hr.Bandit(means=(2.0, -1.0), sd=3.0, n_trials=40)
TRUTH = {"alpha": (0.1, 0.9), "beta": (0.5, 6.0)}
QUIET = {"progress": False, "random_seed": 3}


def study(design=TASK, *, truth=None, estimator="mle", n=6, model=MODEL, **options) -> _Study:
    return _Study.of(
        model, design, truth=truth or TRUTH, estimator=estimator, n_subjects=n, covariates=None, random_seed=3,
        options=options,
    )  # fmt: skip


@pytest.fixture(scope="module")
def found():
    return hr.recovery(MODEL, TASK, truth=TRUTH, n_subjects=30, replications=4, **QUIET)


# Data sets together


@pytest.mark.parametrize("design", [TASK, GRADED], ids=["0/1", "graded"])
def test_data_sets_fitted_together_are_fitted_as_each_alone(design):
    result = hr.recovery(MODEL, design, truth=TRUTH, n_subjects=6, replications=3, **QUIET)
    for k in range(3):
        data = study(design).data(k)
        fit = hr.fit_mle(MODEL, data, progress=False)
        mine = result.table[result.table["data_set"] == k]
        problem = problem_of(fit)
        alone = problem.pack(fit["posterior"].to_dataset())[0, 0] * problem.raw_factor()
        np.testing.assert_allclose(mine["estimate"], alone.ravel(), rtol=1e-4, atol=1e-6)
        truth = truth_of(data)
        np.testing.assert_allclose(mine["truth"], np.stack([truth["alpha"], truth["beta"]], 1).ravel())


def test_a_data_set_does_not_depend_on_its_company():
    for design in (TASK, GRADED):
        together = hr.recovery(MODEL, design, truth=TRUTH, n_subjects=6, replications=4, **QUIET)
        alone = hr.recovery(MODEL, design, truth=TRUTH, n_subjects=6, replications=[2], **QUIET)
        columns = ["truth", "estimate", "low", "high", "link_se_true"]
        mine = together.table[together.table["data_set"] == 2]
        np.testing.assert_array_equal(mine[columns], alone.table[columns])


def test_data_sets_with_other_reward_scales_are_kept_apart():
    sets = [study(GRADED).data(k) for k in range(3)]
    assert [list(group) for group in laid_out_alike(MODEL, sets)] == [[0], [1], [2]]
    assert [list(group) for group in laid_out_alike(MODEL, [sets[0], sets[1], sets[0]])] == [[0, 2], [1]]


def test_joined_behaviour_is_behaviour_of_all_subjects():
    sets = [random_behaviour(3, seed=k, rich=True) for k in range(3)]
    both = joined(sets)
    hr.behaviour(hr.to_table(both))
    whole, *each = (
        prepare(MODEL, data, reward_scale=1.0).loglik(np.tile([0.3, 2.0], (data.sizes["subject"], 1)))
        for data in (both, *sets)
    )
    np.testing.assert_allclose(whole, np.concatenate(each), rtol=1e-12)


def test_chosen_subjects_keep_their_first_trials_and_may_come_twice():
    data = random_behaviour(3, gaps=False, seed=1)
    some = chosen_subjects(data, [2, 0, 2], n_trials=10)
    rows = {s: data["choice"].values[data["trial_subject"].values == f"s{s}"][:10] for s in range(3)}
    np.testing.assert_array_equal(some["choice"].values, np.concatenate([rows[2], rows[0], rows[2]]))
    with pytest.raises(ValueError, match="a subject with 40 trials; asked are 50"):
        chosen_subjects(data, [0], n_trials=50)


# Figures


def test_figures_are_those_of_numpy(found):
    alpha = found.table[found.table["parameter"] == "alpha"]
    row = found.summary.set_index(["parameter", "scale"]).loc[("alpha", "natural")]
    error = alpha["estimate"] - alpha["truth"]
    assert row["correlation"] == pytest.approx(np.corrcoef(alpha["truth"], alpha["estimate"])[0, 1])
    assert row["bias"] == pytest.approx(np.mean(error))
    assert row["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)))
    inside = [low <= t <= high for low, t, high in zip(alpha["low"], alpha["truth"], alpha["high"], strict=True)
              if np.isfinite(low)]  # fmt: skip
    assert row["coverage"] == pytest.approx(np.mean(inside))
    assert row["n_interval"] == len(inside)
    some = alpha[alpha["informative"]]
    assert 0 < len(some) < len(alpha)
    expected = np.corrcoef(some["truth"], some["estimate"])[0, 1]
    assert row["correlation_informative"] == pytest.approx(expected)


def test_weighted_correlation_is_that_of_numpy():
    x, y, w = np.random.default_rng(1).random((3, 40))
    cov = np.cov(x, y, aweights=w)
    assert correlation(x, y, w) == pytest.approx(cov[0, 1] / np.sqrt(cov[0, 0] * cov[1, 1]))
    assert np.isnan(correlation(np.full(5, 0.3), np.arange(5.0)))


def test_uninformative_subjects_are_those_with_a_small_weight():
    truth = {"alpha": (0.2, 0.8), "beta": [0.05] * 10 + [6.0] * 10}
    found = hr.recovery(MODEL, TASK, truth=truth, n_subjects=20, replications=3, **QUIET)
    alpha = found.table[found.table["parameter"] == "alpha"]
    weak = alpha["subject"] <= 10
    assert alpha.loc[~weak, "informative"].mean() > alpha.loc[weak, "informative"].mean() + 0.5
    assert "informative" in found.text


def test_the_standard_error_at_the_truth_is_the_curvature_there():
    data = study().data(0)
    row = study().replicate([0])[0]
    fit = hr.fit_mle(MODEL, data, progress=False)
    problem = problem_of(fit)
    truth = problem.pack(truth_of(data))
    eta, step = problem.to_link(truth), 1e-4

    def loglik(shift):
        return problem.loglik(problem.from_link(eta + shift))

    a, b = np.eye(2) * step
    second = [(loglik(x + y) - loglik(x - y) - loglik(y - x) + loglik(-x - y)) / (4 * step**2)
              for x, y in ((a, a), (b, b), (a, b))]  # fmt: skip
    for s, se in enumerate(row["link_se_true"]):
        information = -np.array([[second[0][s], second[2][s]], [second[2][s], second[1][s]]])
        if np.linalg.eigvalsh(information)[0] > 1e-2:
            np.testing.assert_allclose(se, np.sqrt(np.diag(np.linalg.inv(information))), rtol=1e-3)
    assert np.isfinite(row["link_se_true"]).any()


def test_coverage_and_correlation_are_as_the_figures_of_a_made_up_table_say():
    rng = np.random.default_rng(2)
    n = 4000
    truth = rng.normal(size=n)
    estimate = truth + 0.5 * rng.normal(size=n)
    table = pd.DataFrame({
        "data_set": np.arange(n) % 40, "subject": np.arange(n) // 40, "parameter": "x", "truth": truth,
        "estimate": estimate, "low": estimate - 0.98, "high": estimate + 0.98, "link_truth": truth,
        "link_estimate": estimate, "link_se": 0.5, "link_se_true": 0.5, "at_bound": False, "converged": True,
    })  # fmt: skip
    settings = {"clusters": True, "estimator": "mle", "model": {"name": None}}
    row = recovered(table, settings, links={"x": "identity"}).summary.iloc[0]
    assert row["correlation"] == pytest.approx(1 / np.sqrt(1.25), abs=0.02)
    assert row["coverage_low"] < 0.95 < row["coverage_high"]
    assert row["coverage_high"] - row["coverage_low"] < 0.025
    assert row["n_informative"] == n


# Truths


def test_truths_come_from_ranges_values_priors_and_fits(found):
    alpha = found.table.loc[found.table["parameter"] == "alpha", "truth"]
    assert 0.1 <= alpha.min() < 0.3 < 0.7 < alpha.max() <= 0.9
    given = study(truth={"alpha": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], "beta": 3.0}).data(0)
    assert given["true_alpha"].values.tolist() == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    prior = hr.weak_prior(MODEL, given)
    first, second = (study(truth=prior).data(k)["true_alpha"].values for k in (0, 1))
    assert not np.array_equal(first, second)
    found = hr.recovery(MODEL, TASK, n_subjects=6, replications=1, **QUIET)
    np.testing.assert_allclose(found.table["truth"][::2], study(truth=prior).data(0)["true_alpha"])


def test_truths_from_a_fit_are_its_estimates():
    data = random_behaviour(5, 30, seed=4)
    fit = hr.fit_convex(MODEL, data, progress=False)
    alphas = fit["posterior"]["alpha"].values.ravel()
    same = study(data, truth=fit, n=None).data(0)
    np.testing.assert_allclose(same["true_alpha"], alphas)
    assert same["subject"].values.tolist() == data["subject"].values.tolist()
    more = study(truth=fit, n=12).data(0)
    assert set(np.round(more["true_alpha"].values, 12)) <= set(np.round(alphas, 12))


def test_parameters_per_arm_have_a_range_for_each_arm():
    model = hr.model("rw", bias=True)
    data = study(truth=TRUTH | {"bias": (-1.0, 1.0)}, model=model).data(0)
    assert np.unique(data["true_bias[1]"]).size == 6
    found = hr.recovery(
        model, TASK, truth=TRUTH | {"bias": (-1.0, 1.0)}, n_subjects=6, replications=1, **QUIET
    )
    scales = found.summary.loc[found.summary["parameter"] == "bias[1]", "scale"]
    assert scales.tolist() == ["natural"]  # its link is the identity


# Files and interrupts


def test_an_interrupted_recovery_goes_on_to_the_same_result(tmp_path, monkeypatch):
    file = tmp_path / "rows.jsonl"
    monkeypatch.setattr(import_module("hierrl.studies.recovery"), "TOGETHER", 1)
    how = {"truth": TRUTH, "n_subjects": 5, "replications": 3, "estimator": "convex", **QUIET}
    whole = hr.recovery(MODEL, TASK, **how)
    real, calls = module.fit_convex, []

    def stops(*args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(module, "fit_convex", stops)
    with pytest.warns(UserWarning, match="1 of 3 replications are done"):
        partial = hr.recovery(MODEL, TASK, file=file, **how)
    assert partial.table["data_set"].unique().tolist() == [0]
    again = hr.recovery(MODEL, TASK, file=file, **how)
    pd.testing.assert_frame_equal(again.table, whole.table, check_exact=True)
    pd.testing.assert_frame_equal(again.summary, whole.summary, check_exact=True)
    assert len(calls) == 4  # each data set once, and the one that was stopped
    with pytest.raises(ValueError, match="holds replications with random_seed=3; asked is 4"):
        hr.recovery(MODEL, TASK, file=file, **{**how, "random_seed": 4})


def test_a_point_fit_that_ctrl_c_has_cut_short_is_not_kept(monkeypatch):
    real = module.fit_convex

    def cut(*args, **kwargs):
        fit = real(*args, **kwargs)
        fit["fit_stats"]["status"].values[-1] = "Not fitted: interrupted."
        return fit

    monkeypatch.setattr(module, "fit_convex", cut)
    with pytest.raises(KeyboardInterrupt):
        module.point_fit(MODEL, study().data(0), "convex", {})


# Bad input


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"n_subjects": None}, ValueError, "does not say how many subjects"),
        ({"n_subjects": 0}, ValueError, "n_subjects must be at least 1; found 0"),
        ({"estimator": "map"}, ValueError, "estimator='map' is not one of"),
        ({"replications": 0}, ValueError, "at least one, or their numbers"),
        ({"replications": [1, 1]}, ValueError, "each once"),
        ({"truth": {"alpha": (0, 1)}}, ValueError, "truth= has nothing for 'beta'"),
        ({"truth": TRUTH | {"betta": 1}}, ValueError, "names 'betta'.*Did you mean 'beta'"),
        ({"truth": TRUTH | {"alpha": (0, 2)}}, ValueError, r"range of 'alpha' must be.*within \[0, 1\]"),
        ({"truth": TRUTH | {"alpha": (0.1, 0.2, 0.3)}}, ValueError, "a tuple a range"),
        ({"truth": 0.3}, TypeError, "truth= is a prior"),
        ({"random_seed": 1, "start": None}, TypeError, "start= can't be chosen here"),
    ],
)
def test_bad_input_is_told(change, error, match):
    how = {"truth": TRUTH, "n_subjects": 4, "replications": 1, "progress": False} | change
    with pytest.raises(error, match=match):
        hr.recovery(MODEL, TASK, **how)


def test_bad_designs_are_told():
    with pytest.raises(TypeError, match="The design must be hr.Bandit.*found dict"):
        hr.recovery(MODEL, {}, n_subjects=4)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="n_subjects says 9, the design 3"):
        hr.recovery(MODEL, random_behaviour(3), n_subjects=9)
    other = hr.fit_convex(hr.model("subvalue"), random_behaviour(3), progress=False)
    with pytest.raises(ValueError, match="fit of a model with alpha, beta, alpha_choice"):
        hr.recovery(MODEL, TASK, truth=other, n_subjects=3)


# Plot


def test_the_plot_has_a_panel_for_each_parameter(found):
    figure = hr.plot_recovery(found)
    assert [axes.get_label() for axes in figure.axes] == ["alpha", "beta"]
    points = sum(len(c.get_offsets()) for c in figure.axes[0].collections)
    assert points == 120
    assert f"{found.summary['correlation'][0]:.2f}" in figure.axes[0].texts[0].get_text()
    one = hr.plot_recovery(found, scale="link", parameters=["beta"])
    assert [axes.get_title(loc="left") for axes in one.axes] == ["log β"]


def test_the_plot_tells_what_it_cannot_draw(found):
    with pytest.raises(TypeError, match="no result of hr.recovery; found Dataset"):
        hr.plot_recovery(xr.Dataset())
    with pytest.raises(ValueError, match="no 'betta'"):
        hr.plot_recovery(found, parameters=["betta"])
    with pytest.raises(ValueError, match="scale='log' is not one of"):
        hr.plot_recovery(found, scale="log")


# Real designs


def test_recorded_schedules_are_played_again(shared_data):
    data = hr.behaviour(shared_data("fitzgerald_reversal"))
    found = hr.recovery(MODEL, data, truth=TRUTH, replications=1, **QUIET)
    assert found.table["subject"].nunique() == 79
    row = found.summary.set_index(["parameter", "scale"]).loc[("alpha", "natural")]
    assert row["correlation"] > 0.6


def test_ragged_sessions_of_patients_are_played_again(shared_data):
    data = hr.behaviour(shared_data("dezfouli_clinical_2arm"))
    some = chosen_subjects(data, range(0, 100, 20))
    found = hr.recovery(MODEL, some, truth=TRUTH, replications=2, **QUIET)
    assert found.table["converged"].all()
    row = found.summary.set_index(["parameter", "scale"]).loc[("beta", "link")]
    assert row["correlation"] > 0.8  # hundreds of trials each


@pytest.mark.slow
def test_intervals_of_posteriors_hold_the_truth():
    options = {"method": "marginal", "draws": 300, "chains": 2, "estimator": "posterior"}
    truth = {"alpha": (0.2, 0.8), "beta": (1.0, 6.0)}
    found = hr.recovery(MODEL, TASK, truth=truth, n_subjects=30, replications=4, **options, **QUIET)
    natural = found.summary[found.summary["scale"] == "natural"]
    assert (natural["coverage_high"] > 0.93).all()
    assert (natural["coverage"] > 0.85).all()
    assert "ETI" in found.interval
