"""Comparison of estimators: scores against a loop by hand, tables, refusals."""

import json
import warnings
from dataclasses import replace

import builders
import naive
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.special import logsumexp

import hierrl as hr
from hierrl.compare import Comparison
from hierrl.compare.estimates import natural_sd
from hierrl.compare.refit import Resources, refit, repeated_prior
from hierrl.compare.scores import log_sum_exp
from hierrl.compare.tables import best_shares, relation
from hierrl.fits import SETTINGS, model_of, problem_of, settings_of, theta_of
from hierrl.prior import Prior

QUIET = {"progress": False}
MODEL = hr.model("forgetting_q")


@pytest.fixture(scope="module")
def data() -> xr.Dataset:
    """Seven subjects with every kind of gap."""
    return builders.random_behaviour(7, 60, rich=True, seed=3)


@pytest.fixture(scope="module")
def fits(data) -> dict[str, xr.DataTree]:
    convex = hr.fit_convex(MODEL, data, **QUIET)
    return {"convex": convex, "mle": hr.fit_mle(MODEL, data, start=convex, **QUIET)}


@pytest.fixture(scope="module")
def compared(fits) -> Comparison:
    return hr.compare(fits, last=0.3, **QUIET)


def told_scores(fit: xr.DataTree, data: xr.Dataset) -> np.ndarray:
    """Log mean probability over the draws of each scored trial, by the naive loop."""
    problem = problem_of(fit)
    draws = theta_of(fit, problem).reshape(-1, problem.n_subjects, problem.n_parameters)
    probability = []
    for theta in draws:
        values = naive.values_by_subject(
            problem.unpack(theta), problem.subjects, model=problem.model, reward_scale=problem.reward_scale
        )
        probability.append(np.exp(naive.retell(model_of(fit), data, values).loglik))
    return np.log(np.mean(probability, axis=0))


def with_draws(fit: xr.DataTree, n_draws: int) -> xr.DataTree:
    """A fit as if it had been sampled: rates spread around the estimate, two chains."""
    rng = np.random.default_rng(1)
    group = fit["posterior"].to_dataset()
    shape = {"chain": 2, "draw": n_draws}
    spread = {
        name: values.isel(chain=0, draw=0, drop=True).expand_dims(shape)
        * xr.DataArray(rng.uniform(0.5, 1.0, (2, n_draws)), dims=("chain", "draw"))
        for name, values in group.items()
    }
    sampled = fit.copy()
    sampled["posterior"] = xr.DataTree(
        xr.Dataset(spread, coords={"chain": [0, 1], "draw": np.arange(n_draws)})
    )
    return sampled


def test_held_out_score_is_that_of_a_fit_by_hand_scored_by_a_loop(fits, data, compared):
    train, test = hr.split(data, last=0.3)
    by_hand = told_scores(hr.fit_mle(MODEL, train, **QUIET), test)
    score = compared.dataset["log_score"].sel(estimator="mle")
    np.testing.assert_allclose(score, by_hand, atol=1e-5)
    assert compared.table.loc["mle", "held_out"] == pytest.approx(np.nansum(by_hand), abs=1e-4)
    assert compared.table.loc["mle", "per_trial"] == pytest.approx(np.nanmean(by_hand), abs=1e-6)


def test_only_held_out_trials_are_scored(data, compared):
    _, test = hr.split(data, last=0.3)
    assert (compared.dataset["log_score"].notnull() == test["scored"].values).all()
    assert ((compared.dataset["fold"] >= 0) == test["scored"].values).all()


def test_folds_score_every_trial_once_and_each_fold_as_a_split_of_its_own(fits, data):
    compared = hr.compare(fits, folds=3, **QUIET)
    assert (compared.dataset["log_score"].notnull() == data["scored"].values).all()
    assert compared.dataset["refit_seconds"].sizes == {"estimator": 2, "refit": 3}
    train, test = hr.split(data, folds=3)[1]
    by_hand = told_scores(hr.fit_mle(MODEL, train, **QUIET), test)
    second = compared.dataset["log_score"].sel(estimator="mle").where(compared.dataset["fold"] == 1)
    np.testing.assert_allclose(second, by_hand, atol=1e-5)


def test_folds_are_dealt_by_the_seed(fits, data):
    dealt = hr.compare(fits, folds=3, random_seed=5, **QUIET).dataset["fold"]
    pairs = hr.split(data, folds=3, random_seed=5)
    expected = sum(k * test["scored"].astype(int) for k, (_, test) in enumerate(pairs))
    np.testing.assert_array_equal(dealt.where(dealt >= 0, 0), expected)


def test_draws_are_mixed_trial_by_trial(fits, data):
    sampled = with_draws(fits["mle"], 6)
    compared = hr.compare({"mle": fits["mle"], "draws": sampled}, **QUIET)
    np.testing.assert_allclose(
        compared.dataset["log_score"].sel(estimator="draws"), told_scores(sampled, data), atol=1e-12
    )
    assert compared.subjects.loc[("s0", "draws"), "alpha_sd"] > 0
    assert np.isnan(compared.subjects.loc[("s0", "mle"), "alpha_sd"])


def test_in_sample_score_of_a_point_fit_is_its_loglik(fits, compared):
    for name, fit in fits.items():
        found = compared.dataset["in_sample"].sel(estimator=name)
        np.testing.assert_allclose(found, fit["fit_stats"]["loglik"], atol=1e-9)


def test_without_a_split_the_result_says_in_sample_everywhere(fits):
    compared = hr.compare(fits, **QUIET)
    assert not compared.held_out
    assert "held_out" not in compared.table
    assert compared.dataset.attrs["held_out"] == 0
    assert "nothing was held out" in repr(compared)
    assert "rewards overfitting" in compared._repr_html_()
    assert compared.table.index[0] == "mle"


def test_difference_has_the_paired_standard_error_over_subjects(compared):
    scores = compared.subjects["held_out"].unstack("estimator")
    best, other = compared.table.index
    paired = scores[other] - scores[best]
    assert compared.table.loc[other, "difference"] == pytest.approx(paired.sum())
    assert compared.table.loc[other, "difference_se"] == pytest.approx(np.sqrt(7) * paired.std(ddof=1))
    assert compared.table.loc[best, ["difference", "difference_se"]].tolist() == [0, 0]


def test_shares_of_subjects_add_up_and_ties_count_in_parts():
    scores = pd.DataFrame({"a": [-1.0, -2.0, -3.0, -9.0], "b": [-1.0, -3.0, -4.0, -8.0]})
    shares = best_shares(scores)
    assert shares.to_dict() == {"a": 0.625, "b": 0.375}


def test_chance_is_told_from_the_arms_on_offer(data, fits):
    compared = hr.compare(fits, **QUIET)
    expected = np.where(data["scored"], -np.log(data["available"].sum("arm")), np.nan)
    np.testing.assert_allclose(compared.dataset["chance"], expected)


def test_estimates_are_those_of_the_given_fits(fits, compared):
    found = compared.subjects["alpha"].unstack("estimator")["mle"]
    np.testing.assert_array_equal(found, fits["mle"]["posterior"]["alpha"].values[0, 0])
    assert compared.subjects.index.names == ["subject", "estimator"]
    assert len(compared.subjects) == 14


def test_population_table_has_the_moments_of_the_estimates(fits, compared):
    alpha = fits["mle"]["posterior"]["alpha"].values[0, 0]
    row = compared.population.loc[("alpha", "all", "mle", "subjects")]
    assert row["mean"] == pytest.approx(alpha.mean())
    assert row["sd"] == pytest.approx(alpha.std(ddof=1))
    assert row["median"] == pytest.approx(np.median(alpha))
    inside = np.clip(alpha, 1 / (1 + np.exp(6)), 1 / (1 + np.exp(-6)))
    assert row["link_mean"] == pytest.approx(np.log(inside / (1 - inside)).mean())


def test_relation_of_estimates_to_half_their_distance_from_the_mean_is_shrinkage_of_a_half():
    first = np.array([0.1, 0.4, 0.9, 0.6])
    found = relation(first, first.mean() + (first - first.mean()) / 2)
    assert found["shrinkage"] == pytest.approx(0.5)
    assert found["spread_ratio"] == pytest.approx(0.5)
    assert found["correlation"] == pytest.approx(1.0)
    assert found["mean_difference"] == pytest.approx(0.0)


def test_differences_list_every_pair_parameter_and_scale(compared):
    index = compared.differences.index
    assert index.names == ["parameter", "first", "second", "scale"]
    assert len(index) == 2 * 1 * 2


def test_estimates_per_arm_have_a_row_for_each_arm(data):
    model = hr.model("rw", per_arm=True, bias=True)
    compared = hr.compare({"convex": hr.fit_convex(model, data, **QUIET)}, **QUIET)
    assert {"alpha[A]", "alpha[B]", "beta[A]", "beta[B]", "bias[B]"} <= set(compared.subjects)


def test_weights_are_in_raw_reward_units():
    data = builders.random_behaviour(4, 60, graded=True, seed=2)
    fit = hr.fit_convex(MODEL, data, **QUIET)
    found = hr.compare({"convex": fit}, **QUIET).subjects["beta"].to_numpy()
    np.testing.assert_allclose(found, fit["posterior"]["beta"].values.ravel())


def test_a_subject_without_test_trials_is_left_out_and_named(data):
    rows = (data["trial_subject"] != "s2") | (
        data["trial_session"] == data["trial_session"][data["trial_subject"] == "s2"][0]
    )
    few = data.isel(trial=np.flatnonzero(rows))
    compared = hr.compare({"mle": hr.fit_mle(MODEL, few, **QUIET)}, sessions=1, **QUIET)
    assert "s2" in repr(compared).split("Left out")[1]
    assert np.isnan(compared.subjects.loc[("s2", "mle"), "held_out"])
    assert compared.table.loc["mle", "held_out"] == pytest.approx(compared.subjects["held_out"].sum())


def test_saved_comparison_comes_back(compared, tmp_path):
    compared.to_dataset().to_netcdf(tmp_path / "comparison.nc")
    back = Comparison(xr.load_dataset(tmp_path / "comparison.nc"))
    pd.testing.assert_frame_equal(back.table, compared.table, check_index_type=False)
    pd.testing.assert_frame_equal(back.population, compared.population, check_index_type=False)
    assert repr(back) == repr(compared)


def test_printed_table_names_the_split_the_chance_level_and_the_estimators(compared):
    text = repr(compared)
    assert "Held-out log score (last=0.3)" in text
    assert "7 subjects; chance is -0.69" in text
    assert all(f"\n{name}" in text for name in ("convex", "mle"))
    assert "<table" in compared._repr_html_()


def test_fits_keep_their_order_and_their_data(fits, data):
    before = {name: fit.copy(deep=True) for name, fit in fits.items()}
    compared = hr.compare(dict(reversed(fits.items())), last=0.3, **QUIET)
    assert compared.dataset["estimator"].values.tolist() == ["mle", "convex"]
    for name, fit in fits.items():
        xr.testing.assert_identical(
            fit["constant_data"].to_dataset(), before[name]["constant_data"].to_dataset()
        )


def test_refit_repeats_the_relaxation_and_its_options():
    plain = builders.random_behaviour(3, 60, gaps=False, seed=4)
    fit = hr.fit_convex(MODEL, plain, relaxation="monotone", horizon=4, **QUIET)
    train, _ = hr.split(plain, last=0.3)
    again = settings_of(refit(fit, train, Resources()))
    assert again["relaxation"] == "monotone"
    assert again["options"]["horizon"] == 4


def test_refit_with_the_training_data_of_a_fit_is_that_fit(fits, data):
    again = refit(fits["mle"], data, Resources(), start=fits["convex"])
    np.testing.assert_allclose(again["fit_stats"]["loglik"], fits["mle"]["fit_stats"]["loglik"], atol=1e-9)


TINY = {"draws": 20, "tune": 60, "chains": 2, "random_seed": 3}


@pytest.fixture(scope="module")
def posterior(data, fits) -> xr.DataTree:
    prior = hr.weak_prior(MODEL, data, formula={"alpha": "1 + group"})
    with warnings.catch_warnings(action="ignore"):  # so few draws can't have converged
        return hr.fit_posterior(MODEL, data, prior=prior, start=fits["convex"], **TINY, **QUIET)


@pytest.mark.filterwarnings("ignore")
def test_posterior_is_refitted_with_its_own_settings_and_scored_by_its_draws(data, fits, posterior):
    train, test = hr.split(data, last=0.3)
    resources = Resources()
    start = refit(fits["convex"], train, resources)
    again = refit(posterior, train, resources, start=start)
    before, after = settings_of(posterior), settings_of(again)
    for name in (
        "draws",
        "tune",
        "chains",
        "random_seed",
        "formula",
        "target_accept",
        "sampler",
        "prior_given",
    ):
        assert after[name] == before[name]
    assert Prior.from_json(after["prior"]).kind == "weak"
    compared = hr.compare(fits | {"posterior": posterior}, last=0.3, **QUIET)
    np.testing.assert_allclose(
        compared.dataset["log_score"].sel(estimator="posterior"), told_scores(again, test), atol=1e-9
    )


def test_population_of_a_posterior_stands_beside_the_estimates_of_its_subjects(fits, posterior):
    table = hr.compare(fits | {"posterior": posterior}, **QUIET).population
    row = table.loc[("alpha", "group=old", "posterior", "population")]
    draws = posterior["population"].sel(parameter="alpha")
    cell = draws["median"].sel(cell="group=old")
    assert row["mean"] == pytest.approx(float(draws["mean"].sel(cell="group=old").mean()))
    assert row["median"] == pytest.approx(float(cell.mean()))
    assert row["median_error"] == pytest.approx(float(cell.std(ddof=1)))
    assert row["link_mean"] == pytest.approx(float(np.log(cell / (1 - cell)).mean()))
    assert row["link_sd"] == pytest.approx(float(draws["sigma"].mean()))
    old = posterior["posterior"]["alpha"].mean(("chain", "draw")).values[::2]  # every other subject is old
    assert table.loc[("alpha", "group=old", "posterior", "subjects"), "mean"] == pytest.approx(old.mean())
    assert ("alpha", "group=old", "mle", "population") not in table.index


def test_spread_of_a_population_on_the_natural_scale_is_that_of_many_subjects():
    problem = problem_of(hr.fit_convex(MODEL, builders.random_behaviour(2, 30, seed=1), **QUIET))
    rng = np.random.default_rng(0)
    mean, sd = np.array([[-1.0], [0.5]]), np.array([[1.5], [0.4]])
    many = problem.from_link(rng.normal(mean[:, 0], sd[:, 0], (400_000, 2)))
    np.testing.assert_allclose(natural_sd(mean, sd, problem)[:, 0], many.std(axis=0), rtol=0.01)


def test_seconds_of_a_posterior_are_the_sum_of_its_parts(fits, posterior):
    table = hr.compare(fits | {"posterior": posterior}, **QUIET).table
    assert table.loc["posterior", "seconds"] == pytest.approx(sum(settings_of(posterior)["seconds"].values()))


@pytest.mark.parametrize(("kind", "same"), [("user", True), ("empirical", False)])
def test_priors_made_from_data_are_made_anew_and_others_kept(data, fits, posterior, kind, same):
    prior = replace(Prior.from_json(settings_of(posterior)["prior"]), kind=kind, settings={"widen": 2.0})
    changed = with_settings(posterior, prior=prior.to_json())
    train, _ = hr.split(data, last=0.3)
    made = repeated_prior(changed, train, settings_of(changed), start=None)
    assert made.kind == kind
    assert dict(made.formula) == dict(prior.formula)
    assert (made == prior) == same
    assert made.settings["widen"] == 2.0


@pytest.mark.slow
def test_on_real_data_the_posterior_predicts_best(shared_data):
    data = hr.behaviour(shared_data("fitzgerald_reversal"), covariates=["age_group"])
    convex = hr.fit_convex(MODEL, data, **QUIET)
    fits = {"convex": convex, "mle": hr.fit_mle(MODEL, data, start=convex, **QUIET)}
    fits["posterior"] = hr.fit_posterior(MODEL, data, start=convex, formula="1 + age_group", **QUIET)
    table = hr.compare(fits, last=0.25, **QUIET).table
    assert table.index[0] == "posterior"
    assert table.loc["posterior", "per_trial"] > -0.44
    assert table["in_sample"].idxmax() == "mle"


def with_settings(fit: xr.DataTree, **changes: object) -> xr.DataTree:
    changed = fit.copy()
    changed.attrs[SETTINGS] = json.dumps(settings_of(fit) | changes)
    return changed


def test_functions_that_a_fit_cannot_store_are_refused(fits):
    changed = with_settings(fits["convex"], options={"penalty": "<function smooth>"})
    with pytest.raises(
        ValueError, match="made with penalty=<function smooth>, a function, which a fit can't store"
    ):
        hr.compare({"convex": changed}, last=0.3, **QUIET)


def test_estimator_that_cannot_be_repeated_is_refused_with_a_way_out(fits):
    changed = with_settings(fits["mle"], estimator="oracle")
    with pytest.raises(ValueError, match="'oracle' can't be repeated on other trials.*Compare it in-sample"):
        hr.compare({"oracle": changed}, last=0.3, **QUIET)


def test_other_model_is_refused(fits, data):
    other = hr.fit_convex(hr.model("rw"), data, **QUIET)
    with pytest.raises(
        ValueError, match=r"'convex' is a fit of forgetting_q \(alpha, beta\) and 'rw' one of rw"
    ):
        hr.compare({"convex": fits["convex"], "rw": other})


def test_bounds_of_a_model_may_differ(fits, data):
    bounded = hr.fit_mle(hr.model("forgetting_q", bounds={"beta": (0, 2)}), data, **QUIET)
    compared = hr.compare({"mle": fits["mle"], "bounded": bounded}, **QUIET)
    assert compared.table.index[0] == "mle"


def test_other_subjects_are_refused(fits, data):
    chosen = data["subject"].values[:-1]
    fewer = data.isel(trial=np.flatnonzero(data["trial_subject"].isin(chosen))).sel(subject=chosen)
    other = hr.fit_convex(MODEL, fewer, **QUIET)
    with pytest.raises(ValueError, match=r"different subjects: only one of them has subject 's6' \(1 such\)"):
        hr.compare({"convex": fits["convex"], "fewer": other})


def test_other_choices_are_refused_with_the_place(fits, data):
    choice = data["choice"].values.copy()
    row = int(np.flatnonzero(data["scored"] & data["available"].all("arm"))[5])
    choice[row] = 1 - choice[row]
    other = hr.fit_convex(MODEL, data.assign(choice=("trial", choice)), **QUIET)
    where = f"differ in 'choice': from trial {row} on \\(subject {data['trial_subject'].values[row]}\\)"
    with pytest.raises(ValueError, match=where):
        hr.compare({"convex": fits["convex"], "other": other})


def test_other_scored_trials_are_refused(fits, data):
    train, _ = hr.split(data, last=0.3)
    other = hr.fit_convex(MODEL, train, **QUIET)
    with pytest.raises(ValueError, match="'convex' and 'train' score different trials"):
        hr.compare({"convex": fits["convex"], "train": other})


def test_split_that_holds_out_nothing_is_refused(fits):
    with pytest.raises(ValueError, match="holds out nothing"):
        hr.compare(fits, last=1e-9, **QUIET)


def test_two_kinds_of_split_at_once_are_refused(fits):
    with pytest.raises(ValueError, match="exactly one of last=, sessions= and folds="):
        hr.compare(fits, last=0.3, folds=2, **QUIET)


def test_fits_without_names_are_refused(fits):
    with pytest.raises(TypeError, match="takes fits with names"):
        hr.compare(list(fits.values()))
    with pytest.raises(ValueError, match="at least one fit"):
        hr.compare({})
    with pytest.raises(TypeError, match="A fit is the DataTree"):
        hr.compare({"mle": 3})


def test_sums_of_probabilities_are_what_scipy_gives():
    values = np.random.default_rng(3).normal(-2, 3, (50, 7))
    values[:, 2] = -np.inf
    values[:40, 3] = -np.inf
    values[:, 4] -= 2000.0  # exponentials underflow
    expected = logsumexp(values, axis=0)
    np.testing.assert_allclose(log_sum_exp(values.copy()), expected, rtol=1e-13)
