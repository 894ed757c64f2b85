"""The commands that take fits, or a table that is fitted first: compare, check, report."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import xarray as xr

import hierrl as hr
from tests.command_line import N_SUBJECTS, run, said, small_study

MODELS = ("rw", "rw+choice_trace")


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """A folder as ``hierrl fit`` leaves it: two models, each by both point estimators."""
    folder = tmp_path_factory.mktemp("saved")
    small_study().to_csv(folder / "study.csv", index=False)
    named = [word for model in MODELS for word in ("--model", model)]
    points = ["--method", "convex", "--method", "mle", "--covariate", "group"]
    result = run("fit", folder / "study.csv", *named, *points, "--out", folder / "results", "--quiet")
    assert result.exit_code == 0, result.output
    return folder


def test_models_in_a_folder_are_compared_by_their_last_common_estimator(saved, tmp_path):
    result = run("compare", saved / "results", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    table = pd.read_csv(tmp_path / "out" / "comparison.csv").set_index("model")
    fits = {name: hr.load(saved / "results" / name / "mle.nc") for name in MODELS}
    expected = hr.compare_models(fits).table
    assert sorted(table["score"]) == pytest.approx(sorted(expected["score"]))
    assert len(pd.read_csv(tmp_path / "out" / "scores.csv")) == N_SUBJECTS
    assert {"comparison.png", "comparison.nc", "frequencies.csv"} <= names(tmp_path / "out")
    assert "Which model do subjects follow?" in said(result.output)


def test_fits_can_be_given_names(saved, tmp_path):
    paths = [f"plain={saved}/results/rw/mle.nc", f"trace={saved}/results/rw+choice_trace/mle.nc"]
    result = run("compare", *paths, "--criterion", "aic", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert set(pd.read_csv(tmp_path / "out" / "comparison.csv")["model"]) == {"plain", "trace"}


def test_fits_of_one_model_are_compared_as_estimators(saved, tmp_path):
    result = run("compare", saved / "results" / "rw", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert set(pd.read_csv(tmp_path / "out" / "comparison.csv")["estimator"]) == {"convex", "mle"}
    assert "--last 0.25" in said(result.output)


def test_a_table_is_fitted_first_and_its_fits_stay(saved, tmp_path):
    named = [word for model in MODELS for word in ("--model", model)]
    result = run("compare", saved / "study.csv", *named, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "rw" / "mle.nc").exists()
    table = pd.read_csv(tmp_path / "out" / "comparison.csv")
    assert set(table["model"]) == set(MODELS)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_check_judges_the_fit_as_python_does(saved, tmp_path):
    fit = saved / "results" / "rw" / "mle.nc"
    result = run("check", fit, "--by", "group", "--replicates", 20, "--seed", 4, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    expected = hr.predictive_check(hr.load(fit), by="group", replicates=20, random_seed=4, progress=False)
    written = pd.read_csv(tmp_path / "out" / "check.csv")
    assert written["observed"].tolist() == pytest.approx(expected.table["observed"].tolist(), nan_ok=True)
    assert written["predicted"].tolist() == pytest.approx(expected.table["predicted"].tolist(), nan_ok=True)
    assert said(expected.sentences[0]) in said(result.output)
    assert {"check.png", "check.nc", "verdicts.csv"} <= names(tmp_path / "out")


def test_check_keeps_the_columns_that_it_needs_of_a_table(saved, tmp_path):
    table = small_study().assign(good=lambda t: t["trial"].le(20).map({True: "right", False: "left"}))
    table.to_csv(tmp_path / "study.csv", index=False)
    options = ["--model", "rw", "--best", "good", "--by", "group", "--replicates", 5]
    result = run("check", tmp_path / "study.csv", *options, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "learning_curve" in set(pd.read_csv(tmp_path / "out" / "check.csv")["statistic"])


def test_report_hands_over_the_fits_and_the_options(saved, tmp_path, monkeypatch):
    asked = {}

    def written(fits, path, **options):
        asked.update(fits=fits, **options)
        Path(path).write_text("<html>")

    monkeypatch.setattr(hr, "report", written, raising=False)
    out = tmp_path / "pilot.html"
    options = ["--title", "Pilot", "--no-checks", "--seed", 4, "--out", out]
    result = run("report", saved / "results" / "rw", *options)
    assert result.exit_code == 0, result.output
    assert out.exists()
    assert list(asked["fits"]) == ["convex", "mle"]
    assert (asked["title"], asked["checks"], asked["random_seed"]) == ("Pilot", False, 4)
    again = run("report", saved / "results" / "rw", *options)
    assert again.exit_code == 2
    assert "exists already" in said(again.stderr)


def a_table_and_a_fit(saved: Path) -> list[object]:
    return ["compare", saved / "study.csv", saved / "results"]


REFUSED = {
    "nothing there": (lambda s: ["compare", s / "absent.nc"], "no file or folder"),
    "folder without fits": (lambda s: ["compare", s], "holds no fits"),
    "one model of a table": (lambda s: ["compare", s / "study.csv", "--model", "rw"], "One fit is asked for"),
    "report that is no HTML": (lambda s: ["report", s / "results/rw", "--out", "r.pdf"], "ends in .html"),
    "report of a table that is no HTML": (lambda s: ["report", s / "study.csv", "--out", "r.pdf"], "ends in .html"),
    "fit where a table belongs": (lambda s: ["fit", s / "results/rw/mle.nc"], "is a saved fit, but a table"),
    "one fit": (lambda s: ["compare", s / "results" / "rw" / "mle.nc"], "one fit only"),
    "table and fit": (a_table_and_a_fit, "is a table: give it alone"),
    "estimator that is missing": (lambda s: ["compare", s / "results", "--method", "nuts"], "by posterior"),
    "criterion for posteriors": (lambda s: ["compare", s / "results", "--criterion", "loo"], "posterior draws"),
    "criterion of estimators": (lambda s: ["compare", s / "results/rw", "--by", "trial"], "fits of one model"),
    "model of a saved fit": (lambda s: ["check", s / "results/rw", "--model", "rw"], "--model is for tables"),
    "column of a saved fit": (lambda s: ["compare", s / "results", "--reward", "x"], "--reward is for tables"),
    "check by no column": (lambda s: ["check", s / "results/rw", "--by", "grup"], "grup"),
    "no such statistic": (lambda s: ["check", s / "results/rw", "--statistic", "wins"], "wins"),
    "report of nothing": (lambda s: ["report", s / "absent"], "There is no file 'absent'|no file"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_can_not_be_done_is_a_sentence(saved, tmp_path, monkeypatch, case):
    monkeypatch.chdir(tmp_path)
    make, sentence = REFUSED[case]
    result = run(*make(saved))
    assert result.exit_code == 2, result.output
    assert any(part in said(result.stderr) for part in sentence.split("|"))
    assert said(result.stderr).startswith("Error: ")
    assert not any(tmp_path.rglob("*.csv"))


def test_a_file_that_is_no_fit_is_named(tmp_path, saved):
    broken, other = tmp_path / "broken.nc", tmp_path / "other.nc"
    broken.write_bytes((saved / "results" / "rw" / "mle.nc").read_bytes()[:3000])
    xr.Dataset({"x": 1.0}).to_netcdf(other, engine="h5netcdf")
    for path in (broken, other):
        result = run("check", path)
        assert result.exit_code == 2
        assert f"{path.name}' holds no fit of hierrl, or was cut off" in said(result.stderr)


def test_a_zarr_store_is_written_replaced_and_read(saved, tmp_path):
    store = tmp_path / "fit.zarr"
    for extra in ((), ("--force",)):
        result = run("fit", saved / "study.csv", "--model", "rw", "--method", "mle", "--out", store, *extra)
        assert result.exit_code == 0, result.output
    refused = run("fit", saved / "study.csv", "--model", "rw", "--method", "mle", "--out", store)
    assert refused.exit_code == 2
    fit = hr.load(store)
    xr.testing.assert_allclose(
        fit["posterior"].to_dataset(), hr.load(saved / "results/rw/mle.nc")["posterior"].to_dataset()
    )
    assert run("check", store, "--replicates", 5, "--out", tmp_path / "out").exit_code == 0


RESUMED = ["--model", "rw", "--method", "convex", "--method", "mle"]


@pytest.fixture
def interrupted(saved, tmp_path) -> Path:
    """A run that was stopped after the convex fit."""
    folder = tmp_path / "run"
    done = run("fit", saved / "study.csv", *RESUMED[:4], "--out", folder)
    assert done.exit_code == 0, done.output
    return folder


def test_resume_keeps_finished_fits_and_makes_the_others(saved, interrupted):
    before = (interrupted / "convex.nc").read_bytes()
    result = run("fit", saved / "study.csv", *RESUMED, "--out", interrupted, "--resume")
    assert result.exit_code == 0, result.output
    assert "finished before" in said(result.output)
    assert (interrupted / "convex.nc").read_bytes() == before
    assert json.loads((interrupted / "run.json").read_text())["finished"] == ["convex", "mle"]
    resumed, whole = hr.load(interrupted / "mle.nc"), hr.load(saved / "results/rw/mle.nc")
    xr.testing.assert_allclose(resumed["posterior"].to_dataset(), whole["posterior"].to_dataset())


def test_resume_makes_a_fit_again_that_ctrl_c_has_cut(saved, interrupted):
    record = json.loads((interrupted / "run.json").read_text())
    (interrupted / "run.json").write_text(json.dumps({**record, "partial": ["convex"]}))
    result = run("fit", saved / "study.csv", *RESUMED, "--out", interrupted, "--resume")
    assert result.exit_code == 0, result.output
    assert "finished before" not in said(result.output)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [(["--seed", 5], "another seed (0; now 5)"), (["--model", "rw+lapse"], "another model")],
)
def test_resume_refuses_another_run(saved, interrupted, change, sentence):
    options = [*RESUMED[2:], *(change if change[0] == "--model" else [*RESUMED[:2], *change])]
    result = run("fit", saved / "study.csv", *options, "--out", interrupted, "--resume")
    assert result.exit_code == 2
    assert sentence in said(result.stderr)


def test_resume_refuses_other_data(saved, interrupted, tmp_path):
    small_study().iloc[:-1].to_csv(tmp_path / "less.csv", index=False)
    result = run("fit", tmp_path / "less.csv", *RESUMED, "--out", interrupted, "--resume")
    assert result.exit_code == 2
    assert "another data" in said(result.stderr)


def test_dry_run_shows_what_was_understood_and_writes_nothing(saved, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("fit", saved / "study.csv", "--dry-run", "--method", "marginal", "--model", "rw+lapse")
    assert result.exit_code == 0, result.output
    assert "reward = outcome" in said(result.output)
    assert "posterior would be fitted" in said(result.output)
    assert names(tmp_path) == set()


def test_two_samplers_are_refused(saved):
    result = run("fit", saved / "study.csv", "--method", "nuts", "--method", "marginal")
    assert result.exit_code == 2
    assert "ask for one of them" in said(result.stderr)
