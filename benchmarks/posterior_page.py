"""Write the results of `posterior.py` into docs/speed.md, between its markers.

python benchmarks/posterior_page.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pages import DOCS, between, options_of
from posterior import RESULTS
from posterior_claims import claims
from posterior_tables import STUDIES, accuracy, comparison, defaults, finish, gradient, growth, settings_text

PAGE = DOCS / "speed.md"
TABLES = {
    "defaults": defaults,
    "gradient": gradient,
    "finish": finish,
    "growth": growth,
    "accuracy": accuracy,
}


def main() -> None:
    parser = options_of(__doc__, RESULTS)
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args()
    page = options.page.read_text()
    for name, text in written(json.loads(options.results.read_text())).items():
        page = between(page, name, text)
    options.page.write_text(page)
    print(f"wrote {options.page.name}")


def written(results: dict[str, Any]) -> dict[str, str]:
    """Marker -> text, for the parts that have been run."""
    parts = results["parts"]
    tables = {**dict.fromkeys(STUDIES, comparison), **TABLES}
    told = {name: make(parts[name]) for name, make in tables.items() if name in parts}
    return {"settings": settings_text(results), "claims": claims(parts), **told}


if __name__ == "__main__":
    main()
