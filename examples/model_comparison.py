"""
Comparing models
================

Which of four models describes these people, by how much, how sure is that, and is the winner any good?

The study is simulated: two thirds of the subjects remember what was rewarded and tend to leave what they chose before
(``subvalue`` with a negative choice trace), one third learn by the plain delta rule (``rw``). The comparison of
posteriors should find both kinds.

Run it: ``python examples/model_comparison.py [folder for the picture]``
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

import hierrl as hr

N_TRACE, N_PLAIN = 16, 8
"""Subjects who follow `subvalue`, and who follow `rw`."""

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "model-comparison")
folder.mkdir(parents=True, exist_ok=True)

# %%
# Two kinds of people
# -------------------
# They are simulated apart and put into one table.

task = hr.Bandit((0.75, 0.25), n_trials=150, reverse_every=25)
rng = np.random.default_rng(4)
trace = {
    "alpha": rng.uniform(0.2, 0.6, N_TRACE),
    "beta": rng.uniform(3, 6, N_TRACE),
    "alpha_choice": rng.uniform(0.3, 0.7, N_TRACE),
    "beta_choice": rng.uniform(-3, -1.5, N_TRACE),
}
plain = {"alpha": rng.uniform(0.2, 0.6, N_PLAIN), "beta": rng.uniform(3, 6, N_PLAIN)}
tables = []
for kind, name, truth in (("t", "subvalue", trace), ("p", "rw", plain)):
    table = hr.to_table(hr.simulate(hr.model(name), task, truth, random_seed=rng))
    tables.append(table.assign(subject=kind + table["subject"].astype(str)))
both = pd.concat(tables, ignore_index=True)
data = hr.behaviour(both[["subject", "trial", "choice", "reward"]])

# %%
# How well is a new subject predicted?
# ------------------------------------
# One subject is left out at a time, its parameters integrated over the population of the others. ``score``
# is in nats, larger is better; a difference of less than two standard errors is none.

NAMES = ("rw", "forgetting_q", "sticky", "subvalue")
fits = {
    name: hr.fit_posterior(
        hr.model(name), data, method="marginal", random_seed=1, progress=False
    )
    for name in NAMES
}
subjects = hr.compare_models(fits, by="subject", random_seed=1, progress=False)
print("Subjects left out\n")
print(subjects.table[["score", "difference", "difference_se"]].round(1).to_string())

# %%
# How frequent is each model?
# ---------------------------
# With two kinds of people one winner is half of the answer: random effects estimate how many follow each.

shown = ["frequency", "protected_exceedance", "attributed"]
print("\nFrequencies of the models among subjects\n")
print(subjects.random_effects.table[shown].round(2).to_string())

picture = hr.plot_comparison(subjects)
picture.savefig(folder / "comparison.png")

# %%
# The same question to point fits
# -------------------------------
# Each is fitted again without the last quarter of every subject's trials and predicts it. Point fits of
# four parameters predict worse than their posterior, so the simplest model looks best.

points = {name: hr.fit_mle(hr.model(name), data, progress=False) for name in NAMES}
ahead = hr.compare_models(points, last=0.25, progress=False)
print("\nThe last quarter held out\n")
print(ahead.table[["score", "difference", "difference_se"]].round(1).to_string())

# %%
# Is the winner any good?
# -----------------------
# A predictive check: does it do what the subjects do, and what does the plain model miss?

print("\nPredictive checks\n")
for name in ("rw", "subvalue"):
    check = hr.predictive_check(
        fits[name], statistics=["win_stay", "lose_shift"], random_seed=1, progress=False
    )
    print(f"{name:9} fails: {', '.join(check.failed) or 'nothing'}")
print(f"\nPicture: comparison.png in {folder.name}/")
