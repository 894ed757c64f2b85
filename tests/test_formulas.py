"""Formulas: design matrices by subject, cells, and refusals in words."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from builders import random_behaviour
from formulae import design_matrices as reference

import hierrl as hr
from hierrl.formulas import by_parameter, design_matrices

MODEL = hr.model("forgetting_q")
N = 24


@pytest.fixture(scope="module")
def data() -> xr.Dataset:
    rng = np.random.default_rng(1)
    level = {"level": "subject"}
    hole = rng.normal(size=N)
    hole[[3, 5]] = np.nan
    return random_behaviour(N, 10, gaps=False).assign(
        group=("subject", np.array(["old", "young"])[np.arange(N) % 2], level),
        site=("subject", np.array(["A", "B", "C"])[np.arange(N) % 3], level),
        drug=("subject", rng.random(N) < 0.5, level),
        age=("subject", rng.normal(50, 10, N), level),
        dose=("subject", rng.integers(0, 3, N), level),
        hole=("subject", hole, level),
        word=("subject", np.array([""] + ["x", "y"] * 11 + ["x"]), level),
        same=("subject", np.full(N, "yes"), level),
        mood=("trial", rng.normal(size=10 * N), {"level": "trial"}),
    )


def design(data, text, model=MODEL):
    return design_matrices(model, data, {"alpha": text})["alpha"]


def test_without_a_formula_every_scalar_has_an_intercept_and_one_cell(data):
    designs = design_matrices(hr.model("subvalue", bias=True, per_arm=True), data)
    assert list(designs) == [f"{name}[{arm}]" for name in ("alpha", "beta", "alpha_choice", "beta_choice")
                             for arm in "AB"] + ["bias[B]"]  # fmt: skip
    for one in designs.values():
        assert one.names == ("Intercept",)
        assert one.cells == ("all",)
        np.testing.assert_array_equal(one.matrix, np.ones((N, 1)))
        np.testing.assert_array_equal(one.cell_matrix, [[1.0]])


@pytest.mark.parametrize("text", ["1 + group * site", "0 + group + site", "site:group", "1 + C(group, Sum)"])
def test_categorical_designs_are_those_of_formulae(data, text):
    frame = pd.DataFrame({name: data[name].values for name in ("group", "site")})
    ours, theirs = design(data, text), reference(text, frame).common
    assert theirs is not None
    np.testing.assert_array_equal(ours.matrix, theirs.design_matrix)
    assert list(ours.names) == theirs.as_dataframe().columns.tolist()


@pytest.mark.parametrize("text", ["1 + age", "1 + group * age", "group + np.log(age)", "1 + bs(age, df=4)"])
def test_centring_numbers_changes_coefficients_but_not_what_can_be_fitted(data, text):
    frame = pd.DataFrame({name: data[name].values for name in ("group", "age")})
    ours, theirs = design(data, text).matrix, reference(text, frame, extra_namespace={"np": np}).common
    assert theirs is not None
    both = np.concatenate([ours, np.asarray(theirs.design_matrix)], axis=1)
    assert np.linalg.matrix_rank(both) == np.linalg.matrix_rank(ours) == ours.shape[1]


def test_intercept_is_the_mean_at_average_covariates_and_slopes_keep_their_units(data):
    one = design(data, "1 + age")
    np.testing.assert_allclose(one.matrix[:, 1], data["age"].values - data["age"].values.mean())
    np.testing.assert_allclose(one.cell_matrix, [[1.0, 0.0]], atol=1e-12)
    np.testing.assert_allclose(one.sizes, [1.0, data["age"].values.std()])
    assert one.centres == {"age": pytest.approx(data["age"].values.mean())}


def test_contrasts_beside_an_interaction_hold_at_the_average_number(data):
    one = design(data, "1 + group * age")
    assert one.names == ("Intercept", "group[young]", "age", "group[young]:age")
    np.testing.assert_allclose(one.cell_matrix, [[1, 0, 0, 0], [1, 1, 0, 0]], atol=1e-12)


def test_cells_are_all_combinations_and_the_same_for_every_parameter(data):
    designs = design_matrices(MODEL, data, {"alpha": "1 + group + age", "beta": "1 + drug"})
    for one in designs.values():
        assert one.cells == (
            "group=old, drug=False", "group=old, drug=True",
            "group=young, drug=False", "group=young, drug=True",
        )  # fmt: skip
    np.testing.assert_allclose(designs["alpha"].cell_matrix[:, 1], [0, 0, 1, 1])
    np.testing.assert_allclose(designs["beta"].cell_matrix[:, 1], [0, 1, 0, 1])


def test_numbers_become_groups_with_C(data):
    one = design(data, "1 + C(dose)")
    assert one.cells == ("dose=0", "dose=1", "dose=2")
    np.testing.assert_array_equal(one.cell_matrix, [[1, 0, 0], [1, 1, 0], [1, 0, 1]])


def test_the_order_of_categories_is_the_researchers(data):
    ordered = data.copy()
    ordered["group"] = data["group"].assign_attrs(levels='["young", "middle", "old"]')
    one = design(ordered, "1 + group")
    assert one.names == ("Intercept", "group[old]")
    assert one.cells == ("group=young", "group=old")


def test_levels_are_told_from_slopes_and_contrasts(data):
    assert design(data, "1 + group * age").is_level == (True, False, False, False)
    assert design(data, "0 + site + age").is_level == (True, True, True, False)
    assert design(data, "0 + group + site").is_level == (True, True, False, False)


def test_means_of_subjects_follow_from_coefficients(data):
    one = design(data, "1 + group")
    old = data["group"].values == "old"
    means = one.mean([[0.5, 1.0], [0.0, -1.0]])
    assert means.shape == (2, N)
    np.testing.assert_allclose(means[:, old], [[0.5], [0.0]] * np.ones(old.sum()))
    np.testing.assert_allclose(means[:, ~old], [[1.5], [-1.0]] * np.ones((~old).sum()))


def test_a_bare_formula_holds_for_all_parameters_and_a_tilde_is_allowed():
    assert by_parameter(MODEL, "~ 1 + group") == {"alpha": "1 + group", "beta": "1 + group"}
    assert by_parameter(MODEL, {"beta": "group"}) == {"alpha": "1", "beta": "group"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "1 + gruop",
            r"uses 'gruop'.*Did you mean 'group'\? Covariates by subject or session: 'group', 'site'",
        ),
        ("1 + choice", "isn't a covariate of subjects or sessions"),
        ("1 + mood", r"'mood', which varies by trial.*hr.Regressor\('mood'\)"),
        ("1 + hole", "'hole' is missing for 2 of 24 subjects: 's3', 's5'. Fill it in"),
        ("1 + word", "'word' is missing for 1 of 24 subjects: 's0'"),
        ("1 + same", "'same' is 'yes' for every subject"),
        ("1 + age + I(2 * age)", "3 coefficients.*age, I(.*) are linearly dependent"),
        ("0 + age", "no intercept"),
        ("age ~ group", "left-hand side"),
        ("1 + (1|site)", r"group-specific term \(1\|site\)"),
        ("1 +", "can't be read"),
        ("1 + offset(age)", "a population mean can't"),
        ("1 + np.log(age - 50)", "aren't finite"),
        ("1 + nonsense(age)", "can't be evaluated"),
        ("1 + C(age > 50)", "Make them a column of the table"),
    ],
)
def test_a_formula_that_cannot_be_used_is_refused_in_words(data, text, message, capsys):
    with pytest.raises(ValueError, match=message):
        design(data, text)
    assert capsys.readouterr().out == ""


def test_more_coefficients_than_subjects_are_refused(data):
    with pytest.raises(ValueError, match="2 subjects can't tell them apart"):
        design(data.isel(subject=[0, 1]), "1 + group + age")


def test_formulas_of_parameters_that_do_not_exist_are_refused(data):
    with pytest.raises(ValueError, match="names 'alpah'.*Did you mean 'alpha'"):
        design_matrices(MODEL, data, {"alpah": "1 + group"})
    with pytest.raises(TypeError, match="must be text"):
        design_matrices(MODEL, data, {"alpha": 1})  # type: ignore[dict-item]


# Covariates by session: slopes that subjects have of their own


@pytest.fixture(scope="module")
def crossover() -> xr.Dataset:
    """Six subjects, four sessions of five trials: drug in two of them, in alternating order; a dose in mg."""
    n_sessions, n_trials = 4, 5
    subject, session = np.divmod(np.repeat(np.arange(6 * n_sessions), n_trials), n_sessions)
    drug = np.where((session + subject) % 2 == 1, "on", "off")
    dose = np.array([0.0, 1.0, 2.0, 5.0])[session]
    level = {"level": "subject"}
    return xr.Dataset(
        {
            "choice": ("trial", np.zeros(subject.size, dtype=int)),
            "group": ("subject", np.array(["a", "b"])[[0, 0, 0, 1, 1, 1]], level),
            "age": ("subject", np.arange(6.0), level),
            "drug": ("trial", drug, {"level": "session"}),
            "dose": ("trial", dose, {"level": "session"}),
        },
        coords={
            "subject": np.arange(6),
            "arm": ["A", "B"],
            "trial_subject": ("trial", subject),
            "trial_session": ("trial", session),
        },
    )


def test_a_covariate_by_session_makes_a_slope_of_the_subjects(crossover):
    designs = design_matrices(MODEL, crossover, {"alpha": "1 + group * drug", "beta": "1 + drug"})
    assert list(designs) == ["alpha", "beta", "alpha:drug[on]", "beta:drug[on]"]
    assert designs["alpha"].slope is None
    assert designs["alpha"].names == designs["alpha:drug[on]"].names == ("Intercept", "group[b]")
    assert designs["alpha"].is_level == (True, False)
    slope = designs["alpha:drug[on]"]
    assert slope.slope.of == "alpha"
    assert slope.is_level == (False, False)
    first = crossover["drug"].values[::5]
    np.testing.assert_array_equal(slope.slope.session_values, first == "on")
    np.testing.assert_array_equal(designs["beta:drug[on]"].matrix, np.ones((6, 1)))


def test_cells_cross_covariates_of_subjects_and_of_sessions(crossover):
    designs = design_matrices(MODEL, crossover, {"alpha": "1 + group * drug"})
    assert designs["beta"].cells == (
        "group=a, drug=off", "group=a, drug=on", "group=b, drug=off", "group=b, drug=on",
    )  # fmt: skip
    slope = designs["alpha:drug[on]"]
    np.testing.assert_array_equal(slope.slope.cell_values, [0, 1, 0, 1])
    np.testing.assert_array_equal(slope.cell_matrix, [[1, 0], [1, 0], [1, 1], [1, 1]])


@pytest.mark.parametrize(
    "text", ["1 + group * drug", "1 + group + drug", "1 + drug * age", "1 + drug + dose"]
)
def test_slopes_times_their_values_span_what_the_formula_spans(crossover, text):
    rows = crossover.isel(trial=slice(None, None, 5))
    owner = rows["trial_subject"].values
    frame = pd.DataFrame({name: rows[name].values for name in ("drug", "dose")}).assign(
        group=crossover["group"].values[owner], age=crossover["age"].values[owner]
    )
    theirs = np.asarray(reference(text, frame).common.design_matrix)
    designs = design_matrices(MODEL, crossover, {"alpha": text})
    ours = np.concatenate(
        [
            design.matrix[owner] * (1.0 if design.slope is None else design.slope.session_values[:, None])
            for label, design in designs.items()
            if label.startswith("alpha")
        ],
        axis=1,
    )
    assert np.linalg.matrix_rank(np.hstack([ours, theirs])) == np.linalg.matrix_rank(ours) == theirs.shape[1]


def test_numbers_by_session_are_centred_over_sessions(crossover):
    slope = design_matrices(MODEL, crossover, {"alpha": "1 + dose"})["alpha:dose"]
    assert slope.centres == {"dose": pytest.approx(2.0)}
    np.testing.assert_allclose(slope.slope.session_values[:4], [-2, -1, 0, 3])
    np.testing.assert_allclose(slope.slope.cell_values, [0.0])


def test_a_formula_without_a_reference_session_is_refused(crossover):
    with pytest.raises(ValueError, match="no reference session.*write '1 \\+ drug'"):
        design_matrices(MODEL, crossover, {"alpha": "0 + drug"})
    with pytest.raises(ValueError, match="no intercept"):
        design_matrices(MODEL, crossover, {"alpha": "0 + dose"})


def test_a_covariate_that_is_missing_in_a_session_is_refused(crossover):
    holes = crossover.copy()
    holes["drug"] = crossover["drug"].where(crossover["trial_subject"] != 2, "").assign_attrs(level="session")
    with pytest.raises(ValueError, match=r"'drug' is missing for 1 of 6 subjects \(in some session\): 2"):
        design_matrices(MODEL, holes, {"alpha": "1 + drug"})


# Groups with spreads of their own


def test_groups_of_spreads_are_those_of_the_covariate(data):
    designs = design_matrices(MODEL, data, {"alpha": "1 + age"}, spread_by="group")
    for one in designs.values():
        assert one.groups.names == ("old", "young")
        assert one.cells == ("group=old", "group=young")
        np.testing.assert_array_equal(one.groups.of_cell, [0, 1])
        np.testing.assert_array_equal(one.groups.of_subject, np.arange(N) % 2)
    plain = design_matrices(MODEL, data)["alpha"].groups
    assert plain.names == ("all",)
    assert not plain.of_subject.any()


@pytest.mark.parametrize("name", ["age", "drug"])
def test_spreads_by_numbers_or_sessions_are_refused(data, crossover, name):
    with pytest.raises(ValueError, match=f"spread_by='{name}' must be a categorical covariate"):
        design_matrices(MODEL, crossover if name == "drug" else data, spread_by=name)
