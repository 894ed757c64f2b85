"""Calibration: ranks of truths, what they are held against, files that go on where they were stopped."""

import json

import numpy as np
import pytest
import xarray as xr
from scipy.stats import binomtest, norm

import hierrl as hr
from hierrl.calibration import coverage_of, ecdf_band
from hierrl.calibration.calibrate import collect, settings_of_study
from hierrl.calibration.ranks import N_RANKED, rank_truths
from hierrl.calibration.replicate import MEASURES, Study
from hierrl.replications.store import replicated

MODEL = hr.model("rw")
TASK = hr.Bandit((0.8, 0.2), n_trials=30)
QUANTITIES = [
    "mu of alpha, Intercept",
    "mu of beta, Intercept",
    "sigma of alpha",
    "sigma of beta",
    "log-likelihood",
]


def conjugate_ranks(n: int, *, shift: float = 0.0, narrow: float = 1.0, seed: int = 1) -> np.ndarray:
    """Ranks of means of normal data under their exact posterior, or one that is wrong by a shift or a factor."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=n)
    data = truth + rng.normal(size=(4, n))
    precision = 1 + 4
    mean, sd = data.sum(axis=0) / precision, precision**-0.5
    draws = mean + sd * (shift + narrow * rng.normal(size=(2000, n)))
    return rank_truths(truth, draws, rng).rank


def study(n_subjects: int = 4, **options) -> Study:
    data = hr.simulate(MODEL, TASK, {"alpha": 0.3, "beta": 3.0}, n_subjects=n_subjects, random_seed=1)
    return Study(MODEL, TASK, hr.weak_prior(MODEL, data), n_subjects, None, 0, options)


def pretend_row(k: int, n_subjects: int = 4) -> dict:
    """A replication whose ranks are uniform."""
    rng = np.random.default_rng(k)

    def figures(*shape: int) -> dict:
        rank = rng.integers(0, N_RANKED + 1, shape)
        return {
            "truth": rng.normal(size=shape).tolist(),
            "rank": rank.tolist(),
            "below": (rank / 100 + 0.005).tolist(),
        }

    return {
        "replication": k,
        "seed": [k, k],
        "seconds": 0.1,
        "converged": k % 5 > 0,
        "sentence": "",
        "measures": dict.fromkeys(MEASURES, 0.0) | {"max_k_hat": None},
        "quantities": QUANTITIES,
        "population": figures(len(QUANTITIES)),
        "subjects": figures(n_subjects, 2),
    }


# Ranks


def test_ranks_are_uniform_under_an_exact_posterior():
    band = ecdf_band(conjugate_ranks(400))
    assert not band.attrs["outside"]
    assert band.attrs["p_uniform"] > 0.01


@pytest.mark.parametrize("wrong", [{"shift": 0.5}, {"shift": -0.5}, {"narrow": 0.6}, {"narrow": 1.6}])
def test_ranks_leave_their_band_under_a_wrong_posterior(wrong):
    band = ecdf_band(conjugate_ranks(200, **wrong))
    assert band.attrs["outside"]
    assert band.attrs["p_uniform"] < 0.001


def test_a_posterior_that_lies_too_high_makes_a_hill_and_a_narrow_one_a_wave():
    hill = ecdf_band(conjugate_ranks(200, shift=0.7))["difference"]
    assert hill.sel(x=0.5).item() > 0.1
    wave = ecdf_band(conjugate_ranks(200, narrow=0.5))["difference"]
    assert wave.sel(x=0.1, method="nearest").item() > 0 > wave.sel(x=0.9, method="nearest").item()


def test_equal_draws_share_the_truths_rank_at_random():
    found = rank_truths(np.zeros(3000), np.zeros((N_RANKED, 3000)), np.random.default_rng(1))
    assert (found.rank.min(), found.rank.max()) == (0, N_RANKED)
    assert found.below.tolist() == [0.5] * 3000


def test_ranks_need_enough_draws():
    with pytest.raises(ValueError, match="at least 99 draws; found 50"):
        rank_truths(np.zeros(1), np.zeros((50, 1)), np.random.default_rng(1))


# Bands and intervals


def rate_outside(make, n: int = 100) -> float:
    return float(np.mean([ecdf_band(make(np.random.default_rng(k))).attrs["outside"] for k in range(n)]))


def test_bands_hold_uniform_ranks_as_often_as_they_say():
    rate = rate_outside(lambda rng: rng.integers(0, N_RANKED + 1, 200))
    assert binomtest(round(100 * rate), 100, 0.05).pvalue > 0.01


def test_bands_know_that_subjects_of_a_study_are_not_independent():
    def dependent(rng):
        z = np.sqrt(0.3) * rng.normal(size=(150, 1)) + np.sqrt(0.7) * rng.normal(size=(150, 20))
        return np.floor((N_RANKED + 1) * norm.cdf(z)).astype(int)

    assert rate_outside(dependent) <= 0.15
    assert rate_outside(lambda rng: dependent(rng).ravel()) > 0.2  # taken for independent


def test_bands_of_subjects_see_a_wrong_posterior():
    wrong = conjugate_ranks(2000, narrow=0.8).reshape(200, 10)
    assert ecdf_band(wrong).attrs["outside"]
    assert not ecdf_band(conjugate_ranks(2000).reshape(200, 10)).attrs["outside"]


def test_coverage_has_exact_binomial_limits():
    below = np.random.default_rng(2).random(150)
    found = coverage_of(below)
    for interval in (0.5, 0.8, 0.95):
        k = int((np.abs(below - 0.5) <= interval / 2).sum())
        limits = binomtest(k, 150).proportion_ci(0.95, method="exact")
        one = found.sel(interval=interval)
        np.testing.assert_allclose(
            [one[name].item() for name in ("coverage", "low", "high")], [k / 150, limits.low, limits.high]
        )


def test_limits_of_coverage_are_wider_where_subjects_stand_and_fall_together():
    rng = np.random.default_rng(3)
    alone, together = rng.random((100, 10)), np.repeat(rng.random((100, 1)), 10, axis=1)
    widths = [(c["high"] - c["low"]).sel(interval=0.8).item() for c in map(coverage_of, (alone, together))]
    assert 2 < widths[1] / widths[0] < 4.5


# Files


def test_what_a_file_holds_is_not_done_again(tmp_path):
    done = []

    def work(k):
        done.append(k)
        return {"value": k * k}

    path = tmp_path / "runs" / "rows.jsonl"
    assert [row["value"] for row in replicated(work, range(3), settings={"a": 1}, file=path)] == [0, 1, 4]
    path.write_text(path.read_text()[:-5])  # stopped in the middle of a line
    rows = replicated(work, range(5), settings={"a": 1}, file=path)
    assert [row["value"] for row in rows] == [0, 1, 4, 9, 16]
    assert done == [0, 1, 2, 2, 3, 4]
    assert len(path.read_text().splitlines()) == 6


def test_an_interrupt_loses_only_the_replication_that_runs(tmp_path):
    def work(k):
        if k == 2:
            raise KeyboardInterrupt
        return {}

    with pytest.raises(KeyboardInterrupt):
        replicated(work, range(4), settings={}, file=tmp_path / "rows.jsonl")
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == 3


def test_a_file_of_another_run_is_refused(tmp_path):
    replicated(lambda k: {}, range(1), settings={"seed": 1}, file=tmp_path / "rows.jsonl")
    with pytest.raises(ValueError, match="with seed=1; asked is 2"):
        replicated(lambda k: {}, range(1), settings={"seed": 2}, file=tmp_path / "rows.jsonl")


# The result


@pytest.fixture(scope="module")
def result():
    made = study(method="marginal", cores=1)
    return collect([pretend_row(k) for k in range(60)], made, settings_of_study(made))


def test_the_result_names_everything(result):
    summary = result["summary"].to_dataset()
    assert list(summary["quantity"].values) == [*QUANTITIES, "alpha of subjects", "beta of subjects"]
    assert summary["coverage"].dims == ("quantity", "interval")
    assert result["subjects"]["rank"].dims == ("replication", "subject", "parameter")
    assert int((~result["runs"]["converged"]).sum()) == 12
    assert np.isnan(result["runs"]["max_k_hat"]).all()
    kept = json.loads(result.attrs["settings"])
    assert kept["options"] == {"method": "marginal"}
    assert hr.Prior.from_json(json.dumps(kept["prior"])) == study().prior


def test_the_result_survives_a_file(result, tmp_path):
    result.to_netcdf(tmp_path / "calibration.nc")
    with xr.open_datatree(tmp_path / "calibration.nc", engine="h5netcdf") as again:
        xr.testing.assert_equal(again["summary"].to_dataset(), result["summary"].to_dataset())
        assert again.attrs == result.attrs


def test_the_plot_has_a_panel_for_each_quantity(result):
    figure = hr.plot_calibration(result)
    labels = [axes.get_label() for axes in figure.axes if axes.axison]
    assert labels == list(result["summary"]["quantity"].values)
    one = hr.plot_calibration(result, quantities=["sigma of beta"])
    assert [axes.get_label() for axes in one.axes] == ["sigma of beta"]
    with pytest.raises(ValueError, match="no 'sigma of betta'. Did you mean"):
        hr.plot_calibration(result, quantities=["sigma of betta"])
    with pytest.raises(ValueError, match="no result of hr.calibrate"):
        hr.plot_calibration(result["summary"])


def test_what_follows_from_the_prior_cannot_be_chosen():
    with pytest.raises(TypeError, match="correlated= can't be chosen"):
        hr.calibrate(MODEL, TASK, n_subjects=4, correlated=True)
    with pytest.raises(ValueError, match="at least one is needed"):
        hr.calibrate(MODEL, TASK, n_subjects=4, replications=0)


def test_a_replication_has_its_own_seeds_and_the_same_ones_again():
    first, again, other = study().data(3), study().data(3), study().data(4)
    assert first.equals(again)
    assert not np.array_equal(first["choice"], other["choice"])


@pytest.mark.slow
def test_posteriors_of_a_small_study_are_calibrated(tmp_path):
    options = {
        "n_subjects": 5,
        "method": "marginal",
        "chains": 2,
        "draws": 300,
        "cores": 1,
        "progress": False,
    }
    file = tmp_path / "rows.jsonl"
    hr.calibrate(MODEL, TASK, replications=3, file=file, **options)
    before = file.read_text()
    result = hr.calibrate(MODEL, TASK, replications=30, file=file, **options)
    assert file.read_text().startswith(before)
    assert result["population"].sizes["replication"] == 30
    assert (result["summary"]["p_uniform"] > 1e-3).all()
    alone = hr.calibrate(MODEL, TASK, replications=[17], **options)
    np.testing.assert_array_equal(
        alone["population"]["rank"].values[0], result["population"]["rank"].sel(replication=17).values
    )
