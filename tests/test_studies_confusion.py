"""Model recovery: winners counted by hand, matrices, Laplace evidence by quadrature, files, plots."""

from importlib import import_module

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.special import logsumexp

import hierrl as hr
from hierrl.kernels.problem import prepare
from hierrl.studies import estimates
from hierrl.studies.confused import confused
from hierrl.studies.confusion import _bare, _Study
from hierrl.studies.evidence import scores_of, subject_prior

MODELS = {
    "rw": hr.model("rw"),
    "forgetting": hr.model("forgetting_q"),
    "last": hr.Model(channels=(hr.Channel(rate=1.0, unchosen="decay"),)),
}
RANGES = {"alpha": (0.1, 0.9), "beta": (1.0, 6.0)}
TRUTH = {name: {p: RANGES[p] for p in model.names} for name, model in MODELS.items()}
TASK = hr.Bandit((0.8, 0.2), n_trials=80, reverse_every=20)
HOW = {"truth": TRUTH, "n_subjects": 8, "progress": False, "random_seed": 5}


def study(criteria, last=None) -> _Study:
    how = {"truth": TRUTH, "estimator": "mle", "n_subjects": 8, "random_seed": 5, "options": {}}
    return _Study.of(MODELS, TASK, criteria=criteria, last=last, **how)


@pytest.fixture(scope="module")
def found():
    return hr.confusion(MODELS, TASK, replications=3, **HOW)


def test_winners_are_those_of_fits_made_one_by_one(found):
    made = study(("aic", "bic"))
    counts = {"aic": np.zeros((3, 3), int), "bic": np.zeros((3, 3), int)}
    sums = np.zeros((3, 3), int)
    for g, name in enumerate(MODELS):
        for k in range(3):
            data = _bare(made.data(name, k))
            n = np.bincount(data["trial_subject"].values[data["scored"].values])[1:]
            fits = [hr.fit_mle(model, data, progress=False) for model in MODELS.values()]
            loglik = np.stack([fit["fit_stats"]["loglik"].values for fit in fits])
            size = np.array([[len(model.names)] for model in MODELS.values()])
            aic, bic = 2 * size - 2 * loglik, size * np.log(n) - 2 * loglik
            for criterion, values in (("aic", aic), ("bic", bic)):
                counts[criterion][g] += np.bincount(values.argmin(axis=0), minlength=3)
            sums[g, aic.sum(axis=1).argmin()] += 1
    for criterion, expected in counts.items():
        np.testing.assert_allclose(found.matrix(criterion), expected / 24)
    np.testing.assert_allclose(found.matrix("aic", level="data set"), sums / 3)


def test_inversion_is_bayes_rule_with_equal_priors(found):
    for criterion in ("aic", "bic"):
        share = found.matrix(criterion)
        np.testing.assert_allclose(share.sum(axis=1), 1.0)
        np.testing.assert_allclose(found.inversion(criterion), share / share.sum(axis=0))
    assert list(found.matrix().index) == list(found.matrix().columns) == list(MODELS)


def test_intervals_are_about_their_shares(found):
    table = found.table
    assert (table["share_low"] <= table["share"]).all()
    assert (table["share"] <= table["share_high"]).all()
    shown = table[table["n_best"] > 0]
    assert (shown["inverse_low"] <= shown["inverse"]).all()
    assert (shown["inverse"] <= shown["inverse_high"]).all()


def test_a_model_that_never_wins_says_nothing_of_who_generated():
    scores = {(g, k): {"bic": {"a": [2.0, 3.0], "b": [1.0, 1.0]}} for g in "ab" for k in range(2)}
    settings = {"models": {"a": {}, "b": {}}, "criteria": ["bic"], "clusters": False,
                "estimator": "mle", "n_subjects": 2}  # fmt: skip
    made = confused(scores, settings)
    assert made.matrix().values.tolist() == [[1.0, 0.0], [1.0, 0.0]]
    assert made.inversion()["a"].tolist() == [0.5, 0.5]
    assert made.inversion()["b"].isna().all()
    assert made.best["lead"].tolist() == [1.0, 2.0] * 4
    assert "b is taken for a (100%)" in made.text


def test_models_that_differ_much_are_told_apart(found):
    assert found.matrix("bic").loc["last", "last"] > 0.7
    assert "BIC finds the generating model of a subject" in found.text


def test_held_out_scores_are_those_of_a_fit_to_the_rest():
    made = study(("held_out",), 0.25)
    sets = [_bare(made.data("rw", k)) for k in range(2)]
    how = {"criteria": ("held_out",), "last": 0.25, "estimator": "mle", "options": {}}
    scores = scores_of(MODELS["rw"], sets, **how)["held_out"]
    for data, values in zip(sets, scores, strict=True):
        train, test = hr.split(data, last=0.25)
        fit = hr.fit_mle(MODELS["rw"], train, progress=False)
        expected = hr.log_likelihood(fit, by="subject", data=test).values.ravel()
        np.testing.assert_allclose(values, expected, rtol=1e-4)


def test_laplace_evidence_is_near_that_by_quadrature():
    data = hr.simulate(MODELS["rw"], hr.Bandit((0.8, 0.2), n_trials=300, reverse_every=25),
                       {"alpha": [0.3, 0.5, 0.4], "beta": [3.0, 4.0, 2.5]}, random_seed=1)  # fmt: skip
    how = {"criteria": ("laplace",), "last": None, "estimator": "mle", "options": {}}
    laplace = scores_of(MODELS["rw"], [data], **how)["laplace"][0]
    problem = prepare(MODELS["rw"], data)
    mean, sd = subject_prior(problem, data)
    axes = [np.linspace(m - 3 * s, m + 3 * s, 81) for m, s in zip(mean, sd, strict=True)]
    total = []
    for a in axes[0]:
        for b in axes[1]:
            eta = np.tile([a, b], (3, 1))
            prior = -0.5 * (((eta - mean) / sd) ** 2).sum(axis=1) - np.log(2 * np.pi * sd.prod())
            total.append(problem.loglik(problem.from_link(eta)) + prior)
    cell = (axes[0][1] - axes[0][0]) * (axes[1][1] - axes[1][0])
    exact = logsumexp(np.array(total), axis=0) + np.log(cell)
    np.testing.assert_allclose(laplace, exact, atol=0.1)


def test_an_interrupted_model_recovery_keeps_whole_data_sets_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(import_module("hierrl.studies.confusion"), "TOGETHER", 1)
    how = {**HOW, "n_subjects": 4, "estimator": "convex", "criteria": ("bic",), "replications": 2}
    models = {name: MODELS[name] for name in ("forgetting", "last")}
    how["truth"] = {name: TRUTH[name] for name in models}
    whole = hr.confusion(models, TASK, **how)
    file, real, calls = tmp_path / "rows.jsonl", estimates.fit_convex, []

    def stops(*args, **kwargs):
        calls.append(1)
        if len(calls) == 7:  # two generating models by two fits are one data set of each
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(estimates, "fit_convex", stops)
    with pytest.warns(UserWarning, match="3 of 4 replications are done"):
        partial = hr.confusion(models, TASK, file=file, **how)
    assert partial.best["data_set"].unique().tolist() == [0]
    assert set(partial.best["generating"]) == set(models)
    again = hr.confusion(models, TASK, file=file, **how)
    pd.testing.assert_frame_equal(again.table, whole.table, check_exact=True)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"models": {"rw": MODELS["rw"]}}, ValueError, "two or more models"),
        ({"models": {"rw": MODELS["rw"], "x": "rw"}}, TypeError, r"models\['x'\] must be a model"),
        ({"truth": {"dual": None}}, ValueError, "names 'dual', which is no model"),
        ({"criteria": ("waic",)}, ValueError, "names 'waic'"),
        ({"criteria": ()}, ValueError, "names nothing"),
        ({"criteria": ("held_out",)}, ValueError, "belong together"),
        ({"last": 0.2}, ValueError, "belong together"),
        ({"estimator": "posterior"}, ValueError, "compared by point fits"),
    ],
)
def test_bad_input_is_told(change, error, match):
    how = {"models": MODELS, **HOW, "replications": 1} | change
    with pytest.raises(error, match=match):
        hr.confusion(how.pop("models"), TASK, **how)


def test_what_was_not_asked_for_is_not_there(found):
    with pytest.raises(ValueError, match="criterion='laplace' was not asked for; there are aic, bic"):
        found.matrix("laplace")
    with pytest.raises(ValueError, match="level='study' is not one of"):
        found.matrix(level="study")


def test_the_plot_shows_both_matrices(found):
    figure = hr.plot_confusion(found, criterion="bic")
    assert [axes.get_label() for axes in figure.axes] == ["confusion", "inversion"]
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert f"{found.matrix('bic').iloc[0, 0]:.2f}" == texts[0]
    assert len(texts) == 18  # each share with its interval
    assert len(hr.plot_confusion(found, show="confusion").axes) == 1
    with pytest.raises(TypeError, match="no result of hr.confusion"):
        hr.plot_confusion(xr.Dataset())
    with pytest.raises(ValueError, match="show='both' must name"):
        hr.plot_confusion(found, show="both")


def test_models_are_told_apart_in_a_recorded_design(shared_data):
    data = hr.behaviour(shared_data("fitzgerald_reversal"))
    two = {name: MODELS[name] for name in ("rw", "last")}
    how = {"truth": {name: TRUTH[name] for name in two}, "progress": False, "replications": 1}
    found = hr.confusion(two, data, criteria=("bic", "laplace"), **how)
    assert (np.diag(found.matrix("bic")) > 0.5).all()
    assert found.matrix("laplace", level="data set").values.tolist() == [[1.0, 0.0], [0.0, 1.0]]
