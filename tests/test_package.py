"""The package as it meets its users: lazy, typed, told once, and free of the machine it was written on."""

import ast
import re
import shutil
import subprocess
import sys
from importlib import import_module
from itertools import permutations
from pathlib import Path
from types import ModuleType

import pytest

import hierrl

ROOT = Path(__file__).resolve().parents[1]
TWINS = sorted(name for name in hierrl._HOME if name in hierrl._PUBLIC)


def run_python(script: str, folder: Path) -> str:
    finished = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_importing_the_package_loads_nothing_but_itself(tmp_path):
    script = (
        "import sys; before = set(sys.modules); import hierrl; dir(hierrl); hierrl.__version__;"
        "print(sorted({name.split('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names))"
    )
    assert run_python(script, tmp_path).strip() == "['hierrl']"


def test_help_of_the_command_line_loads_no_heavy_library(tmp_path):
    heavy = ["arviz_base", "cvxpy", "matplotlib", "numba", "numpy", "pandas", "pymc", "scipy", "xarray"]
    script = (
        "import sys; from hierrl.cli import main; sys.argv = ['hierrl', '--help']\n"
        "try: main()\n"
        "except SystemExit as stop: assert not stop.code\n"
        f"print('loaded:', [name for name in {heavy} if name in sys.modules])"
    )
    assert run_python(script, tmp_path).splitlines()[-1] == "loaded: []"


def test_type_stub_and_lazy_table_name_the_same():
    stub = ast.parse((ROOT / "hierrl" / "__init__.pyi").read_text())
    named = {
        alias.asname: (node.module, alias.name)
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert named == {name: (f"hierrl.{module}", name) for name, module in hierrl._HOME.items()}


def test_all_and_dir_list_every_public_name():
    assert dir(hierrl) == sorted(hierrl.__all__) == sorted(["__version__", *hierrl._HOME])


@pytest.mark.parametrize("name", sorted(hierrl._HOME))
def test_public_name_is_the_object_of_its_module(name):
    found = getattr(hierrl, name)
    assert not isinstance(found, ModuleType)
    assert found is getattr(import_module(f"hierrl.{hierrl._HOME[name]}"), name)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'hierrl' has no attribute 'fit_magic'"):
        hierrl.fit_magic  # type: ignore[attr-defined]  # noqa: B018


@pytest.fixture
def hollow_package(tmp_path: Path) -> Path:
    """The package's front door over empty rooms: imports take no time, so that many orders can be tried."""
    (tmp_path / "hierrl").mkdir()
    shutil.copy(ROOT / "hierrl" / "__init__.py", tmp_path / "hierrl")
    for module, names in hierrl._PUBLIC.items():
        rooms = "".join(f"def {name}(): pass\n" for name in names)
        (tmp_path / "hierrl" / f"{module}.py").write_text(rooms)
    return tmp_path


@pytest.mark.parametrize("name", TWINS)
def test_a_function_stays_the_function_when_its_module_is_imported(hollow_package, name):
    steps = [
        f"import hierrl.{name}",
        f"from hierrl.{name} import {name}",
        f"from hierrl import {name}",
        f"hierrl.{name}()",
        f"importlib.import_module('hierrl.{name}')",
    ]
    check = f"assert callable(hierrl.{name}); assert hierrl.{name} is sys.modules['hierrl.{name}'].{name}"
    forget = "for m in [m for m in sys.modules if m.startswith('hierrl')]: del sys.modules[m]"
    script = ["import importlib, sys"]
    for order in permutations(steps, 3):
        script += [forget, "import hierrl", *(line for step in order for line in (step, check))]
    run_python("\n".join(script), hollow_package)


def tracked_files() -> list[Path]:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("needs a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True)
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def test_no_tracked_file_names_a_path_of_one_machine():
    somewhere = re.compile(r"(?<![\w./~*-])/(?:work|root|tmp|home|Users|farm|opt)\b(?:/[\w.-]+)*")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match[0]}"
        for path in tracked_files()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if (match := somewhere.search(line))
    ]
    assert found == []


def test_version_is_told_alike_everywhere():
    release = hierrl.__version__.split(".dev")[0]
    assert f'version: "{release}"' in (ROOT / "CITATION.cff").read_text()
    assert re.search(rf"^## {re.escape(release)}\b", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_every_public_name_has_its_page_in_the_documentation():
    pages = re.findall(r"^   (\w+)$", (ROOT / "docs" / "api.rst").read_text(), re.MULTILINE)
    assert sorted(pages) == sorted(hierrl._HOME)


def test_decisions_are_numbered_once_each():
    names = sorted(path.stem for path in (ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    numbers = [int(name.split("-")[0]) for name in names]
    assert numbers == list(range(1, len(numbers) + 1))
    for name, number in zip(names, numbers, strict=True):
        heading = (ROOT / "docs" / "decisions" / f"{name}.md").read_text().splitlines()[0]
        assert heading.startswith(f"# {number}. "), f"{name}: {heading}"
