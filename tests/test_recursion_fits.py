"""Fits of recursions: those of the channel model that says the same; and saved, loaded, compared, simulated."""

import json
import subprocess
import sys

import numpy as np
import pytensor.tensor as pt
import pytest
import xarray as xr

import hierrl as hr
from hierrl.kernels.problem import prepare
from hierrl.kernels.sessions import SessionProblem, split_sessions
from hierrl.marginal import importance_points
from hierrl.models.recursion import model as home
from hierrl.posterior.layout import lay_out
from hierrl.posterior.model import trial_data, write_model
from tests.builders import random_behaviour
from tests.densities import PARAMETRIZATIONS, SLOWLY, assert_gradient_agrees
from tests.recursions import FULL_MEMORY, forgetting, rescorla_wagner, softmax, working_memory

RW = hr.model("rw")


@pytest.fixture(scope="module")
def study():
    """Subjects who learn as `rw` says, with a covariate; rewards are 0 or 5."""
    task = hr.Bandit((0.8, 0.2), n_trials=60, reverse_every=20, amounts=(0, 5))
    rng = np.random.default_rng(2)
    truth = {"alpha": rng.uniform(0.1, 0.9, 8), "beta": rng.uniform(0.3, 1.5, 8)}
    return hr.simulate(RW, task, truth, covariates={"group": list("aabbaabb")}, random_seed=5)


@pytest.fixture(scope="module")
def fits(study):
    return hr.fit_mle(rescorla_wagner(), study), hr.fit_mle(RW, study)


def test_maximum_likelihood_is_that_of_the_channel_model(fits):
    mine, channels = fits
    assert set(mine["posterior"]) == {"alpha", "beta"}
    np.testing.assert_allclose(mine["fit_stats"]["loglik"], channels["fit_stats"]["loglik"], atol=1e-6)
    inside = ~channels["fit_stats"]["at_bound"].any("parameter").values
    assert inside.sum() > 4
    for name in ("alpha", "beta"):
        found, wanted = (fit["posterior"][name].values[..., inside] for fit in fits)
        np.testing.assert_allclose(found, wanted, rtol=2e-3, atol=2e-4)
    found, wanted = (fit["fit_stats"]["se"].values[inside] for fit in fits)
    np.testing.assert_allclose(found, wanted, rtol=0.01)
    assert mine["fit_stats"]["converged"].all() and mine["fit_stats"]["bound"].isnull().all()
    assert "sums of channels" in mine["fit_stats"]["bound"].attrs["reason"]


@pytest.fixture(scope="module")
def undefined(study):
    """A recursion that takes roots of values, and data where those of the third subject get below 0."""
    rooted = rescorla_wagner(name="rooted", logits=lambda state, trial, p: p["beta"] * pt.sqrt(state["q"]))
    third = study["trial_subject"] == study["subject"][2]
    return rooted, study.assign(reward=xr.where(third, -study["reward"], study["reward"]))


def test_a_subject_without_a_log_likelihood_is_told_by_maximum_likelihood(undefined):
    with pytest.warns(UserWarning, match="1 of 8 subjects did not converge"):
        stats = hr.fit_mle(*undefined)["fit_stats"].to_dataset()
    assert "the log-likelihood was not a finite number" in str(stats["status"].values[2])
    assert not stats["converged"].values[2] and np.isfinite(np.delete(stats["loglik"].values, 2)).all()


@pytest.mark.parametrize("method", ["nuts", "marginal"])
@pytest.mark.parametrize("weak", [True, False])
def test_a_subject_without_a_log_likelihood_stops_posteriors_before_they_start(undefined, method, weak):
    model, data = undefined
    prior = hr.weak_prior(model, data) if weak else None
    with (
        pytest.warns(UserWarning, match="1 of 8 subjects did not converge"),
        pytest.raises(ValueError, match=r"log-likelihood of 1 of 8 .*the first: 3, nan at alpha=.*root"),
    ):
        hr.fit_posterior(model, data, prior=prior, method=method, progress=False)


def test_a_subject_without_a_log_likelihood_stops_the_empirical_prior(undefined):
    with pytest.raises(ValueError, match="log-likelihood of 1 of 8 .*the first: 3, nan"):
        hr.empirical_prior(*undefined)


def test_maximum_likelihood_holds_bounds_and_says_so(study):
    narrow = hr.fit_mle(rescorla_wagner(bounds={"beta": (0.0, 1.0)}), study)
    stats = narrow["fit_stats"].to_dataset()
    held = stats["at_bound"].sel(parameter="beta").values
    assert held.any() and (narrow["posterior"]["beta"] <= 0.2 + 1e-9).all()
    assert "On a bound: beta" in stats["status"].values[held][0]


def test_maximum_likelihood_starts_where_it_is_told(fits, study):
    again = hr.fit_mle(rescorla_wagner(), study, start=fits[0])
    assert (again["fit_stats"]["loglik"] >= fits[0]["fit_stats"]["loglik"] - 1e-9).all()


def test_the_relaxation_refuses_in_a_sentence(study):
    with pytest.raises(ValueError, match="can't fit 'own_rw'.*only sums of channels: start from hr.fit_mle"):
        hr.fit_convex(rescorla_wagner(), study)
    with pytest.raises(ValueError, match="can't be certified"):
        hr.fit_mle(rescorla_wagner(), study, certify=1e-3)


def test_priors_are_those_of_the_channel_model(fits, study):
    formula = {"alpha": "1 + group"}
    mine, channels = (hr.weak_prior(model, study, formula=formula) for model in (rescorla_wagner(), RW))
    assert mine == channels
    mine, channels = (
        hr.empirical_prior(model, study, start=fit)
        for model, fit in zip((rescorla_wagner(), RW), fits, strict=True)
    )
    np.testing.assert_allclose(mine.table["loc"], channels.table["loc"], atol=1e-4)
    np.testing.assert_allclose(mine.table["scale"], channels.table["scale"], rtol=1e-3)


def test_every_kind_of_parameter_has_a_weak_prior(study):
    model = hr.Recursion(
        name="kinds",
        parameters={
            "a": "rate",
            "b": "weight",
            "c": "signed",
            "d": "start",
            "e": "bias",
            "f": "lapse",
            "g": "signed",
        },
        states={"q": "d"},
        units={"q": 1, "g": -1},
        update=lambda s, t, p: {"q": s["q"] + p["a"] * t["chosen"] * (t["reward"] - s["q"])},
        probabilities=lambda s, t, p: p["f"] + (p["b"] + p["c"] + p["g"]) ** 2 * s["q"] ** 2 + p["e"] ** 2,
    )
    table = hr.weak_prior(model, study).table
    level = table[table["coefficient"] == "Intercept"].set_index("parameter")["loc"]
    assert level.round(2).to_dict() == {
        "a": 0.0, "b": 1.1, "c": 0.0, "d": 0.5, "e[1]": 0.0, "f": -3.0, "g": 0.0
    }  # fmt: skip
    scale = table[table["coefficient"] == "Intercept"].set_index("parameter")["scale"]
    assert scale["g"] == 2 * scale["c"]


def test_starts_of_rewards_that_are_not_scaled_have_a_prior_in_their_range(study):
    changes = {"parameters": {"alpha": "rate", "beta": "weight", "begin": "start"}, "states": {"q": "begin"}}
    scaled = hr.weak_prior(rescorla_wagner(**changes), study).table.set_index(["parameter", "coefficient"])
    raw = hr.weak_prior(rescorla_wagner(**changes, scale=False, units={}), study).table
    raw = raw.set_index(["parameter", "coefficient"])
    assert (scaled.loc[("begin", "Intercept"), "loc"], raw.loc[("begin", "Intercept"), "loc"]) == (0.5, 2.5)


def test_importance_points_are_scored_as_the_problem_scores():
    data = random_behaviour(4, 30, 3, rich=True, seed=1)
    problem = prepare(working_memory(), data)
    points = importance_points(problem, 0.0, 1.0, n_points=8)
    for j in range(8):
        wanted = problem.loglik(problem.from_link(points.eta[:, :, j]))
        np.testing.assert_allclose(points.loglik[:, j], wanted, rtol=1e-12)


def test_sessions_take_the_place_of_subjects():
    data = random_behaviour(4, 40, 2, seed=8)
    problem = prepare(rescorla_wagner(), data)
    sessions, owner = split_sessions(problem)
    slope = np.linspace(-1, 1, owner.size)
    mine = SessionProblem.of(problem, {"alpha:x": ("alpha", slope)})
    channels = SessionProblem.of(prepare(RW, data), {"alpha:x": ("alpha", slope)})
    eta = np.random.default_rng(0).normal(size=(4, 3))
    for found, wanted in zip(mine.link_derivatives(eta), channels.link_derivatives(eta), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-10)
    np.testing.assert_allclose(
        importance_points(mine, 0.0, 1.0, n_points=4).loglik,
        importance_points(channels, 0.0, 1.0, n_points=4).loglik,
    )


@pytest.mark.parametrize("parametrization", PARAMETRIZATIONS)
def test_the_density_in_pymc_is_that_of_the_channel_model(fits, study, parametrization):
    options = {
        "prior": {},
        "start": fits[1],
        "parametrization": parametrization,
        "formula": {"alpha": "1 + group"},
    }
    mine, channels = (write_model(lay_out(model, study, **options)) for model in (rescorla_wagner(), RW))
    point = mine.initial_point()
    rng = np.random.default_rng(1)
    logp, wanted = (each.compile_logp(mode=SLOWLY) for each in (mine, channels))
    for _ in range(3):
        point = {name: value + 0.3 * rng.normal(size=np.shape(value)) for name, value in point.items()}
        assert logp(point) == pytest.approx(wanted(point), rel=1e-10)
    assert_gradient_agrees(mine, point)


def test_choices_drawn_in_pymc_have_the_probabilities_of_the_problem(fits, study):
    import pymc as pm

    model = write_model(
        lay_out(rescorla_wagner(), study, prior={}, start=fits[0], parametrization="centered")
    )
    assert set(trial_data(prepare(rescorla_wagner(), study))) <= set(model.named_vars)
    posterior = fits[0]["posterior"].to_dataset()
    problem = prepare(rescorla_wagner(), study)
    eta = np.clip(problem.to_link(problem.pack(posterior)), -4, 4).repeat(300, axis=1)
    trace = xr.Dataset({"eta": (("chain", "draw", "subject", "parameter"), eta)})
    with model:
        drawn = pm.sample_posterior_predictive(
            trace, var_names=["choice"], freeze_vars=["eta"], random_seed=1, progressbar=False
        )
    wanted = problem.probabilities(problem.from_link(eta[0, 0]))[:, 1]
    share = drawn["posterior_predictive"]["choice"].mean(("chain", "draw")).values
    assert np.abs(share - wanted).max() < 5 * 0.5 / np.sqrt(300)


TASKS = {
    "reversals": hr.Bandit((0.8, 0.2), n_trials=40, reverse_after=4),
    "three arms, two shown": hr.Bandit((0.8, 0.5, 0.2), n_trials=40, shown=2, missed=0.1),
    "recorded": hr.Bandit.recorded(random_behaviour(4, 40, 3, rich=True, graded=True, seed=9)),
}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", ["rw", "forgetting_q"])
def test_simulated_behaviour_is_that_of_the_channel_model(name, task):
    mine = {"rw": rescorla_wagner, "forgetting_q": forgetting}[name]()
    truth = {
        "alpha": [0.2, 0.5, 0.7, 0.9],
        "beta": np.array([2.0, 3, 4, 5]) / (20 if task == "recorded" else 1),
    }
    found, wanted = (
        hr.simulate(model, TASKS[task], truth, random_seed=3) for model in (mine, hr.model(name))
    )
    assert found.drop_attrs().identical(wanted.drop_attrs())
    assert json.loads(found.attrs["simulation"])["model"]["recursion"]["name"] == mine.name


def test_working_memory_is_simulated_as_by_hand():
    truth = {"alpha": 0.3, "beta": 4.0, "phi": 0.2, "mix": 0.6}
    task = hr.Bandit((0.8, 0.5, 0.2), n_trials=200)
    data = hr.simulate(working_memory(), task, truth, random_seed=4)
    # The generator draws the payoffs of the task first, then one number for each choice.
    rng = np.random.default_rng(4)
    task.schedule(1, rng)
    uniform, q, w = rng.random(200), [0.5] * 3, [0.5] * 3
    for t in range(200):
        slow, fast = softmax([4.0 * one for one in q]), softmax([FULL_MEMORY * one for one in w])
        p = [0.4 * a + 0.6 * b for a, b in zip(slow, fast, strict=True)]
        choice = int(np.searchsorted(np.cumsum(p), uniform[t]))
        assert data["choice"].values[t] == choice
        reward = data["reward"].values[t]
        q[choice] += 0.3 * (reward - q[choice])
        w = [one + 0.2 * (0.5 - one) for one in w]
        w[choice] = reward


def test_a_simulated_recursion_reads_columns_by_arm_wherever_arms_are():
    data = random_behaviour(3, 40, 3, rich=True, seed=2)
    model = hr.Recursion(
        name="side",
        parameters={"side": "signed"},
        states={"n": 0.0},
        columns=(("side", "arm"), "forgone"),
        update=lambda s, t, p: {"n": s["n"] + t["forgone"]},
        logits=lambda s, t, p: p["side"] * t["side"] + 0.0 * s["n"],
    )
    channels = hr.Model(channels=(), regressors=(hr.Regressor("side", weight="side"),))
    task = hr.Bandit.recorded(data)
    found, wanted = (hr.simulate(m, task, {"side": 2.0}, random_seed=1) for m in (model, channels))
    np.testing.assert_array_equal(found["choice"], wanted["choice"])
    with pytest.raises(ValueError, match="needs the column 'side' by trial, which the task does not have"):
        hr.simulate(model, hr.Bandit((0.5, 0.4, 0.3), forgone=True), {"side": 1.0}, n_subjects=1)
    learner = model.replace(columns=("forgone",), logits=lambda s, t, p: p["side"] * s["n"])
    with pytest.raises(ValueError, match="forgone rewards, which the task does not tell"):
        hr.simulate(learner, hr.Bandit((0.5, 0.4, 0.3)), {"side": 1.0}, n_subjects=1)


def test_latents_are_those_of_the_channel_model(fits):
    mine, channels = (hr.latents(fit, parameters={"alpha": 0.4, "beta": 0.6}) for fit in fits)
    xr.testing.assert_allclose(mine, channels, atol=1e-12)
    assert mine["value"].attrs == channels["value"].attrs == {"units": "reward"}


def test_latents_of_several_states_have_their_names():
    data = random_behaviour(3, 30, 2, seed=3)
    told = hr.latents(hr.fit_mle(working_memory(), data))
    assert told["value"].dims == ("channel", "trial", "arm") and told["channel"].values.tolist() == ["q", "w"]
    assert told["prediction_error"].isnull().all()  # these states are not declared to be in reward units


def test_estimators_of_a_recursion_are_compared(fits, study):
    narrow = hr.fit_mle(rescorla_wagner(bounds={"beta": (0.0, 2.0)}), study)
    found, wanted = (
        hr.compare({"wide": wide, "narrow": close}, last=0.25, progress=False)
        for wide, close in (
            (fits[0], narrow),
            (fits[1], hr.fit_mle(hr.model("rw", bounds={"beta": (0.0, 2.0)}), study)),
        )
    )
    assert found.held_out
    for name in ("log_score", "in_sample"):
        np.testing.assert_allclose(found.dataset[name], wanted.dataset[name], rtol=2e-3, atol=2e-3)
    with pytest.raises(ValueError, match="'own' is a fit of own_rw"):
        hr.compare({"own": fits[0], "rw": fits[1]}, last=0.25, progress=False)


def test_a_fit_is_saved_and_loaded_and_its_model_found_again(fits, tmp_path, monkeypatch):
    fits[0].to_netcdf(tmp_path / "fit.nc")
    loaded = hr.load(tmp_path / "fit.nc")
    np.testing.assert_array_equal(hr.log_likelihood(loaded), hr.log_likelihood(fits[0]))
    monkeypatch.setattr(home, "_DEFINED", {})
    with pytest.raises(LookupError, match="Run the code that makes it"):
        hr.log_likelihood(loaded)
    rescorla_wagner()
    np.testing.assert_array_equal(hr.log_likelihood(loaded), hr.log_likelihood(fits[0]))


def test_another_process_finds_the_model_by_running_its_code(fits, tmp_path):
    fits[0].to_netcdf(tmp_path / "fit.nc")
    script = (
        "import sys, hierrl as hr\n"
        "assert 'pytensor' not in sys.modules\n"
        "from tests.recursions import rescorla_wagner\n"
        "model = rescorla_wagner()\n"
        "print(model.fingerprint, float(hr.log_likelihood(hr.load(sys.argv[1])).sum()))\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "fit.nc")], capture_output=True, text=True, check=True
    )
    fingerprint, total = told.stdout.split()
    assert fingerprint == rescorla_wagner().fingerprint
    assert float(total) == pytest.approx(hr.log_likelihood(fits[0]).sum().item(), rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["nuts", "marginal"])
def test_the_posterior_is_that_of_the_channel_model(study, method):
    options = {"random_seed": 1, "method": method, "formula": {"alpha": "1 + group"}, "progress": False}
    mine, channels = (hr.fit_posterior(model, study, **options) for model in (rescorla_wagner(), RW))
    for name in ("mu", "sigma"):
        found, wanted = mine["population"][name], channels["population"][name]
        apart = np.abs(found.mean(("chain", "draw")) - wanted.mean(("chain", "draw")))
        assert (apart / wanted.std(("chain", "draw")) < 0.15).where(apart.notnull(), True).all()
    contrasts = [hr.contrast(fit, "alpha", "group") for fit in (mine, channels)]
    assert len(contrasts[0]) == len(contrasts[1]) > 0
