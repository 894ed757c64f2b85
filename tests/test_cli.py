"""The command line: what goes in and out, what is said when something is wrong, and with which exit code."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import hierrl
from hierrl.cli.complaints import for_command_line
from hierrl.cli.inputs import Task
from hierrl.cli.results import _held_equal
from hierrl.cli.run import if_long
from hierrl.cli.stages import Settings
from tests.command_line import N_SUBJECTS, N_TRIALS, run, said, small_study

POINTS = ["--method", "convex", "--method", "mle"]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    small_study().to_csv(tmp_path / "study.csv", index=False)
    return tmp_path / "study.csv"


def fit(study: Path, *more: object):
    """A quick fit into the folder ``results`` beside the table."""
    return run("fit", study, *POINTS, "--out", study.parent / "results", *more)


def test_fit_writes_fits_tables_pictures_and_says_so(study):
    result = fit(study, "--formula", "alpha ~ 1 + group", "--covariate", "age")
    assert result.exit_code == 0, result.output
    folder = study.parent / "results"
    written = {path.name for path in folder.iterdir()}
    assert {"convex.nc", "mle.nc", "subjects.csv", "comparison.csv", "run.json"} <= written
    assert {"estimates.png", "subject.png"} <= written
    text = said(result.output)
    assert "subject = subjID" in text
    assert "reward = outcome" in text
    assert f"{N_SUBJECTS}, with {N_TRIALS} trials each" in text
    assert "2 missed" in text
    assert "old (3), young (3)" in text
    assert f"All {N_SUBJECTS} subjects converged" in text
    assert all(name in text for name in written)


def test_table_of_subjects_puts_the_subject_first_and_holds_every_estimate(study):
    assert fit(study, "--covariate", "group").exit_code == 0
    table = pd.read_csv(study.parent / "results" / "subjects.csv")
    assert list(table)[:4] == ["subject", "group", "trials", "missed"]
    assert list(table["subject"]) == [f"s{i}" for i in range(N_SUBJECTS)]
    assert table["missed"].sum() == 2
    mle = hierrl.load(study.parent / "results" / "mle.nc")
    np.testing.assert_allclose(table["alpha_mle"], mle["posterior"]["alpha"].values[0, 0])
    assert (table["gap_mle"] >= 0).all()


def test_fits_on_disk_are_fits(study):
    assert fit(study).exit_code == 0
    convex = hierrl.load(study.parent / "results" / "convex.nc")
    assert convex["fit_stats"].sizes == {"subject": N_SUBJECTS, "parameter": 2}


def test_out_can_be_one_file_that_holds_the_last_fit(study):
    out = study.parent / "fit.nc"
    result = run("fit", study, *POINTS, "--out", out)
    assert result.exit_code == 0, result.output
    assert json.loads(hierrl.load(out).attrs["hierrl_settings"])["estimator"] == "mle"
    assert {path.name for path in study.parent.iterdir()} == {"study.csv", "fit.nc"}


def test_default_folder_is_named_after_the_table(study, monkeypatch):
    monkeypatch.chdir(study.parent)
    assert run("fit", "study.csv", "--method", "convex").exit_code == 0
    assert (study.parent / "hierrl-study" / "convex.nc").exists()


def test_several_models_get_a_folder_each_and_a_table(study):
    result = fit(study, "--model", "rw", "--model", "forgetting_q")
    assert result.exit_code == 0, result.output
    folder = study.parent / "results"
    assert (folder / "rw" / "mle.nc").exists()
    models = pd.read_csv(folder / "models.csv")
    assert list(models["model"]) == ["rw", "forgetting_q"]
    assert (models["loglik"] < 0).all()


def test_columns_and_arms_can_be_given(study):
    table = pd.read_csv(study).rename(columns={"subjID": "who", "choice": "key", "outcome": "points_won"})
    table.to_csv(study, sep="\t", index=False)
    tsv = study.rename(study.with_suffix(".tsv"))
    given = ["--subject", "who", "--choice", "key", "--reward", "points_won", "--arms", "left,middle,right"]
    result = run("fit", tsv, *given, "--method", "convex", "--out", study.parent / "results")
    assert result.exit_code == 0, result.output
    assert "3: left" in said(result.output)


def test_none_says_that_there_is_no_such_column(study):
    result = fit(study, "--trial", "none")
    assert result.exit_code == 0, result.output
    assert "There is no column of trial numbers" in said(result.output)


def test_certify_proves_every_fit(study):
    result = fit(study, "--certify")
    assert result.exit_code == 0, result.output
    assert "For every subject it is proven" in said(result.output)
    assert pd.read_csv(study.parent / "results" / "subjects.csv")["certified_mle"].all()


SHORT = ["--draws", 200, "--tune", 200, "--chains", 2, "--seed", 1]


@pytest.mark.slow
def test_posterior_is_written_with_population_contrasts_and_held_out_scores(study):
    out = study.parent / "results"
    result = run("fit", study, "--formula", "alpha ~ 1 + group", *SHORT, "--last", 0.25, "--out", out)
    assert result.exit_code == 0, result.output
    posterior = hierrl.load(out / "posterior.nc")
    assert posterior["posterior"]["alpha"].sizes == {"chain": 2, "draw": 200, "subject": N_SUBJECTS}
    contrasts = pd.read_csv(out / "contrasts.csv")
    assert set(contrasts["contrast"]) == {"young - old"}
    assert {"median", "mean", "mu", "sigma"} == set(pd.read_csv(out / "population.csv")["quantity"])
    assert "held_out" in pd.read_csv(out / "comparison.csv")
    assert (out / "population.png").exists()
    assert "p_direction" in said(result.output)


@pytest.mark.slow
def test_demo_finds_the_truth_and_ends_with_the_line_for_own_data(tmp_path):
    result = run("demo", "--out", tmp_path / "demo", *SHORT[:-2])
    assert result.exit_code == 0, result.output
    assert said(result.output).endswith('hierrl fit your.csv --formula "alpha ~ 1 + group"')
    recovery = pd.read_csv(tmp_path / "demo" / "recovery.csv").set_index(["parameter", "fit"])
    assert recovery.loc[("alpha", "posterior"), "correlation"] > 0.8
    assert recovery.loc[("beta", "posterior"), "error"] < recovery.loc[("beta", "mle"), "error"]
    population = pd.read_csv(tmp_path / "demo" / "population_recovery.csv")
    assert population["inside"].sum() >= len(population) - 1


def test_demo_replaces_an_earlier_demo_but_nothing_else(tmp_path):
    from hierrl.cli.complaints import BadInput
    from hierrl.cli.demo import open_demo_folder

    mine, earlier = tmp_path / "mine", tmp_path / "earlier"
    for folder, text in ((mine, "{}"), (earlier, json.dumps({"demo": True}, indent=1))):
        folder.mkdir()
        (folder / "run.json").write_text(text)
    assert open_demo_folder(earlier, force=False).path == earlier
    with pytest.raises(BadInput, match="exists already"):
        open_demo_folder(mine, force=False)


def test_quiet_prints_nothing(study):
    result = fit(study, "--quiet")
    assert (result.exit_code, result.output) == (0, "")


def with_text_reward(study: Path) -> None:
    pd.read_csv(study).assign(outcome="win").to_csv(study, index=False)


def with_one_arm(study: Path) -> None:
    pd.read_csv(study).assign(choice="left").to_csv(study, index=False)


def with_results(study: Path) -> None:
    (study.parent / "results").mkdir()
    (study.parent / "results" / "notes.txt").write_text("mine")


def without_rows(study: Path) -> None:
    study.write_text("subject,choice,reward\n")


def as_it_is(study: Path) -> None:
    pass


BAD = {
    "missing file": (as_it_is, ["--seed", 1], "There is no file"),
    "column that isn't there": (as_it_is, ["--reward", "payof"], "There is no column 'payof'"),
    "reward that isn't a number": (with_text_reward, [], "must be numbers: column 'outcome' holds 'win'"),
    "unknown model": (as_it_is, ["--model", "forgetful"], "no model called 'forgetful'"),
    "model named twice": (as_it_is, ["--model", "rw", "--model", "rw"], "named twice"),
    "formula for no parameter": (as_it_is, ["--formula", "gamma ~ 1 + group"], "'gamma' fits no parameter"),
    "formula that can't be read": (as_it_is, ["--formula", "alpha ~ 1 + ("], "can't be read"),
    "formula without a right-hand side": (as_it_is, ["--formula", "alpha ~"], "is incomplete"),
    "formula with an equals sign": (as_it_is, ["--formula", "alpha = group"], "write 'alpha ~ group'"),
    "covariate that isn't there": (as_it_is, ["--formula", "alpha ~ 1 + grup"], "Did you mean 'group'"),
    "covariate that is constant": (as_it_is, ["--formula", "alpha ~ comment"], "for every subject"),
    "only one arm": (with_one_arm, [], "Only one arm is ever chosen"),
    "one arm given": (as_it_is, ["--arms", "left"], "at least two arms"),
    "nothing held out": (as_it_is, ["--last", 0], "last"),
    "no rows": (without_rows, [], "has no rows"),
    "results that exist": (with_results, [], "exists already"),
    "file for several models": (as_it_is, ["--model", "rw", "--model", "subvalue", "--out", "f.nc"], "Sever"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_exit_code_2(study, case):
    spoil, options, sentence = BAD[case]
    spoil(study)
    table = study.parent / "absent.csv" if case == "missing file" else study
    result = fit(table, *options)
    assert result.exit_code == 2
    assert sentence in said(result.stderr)
    assert said(result.stderr).startswith("Error: ")
    assert "Traceback" not in result.output
    assert not (study.parent / "results" / "convex.nc").exists()


def test_refusals_leave_what_was_there(study):
    with_results(study)
    fit(study)
    assert [path.name for path in (study.parent / "results").iterdir()] == ["notes.txt"]


def test_force_overwrites(study):
    assert fit(study).exit_code == 0
    assert fit(study).exit_code == 2
    assert fit(study, "--force").exit_code == 0


def test_debug_lets_the_traceback_through(study):
    result = fit(study, "--reward", "payof", "--debug")
    assert result.exit_code != 0
    assert "payof" in str(result.exception)
    assert result.exception.__cause__ is not None


def test_what_fails_inside_is_a_sentence_and_exit_code_1_and_finished_fits_stay(study, monkeypatch):
    def broken(*arguments, **options):
        raise RuntimeError("the sun went out")

    monkeypatch.setattr("hierrl.mle.fit_mle", broken)
    result = fit(study)
    assert result.exit_code == 1
    assert "RuntimeError: the sun went out" in said(result.stderr)
    assert (study.parent / "results" / "convex.nc").exists()
    assert (study.parent / "results" / "subjects.csv").exists()


@pytest.fixture
def interruptible():
    """Ctrl-C does what it does in a terminal: a process that was started in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_keeps_what_is_finished_and_says_what_is_missing(study, monkeypatch):
    def pressed(*arguments, **options):
        if options["progress"]:  # not while compiling
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("hierrl.mle.fit_mle", pressed)
    result = fit(study)
    assert result.exit_code == 130
    assert "missing is mle" in said(result.output)
    record = json.loads((study.parent / "results" / "run.json").read_text())
    assert (record["finished"], record["interrupted"]) == (["convex"], True)
    assert (study.parent / "results" / "subjects.csv").exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_usage_errors_have_exit_code_2(study):
    assert run("fit").exit_code == 2
    assert run("fit", study, "--method", "magic").exit_code == 2
    assert run("fti", study).exit_code == 2


def test_version_is_told():
    assert run("--version").output.strip() == f"hierrl {hierrl.__version__}"


def test_models_are_listed_with_parameters_a_sentence_and_names_elsewhere():
    text = said(run("models").output)
    for name, sentence in hierrl.models().items():
        assert f"{name} {', '.join(hierrl.model(name).names)}" in text
        assert sentence.split(" (")[0] in text
    for name in set(hierrl.models(aliases=True)) - set(hierrl.models()):
        assert name in text


@pytest.mark.parametrize("name", [*hierrl.models(), "bandit4arm_2par_lapse"])
def test_a_model_is_shown_with_equations_parameters_abilities_and_needs(name):
    result = run("models", name)
    assert result.exit_code == 0, result.output
    text, model = said(result.output), hierrl.model(name)
    assert "P = " in text
    assert all(f" {parameter.name} " in text for parameter in model.parameters)
    assert ("Convex bound: no." in text) == (not model.supports.bound)
    assert "choice: the arm chosen" in text
    assert ("gain: what was won" in text) == any(c.signal == "gain" for c in model.channels)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("forgetting_q", "Q[c] = Q[c] + alpha (r - Q[c]) Q[j] = (1 - alpha) Q[j]"),
        ("igt_pvl_delta", "lambda = lambda"),
        ("bandit4arm_2par_lapse", "beta_gain is fixed at 1."),
        ("counterfactual", "forgone: what the arms not chosen would have paid"),
        ("prl_fictitious", 'hr.model("fictitious", bias=True) with eta = alpha, alpha = bias / beta'),
    ],
)
def test_what_is_shown_of_a_model(name, sentence):
    assert sentence in said(run("models", name).output)


def test_an_unknown_model_is_one_sentence_and_exit_code_2():
    result = run("models", "forgeting_q")
    assert result.exit_code == 2
    assert "no model called 'forgeting_q'. Did you mean 'forgetting_q'?" in said(result.stderr)


def test_help_imports_nothing_heavy():
    heavy = "{'numpy', 'pandas', 'xarray', 'scipy', 'numba', 'pymc', 'matplotlib', 'arviz', 'formulae'}"
    script = (
        "import sys; from typer.testing import CliRunner; from hierrl.cli.app import app;"
        "assert CliRunner().invoke(app, ['fit', '--help']).exit_code == 0;"
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("python", "command"),
    [
        ("Say which one it is with reward='...'.", "Say which one it is with --reward COLUMN."),
        ("pass session='my block'.", "pass --session 'my block'."),
        ("or pass trial=False.", "or pass --trial none."),
        ("(covariates=). The table", "(--covariate). The table"),
        ("arms=[0, 1, 3] if these, or arms=list(range(0, 3))", "--arms 0,1,3 if these, or --arms 0,1,2"),
        ("name all arms with arms=['left', ...].", "name all arms with --arms left,...."),
        ("(reward=).", "(--reward)."),
        ("a longer warm-up (tune=) and more", "a longer warm-up (--tune) and more"),
        ("longer (tune=1000, draws=2000)", "longer (--tune 1000, --draws 2000)"),
        ("steps (target_accept=0.9, then 0.95)", "steps (--target-accept 0.9, then 0.95)"),
        ("models: 'rw'; or compose one with hr.Model.", "models: 'rw'. hierrl models says what they are."),
        ("infinite at table.iloc[11].", "infinite at row 12."),
        ("Give another file, or the settings of this one.", "Give another --out, or start again with --force."),
        ("numbers first, for instance table['x'].map({'win': 1}); leave", "numbers first in the table; leave"),
        ("Give it another one: table.rename(columns={'a': 'b'}).", "Rename the column in the table."),
    ],
)  # fmt: skip
def test_messages_speak_of_options(python, command):
    assert for_command_line(python) == command


@pytest.mark.parametrize(
    ("model", "draws", "sampler", "told"),
    [
        ("rw", 1000, "nuts", ["90,000 trials: sampling takes minutes", "--method marginal", "--method mle"]),
        ("vpp", 1000, "nuts", ["90,000 trials", "--method mle leaves it out"]),
        ("rw", 1000, "marginal", []),
        ("rw", 10, "nuts", []),
    ],
)
def test_long_sampling_is_announced_with_what_else_there_is(model, draws, sampler, told):
    data = xr.Dataset(coords={"trial": np.arange(90_000), "arm": [0, 1]})
    task = Task(model, hierrl.model(model), data, {})
    sentence = if_long(task, Settings(draws=draws, sampler=sampler))
    assert all(part in sentence for part in told) and bool(sentence) == bool(told)
    assert "marginal" not in sentence or model == "rw"


def test_after_a_fit_the_next_steps_are_told(study):
    result = fit(study, "--model", "rw", "--model", "sticky")
    assert result.exit_code == 0, result.output
    for command in ("report", "check", "compare"):
        assert f"hierrl {command} {study.parent / 'results'}" in said(result.output)


@pytest.mark.parametrize(
    ("formula", "told"),
    [
        ({"alpha": "1 + group"}, "beta: taken to be alike in all groups of group. .* --formula '1 . group'"),
        ({"alpha": "1 + group", "beta": "1 + group"}, "^$"),
        ({"alpha": "1 + age"}, "^$"),
        ({}, "^$"),
    ],
)
def test_parameters_that_may_not_differ_between_groups_are_named(formula, told):
    data = hierrl.behaviour(small_study(), covariates=["group", "age"])
    assert re.search(told, _held_equal(Task("rw", hierrl.model("rw"), data, formula)))


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_after_the_fits_says_that_they_are_saved_and_resume_makes_the_rest(study, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("hierrl.cli.pictures.draw", lambda *_, **__: signal.raise_signal(signal.SIGINT))
        result = fit(study)
    assert result.exit_code == 130
    assert "--resume goes on from them" in said(result.stderr)
    assert (study.parent / "results" / "mle.nc").exists()
    again = fit(study, "--resume")
    assert again.exit_code == 0, again.output
    assert again.output.count("finished before") == 2
    assert (study.parent / "results" / "estimates.png").exists()
