"""What fits say of trials: as by hand, at every draw, for old and new data."""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from builders import random_behaviour, random_theta
from hypothesis import given, settings
from naive import Told, retell, values_by_subject
from vocabulary import few_examples, models, seeds

import hierrl as hr
from hierrl.fits import build_fit, settings_of
from hierrl.kernels.problem import prepare

latents_module = importlib.import_module("hierrl.latents")  # hr.latents is the function

CHAINS, DRAWS = 2, 3


def fake_fit(
    model: hr.Model, data: xr.Dataset, *, chains: int = CHAINS, draws: int = DRAWS, seed: int = 0
) -> xr.DataTree:
    """A fit with random draws; a point fit with one."""
    problem = prepare(model, data)
    theta = np.array([random_theta(problem, seed=seed + k) for k in range(chains * draws)])
    return build_fit(problem, data, theta.reshape(chains, draws, *theta.shape[1:]), stats={}, settings={})


def told_at(fit: xr.DataTree, data: xr.Dataset, chain: int, draw: int) -> Told:
    """The trials by hand, with the parameters that the fit reports."""
    posterior = fit["posterior"].to_dataset().isel(chain=chain, draw=draw)
    named: dict[str, Any] = {str(k): (v.dims, v.values) for k, v in posterior.data_vars.items()}
    model = hr.Model.from_json(fit.attrs["hierrl_model"])
    scale = settings_of(fit)["reward_scale"]
    values = values_by_subject(named, posterior["subject"].values, model=model, reward_scale=scale)
    return retell(model, data, values)


def difference_by_hand(told: Told, data: xr.Dataset) -> np.ndarray:
    """Chosen minus the best other arm that was shown, (C, n)."""
    found = []
    shown = (
        data["available"].values
        if "available" in data
        else np.ones((data.sizes["trial"], data.sizes["arm"]), bool)
    )
    for t, choice in enumerate(data["choice"].values.tolist()):
        others = [i for i in range(data.sizes["arm"]) if i != choice and shown[t, i]]
        nothing = choice < 0 or not others
        found.append([np.nan if nothing else q[choice] - max(q[i] for i in others) for q in told.path[t]])
    return np.array(found).T


def entropy_by_hand(told: Told) -> list[float]:
    return [-sum(p * math.log(p) for p in row if p > 0) for row in told.probability]


def error_by_hand(model: hr.Model, told: Told) -> np.ndarray:
    error = np.array(told.error).T
    counting = [c.update == "accumulate" for c in model.channels]
    error[counting] = np.nan
    return error


@given(model=models(), seed=seeds)
@settings(few_examples, max_examples=15)
def test_latents_of_every_draw_are_those_of_a_loop_by_hand(model, seed):
    data = random_behaviour(3, 25, 3, graded=True, rich=True, seed=seed)
    fit = fake_fit(model, data, seed=seed)
    found = hr.latents(fit)
    used = [c for c, channel in enumerate(model.channels) if channel.signal != "choice"]
    for chain, draw in np.ndindex(CHAINS, DRAWS):
        told, one = told_at(fit, data, chain, draw), found.isel(chain=chain, draw=draw)
        np.testing.assert_allclose(one["probability"], told.probability, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(one["entropy"], entropy_by_hand(told), rtol=1e-9, atol=1e-12)
        assert ("value" in found) == bool(used)
        if used:
            value = np.array(told.path).transpose(1, 0, 2)[used]
            error = error_by_hand(model, told)[used]
            difference = difference_by_hand(told, data)[used]
            np.testing.assert_allclose(
                one["value_difference"].values.reshape(error.shape), difference, rtol=1e-9, atol=1e-9
            )
            dims = ("channel",) if len(used) > 1 else ()
            assert one["value"].dims == (*dims, "trial", "arm")
            assert one["prediction_error"].dims == (*dims, "trial")
            np.testing.assert_allclose(one["value"].values.reshape(value.shape), value, rtol=1e-9, atol=1e-9)
            np.testing.assert_allclose(
                one["prediction_error"].values.reshape(error.shape), error, rtol=1e-9, atol=1e-9
            )


@given(model=models(), seed=seeds)
@settings(few_examples, max_examples=15)
def test_log_likelihood_of_every_draw_is_that_of_a_loop_by_hand_and_sums_up(model, seed):
    data = random_behaviour(3, 25, 3, graded=True, rich=True, seed=seed)
    fit = fake_fit(model, data, seed=seed)
    by = {level: hr.log_likelihood(fit, by=level) for level in ("trial", "session", "subject")}
    scored = data["scored"].values
    assert by["trial"].dims == ("chain", "draw", "trial")
    np.testing.assert_array_equal(by["trial"]["trial"], np.flatnonzero(scored))
    for chain, draw in np.ndindex(CHAINS, DRAWS):
        by_hand = np.array(told_at(fit, data, chain, draw).loglik)
        np.testing.assert_allclose(by["trial"][chain, draw], by_hand[scored], rtol=1e-9, atol=1e-12)
    for level, total in by.items():
        np.testing.assert_allclose(total.sum(level), by["trial"].sum("trial"))
    of_trial = list(
        zip(by["trial"]["trial_subject"].values, by["trial"]["trial_session"].values, strict=True)
    )
    of_session = zip(
        by["session"]["session_subject"].values, by["session"]["session_label"].values, strict=True
    )
    for k, label in enumerate(of_session):
        rows = [t for t, one in enumerate(of_trial) if one == label]
        np.testing.assert_allclose(by["session"][..., k], by["trial"][..., rows].sum("trial"))


def test_log_likelihood_by_subject_is_that_of_the_problem():
    data = random_behaviour(4, 30)
    fit, problem = fake_fit(hr.model("subvalue"), data), prepare(hr.model("subvalue"), data)
    found = hr.log_likelihood(fit, by="subject")
    assert found["subject"].values.tolist() == problem.subjects.tolist()
    for k, (chain, draw) in enumerate(np.ndindex(CHAINS, DRAWS)):
        np.testing.assert_allclose(found[chain, draw], problem.loglik(random_theta(problem, seed=k)))


def test_large_posteriors_are_summed_in_chunks(monkeypatch):
    fit = fake_fit(hr.model("rw"), random_behaviour(3, 30), draws=7)
    whole = hr.log_likelihood(fit, by="session")
    monkeypatch.setattr(latents_module, "CHUNK", 1)
    xr.testing.assert_identical(hr.log_likelihood(fit, by="session"), whole)


def test_a_point_fit_has_no_chain_and_draw_in_its_latents_but_singletons_in_its_log_likelihood():
    fit = fake_fit(hr.model("rw"), random_behaviour(3, 30), chains=1, draws=1)
    found = hr.latents(fit)
    assert {name: found[name].dims for name in found} == {
        "probability": ("trial", "arm"),
        "entropy": ("trial",),
        "value": ("trial", "arm"),
        "prediction_error": ("trial",),
        "value_difference": ("trial",),
    }
    assert {"chain", "draw"}.isdisjoint(found.coords)
    assert hr.log_likelihood(fit).dims == ("chain", "draw", "trial")
    xr.testing.assert_identical(hr.latents(fit, summary=True), found)


def test_a_summary_is_mean_and_standard_deviation_over_draws():
    fit = fake_fit(hr.model("subvalue"), random_behaviour(3, 30))
    draws, summary = hr.latents(fit), hr.latents(fit, summary=True)
    assert summary["value"].dims == ("statistic", "trial", "arm")
    for name in draws:
        np.testing.assert_allclose(summary[name].sel(statistic="mean"), draws[name].mean(("chain", "draw")))
        sd = draws[name].std(("chain", "draw"), ddof=1)
        np.testing.assert_allclose(summary[name].sel(statistic="sd"), sd, atol=1e-12)


def test_draws_are_thinned_evenly_when_asked_for_or_too_large(monkeypatch):
    fit = fake_fit(hr.model("rw"), random_behaviour(3, 30), draws=9)
    whole, thinned = hr.latents(fit), hr.latents(fit, draws=3)
    assert whole.attrs["draws"] == "18 of 18"
    assert thinned.attrs["draws"] == "6 of 18"
    assert thinned["draw"].values.tolist() == [0, 4, 8]
    xr.testing.assert_equal(thinned, whole.sel(draw=[0, 4, 8]))
    assert hr.log_likelihood(fit, draws=3)["draw"].values.tolist() == [0, 4, 8]
    per_draw = sum(whole[name].isel(chain=0, draw=0).nbytes for name in whole)
    monkeypatch.setattr(latents_module, "LARGEST", 6 * per_draw)
    xr.testing.assert_identical(hr.latents(fit), thinned)
    assert hr.latents(fit, summary=True).attrs["draws"] == "18 of 18"


def test_new_data_are_scored_with_the_parameters_and_the_reward_scale_of_the_fit():
    data = random_behaviour(4, 30, graded=True, gaps=False)
    fit = fake_fit(hr.model("rw", per_arm=True), data)
    subjects = ["s1", "s3"]
    some = data.isel(trial=np.isin(data["trial_subject"], subjects)).sel(subject=subjects)
    some["reward"] = some["reward"] / 7.0
    again = hr.log_likelihood(fit, by="subject", data=some)
    problem = prepare(
        hr.model("rw", per_arm=True), some, reward_scale=prepare(hr.model("rw"), data).reward_scale
    )
    for k, (chain, draw) in enumerate(np.ndindex(CHAINS, DRAWS)):
        theta = random_theta(prepare(hr.model("rw", per_arm=True), data), seed=k)
        np.testing.assert_allclose(again[chain, draw], problem.loglik(theta[[1, 3]]))
    latents = hr.latents(fit, data=some)
    assert latents.sizes["trial"] == 60


def test_a_split_of_the_data_gives_parts_of_the_log_likelihood():
    data = random_behaviour(4, 30)
    fit = fake_fit(hr.model("subvalue"), data)
    parts = [hr.log_likelihood(fit, data=part) for part in hr.split(data, last=0.25)]
    together = xr.concat(parts, "trial", data_vars="all").sortby("trial")
    xr.testing.assert_allclose(together, hr.log_likelihood(fit))


def test_any_parameters_may_stand_in_for_those_of_the_fit():
    data = random_behaviour(4, 30, graded=True)
    fit = fake_fit(hr.model("rw"), data, chains=1, draws=1)
    found = hr.log_likelihood(fit, by="subject", parameters={"alpha": 0.3, "beta": [0.01, 0.02, 0.03, 0.04]})
    problem = prepare(hr.model("rw"), data)
    theta = np.column_stack([np.full(4, 0.3), np.array([0.01, 0.02, 0.03, 0.04]) * problem.reward_scale])
    np.testing.assert_allclose(found.squeeze(), problem.loglik(theta))
    posterior = fake_fit(hr.model("rw"), data)["posterior"].to_dataset()
    found = hr.log_likelihood(fit, by="subject", parameters=posterior)
    assert found.sizes == {"chain": CHAINS, "draw": DRAWS, "subject": 4}
    assert hr.latents(fit, parameters=posterior)["value"].dims == ("chain", "draw", "trial", "arm")


def test_channels_are_called_by_their_signal_or_if_that_is_not_enough_by_their_weight():
    data = random_behaviour(2, 20, rich=True)
    gain_loss = hr.Model(channels=(hr.Channel("gain"), hr.Channel("loss", rate="a2", weight="b2")))
    assert hr.latents(fake_fit(gain_loss, data))["channel"].values.tolist() == ["gain", "loss"]
    fast_slow = hr.Model(channels=(hr.Channel(), hr.Channel(rate="a2", weight="b2")))
    assert hr.latents(fake_fit(fast_slow, data))["channel"].values.tolist() == ["beta", "b2"]


def test_nothing_is_learned_from_missed_choices_and_unknown_outcomes_but_from_forced_ones():
    data = random_behaviour(4, 60)
    error = hr.latents(fake_fit(hr.model("rw"), data, chains=1, draws=1))["prediction_error"].values
    np.testing.assert_array_equal(np.isnan(error), (data["choice"] < 0) | np.isnan(data["reward"]))
    forced = ~data["scored"].values & (data["choice"].values >= 0) & ~np.isnan(data["reward"].values)
    assert forced.any()
    assert np.isfinite(error[forced]).all()


@pytest.mark.parametrize("function", [hr.latents, hr.log_likelihood])
def test_data_and_parameters_that_do_not_belong_to_the_fit_are_refused(function):
    data = random_behaviour(3, 20)
    fit = fake_fit(hr.model("rw"), data)
    stranger = data.assign_coords(
        subject=["s0", "s1", "x"],
        trial_subject=("trial", np.where(data["trial_subject"] == "s2", "x", data["trial_subject"])),
    )
    with pytest.raises(ValueError, match="'alpha' has no value for subject 'x'"):
        function(fit, data=stranger)
    with pytest.raises(ValueError, match=r"new data have the arms \['L', 'R'\], the fit has \['A', 'B'\]"):
        function(fit, data=data.assign_coords(arm=["L", "R"]))
    with pytest.raises(ValueError, match="The parameters lack 'beta'"):
        function(fit, parameters={"alpha": 0.3})
    with pytest.raises(ValueError, match="draws must be at least 1; found 0"):
        function(fit, draws=0)
    with pytest.raises(TypeError, match="A fit is the DataTree"):
        function(data)


def test_what_has_no_log_likelihood_is_refused():
    data = random_behaviour(3, 20)
    fit = fake_fit(hr.model("rw"), data)
    with pytest.raises(ValueError, match=r"by='arm' is not one of \('trial', 'session', 'subject'\)"):
        hr.log_likelihood(fit, by="arm")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="No trial of the data is scored"):
        hr.log_likelihood(fit, data=data.assign(scored=("trial", np.zeros(data.sizes["trial"], dtype=bool))))


def test_sessions_and_subjects_without_a_scored_trial_are_left_out():
    data = random_behaviour(3, 40, gaps=False)
    data["trial_session"] = ("trial", (data["trial_number"].values > 20).astype(int))
    silent = (data["trial_subject"].values == "s1") | (data["trial_session"].values == 0)
    fit = fake_fit(hr.model("rw"), data.assign(scored=("trial", ~silent)))
    assert hr.log_likelihood(fit, by="subject")["subject"].values.tolist() == ["s0", "s2"]
    sessions = hr.log_likelihood(fit, by="session")
    assert sessions["session_subject"].values.tolist() == ["s0", "s2"]
    assert sessions["session_label"].values.tolist() == [1, 1]


def test_latents_of_some_subjects_are_those_rows_of_all():
    data = random_behaviour(4, 30)
    fit = fake_fit(hr.model("subvalue"), data)
    found, whole = hr.latents(fit, subjects=["s3", "s1"]), hr.latents(fit)
    rows = np.isin(data["trial_subject"].values, ["s1", "s3"])
    xr.testing.assert_allclose(found, whole.isel(trial=np.flatnonzero(rows)))
    with pytest.raises(ValueError, match="There is no subject 's33'. Did you mean 's3'"):
        hr.latents(fit, subjects=["s33"])
    with pytest.raises(ValueError, match="subjects= names nobody"):
        hr.latents(fit, subjects=[])


def test_a_table_has_one_row_per_trial_with_means_and_sds_over_draws():
    data = random_behaviour(3, 30, 3, graded=True, rich=True)
    model = hr.Model(channels=(hr.Channel("gain"), hr.Channel("loss", rate="a2", weight="b2")))
    fit = fake_fit(model, data)
    table, draws = hr.latent_table(fit), hr.latents(fit)
    assert len(table) == data.sizes["trial"]
    pd.testing.assert_frame_equal(table[list(hr.to_table(data))], hr.to_table(data))
    together = ("chain", "draw")
    loss = draws["value"].sel(channel="loss", arm="B")
    np.testing.assert_allclose(table["value[loss][B]"], loss.mean(together))
    np.testing.assert_allclose(table["value_sd[loss][B]"], loss.std(together, ddof=1), atol=1e-12)
    np.testing.assert_allclose(
        table["value_difference[gain]"], draws["value_difference"].sel(channel="gain").mean(together)
    )
    np.testing.assert_allclose(table["entropy_sd"], draws["entropy"].std(together, ddof=1), atol=1e-12)
    made = np.flatnonzero(data["choice"].values >= 0)
    p = draws["probability"].values[..., made, data["choice"].values[made]].mean(axis=(0, 1))
    np.testing.assert_allclose(table["p_choice"].values[made], p)
    assert table["p_choice"].isna().sum() == (data["choice"] < 0).sum()


def test_a_table_of_a_point_fit_has_no_sds_and_goes_through_csv(tmp_path):
    data = random_behaviour(3, 30)
    fit = fake_fit(hr.model("rw"), data, chains=1, draws=1)
    table = hr.latent_table(fit, subjects=["s2"])
    assert not [name for name in table if "_sd" in name]
    assert set(table["subject"]) == {"s2"}
    table.to_csv(tmp_path / "latents.csv", index=False)
    again = pd.read_csv(tmp_path / "latents.csv")
    np.testing.assert_allclose(again["value[B]"], table["value[B]"])
    clash = data.assign(entropy=("trial", np.zeros(data.sizes["trial"]), {"level": "trial"}))
    with pytest.raises(ValueError, match="The data have a column 'entropy', as the latents do"):
        hr.latent_table(fit, data=clash)
