"""The docstrings of public names: complete, and their examples run."""

import doctest
import inspect
import os

import pytest

import hierrl

FUNCTIONS = sorted(name for name in hierrl._HOME if name[0].islower())


def sections(name: str) -> list[str]:
    lines = (inspect.getdoc(getattr(hierrl, name)) or "").splitlines()
    return [line for line, rule in zip(lines, lines[1:], strict=False) if line and rule == "-" * len(line)]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_public_function_says_what_it_takes_and_gives_and_shows_it(name):
    takes = inspect.signature(getattr(hierrl, name)).parameters
    wanted = {"Returns", "Examples"} | ({"Parameters"} if takes else set())
    assert wanted <= set(sections(name))


@pytest.mark.parametrize("name", sorted(hierrl._HOME))
def test_example_in_the_docstring_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(os.environ, "MPLBACKEND", "Agg")
    found = doctest.DocTestFinder(recurse=False).find(getattr(hierrl, name), name, globs={})
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    report: list[str] = []
    for example in found:
        runner.run(example, out=report.append)
    assert runner.failures == 0, "".join(report)
    assert runner.tries > 0, f"the docstring of {name} shows no example"
