"""Every block of Python on a page is run, in order, and prints what the page shows below it.

    python docs/running.py [page ...]      # says which block fails or prints something else; without pages: all

As an extension of Sphinx it does the same while the site is built: in a process of its own, beside the gallery, each
page in a namespace and an empty folder of its own. What is wrong becomes a warning with page and line, and warnings
are errors.

A block that can't be run has a line above it, `<!-- not run: the reason -->`; tests say which ones may.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

DOCS = Path(__file__).resolve().parent
README = DOCS.parent / "README.md"
BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<reason>[^\n]+?) -->\n)?"
    r"^```python\n(?P<code>.*?)^```$(?:\s*?^```text\n(?P<output>.*?)^```$)?",
    re.DOTALL | re.MULTILINE,
)
RELATIVE, ABSOLUTE = 0.2, 0.1
"""How far numbers may be from those shown: the pages draw few, and a sampler's draws differ between machines."""


class Block(NamedTuple):
    """A block of code with what is shown below it, its line on the page, and why it is not run, if so."""

    line: int
    code: str
    output: str | None
    reason: str | None


def pages() -> list[Path]:
    """All pages that have blocks of Python, the README among them."""
    found = [README, *sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("*/*.md"))]
    return [path for path in found if "_build" not in path.parts and blocks(path)]


def blocks(path: Path) -> list[Block]:
    """The blocks of a page, from top to bottom."""
    text = path.read_text(encoding="utf-8")
    return [
        Block(
            text.count("\n", 0, one.start("code")),
            one["code"],
            one["output"],
            one["reason"],
        )
        for one in BLOCK.finditer(text)
    ]


def run(path: Path) -> Iterator[tuple[int, str]]:
    """Run a page in an empty folder; give the line of each block at fault, and what is wrong."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for block in blocks(path):
            if block.reason is not None:
                continue
            try:
                printed = execute(
                    block.code, f"{path.name}, block at line {block.line}", namespace
                )
            except Exception:
                yield (
                    block.line,
                    f"a block fails; what follows was not run\n{traceback.format_exc(limit=-3)}",
                )
                return
            wrong = difference(block.output, printed)
            if wrong:
                yield block.line, f"{wrong}. It prints:\n{printed}"


def execute(code: str, name: str, namespace: dict[str, Any]) -> str:
    """What a piece of code prints. Warnings that a reader would see and the page doesn't show are errors."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(compile(code, name, "exec"), namespace)
    return printed.getvalue()


def difference(
    shown: str | None,
    printed: str,
    *,
    relative: float = RELATIVE,
    absolute: float = ABSOLUTE,
) -> str:
    """What is wrong with what was printed; nothing if it is alike but for the last digits."""
    if shown is None:
        return "The page does not show what a block prints" if printed else ""
    expected, found = pieces(shown), pieces(printed)
    if len(expected) != len(found):
        return f"The page shows {len(expected)} words and numbers, the block prints {len(found)}"
    for one, other in zip(expected, found, strict=True):
        if one != other and not near(
            as_number(one), as_number(other), relative, absolute
        ):
            return f"The page shows {one!r} where the block prints {other!r}"
    return ""


def near(
    shown: float | None, printed: float | None, relative: float, absolute: float
) -> bool:
    """Two numbers that differ no more than draws on two machines may."""
    if shown is None or printed is None:
        return False
    return abs(printed - shown) <= max(relative * abs(shown), absolute)


def pieces(text: str) -> list[str]:
    """Words and numbers; a number that runs into punctuation stands alone."""
    return re.findall(r"[-+]?\d[\d,]*(?:\.\d+)?|[^\s\d]+", text.replace("−", "-"))


def as_number(piece: str) -> float | None:
    """The number that a piece is, if it is one."""
    try:
        return float(piece.replace(",", ""))
    except ValueError:
        return None


def main(names: list[str]) -> int:
    """Run pages; print a line of JSON for each fault, and one at the end so that a crash can be told from success."""
    faults = 0
    for path in [Path(name).resolve() for name in names] or pages():
        for line, text in run(path):
            faults += 1
            print(
                json.dumps({"page": str(path), "line": line, "text": text}), flush=True
            )
    print(json.dumps({"faults": faults}), flush=True)
    return int(faults > 0)


def setup(app: Any) -> dict[str, bool]:
    """Start with the build, beside the gallery, and report before the pages are written."""
    started: list[subprocess.Popen[str]] = []

    def begin(app: Any) -> None:
        if not app.config.run_pages:
            return
        command = [sys.executable, __file__]
        environment = os.environ | {"MPLBACKEND": "Agg"}
        started.append(
            subprocess.Popen(
                command, stdout=subprocess.PIPE, text=True, env=environment
            )
        )

    def report(app: Any, env: Any) -> None:
        from sphinx.util import logging

        if not started:
            return
        process = started.pop()
        told = [json.loads(line) for line in process.communicate()[0].splitlines()]
        for one in told[:-1]:
            logging.getLogger(__name__).warning(
                "%s", one["text"], location=f"{one['page']}:{one['line']}"
            )
        if process.returncode not in (0, 1) or "faults" not in told[-1]:
            logging.getLogger(__name__).warning(
                "Running the pages ended early (%s).", process.returncode
            )

    app.add_config_value("run_pages", True, "", [bool])
    app.connect(
        "builder-inited", begin, priority=1
    )  # before the gallery, which takes as long
    app.connect("env-updated", report)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
