"""What `benchmarks/widths.py` says of the empirical prior: weights, coverage, the page that is written."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

import hierrl as hr

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"
NAMES = ("mu of alpha", "mu of beta", "sigma of alpha", "sigma of beta")
TRUTH = dict(zip(NAMES, (-0.5, 1.2, 0.8, 0.4), strict=True))


@pytest.fixture(autouse=True)
def in_folder(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)


def load(name: str):
    return importlib.import_module(name)


def pretend_rows(n: int, *, shrink: float = 1.0, seed: int = 1) -> list[dict]:
    """Studies with normal posteriors of scale 0.2 around estimates with that error; spreads on the log scale."""
    rng, priors, probabilities = (
        np.random.default_rng(seed),
        load("widths_table").PRIORS,
        load("widths").PROBABILITIES,
    )
    rows = []
    for k in range(n):
        row = {"replication": k, "sources": dict.fromkeys(NAMES, "empirical"), "priors": {}}
        centres = {
            name: value + 0.2 * rng.normal() * (value if "sigma" in name else 1)
            for name, value in TRUTH.items()
        }
        for prior in priors:
            size = 0.2 * (1.0 if prior == "weak" else shrink)
            row["priors"][prior] = {"converged": k > 0} | {
                name: {
                    "quantiles": (
                        c + (TRUTH[name] if "sigma" in name else 1) * size * norm.ppf(probabilities)
                    ).tolist()
                }
                for name, c in centres.items()
            }
        rows.append(row)
    return rows


def test_intervals_that_are_right_cover_and_narrow_ones_do_not():
    table = load("widths_table")
    for shrink, expected in ((1.0, 0.95), (0.5, 2 * norm.cdf(0.98) - 1)):
        cells = table.cells(pretend_rows(800, shrink=shrink), TRUTH, {"population": "typical"})
        for kind in ("mu", "sigma"):
            one = next(c for c in cells if c["prior"] == "1" and c["kind"] == kind)
            assert one["coverage_95"] == pytest.approx(expected, abs=0.02)
            assert one["coverage_95_low"] < one["coverage_95"] < one["coverage_95_high"]
            assert one["width_95"] == pytest.approx(shrink, abs=1e-3)
            weak = next(c for c in cells if c["prior"] == "weak" and c["kind"] == kind)
            assert one["more_95"] == pytest.approx(one["coverage_95"] - weak["coverage_95"], abs=2e-4)
            assert weak["more_95"] == 0
            assert weak["rmse"] == pytest.approx(0.2, rel=0.1)


def test_studies_that_did_not_converge_are_named():
    assert load("widths_table").not_converged(pretend_rows(3)) == [0]


def test_the_density_of_a_prior_is_that_of_its_terms():
    data = hr.simulate(
        hr.model("rw"), hr.Bandit((0.8, 0.2), n_trials=10), {"alpha": 0.3, "beta": 2.0}, n_subjects=3
    )
    weak = hr.weak_prior(hr.model("rw"), data)
    phi = {name: np.array([0.5, 1.5]) for name in NAMES}
    expected = norm.logpdf(phi["mu of alpha"], 0, 1.5) + norm.logpdf(phi["mu of beta"], np.log(3), 1.5)
    expected += norm.logpdf(np.log([0.5, 1.5]), 0, 0.7) + norm.logpdf(np.log([0.5, 1.5]), np.log(0.7), 0.7)
    np.testing.assert_allclose(load("widths").log_density(weak, phi), expected)


@pytest.mark.slow
def test_reweighted_draws_agree_with_draws_under_the_other_prior():
    widths = load("widths")
    truth = widths.TRUTHS["typical"]
    data = truth.data(15, np.random.default_rng(5))
    row = {}
    fit = {"method": "marginal", "draws": 2000, "chains": 2, "progress": False}
    weak, narrow = hr.weak_prior(truth.model, data), hr.empirical_prior(truth.model, data, widen=1.0)
    phi, own = (
        widths._numbers(hr.fit_posterior(truth.model, data, prior=prior, **fit)) for prior in (weak, narrow)
    )
    weight = np.exp(widths.log_density(narrow, phi) - widths.log_density(weak, phi))
    row, direct = widths._figures(phi, weight / weight.sum()), widths._figures(own)
    for name in NAMES:
        sd = direct[name]["sd"]
        assert row[name]["mean"] == pytest.approx(direct[name]["mean"], abs=0.12 * sd)
        assert row[name]["sd"] == pytest.approx(sd, rel=0.1)
        np.testing.assert_allclose(row[name]["quantiles"], direct[name]["quantiles"], atol=0.35 * sd)


def test_the_page_tells_of_every_prior_and_failure():
    page, table = load("calibration_page"), load("widths_table")
    cells = [
        cell
        for size in (10, 30)
        for cell in table.cells(
            pretend_rows(30, seed=size), TRUTH, {"population": "typical", "subjects": size}
        )
    ]
    studies = {"typical, 10 subjects": {"studies": 30, "not_converged": [0]}}
    text = page._widths({"table": cells, "studies": studies, "sampled_again": 2})
    assert text.count("| typical |") == 12
    assert "30 (1 not converged)" in text
    assert "| 5 se |" in page.pooled(cells)
    figure = load("calibration_figure").draw(cells)
    assert [axes.get_title() for axes in figure.axes[:2]] == ["", ""] or len(figure.axes) == 6
