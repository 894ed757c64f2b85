"""Write the results of `paper.py` and `starts.py` into docs/paper.md, between its markers, and draw the figure.

python benchmarks/paper_page.py
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

from paper import RESULTS
from paper_figure import draw
from paper_table import accuracy, all_found, claims, proofs, settings_text, tightness

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE, FIGURE = DOCS / "paper.md", DOCS / "images" / "paper.png"
STARTS = RESULTS.with_name("starts.json")
DPI = 200


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    results = json.loads(options.results.read_text())
    page = PAGE.read_text()
    parts = {
        "settings": settings_text(results),
        "claims": claims(results),
        "tightness": f"{tightness(results)}\n\n{proofs(results)}",
        "accuracy": "\n\n".join(
            f"### {' '.join(key)}\n\n{accuracy(key, found)}" for key, found in all_found(results).items()
        ),
    }
    if STARTS.exists():
        parts["starts"] = json.loads(STARTS.read_text())["table"]
    for name, text in parts.items():
        page = between(page, name, text)
    PAGE.write_text(page)
    draw(results).savefig(FIGURE, dpi=DPI)
    print(f"wrote {PAGE.relative_to(DOCS.parent)} and {FIGURE.relative_to(DOCS.parent)}")


def between(page: str, name: str, text: str) -> str:
    """The page with what stands between the markers of that name replaced."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(page):
        raise SystemExit(f"{PAGE} has no markers {begin} ... {end} to write between.")
    return pattern.sub(lambda _: f"{begin}\n\n{text}\n\n{end}", page)


if __name__ == "__main__":
    main()
