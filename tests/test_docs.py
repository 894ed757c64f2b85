"""Pages with code run: every block of Python, in order, prints what the page shows below it."""

import contextlib
import importlib
import inspect
import io
import re
import warnings
from pathlib import Path

import pytest

from tests.test_readme import as_number, pieces

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = (
    "start.md",
    "concepts.md",
    "which_estimate.md",
    "missed.md",
    "sessions.md",
    "population.md",
    "studies.md",
    "regressors.md",
    "coming_from.md",
    "cite.md",
    "marginal.md",
    "checks.md",
    "report.md",
)
BLOCK = re.compile(r"```python\n(?P<code>.*?)```(?:\s*```text\n(?P<output>.*?)```)?", re.DOTALL)

RELATIVE, ABSOLUTE = 0.2, 0.1
"""How far numbers may be from those shown: the pages draw few, and a sampler's draws differ between machines."""


def blocks(page: str) -> list[re.Match[str]]:
    return list(BLOCK.finditer((DOCS / page).read_text()))


def assert_alike(shown: str, printed: str) -> None:
    expected, found = pieces(shown), pieces(printed)
    assert len(expected) == len(found), printed
    for one, other in zip(expected, found, strict=True):
        number = as_number(one)
        if number is None:
            assert one == other, printed
        else:
            assert as_number(other) == pytest.approx(number, rel=RELATIVE, abs=ABSOLUTE, nan_ok=True), printed


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_code_of_a_page_runs_and_prints_what_is_shown(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # pages write files
    namespace: dict[str, object] = {}
    for block in blocks(page):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), warnings.catch_warnings():
            # Runs are short: what matters is that they run and what they give.
            warnings.simplefilter("ignore")
            exec(compile(block["code"], page, "exec"), namespace)
        if block["output"] is not None:
            assert_alike(block["output"], printed.getvalue())
        else:
            assert not printed.getvalue(), f"{page} does not show what this prints:\n{printed.getvalue()}"


@pytest.mark.parametrize("page", PAGES)
def test_code_of_a_page_can_be_read(page):
    assert blocks(page)
    for block in blocks(page):
        compile(block["code"], page, "exec")


INCLUDED = re.compile(
    r"```\{literalinclude\} (?P<file>\S+)\n(?::dedent:\n)?"
    r":start-after: \"(?P<start>.+)\"\n:end-before: \"(?P<end>.+)\"\n```"
)


@pytest.mark.parametrize("page", ["own_model.md"])
def test_code_that_a_page_includes_is_in_the_file(page):
    text = (DOCS / page).read_text()
    found = list(INCLUDED.finditer(text))
    assert len(found) == text.count("{literalinclude}") > 0
    for one in found:
        source = (DOCS / one["file"]).read_text()
        assert source.count(one["start"] + "\n") == source.count(one["end"] + "\n") == 1
        inside = source.split(one["start"] + "\n")[1].split(one["end"] + "\n")[0]
        compile(inspect.cleandoc("\n" + inside), one["file"], "exec")


@pytest.mark.parametrize(
    "page",
    [*PAGES, "groups.md", "comparison.md", "faq.md", "examples.md", "model_table.md", "real_models.md"],
)
def test_links_and_pictures_of_a_page_exist(page):
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", (DOCS / page).read_text())
    assert targets
    for target in targets:
        assert (DOCS / target).exists(), target


def test_page_of_examples_includes_every_script_with_what_it_prints():
    text = (DOCS / "examples.md").read_text()
    included = re.findall(r"```\{literalinclude\} (\S+)", text)
    scripts = sorted((DOCS.parent / "examples").glob("*.py"))
    for script in scripts:
        assert {f"../examples/{script.name}", f"examples/{script.stem}.txt"} <= set(included), script.name
    assert len(included) == 2 * len(scripts)
    assert all((DOCS / one).exists() for one in included)


def test_table_of_other_packages_names_is_that_of_the_aliases(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    made = importlib.import_module("make_tables")
    page = made.PAGE.read_text()
    assert page == made.with_table(page)
    assert page.count("`pst_Q`") == 1
