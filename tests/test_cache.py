"""Compiled functions on disk never run with an old callee in them."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hierrl.kernels import jit

CALLER = """
from hierrl.kernels.callee import (
    FACTOR,
    inner,
)
from hierrl.kernels.jit import njit

@njit(cache=True)
def outer(x):
    return FACTOR * inner(x)
"""
CALLEE = """
from hierrl.kernels.jit import njit

FACTOR = {factor}

@njit(cache=True)
def inner(x):
    return x + {term}
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    kernels = tmp_path / "hierrl" / "kernels"
    kernels.mkdir(parents=True)
    (tmp_path / "hierrl" / "__init__.py").touch()
    (kernels / "__init__.py").touch()
    shutil.copy(Path(jit.__file__), kernels)
    (kernels / "caller.py").write_text(CALLER)
    return tmp_path


def run(checkout: Path, *, factor: float, term: float) -> list[str]:
    callee = checkout / "hierrl" / "kernels" / "callee.py"
    callee.write_text(CALLEE.format(factor=factor, term=term))
    script = (
        "from hierrl.kernels.caller import outer;"
        "print(outer(1.0), sum(outer.stats.cache_hits.values()), sum(outer.stats.cache_misses.values()))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_changed_callee_or_constant_in_another_file_is_compiled_anew_and_nothing_else(checkout):
    assert run(checkout, factor=2.0, term=1.0) == ["4.0", "0", "1"]
    assert run(checkout, factor=2.0, term=1.0) == ["4.0", "1", "0"]
    assert run(checkout, factor=2.0, term=5.0) == ["12.0", "0", "1"]
    assert run(checkout, factor=3.0, term=5.0) == ["18.0", "0", "1"]


def test_sources_behind_a_kernel_are_what_it_is_compiled_from():
    kernels = Path(jit.__file__).parent
    names = {path.name for path in jit.sources_behind(kernels / "likelihood.py")}
    assert {"likelihood.py", "rule.py", "tables.py"} <= names
    assert not {"problem.py", "threads.py", "model.py"} & names


def test_every_cached_function_of_the_package_has_the_careful_cache():
    package = Path(jit.__file__).parents[1]
    careless = re.compile(r"from numba import .*njit|numba\.njit\((\*\*|.*cache)")
    found = [path.name for path in package.rglob("*.py") if careless.search(path.read_text())]
    assert set(found) - {"jit.py"} == set(), "write: from hierrl.kernels.jit import njit"


@pytest.mark.parametrize("error", [AttributeError, ImportError])
def test_an_index_that_names_a_type_which_has_moved_counts_as_none(error):
    def load() -> dict[str, str]:
        raise error("no such type here any more")

    assert jit.forgiving(load)() == {}
    assert jit.forgiving(lambda: {"a": "b"})() == {"a": "b"}
