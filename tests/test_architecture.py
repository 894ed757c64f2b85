"""The architecture, read from the source: who may import whom, and who may load the heavy libraries."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import hierrl

PACKAGE = Path(hierrl.__file__).parent

# The data flow, from right to left: a unit (module or folder) imports from units above it only.
FLOW = (
    "data",
    "models",
    "kernels",
    "fits",
    "oddities",
    "convex",
    "mle",
    "formulas",
    "importance",
    "marginal",
    "prior",
    "posterior",
    "told",
    "latents",
    "latent_table",
    "contrast",
    "simulate",
    "replications",
    "calibration",
    "compare",
    "studies",
    "summary",
    "describe",
    "identifiability",
    "checks",
    "plots",
    "report",
    "demo",
    "cli",
    "__main__",
)
# These talk to the user and may use the public names: they see the package as its users do.
OUTERMOST = ("demo", "cli", "__main__")

PLOTTING = ("plots/", "report/")
COMPILED = ("kernels/", "convex/solver.py", "marginal.py", "posterior/op.py")
# Library -> the files and folders that may import it, also inside a function.
HEAVY = {
    "numba": COMPILED,
    "llvmlite": COMPILED,
    "hierrl.kernels.jit": COMPILED,  # our door to numba
    "cvxpy": ("convex/",),
    "clarabel": ("convex/",),
    "pymc": ("posterior/",),
    "pytensor": ("posterior/", "models/recursion/"),
    "nutpie": ("posterior/",),
    "matplotlib": PLOTTING,
    "arviz_plots": PLOTTING,
    "arviz": PLOTTING,  # brings arviz_plots; elsewhere arviz_base and arviz_stats do
}
PICKLES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}


def source_files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def relative(file: Path) -> str:
    return file.relative_to(PACKAGE).as_posix()


def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), relative(file))


def named_by(node: ast.stmt, package: list[str]) -> Iterator[str]:
    """Give the full names that one import statement of a module in ``package`` asks for."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = package[: len(package) - node.level + 1] if node.level else []
        module = ".".join([*base, *([node.module] if node.module else [])])
        yield from (f"{module}.{alias.name}" for alias in node.names)


def imports(file: Path) -> Iterator[tuple[int, str]]:
    """Give (line, full name) of every import of a file, wherever it stands."""
    package = ["hierrl", *file.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((node.lineno, name) for name in named_by(node, package))


def asked_unit(name: str) -> str | None:
    """The unit behind an imported name; None outside the package, ``hierrl`` for the package as such."""
    parts = name.split(".")
    if parts[0] != "hierrl" or parts[1:2] == ["__version__"]:
        return None
    if len(parts) == 1 or (len(parts) == 2 and parts[1] in hierrl._HOME):
        return "hierrl"
    return parts[1]


def wrong_directions() -> Iterator[str]:
    for file in source_files():
        own = Path(relative(file)).parts[0].removesuffix(".py")
        if own not in FLOW:  # `__init__`; or a newcomer, which has a test of its own
            continue
        for line, name in imports(file):
            asked = asked_unit(name)
            if asked in (None, own) or (asked == "hierrl" and own in OUTERMOST):
                continue
            if asked not in FLOW[: FLOW.index(own)]:
                yield f"{relative(file)}:{line} imports {name}"


def misplaced_libraries() -> Iterator[str]:
    for file in source_files():
        for line, name in imports(file):
            for library, allowed in HEAVY.items():
                if f"{name}.".startswith(f"{library}.") and not relative(file).startswith(allowed):
                    yield f"{relative(file)}:{line} imports {name}; only {', '.join(allowed)} may"


def pickles() -> Iterator[str]:
    for file in source_files():
        for line, name in imports(file):
            if name.split(".")[0] in PICKLES:
                yield f"{relative(file)}:{line} imports {name}"


def test_every_unit_has_its_place_in_the_flow():
    units = {Path(relative(file)).parts[0].removesuffix(".py") for file in source_files()} - {"__init__"}
    assert units <= set(FLOW), f"give {sorted(units - set(FLOW))} a place in FLOW"


def test_public_names_come_from_units_of_the_flow():
    assert set(hierrl._PUBLIC) <= set(FLOW)


def test_imports_go_from_right_to_left_only():
    assert list(wrong_directions()) == []


def test_heavy_libraries_stay_where_they_belong():
    assert list(misplaced_libraries()) == []


def test_nothing_is_pickled():
    assert list(pickles()) == []


def test_kernels_are_serial():
    # numba's thread layers abort under a sampler's threads: threads live outside the kernels.
    for file in source_files():
        for node in ast.walk(parsed(file)):
            if isinstance(node, ast.keyword) and node.arg == "parallel":
                assert ast.unparse(node.value) == "False", f"{relative(file)}:{node.value.lineno} is parallel"
            assert "prange" not in (getattr(node, "attr", ""), getattr(node, "id", "")), relative(file)


def declared_packages() -> set[str]:
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[\[<>=~ ]", requirement)[0] for requirement in project["dependencies"]}
    return names | {"arviz_base", "arviz_stats", "arviz_plots", "llvmlite"}  # parts of arviz, and of numba


def test_imports_ask_only_for_declared_packages():
    # What happens to be installed because something else needs it isn't ours to import.
    known = {"hierrl", *declared_packages(), *sys.stdlib_module_names}
    undeclared = [
        f"{relative(file)}:{line} imports {name}"
        for file in source_files()
        for line, name in imports(file)
        if name.split(".")[0] not in known
    ]
    assert undeclared == []


@pytest.mark.parametrize(
    ("statement", "asked"),
    [
        ("import numba", ["numba"]),
        ("from numba import njit, prange", ["numba.njit", "numba.prange"]),
        ("from . import tables", ["hierrl.kernels.tables"]),
        ("from ..models import Model", ["hierrl.models.Model"]),
        ("import hierrl.posterior.op as op", ["hierrl.posterior.op"]),
    ],
)
def test_the_reader_of_imports_resolves_every_form(statement, asked):
    node = ast.parse(statement).body[0]
    assert list(named_by(node, ["hierrl", "kernels"])) == asked
