"""The commands that make data sets: simulate, recover."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import hierrl as hr
from hierrl.simulate import truth_of
from tests.command_line import run, said, small_study

RW = ["--model", "rw", "--set", "alpha=0.2:0.6", "--set", "beta=4"]


def simulated(path, *options: object) -> pd.DataFrame:
    result = run("simulate", *options, "--out", path)
    assert result.exit_code == 0, result.output
    return (
        pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, sep=None, engine="python")
    )


def test_simulate_writes_a_table_that_is_read_back_as_it_was(tmp_path):
    table = simulated(
        tmp_path / "s.csv", *RW, "--subjects", 5, "--trials", 30, "--sessions", 2, "--missed", 0.1
    )
    data = hr.behaviour(tmp_path / "s.csv")
    assert (data.sizes["subject"], data.sizes["trial"]) == (5, 300)
    assert 0 < data.attrs["n_missed"] < 100
    truth = table.groupby("subject")[["true_alpha", "true_beta"]].nunique()
    assert (truth == 1).all().all()
    assert table["true_alpha"].between(0.2, 0.6).all()
    assert table["true_alpha"].nunique() == 5
    assert (table["true_beta"] == 4).all()


def test_same_seed_same_table(tmp_path):
    options = [*RW, "--subjects", 3, "--trials", 20]
    first, second, other = (
        simulated(tmp_path / f"{i}.csv", *options, "--seed", seed) for i, seed in enumerate((7, 7, 8))
    )
    pd.testing.assert_frame_equal(first, second)
    assert not first["choice"].equals(other["choice"])


@pytest.mark.parametrize("name", ["s.tsv", "s.csv.gz", "s.parquet"])
def test_every_format_is_read_again(tmp_path, name):
    result = run("simulate", *RW, "--subjects", 2, "--trials", 40, "--out", tmp_path / name)
    assert result.exit_code == 0, result.output
    assert hr.behaviour(tmp_path / name).sizes["trial"] == 80


def test_the_line_for_the_fit_names_arms_that_nobody_chose(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("simulate", *RW, "--odds", "1,0,0", "--subjects", 1, "--trials", 1)
    line = said(result.output).split("hierrl fit ")[1]
    assert line == "hierrl-simulated.csv --arms 0,1,2"
    assert run("fit", *line.split(), "--dry-run").exit_code == 0


def test_arms_reverse_when_asked(tmp_path):
    options = ["--odds", "1,0", "--reverse-every", 10, "--subjects", 1, "--trials", 20]
    table = simulated(tmp_path / "s.csv", *RW, *options)
    paid = table.groupby(["choice", table["trial"] > 10])["reward"].max()
    assert paid.loc[(0, False)] == 1.0
    assert paid.get((0, True), 0.0) == 0.0


def test_without_values_subjects_come_from_a_weak_prior(tmp_path):
    table = simulated(tmp_path / "s.csv", "--model", "rw", "--subjects", 8, "--trials", 10)
    assert table["true_alpha"].nunique() == 8
    assert table["true_beta"].nunique() == 8


def test_iowa_has_gains_and_losses(tmp_path):
    table = simulated(tmp_path / "s.csv", "--task", "iowa", "--model", "pvl_delta", "--subjects", 2)
    assert set(table["gain"]) <= {50.0, 100.0}
    assert (table["loss"] <= 0).all()


def test_a_fit_lends_its_parameters_and_its_schedule(tmp_path):
    small_study().to_csv(tmp_path / "study.csv", index=False)
    fit = tmp_path / "fit.nc"
    assert run("fit", tmp_path / "study.csv", "--model", "rw", "--method", "mle", "--out", fit).exit_code == 0
    table = simulated(tmp_path / "s.csv", "--like", fit, "--schedule", fit)
    alpha = hr.load(fit)["posterior"]["alpha"].isel(chain=0, draw=0).to_series()
    found = table.groupby("subject")["true_alpha"].first()
    np.testing.assert_allclose(found, alpha.loc[found.index])
    other = simulated(tmp_path / "o.csv", "--like", fit, "--subjects", 20, "--trials", 10)
    assert other["subject"].nunique() == 20
    assert set(other["true_alpha"].round(6)) <= set(alpha.round(6))


BAD = {
    "parameter that isn't there": ([*RW[:2], "--set", "alfa=0.3"], "no such parameter, but alpha, beta. Did"),
    "parameter that is missing": ([*RW[:2], "--set", "alpha=0.3"], "nothing for beta"),
    "value that is no number": ([*RW[:2], "--set", "alpha=much"], "write a number or a range"),
    "value twice": ([*RW, "--set", "beta=3"], "beta twice"),
    "value out of range": ([*RW[:2], "--set", "alpha=1.5", "--set", "beta=1"], "between 0 and 1"),
    "range upside down": ([*RW[:2], "--set", "alpha=0.9:0.1", "--set", "beta=1"], "from low to high"),
    "value that is infinite": ([*RW[:2], "--set", "alpha=0.5", "--set", "beta=inf"], "must be 0 or more"),
    "odds above 1": ([*RW, "--odds", "1.2,0.3"], "odds"),
    "odds that are no numbers": ([*RW, "--odds", "high,low"], "numbers with commas"),
    "one arm": ([*RW, "--odds", "0.8"], "two"),
    "odds and means": ([*RW, "--odds", "0.8,0.2", "--means", "1,2"], "give one of them"),
    "known task and odds": ([*RW, "--task", "iowa", "--odds", "0.8,0.2"], "--odds can't be given with it"),
    "ending of the file": ([*RW, "--out", "study.xlsx"], "is written as .csv"),
    "folder in the way": ([*RW, "--out", "."], "is written as"),
    "like a fit that isn't there": (["--like", "absent.nc"], "no file or folder"),
    "like and model": ([*RW, "--like", "absent.nc"], "leave out --model and --set"),
    "schedule that isn't there": ([*RW, "--schedule", "absent.csv"], "There is no file"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_exit_code_2(tmp_path, monkeypatch, case):
    monkeypatch.chdir(tmp_path)
    options, sentence = BAD[case]
    result = run("simulate", *options)
    assert result.exit_code == 2, result.output
    assert sentence in said(result.stderr)
    assert list(tmp_path.iterdir()) == []


def test_a_table_is_overwritten_with_force_only(tmp_path):
    options = ["simulate", *RW, "--subjects", 2, "--trials", 10, "--out", tmp_path / "s.csv"]
    assert [run(*options).exit_code, run(*options).exit_code, run(*options, "--force").exit_code] == [0, 2, 0]


DESIGN = ["--subjects", 10, "--trials", 60, "--replications", 2]


def test_recover_says_what_python_says(tmp_path):
    given = ["--model", "rw", "--set", "alpha=0.1:0.9", "--set", "beta=1:8"]
    result = run("recover", *given, *DESIGN, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    truth = {"alpha": (0.1, 0.9), "beta": (1.0, 8.0)}
    task = hr.Bandit((0.8, 0.2), n_trials=60)
    found = hr.recovery(hr.model("rw"), task, truth=truth, n_subjects=10, replications=2, progress=False)
    written = pd.read_csv(tmp_path / "out" / "recovery-rw.csv")
    np.testing.assert_allclose(written["correlation"], found.summary["correlation"])
    assert len(pd.read_csv(tmp_path / "out" / "estimates-rw.csv")) == 2 * 10 * 2
    assert (tmp_path / "out" / "recovery-rw.png").exists()


def test_the_same_command_goes_on_and_another_one_is_refused(tmp_path):
    options = ["recover", "--model", "rw", "--method", "convex", *DESIGN, "--out", tmp_path / "out"]
    assert run(*options).exit_code == 0
    kept = (tmp_path / "out" / "recovery-rw.jsonl").read_text()
    assert run(*options[:-3], 3, *options[-2:]).exit_code == 0
    more = (tmp_path / "out" / "recovery-rw.jsonl").read_text()
    assert more.startswith(kept)
    assert len(more.splitlines()) == len(kept.splitlines()) + 1
    other = run(*options, "--seed", 1)
    assert other.exit_code == 2
    assert "start again with --force" in said(other.stderr)
    assert run(*options, "--seed", 1, "--force").exit_code == 0


def test_several_models_are_told_apart_or_not(tmp_path):
    result = run("recover", "--model", "rw", "--model", "forgetting_q", *DESIGN, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    table = pd.read_csv(tmp_path / "out" / "confusion.csv")
    assert set(table["generating"]) == set(table["best"]) == {"rw", "forgetting_q"}
    assert {"recovery-rw.csv", "recovery-forgetting_q.csv", "confusion.png"} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--method", "mle", "--method", "convex"], "give one --method"),
        (["--formula", "alpha ~ 1 + group"], "--formula needs covariates"),
        (["--model", "rw", "--model", "sticky", "--set", "alpha=0.3"], "parameters of one model"),
        (["--model", "rw", "--set", "alpha=0.3"], "nothing for beta"),
        (["--model", "rw", "--model", "rw"], "named twice"),
        (["--certify"], "--certify is for hierrl fit"),
    ],
)
def test_recover_refuses_what_it_can_not_do(tmp_path, options, sentence):
    result = run("recover", *options, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert sentence in said(result.stderr)
    assert not (tmp_path / "out").exists()


def test_ctrl_c_says_how_to_go_on(tmp_path, monkeypatch):
    def pressed(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(hr, "recovery", pressed)
    result = run("recover", "--model", "rw", *DESIGN, "--out", tmp_path / "out")
    assert result.exit_code == 130
    assert said(result.stderr).endswith("The same command goes on with the data sets that are left.")


def test_recover_overwrites_nothing_of_others(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    result = run("recover", "--model", "rw", *DESIGN, "--out", tmp_path / "mine")
    assert result.exit_code == 2
    assert "exists already" in said(result.stderr)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_simulated_tables_hold_the_truth_that_python_finds(tmp_path):
    # The table's columns are the record: the same parameters as `truth_of` in the data.
    from hierrl.cli.grouped import Columns, Playing
    from hierrl.cli.simulate import make

    data = make("rw", RW[3::2], None, subjects=3, playing=Playing(trials=10), columns=Columns(), seed=0)
    table = simulated(tmp_path / "s.csv", *RW, "--subjects", 3, "--trials", 10)
    truth = truth_of(data)["alpha"].to_series()
    np.testing.assert_allclose(table.groupby("subject")["true_alpha"].first(), truth)
    assert json.loads(data.attrs["simulation"])["model"]["name"] == "rw"
