"""`docs/running.py` for tests: what the build of the site runs, they run too."""

import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"
sys.path.append(str(DOCS))

import running  # noqa: E402

__all__ = ["DOCS", "running"]
