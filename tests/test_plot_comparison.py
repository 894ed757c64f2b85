"""The picture of a comparison of models: what is drawn where."""

import builders
import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

import hierrl as hr
from hierrl.compare import ModelComparison
from hierrl.plots.comparison import _probability
from hierrl.plots.style import SMALL

QUIET = {"progress": False}


@pytest.fixture(scope="module")
def fits():
    data = builders.random_behaviour(8, 60, seed=1)
    return {name: hr.fit_mle(hr.model(name), data, **QUIET) for name in ("rw", "forgetting_q", "subvalue")}


@pytest.fixture(scope="module")
def by_subject(fits) -> ModelComparison:
    return hr.compare_models(fits, method="bic", **QUIET)


@pytest.fixture(scope="module")
def by_trial(fits) -> ModelComparison:
    return hr.compare_models(fits, folds=2, by="trial", **QUIET)


def panel(figure: Figure, label: str) -> mpl.axes.Axes:
    return next(axes for axes in figure.axes if axes.get_label() == label)


def test_models_are_rows_with_the_best_on_top_at_zero(by_subject):
    axes = panel(hr.plot_comparison(by_subject), "difference")
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names == by_subject.table.index.tolist()
    marks = next(line for line in axes.lines if line.get_label() == "difference").get_xydata()
    np.testing.assert_allclose(marks, np.column_stack([by_subject.table["difference"], range(3)]))
    assert axes.get_ylim()[0] > axes.get_ylim()[1]


def test_thin_lines_are_two_standard_errors_over_subjects(by_trial):
    axes = panel(hr.plot_comparison(by_trial), "difference")
    thin = np.array(axes.collections[0].get_segments())[:, :, 0]
    table = by_trial.table
    np.testing.assert_allclose(thin[:, 1] - thin[:, 0], 4 * table["subjects_se"])


def test_bars_are_frequencies_and_numbers_protected_exceedance(by_subject):
    figure = hr.plot_comparison(by_subject)
    axes, chosen = panel(figure, "frequency"), by_subject.random_effects
    table = chosen.table.loc[by_subject.table.index]
    np.testing.assert_allclose([bar.get_width() for bar in axes.patches], table["frequency"])
    shown = [text.get_text() for text in axes.texts]
    assert shown == [_probability(value) for value in table["protected_exceedance"]]


def test_every_subject_is_a_column_of_its_attribution(by_subject):
    image = panel(hr.plot_comparison(by_subject), "attribution").images[0].get_array()
    chosen = by_subject.random_effects.attribution[by_subject.table.index].to_numpy()
    assert image.shape == (3, 8)
    np.testing.assert_allclose(image.sum(axis=0), 1)
    best = image.argmax(axis=0)
    assert (np.diff(best) >= 0).all()
    np.testing.assert_allclose(np.sort(np.asarray(image), axis=1), np.sort(chosen.T, axis=1))


def test_without_random_effects_subjects_are_marks(by_trial):
    figure = hr.plot_comparison(by_trial)
    axes, best, last = panel(figure, "subjects"), *by_trial.table.index[[0, 2]]
    marks = next(line for line in axes.lines if line.get_label() == last).get_xdata()
    np.testing.assert_allclose(marks, by_trial.subjects[last] - by_trial.subjects[best])
    assert not [axes for axes in figure.axes if axes.get_label() == "frequency"]
    assert panel(hr.plot_comparison(by_trial, random_effects=True), "frequency")


def test_probabilities_are_never_shown_as_certain():
    assert [_probability(x) for x in (0.9999, 0.5, 0.0001, 0.994)] == ["> .99", ".50", "< .01", ".99"]


def test_style_is_that_of_all_plots(by_subject):
    before = dict(mpl.rcParams)
    figure = hr.plot_comparison(by_subject)
    figure.canvas.draw()
    shown = [t for t in figure.findobj(mpl.text.Text) if t.get_text().strip() and t.get_visible()]
    assert min(text.get_fontsize() for text in shown) >= SMALL
    assert figure.legends[0].get_window_extent().x1 <= figure.bbox.x1
    assert pyplot.get_fignums() == []
    assert dict(mpl.rcParams) == before


def test_it_goes_into_a_given_figure_or_has_the_size_asked_for(by_subject):
    own = Figure(figsize=(8, 4), layout="constrained")
    assert hr.plot_comparison(by_subject, figure=own) is own
    assert hr.plot_comparison(by_subject, figsize=(5, 3)).get_size_inches().tolist() == [5, 3]


def test_a_single_model_is_drawn_too(fits):
    figure = hr.plot_comparison(hr.compare_models({"rw": fits["rw"]}, **QUIET))
    assert [axes.get_label() for axes in figure.axes] == ["difference", "subjects"]


def test_other_things_are_refused(fits):
    with pytest.raises(TypeError, match="draws what hr.compare_models returned; found dict"):
        hr.plot_comparison(fits)
