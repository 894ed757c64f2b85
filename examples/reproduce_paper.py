"""The basic experiment of Zhu et al. (2025) in small: how close do convex, maximum-likelihood and posterior come?

    python examples/reproduce_paper.py [folder for the table]

60 subjects are simulated as in the paper: forgetting Q-learning, 200 trials on two arms with odds of .9 and .1 that are
dealt anew now and then, rates uniform in [0, 1], weights in [0, 5]. KL is the mean over trials of the divergence of the
fitted policy from the true one. Point fits know the range of the weights, as in the paper; the posterior doesn't: its
population is normal on the link scale, which the true values are not. The paper has 1,000 subjects; `docs/paper.md` has
all of its experiments at full size.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from scipy.special import rel_entr, softmax

import hierrl as hr

N_SUBJECTS, N_TRIALS = 60, 200
LARGEST_BETA = 5.0
MODEL = hr.model("forgetting_q", bounds={"beta": (0, LARGEST_BETA)})
PUBLISHED = {
    "relaxed policy": 0.00576,
    "convex": 0.00426,
    "maximum likelihood": np.nan,
    "posterior": 0.00270,
}
"""Median KL in the paper: relaxation, relaxation with recovery, MCMC. Its direct fits are no maximum likelihood."""


def main(folder: Path) -> None:
    rng = np.random.default_rng(1)
    truth = {"alpha": rng.uniform(0, 1, N_SUBJECTS), "beta": rng.uniform(0, LARGEST_BETA, N_SUBJECTS)}
    data = hr.simulate(MODEL, hr.Bandit.zhu_2arm(N_TRIALS), truth, random_seed=rng)

    quick = hr.fit_convex(MODEL, data, progress=False)
    mle = hr.fit_mle(MODEL, data, start=quick, certify=1e-3, progress=False)
    post = hr.fit_posterior(MODEL, data, start=quick, method="marginal", random_seed=1, progress=False)
    fits = {"convex": quick, "maximum likelihood": mle, "posterior": post}

    true = policy(quick, truth)
    relaxed = softmax(quick["relaxation"]["logit"].values, axis=1)
    rows = [{"method": "relaxed policy", "KL": kl(true, relaxed)}]
    for name, fit in fits.items():
        found = {p: fit["posterior"][p].mean(("chain", "draw")).values for p in MODEL.names}
        errors = {f"{p} error": float(np.median(np.abs(found[p] - truth[p]))) for p in MODEL.names}
        rows.append({"method": name, "KL": kl(true, policy(quick, found)), **errors})
    predicted = hr.latents(post, draws=250)["probability"].mean(("chain", "draw")).values
    rows.append({"method": "posterior, mean policy", "KL": kl(true, predicted)})
    table = pd.DataFrame(rows).set_index("method")
    table.insert(1, "KL in the paper", pd.Series(PUBLISHED))

    print(f"Medians over {N_SUBJECTS} simulated subjects (the paper: 1,000 others)\n")
    print(table.round(5).to_string(na_rep="-"))
    stats = mle["fit_stats"].to_dataset()
    loose = stats["bound"].values - stats["loglik"].values
    print(
        f"\nmaximum likelihood: {int(stats['certified'].sum())} of {N_SUBJECTS} fits are proven to 0.001 nats"
    )
    print(f"largest gap between bound and fit: {loose.max():.4f} nats")
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / "basic-2arm.csv")


def policy(fit: xr.DataTree, parameters: dict[str, npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """Choice probabilities (trial, arm) of the model at given parameters, on the data of the fit."""
    return hr.latents(fit, parameters=parameters)["probability"].values


def kl(true: npt.NDArray[np.float64], fitted: npt.NDArray[np.float64]) -> float:
    """Median over subjects of the mean divergence per trial, in nats."""
    by_trial = rel_entr(true, fitted).sum(axis=1)
    return float(np.median(by_trial.reshape(N_SUBJECTS, N_TRIALS).mean(axis=1)))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "paper"))
