"""
Comparing groups
================

Do patients learn more slowly than controls, and does the answer depend on the prior?

A study with known truth is simulated: patients' learning rates are lower by 1 on the logit scale and differ more
between subjects. Then what one would do with real data: a posterior with a formula and spreads by group, contrasts
with a region of practical equivalence (ROPE), and the same fit under other priors.

Run it: ``python examples/group_comparison.py [folder for the pictures]``
"""

import sys
from pathlib import Path

import numpy as np

import hierrl as hr

PER_GROUP = 30
MEAN, SPREAD = {"control": 0.0, "patient": -1.0}, {"control": 0.4, "patient": 0.8}
"""True mean and standard deviation of logit alpha in each group."""
SMALL = 0.05
"""Differences of learning rates below this are as good as none."""

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "group-comparison")
folder.mkdir(parents=True, exist_ok=True)

# %%
# A study
# -------
# Two groups play a task that reverses.

rng = np.random.default_rng(1)
group = np.repeat(["control", "patient"], PER_GROUP)
mean, spread = (
    np.array([numbers[name] for name in group]) for numbers in (MEAN, SPREAD)
)
logit_alpha = mean + spread * rng.standard_normal(group.size)
truth = {
    "alpha": 1 / (1 + np.exp(-logit_alpha)),
    "beta": np.exp(rng.normal(1.4, 0.3, group.size)),
}

model = hr.model("forgetting_q")
task = hr.Bandit((0.8, 0.2), n_trials=120, reverse_every=30)
data = hr.simulate(model, task, truth, covariates={"group": group}, random_seed=rng)

# %%
# The posterior
# -------------
# One fit for both groups: ``formula`` lets their means differ, ``spread_by`` their spreads. Look first at
# what the sampler says of itself.

quick = hr.fit_convex(model, data, progress=False)
post = hr.fit_posterior(
    model,
    data,
    start=quick,
    formula={"alpha": "1 + group"},
    spread_by="group",
    method="marginal",
    random_seed=1,
    progress=False,
)
print(*hr.describe(post).parts["checks"], sep="\n")

# %%
# The prior that was used: centred where the data are (``empirical``), but for differences between groups,
# which are centred at none (``weak``).

prior = post["prior"].to_dataset().to_dataframe()
columns = ["loc", "scale", "low", "middle", "high", "source"]
print(f"\nThe prior\n\n{prior[columns].round(2).to_string()}")

# %%
# Patients minus controls
# -----------------------
# True are a difference of -1 in ``mu`` and a log ratio of spreads of 0.69. ``p_rope`` is the posterior
# probability that the difference is too small to matter.

table = hr.contrast(post, "alpha", "group", rope=SMALL)
shown = ["quantity", "mean", "eti95_low", "eti95_high", "p_direction", "p_rope"]
print(f"\nLearning rates, patient - control (true: mu -1, log_sigma {np.log(2):.2f})\n")
print(table[shown].round(3).to_string(index=False))

population = hr.plot_population(post, parameters=["alpha"])
population.savefig(folder / "population.png")

# %%
# Does it depend on the prior?
# ----------------------------
# The same under priors of other widths, and under one that knows nothing of the data. ``shift`` is in
# posterior standard deviations.

sensitivity = hr.prior_sensitivity(
    post, widen=(1, 5), draws=500, random_seed=1, progress=False
)
about = sensitivity.query("parameter == 'alpha' and quantity in ['mu', 'sigma']")
shown = ["prior", "quantity", "of", "mean", "sd", "shift", "sd_ratio"]
print(f"\nUnder other priors\n\n{about[shown].round(2).to_string(index=False)}")

picture = hr.plot_prior_sensitivity(sensitivity, parameters=["alpha"])
picture.savefig(folder / "sensitivity.png")
print(f"\nPictures: population.png and sensitivity.png in {folder.name}/")
