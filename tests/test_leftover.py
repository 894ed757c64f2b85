"""Columns that nothing is read from are told, and groups among them are offered for comparison."""

import json

import numpy as np
import pandas as pd
import pytest

import hierrl as hr
from tests.command_line import run, said

SUBJECTS = np.repeat(list("abcdef"), 20)


def study(**more):
    rng = np.random.default_rng(1)
    choice = rng.integers(0, 2, SUBJECTS.size)
    return pd.DataFrame(
        {"subject": SUBJECTS, "choice": choice, "reward": rng.integers(0, 2, SUBJECTS.size), **more}
    )


def others(**more):
    return json.loads(hr.behaviour(study(**more)).attrs["other_columns"])


def by_subject(values):
    return np.repeat(values, 20)


@pytest.mark.parametrize("kind", [list, pd.Categorical, lambda x: pd.array(x, dtype="string")])
def test_a_text_that_each_subject_has_one_of_is_a_group(kind):
    assert others(arm_of_study=kind(by_subject(["ill", "well"] * 3))) == {"arm_of_study": ["ill", "well"]}
    assert others(on_drug=by_subject([True, False] * 3)) == {"on_drug": ["False", "True"]}


@pytest.mark.parametrize(
    "values",
    [
        np.tile(["ill", "well"], 60),  # changes within subjects
        by_subject(["ill", "well", "well", "well", "well", "well"]),  # a group of one
        by_subject(list("uvwxyz")),  # a name
        by_subject(["ill"] * 6),
        by_subject(["ill", None] * 3),
        by_subject([1, 2] * 3),  # a number: perhaps a measurement
        [["a"]] * 120,
    ],
    ids=["within", "lonely", "name", "one", "missing", "number", "lists"],
)
def test_other_columns_are_told_without_groups(values):
    assert others(extra=values) == {"extra": []}


def test_what_is_used_is_no_other_column():
    data = hr.behaviour(study(group=by_subject(["ill", "well"] * 3), age=1.0), covariates=["group", "age"])
    assert data.attrs["other_columns"] == "{}"
    assert json.loads(hr.behaviour(study(), subject=False).attrs["other_columns"]) == {"subject": []}


def test_fit_offers_to_compare_groups_unless_a_formula_does(tmp_path):
    table = tmp_path / "study.csv"
    study(**{"diagnosis": by_subject(["ill", "well"] * 3), "age": 30}).to_csv(table, index=False)
    given = ["fit", table, "--method", "convex", "--model", "rw"]
    plain = run(*given, "--out", tmp_path / "a")
    assert plain.exit_code == 0, plain.output
    assert "Not used diagnosis, age" in said(plain.output)
    assert "--formula '1 + diagnosis' added to this command: do ill and well differ?" in said(plain.output)
    grouped = run(*given, "--formula", "1 + diagnosis", "--out", tmp_path / "b")
    assert grouped.exit_code == 0, grouped.output
    assert "differ?" not in grouped.output
