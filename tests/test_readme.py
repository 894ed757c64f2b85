"""What the README shows is what the package does."""

from __future__ import annotations

import re

import pytest

from tests.code_of_pages import running

ROOT = running.README.parent
README = running.README.read_text()

MOST_LINES = 15
LARGEST_PICTURE = 200_000
"""Bytes."""
RELATIVE, ABSOLUTE = 0.15, 0.03
"""How far numbers may be from those shown: less than on other pages."""


def block():
    (only,) = running.blocks(running.README)
    return only


@pytest.mark.slow
def test_code_runs_and_prints_what_is_shown():
    printed = running.execute(block().code, "README.md", {})
    wrong = running.difference(block().output, printed, relative=RELATIVE, absolute=ABSOLUTE)
    assert not wrong, printed


def test_code_is_short():
    lines = [line for line in block().code.splitlines() if line.strip() and not line.startswith("#")]
    assert len(lines) <= MOST_LINES


def test_links_and_pictures_exist_and_pictures_are_small():
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert targets
    for target in targets:
        assert (ROOT / target).exists(), target
    for picture in (target for target in targets if target.endswith(".png")):
        assert (ROOT / picture).stat().st_size < LARGEST_PICTURE, picture


def test_commands_shown_exist():
    from typer.testing import CliRunner

    from hierrl.cli.app import app

    shell = "\n".join(re.findall(r"```bash\n(.*?)```", README, re.DOTALL))
    inline = "\n".join(re.findall(r"`(hierrl [^`]+)`", README))
    commands = set(re.findall(r"^hierrl (\w+)", f"{shell}\n{inline}", re.MULTILINE))
    assert commands
    for command in commands:
        assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0, command
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"^make (\w+)", shell, re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize(
    ("number", "page", "claim"),
    [
        ("222 times", "speed", r"typical\*, nuts, against Stan \|.*\| 222\.0 times"),
        ("32.8 times", "speed", r"typical\*, nuts, against PyMC scan \|.*\| 32\.8 times"),
        ("12.9 times", "speed", r"typical\*, nuts, against NumPyro at its best \|.*\| 12\.9 times"),
        ("65 %", "paper", r"\(`fit_convex`\) closer .* than `rlfit` \+ recovery, \*basic 2arm\* \|.*\| 65 %"),
        ("1/347", "paper", r"basic 2arm\*, end to end \|.*\| 347 times"),
    ],
)
def test_speed_is_what_was_measured(number, page, claim):
    assert number in README
    assert re.search(claim, (ROOT / "docs" / f"{page}.md").read_text())
