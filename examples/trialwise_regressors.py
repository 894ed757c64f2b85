"""Trial-wise values and prediction errors for imaging or physiology: one tidy table, one events file per subject.

    python examples/trialwise_regressors.py [folder for the tables]

The study is simulated, with an onset for each trial as a scanner's log has it. Regressors come from the posterior, so
each has a standard deviation too: where it is large, a trial's value depends on parameters that the choices don't tell.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

import hierrl as hr

MODEL = hr.model("rw", start=0.5)
TASK = hr.Bandit((0.75, 0.25), n_trials=80, reverse_every=20, missed=0.04)
N_SUBJECTS = 12
OUTCOME_AFTER = 1.5
"""Seconds from the onset of a trial to its outcome."""
REGRESSORS = ("prediction_error", "value_difference", "p_choice")


def main(folder: Path) -> None:
    data = study(seed=2)
    post = hr.fit_posterior(MODEL, data, method="marginal", random_seed=1, progress=False)

    table = hr.latent_table(post)
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / "latents.csv", index=False)
    print("1. One row per trial, none left out; means over draws, and standard deviations\n")
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

    print("\n2. Events as an analysis of fMRI takes them, for each subject\n")
    for subject, own in table.groupby("subject"):
        events(own).to_csv(
            folder / f"sub-{subject:02}_events.tsv", sep="\t", index=False, na_rep="n/a", float_format="%.4f"
        )
    print(*(folder / "sub-01_events.tsv").read_text().splitlines()[:4], sep="\n")

    print("\n3. How certain are the regressors, and how alike are two of them?\n")
    spread = table["prediction_error"].std()
    print(
        f"   sd of a prediction error over draws / over trials: {table['prediction_error_sd'].mean() / spread:.2f}"
    )
    alike = table.groupby("subject")[["value_difference", "p_choice"]].corr().xs("p_choice", level=1)
    print(
        f"   correlation of value difference and p_choice: {alike['value_difference'].median():.2f} (median subject)"
    )

    print("\n4. The same for one trial's whole distribution, as a check\n")
    draws = hr.latents(post, subjects=[1])["prediction_error"]
    same = np.nanmax(
        np.abs(draws.mean(("chain", "draw")).values - table.loc[table["subject"] == 1, "prediction_error"])
    )
    print(f"   largest difference between the table and the mean of the draws: {same:.0e}")


def events(own: pd.DataFrame) -> pd.DataFrame:
    """Outcomes of one subject: onset, duration, and regressors centred within the subject, missed trials apart."""
    missed = own["prediction_error"].isna()
    centred = own[list(REGRESSORS)] - own[list(REGRESSORS)].mean()
    kind = np.where(missed, "missed", "outcome")
    return pd.DataFrame({"onset": own["onset"] + OUTCOME_AFTER, "duration": 0.0, "trial_type": kind}).join(
        centred
    )


def study(seed: int) -> xr.Dataset:
    """Simulated behaviour with the onset of each trial, in seconds, as a covariate by trial."""
    rng = np.random.default_rng(seed)
    truth = {"alpha": rng.uniform(0.2, 0.7, N_SUBJECTS), "beta": rng.uniform(2, 6, N_SUBJECTS)}
    table = hr.to_table(hr.simulate(MODEL, TASK, truth, random_seed=rng))
    gaps = pd.Series(rng.uniform(4, 8, len(table)))
    table["onset"] = gaps.groupby(table["subject"]).cumsum().round(2)
    return hr.behaviour(table, covariates=["onset"])


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "regressors"))
