"""Does a drug change learning within subjects, and in one group more than in the other?

    python examples/drug_placebo.py

Everybody plays twice, once on placebo and once on the drug. A covariate that varies by session gives each subject a
slope of its own, so the question is about the population of slopes: their mean (by group), and how much subjects
differ. The study is simulated; the drug slows learning by 1 on the logit scale in group b and by nothing in group a.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

import hierrl as hr
from hierrl.fits import settings_of

MODEL = hr.model("forgetting_q")
TASK = hr.Bandit((0.8, 0.2), n_trials=120, reverse_every=30)
PER_GROUP = 16
TRUE_SLOPE = {"a": 0.0, "b": -1.0}
"""Mean change of logit alpha under the drug."""
SLOPES_DIFFER = 0.3
"""Standard deviation of that change between subjects of a group."""


def main() -> None:
    data = study(seed=1)
    post = hr.fit_posterior(
        MODEL,
        data,
        formula={"alpha": "1 + group * drug"},
        method="marginal",
        random_seed=1,
        progress=False,
    )
    print("1. What the sampler says of itself\n")
    print(*settings_of(post)["diagnostics"]["sentences"], sep="\n")

    shown = ["contrast", "at", "quantity", "mean", "eti95_low", "eti95_high", "p_direction"]
    print("\n2. Drug minus placebo in each group (true mu: 0 in a, -1 in b)\n")
    print(hr.contrast(post, "alpha", "drug", within="group")[shown].round(2).to_string(index=False))

    print("\n3. Does the drug do more in b than in a? The slopes of the groups (true difference: -1)\n")
    print(hr.contrast(post, "alpha:drug[verum]", "group")[shown].round(2).to_string(index=False))

    spread = post["population"]["sigma"].sel(parameter="alpha:drug[verum]")
    low, high = np.quantile(spread, [0.025, 0.975])
    print(f"\n4. How much do subjects of a group differ in their slopes? Truly an sd of {SLOPES_DIFFER}:")
    print(f"   {float(spread.mean()):.2f}, 95 % ETI {low:.2f} to {high:.2f}")

    slopes = post["posterior"]["alpha:drug[verum]"].mean(("chain", "draw")).to_series()
    print("\n5. Each subject has a slope (posterior means; population first, not the other way round)\n")
    print(slopes.describe()[["min", "25%", "50%", "75%", "max"]].round(2).to_string())


def study(seed: int) -> xr.Dataset:
    """Two groups, two sessions each."""
    rng = np.random.default_rng(seed)
    group = np.repeat(list(TRUE_SLOPE), PER_GROUP)
    level, beta = rng.normal(0.3, 0.6, group.size), np.exp(rng.normal(1.4, 0.3, group.size))
    slope = np.array([TRUE_SLOPE[name] for name in group]) + SLOPES_DIFFER * rng.standard_normal(group.size)
    sessions = []
    for drug, changed in (("placebo", level), ("verum", level + slope)):
        truth = {"alpha": 1 / (1 + np.exp(-changed)), "beta": beta}
        one = hr.simulate(MODEL, TASK, truth, covariates={"group": group}, random_seed=rng)
        sessions.append(hr.to_table(one).assign(session=drug, drug=drug))
    return hr.behaviour(pd.concat(sessions), covariates=["group", "drug"])


if __name__ == "__main__":
    main()
