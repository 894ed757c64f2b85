"""Maximum likelihood: optimal on its problem, honest about edges, and where it may start."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pandas as pd
import pytest
from builders import random_behaviour
from scipy.optimize import minimize_scalar
from scipy.special import expit

import hierrl as hr
from hierrl.convex import hull
from hierrl.kernels import newton
from hierrl.kernels.newton import maximise
from hierrl.kernels.problem import prepare
from hierrl.kernels.threads import over_subjects


@pytest.fixture(scope="module")
def study():
    task = hr.Bandit(odds=(0.8, 0.2), n_trials=150, reverse_every=30, missed=0.03)
    truth = {"alpha": np.linspace(0.15, 0.7, 8), "beta": np.linspace(1.5, 5, 8)}
    return hr.simulate(hr.model("rw"), task, truth, n_subjects=8, random_seed=11)


def brute_force(data, subject: str) -> float:
    """Best log-likelihood of rw for one subject: a grid of rates, scipy in the weight, a plain loop for the
    choices.
    """
    rows = data["trial_subject"].values == subject
    choice, reward = data["choice"].values[rows], data["reward"].values[rows]
    session = data["trial_session"].values[rows]

    def differences(alpha: float) -> np.ndarray:
        q, found = np.zeros(2), np.zeros(choice.size)
        for t in range(choice.size):
            if t == 0 or session[t] != session[t - 1]:
                q[:] = 0
            found[t] = q[1] - q[0]
            if choice[t] >= 0 and np.isfinite(reward[t]):
                q[choice[t]] += alpha * (reward[t] - q[choice[t]])
        return found

    def loss(beta: float, d: np.ndarray) -> float:
        p = expit(beta * d)
        return -np.log(np.where(choice == 1, p, 1 - p)[choice >= 0]).sum()

    def best_at(alpha: float) -> float:
        d = differences(alpha)
        return -minimize_scalar(
            loss, bounds=(0, 50), args=(d,), method="bounded", options={"xatol": 1e-8}
        ).fun

    grid = np.linspace(0.01, 1, 60)
    top = grid[np.argmax([best_at(a) for a in grid])]
    fine = minimize_scalar(
        lambda a: -best_at(a), bounds=(max(top - 0.03, 0), min(top + 0.03, 1)), method="bounded"
    )
    return -fine.fun


def test_the_maximum_is_that_of_brute_force(study):
    fit = hr.fit_mle(hr.model("rw"), study, progress=False)
    for subject in study["subject"].values[:3]:
        best = float(fit["fit_stats"]["loglik"].sel(subject=subject))
        assert best == pytest.approx(brute_force(study, subject), abs=1e-4)


def test_estimates_order_as_they_must(study):
    for name in ("rw", "forgetting_q", "subvalue"):
        quick = hr.fit_convex(hr.model(name), study, progress=False)
        fit = hr.fit_mle(hr.model(name), study, start=quick, progress=False)
        best = fit["fit_stats"]["loglik"].values
        assert (fit["fit_stats"]["bound"].values >= best - 1e-7).all()
        assert (best >= quick["fit_stats"]["loglik"].values - 1e-9).all()


def test_the_gradient_vanishes_inside_and_points_outward_on_bounds(study):
    fit = hr.fit_mle(model := hr.model("subvalue", bounds={"beta": (0.0, 2.0)}), study, progress=False)
    problem = prepare(model, study)
    theta = problem.pack(fit["posterior"].to_dataset())[0, 0]
    gradient = problem.derivatives(theta, order=1)[1]
    low, high = theta <= problem.lower, theta >= problem.upper
    inside = ~low & ~high
    assert np.abs(gradient[inside] * (problem.upper - problem.lower)[np.nonzero(inside)[1]]).max() < 2e-2
    assert (gradient[low] <= 1e-6).all() and (gradient[high] >= -1e-6).all()
    np.testing.assert_array_equal(fit["fit_stats"]["at_bound"].values, low | high)


def test_standard_errors_are_those_of_the_information_on_the_link_scale(study):
    fit = hr.fit_mle(model := hr.model("rw"), study, progress=False)
    problem = prepare(model, study)
    theta = problem.pack(fit["posterior"].to_dataset())[0, 0]
    eta, step = problem.to_link(theta), 1e-4
    for s in range(2):
        information = np.empty((2, 2))
        for a in range(2):
            for b in range(2):
                corners = 0.0
                for sign_a in (1, -1):
                    for sign_b in (1, -1):
                        moved = eta.copy()
                        moved[s, a] += sign_a * step
                        moved[s, b] += sign_b * step
                        corners += sign_a * sign_b * problem.loglik(problem.from_link(moved))[s]
                information[a, b] = -corners / (4 * step**2)
        expected = np.sqrt(np.linalg.inv(information).diagonal())
        np.testing.assert_allclose(fit["fit_stats"]["se"].values[s], expected, rtol=1e-3)


def test_any_fit_of_the_model_may_be_a_start(study):
    model = hr.model("rw")
    plain = hr.fit_mle(model, study, progress=False)
    train, _ = hr.split(study, last=0.25)
    early = hr.fit_mle(model, train, progress=False)
    again = hr.fit_mle(model, study, start=early, progress=False)
    np.testing.assert_allclose(again["fit_stats"]["loglik"], plain["fit_stats"]["loglik"], atol=1e-7)
    # The bound of a fit to other trials does not hold here, and is not passed on.
    np.testing.assert_allclose(again["fit_stats"]["bound"], plain["fit_stats"]["bound"], atol=1e-6)


def test_a_start_of_another_model_is_refused(study):
    other = hr.fit_convex(hr.model("subvalue"), study, progress=False)
    with pytest.raises(ValueError, match="is a fit of a model with alpha, beta, alpha_choice"):
        hr.fit_mle(hr.model("rw"), study, start=other, progress=False)
    with pytest.raises(TypeError, match="A fit is the DataTree"):
        hr.fit_mle(hr.model("rw"), study, start=study, progress=False)


def test_rewards_in_other_units_give_the_same_fit(study):
    points = study.assign(reward=study["reward"] * 40.0)
    one, other = (hr.fit_mle(hr.model("rw"), data, progress=False) for data in (study, points))
    np.testing.assert_allclose(one["fit_stats"]["loglik"], other["fit_stats"]["loglik"], atol=1e-7)
    np.testing.assert_allclose(one["posterior"]["beta"], 40 * other["posterior"]["beta"], rtol=1e-3)


def test_newton_with_held_parameters_leaves_them_alone():
    problem = prepare(hr.model("forgetting_q"), random_behaviour(4, 60, 2, seed=3))
    start = np.tile([0.37, 1.0], (4, 1))
    result = maximise(problem, start, free=[False, True])
    assert (result.theta[:, 0] == 0.37).all() and result.done.all()


def test_an_interrupt_keeps_what_is_done():
    finished = np.zeros(40, dtype=bool)

    def work(subjects):
        if subjects.max() >= 38:
            raise KeyboardInterrupt
        finished[subjects] = True

    with pytest.raises(KeyboardInterrupt):
        over_subjects(work, np.ones(40), cores=2)
    finished[:] = False
    outcome = over_subjects(work, np.ones(40), cores=2, keep=True)
    assert not outcome.done[-1]
    np.testing.assert_array_equal(outcome.done, finished)


def test_a_fit_that_was_interrupted_goes_on_to_serve_for_those_it_has(study, monkeypatch):
    """Who was left out has no estimate and no score, and stops nobody else."""
    quick = hr.fit_convex(hr.model("rw"), study, progress=False)
    climb = newton.climb_batch

    def interrupted(tables, trials, subjects, *rest):
        if 3 in subjects:
            raise KeyboardInterrupt
        climb(tables, trials, subjects, *rest)

    monkeypatch.setattr(newton, "climb_batch", interrupted)
    with pytest.warns(UserWarning, match="of 8 subjects did not converge"):
        fit = hr.fit_mle(hr.model("rw"), study, start=quick, progress=False, cores=2)
    monkeypatch.undo()
    stats, left_out = fit["fit_stats"].to_dataset(), np.isnan(fit["posterior"]["alpha"].values[0, 0])
    assert left_out[3]
    assert not left_out.all()
    for name in ("loglik", "gap"):
        np.testing.assert_array_equal(np.isnan(stats[name].values), left_out)
    assert all("interrupted" in text for text in stats["status"].values[left_out])
    scores = hr.log_likelihood(fit, by="subject").values[0, 0]
    np.testing.assert_allclose(scores, stats["loglik"].values, atol=1e-9)
    rows = np.isin(study["trial_subject"].values, study["subject"].values[left_out])
    np.testing.assert_array_equal(np.isnan(hr.latents(fit)["probability"].values).any(axis=1), rows)
    with pytest.raises(
        ValueError, match=r"subjects of this fit have no estimates \(the first: .*data= takes"
    ):
        hr.predictive_check(fit)
    prior, usual = (hr.empirical_prior(hr.model("rw"), study, start=start) for start in (fit, quick))
    np.testing.assert_allclose(prior.table["loc"], usual.table["loc"], atol=0.05)


@pytest.mark.parametrize("name", ["rw", "pvl_delta"])
def test_who_is_left_out_of_the_relaxation_is_not_given_an_idle_estimate(study, name, monkeypatch):
    """Neither by the convex fit nor by the maximum likelihood that begins with it; a later fit takes them up again."""
    model, solve = hr.model(name), hull.solve_batch

    def interrupted(tables, trials, tasks, *rest):
        if 3 in rest[0][tasks]:
            raise KeyboardInterrupt
        solve(tables, trials, tasks, *rest)

    monkeypatch.setattr(hull, "solve_batch", interrupted)
    for fitted in (hr.fit_convex, hr.fit_mle):
        with pytest.warns(UserWarning, match="of 8 subjects did not converge"):
            fit = fitted(model, study, progress=False, cores=2)
        stats, alpha = fit["fit_stats"].to_dataset(), fit["posterior"]["alpha"].values[0, 0]
        left_out = np.array(["Not fitted: interrupted." in text for text in stats["status"].values])
        assert left_out[3]
        for values in (alpha, stats["loglik"].values, stats["bound"].values):
            np.testing.assert_array_equal(np.isnan(values), left_out)
        assert not stats["converged"].values[left_out].any()
        if fitted is hr.fit_convex:
            partly = fit
    monkeypatch.undo()
    whole = hr.fit_mle(model, study, start=partly, progress=False)
    assert np.isfinite(whole["fit_stats"]["bound"]).all()
    assert (whole["fit_stats"]["loglik"] > -np.inf).all()


@pytest.mark.parametrize("name", ["rw", "forgetting_q", "subvalue"])
def test_certified_maxima_are_proven_to_the_tolerance_asked_for(study, name):
    model = hr.model(name)
    plain = hr.fit_mle(model, study, progress=False)
    proven = hr.fit_mle(model, study, certify=1e-3, progress=False)
    gap = proven["fit_stats"]["gap"].values
    assert proven["fit_stats"]["certified"].all()
    assert (gap <= 1e-3).all() and (gap >= -1e-7).all()
    assert (proven["fit_stats"]["loglik"].values >= plain["fit_stats"]["loglik"].values - 1e-9).all()
    assert (proven["fit_stats"]["bound"].values <= plain["fit_stats"]["bound"].values + 1e-9).all()
    problem = prepare(model, study)
    rng = np.random.default_rng(0)
    share = rng.uniform(size=(problem.n_subjects, 40, problem.n_parameters)) ** 2
    climbed = maximise(problem, problem.lower + share * (problem.upper - problem.lower))
    assert (climbed.loglik <= proven["fit_stats"]["bound"].values + 1e-7).all()


def test_a_proof_that_runs_out_of_budget_says_where_it_stopped(study):
    fit = hr.fit_mle(hr.model("subvalue"), study, certify=1e-6, budget=1e-9, progress=False)
    open_ended = ~fit["fit_stats"]["certified"].values
    assert open_ended.any()
    assert all(
        "the proof stopped at a gap of" in text for text in fit["fit_stats"]["status"].values[open_ended]
    )


def test_models_outside_the_hull_refuse_to_be_certified(study):
    with pytest.raises(ValueError, match="can't be certified: The lapse is outside the softmax"):
        hr.fit_mle(hr.model("rw", lapse=True), study, certify=1e-3, progress=False)
    with pytest.raises(ValueError, match="certify is a tolerance in nats above 0; found -1"):
        hr.fit_mle(hr.model("rw"), study, certify=-1, progress=False)


@pytest.mark.parametrize("signed", [False, True])
def test_where_nothing_tells_values_apart_every_value_is_the_maximum(signed):
    """One trial a session, and equal values at its start: the likelihood is flat but for rounding."""
    table = pd.DataFrame({"subject": "a", "session": range(8), "choice": np.arange(8) % 3, "reward": 0.3})
    model = hr.model("rw", start=0.1, signed=signed)
    problem = prepare(model, hr.behaviour(table))
    found = maximise(problem, np.array([[0.3, 25.0]]))
    assert found.converged.all()
    assert found.loglik[0] == pytest.approx(-8 * np.log(3), abs=1e-9)


def test_what_is_proven_counts_as_converged_and_what_stopped_short_says_so():
    """Sentences, flags and warnings of both point fits tell one story, where products of weights are hard."""
    data = random_behaviour(12, 60, 3, graded=True, seed=1)
    model = hr.model("pvl_decay", per_arm=True)
    for fitted in (hr.fit_convex, hr.fit_mle):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            stats = fitted(model, data, progress=False)["fit_stats"]
        converged, short = stats["converged"].values, "not solved for|stopped before"
        told = np.array([re.search(short, text) is not None for text in stats["status"].values])
        assert (~converged).any()
        np.testing.assert_array_equal(told, ~converged)
        assert converged[stats["certified"].values].all()
        assert len(said) == int((~converged).any())
