"""Write the results of `paper.py` and `starts.py` into docs/paper.md, between its markers, and draw the figure.

python benchmarks/paper_page.py
"""

from __future__ import annotations

import json

from pages import DOCS, between, read_results
from paper import RESULTS
from paper_figure import draw
from paper_table import accuracy, all_found, claims, proofs, settings_text, tightness

PAGE, FIGURE = DOCS / "paper.md", DOCS / "images" / "paper.png"
STARTS = RESULTS.with_name("starts.json")
DPI = 200


def main() -> None:
    results = read_results(__doc__, RESULTS)
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


if __name__ == "__main__":
    main()
