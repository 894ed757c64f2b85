"""Weak and empirical priors: what they say, against quadrature, and where data say too little."""

import json

import numpy as np
import pytest
from builders import random_behaviour
from learners import learners, population
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import norm

import hierrl as hr
from hierrl.fits import build_fit
from hierrl.formulas import design_matrices
from hierrl.kernels.problem import prepare
from hierrl.prior import Prior, estimate
from hierrl.prior.empirical import empirical_priors

ONE = hr.Model(channels=(hr.Channel(rate=0.4, unchosen="decay"),))  # beta only
TWO = hr.model("forgetting_q")


@pytest.fixture(scope="module")
def twenty():
    alpha, beta = population([0.0, 1.2], [0.8, 0.5], 20, seed=1)
    group = np.array(["a", "b"])[np.arange(20) % 2]
    age = np.random.default_rng(2).normal(40, 10, 20)
    return learners(alpha, beta, n_trials=120, seed=2, group=group, age=age)


def term(prior: Prior, label: str, coefficient: str):
    role = coefficient if coefficient == "log_sigma" else "mu"
    name = "" if role == "log_sigma" else coefficient
    return next(t for t in prior.terms if (t.parameter, t.role, t.coefficient) == (label, role, name))


def point_fit(data, theta):
    """A fit of `TWO` with the estimates theta (S, 2), wherever they came from."""
    problem = prepare(TWO, data)
    return build_fit(problem, data, np.broadcast_to(theta, (problem.n_subjects, 2)), stats={}, settings={})


# Weak priors


def test_a_weak_prior_has_a_number_for_every_coefficient_and_spread():
    data = random_behaviour(8, 20, 3, rich=True)
    model = hr.model("subvalue", bias=True, lapse=True, start="start")
    prior = hr.weak_prior(model, data, formula={"alpha": "1 + group * age", "bias": "1 + group"})
    designs = design_matrices(model, data, prior.formula)
    assert prior.labels == tuple(designs)
    for label, design in designs.items():
        names, loc, scale = prior.mu(label)
        assert names == design.names
        assert np.isfinite(loc).all()
        assert (scale > 0).all()
        assert prior.log_sigma(label)[1] > 0
    mean, sd = prior.centre(designs)
    assert mean.shape == sd.shape == (8, len(designs))


def test_slopes_are_centred_at_zero_and_follow_the_size_of_the_covariate(twenty):
    prior = hr.weak_prior(TWO, twenty, formula="1 + group + age")
    wider = hr.weak_prior(TWO, twenty.assign(age=10 * twenty["age"]), formula="1 + group + age")
    names, loc, scale = prior.mu("alpha")
    assert names == ("Intercept", "group[b]", "age")
    np.testing.assert_array_equal(loc[1:], 0.0)
    np.testing.assert_allclose(wider.mu("alpha")[2], scale / [1, 1, 10])


def test_a_rate_of_the_weak_prior_is_about_uniform(twenty):
    prior = hr.weak_prior(TWO, twenty)
    rng = np.random.default_rng(0)
    _, loc, scale = prior.mu("alpha")
    sigma = np.exp(rng.normal(*prior.log_sigma("alpha"), 20_000))
    eta = rng.normal(loc[0], scale[0], 20_000) + sigma * rng.normal(size=20_000)
    share = np.histogram(1 / (1 + np.exp(-eta)), np.linspace(0, 1, 6))[0] / 20_000
    assert share.min() > 0.12
    assert share.max() < 0.32


def test_weights_of_columns_follow_the_size_of_the_column():
    data = random_behaviour(4, 20, 2, rich=True, gaps=False)
    larger = data.assign(points=100 * data["points"], side=100 * data["side"])
    parts = (hr.Channel(), hr.Channel("points", rate="decay", weight="effect"))
    model = hr.Model(channels=parts, regressors=(hr.Regressor("side"),))
    small, large = hr.weak_prior(model, data), hr.weak_prior(model, larger)
    shift = term(large, "effect", "Intercept").loc - term(small, "effect", "Intercept").loc
    assert shift == pytest.approx(-np.log(100))
    side = [term(prior, "weight_side", "Intercept") for prior in (small, large)]
    assert side[1].scale == pytest.approx(side[0].scale / 100)
    spreads = [prior.log_sigma("weight_side")[0] for prior in (small, large)]
    assert spreads[1] - spreads[0] == pytest.approx(-np.log(100))


def test_the_start_value_has_its_prior_in_the_range_of_the_signal():
    data = random_behaviour(4, 60, 2, graded=True)
    problem = prepare(hr.model("rw", start="start"), data)
    k = problem.labels.index("start")
    found = term(hr.weak_prior(problem.model, data), "start", "Intercept")
    middle, half = (problem.upper[k] + problem.lower[k]) / 2, (problem.upper[k] - problem.lower[k]) / 2
    assert (found.loc, found.scale) == (pytest.approx(middle), pytest.approx(half))


# The table, JSON, the user's numbers


def test_the_table_shows_every_number_in_raw_reward_units():
    data = random_behaviour(4, 40, 2, graded=True)
    prior = hr.weak_prior(hr.model("rw", bias=True), data)
    table = prior.table.set_index(["parameter", "role"])
    assert len(table) == len(prior.terms) == 6
    beta = table.loc[("beta", "mu")]
    assert beta["middle"] == pytest.approx(3.0 / prior.reward_scale)
    assert beta["high"] == pytest.approx(np.exp(np.log(3) + 1.96 * 1.5) / prior.reward_scale, rel=1e-3)
    assert table.loc[("alpha", "mu"), "middle"] == pytest.approx(0.5)
    assert table.loc[("alpha", "log_sigma"), "middle"] == pytest.approx(1.0)


def test_a_prior_survives_json(twenty):
    prior = hr.empirical_prior(TWO, twenty, formula={"alpha": "1 + group"})
    assert Prior.from_json(prior.to_json()) == prior
    assert json.loads(prior.to_json())["settings"]["widen"] == 5.0


def test_the_user_can_change_any_number(twenty):
    weak = hr.weak_prior(TWO, twenty, formula={"alpha": "1 + group"})
    mine = weak.changed("alpha", "group[b]", scale=0.3).changed("beta", "log_sigma", loc=-1.0)
    assert mine.kind == "user"
    assert mine.mu("alpha")[2].tolist() == [1.5, 0.3]
    assert mine.log_sigma("beta")[0] == -1.0
    assert weak.mu("alpha")[2].tolist() == [1.5, 1.0]
    with pytest.raises(ValueError, match=r"no coefficient 'slope'; it has Intercept, group\[b\], log_sigma"):
        weak.changed("alpha", "slope", loc=0.0)
    with pytest.raises(ValueError, match="positive scale"):
        weak.changed("alpha", "Intercept", scale=0.0)
    with pytest.raises(KeyError, match="no parameter 'gamma'"):
        weak.changed("gamma", "Intercept", loc=0.0)


# Empirical priors


def marginal_optimum(model: hr.Model, data) -> tuple[np.ndarray, np.ndarray]:
    """The optimum over (mu, log sigma) and its standard errors for one parameter, by quadrature."""
    problem, weak = prepare(model, data), hr.weak_prior(model, data)
    grid = np.linspace(-6, 8, 1501)
    loglik = np.stack(
        [problem.link_derivatives(np.full((problem.n_subjects, 1), x), order=0)[0] for x in grid]
    )
    loc = np.array([weak.mu("beta")[1][0], weak.log_sigma("beta")[0]])
    scale = np.array([weak.mu("beta")[2][0], weak.log_sigma("beta")[1]])

    def negative(x):
        log_joint = loglik + norm.logpdf(grid, x[0], np.exp(x[1]))[:, None] + np.log(grid[1] - grid[0])
        return -np.sum(logsumexp(log_joint, axis=0)) - norm.logpdf(x, loc, scale).sum()

    best, step = minimize(negative, loc, method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-8}).x, 1e-3
    curvature = np.empty((2, 2))
    for i, j in np.ndindex(2, 2):
        a, b = step * np.eye(2)[i], step * np.eye(2)[j]
        corners = (
            negative(best + a + b) - negative(best + a - b) - negative(best - a + b) + negative(best - a - b)
        )
        curvature[i, j] = corners / (4 * step**2)
    return best, np.sqrt(np.diag(np.linalg.inv(curvature)))


def test_the_centre_is_the_optimum_of_the_marginal_likelihood():
    alpha, beta = population([0.0, 1.0], [0.0, 0.7], 20, seed=3)
    data = learners(alpha, beta, n_trials=80, seed=4)
    best, error = marginal_optimum(ONE, data)
    prior = hr.empirical_prior(ONE, data, widen=2.0)
    found = [term(prior, "beta", "Intercept"), term(prior, "beta", "log_sigma")]
    np.testing.assert_allclose([t.loc for t in found], best, atol=0.02)
    np.testing.assert_allclose([t.scale for t in found], 2 * error, rtol=0.03)
    assert {t.source for t in found} == {"empirical"}


def test_the_optimum_does_not_depend_on_start_or_seed(twenty):
    plain = hr.empirical_prior(TWO, twenty)
    for other in (
        hr.empirical_prior(TWO, twenty, start=point_fit(twenty, [0.9, 8.0])),
        hr.empirical_prior(TWO, twenty, random_seed=5),
    ):
        for mine, theirs in zip(plain.terms, other.terms, strict=True):
            assert abs(mine.loc - theirs.loc) < 0.1 * mine.scale / 5
            assert mine.scale == pytest.approx(theirs.scale, rel=0.1)


def test_the_same_seed_gives_the_same_prior(twenty):
    assert hr.empirical_prior(TWO, twenty, random_seed=3) == hr.empirical_prior(TWO, twenty, random_seed=3)


def test_slopes_and_contrasts_never_get_an_empirical_centre(twenty):
    formula = {"alpha": "1 + group * age", "beta": "1 + age"}
    prior, weak = (make(TWO, twenty, formula=formula) for make in (hr.empirical_prior, hr.weak_prior))
    for mine, plain in zip(prior.terms, weak.terms, strict=True):
        if mine.role == "mu" and not mine.is_level:
            assert (mine.loc, mine.scale, mine.source) == (0.0, plain.scale, "weak")
    assert term(prior, "alpha", "Intercept").source == "empirical"


def test_groups_without_an_intercept_share_a_centre_and_keep_room_to_differ():
    alpha, beta = population([0.0, 1.2], [0.5, 0.4], 30, seed=5)
    group = np.arange(30) % 2
    data = learners(alpha, beta * np.exp(group), n_trials=100, seed=6, group=np.array(["a", "b"])[group])
    prior = hr.empirical_prior(TWO, data, formula={"beta": "0 + group"})
    _, loc, scale = prior.mu("beta")
    assert loc[0] == loc[1]
    assert (np.sqrt(2) * scale > 1.0).all()


def test_rewards_in_other_units_give_the_same_prior(twenty):
    mine = hr.empirical_prior(TWO, twenty)
    larger = hr.empirical_prior(TWO, twenty.assign(reward=50 * twenty["reward"]))
    assert larger.reward_scale == 50 * mine.reward_scale
    for a, b in zip(mine.terms, larger.terms, strict=True):
        assert (a.loc, a.scale) == (pytest.approx(b.loc, abs=1e-6), pytest.approx(b.scale, abs=1e-6))
    rows = [prior.table.query("parameter == 'beta' and role == 'mu'") for prior in (mine, larger)]
    assert rows[0]["middle"].item() == pytest.approx(50 * rows[1]["middle"].item(), rel=1e-6)


def sane(prior: Prior) -> bool:
    """No number farther than the weak prior may be, no scale zero, infinite or beyond its cap."""
    limits = {"mu": (8.0, 3.0), "log_sigma": (3.5, 1.4)}
    return all(
        abs(t.loc) < limits[t.role][0] and 0 < t.scale <= limits[t.role][1] + 1e-9 for t in prior.terms
    )


@pytest.mark.parametrize("n", [1, 2])
def test_too_few_subjects_get_the_weak_prior_and_are_told(n):
    data = learners(np.full(n, 0.5), np.full(n, 3.0), n_trials=50)
    prior = hr.empirical_prior(TWO, data)
    assert prior.kind == "empirical"
    assert {t.source for t in prior.terms} == {"weak"}
    assert "Fewer than 3 subjects" in prior.notes[0]


@pytest.mark.parametrize("n", [3, 5])
def test_few_subjects_give_a_wide_prior(n):
    alpha, beta = population([0.0, 1.0], [1.0, 0.5], n, seed=7)
    prior = hr.empirical_prior(TWO, learners(alpha, beta, n_trials=60, seed=8))
    assert sane(prior)
    assert min(t.scale for t in prior.terms if t.role == "mu") > 0.5


def test_subjects_who_are_all_alike_do_not_make_the_spread_vanish():
    data = learners(np.full(30, 0.5), np.full(30, 3.0), n_trials=60, seed=9)
    prior = hr.empirical_prior(TWO, data)
    assert sane(prior)
    for label in prior.labels:
        loc, scale = prior.log_sigma(label)
        assert loc + 1.96 * scale > np.log(0.4)  # a usual spread stays possible


def test_a_spread_that_data_bound_from_above_only_keeps_its_weak_prior():
    # All subjects are alike: the likelihood has no optimum in the spread, it grows toward 0.
    data = learners(np.full(30, 0.5), np.full(30, 3.0), n_trials=60, seed=9)
    prior, weak = hr.empirical_prior(TWO, data), hr.weak_prior(TWO, data)
    for label in prior.labels:
        assert prior.log_sigma(label) == weak.log_sigma(label)
        assert any(
            note.startswith(f"Weak prior for {label} (spread): the data bound it from above only")
            for note in prior.notes
        )


def test_a_spread_that_data_know_from_both_sides_gets_its_empirical_prior():
    alpha, beta = population([0.0, 1.2], [0.8, 0.5], 40, seed=1)
    prior = hr.empirical_prior(TWO, learners(alpha, beta, n_trials=200, seed=2), widen=3.0)
    assert {t.source for t in prior.terms} == {"empirical"}
    assert prior.notes == ()


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 4.0), (0.0, 3.0), (0.5, 0.0), (0.5, 500.0)])
def test_subjects_who_are_all_at_a_bound_do_not_make_nonsense(alpha, beta):
    data = learners(np.full(12, alpha), np.full(12, beta), n_trials=60, seed=10)
    prior = hr.empirical_prior(TWO, data, start=point_fit(data, [alpha, min(beta, 50.0)]))
    assert sane(prior)


def test_where_the_data_say_too_little_the_weak_prior_stays_and_a_note_says_why():
    data = learners(np.full(4, 0.5), np.full(4, 3.0), n_trials=12, seed=11)
    data["scored"] = data["scored"] & (data["trial_number"] < 2)
    prior, weak = hr.empirical_prior(TWO, data), hr.weak_prior(TWO, data)
    assert [(t.loc, t.scale) for t in prior.terms] == [(t.loc, t.scale) for t in weak.terms]
    assert "Weak prior for alpha (Intercept): the data say too little" in prior.notes[0]


def test_subjects_whose_weights_fail_are_left_out_and_named(twenty, monkeypatch):
    whole = estimate.diagnose

    def failing(points, mean, sd):
        size, k_hat = whole(points, mean, sd)
        return size, np.where(np.arange(20) == 4, 1.5, k_hat)

    monkeypatch.setattr(estimate, "diagnose", failing)
    prior = hr.empirical_prior(TWO, twenty)
    assert prior.notes[0].startswith("Left out, as their importance weights failed")
    assert prior.notes[0].endswith("subjects 4.")
    assert sane(prior)


def test_when_most_weights_fail_laplace_em_takes_over_and_says_so(twenty, monkeypatch):
    sampled = hr.empirical_prior(TWO, twenty)
    monkeypatch.setattr(estimate, "diagnose", lambda points, mean, sd: (None, np.full(20, 2.0)))
    prior = hr.empirical_prior(TWO, twenty)
    assert "Laplace-EM" in prior.notes[0]
    assert sane(prior)
    for mine, theirs in zip(prior.terms, sampled.terms, strict=True):
        assert abs(mine.loc - theirs.loc) < theirs.scale


def test_many_parameters_work():
    data = random_behaviour(10, 40, 3)
    prior = hr.empirical_prior(hr.model("subvalue", per_arm=True, bias=True), data)
    assert len(prior.labels) == 14
    assert all(np.isfinite(t.loc) and t.scale > 0 for t in prior.terms)


def test_wrong_arguments_are_refused_in_words(twenty):
    with pytest.raises(ValueError, match="widen= must be a positive number"):
        hr.empirical_prior(TWO, twenty, widen=0.0)
    fit = point_fit(learners(np.full(3, 0.5), np.full(3, 3.0), n_trials=20), [0.5, 3.0])
    with pytest.raises(ValueError, match="start= was fitted to other subjects"):
        hr.empirical_prior(TWO, twenty, start=fit)
    with pytest.raises(ValueError, match="a fit without the parameter 'alpha_choice'"):
        hr.empirical_prior(hr.model("subvalue"), twenty, start=fit)


@pytest.mark.slow
def test_known_populations_are_recovered_within_two_standard_errors():
    mean, sd = np.array([-0.5, 1.2]), np.array([0.8, 0.4])
    truth = [mean[0], np.log(sd[0]), mean[1], np.log(sd[1])]
    inside = []
    for seed in range(40):
        alpha, beta = population(mean, sd, 50, seed=seed)
        prior = hr.empirical_prior(TWO, learners(alpha, beta, n_trials=200, seed=1000 + seed))
        inside.append(
            [abs(t.loc - true) < 2 * t.scale / 5 for t, true in zip(prior.terms, truth, strict=True)]
        )
    assert np.mean(inside, axis=0).min() > 0.85


# Numbers of the user's own, groups with their own spreads


def test_numbers_can_be_given_as_an_interval_on_the_natural_scale():
    data = random_behaviour(4, 40, 2, graded=True)
    prior = hr.weak_prior(hr.model("rw", bias=True), data).updated(
        {
            "alpha": {"Intercept": {"low": 0.1, "high": 0.7}, "log_sigma": {"low": 0.5, "high": 2.0}},
            "beta": {"Intercept": {"low": 0.01, "high": 0.5}},
            "bias": {"Intercept": {"low": -1.0, "high": 1.0}},
        }
    )
    table = prior.table.set_index(["parameter", "role"])
    for place, low, high in (
        (("alpha", "mu"), 0.1, 0.7),
        (("alpha", "log_sigma"), 0.5, 2.0),
        (("beta", "mu"), 0.01, 0.5),
        (("bias[B]", "mu"), -1.0, 1.0),
    ):
        row = table.loc[place]
        assert (row["low"], row["high"], row["source"]) == (pytest.approx(low), pytest.approx(high), "user")
    assert table.loc[("beta", "log_sigma"), "source"] == "weak"


def test_a_parameter_per_arm_is_changed_for_all_arms_or_for_one(twenty):
    prior = hr.weak_prior(hr.model("rw", per_arm=True), twenty)
    arms = [f"alpha[{arm}]" for arm in twenty["arm"].values]
    all_arms = prior.changed("alpha", "Intercept", loc=-1.0)
    assert [all_arms.mu(label)[1].item() for label in arms] == [-1.0, -1.0]
    one = prior.changed(arms[1], "Intercept", loc=-1.0)
    assert [one.mu(label)[1].item() for label in arms] == [0.0, -1.0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"low": 0.5}, "takes loc= and scale=.*or low= and high="),
        ({"low": 0.1, "high": 0.9, "scale": 1.0}, "takes loc= and scale="),
        ({"mean": 0.0}, "takes loc= and scale="),
        ({}, "takes loc= and scale="),
        ({"low": 0.7, "high": 0.1}, "low < high where the number can be"),
        ({"low": -0.1, "high": 0.5}, "whose natural scale is: median of the population"),
    ],
)
def test_numbers_that_make_no_prior_are_refused(twenty, given, message):
    with pytest.raises(ValueError, match=message):
        hr.weak_prior(TWO, twenty).updated({"alpha": {"Intercept": given}})


def test_groups_may_have_priors_of_their_own_for_their_spreads(twenty):
    prior = hr.weak_prior(TWO, twenty, spread_by="group")
    assert prior.groups == ("a", "b")
    assert prior.log_sigma("alpha", "a") == prior.log_sigma("alpha", "b") == (0.0, 0.7)
    both = prior.changed("alpha", "log_sigma", loc=-1.0)
    assert [both.log_sigma("alpha", group)[0] for group in "ab"] == [-1.0, -1.0]
    one = prior.changed("alpha", "log_sigma[b]", loc=-1.0)
    assert [one.log_sigma("alpha", group)[0] for group in "ab"] == [0.0, -1.0]
    assert Prior.from_json(one.to_json()) == one


def test_spreads_of_groups_share_an_empirical_centre_and_keep_room_to_differ(twenty):
    pooled = hr.empirical_prior(TWO, twenty, widen=1.0)
    prior = hr.empirical_prior(TWO, twenty, spread_by="group", widen=1.0)
    for label in prior.labels:
        loc, scale = pooled.log_sigma(label)
        for group in "ab":
            assert prior.log_sigma(label, group)[0] == loc
            assert prior.log_sigma(label, group)[1] == pytest.approx(np.hypot(scale, 0.35))
    mean, sd = prior.centre(design_matrices(TWO, twenty, spread_by="group"))
    assert mean.shape == sd.shape == (20, 2)


def test_several_widths_are_those_of_one_estimate(twenty):
    one, five = empirical_priors(TWO, twenty, widens=(1.0, 5.0))
    assert five == hr.empirical_prior(TWO, twenty)
    both = [pair for pair in zip(one.terms, five.terms, strict=True) if pair[1].source == "empirical"]
    assert both
    for narrow, wide in both:
        assert narrow.loc == wide.loc
        assert narrow.scale == pytest.approx(wide.scale / 5)


def test_no_empirical_prior_is_flatter_than_the_weak_one(twenty):
    weak = hr.weak_prior(TWO, twenty)
    for prior in empirical_priors(TWO, twenty, widens=(1.0, 3.0, 5.0, 50.0)):
        for term, flat in zip(prior.terms, weak.terms, strict=True):
            assert term.scale <= flat.scale
            if term.source == "weak":
                assert (term.loc, term.scale) == (flat.loc, flat.scale)
                assert term.note


def test_the_table_of_a_prior_is_a_dataset_too(twenty):
    prior = hr.weak_prior(TWO, twenty, spread_by="group")
    found = prior.to_dataset()
    assert found["term"].values.tolist() == [
        "alpha: Intercept", "alpha: log_sigma[a]", "alpha: log_sigma[b]",
        "beta: Intercept", "beta: log_sigma[a]", "beta: log_sigma[b]",
    ]  # fmt: skip
    np.testing.assert_array_equal(found["scale"], prior.table["scale"])
