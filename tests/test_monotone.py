"""The monotone relaxation against a textbook program and the reference package; its bound against all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cvxpy as cp
import numpy as np
import pytest
import xarray as xr
from builders import random_behaviour, random_theta
from hypothesis import assume, given, settings
from vocabulary import models, numbers_of_arms, seeds

import hierrl as hr
from hierrl.convex import monotone
from hierrl.convex.lags import lag_design, parts_of
from hierrl.convex.monotone import solve_monotone
from hierrl.convex.program import Columns, Template, limits, steps_basis, terms_of
from hierrl.convex.steps import choice_loglik, priced_bound, uncontained, unseen_start
from hierrl.fits import problem_of
from hierrl.kernels.newton import maximise
from hierrl.kernels.problem import Problem, prepare

SOLVER = 1e-5
EXACT = 1e-9

many_examples = settings(deadline=None, max_examples=80, derandomize=True)


# --- a textbook program, one expression per trial ---------------------------------------------------------


def histories(data: xr.Dataset, rows: list[int], signal: str, *, holds: bool) -> list[list[list[float]]]:
    """Before each row the targets of each arm's updates in its session, the latest first."""
    scale = float(np.nanmax(np.abs(data["reward"].values)))
    now: list[list[float]] = []
    told, session = [], None
    for t in rows:
        if data["trial_session"].values[t] != session:
            now, session = [[] for _ in data["arm"]], data["trial_session"].values[t]
        told.append([list(past) for past in now])
        chosen = int(data["choice"].values[t])
        paid = 1.0 if signal == "choice" else float(data["reward"].values[t]) / scale
        if chosen < 0 or np.isnan(paid):
            continue
        for arm, past in enumerate(now):
            if arm == chosen:
                past.insert(0, paid)
            elif not holds:
                past.insert(0, 0.0)
    return told


def textbook(model: hr.Model, data: xr.Dataset, subject: str, bounds: dict[str, Any]) -> float:
    """The relaxed optimum of one subject, an expression per trial and arm."""
    rows = [int(t) for t in np.flatnonzero(data["trial_subject"].values == subject)]
    m = data.sizes["arm"]
    kernels, conditions, past = [], [], []
    for channel in model.channels:
        own = [cp.Variable(len(rows)) for _ in range(m if channel.per_arm else 1)]
        kernels.append(own if channel.per_arm else own * m)
        for g in own:
            conditions += [cp.diff(g) <= 0, g >= 0, cp.sum(g) <= bounds[channel.weight][1]]
        past.append(histories(data, rows, channel.signal, holds=channel.unchosen == "hold"))
    bias = cp.Variable(m) if model.bias else np.zeros(m)
    if model.bias:
        conditions += [bias[0] == 0, cp.abs(bias) <= bounds["bias"][1]]
    mood = cp.Variable() if model.regressors else 0.0
    if model.regressors:
        conditions.append(cp.abs(mood) <= bounds["weight_mood"][1])
    terms = []
    for row, t in enumerate(rows):
        if not data["scored"].values[t]:
            continue
        shown = [i for i in range(m) if "available" not in data or data["available"].values[t, i]]
        logits: dict[int, Any] = {}
        for i in shown:
            logits[i] = bias[i] + (mood * data["mood"].values[t] if model.regressors and i else 0.0)
            for c in range(len(model.channels)):
                for k, target in enumerate(past[c][row][i]):
                    logits[i] = logits[i] + kernels[c][i][k] * target
        chosen = int(data["choice"].values[t])
        terms.append(logits[chosen] - cp.log_sum_exp(cp.hstack([logits[i] for i in shown])))
    optimum: Any = cp.Problem(cp.Maximize(cp.sum(terms)), conditions).solve(solver="CLARABEL")
    return float(optimum)


TEXTBOOK_MODELS = {
    "rw": (hr.model("rw", bounds={"beta": (0, 5)}), 2),
    "forgetting_q": (hr.model("forgetting_q", bounds={"beta": (0, 3)}), 3),
    "rw with bias": (hr.model("rw", bias=True), 3),
    "per arm": (hr.model("subvalue", per_arm=True, signed=False), 2),
    "regressor": (
        hr.Model(channels=(hr.Channel(unchosen="decay"),), regressors=(hr.Regressor("mood"),)),
        2,
    ),
}


@pytest.mark.parametrize("name", TEXTBOOK_MODELS)
def test_relaxed_optimum_is_that_of_a_textbook_program(name):
    model, n_arms = TEXTBOOK_MODELS[name]
    data = random_behaviour(3, 24, n_arms, graded=True, rich=True, seed=4)
    problem = prepare(model, data)
    bounds = {parameter.name: (parameter.lower, parameter.upper) for parameter in model.parameters}
    result = solve_monotone(problem)
    by_hand = [textbook(model, data, subject, bounds) for subject in data["subject"].values]
    np.testing.assert_allclose(result.loglik, by_hand, atol=SOLVER, rtol=SOLVER)
    assert result.solved.all()


# --- the reference package --------------------------------------------------------------------------------


def simulated(n_subjects: int, n_trials: int = 100, *, seed: int = 0) -> tuple[xr.Dataset, np.ndarray]:
    """Forgetting Q-learners on two arms whose odds of .9 and .1 swap now and then; their (alpha, beta)."""
    rng = np.random.default_rng(seed)
    data = random_behaviour(n_subjects, n_trials, 2, gaps=False, seed=seed)
    truth = np.column_stack([rng.uniform(0, 1, n_subjects), rng.uniform(1, 5, n_subjects)])
    choice, reward = data["choice"].values, data["reward"].values
    for s, (alpha, beta) in enumerate(truth):
        q, good = np.zeros(2), 0
        for t in range(s * n_trials, (s + 1) * n_trials):
            choice[t] = rng.random() < 1 / (1 + np.exp(-beta * (q[1] - q[0])))
            reward[t] = rng.random() < (0.9 if choice[t] == good else 0.1)
            q *= 1 - alpha
            q[choice[t]] += alpha * reward[t]
            good = 1 - good if rng.random() < 0.02 else good
    return data, truth


@pytest.mark.parametrize("per_arm", [False, True])
@pytest.mark.parametrize("horizon", [None, 5])
def test_relaxation_agrees_with_the_reference_package_on_its_own_problem(per_arm, horizon):
    rlfit = pytest.importorskip("rlfit", reason="needs the extra 'bench': pip install -e .[bench]")
    data, _ = simulated(2, 60, seed=3)
    problem = prepare(hr.model("forgetting_q", per_arm=per_arm), data)
    result = solve_monotone(problem, horizon=horizon, mass_bound=False)
    for s in range(2):
        rows = slice(60 * s, 60 * s + 60)
        actions = np.eye(2)[data["choice"].values[rows]]
        rewards = actions * data["reward"].values[rows, None]
        rival = rlfit.RLFit(horizon_len=-1 if horizon is None else horizon, share_param=not per_arm)
        rival.fit(rewards, actions, reduced_tol_gap_abs=1e-9, reduced_tol_gap_rel=1e-9)
        assert result.loglik[s] == pytest.approx(rival.score(rewards, actions), abs=1e-4)


# --- what the kernels contain, and the bound --------------------------------------------------------------


def unknowns_at(problem: Problem, parts, design, theta: np.ndarray) -> np.ndarray:
    """The unknowns of the relaxation that are the model at theta (P,)."""
    z = np.append(theta, problem.tables.constants)
    values = np.zeros(design.matrix.shape[1])
    for part, columns in zip(parts, design.columns, strict=True):
        if part.source != "channel":
            table = problem.tables.bias_value if part.source == "bias" else problem.tables.regressor_value
            values[columns] = z[table[part.index]]
            continue
        c, i = part.index, max(part.arm, 0)
        weight = problem.tables.coefficient[c] * z[problem.tables.weight_value[c, i]].prod()
        if part.kind == "box":
            values[columns] = weight
        else:
            rate, lags = z[problem.tables.value[c, i, 0]], np.arange(columns.stop - columns.start)
            values[columns] = weight * (1 - rate) ** lags * (1 if part.accumulate else rate)
    return values


@given(model=models(), n_arms=numbers_of_arms, seed=seeds)
@many_examples
def test_a_model_without_a_reason_against_it_is_a_point_of_the_relaxation(model, n_arms, seed):
    problem = prepare(model, random_behaviour(2, 16, n_arms, graded=True, rich=True, seed=seed))
    assume(not uncontained(problem) or "either sign" in uncontained(problem))
    theta = problem.clip(random_theta(problem, seed=seed))
    theta[:, [kind == "lapse" for kind in (p.kind for _, p, _ in problem.scalars)]] = 0.0
    parts = parts_of(problem, "kernel")
    for s in range(problem.n_subjects):
        if unseen_start(problem, s):
            continue
        design = lag_design(problem, parts, s, None)
        logits = design.logits(unknowns_at(problem, parts, design, theta[s]))
        expected = problem.select([s]).loglik(theta[[s]])[0]
        assert choice_loglik(design, logits) == pytest.approx(expected, rel=EXACT, abs=EXACT)


@given(model=models(), n_arms=numbers_of_arms, seed=seeds)
@many_examples
def test_bound_holds_at_any_logits_and_any_parameters(model, n_arms, seed):
    problem = prepare(model, random_behaviour(2, 16, n_arms, graded=True, rich=True, seed=seed))
    assume(not uncontained(problem))
    rng = np.random.default_rng(seed)
    parts = parts_of(problem, "kernel")
    for s in range(problem.n_subjects):
        if unseen_start(problem, s):
            continue
        design = lag_design(problem, parts, s, None)
        signed = design.signed(parts)
        scale = rng.choice([0.0, 0.3, 3.0])
        bound = priced_bound(signed, parts, scale * rng.normal(size=design.shown.shape))
        share = rng.random((40, problem.n_parameters))
        corners = rng.random(share.shape) < 0.3
        share[corners] = np.round(share[corners])
        thetas = problem.lower + share * (problem.upper - problem.lower)
        best = problem.select([s] * 40).loglik(thetas).max()
        assert bound >= best - 1e-7 * (1 + abs(best))


def best_known(problem: Problem, seed: int = 0) -> np.ndarray:
    """The largest log-likelihood (S,) from many starts."""
    rng = np.random.default_rng(seed)
    shape = (problem.n_subjects, 30, problem.n_parameters)
    starts = problem.lower + rng.beta(0.5, 1.5, shape) * (problem.upper - problem.lower)
    return maximise(problem, starts)[1]


CONTAINED = {
    "rw": hr.model("rw"),
    "tight": hr.model("forgetting_q", bounds={"beta": (1, 3), "alpha": (0.1, 0.6)}),
    "start": hr.model("rw", start=0.5),
    "unseen start": hr.model("forgetting_q", start="start"),
    "two kernels": hr.model("subvalue", signed=False, bias=True),
    "sticky": hr.Model(
        channels=(hr.Channel(), hr.Channel("choice", rate=1.0, weight="kappa", unchosen="decay", signed=True))
    ),
    "loss": hr.Model(channels=(hr.Channel("loss", weight="-beta*lambda"),), bounds={"lambda": (0.5, 2)}),
    "accumulate": hr.Model(
        channels=(hr.Channel(update="accumulate", unchosen="decay"),), bounds={"beta": (0.2, 2)}
    ),
}


@pytest.mark.parametrize("name", CONTAINED)
def test_bound_lies_above_the_best_parameters_and_at_the_relaxed_optimum(name):
    problem = prepare(CONTAINED[name], random_behaviour(4, 40, 2, graded=True, rich=True, seed=8))
    result = solve_monotone(problem)
    best = best_known(problem)
    assert np.all(result.bound >= best - 1e-7 * (1 + np.abs(best)))
    assert np.all(result.loglik >= best - SOLVER)
    # With the mass bound the bound is the dual of the problem that is solved.
    np.testing.assert_allclose(result.bound, result.loglik, atol=5e-3)
    assert result.reason == [""] * 4
    assert np.all(np.isfinite(result.theta))
    assert np.all((result.theta >= problem.lower) & (result.theta <= problem.upper))


def test_bound_of_the_looser_sets_holds_too():
    problem = prepare(hr.model("forgetting_q", bounds={"beta": (0, 2)}), simulated(4, seed=2)[0])
    best = best_known(problem)
    tight, first, free = (solve_monotone(problem, mass_bound=kind) for kind in (True, "first", False))
    for result in (tight, first, free):
        assert np.all(result.bound >= best - 1e-7)
    assert np.all(tight.loglik <= first.loglik + SOLVER)
    assert np.all(first.loglik <= free.loglik + SOLVER)


# --- where there is no bound ------------------------------------------------------------------------------

UNCONTAINED = {
    "lapse": (hr.model("rw", lapse=True), {}, "lapse"),
    "two rates": (hr.Model(channels=(hr.Channel(rate=("up", "down")),)), {}, "several rates"),
    "own decay": (hr.Model(channels=(hr.Channel(unchosen="decay", decay="phi"),)), {}, "several rates"),
    "signed": (hr.model("subvalue"), {}, "either sign"),
    "seen start": (hr.model("rw", start="start"), {}, "start value"),
    "start per arm": (hr.model("rw", start=0.5, per_arm=True), {}, "start value"),
    "accumulated start": (
        hr.Model(channels=(hr.Channel(update="accumulate", start=1.0),)),
        {},
        "start value",
    ),
    "horizon": (hr.model("rw"), {"horizon": 3}, "horizon of 3 is shorter"),
}


@pytest.mark.parametrize("name", UNCONTAINED)
def test_no_bound_but_a_reason_where_kernels_do_not_contain_the_model(name):
    model, arguments, reason = UNCONTAINED[name]
    problem = prepare(model, random_behaviour(2, 30, 2, gaps=False, seed=5))
    result = solve_monotone(problem, **arguments)
    assert np.isnan(result.bound).all()
    assert all(reason in told for told in result.reason)
    assert np.isfinite(problem.loglik(result.theta)).all()


def test_a_horizon_that_reaches_every_lag_changes_nothing():
    problem = prepare(hr.model("rw"), random_behaviour(3, 30, 2, seed=5))
    full, long = solve_monotone(problem), solve_monotone(problem, horizon=40)
    np.testing.assert_allclose(long.bound, full.bound, atol=1e-3)
    np.testing.assert_allclose(long.loglik, full.loglik, atol=SOLVER)


# --- hard subjects and solvers ----------------------------------------------------------------------------


def one_subject(choice: Sequence[int], reward: Sequence[float]) -> xr.Dataset:
    data = random_behaviour(1, len(choice), 2, gaps=False)
    return data.assign(choice=("trial", choice), reward=("trial", np.array(reward, dtype=float)))


ILL_POSED = {
    "one arm only": one_subject([0] * 20, [1, 0] * 10),
    "no reward": one_subject([0, 1] * 10, [0.0] * 20),
    "separable": one_subject([0] + [1] * 19, [0] + [1] * 19),
    "one trial": one_subject([1], [1.0]),
    "five trials": one_subject([0, 1, 1, 0, 1], [1, 0, 1, 1, 0]),
    "nothing scored": one_subject([0, 1, 1, 0], [1, 0, 1, 1]).assign(scored=("trial", [False] * 4)),
}


@pytest.mark.parametrize("name", ILL_POSED)
@pytest.mark.parametrize("model", ["rw", "forgetting_q"])
def test_ill_posed_subjects_end_with_a_sentence_and_a_valid_bound(name, model):
    problem = prepare(hr.model(model, bias=True), ILL_POSED[name])
    result = solve_monotone(problem)
    assert result.status[0].endswith(".")
    assert np.isfinite(result.bound[0])
    assert result.bound[0] >= best_known(problem)[0] - 1e-6
    assert np.isfinite(result.theta).all()


def test_a_result_has_names_and_raw_units():
    data = random_behaviour(3, 30, 2, graded=True, seed=6)
    problem = prepare(hr.model("subvalue", signed=False), data)
    result = solve_monotone(problem, horizon=7)
    named = result.to_dataset(problem)
    assert named["kernel"].dims == ("subject", "channel", "lag")
    assert list(named["channel"].values) == ["reward", "choice"]
    raw = named["kernel"].sel(channel="reward").values
    np.testing.assert_allclose(raw * problem.reward_scale, result.kernel[:, 0], equal_nan=True)
    np.testing.assert_allclose(named["kernel"].sel(channel="choice").values, result.kernel[:, 1])
    assert named["logit"].dims == ("trial", "arm")
    assert len(result.reasons) == 1
    beta = problem.labels.index("beta")
    for weighting, theta in (("fisher", result.theta), ("plain", result.theta_plain)):
        recovered = named["recovery"].sel(weighting=weighting, parameter="beta")
        np.testing.assert_allclose(recovered * problem.reward_scale, theta[:, beta])


def test_a_solver_that_gives_up_leaves_a_sentence_and_a_valid_bound():
    problem = prepare(hr.model("rw"), random_behaviour(2, 40, 2, seed=1))
    result = solve_monotone(problem, max_iter=1)
    assert not result.solved.any()
    assert all("solver" in status for status in result.status)
    assert np.all(result.bound >= best_known(problem))


def test_choices_that_can_be_predicted_perfectly_need_the_mass_bound():
    data = one_subject([0] + [1] * 30, [0] + [1] * 30)
    result = solve_monotone(prepare(hr.model("rw"), data), mass_bound=False)
    assert np.isfinite(result.bound[0])
    assert result.status[0].endswith(".")


def test_another_solver_finds_the_same():
    problem = prepare(hr.model("rw"), random_behaviour(2, 30, 2, seed=1))
    other = solve_monotone(problem, solver="SCS", eps=1e-7, max_iters=100_000)
    np.testing.assert_allclose(other.loglik, solve_monotone(problem).loglik, atol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"horizon": 0}, "positive integer or None"),
        ({"horizon": 2.5}, "positive integer or None"),
        ({"solver": "ABACUS"}, "'ABACUS' is not installed. Installed here"),
        ({"solver": "OSQP"}, "'OSQP' has no exponential cones"),
        ({"mass_bound": "last"}, "mass_bound"),
    ],
)
def test_requests_that_make_no_sense_are_refused(arguments, message):
    problem = prepare(hr.model("rw"), random_behaviour(1, 10, 2))
    with pytest.raises(ValueError, match=message):
        solve_monotone(problem, **arguments)


# --- programs, hooks, recovery ----------------------------------------------------------------------------


@pytest.mark.parametrize("n_arms", [2, 3])
def test_compiled_programs_find_what_single_ones_find(monkeypatch, n_arms):
    data = random_behaviour(4, 30, n_arms, rich=True, seed=6)
    problem = prepare(hr.model("rw", bias=True), data)
    single = solve_monotone(problem, horizon=4)
    monkeypatch.setattr(monotone, "COMPILE_SUBJECTS", 1)
    compiled = solve_monotone(problem, horizon=4)
    np.testing.assert_allclose(compiled.loglik, single.loglik, atol=SOLVER)


@pytest.mark.parametrize("n_arms", [2, 3])
def test_loss_of_a_program_is_that_of_the_choices_in_lags_in_steps_and_compiled(n_arms):
    data = random_behaviour(1, 40, n_arms, rich=True, seed=2)
    problem = prepare(hr.model("forgetting_q", bias=True), data)
    parts = parts_of(problem, "kernel")
    design = lag_design(problem, parts, 0, 6)
    columns = Columns.of([design])
    terms, box = terms_of([design], columns), limits(parts, columns, True)
    for basis in (None, steps_basis(parts, columns)):
        for compiled in (False, True):
            shape = terms.padded(1.25) if compiled else terms
            program = Template(parts, columns, shape, constraints=box, basis=basis, compiled=compiled)
            found = program.solve(terms, "CLARABEL", {})
            assert found.values is not None
            assert -found.loss == pytest.approx(choice_loglik(design, design.logits(found.values)), abs=1e-6)


def test_kernels_fall_and_stop_where_a_subject_has_no_more_lags():
    problem = prepare(hr.model("subvalue", per_arm=True, signed=False), random_behaviour(3, 30, 2, seed=6))
    result = solve_monotone(problem)
    assert result.dims == ("subject", "channel", "arm", "lag")
    assert result.kernel.shape[:3] == (3, 2, 2)
    assert np.nanmin(result.kernel) >= 0
    assert np.nanmax(np.diff(result.kernel, axis=-1)) <= 0
    assert np.isnan(result.kernel).any()
    assert not np.isnan(result.kernel[..., 0]).any()


def test_a_penalty_smooths_and_a_constraint_binds():
    problem = prepare(hr.model("forgetting_q"), simulated(2, 60, seed=1)[0])
    free = solve_monotone(problem, horizon=8)
    ridge = solve_monotone(problem, horizon=8, penalty=lambda k: 10 * cp.sum_squares(k["reward"]))
    level = solve_monotone(
        problem, horizon=8, constraints=lambda k: [k["reward"][:, :-1] == k["reward"][:, 1:]]
    )
    assert np.all(np.sum(ridge.kernel**2, axis=-1) < np.sum(free.kernel**2, axis=-1))
    assert np.all(ridge.loglik < free.loglik)
    np.testing.assert_allclose(np.ptp(level.kernel, axis=-1), 0, atol=SOLVER)


def test_one_kernel_for_all_subjects():
    problem = prepare(hr.model("forgetting_q"), random_behaviour(3, 40, 2, seed=2))
    apart = solve_monotone(problem, horizon=6)
    together = solve_monotone(problem, horizon=6, joint=True)
    np.testing.assert_allclose(together.loglik, apart.loglik, atol=1e-4)
    shared = solve_monotone(
        problem, horizon=6, joint=True, constraints=lambda k: [k["reward"][1:] == k["reward"][:-1]]
    )
    np.testing.assert_allclose(np.ptp(shared.kernel, axis=0), 0, atol=1e-4)
    assert shared.loglik.sum() < apart.loglik.sum()


def test_signs_of_a_signed_weight_are_chosen_by_likelihood():
    # Who never repeats a choice has a negative choice kernel.
    problem = prepare(hr.model("subvalue"), one_subject([0, 1] * 20, [0.0, 1.0] * 20))
    result = solve_monotone(problem)
    assert result.kernel[0, 1, 0] < 0
    assert result.theta[0, problem.labels.index("beta_choice")] < 0


def test_both_recoveries_are_saved_with_the_fit_which_is_no_worse_than_either(tmp_path):
    fit = hr.fit_convex(
        hr.model("rw"), simulated(2, seed=3)[0], relaxation="monotone", horizon=9, progress=False
    )
    fit.to_netcdf(tmp_path / "fit.nc")
    again, problem = hr.load(tmp_path / "fit.nc"), problem_of(fit)
    recovery = again["relaxation"]["recovery"].transpose("weighting", "subject", "parameter")
    for theta in recovery.values / problem.raw_factor():
        assert (problem.loglik(theta) <= fit["fit_stats"]["loglik"].values + EXACT).all()


def test_fisher_weighted_recovery_is_closer_to_the_best_fit_than_least_squares():
    problem = prepare(hr.model("forgetting_q", bounds={"beta": (0, 5)}), simulated(24, seed=9)[0])
    result, best = solve_monotone(problem), best_known(problem)
    fisher, plain = (best - problem.loglik(theta) for theta in (result.theta, result.theta_plain))
    assert np.median(fisher) < np.median(plain)
    assert np.median(fisher) < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rw", "forgetting_q"])
def test_bound_holds_for_real_subjects(shared_data, name):
    for source, n_subjects in (("fitzgerald_reversal", 79), ("bahrami_4arm", 20)):
        data = hr.behaviour(shared_data(source))
        problem = prepare(hr.model(name), data).select(np.arange(n_subjects))
        result, best = solve_monotone(problem), best_known(problem)
        assert np.all(result.bound >= best - 1e-7 * (1 + np.abs(best)))
        assert np.all(result.loglik >= best - 1e-3)
