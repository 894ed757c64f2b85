"""Numba's ``njit`` with a cache on disk that notices changed callees.

Numba keeps the machine code of a function for as long as the file that *defines* it stays the same. The
code of what the function calls is in there too, so an edited callee (or a constant) in another file, or a
new version pulled into an editable install, would run stale for ever. Here the stamp of a cached function
covers every file that it is made of.

Write ``from hierrl.kernels.jit import njit`` in place of numba's; nothing else changes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numba
import numba.extending

intrinsic: Any = numba.extending.intrinsic
"""Numba's, of which type checkers don't know that it takes the first argument away."""

PACKAGE = Path(__file__).resolve().parents[1]

IMPORT = re.compile(r"^(?:from|import) +(hierrl(?:\.\w+)*)(?: +import +([\w, ]+))?", re.MULTILINE)


def njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """As ``numba.njit(**options)``; the cache is used only if all files behind the function are unchanged."""

    def compiled_when_called(function: Callable[..., Any]) -> Any:
        dispatcher = numba.njit(**options)(function)
        # Numba has no public hook for the stamp. If the attribute goes, its own stamp stays and a test fails.
        index = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
        file = Path(function.__code__.co_filename).resolve()
        if hasattr(index, "_source_stamp") and file.is_file():
            index._source_stamp = fingerprint(file)  # type: ignore[union-attr]
            index._load_index = forgiving(index._load_index)  # type: ignore[union-attr]
        return dispatcher

    return compiled_when_called


def forgiving(load: Callable[[], dict[Any, str]]) -> Callable[[], dict[Any, str]]:
    """An index that refers to a type which has moved since, as after an upgrade, is as good as none."""

    def load_or_nothing() -> dict[Any, str]:
        try:
            return load()
        except (AttributeError, ImportError):
            return {}

    return load_or_nothing


@cache
def fingerprint(file: Path) -> str:
    """A hash of the sources behind compiled functions of `file`; also a cache key for their callers."""
    digest = hashlib.sha256()
    for source in sorted(sources_behind(file)):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def sources_behind(file: Path) -> set[Path]:
    """The file, those it imports from (code, constants), and so on where these hold compiled functions."""
    found, open_ends = {file}, [file]
    while open_ends:
        text = open_ends.pop().read_text(encoding="utf-8")
        for source in set(_imported(text)) - found:
            found.add(source)
            if "njit" in source.read_text(encoding="utf-8"):
                open_ends.append(source)
    return found


def _imported(text: str) -> Iterator[Path]:
    """Files of this package that the source `text` imports from at the top level."""
    for module, names in IMPORT.findall(text):
        place = PACKAGE.joinpath(*module.split(".")[1:])
        candidates = [place, *(place / name.strip() for name in names.split(","))]
        yield from (path for one in candidates if (path := one.with_suffix(".py")).is_file())
