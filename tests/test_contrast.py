"""Group contrasts: against differences of draws taken by hand."""

import arviz_stats
import builders
import numpy as np
import pytest
import sampled
import xarray as xr

import hierrl as hr
from hierrl.contrast import equal_tailed, highest_density
from hierrl.formulas.cells import levels_of, members, spelled

CROSSED = ("group=old, sex=female", "group=old, sex=male", "group=young, sex=female", "group=young, sex=male")


@pytest.fixture(scope="module")
def mle() -> xr.DataTree:
    return hr.fit_mle(hr.model("rw"), builders.random_behaviour(6, 40, rich=True, seed=1), progress=False)


@pytest.fixture(scope="module")
def posterior(mle) -> xr.DataTree:
    return sampled.pretend_posterior(mle)


def draws_of(posterior: xr.DataTree, quantity: str, cell: str) -> np.ndarray:
    return posterior["population"][quantity].sel(parameter="alpha", cell=cell).values.ravel()


def test_median_and_mean_are_contrasted_draw_by_draw(posterior):
    table = hr.contrast(posterior, "alpha", "group").set_index("quantity")
    for quantity in ("median", "mean"):
        by_hand = draws_of(posterior, quantity, "group=young") - draws_of(posterior, quantity, "group=old")
        row = table.loc[quantity]
        assert row["mean"] == pytest.approx(by_hand.mean())
        assert row["sd"] == pytest.approx(by_hand.std(ddof=1))
        assert (row["eti95_low"], row["eti95_high"]) == pytest.approx(
            tuple(np.quantile(by_hand, [0.025, 0.975]))
        )
        assert row["p_direction"] == (by_hand > 0).mean()
    assert set(table["contrast"]) == {"young - old"}
    assert table["scale"].to_dict()["median"] == "natural"


def test_mu_is_contrasted_on_the_link_scale(posterior):
    row = hr.contrast(posterior, "alpha", "group").set_index("quantity").loc["mu"]
    logit = [np.log(m / (1 - m)) for m in (draws_of(posterior, "median", c) for c in sampled.CELLS)]
    assert row["mean"] == pytest.approx((logit[1] - logit[0]).mean())
    assert row["scale"] == "link (log odds ratio)"


def test_three_levels_give_all_pairs(mle):
    posterior = sampled.pretend_posterior(mle, cells=("group=a", "group=b", "group=c"))
    table = hr.contrast(posterior, "alpha", "group")
    assert list(dict.fromkeys(table["contrast"])) == ["b - a", "c - a", "c - b"]
    assert len(table) == 9


def test_other_covariates_count_alike(mle):
    posterior = sampled.pretend_posterior(mle, cells=CROSSED)
    row = hr.contrast(posterior, "alpha", "group").set_index("quantity").loc["median"]
    cells = [draws_of(posterior, "median", cell) for cell in CROSSED]
    assert row["mean"] == pytest.approx(((cells[2] + cells[3]) / 2 - (cells[0] + cells[1]) / 2).mean())
    assert row["at"] == "averaged over sex"


def test_covariates_that_change_nothing_are_not_averaged_over(mle):
    posterior = sampled.pretend_posterior(mle, cells=CROSSED)
    population = posterior["population"].to_dataset()
    # As if the formula of alpha lacked sex: cells differ in the group alone.
    same = [0, 0, 2, 2]
    for name in ("median", "mean"):
        population[name] = population[name].copy(data=population[name].values[..., same])
    posterior["population"] = xr.DataTree(population)
    assert set(hr.contrast(posterior, "alpha", "group")["at"]) == {""}


def test_within_keeps_levels_of_another_covariate_apart(mle):
    posterior = sampled.pretend_posterior(mle, cells=CROSSED)
    table = hr.contrast(posterior, "alpha", "group", within="sex")
    male = table[(table["at"] == "sex=male") & (table["quantity"] == "mean")].iloc[0]
    by_hand = draws_of(posterior, "mean", CROSSED[3]) - draws_of(posterior, "mean", CROSSED[1])
    assert male["mean"] == pytest.approx(by_hand.mean())
    assert set(table["at"]) == {"sex=female", "sex=male"}


def test_numeric_covariate_gives_its_slope_on_the_link_scale(posterior):
    table = hr.contrast(posterior, "alpha", "age")
    by_hand = posterior["population"]["mu"].sel(parameter="alpha", coefficient="age").values
    assert len(table) == 1
    assert table.loc[0, "mean"] == pytest.approx(by_hand.mean())
    assert table.loc[0, ["contrast", "quantity"]].tolist() == ["age + 1", "mu"]


def test_interval_carries_its_name(posterior):
    table = hr.contrast(posterior, "alpha", "group", interval="hdi", prob=0.89)
    assert {"hdi89_low", "hdi89_high"} <= set(table)
    assert table.attrs["interval"] == "89 % HDI"


def test_highest_density_interval_is_that_of_arviz():
    draws = np.random.default_rng(0).gamma(2.0, size=2000)
    expected = np.asarray(arviz_stats.hdi(draws, prob=0.9))
    np.testing.assert_allclose(highest_density(draws, 0.9), expected, atol=0.02)
    low, high = highest_density(draws, 0.9)
    assert ((draws >= low) & (draws <= high)).mean() == pytest.approx(0.9, abs=1e-3)
    other = equal_tailed(draws, 0.9)
    assert high - low < other[1] - other[0]


def test_draws_of_the_point_fit_are_left_alone(mle, posterior):
    assert "population" not in mle.children
    assert "population" in posterior.children


def test_point_fit_is_refused(mle):
    with pytest.raises(ValueError, match="this fit has none: it holds a point estimate for each subject"):
        hr.contrast(mle, "alpha", "group")


def test_unknown_parameter_is_refused_with_the_nearest_name(posterior):
    with pytest.raises(ValueError, match="no parameter 'alfa' in this population. Did you mean 'alpha'"):
        hr.contrast(posterior, "alfa", "group")


def test_unknown_covariate_is_refused_with_those_that_are_there(posterior):
    with pytest.raises(
        ValueError, match=r"'sex' is not a covariate of this population \(it has group, age\)"
    ):
        hr.contrast(posterior, "alpha", "sex")


def test_parameter_whose_formula_lacks_the_covariate_is_refused(posterior):
    with pytest.raises(
        ValueError, match="'beta' does not depend on 'group'.*formula={'beta': '1 \\+ group'}"
    ):
        hr.contrast(posterior, "beta", "group")


# Regions of practical equivalence, spreads of groups


def test_probability_of_practical_equivalence_is_the_share_of_draws_inside(posterior):
    table = hr.contrast(posterior, "alpha", "group", rope=0.15).set_index("quantity")
    for quantity in ("median", "mean"):
        by_hand = draws_of(posterior, quantity, "group=young") - draws_of(posterior, quantity, "group=old")
        assert table.loc[quantity, "p_rope"] == (np.abs(by_hand) < 0.15).mean()
    assert np.isnan(table.loc["mu", "p_rope"])
    assert 0 < table.loc["median", "p_rope"] < 1


def test_each_quantity_may_have_a_region_of_its_own(posterior):
    rope = {"mu": (-0.2, 0.9), "mean": 0.1}
    table = hr.contrast(posterior, "alpha", "group", rope=rope).set_index("quantity")
    logit = [np.log(m / (1 - m)) for m in (draws_of(posterior, "median", c) for c in sampled.CELLS)]
    inside = (logit[1] - logit[0] > -0.2) & (logit[1] - logit[0] < 0.9)
    assert table.loc["mu", "p_rope"] == pytest.approx(inside.mean())
    assert np.isnan(table.loc["median", "p_rope"])
    slope = hr.contrast(posterior, "alpha", "age", rope=0.04)
    draws = posterior["population"]["mu"].sel(parameter="alpha", coefficient="age").values
    assert slope["p_rope"].item() == (np.abs(draws) < 0.04).mean()


def test_without_a_region_nothing_is_said_of_it(posterior):
    assert "p_rope" not in hr.contrast(posterior, "alpha", "group")


def with_spreads(posterior, spread_by="group"):
    tree, rng = posterior.copy(), np.random.default_rng(0)
    population = tree["population"].to_dataset()
    sigma = np.exp(rng.normal([[-0.5, 0.3], [0.0, 0.0]], 0.1, (*population["sigma"].shape[:2], 2, 2)))
    attrs = {"spread_by": spread_by}
    sigma = xr.DataArray(sigma, dims=("chain", "draw", "parameter", "group"), attrs=attrs)
    coords = {"group": np.array(["old", "young"], dtype=object)}
    tree["population"] = xr.DataTree(population.drop_vars("sigma").assign(sigma=sigma).assign_coords(coords))
    return tree


def test_spreads_of_groups_are_contrasted_as_log_ratios(posterior):
    tree = with_spreads(posterior)
    row = hr.contrast(tree, "alpha", "group").set_index("quantity").loc["log_sigma"]
    sigma = tree["population"]["sigma"].sel(parameter="alpha")
    by_hand = np.log(sigma.sel(group="young") / sigma.sel(group="old"))
    assert row["mean"] == pytest.approx(by_hand.mean().item())
    assert row["contrast"] == "young - old"
    other = hr.contrast(with_spreads(posterior, "site"), "alpha", "group")
    assert "log_sigma" not in other["quantity"].values


def test_groups_that_differ_in_spread_only_are_contrasted_in_what_differs(posterior):
    table = hr.contrast(with_spreads(posterior), "beta", "group")
    assert table["quantity"].tolist() == ["mean", "log_sigma"]


@pytest.mark.parametrize(
    ("rope", "message"),
    [
        (-0.1, "a positive number r"),
        ((0.2, 0.1), "low < high; found"),
        ({"spread": 0.1}, "rope= names 'spread', which is not one of"),
    ],
)
def test_regions_that_are_none_are_refused(posterior, rope, message):
    with pytest.raises(ValueError, match=message):
        hr.contrast(posterior, "alpha", "group", rope=rope)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"interval": "ci"}, "interval='ci' is not one of"),
        ({"prob": 95}, "between 0 and 1; found 95"),
        ({"within": "group"}, "within='group' must be another categorical covariate"),
    ],
)
def test_wrong_options_are_refused(posterior, wrong, message):
    with pytest.raises(ValueError, match=message):
        hr.contrast(posterior, "alpha", "group", **wrong)


def test_labels_of_cells_are_read_with_commas_in_levels():
    assert levels_of("group=old, thin, sex=male") == {"group": "old, thin", "sex": "male"}
    assert levels_of("all") == {}


def test_members_of_cells_are_found_among_text_and_numbers():
    data = xr.Dataset(
        {"group": ("subject", ["a", "b", "a"]), "dose": ("subject", [1.0, 2.5, 2.5])},
        coords={"subject": [1, 2, 3]},
    )
    assert spelled(data["dose"].values).tolist() == ["1", "2.5", "2.5"]
    found = members(["all", "group=a", "group=a, dose=2.5"], data)
    assert found.tolist() == [[True] * 3, [True, False, True], [False, False, True]]
