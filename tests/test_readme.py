"""What the README shows is what the package does."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
BLOCK = re.compile(r"```python\n(?P<code>.*?)```\s*```text\n(?P<output>.*?)```", re.DOTALL)

MOST_LINES = 15
LARGEST_PICTURE = 200_000
"""Bytes."""
RELATIVE, ABSOLUTE = 0.15, 0.03
"""How far numbers may be from those shown: a sampler's draws differ a little between machines."""


def block() -> re.Match[str]:
    found = BLOCK.search(README)
    assert found is not None, "the README has no python block followed by its output"
    return found


def pieces(text: str) -> list[str]:
    """Words and numbers; a number that runs into punctuation stands alone."""
    return re.findall(r"[-+]?\d[\d,]*(?:\.\d+)?|[^\s\d]+", text.replace("−", "-"))


def as_number(piece: str) -> float | None:
    try:
        return float(piece.replace(",", ""))
    except ValueError:
        return None


@pytest.mark.slow
def test_code_runs_and_prints_what_is_shown():
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block()["code"], "README.md", "exec"), {})
    shown, found = pieces(block()["output"]), pieces(printed.getvalue())
    assert len(shown) == len(found), printed.getvalue()
    for expected, given in zip(shown, found, strict=True):
        number = as_number(expected)
        if number is None:
            assert given == expected
        else:
            assert as_number(given) == pytest.approx(number, rel=RELATIVE, abs=ABSOLUTE), printed.getvalue()


def test_code_is_short():
    lines = [line for line in block()["code"].splitlines() if line.strip() and not line.startswith("#")]
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
