"""Pages of the documentation that results of a benchmark are written into, between markers."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1] / "docs"
NAMES = {"nuts": "NUTS", "marginal": "marginal sampler"}
"""What pages call our samplers."""
MINUS = "\N{MINUS SIGN}"


def options_of(doc: str | None, results: Path) -> argparse.ArgumentParser:
    """The command line of a script that writes a page: where the results are."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=results)
    return parser


def read_results(doc: str | None, results: Path) -> Any:
    """The results that the command line names."""
    return json.loads(options_of(doc, results).parse_args().results.read_text())


def between(page: str, name: str, text: str) -> str:
    """The page with what stands between the markers of that name replaced."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(page):
        raise SystemExit(f"The page has no markers {begin} ... {end} to write between.")
    return pattern.sub(lambda _: f"{begin}\n\n{text}\n\n{end}", page)
