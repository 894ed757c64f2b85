"""Do patients learn more slowly than controls, and does the answer depend on the prior?

    python examples/group_comparison.py [folder for the pictures]

A study with known truth is simulated: patients' learning rates are lower by 1 on the logit scale and differ more
between subjects. Then what one would do with real data: a posterior with a formula and spreads by group, contrasts
with a region of practical equivalence (ROPE), and the same fit under other priors.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import xarray as xr

import hierrl as hr
from hierrl.fits import settings_of

MODEL = hr.model("forgetting_q")
TASK = hr.Bandit((0.8, 0.2), n_trials=120, reverse_every=30)
PER_GROUP = 30
MEAN, SPREAD = {"control": 0.0, "patient": -1.0}, {"control": 0.4, "patient": 0.8}
"""True mean and standard deviation of logit alpha in each group."""
SMALL = 0.05
"""Differences of learning rates below this are as good as none."""


def main(folder: Path) -> None:
    data = study(seed=1)
    quick = hr.fit_convex(MODEL, data, progress=False)
    post = hr.fit_posterior(
        MODEL,
        data,
        start=quick,
        formula={"alpha": "1 + group"},
        spread_by="group",
        method="marginal",
        random_seed=1,
        progress=False,
    )
    print("1. What the sampler says of itself\n")
    print(*settings_of(post)["diagnostics"]["sentences"], sep="\n")

    print("\n2. The prior that was used\n")
    prior = post["prior"].to_dataset().to_dataframe()
    print(prior[["loc", "scale", "low", "middle", "high", "source"]].round(2).to_string())

    print(f"\n3. Patients minus controls (true: mu -1, log ratio of spreads {np.log(2):.2f})\n")
    table = hr.contrast(post, "alpha", "group", rope=SMALL)
    shown = ["contrast", "quantity", "mean", "eti95_low", "eti95_high", "p_direction", "p_rope"]
    print(table[shown].round(3).to_string(index=False))

    print("\n4. The same under priors of other widths, and under one that knows nothing of the data\n")
    sensitivity = hr.prior_sensitivity(post, widen=(1, 5), draws=500, random_seed=1, progress=False)
    about = sensitivity[(sensitivity["parameter"] == "alpha") & sensitivity["quantity"].isin(["mu", "sigma"])]
    shown = ["prior", "quantity", "of", "mean", "sd", "shift", "sd_ratio"]
    print(about[shown].round(2).to_string(index=False))

    folder.mkdir(parents=True, exist_ok=True)
    hr.plot_population(post, parameters=["alpha"]).savefig(folder / "population.png")
    hr.plot_prior_sensitivity(sensitivity, parameters=["alpha"]).savefig(folder / "sensitivity.png")
    print(f"\nPictures: population.png and sensitivity.png in {folder}/")


def study(seed: int) -> xr.Dataset:
    """Two groups of subjects, simulated."""
    rng = np.random.default_rng(seed)
    group = np.repeat(["control", "patient"], PER_GROUP)
    mean, spread = (np.array([numbers[name] for name in group]) for numbers in (MEAN, SPREAD))
    logit_alpha = mean + spread * rng.standard_normal(group.size)
    truth = {"alpha": 1 / (1 + np.exp(-logit_alpha)), "beta": np.exp(rng.normal(1.4, 0.3, group.size))}
    return hr.simulate(MODEL, TASK, truth, covariates={"group": group}, random_seed=rng)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "group-comparison"))
