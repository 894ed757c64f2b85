"""The scripts in examples/ run as they are, from an empty folder, with what they simulate."""

import ast
import runpy
import warnings
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "examples"
SCRIPTS = sorted(FOLDER.glob("*.py"))
SAID = {
    "drug_placebo": ["The chains converged.", "verum - placebo", "b - a"],
    "group_comparison": ["The chains converged.", "patient - control", "p_rope", "weak"],
    "model_comparison": ["subvalue  fails: nothing", "protected_exceedance", "held out"],
    "own_model": ["The chains converged.", "trust", "with memory", "values only", "memory "],
    "quickstart": ["40 of 40 subjects", "patient - control", "The chains converged.", "Written:"],
    "recovery_and_power": ["correlation of truth and estimate", "generating", "Welch's t", "Pictures:"],
    "reproduce_paper": ["60 of 60 fits are proven", "relaxed policy", "mean policy"],
    "trialwise_regressors": ["prediction_error_sd", "trial_type", "median subject"],
    "pymc_model": ["eta --> ", "the true slope is 2", "nothing compiled", "mu of alpha 0."],
}
"""What each script prints if all went well."""


@pytest.fixture(params=SCRIPTS, ids=lambda path: path.stem)
def script(request):
    return request.param


def test_there_are_examples():
    assert {path.stem for path in SCRIPTS} == set(SAID)


def test_an_example_says_what_it_is_for_and_how_to_run_it(script):
    text = ast.get_docstring(ast.parse(script.read_text())) or ""
    assert f"python examples/{script.name}" in text
    assert "simulated" in text


def test_importing_an_example_runs_nothing(script, capsys):
    found = runpy.run_path(str(script), run_name="imported")
    assert callable(found["main"])
    assert not capsys.readouterr().out


@pytest.mark.slow
def test_an_example_runs(script, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [script.name])
    with warnings.catch_warnings():
        # PyMC and nutpie warn about this and that; ours would say that a run did not converge, which is looked at.
        warnings.simplefilter("default")
        runpy.run_path(str(script), run_name="__main__")
    said = capsys.readouterr().out
    for words in SAID[script.stem]:
        assert words in said
