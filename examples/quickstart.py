"""
Quickstart
==========

From a csv file to a figure and a methods paragraph: read, fit three ways, compare the groups, write it down.

The file is simulated and written first, so that you see what yours should look like: one row per trial, with who, what
was chosen and what it paid. With a file of your own, start at ``hr.behaviour``.

Run it: ``python examples/quickstart.py [folder for what is written]``
"""

import json
import sys
from pathlib import Path

import hierrl as hr
from hierrl.demo import demo_study

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "quickstart")
folder.mkdir(parents=True, exist_ok=True)

# %%
# The file, and how it is understood
# ----------------------------------
# Columns are found by their common names. The attribute ``notes`` says how the rest was understood; nothing
# is dropped.

file = folder / "study.csv"
columns = ["subject", "session", "trial", "choice", "reward", "group"]
hr.to_table(demo_study())[columns].to_csv(file, index=False)
print(*file.read_text().splitlines()[:4], sep="\n")

data = hr.behaviour(file, covariates=["group"])
n_subjects, n_trials = data.sizes["subject"], data.sizes["trial"]
print(f"\n{n_subjects} subjects, {n_trials:,} trials, arms", *data["arm"].values)
print(*json.loads(data.attrs["notes"]), sep="\n")

# %%
# Every subject by itself
# -----------------------
# First the convex relaxation, which bounds what any parameter values could reach; then maximum likelihood
# from there, with a proof that nothing fits better.

model = hr.model("forgetting_q")
quick = hr.fit_convex(model, data, progress=False)
mle = hr.fit_mle(model, data, start=quick, certify=1e-3, progress=False)
proven = int(mle["fit_stats"]["certified"].sum())
print(f"\nproven best within 0.001 nats: {proven} of {n_subjects} subjects")

# %%
# All subjects together
# ---------------------
# The posterior, with a mean for each group. ``contrast`` compares typical subjects (``median``), averages
# over subjects (``mean``) and means on the logit scale (``mu``).

formula = {"alpha": "1 + group"}
post = hr.fit_posterior(
    model,
    data,
    start=quick,
    formula=formula,
    method="marginal",
    random_seed=1,
    progress=False,
)
groups = hr.contrast(post, "alpha", "group")
shown = ["contrast", "quantity", "mean", "eti95_low", "eti95_high"]
print("\nLearning rates\n")
print(groups[shown].round(2).to_string(index=False))

# %%
# Pictures
# --------
# A line is a subject: the posterior pulls back those whose own trials say little.

fits = {"convex": quick, "mle": mle, "posterior": post}
estimates = hr.plot_estimates(fits, group="group")
estimates.savefig(folder / "estimates.png")

# %%
# What was found about the groups.

population = hr.plot_population(post, parameters=["alpha"])
population.savefig(folder / "population.png")

# %%
# What would stand in the paper
# -----------------------------
# ``describe`` drafts it from what the fit has on record.

told = hr.describe(post)
print("\nFor the methods section\n")
print(*told.parts["model"], *told.parts["checks"], sep="\n")
told.to_csv(folder / "parameters.csv")
post.to_netcdf(folder / "posterior.nc")
print(f"\nWritten into {folder.name}/:", *sorted(one.name for one in folder.iterdir()))
