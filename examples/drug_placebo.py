"""
A drug within subjects
======================

Does a drug change learning within subjects, and in one group more than in the other?

Everybody plays twice, once on placebo and once on the drug. A covariate that varies by session gives each subject a
slope of its own, so the question is about the population of slopes: their mean (by group), and how much subjects
differ. The study is simulated; the drug slows learning by 1 on the logit scale in group b and by nothing in group a.

Run it: ``python examples/drug_placebo.py [folder for the picture]``
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

import hierrl as hr

PER_GROUP = 16
TRUE_SLOPE = {"a": 0.0, "b": -1.0}
"""Mean change of logit alpha under the drug."""
SLOPES_DIFFER = 0.3
"""Standard deviation of that change between subjects of a group."""

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "drug-placebo")
folder.mkdir(parents=True, exist_ok=True)

# %%
# Two sessions for everybody
# --------------------------
# The session's drug stands in a column of the table, as in any file of a crossover study.

model = hr.model("forgetting_q")
task = hr.Bandit((0.8, 0.2), n_trials=120, reverse_every=30)

rng = np.random.default_rng(1)
group = np.repeat(list(TRUE_SLOPE), PER_GROUP)
level, beta = rng.normal(0.3, 0.6, group.size), np.exp(rng.normal(1.4, 0.3, group.size))
mean_slope = np.array([TRUE_SLOPE[name] for name in group])
slope = mean_slope + SLOPES_DIFFER * rng.standard_normal(group.size)
sessions = []
for drug, changed in (("placebo", level), ("verum", level + slope)):
    truth = {"alpha": 1 / (1 + np.exp(-changed)), "beta": beta}
    one = hr.simulate(model, task, truth, covariates={"group": group}, random_seed=rng)
    sessions.append(hr.to_table(one).assign(session=drug, drug=drug))
data = hr.behaviour(pd.concat(sessions), covariates=["group", "drug"])

# %%
# One posterior
# -------------
# ``group * drug``: the groups differ, the drug changes something, and not the same in both groups.

post = hr.fit_posterior(
    model,
    data,
    formula={"alpha": "1 + group * drug"},
    method="marginal",
    random_seed=1,
    progress=False,
)
print(*hr.describe(post).parts["checks"], sep="\n")

# %%
# The drug in each group
# ----------------------
# True is a ``mu`` of 0 in a, and of -1 in b.

shown = ["contrast", "at", "quantity", "mean", "eti95_low", "eti95_high", "p_direction"]
print("\nDrug minus placebo in each group (true mu: 0 in a, -1 in b)\n")
drug = hr.contrast(post, "alpha", "drug", within="group")
print(drug[shown].round(2).to_string(index=False))

picture = hr.plot_population(post, parameters=["alpha"])
picture.savefig(folder / "population.png")

# %%
# More in b than in a?
# --------------------
# That is a difference between the slopes of the groups, truly -1.

print("\nSlopes in b minus slopes in a\n")
more = hr.contrast(post, "alpha:drug[verum]", "group")
print(more[shown].round(2).to_string(index=False))

# %%
# How much do people differ?
# --------------------------
# Slopes have a spread of their own.

spread = post["population"]["sigma"].sel(parameter="alpha:drug[verum]")
low, high = np.quantile(spread, [0.025, 0.975])
print(f"\nSpread of slopes within a group, truly {SLOPES_DIFFER}:")
print(f"{float(spread.mean()):.2f}, 95 % ETI {low:.2f} to {high:.2f}")

# %%
# Each subject has a slope too (here posterior means). They follow from the population; a test on them would
# count the subjects' agreement twice.

slopes = post["posterior"]["alpha:drug[verum]"].mean(("chain", "draw")).to_series()
quartiles = slopes.describe()[["min", "25%", "50%", "75%", "max"]]
print(f"\nSlopes of subjects\n\n{quartiles.round(2).to_string()}")
print(f"\nPicture: population.png in {folder.name}/")
