"""Pages: their code prints what is shown (the build of the site asks the same of all), links lead somewhere."""

import importlib
import inspect
import re

import pytest

from tests.code_of_pages import DOCS, running
from tests.test_model_pages import FOLDER as MODELS

RUN = [path for path in running.pages() if path.parent != MODELS and path != running.README]
"""The other two have tests of their own."""
NOT_RUN: dict[str, int] = {}
"""Blocks that a page is allowed not to run, with a reason: none."""


@pytest.mark.slow
@pytest.mark.parametrize("path", RUN, ids=lambda path: path.stem)
def test_code_of_a_page_runs_and_prints_what_is_shown(path):
    assert list(running.run(path)) == []


@pytest.mark.parametrize("path", running.pages(), ids=lambda path: path.stem)
def test_code_of_a_page_can_be_read_and_is_all_run(path):
    found = running.blocks(path)
    assert len(found) == path.read_text().count(
        "```python"
    )  # none is written so that the runner overlooks it
    for block in found:
        compile(block.code, path.name, "exec")
    assert sum(block.reason is not None for block in found) == NOT_RUN.get(path.stem, 0)


PAGE = """# A page

```python
x = 2
print("about", 10 * x)
```

```text
about {shown}
```

```python
{last}
```
"""


@pytest.mark.parametrize(
    ("shown", "last", "line", "said"),
    [
        ("20", "assert x == 2", None, ""),
        ("23", "assert x == 2", None, ""),  # draws differ between machines
        ("26", "assert x == 2", 3, "shows '26' where the block prints '20'"),
        ("20 or so", "assert x == 2", 3, "shows 4 words and numbers, the block prints 2"),
        ("20", "print(x)", 12, "does not show what a block prints"),
        ("20", "print(y)", 12, "name 'y' is not defined"),
        ("20", "import warnings; warnings.warn('Careful.')", 12, "Careful"),
        ("20", "open('litter.txt', 'w').close()", None, ""),
    ],
)
def test_runner_finds_what_is_wrong_and_where(tmp_path, monkeypatch, shown, last, line, said):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "page.md"
    path.write_text(PAGE.format(shown=shown, last=last))
    found = list(running.run(path))
    assert [one[0] for one in found] == ([] if line is None else [line])
    assert all(said in text for _, text in found)
    assert [one.name for one in tmp_path.iterdir()] == ["page.md"]


def test_a_block_that_is_not_run_says_why(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("<!-- not run: takes a night -->\n```python\n1 / 0\n```\n")
    assert list(running.run(path)) == []
    assert [block.reason for block in running.blocks(path)] == ["takes a night"]
    path.write_text("<!-- not run: -->\n```python\n1 / 0\n```\n")
    assert "ZeroDivisionError" in next(running.run(path))[1]


def test_runner_reports_faults_as_lines_of_json(tmp_path, capsys):
    path = tmp_path / "page.md"
    path.write_text("```python\nprint(1)\n```\n")
    assert running.main([str(path)]) == 1
    first, last = capsys.readouterr().out.splitlines()
    assert f'"page": "{path}", "line": 1' in first
    assert last == '{"faults": 1}'


INCLUDED = re.compile(
    r"```\{literalinclude\} (?P<file>\S+)\n:start-at: \"(?P<start>.+)\"\n:end-before: \"(?P<end>.+)\"\n```"
)


@pytest.mark.parametrize("page", ["own_model.md"])
def test_code_that_a_page_includes_is_in_the_file(page):
    text = (DOCS / page).read_text()
    found = list(INCLUDED.finditer(text))
    assert len(found) == text.count("{literalinclude}") > 0
    for one in found:
        source = (DOCS / one["file"]).read_text()
        assert source.count(one["start"]) == 1
        inside = source[source.index(one["start"]) :].split(one["end"])[0]
        assert inspect.cleandoc(inside) == inside.strip()  # whole statements of the script
        compile(inside, one["file"], "exec")


LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


@pytest.mark.parametrize(
    "path", [*DOCS.glob("*.md"), *DOCS.glob("decisions/*.md")], ids=lambda path: path.stem
)
def test_links_and_pictures_of_a_page_exist(path):
    for target in LINK.findall(path.read_text()):
        found = path.parent / target
        if target.startswith("examples/"):  # made when the site is built
            name = found.with_suffix(".py").name
            assert target == "examples/index.rst" or (DOCS.parent / "examples" / name).exists(), target
        else:
            assert found.exists(), target


def test_table_of_other_packages_names_is_that_of_the_aliases():
    made = importlib.import_module("make_tables")
    page = made.PAGE.read_text()
    assert page == made.with_table(page)
    assert page.count("`pst_Q`") == 1


@pytest.mark.parametrize(
    ("latex", "rows", "has"),
    [
        (r"a &= b \\ c &= d", 2, "<mtr>"),
        (r"\begin{aligned} a &= b \\ c &= d \end{aligned}", 2, "<mtr>"),
        (r"x_{t,i} = \sum_c w_c", 0, "∑"),
        (r"\hat\theta \sim N(\mu, \sigma^2)", 0, "∼"),
    ],
)
def test_formulas_become_mathml(latex, rows, has):
    made = pytest.importorskip("formulas", reason="needs what `make docs` installs", exc_type=ImportError)
    shown = made.mathml(latex, block=True)
    assert shown.startswith('<math display="block"')
    assert has in shown
    assert shown.count("<mtr>") == rows
    assert "&amp;" not in shown
