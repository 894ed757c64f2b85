"""The tables of models say what was measured: every model is tried, bounds count as ties, pages hold the results."""

import argparse
import importlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import hierrl as hr

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def in_folder(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)


def test_every_model_has_a_design_whose_subjects_lie_within_its_ranges():
    designs = importlib.import_module("model_designs").designs()
    assert set(designs) == {*hr.models(), "rlwm"}
    for design in designs.values():
        assert set(design.ranges) == set(design.model.names)
        truth = design.truth(50, np.random.default_rng(1))
        for name, (low, high) in design.ranges.items():
            values = truth[name][..., -1] if truth[name].ndim == 2 else truth[name]
            assert low <= values.min() < values.max() <= high


@pytest.mark.parametrize("name", ["rw_bias", "counterfactual", "kalman", "gain_loss", "orl", "rlwm"])
def test_a_design_gives_behaviour_of_its_model(name):
    design = importlib.import_module("model_designs").designs()[name]
    data = design.data(98, 2, np.random.default_rng(1))
    assert data.sizes["subject"] == 2
    assert data.sizes["trial"] == 196
    assert json.loads(data.attrs["simulation"])["model"] == json.loads(design.model.to_json())


def test_estimates_on_a_bound_tie_and_nothing_is_made_of_estimates_that_are_all_alike():
    ranked = importlib.import_module("models").ranked
    truth = np.array([0.1, 0.2, 0.3, 0.9])
    assert ranked(truth, np.array([0.0, 0.0, 0.5, 1.0])) == pytest.approx(
        pd.Series([1.5, 1.5, 3, 4]).corr(pd.Series([1.0, 2, 3, 4]))
    )
    assert ranked(truth, np.zeros(4)) is None


def test_what_is_recorded_of_a_fit_is_what_the_fit_says():
    models, designs = (importlib.import_module(name) for name in ("models", "model_designs"))
    design = designs.designs()["rw_bias"]
    data = design.data(60, 8, np.random.default_rng(2))
    found = models.fitted(design, data)["estimators"]["mle"]
    fit = hr.fit_mle(design.model, data, progress=False)
    estimate = pd.Series(fit["posterior"]["bias"].isel(chain=0, draw=0, arm=1).values)
    assert found["spearman"]["bias"] == pytest.approx(
        estimate.corr(pd.Series(data["true_bias[1]"].values), method="spearman")
    )
    assert found["gap"] == pytest.approx(float(fit["fit_stats"]["gap"].median()), abs=1e-3)
    assert set(found["at_bound"]) == set(design.model.names)


def test_a_refusal_is_recorded_with_its_sentence():
    models, designs = (importlib.import_module(name) for name in ("models", "model_designs"))
    design = designs.designs()["vpp"]
    refusing = designs.Design(hr.model("vpp"), design.task, design.ranges)
    models.quietly = lambda *_, **__: (_ for _ in ()).throw(ValueError("Not with seven."))
    found = models.posterior("vpp", refusing, argparse.Namespace(seed=1))
    importlib.reload(models)
    assert found == {"nuts": {"refused": "Not with seven."}, "marginal": {"refused": "Not with seven."}}


def test_rows_of_a_table_are_all_accounted_for():
    counted = importlib.import_module("real_models").counted
    table = pd.DataFrame(
        {
            "subject": [1, 1, 1, 2, 2],
            "choice": [0, np.nan, 1, 1, 0],
            "reward": [1.0, np.nan, np.nan, 0.0, 1.0],
        }
    )
    found = counted(table, hr.behaviour(table))
    assert (found["rows"], found["trials"], found["subjects"]) == (5, 5, 2)
    assert (found["missed"], found["unknown"], found["scored"]) == (1, 1, 4)
    assert (found["shortest"], found["longest"]) == (2, 3)


@pytest.mark.parametrize("name", ["models", "real_models"])
def test_pages_hold_the_results_that_are_kept(name, monkeypatch, tmp_path):
    page = importlib.import_module(f"{name}_page")
    kept = page.PAGE.read_text()
    copy = tmp_path / page.PAGE.name
    copy.write_text(kept)
    monkeypatch.setattr(page, "PAGE", copy)
    monkeypatch.setattr("sys.argv", [f"{name}_page.py"])
    page.main()
    assert copy.read_text() == kept
