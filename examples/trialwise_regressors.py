"""
Trial-wise regressors
=====================

Values and prediction errors for imaging or physiology: one tidy table, one events file per subject.

The study is simulated, with an onset for each trial as a scanner's log has it. Regressors come from the posterior, so
each has a standard deviation too: where it is large, a trial's value depends on parameters that the choices don't tell.

Run it: ``python examples/trialwise_regressors.py [folder for the tables]``
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

import hierrl as hr

N_SUBJECTS = 12
OUTCOME_AFTER = 1.5
"""Seconds from the onset of a trial to its outcome."""
REGRESSORS = ["prediction_error", "value_difference", "p_choice"]

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "regressors")
folder.mkdir(parents=True, exist_ok=True)

# %%
# Behaviour with onsets
# ---------------------
# The onset of each trial, in seconds, is a covariate by trial.

model = hr.model("rw", start=0.5)
task = hr.Bandit((0.75, 0.25), n_trials=80, reverse_every=20, missed=0.04)
rng = np.random.default_rng(2)
truth = {
    "alpha": rng.uniform(0.2, 0.7, N_SUBJECTS),
    "beta": rng.uniform(2, 6, N_SUBJECTS),
}
log = hr.to_table(hr.simulate(model, task, truth, random_seed=rng))
gaps = pd.Series(rng.uniform(4, 8, len(log)))
log["onset"] = gaps.groupby(log["subject"]).cumsum().round(2)
data = hr.behaviour(log, covariates=["onset"])

# %%
# One row per trial
# -----------------
# None is left out; where nothing was learned, there is no prediction error. Means over draws, and standard
# deviations.

post = hr.fit_posterior(model, data, method="marginal", random_seed=1, progress=False)
table = hr.latent_table(post)
table.to_csv(folder / "latents.csv", index=False)
shown = [
    "subject",
    "trial",
    "choice",
    "reward",
    "prediction_error",
    "prediction_error_sd",
    "value_difference",
]
print(table[shown].head(4).round(2).to_string(index=False))

picture = hr.plot_subject(post, 1)
picture.savefig(folder / "subject.png")

# %%
# Events for an analysis of fMRI
# ------------------------------
# One file for each subject: outcomes with onset, duration and regressors centred within the subject, missed
# trials apart.


def events(own: pd.DataFrame) -> pd.DataFrame:
    kind = np.where(own["prediction_error"].isna(), "missed", "outcome")
    when = pd.DataFrame(
        {"onset": own["onset"] + OUTCOME_AFTER, "duration": 0.0, "trial_type": kind}
    )
    return when.join(own[REGRESSORS] - own[REGRESSORS].mean())


for subject, own in table.groupby("subject"):
    events(own).to_csv(
        folder / f"sub-{subject:02}_events.tsv",
        sep="\t",
        index=False,
        na_rep="n/a",
        float_format="%.4f",
    )
print("\nsub-01_events.tsv\n")
print(*(folder / "sub-01_events.tsv").read_text().splitlines()[:4], sep="\n")

# %%
# How certain, and how alike?
# ---------------------------
# Regressors that go together can't be told apart in a linear model, whatever the scanner measures.

spread = table["prediction_error_sd"].mean() / table["prediction_error"].std()
print(f"\nsd of a prediction error over draws / over trials: {spread:.2f}")
pairs = table.groupby("subject")[["value_difference", "p_choice"]].corr()
alike = pairs.xs("p_choice", level=1)["value_difference"].median()
print(f"correlation of value difference and p_choice: {alike:.2f} (median subject)")

# %%
# Every draw
# ----------
# ``hr.latents`` gives the distribution behind the means, for one subject or for all.

draws = hr.latents(post, subjects=[1])["prediction_error"]
means = draws.mean(("chain", "draw")).values
told = table.loc[table["subject"] == 1, "prediction_error"]
difference = np.nanmax(np.abs(means - told))
print(f"\nlargest difference between table and mean of draws: {difference:.0e}")
print(f"\nWritten: latents.csv, subject.png and events files in {folder.name}/")
