"""The page of simulation studies shows the results that lie beside its script."""

import importlib
import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def page(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module("studies_page")


def test_the_page_holds_the_numbers_of_the_results(page):
    results, text = json.loads(page.RESULTS.read_text()), page.PAGE.read_text()
    for name, found in page._by_model(results["recovery"]).items():
        assert page.recovery(found, name) in text
    for what in ("share", "inverse"):
        assert page.confusion(results["confusion"]["mle"]["table"], what) in text
    assert page.confusion_time(results["confusion"]) in text
    assert page.power(results["power"]) in text


def test_numbers_are_written_with_two_digits_and_gaps_as_dashes(page):
    assert [page.number(value) for value in (0.456, -0.1, None, float("nan"))] == ["0.46", "−0.10", "–", "–"]
