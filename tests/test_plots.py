"""Plots: what is drawn where, in which words; looked at through the artists, not through pixels."""

import builders
import matplotlib as mpl
import numpy as np
import pytest
import sampled
import xarray as xr
from matplotlib import pyplot
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

import hierrl as hr
from hierrl.models.model import Parameter
from hierrl.plots.axes import name_with_unit, scale_of, title_of
from hierrl.plots.groups import groups_of
from hierrl.plots.population import density_of
from hierrl.plots.style import COLOURS, SMALL, colour_of, marker_of

QUIET = {"progress": False}
MODEL = hr.model("rw")
RATE = Parameter("alpha", "rate", "logit", False, 0, 0.0, 1.0)
WEIGHT = Parameter("beta", "weight", "log", False, -1, 0.0, 50.0)
SIGNED = Parameter("kappa", "weight", "identity", False, 0, -50.0, 50.0)


@pytest.fixture(scope="module")
def data() -> xr.Dataset:
    return builders.random_behaviour(6, 50, rich=True, seed=1)


@pytest.fixture(scope="module")
def fits(data) -> dict[str, xr.DataTree]:
    convex = hr.fit_convex(MODEL, data, **QUIET)
    mle = hr.fit_mle(MODEL, data, start=convex, **QUIET)
    return {"convex": convex, "mle": mle, "posterior": sampled.pretend_posterior(mle)}


@pytest.fixture(scope="module")
def kernels() -> dict[str, xr.DataTree]:
    """A free kernel of rewards and one of choices, of either sign, and the maximum likelihood."""
    model, data = hr.model("subvalue"), builders.random_behaviour(3, 40, graded=True, seed=4)
    return {
        "monotone": hr.fit_convex(model, data, relaxation="monotone", **QUIET),
        "mle": hr.fit_mle(model, data, **QUIET),
    }


def panel(figure: Figure, label: str) -> mpl.axes.Axes:
    return next(axes for axes in figure.axes if axes.get_label() == label)


def drawn(axes: mpl.axes.Axes, label: str) -> np.ndarray:
    """Points (n, 2) of the line of that label."""
    return next(line for line in axes.lines if line.get_label() == label).get_xydata()


def text_sizes(figure: Figure) -> set[float]:
    figure.canvas.draw()
    shown = [text for text in figure.findobj(mpl.text.Text) if text.get_text().strip() and text.get_visible()]
    return {text.get_fontsize() for text in shown}


def all_plots(fits) -> list[Figure]:
    return [
        hr.plot_estimates(fits, group="group"),
        hr.plot_population(fits["posterior"]),
        hr.plot_subject(fits["posterior"], "s0"),
    ]


def one(fit: xr.DataTree, name: str, subject: str = "s0") -> float:
    return float(fit["posterior"][name].sel(subject=subject).values.item())


def test_every_subject_is_a_line_between_neighbouring_estimators(fits):
    axes = panel(
        hr.plot_estimates(fits | {"posterior": sampled.pretend_posterior(fits["mle"], cells=("all",))}),
        "alpha",
    )
    bundles = [
        found
        for found in axes.collections
        if isinstance(found, LineCollection) and found.get_label() == "subjects all"
    ]
    assert [len(bundle.get_segments()) for bundle in bundles] == [6, 6]
    ends = np.array(bundles[1].get_segments())[:, :, 1]
    np.testing.assert_allclose(ends[:, 0], fits["mle"]["posterior"]["alpha"].values.ravel())
    np.testing.assert_allclose(ends[:, 1], fits["posterior"]["posterior"]["alpha"].mean(("chain", "draw")))


def test_summaries_are_medians_of_the_groups(fits, data):
    axes = panel(hr.plot_estimates(fits, group="group"), "alpha")
    young = fits["convex"]["posterior"]["alpha"].values.ravel()[data["group"].values == "young"]
    assert drawn(axes, "median young")[0, 1] == pytest.approx(np.median(young))


def test_population_stands_right_of_the_estimators_in_the_colours_of_its_groups(fits):
    axes = panel(hr.plot_estimates(fits, group="group"), "alpha")
    point = drawn(axes, "population group=young")[0]
    expected = fits["posterior"]["population"]["median"].sel(parameter="alpha", cell="group=young")
    assert point[1] == pytest.approx(float(np.median(expected)))
    assert point[0] == pytest.approx(3, abs=0.3)
    line = next(line for line in axes.lines if line.get_label() == "population group=young")
    assert line.get_markeredgecolor() == COLOURS[1]
    assert [text.get_text() for text in axes.get_xticklabels()] == [
        "convex",
        "mle",
        "posterior",
        "population",
    ]


def test_colours_follow_the_formula_of_the_posterior_unless_a_group_is_asked_for(fits):
    axes = panel(hr.plot_estimates(fits), "alpha")
    assert {"median old", "median young"} <= {line.get_label() for line in axes.lines}
    alone = panel(hr.plot_estimates({"mle": fits["mle"]}), "alpha")
    assert "median all" in {line.get_label() for line in alone.lines}


def test_point_fits_have_no_place_for_a_population(fits):
    axes = panel(hr.plot_estimates({"mle": fits["mle"]}), "alpha")
    assert [text.get_text() for text in axes.get_xticklabels()] == ["mle"]
    assert len(drawn(axes, "median all")) == 1


def test_parameters_are_chosen_by_name_or_by_arm(data):
    fit = hr.fit_convex(hr.model("rw", per_arm=True), data, **QUIET)
    assert [
        axes.get_label() for axes in hr.plot_estimates({"c": fit}, parameters=["beta", "alpha[B]"]).axes
    ] == ["beta[A]", "beta[B]", "alpha[B]"]
    with pytest.raises(ValueError, match="no parameter 'gamma'; it has alpha"):
        hr.plot_estimates({"c": fit}, parameters=["gamma"])


def test_arms_of_a_parameter_share_their_axis(data):
    fit = hr.fit_convex(hr.model("rw", per_arm=True), data, **QUIET)
    figure = hr.plot_estimates({"c": fit})
    assert panel(figure, "beta[A]").get_ylim() == panel(figure, "beta[B]").get_ylim()


def test_unknown_group_is_refused_with_those_that_are_there(fits):
    with pytest.raises(
        ValueError, match="group='sex' is not a covariate of the subjects. The data have group, age"
    ):
        hr.plot_estimates(fits, group="sex")


def test_covariate_with_too_many_levels_is_refused():
    many = xr.Dataset({"id": ("subject", np.arange(30))}, coords={"subject": np.arange(30)})
    with pytest.raises(ValueError, match="group='id' has 30 levels"):
        groups_of(many, "id")


def test_levels_keep_the_order_of_numbers_and_name_what_is_missing():
    data = xr.Dataset(
        {"dose": ("subject", [10.0, 2.0, 2.0]), "sex": ("subject", ["m", "", "f"])},
        coords={"subject": [0, 1, 2]},
    )
    assert groups_of(data, "dose").levels == ("2", "10")
    assert set(groups_of(data, "sex").levels) == {"m", "f", "unknown"}


def test_population_has_a_row_for_each_cell_and_an_axes_for_each_parameter(fits):
    figure = hr.plot_population(fits["posterior"])
    assert [axes.get_label() for axes in figure.axes] == ["alpha", "beta"]
    axes = panel(figure, "alpha")
    assert [text.get_text() for text in axes.get_yticklabels()] == ["old", "young"]
    for quantity in ("median", "mean"):
        draws = fits["posterior"]["population"][quantity].sel(parameter="alpha", cell="group=old").values
        assert drawn(axes, f"{quantity} group=old")[0, 0] == pytest.approx(np.median(draws))


@pytest.mark.parametrize("labels", [["alpha"], ["alpha", "beta"]])
def test_legends_lie_within_the_figure(fits, labels):
    figure = hr.plot_population(fits["posterior"], parameters=labels)
    figure.draw_without_rendering()
    assert figure.legends[0].get_window_extent().x1 <= figure.bbox.x1


def test_intervals_of_a_population_are_those_asked_for(fits):
    axes = panel(hr.plot_population(fits["posterior"], prob=0.8), "alpha")
    draws = fits["posterior"]["population"]["median"].sel(parameter="alpha", cell="group=old").values
    segments = [
        segment
        for found in axes.collections
        if isinstance(found, LineCollection)
        for segment in found.get_segments()
    ]
    wanted = np.quantile(draws, [0.1, 0.9])
    assert any(np.allclose(segment[:, 0], wanted) for segment in segments)


def test_densities_stay_within_bounds_and_agree_with_their_draws():
    rng = np.random.default_rng(0)
    for link, draws in (
        ("logit", rng.beta(1.5, 9, 4000)),
        ("log", rng.gamma(2, size=4000)),
        ("identity", rng.normal(size=4000)),
    ):
        x, density = density_of(draws, link)
        assert link != "logit" or (x > 0).all() and (x < 1).all()
        assert link != "log" or (x > 0).all()
        mass = np.trapezoid(density, x)
        assert np.trapezoid(x * density, x) / mass == pytest.approx(
            draws.mean(), abs=0.05 * draws.std() + 0.02
        )


def test_draws_that_are_all_alike_make_a_spike():
    x, density = density_of(np.full(20, 0.3), "logit")
    np.testing.assert_allclose(x, 0.3)
    assert density.max() == 1


def test_point_fit_has_no_population_to_plot(fits):
    with pytest.raises(ValueError, match="This is about the population, and this fit has none"):
        hr.plot_population(fits["mle"])


def test_trials_of_a_subject_are_told_completely(fits, data):
    figure = hr.plot_subject(fits["mle"], "s0", sessions="all")
    rows = np.flatnonzero(data["trial_subject"].values == "s0")
    choice, reward, scored = (data[name].values[rows] for name in ("choice", "reward", "scored"))
    x = np.arange(1, rows.size + 1)
    axes = panel(figure, "choices")
    np.testing.assert_array_equal(drawn(axes, "missed")[:, 0], x[choice < 0])
    np.testing.assert_array_equal(
        drawn(axes, "choices A")[:, 0], x[(choice == 0) & scored & np.isfinite(reward)]
    )
    np.testing.assert_array_equal(drawn(axes, "not scored B")[:, 0], x[(choice == 1) & ~scored])
    assert [text.get_text() for text in axes.get_yticklabels()] == ["A", "B", "missed"]


def test_stems_are_as_high_as_rewards(fits, data):
    figure = hr.plot_subject(fits["mle"], "s1", sessions="all")
    rows = np.flatnonzero(data["trial_subject"].values == "s1")
    choice, reward = data["choice"].values[rows], data["reward"].values[rows]
    stems = [found for found in panel(figure, "choices").collections if isinstance(found, LineCollection)]
    heights = np.concatenate([np.diff(np.array(found.get_segments())[:, :, 1]).ravel() for found in stems])
    told = np.concatenate([np.nan_to_num(reward[choice == arm]) for arm in (0, 1)])
    np.testing.assert_allclose(heights * np.abs(told).max(), told * np.abs(heights).max(), atol=1e-9)


def test_values_and_probabilities_are_the_latents(fits, data):
    figure = hr.plot_subject(fits["mle"], "s2", sessions="all")
    told = hr.latents(fits["mle"]).isel(trial=np.flatnonzero(data["trial_subject"].values == "s2"))
    for label, values in (
        ("value", told["value"].sel(arm="A")),
        ("probability", told["probability"].sel(arm="B")),
    ):
        arm = str(values["arm"].values)
        lines = [
            line for line in panel(figure, label).lines if line.get_color() == colour_of(["A", "B"])[arm]
        ]
        np.testing.assert_allclose(np.concatenate([line.get_ydata() for line in lines]), values)


def test_sessions_are_parted_and_lines_break_there(fits, data):
    figure = hr.plot_subject(fits["mle"], "s0", sessions="all")
    label = data["trial_session"].values[data["trial_subject"].values == "s0"]
    starts = np.flatnonzero(label[1:] != label[:-1]) + 1.5
    borders = [line.get_xdata()[0] for line in panel(figure, "value").lines if line.get_label() == "_session"]
    np.testing.assert_array_equal(borders, starts)
    assert (
        len([line for line in panel(figure, "value").lines if line.get_color() == COLOURS[0]])
        == starts.size + 1
    )


def test_sessions_are_chosen_by_label(fits, data):
    label = data["trial_session"].values[data["trial_subject"].values == "s0"]
    figure = hr.plot_subject(fits["mle"], "s0", sessions=int(label[-1]))
    assert figure.axes[0].get_xlim()[1] == pytest.approx((label == label[-1]).sum() + 0.5, abs=1)
    with pytest.raises(ValueError, match="Subject s0 has no session 99; it has"):
        hr.plot_subject(fits["mle"], "s0", sessions=99)


def test_posterior_of_a_subject_has_bands(fits):
    assert any(
        found.get_alpha() == pytest.approx(0.22)
        for found in panel(hr.plot_subject(fits["posterior"], "s0"), "value").collections
    )


def test_unknown_subject_is_refused_with_the_nearest(fits):
    with pytest.raises(ValueError, match="no subject 'S0' in this fit. Did you mean 's0'"):
        hr.plot_subject(fits["mle"], "S0")


@pytest.mark.parametrize("n_arms", [3, 4])
def test_more_arms_have_a_row_and_a_probability_each(n_arms):
    data = builders.random_behaviour(2, 20, n_arms, graded=True, seed=2)
    figure = hr.plot_subject(hr.fit_convex(MODEL, data, **QUIET), "s1")
    assert len([line for line in panel(figure, "probability").lines if line.get_label() in "ABCD"]) == n_arms


def test_models_with_two_outcome_channels_have_a_panel_for_each(data):
    model = hr.Model(channels=(hr.Channel("gain"), hr.Channel("loss", weight="beta_loss")))
    figure = hr.plot_subject(hr.fit_convex(model, data, **QUIET), "s0")
    assert [axes.get_label() for axes in figure.axes] == [
        "choices",
        "value gain",
        "value loss",
        "probability",
    ]


def test_numbered_arms_are_called_arms():
    data = builders.random_behaviour(1, 20, seed=2).assign_coords(arm=[0, 1])
    figure = hr.plot_subject(hr.fit_convex(MODEL, data, **QUIET), "s0")
    assert panel(figure, "probability").get_ylabel() == "P(arm 1)"


def test_a_lone_trial_is_a_dot():
    data = builders.random_behaviour(2, 12, gaps=False, seed=2)
    one = data.isel(trial=np.append(0, np.arange(12, 24)))
    figure = hr.plot_subject(hr.fit_convex(MODEL, one, **QUIET), "s0")
    assert panel(figure, "value").lines[0].get_marker() == "o"


def test_dots_are_the_free_kernel_in_raw_reward_units(kernels):
    figure = hr.plot_kernel(kernels["monotone"], "s0", lags=7)
    assert [axes.get_label() for axes in figure.axes] == ["reward", "choice"]
    for name in ("reward", "choice"):
        dots = drawn(panel(figure, name), "free kernel")
        kernel = kernels["monotone"]["relaxation"]["kernel"].sel(subject="s0", channel=name)
        np.testing.assert_array_equal(dots[:, 0], np.arange(1, 8))
        np.testing.assert_allclose(dots[:, 1], kernel.values[:7])


def test_curves_are_the_exponentials_of_both_fits(kernels):
    figure = hr.plot_kernel(kernels["monotone"], "s0", mle=kernels["mle"])
    for channel, rate, weight in (("reward", "alpha", "beta"), ("choice", "alpha_choice", "beta_choice")):
        for label, fit in (("convex", kernels["monotone"]), ("mle", kernels["mle"])):
            curve = drawn(panel(figure, channel), label)
            a, w = one(fit, rate), one(fit, weight)
            np.testing.assert_allclose(curve[:, 1], w * a * (1 - a) ** (curve[:, 0] - 1), atol=1e-12)


def test_kernel_and_its_curve_add_up_to_the_relaxed_and_the_fitted_logits(data):
    fit = hr.fit_convex(hr.model("forgetting_q"), data, relaxation="monotone", **QUIET)
    rows = np.flatnonzero(data["trial_subject"].values == "s3")
    session = data["trial_session"].values[rows]
    rows = rows[session == session[0]]
    axes = panel(hr.plot_kernel(fit, "s3", lags=rows.size), "reward")
    kernel = np.zeros(rows.size)
    dots = drawn(axes, "free kernel")
    kernel[: dots.shape[0]] = dots[:, 1]
    told, wanted = [], fit["relaxation"]["logit"].values[rows]
    past: list[np.ndarray] = []
    for choice, reward in zip(data["choice"].values[rows], data["reward"].values[rows], strict=True):
        told.append(sum((k * u for k, u in zip(kernel, past, strict=False)), np.zeros(2)))
        if choice >= 0 and np.isfinite(reward):
            past.insert(0, np.eye(2)[choice] * reward)
    difference = np.diff(np.array(told), axis=1)
    np.testing.assert_allclose(difference, np.diff(wanted, axis=1), atol=1e-6)


def test_arms_of_a_kernel_have_a_panel_each_and_one_scale(data):
    fit = hr.fit_convex(hr.model("rw", per_arm=True), data, relaxation="monotone", **QUIET)
    figure = hr.plot_kernel(fit, "s1")
    assert [axes.get_label() for axes in figure.axes] == ["reward[A]", "reward[B]"]
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()


def test_many_lags_have_a_logarithmic_axis(kernels):
    for lags, scale in ((12, "linear"), (35, "log")):
        assert hr.plot_kernel(kernels["monotone"], "s0", lags=lags).axes[0].get_xscale() == scale


def test_kernels_of_two_rates_have_two_curves_and_posteriors_their_mean(data):
    model = hr.Model(
        channels=(hr.Channel(rate=("up", "down")), hr.Channel("choice", rate=0.3, weight="kappa"))
    )
    fit = hr.fit_convex(model, data, relaxation="monotone", **QUIET)
    post = sampled.pretend_posterior(hr.fit_mle(model, data, **QUIET))
    figure = hr.plot_kernel(fit, "s0", mle=post)
    assert [axes.get_label() for axes in figure.axes] == ["reward"]
    curves = [line for line in figure.axes[0].lines if line.get_color() == COLOURS[1]]
    up, beta = (float(post["posterior"][name].sel(subject="s0").mean()) for name in ("up", "beta"))
    assert len(curves) == 2
    assert curves[0].get_ydata()[0] == pytest.approx(up * beta)


def test_fits_without_free_kernels_are_refused(kernels, fits):
    with pytest.raises(ValueError, match=r"This mle fit has no free kernels. Fit them first: hr.fit_convex"):
        hr.plot_kernel(kernels["mle"], "s0")
    with pytest.raises(ValueError, match="`mle` is a fit of other channels"):
        hr.plot_kernel(kernels["monotone"], "s0", mle=fits["mle"])
    with pytest.raises(ValueError, match="lags must be a positive number of lags; found 0"):
        hr.plot_kernel(kernels["monotone"], "s0", lags=0)
    with pytest.raises(ValueError, match="no subject 'S0' in this fit. Did you mean 's0'"):
        hr.plot_kernel(kernels["monotone"], "S0")


def test_text_is_never_smaller_than_print_allows(fits, kernels):
    for figure in [*all_plots(fits), hr.plot_kernel(kernels["monotone"], "s0", mle=kernels["mle"])]:
        assert min(text_sizes(figure)) >= SMALL


def test_axes_are_named_with_units(fits):
    estimates, population, subject = all_plots(fits)
    assert panel(estimates, "beta").get_ylabel() == "β (log-odds per unit of reward)"
    assert panel(population, "alpha").get_xlabel() == "α (rate, 0 to 1)"
    assert subject.axes[-1].get_xlabel() == "trial"


def test_plots_leave_pyplot_and_its_settings_alone(fits):
    before = dict(mpl.rcParams)
    all_plots(fits)
    assert pyplot.get_fignums() == []
    assert dict(mpl.rcParams) == before


def test_plots_go_into_a_given_figure_or_a_part_of_it(fits):
    own = Figure(figsize=(8, 4), layout="constrained")
    left, right = own.subfigures(1, 2)
    assert hr.plot_estimates(fits, figure=left) is left
    hr.plot_population(fits["posterior"], figure=right)
    assert len(left.axes) == len(right.axes) == 2
    own.canvas.draw()


def test_notebooks_show_the_figure_once(fits):
    assert hr.plot_population(fits["posterior"])._repr_png_().startswith(b"\x89PNG")


def test_size_of_a_new_figure_can_be_asked_for(fits):
    assert hr.plot_subject(fits["mle"], "s0", figsize=(5, 4)).get_size_inches().tolist() == [5, 4]


def test_rates_have_the_whole_axis_unless_they_lie_close_together():
    assert (scale_of(RATE, [0.1, 0.9]).low, scale_of(RATE, [0.1, 0.9]).high) == (0, 1)
    close = scale_of(RATE, [0.40, 0.42])
    assert 0.3 < close.low < 0.40 and 0.42 < close.high < 0.5


def test_weights_over_orders_of_magnitude_have_a_logarithmic_axis():
    assert scale_of(WEIGHT, np.geomspace(0.01, 30, 40)).kind == "log"
    assert scale_of(WEIGHT, np.linspace(1, 5, 40)).kind == "linear"


def test_far_out_weights_do_not_stretch_an_axis_and_are_marked_at_its_end(data, fits):
    values = np.append(np.linspace(-4, -2, 30), [50.0, -50.0])
    scale = scale_of(SIGNED, values)
    assert -10 < scale.low < -4 and -2 < scale.high < 4
    assert scale.beyond(values)[-2:].tolist() == [1, -1]
    assert scale.inside(values)[-2:].tolist() == [scale.high, scale.low]


def test_zeros_are_marked_below_a_logarithmic_axis():
    scale = scale_of(WEIGHT, np.append(np.geomspace(0.01, 30, 40), 0.0))
    assert scale.beyond([0.0]).tolist() == [-1]


@pytest.mark.parametrize("values", [[], [np.nan], [0.5], [0.0, 0.0]])
@pytest.mark.parametrize("parameter", [RATE, WEIGHT, SIGNED])
def test_every_axis_has_some_length(parameter, values):
    scale = scale_of(parameter, values)
    assert scale.high > scale.low


def test_parameters_are_named_in_symbols():
    assert title_of("alpha_choice[A]") == "α choice [A]"
    assert title_of("bias[B]") == "bias [B]"
    assert name_with_unit("kappa", SIGNED) == "κ (log-odds)"


def test_groups_beyond_the_palette_differ_in_their_marker():
    levels = [str(i) for i in range(12)]
    looks = set(zip(colour_of(levels).values(), marker_of(levels).values(), strict=True))
    assert len(looks) == 12
