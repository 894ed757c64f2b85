"""What the pages on populations rest on: quadrature that is exact, errors that are those of chance, true tables."""

import importlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import dblquad
from scipy.stats import norm

import hierrl as hr
from hierrl.kernels.problem import prepare

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def in_folder(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)


@pytest.fixture(scope="module")
def study():
    model = hr.model("rw", start=0.5)
    truth = {"alpha": [0.2, 0.6], "beta": [2.0, 5.0]}
    return model, hr.simulate(model, hr.Bandit((0.8, 0.2), n_trials=25), truth, random_seed=1)


def test_quadrature_of_a_population_is_that_of_scipy(study):
    quadrature = importlib.import_module("quadrature")
    model, data = study
    problem, prior = prepare(model, data), hr.weak_prior(model, data)
    phi = np.array([[-0.5, 1.0, -0.2, -0.7], [0.3, 1.4, 0.2, -0.9]])
    found = quadrature.log_posterior(problem, prior, phi)

    def integral(s, mu, sigma):
        def integrand(b, a):
            theta = problem.from_link(np.tile([a, b], (2, 1)))
            density = norm.pdf(a, mu[0], sigma[0]) * norm.pdf(b, mu[1], sigma[1])
            return np.exp(problem.loglik(theta)[s] - problem.loglik(middle)[s]) * density

        ends = [(m - 6 * x, m + 6 * x) for m, x in zip(mu, sigma, strict=True)]
        return dblquad(integrand, *ends[0], *ends[1], epsabs=1e-5, epsrel=1e-4)[0]

    middle = problem.from_link(np.tile([-0.5, 1.0], (2, 1)))
    numbers = [[x.item() for x in prior.mu(label)[1:]] for label in prior.labels]
    numbers += [list(prior.log_sigma(label)) for label in prior.labels]
    expected = [
        sum(norm.logpdf(x, *number) for x, number in zip(one, numbers, strict=True))
        + sum(np.log(integral(s, one[:2], np.exp(one[2:]))) for s in range(2))
        for one in phi
    ]
    assert found[1] - found[0] == pytest.approx(expected[1] - expected[0], abs=2e-3)


def test_weights_are_right_where_the_posterior_is_the_prior(study):
    quadrature = importlib.import_module("quadrature")
    model, data = study
    prior = hr.weak_prior(model, data).changed("beta", "log_sigma", loc=-1.0, scale=0.3)
    nothing = data.assign(scored=("trial", np.zeros(data.sizes["trial"], dtype=bool)))
    exact = quadrature.exact_population(
        model,
        nothing,
        prior.changed("alpha", "log_sigma", loc=-1.0, scale=0.3),
        centre=np.array([0.1, 1.0, -0.9, -1.1]),
        covariance=np.diag([2.0, 2.0, 0.1, 0.1]),
    )
    np.testing.assert_array_less(np.abs(exact.mean - [0, np.log(3), -1, -1]) / exact.sd, 4 * exact.mean_error)
    np.testing.assert_array_less(np.abs(exact.sd / [1.5, 1.5, 0.3, 0.3] - 1), 4 * exact.sd_error)


def test_monte_carlo_errors_are_those_of_independent_draws():
    agreement = importlib.import_module("agreement")
    rng = np.random.default_rng(1)
    many = [agreement.summary(rng.normal(2.0, 3.0, (4, 500))) for _ in range(200)]
    spread = np.std([one["mean"] for one in many]) / 3.0, np.std([one["sd"] for one in many]) / 3.0
    assert np.mean([one["mean_error"] for one in many]) == pytest.approx(spread[0], rel=0.2)
    assert np.mean([one["sd_error"] for one in many]) == pytest.approx(spread[1], rel=0.2)


def test_differences_are_in_standard_deviations_of_the_reference():
    agreement = importlib.import_module("agreement")
    one = {"mean": 1.0, "sd": 2.0, "mean_error": 0.03, "sd_error": 0.06}
    other = {"mean": 2.0, "sd": 3.0, "mean_error": 0.04, "sd_error": 0.08}
    assert agreement.against(one, other) == pytest.approx(
        {"shift": 0.5, "shift_error": 0.05, "ratio": 1.5, "ratio_error": 0.1}
    )


def test_results_of_one_study_leave_those_of_others_alone(tmp_path):
    for name in ("agreement", "groups"):
        module, path = importlib.import_module(name), tmp_path / f"{name}.json"
        module.keep(path, "a", {"x": 1})
        module.keep(path, "b", {"x": 2})
        assert json.loads(path.read_text()) == {"a": {"x": 1}, "b": {"x": 2}}


def test_age_is_taken_within_groups():
    groups = importlib.import_module("groups")
    table = pd.DataFrame(
        {
            "subject": ["a", "a", "b", "c", "c", "d"],
            "age": [20, 20, 30, 60, 60, 80],
            "age_group": ["young"] * 3 + ["old"] * 3,
        }
    )
    made = groups.with_age_in_group(table)
    assert made["decades"].tolist() == [-0.5, -0.5, 0.5, -1.0, -1.0, 1.0]
    assert made["age_group"].cat.categories.tolist() == ["young", "old"]


def test_absent_data_are_named(tmp_path):
    groups = importlib.import_module("groups")
    with pytest.raises(SystemExit, match="not part of this project"):
        groups.ANALYSES[0].read(tmp_path)


@pytest.mark.parametrize(
    ("value", "shown"), [(1.0, "> .999"), (0.9973, ".997"), (0.5, ".500"), (0.0, "< .001")]
)
def test_probabilities_are_never_shown_as_certain(value, shown):
    assert importlib.import_module("groups_page").probability(value) == shown


def test_the_page_of_checks_says_which_group_fails_which_statistic():
    page = importlib.import_module("checks_page")
    passed = {"statistic": "win_stay", "group": "Old", "joint_p": 0.25, "passed": True}
    failed = {"statistic": "win_stay", "group": "Young", "joint_p": 0.002, "passed": False}
    found = {"checks": {"rw": {"replay": {"verdicts": [passed, failed]}}}}
    lines = page.verdicts(found, "replay").splitlines()
    assert lines[2].split("|")[1:3] == [" `win_stay` ", " old .25, young **< .01** "]
    assert lines[3].split("|")[1:3] == [" passed ", " 1 of 2 "]
    assert [page.probability(p) for p in (0.004, 0.05, 0.999)] == ["< .01", ".05", "1.00"]


def test_what_choices_tell_is_counted_over_subjects():
    rows = [(1, 0.05, 0.1, 0.2), (2, 0.3, -0.9, 5.0), (3, 0.9, 0.3, 50.0)]
    table = pd.DataFrame(rows, columns=["subject", "information", "correlation", "channel_nats"])
    table = table.assign(parameter="alpha", sentence=[f"Subject {k}." for k in table["subject"]])
    found = importlib.import_module("checks").read_out(table)["alpha"]
    assert found["median"] == 0.3
    assert (found["below_0.1"], found["below_0.5"]) == pytest.approx((1 / 3, 2 / 3))
    assert (found["tied"], found["faint"]) == pytest.approx((1 / 3, 1 / 3))
    assert (found["least"], found["most"]) == ("Subject 1.", "Subject 3.")
