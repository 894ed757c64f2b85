"""`docs/running.py` for tests: what the build of the site runs, they run too."""

import importlib.util
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"

_spec = importlib.util.spec_from_file_location("running", DOCS / "running.py")
assert _spec is not None
assert _spec.loader is not None
running = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(running)
