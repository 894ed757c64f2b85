"""The methods paragraph and the parameter table: what is in them is in the fit, and nothing else is."""

import json

import numpy as np
import pandas as pd
import pytest

import hierrl as hr
from hierrl.describe.equations import channel_sentence, logit, model_sentences
from hierrl.describe.tables import as_markdown, escaped
from hierrl.fits import SETTINGS
from hierrl.studies.designs import chosen_subjects
from hierrl.summary.population import population_table
from tests.builders import random_behaviour
from tests.sampled import pretend_posterior

MODEL = hr.model("rw")
TASK = hr.Bandit((0.8, 0.2), n_trials=40, missed=0.1)


@pytest.fixture(scope="module")
def data():
    return hr.simulate(MODEL, TASK, {"alpha": 0.3, "beta": 4.0}, n_subjects=6, random_seed=1)


@pytest.fixture(scope="module")
def mle(data):
    return hr.fit_mle(MODEL, data, progress=False)


@pytest.fixture(scope="module")
def posterior(mle, data):
    """What `fit_posterior` would have on record, made by hand."""
    tree = pretend_posterior(mle, cells=("",))
    prior = hr.weak_prior(MODEL, data)
    settings = {
        "estimator": "posterior", "method": "marginal", "sampler": "nutpie", "chains": 2, "draws": 150, "tune": 200,
        "target_accept": 0.8, "random_seed": 7, "reward_scale": 1.0, "prior": prior.to_json(), "notes": ["A note."],
        "seconds": {"sample": 1.0},
        "diagnostics": {"converged": True, "sentences": ["The chains agree."], "advice": ""},
    }  # fmt: skip
    tree.attrs[SETTINGS] = json.dumps(settings)
    return tree


def test_the_data_are_counted(mle, data):
    told = " ".join(hr.describe(mle).parts["data"])
    missed = int((data["choice"] < 0).sum())
    assert "6 subjects with 40 trials each (240 trials in all" in told
    assert f"{missed} of them without a choice" in told
    assert f"{int(data['scored'].sum())} choices are scored" in told
    assert f"{data['reward'].mean().item():.0%} are 1" in told


def test_a_point_fit_speaks_of_no_prior_chains_or_seed(mle):
    told = hr.describe(mle)
    assert "maximum likelihood" in told.text
    assert "alpha [0, 1], beta [0, 50]" in told.text
    assert "6 subjects converged" in told.text
    assert "not shrunken" in told.text
    for word in ("prior", "chain", "seed", "R-hat", "Time:"):
        assert word not in told.text
    assert repr(told) == told.text


def test_a_convex_fit_says_which_relaxation(data):
    told = hr.describe(hr.fit_convex(MODEL, data, progress=False))
    assert "convex relaxation (hull of the model's paths)" in told.text
    assert "median_se_link" not in told.table


def test_a_proof_is_told_only_if_it_was_asked_for(data, mle):
    proven = hr.fit_mle(MODEL, chosen_subjects(data, [0, 1]), certify=1e-2, progress=False)
    assert "to prove each optimum to 0.01 nats" in hr.describe(proven).text
    assert "prove each" not in hr.describe(mle).text


def test_a_posterior_tells_sampler_priors_checks_and_caution(posterior, data):
    told = hr.describe(posterior)
    assert "2 chains of 150 draws after 200 warm-up draws, target acceptance 0.8" in told.text
    assert "importance points" in told.text
    assert "mean of alpha N(0, 1.5); log spread of alpha N(0, 0.7); mean of beta N(1.1, 1.5)" in told.text
    assert "The chains agree. A note." in told.text
    assert "t-tests between groups and correlations" in told.text
    assert "hr.contrast" in told.text
    assert told.parts["software"][-1] == "Random seed: 7."
    assert hr.__version__ in told.text


def test_one_subject_needs_no_caution(data):
    fit = hr.fit_convex(MODEL, chosen_subjects(data, [0]), progress=False)
    told = hr.describe(fit)
    assert told.parts["caution"] == []
    assert "1 subject with" in told.text


def test_the_table_of_a_point_fit_is_that_of_its_estimates(mle):
    table = hr.describe(mle).table.set_index("parameter")
    alpha = mle["posterior"]["alpha"].values.ravel()
    row = table.loc["alpha"]
    assert [row["median"], row["mean"], row["sd"]] == pytest.approx(
        [np.median(alpha), alpha.mean(), alpha.std(ddof=1)]
    )
    assert row["quartile_1"] == pytest.approx(np.quantile(alpha, 0.25))
    stats = mle["fit_stats"].sel(parameter="alpha")
    assert row["median_se_link"] == pytest.approx(np.nanmedian(stats["se"]))
    assert row["at_bound"] == int(stats["at_bound"].sum())


def test_the_table_of_a_posterior_is_that_of_its_population(posterior):
    table, expected = hr.describe(posterior).table, population_table(posterior)
    assert list(table.columns[:3]) == ["parameter", "quantity", "of"]
    np.testing.assert_array_equal(table["estimate"], expected["estimate"])
    mean = posterior["population"]["median"].sel(parameter="beta").mean().item()
    mine = table[(table["parameter"] == "beta") & (table["quantity"] == "median")]
    assert mine["estimate"].item() == pytest.approx(mean)


def test_parameters_per_arm_have_a_row_for_each_arm():
    fit = hr.fit_convex(hr.model("rw", bias=True), random_behaviour(4), progress=False)
    assert hr.describe(fit).table["parameter"].tolist() == ["alpha", "beta", "bias[A]", "bias[B]"]


def test_tables_are_written_in_three_ways(mle, tmp_path):
    told = hr.describe(mle)
    told.to_csv(tmp_path / "table.csv")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "table.csv"), told.table, rtol=1e-12)
    lines = told.to_markdown().strip().splitlines()
    assert lines[0] == told.text
    cells = [cell.strip() for cell in lines[-2].strip("|").split("|")]
    assert cells[0] == "alpha"
    assert float(cells[2]) == pytest.approx(told.table["median"][0], rel=5e-3)
    latex = told.to_latex()
    assert latex.count(r"\\") == 3
    assert r"quartile\_1" in latex
    assert "%" not in latex.replace(r"\%", "")


def test_latex_escapes_what_it_would_misread():
    assert escaped("50 % of a_b − c & Σ") == r"50 \% of a\_b $-$ c \& $\Sigma$"
    table = pd.DataFrame({"x": [np.nan, 1234.5, 0.000123]})
    assert as_markdown(table).splitlines()[2:] == ["| – |", "| 1234 |", "| 0.000123 |"]


# Equations


@pytest.mark.parametrize("name", sorted(hr.models()))
def test_every_named_model_is_written_out_with_all_its_parameters(name):
    text = " ".join(model_sentences(hr.model(name)))
    for parameter in hr.model(name).names:
        assert parameter in text
    assert "x[t, i] =" in text


def test_the_logit_adds_all_parts():
    model = hr.Model(
        channels=(hr.Channel("gain"), hr.Channel("loss", rate="eta", weight="-beta*lam")),
        regressors=(hr.Regressor("side"),),
        bias=True,
        lapse=True,
    )
    assert logit(model) == "bias[i] + beta Q1[t, i] − beta lam Q2[t, i] + weight_side side[t, i]"
    assert next(model_sentences(model)).count("lapse") == 2


@pytest.mark.parametrize(
    ("channel", "expected"),
    [
        (hr.Channel(), "changes to Q + alpha (u − Q), u being the reward; the others keep theirs"),
        (hr.Channel(unchosen="decay"), "fade toward 0 at the same rate"),
        (hr.Channel(unchosen="decay", decay="phi"), "fade toward 0 at the rate phi"),
        (hr.Channel(unchosen="mirror"), "toward −u"),
        (hr.Channel(rate=("up", "down")), "Q + up (u − Q) if u > Q and to Q + down (u − Q) otherwise"),
        (hr.Channel(update="accumulate"), r"(1 − alpha) Q + u"),
        (hr.Channel("choice", rate=1.0, weight="k", unchosen="decay"), "remembers the last choice only"),
        (hr.Channel(start=0.5), "at the start of a session Q is 0.5"),
        (hr.Channel(start="q0", per_arm=True), "Q is q0; each arm has parameters of its own"),
        (hr.Channel(context="cue"), "kept apart by cue"),
        (hr.Channel("points"), "u being the column points"),
    ],
)
def test_a_channel_is_told_as_it_is(channel, expected):
    assert expected in channel_sentence(channel, "Q")


def test_what_is_not_a_fit_is_refused(data):
    with pytest.raises(TypeError, match="A fit is the DataTree"):
        hr.describe(data)  # type: ignore[arg-type]


# Real data


def test_real_studies_are_described(shared_data):
    young = hr.behaviour(shared_data("fitzgerald_reversal"), covariates=["age_group"])
    told = hr.describe(hr.fit_mle(MODEL, young, progress=False))
    assert "79 subjects with 128 trials each (10,112 trials in all, 295 of them without a choice" in told.text
    patients = hr.behaviour(shared_data("dezfouli_clinical_2arm"), covariates=["group"])
    some = chosen_subjects(patients, range(0, 100, 20))
    told = hr.describe(hr.fit_convex(hr.model("subvalue"), some, progress=False))
    assert "5 subjects with" in told.text
    assert "in 12 sessions" in told.text


def test_advice_to_the_analyst_stays_out_of_the_methods_paragraph(posterior):
    settings = json.loads(posterior.attrs[SETTINGS])
    settings["diagnostics"] |= {"converged": False, "sentences": ["They differ."], "advice": "sample longer"}
    differs = posterior.copy()
    differs.attrs[SETTINGS] = json.dumps(settings)
    told = hr.describe(differs).text
    assert "They differ." in told
    assert "What to do" not in told and "sample longer" not in told
