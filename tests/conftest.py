"""What several test files share."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine, or code that is being compiled, is not a failure.
settings.register_profile("hierrl", deadline=None)
settings.load_profile("hierrl")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Give the path of a real data set by name; skip the test where the file isn't on this machine."""

    def path_of(name: str) -> Path:
        path = SHARED_DATA / f"{name}.csv.gz"
        if not path.exists():
            pytest.skip(f"needs the real data set {name!r}: ../shared/data beside this checkout lacks it")
        return path

    return path_of
