"""Pages of the models: complete, not stale, and their examples print what they show."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest

import hierrl as hr
from hierrl.models.catalogue import CATALOGUE
from tests.code_of_pages import running

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "models"
OTHERS = ("index", "options", "adding", "references")
LONG = ("gain_loss_decay", "pvl_delta", "pvl_decay", "vpp", "orl")
"""Their examples take more than five seconds each."""
HEADINGS = ["Equations", "Parameters", "What the convex step can do", "Data it needs", "Source", "Example"]


def page(name: str) -> str:
    return (FOLDER / f"{name}.md").read_text()


@pytest.fixture(scope="module")
def script():
    return importlib.import_module("make_models")


def test_every_model_has_a_page_and_every_page_a_model():
    assert {path.stem for path in FOLDER.glob("*.md")} == {*hr.models(), *OTHERS}


@pytest.mark.parametrize("name", ["index", *CATALOGUE])
def test_what_is_derived_is_not_stale(script, name):
    path = FOLDER / f"{name}.md"
    assert script.renewed(path) == path.read_text(), "run: python docs/make_models.py"


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_a_page_says_what_the_model_is_for_and_shows_it(name):
    text = page(name)
    assert text.startswith(f"# `{name}`: ")
    headings = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert [heading for heading in headings if heading != "Names elsewhere"] == HEADINGS
    for words in ("**What it can't tell apart.**", "**Pitfalls.**"):
        assert words in text.split("<!-- derived")[0]


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_a_page_names_each_parameter_with_its_bounds(name):
    rows = [row.split(" | ") for row in page(name).splitlines() if row.startswith("| `")]
    cells = {row[0].strip("|` "): row[2] for row in rows}
    for parameter in hr.model(name).parameters:
        low, high = parameter.lower, parameter.upper
        wanted = "smallest to largest reward" if low is None else f"{low:g} to {high:g}"
        assert cells[parameter.name] == wanted


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in [*CATALOGUE, "options"]],
)
def test_an_example_prints_what_is_shown(name):
    path = FOLDER / f"{name}.md"
    assert all(block.output for block in running.blocks(path))  # of the last one too
    assert list(running.run(path)) == []


def test_every_source_is_among_the_references():
    references = page("references")
    for entry in CATALOGUE.values():
        for authors, year in re.findall(r"([^;()]+?) \((\d{4})\)", entry.source):
            first = re.split(r",| & | et al", authors.strip())[0]
            line = next(
                (row for row in references.splitlines() if row.startswith(f"- {first},") and year in row), ""
            )
            assert line, f"references.md lacks {authors} ({year})"


@pytest.mark.parametrize("name", [*CATALOGUE, *OTHERS])
def test_links_of_a_page_lead_somewhere(name):
    for target, heading in re.findall(r"\]\((?!https?:)([^)#]+)(?:#([^)]+))?\)", page(name)):
        assert (FOLDER / target).exists(), target
        titles = re.findall(r"^## (.+)$", (FOLDER / target).read_text(), re.MULTILINE) if heading else []
        assert not heading or heading in [title.lower().replace(" ", "-") for title in titles]


@pytest.mark.parametrize("option", sorted(set(inspect.signature(hr.model).parameters) - {"name"}))
def test_every_option_is_on_the_page_of_options(option):
    assert re.search(rf"^\| `{option}=", page("options"), re.MULTILINE) or f"`{option}=" in page("options")


def test_code_that_the_how_to_shows_is_in_the_files():
    text = page("adding")
    source = (FOLDER / "../../hierrl/models/catalogue.py").read_text()
    for anchor in re.findall(r':(?:start-at|end-before): "(.+)"', text):
        assert source.count(anchor.replace('\\"', '"')) == 1
    learners = (FOLDER / "../../hierrl/models/learners.py").read_text()
    functions = re.findall(r":pyobject: (\w+)", text)
    assert functions == ["begin", "learn", "drift"]
    assert all(f"\ndef {name}(" in learners for name in functions)
