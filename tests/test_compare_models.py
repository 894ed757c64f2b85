"""Models compared: every criterion against exact refits, quadrature or sums by hand; tables, ArviZ, refusals."""

from dataclasses import replace

import arviz_stats as az
import builders
import exactly
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from arviz_stats.base import array_stats
from scipy.special import logsumexp

import hierrl as hr
from hierrl.compare import ModelComparison, refitted
from hierrl.compare.integrated import Integrated, partial_logits, population_draws
from hierrl.compare.leave_out import Scores
from hierrl.compare.refit import Resources
from hierrl.compare.units import units_of
from hierrl.fits import data_of, problem_of
from hierrl.importance.pareto import smoothed_weights
from hierrl.kernels.correlation import correlation_root
from hierrl.posterior.layout import lay_out

QUIET = {"progress": False}


@pytest.fixture(scope="module")
def exact() -> exactly.Exact:
    return exactly.Exact(exactly.tiny_study())


@pytest.fixture(scope="module")
def posterior(exact) -> xr.DataTree:
    return exact.fit()


@pytest.fixture(scope="module")
def data() -> xr.Dataset:
    """Seven subjects with every kind of gap."""
    return builders.random_behaviour(7, 60, rich=True, seed=3)


@pytest.fixture(scope="module")
def points(data) -> dict[str, xr.DataTree]:
    return {name: hr.fit_mle(hr.model(name), data, **QUIET) for name in ("rw", "subvalue")}


def rows_by(data: xr.Dataset, by: str) -> list[list[int]]:
    """Scored rows of each unit, by a loop."""
    found: dict[tuple, list[int]] = {}
    for row in np.flatnonzero(data["scored"].values):
        subject, session = data["trial_subject"].values[row], data["trial_session"].values[row]
        key = {"trial": (row,), "session": (subject, session), "subject": (subject,)}[by]
        found.setdefault(key, []).append(int(row))
    return list(found.values())


@pytest.mark.parametrize("by", ["trial", "session", "subject"])
def test_leave_one_out_agrees_with_exact_refits_where_weights_are_good(exact, posterior, by):
    found = hr.compare_models({"one": posterior}, by=by, **QUIET).dataset.isel(model=0)
    refits = np.array([exact.predicted(rows) for rows in rows_by(exact.data, by)])
    good = found["pareto_k"].values <= 0.7
    assert good.mean() > 0.95
    np.testing.assert_allclose(found["score"].values[good], refits[good], atol=0.05)
    assert found["score"].values[good].sum() == pytest.approx(refits[good].sum(), abs=0.15)
    assert np.abs(refits - exact_loglik(exact, by)).sum() > 1  # what is left out does matter


def exact_loglik(exact: exactly.Exact, by: str) -> np.ndarray:
    """Units predicted by a posterior that has seen them."""
    mass = exact.population()
    found = []
    for rows in rows_by(exact.data, by):
        s = exact.subject[rows[0]]
        share = np.exp(exact.subject_loglik()[s])[:, None, None] * exact.density
        own = ((share / share.sum(axis=0)) * mass).sum(axis=(1, 2))
        found.append(np.log(own @ np.exp(exact.trials[rows].sum(axis=0))))
    return np.array(found)


def test_future_left_out_agrees_with_exact_refits_to_what_came_before(exact, posterior):
    compared = hr.compare_models({"one": posterior}, method="lfo", by="trial", first=0.25, **QUIET)
    found, refits = compared.scores.to_series().droplevel("model"), {}
    for rows in rows_by(exact.data, "subject"):
        for k in range(int(np.ceil(0.25 * len(rows))), len(rows)):
            refits[rows[k]] = exact.predicted([rows[k]], rows[k + 1 :])
    assert found.index.get_level_values("trial").tolist() == list(refits)
    np.testing.assert_allclose(found, list(refits.values()), atol=0.05)


def test_the_future_of_all_trials_of_a_subject_is_the_subject(posterior):
    future = hr.compare_models({"one": posterior}, method="lfo", first=0.0, **QUIET).scores
    whole = hr.compare_models({"one": posterior}, by="subject", **QUIET).scores
    np.testing.assert_allclose(future, whole, atol=0.03)


def test_evidence_of_a_posterior_is_the_likelihood_averaged_over_the_population(exact, posterior):
    found = hr.compare_models({"one": posterior}, method="evidence", **QUIET).scores.values[0]
    mass, marginals = exact.population(), exact.marginals()
    wanted = logsumexp(marginals, b=mass, axis=(1, 2))
    # The fit has so many independent draws of the population: what chance makes of their mean is known.
    relative = np.exp(marginals - wanted[:, None, None])
    n_draws = posterior["posterior"].sizes["chain"] * posterior["posterior"].sizes["draw"]
    chance = np.sqrt((mass * (relative - 1) ** 2).sum(axis=(1, 2)) / n_draws)
    assert (np.abs(found - wanted) < 3 * chance).all()
    assert (chance < 0.02).all()


def test_subjects_are_not_predicted_by_their_own_draws(posterior):
    """Weights from a subject's own draws, which have seen it, give a much better score, and a wrong one."""
    integrated = hr.compare_models({"one": posterior}, by="subject", **QUIET).scores.values[0]
    own = hr.log_likelihood(posterior, by="subject").values[0]
    log_weight, _ = smoothed_weights(-own.T)
    conditional = logsumexp(log_weight + own.T, axis=1)
    assert conditional.sum() > integrated.sum() + 0.5


@pytest.mark.parametrize("by", ["trial", "session", "subject"])
def test_units_whose_weights_fail_are_refitted_without_them(exact, posterior, by, monkeypatch):
    """The refit is exact; its score has to be as well."""

    def refit_exactly(fit, train, resources):
        without = np.flatnonzero(exact.data["scored"].values & ~train["scored"].values)
        return exact.fit(without=without, seed=1)

    monkeypatch.setattr(refitted, "quietly_refitted", refit_exactly)
    units = units_of(exact.data, by)
    k = np.full(units.size, 0.1)
    k[1] = 0.9
    found = Scores(np.zeros(units.size), k, notes=())
    again = refitted.refitted_units(
        posterior,
        found,
        units,
        integrated=None if by == "trial" else Integrated.of(posterior),
        resources=Resources(),
    )
    assert again.score[1] == pytest.approx(exact.predicted(rows_by(exact.data, by)[1]), abs=0.06)
    assert np.flatnonzero(again.score).tolist() == [1]
    assert np.isnan(again.pareto_k[1])
    assert "scored 1 unit with Pareto k above 0.7" in again.notes[0]


def test_future_of_a_subject_whose_weights_fail_is_told_by_a_population_without_it(
    exact, posterior, monkeypatch
):
    def refit_exactly(fit, train, resources):
        without = np.flatnonzero(exact.data["scored"].values & ~train["scored"].values)
        return exact.fit(without=without, seed=1)

    monkeypatch.setattr(refitted, "quietly_refitted", refit_exactly)
    used = exact.data["scored"].values
    found = Scores(np.zeros(used.sum()), np.where(exact.subject[used] == 2, 0.9, 0.1))
    again = refitted.refitted_future(
        posterior, found, used, integrated=Integrated.of(posterior), resources=Resources()
    )
    rows = rows_by(exact.data, "subject")[2]
    expected = [exact.predicted([row], rows[i + 1 :]) for i, row in enumerate(rows)]
    np.testing.assert_allclose(again.score[exact.subject[used] == 2], expected, atol=0.02)
    assert not again.score[exact.subject[used] != 2].any()


def test_smoothed_weights_are_those_of_arviz():
    log_ratio = np.random.default_rng(0).normal(0, [[0.1], [1.0], [2.0], [5.0]], (4, 900))
    log_weight, k = smoothed_weights(log_ratio)
    theirs, their_k = array_stats.psislw(-log_ratio)
    np.testing.assert_allclose(k, their_k, atol=1e-10)
    np.testing.assert_allclose(log_weight, theirs, atol=1e-10)
    flat, none = smoothed_weights(np.zeros((1, 900)))
    np.testing.assert_allclose(flat, -np.log(900))
    assert none[0] == -np.inf


@pytest.mark.filterwarnings("ignore:Estimated shape parameter")
def test_leave_one_out_by_trial_is_that_of_arviz(exact):
    posterior = exact.fit(3600)  # so that both take equally many draws for the tail
    found = hr.compare_models({"one": posterior}, **QUIET).elpd["one"]
    loglik = hr.log_likelihood(posterior).reset_coords(drop=True)
    learned = loglik.std("draw").values[0] > 1e-9  # ArviZ has no answer where all draws say the same
    tree = {
        "posterior": posterior["posterior"].to_dataset(),
        "log_likelihood": loglik[..., learned].to_dataset(name="y"),
    }
    theirs = az.loo(xr.DataTree.from_dict(tree), pointwise=True, reff=1.0)
    np.testing.assert_allclose(found.elpd_i[learned], theirs.elpd_i, atol=1e-8)
    np.testing.assert_allclose(found.pareto_k[learned], theirs.pareto_k, atol=1e-8)
    assert found.p == pytest.approx(theirs.p)
    np.testing.assert_allclose(found.elpd_i[~learned], np.log(0.5))


def test_criteria_of_point_fits_are_sums_by_hand(points):
    n = problem_of(points["rw"]).n_scored
    for name, size in (("rw", 2), ("subvalue", 4)):
        loglik = points[name]["fit_stats"]["loglik"].values
        aic = hr.compare_models(points, method="aic", **QUIET)
        bic = hr.compare_models(points, method="bic", **QUIET)
        np.testing.assert_allclose(aic.scores.sel(model=name), loglik - size)
        np.testing.assert_allclose(bic.scores.sel(model=name), loglik - size / 2 * np.log(n))
        assert bic.table.loc[name, "criterion"] == pytest.approx((size * np.log(n) - 2 * loglik).sum())


@pytest.mark.parametrize(("method", "tolerance"), [("evidence", 2e-3), ("laplace", 0.15)])
def test_evidence_under_a_prior_is_that_of_quadrature(exact, method, tolerance):
    fit = hr.fit_mle(exactly.MODEL, exact.data, **QUIET)
    prior = exact.prior.changed("beta", "Intercept", loc=1.0, scale=0.3)
    prior = prior.changed("beta", "log_sigma", loc=float(np.log(0.7)), scale=0.1)
    found = hr.compare_models({"one": fit}, method=method, prior=prior, **QUIET)
    z = (exactly.ETA - 1.0) / 0.7
    log_mass = -0.5 * z**2 - np.log(0.7 * np.sqrt(2 * np.pi)) + np.log(exactly.ETA[1] - exactly.ETA[0])
    expected = logsumexp(exact.subject_loglik() + log_mass, axis=1)
    np.testing.assert_allclose(found.scores.values[0], expected, atol=tolerance)
    assert "Prior of every model: the one that was given" in repr(found)


def test_weak_prior_of_a_subject_is_as_wide_as_its_population_is_unsure(exact):
    fit = hr.fit_mle(exactly.MODEL, exact.data, **QUIET)
    found = hr.compare_models({"one": fit}, method="evidence", prior="weak", **QUIET)
    width = np.hypot(1.5, 0.7)
    z = (exactly.ETA - np.log(3.0)) / width
    log_mass = -0.5 * z**2 - np.log(width * np.sqrt(2 * np.pi)) + np.log(exactly.ETA[1] - exactly.ETA[0])
    expected = logsumexp(exact.subject_loglik() + log_mass, axis=1)
    np.testing.assert_allclose(found.scores.values[0], expected, atol=5e-3)


def test_held_out_scores_are_those_of_compare(points):
    compared = hr.compare_models(points, folds=3, by="trial", **QUIET)
    for name, fit in points.items():
        alone = hr.compare({name: fit}, folds=3, **QUIET)
        own = alone.dataset["log_score"].sel(estimator=name).dropna("trial")
        np.testing.assert_allclose(compared.scores.sel(model=name), own, atol=1e-8)
    assert "Held-out log score (folds=3)" in repr(compared)


def test_future_of_point_fits_is_scored_by_fits_to_all_that_came_before(points, data):
    compared = hr.compare_models({"rw": points["rw"]}, method="lfo", first=0.5, by="trial", **QUIET)
    rank, last = {}, []
    for rows in rows_by(data, "subject"):
        rank |= {row: k / len(rows) for k, row in enumerate(rows)}
        last += rows[int(np.ceil(0.95 * len(rows))) :]  # the last of ten parts of the second half
    train = data.assign(scored=("trial", data["scored"].values & ~data["trial"].isin(last).values))
    refit = hr.fit_mle(hr.model("rw"), train, **QUIET)
    test = data.assign(scored=("trial", data["trial"].isin(last).values))
    by_hand = hr.log_likelihood(refit, data=test).values[0, 0]
    np.testing.assert_allclose(compared.scores.sel(model="rw", trial=last), by_hand, atol=1e-5)
    assert set(compared.scores["trial"].values) == {row for row, share in rank.items() if share >= 0.5}


def test_differences_are_paired_over_units_and_over_subjects(points):
    compared = hr.compare_models(points, folds=2, by="session", **QUIET)
    best, other = compared.table.index
    away = (compared.scores.sel(model=other) - compared.scores.sel(model=best)).to_series()
    owner = compared.dataset["unit_subject"].values
    by_subject = away.groupby(owner).sum()
    row = compared.table.loc[other]
    assert row["difference"] == pytest.approx(away.sum())
    assert row["difference_se"] == pytest.approx(np.sqrt(len(away)) * away.std(ddof=1))
    assert row["subjects_se"] == pytest.approx(np.sqrt(7) * by_subject.std(ddof=1))
    pair = compared.differences.loc[(best, other)]
    assert pair["difference"] == pytest.approx(-away.sum())
    assert pair["se"] == pytest.approx(row["difference_se"])
    assert pair["subjects_for_first"] == pytest.approx((by_subject < 0).mean())


def test_notes_say_what_the_numbers_are_about(exact, posterior, points):
    by_trial = hr.compare_models({"one": posterior}, **QUIET)
    assert "Trials depend on each other" in repr(by_trial)
    assert "Fewer than 10 subjects" in by_trial.notes[-1]
    assert "integrated out over the population" in repr(
        hr.compare_models({"one": posterior}, by="subject", **QUIET)
    )
    assert "The population has seen" in repr(
        hr.compare_models({"one": posterior}, method="evidence", **QUIET)
    )
    convex = hr.fit_convex(hr.model("rw"), exact.data, **QUIET)
    assert "'quick' is no maximum-likelihood fit" in repr(
        hr.compare_models({"quick": convex}, method="bic", **QUIET)
    )


def test_units_with_bad_weights_are_counted_in_table_and_notes(posterior):
    compared = hr.compare_models({"one": posterior, "two": posterior}, by="subject", **QUIET)
    changed = compared.dataset.copy(deep=True)
    changed["pareto_k"].values[0, :2] = 0.8
    table = ModelComparison(changed).table
    assert table["unsure"].to_dict() == {"one": 2, "two": 0}
    assert "Importance weights fail (Pareto k above 0.7) for subjects: 2 under 'one'" in repr(
        ModelComparison(changed)
    )
    assert "'one' and 'two' differ by less than 4 nats" in repr(ModelComparison(changed))


def test_arviz_compares_and_draws_what_comes_out(posterior, exact):
    from arviz_plots import plot_compare

    compared = hr.compare_models({"one": posterior, "two": exact.fit(seed=5)}, by="subject", **QUIET)
    table = compared.arviz
    assert {"rank", "elpd", "elpd_diff", "dse", "se", "p", "weight"} <= set(table)
    assert table["elpd"].tolist() == pytest.approx(compared.table["score"].tolist())
    assert plot_compare(table, backend="none") is not None
    held_out = hr.compare_models({"one": hr.fit_mle(exactly.MODEL, exact.data, **QUIET)}, last=0.3, **QUIET)
    assert held_out.elpd["one"].kind == "loo_kfold"
    with pytest.raises(ValueError, match="at least two models; this comparison has one"):
        _ = held_out.arviz


def test_saved_comparison_comes_back(posterior, tmp_path):
    compared = hr.compare_models({"one": posterior, "two": posterior}, by="session", **QUIET)
    compared.to_dataset().to_netcdf(tmp_path / "models.nc")
    back = ModelComparison(xr.load_dataset(tmp_path / "models.nc"))
    pd.testing.assert_frame_equal(back.table, compared.table, check_index_type=False)
    assert repr(back) == repr(compared)
    assert "<table" in back._repr_html_()


def test_random_effects_take_the_scores_of_subjects(points):
    compared = hr.compare_models(points, method="bic", **QUIET)
    expected = hr.random_effects(compared.scores.transpose("subject", "model").to_pandas())
    pd.testing.assert_frame_equal(compared.random_effects.table, expected.table, check_index_type=False)
    assert "by bIC" not in repr(compared.random_effects)
    assert "7 subjects, by BIC by subject" in repr(compared.random_effects)


STRUCTURES = {
    "covariate": ({"formula": {"alpha": "1 + age"}}, False),
    "groups": ({"spread_by": "group"}, False),
    "correlated": ({}, True),
    "slopes": ({"formula": {"beta": "1 + drug"}}, False),
}


@pytest.mark.parametrize("kind", STRUCTURES)
def test_subjects_are_integrated_out_under_every_structure_of_a_population(kind):
    """L of a subject is the mean likelihood of many subjects who are drawn from the population."""
    options, correlated = STRUCTURES[kind]
    data, model = with_drug(builders.random_behaviour(4, 30, graded=True, rich=True, seed=8)), hr.model("rw")
    prior = hr.weak_prior(model, data, **options)
    layout = lay_out(model, data, prior=prior, correlated=correlated, parametrization="noncentered")
    population, rng, n = layout.population, np.random.default_rng(1), 60
    effects = population.effects_prior[0] + 0.1 * rng.standard_normal((n, population.owner.size))
    log_sigma = np.log(0.6) + 0.1 * rng.standard_normal((n, *population.spread_prior[0].shape))
    partial = 0.75 + 0.03 * rng.standard_normal((n, 1)) if correlated else None
    fit = exactly.fit_of(layout, data, effects, log_sigma, population.mean(effects), partial)
    drawn = [effects, log_sigma.reshape(n, -1)] + ([np.log(partial / (1 - partial))] if correlated else [])
    np.testing.assert_allclose(population_draws(fit, layout), np.concatenate(drawn, axis=1), atol=1e-9)
    d, many = 7, 4000
    z = rng.standard_normal((many, 4, len(population.labels)))
    if correlated:
        z = z @ np.linalg.cholesky(fit["population"]["correlation"].values[0, d]).T
    eta = population.mean(effects[d]) + population.sigma_of_subjects(log_sigma[d]) * z
    loglik = np.stack([layout.study.link_derivatives(one, order=0)[0] for one in eta])
    expected = logsumexp(loglik, axis=0) - np.log(many)
    np.testing.assert_allclose(Integrated.of(fit).whole[d], expected, atol=0.06)


def with_drug(data: xr.Dataset) -> xr.Dataset:
    """A covariate that is on in every other session."""
    drug = np.where(data["trial_session"].values % 2 == 0, "on", "off")
    return data.assign(drug=("trial", drug, {"level": "session"}))


def test_partial_correlations_come_back_from_matrices():
    partial = np.array([0.7, 0.2, 0.55, 0.4, 0.9, 0.3])
    root = correlation_root(2 * partial - 1)
    matrix = np.linalg.inv(root.T @ root)
    np.testing.assert_allclose(partial_logits(matrix[None])[0], np.log(partial / (1 - partial)), atol=1e-9)


def test_fits_of_other_choices_or_scored_trials_are_refused_with_what_differs(points, data):
    train, _ = hr.split(data, last=0.3)
    other = hr.fit_mle(hr.model("rw"), train, **QUIET)
    with pytest.raises(ValueError, match="'rw' and 'fewer' score different trials: from trial"):
        hr.compare_models({"rw": points["rw"], "fewer": other})
    choice = data["choice"].values.copy()
    row = int(np.flatnonzero(data["scored"] & data["available"].all("arm"))[5])
    choice[row] = 1 - choice[row]
    other = hr.fit_mle(hr.model("rw"), data.assign(choice=("trial", choice)), **QUIET)
    with pytest.raises(ValueError, match=f"differ in 'choice': from trial {row} on"):
        hr.compare_models({"rw": points["rw"], "other": other})


def test_other_outcomes_are_allowed_and_told(points, data):
    squeezed = data.assign(reward=("trial", np.sqrt(data["reward"].values)))
    other = hr.fit_mle(hr.model("rw"), squeezed.assign(reward=squeezed["reward"] * 0.5), **QUIET)
    compared = hr.compare_models({"rw": points["rw"], "other": other}, **QUIET)
    assert "'other' was fitted to another 'reward' than 'rw'" in repr(compared)


@pytest.mark.parametrize(
    ("which", "options", "match"),
    [
        ("points", {"method": "loo"}, r"method='loo' needs posterior draws; 'mle' is a point fit \(mle\)"),
        ("posterior", {"method": "bic"}, "method='bic' is for point fits; 'post' is a posterior"),
        ("both", {"method": "lfo"}, "'post' is a posterior and 'mle' a point fit"),
        ("points", {"method": "waic"}, "method='waic' is not one of"),
        ("points", {"method": "bic", "last": 0.2}, "last= splits the data for method='held_out'"),
        ("points", {"method": "held_out"}, "needs exactly one of last=, sessions= and folds="),
        ("points", {"last": 0.2, "folds": 2}, "needs exactly one of last=, sessions= and folds="),
        ("points", {"method": "bic", "by": "trial"}, "method='bic' says something of whole subjects"),
        ("posterior", {"by": "block"}, "by='block' is not one of"),
        ("posterior", {"method": "lfo", "first": 1.0}, "first= is a share .* found 1.0"),
        ("points", {"method": "lfo", "first": 0.0}, "first= must be above 0 for point fits"),
    ],
)
def test_what_does_not_go_together_is_refused_with_a_way_out(exact, posterior, which, options, match):
    mle = hr.fit_mle(exactly.MODEL, exact.data, **QUIET)
    fits = {"posterior": {"post": posterior}, "points": {"mle": mle}, "both": {"post": posterior, "mle": mle}}
    with pytest.raises(ValueError, match=match):
        hr.compare_models(fits[which], **options, **QUIET)


def test_leave_one_out_by_trial_is_no_evidence_of_subjects(posterior):
    compared = hr.compare_models({"one": posterior, "two": posterior}, **QUIET)
    with pytest.raises(ValueError, match="leave-one-trial-out scores are none.*by='subject'"):
        _ = compared.random_effects
    with pytest.raises(TypeError, match="compare_models\\(\\) takes fits with names"):
        hr.compare_models([posterior])
    with pytest.raises(ValueError, match="method='bic' gives no expected log predictive density"):
        _ = hr.compare_models({"one": hr.fit_mle(exactly.MODEL, data_of(posterior), **QUIET)}).elpd


TINY = {"draws": 500, "tune": 200, "chains": 2, "random_seed": 3}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_leave_one_out_agrees_with_sampling_again_without_each_subject_and_trial():
    """The sampler itself, for two parameters per subject: fits without a subject predict it."""
    model = hr.model("rw")
    truth = {"alpha": [0.2, 0.4, 0.5, 0.3, 0.7, 0.4], "beta": [4, 2, 6, 3, 3, 5]}
    data = hr.simulate(model, hr.Bandit((0.8, 0.2), n_trials=40), truth, random_seed=2)
    prior = hr.weak_prior(model, data)
    fit = hr.fit_posterior(model, data, prior=prior, method="marginal", draws=1000, random_seed=1, **QUIET)
    found = hr.compare_models({"rw": fit}, by="subject", **QUIET).scores.values[0]
    again = []
    for subject in data["subject"].values:
        left = data["trial_subject"].values == subject
        train = data.assign(scored=("trial", data["scored"].values & ~left))
        refit = hr.fit_posterior(
            model, train, prior=prior, method="marginal", draws=1000, random_seed=1, **QUIET
        )
        population, rng = refit["population"].isel(draw=slice(None, None, 4)), np.random.default_rng(0)
        mu = (
            population["mu"]
            .sel(coefficient="Intercept")
            .stack(d=("chain", "draw"))
            .transpose("d", "parameter")
        )
        sigma = population["sigma"].stack(d=("chain", "draw")).transpose("d", "parameter")
        eta = mu.values[:, None] + sigma.values[:, None] * rng.standard_normal((mu.shape[0], 20, 2))
        values = {"alpha": 1 / (1 + np.exp(-eta[..., 0])), "beta": np.exp(eta[..., 1])}
        one = xr.Dataset(
            {k: (("chain", "draw", "subject"), v.T[:, :, None].repeat(6, axis=2)) for k, v in values.items()},
            coords={"subject": data["subject"].values},
        )
        loglik = hr.log_likelihood(fit, by="subject", parameters=one).sel(subject=subject).values
        again.append(logsumexp(loglik) - np.log(loglik.size))
    np.testing.assert_allclose(found, again, atol=0.1)
    assert found.sum() == pytest.approx(sum(again), abs=0.25)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_refits_of_the_sampler_replace_unsure_units():
    model = hr.model("rw")
    data = hr.simulate(
        model,
        hr.Bandit((0.9, 0.1), n_trials=15),
        {"alpha": [0.2, 0.6, 0.4], "beta": [9, 1, 4]},
        random_seed=5,
    )
    fit = hr.fit_posterior(model, data, prior=hr.weak_prior(model, data), **TINY, **QUIET)
    units = units_of(data, "subject")
    integrated = Integrated.of(fit)
    k = np.array([0.9, 0.1, 0.1])
    found = refitted.refitted_units(
        fit, Scores(np.zeros(3), k), units, integrated=integrated, resources=Resources()
    )
    psis = hr.compare_models({"rw": fit}, by="subject", **QUIET).scores.values[0]
    assert found.score[0] == pytest.approx(psis[0], abs=0.25)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["fitzgerald_reversal", "dezfouli_clinical_2arm"])
def test_on_real_data_choice_traces_win_by_every_criterion(shared_data, name):
    table = pd.read_csv(shared_data(name))
    some = table["subject"].drop_duplicates().head(10)
    data = hr.behaviour(table[table["subject"].isin(some)])
    fits = {
        kind: hr.fit_posterior(hr.model(kind), data, draws=300, **QUIET)
        for kind in ("rw", "forgetting_q", "subvalue")
    }
    for options in ({"by": "trial"}, {"by": "session"}, {"by": "subject"}, {"method": "lfo"}):
        compared = hr.compare_models(fits, **options, **QUIET)
        assert compared.table.index[0] == "subvalue", options
        assert np.isfinite(compared.scores).all()


def test_points_that_miss_where_a_subject_is_without_a_session_are_drawn_again(exact, posterior):
    """Weights of points can't tell of a mode that none of them lies near: here all but a corner is hidden from them."""
    study, units = Integrated.of(posterior), units_of(data_of(posterior), "session")
    expected, fails = study.parts(units)
    hidden = study.points.eta[:, 0] > np.quantile(study.points.eta[:, 0], 0.2, axis=1)[:, None]
    points = replace(study.points, log_proposal=np.where(hidden, 1e3, study.points.log_proposal))
    blind = replace(study, points=points)
    assert (blind.whole - study.whole).mean() < -0.5
    found, found_fails = blind.parts(units)
    assert not fails.any()
    assert not found_fails.any()
    np.testing.assert_allclose(found, expected, atol=0.2)
