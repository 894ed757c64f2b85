"""The scripts in examples/ run as they are, from an empty folder, with what they simulate."""

import ast
import re
import runpy
import warnings

import pytest

from tests.code_of_pages import DOCS

FOLDER = DOCS.parent / "examples"
SCRIPTS = sorted(FOLDER.glob("*.py"))
SAID = {
    "drug_placebo": ["The chains converged.", "verum - placebo", "b - a"],
    "group_comparison": ["The chains converged.", "patient - control", "p_rope", "weak"],
    "model_comparison": ["subvalue  fails: nothing", "protected_exceedance", "held out"],
    "own_model": ["The chains converged.", "trust", "with memory", "values only", "memory "],
    "quickstart": ["40 of 40 subjects", "patient - control", "The chains converged.", "Written"],
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


def test_every_example_has_a_place_in_the_gallery():
    source = ast.parse((DOCS / "gallery.py").read_text())
    (order,) = (
        node.value
        for node in source.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ORDER"
    )
    assert set(ast.literal_eval(order)) == set(SAID)


def test_an_example_says_what_it_is_for_and_how_to_run_it(script):
    text = ast.get_docstring(ast.parse(script.read_text())) or ""
    title, rule = text.splitlines()[:2]
    assert title
    assert rule == "=" * len(title)
    assert f"python examples/{script.name} [folder" in text
    assert "simulated" in text


def test_an_example_is_a_page_with_sections_and_a_picture(script):
    source = script.read_text()
    sections = re.findall(r"^# %%\n# (.+)\n# (-+)$", source, re.MULTILINE)
    assert len(sections) >= 3
    assert all(len(title) == len(rule) for title, rule in sections)
    assert ".savefig(folder / " in source
    assert "pyplot" not in source  # which might open a window


@pytest.mark.slow
def test_an_example_runs_and_writes_into_its_folder_only(script, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.setattr("sys.argv", [script.name, "written"])
    with warnings.catch_warnings():
        # PyMC and nutpie warn about this and that; ours would say that a run did not converge, which is looked at.
        warnings.simplefilter("default")
        runpy.run_path(str(script), run_name="__main__")
    said = capsys.readouterr().out
    for words in SAID[script.stem]:
        assert words in said
    assert [one.name for one in tmp_path.iterdir()] == ["written"]
    assert list((tmp_path / "written").glob("*.png"))
