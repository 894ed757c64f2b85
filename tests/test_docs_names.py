"""Names in the prose of pages exist: of functions and their arguments, commands and their options, targets, files."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator

import pytest
import typer.main

import hierrl
from hierrl.cli.app import app
from tests.code_of_pages import DOCS, running

ROOT = DOCS.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *DOCS.glob("*.md"),
    *DOCS.glob("*/*.md"),
]
FENCED = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`([^`]+)`")
SHELL = re.compile(r"^```bash\n(.*?)^```$|(?<=\n\n)((?:^    .+\n)+)", re.DOTALL | re.MULTILINE)
FOLDERS = "(?:hierrl|tests|docs|benchmarks|examples)"
COMMANDS = typer.main.get_command(app)


def inline(text: str) -> list[str]:
    """What stands between backticks in the prose."""
    return [" ".join(code.split()) for code in INLINE.findall(FENCED.sub("", text))]


def shell(text: str) -> list[str]:
    """Lines of shell, in blocks and in the prose, without their comments."""
    lines = "\n".join("".join(found) for found in SHELL.findall(text)).splitlines()
    return [line.split("#")[0].strip() for line in [*lines, *inline(text)]]


def wrong_names(text: str) -> Iterator[str]:
    """Attributes of the package that nobody has, in prose and blocks."""
    for name in re.findall(r"\bhr\.([A-Za-z_]\w*)", text):
        if name not in {*hierrl._HOME, "__version__"}:
            yield f"hr.{name}"


def wrong_arguments(text: str) -> Iterator[str]:
    """Keywords in `hr.model("rw", lapse=True)` or `fit_mle(certify=)`, in the prose, that the function doesn't take."""
    for code in inline(text):
        for call in calls(code):
            function = getattr(hierrl, called(call), None)
            if function is None:
                continue
            takes = inspect.signature(function).parameters
            if any(one.kind is one.VAR_KEYWORD for one in takes.values()):
                continue
            yield from (
                f"{called(call)}({one.arg}=)" for one in call.keywords if one.arg and one.arg not in takes
            )


def calls(code: str) -> list[ast.Call]:
    """All calls in a piece of code; `certify=` without a value and `...` are understood."""
    whole = re.sub(r"=(?=[,)])", "=None", code).replace("=...", "=None")
    try:
        return [node for node in ast.walk(ast.parse(whole)) if isinstance(node, ast.Call)]
    except SyntaxError:
        return []


def called(call: ast.Call) -> str:
    """Name of what is called, if it may be the package's: `hr.name` or plain `name`."""
    where = call.func
    if isinstance(where, ast.Attribute) and isinstance(where.value, ast.Name) and where.value.id == "hr":
        return where.attr
    return where.id if isinstance(where, ast.Name) else ""


def wrong_commands(text: str) -> Iterator[str]:
    """Commands and options that the command line doesn't have, and targets that the Makefile doesn't."""
    makefile = (ROOT / "Makefile").read_text()
    for line in shell(text):
        words = line.split()
        if (
            words[:1] == ["make"]
            and len(words) > 1
            and not re.search(rf"^{words[1]}:", makefile, re.MULTILINE)
        ):
            yield line
        if words[:1] != ["hierrl"] or len(words) == 1:
            continue
        command = COMMANDS if words[1].startswith("-") else COMMANDS.commands.get(words[1].strip("|"))
        if command is None:
            yield line
            continue
        known = {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
        asked = {word.split("=")[0] for word in words if word.startswith("-") and len(word) > 1}
        yield from (f"{line}: {option}" for option in asked - known - {"--help", "-h", "--version"})


def wrong_files(text: str) -> Iterator[str]:
    """Files of the project that aren't there."""
    for code in inline(text):
        for name in re.findall(rf"(?:^|\s)({FOLDERS}/[\w/]+\.(?:py|md|csv\.gz))", code):
            if not (ROOT / name).exists():
                yield name


CHECKS = (wrong_names, wrong_arguments, wrong_commands, wrong_files)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_names_on_a_page_exist(check, path):
    assert list(check(path.read_text())) == []


@pytest.mark.parametrize(
    ("check", "text", "found"),
    [
        (wrong_names, "`hr.fit_mle(x)` and `hr.fit_max`", ["hr.fit_max"]),
        (wrong_arguments, 'say `fit_mle(certify=1e-3)`, `hr.model("rw", laps=True)`', ["model(laps=)"]),
        (wrong_arguments, "`hr.fit_mle(..., certificate=)`", ["fit_mle(certificate=)"]),
        (wrong_commands, "`hierrl fit a.csv --formula x` or `hierrl fit a.csv --formulae x`", 1),
        (
            wrong_commands,
            "```bash\nhierrl fitt a.csv  # fits\nmake demo\nmake tea\n```\n",
            ["hierrl fitt a.csv", "make tea"],
        ),
        (wrong_files, "`tests/test_hull.py` and `tests/test_hell.py`", ["tests/test_hell.py"]),
    ],
)
def test_a_name_that_does_not_exist_is_found(check, text, found):
    wrong = list(check(text))
    assert len(wrong) == found if isinstance(found, int) else wrong == found


def test_there_is_something_to_check():
    texts = [path.read_text() for path in PAGES]
    assert running.README in PAGES
    assert sum(len(calls(code)) for text in texts for code in inline(text)) > 100
    assert sum(line.startswith("hierrl ") for text in texts for line in shell(text)) >= 10
