"""
A model of your own
===================

Reinforcement learning with a working memory, written as what happens on one trial.

After Collins & Frank (2012): people learn which of three keys goes with each of several pictures. Values are learned
slowly, whatever the number of pictures; working memory keeps the last outcome of each picture, fades with every trial
and holds three pictures at once, so it is of less use in large sets. Blocks have two or five pictures. The study is
simulated; the program fits it by maximum likelihood and with a hierarchical posterior, and looks at memory.
:doc:`/own_model` explains what the functions see.

Run it: ``python examples/own_model.py [folder for the picture]``
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytensor.tensor as pt
import xarray as xr

import hierrl as hr

N_SUBJECTS = 16
SET_SIZES = (2, 5)
BLOCKS_OF_EACH = 4
REPEATS = 12
"""How often each picture of a block comes up."""
GUESS = 1 / 3
"""Value of a key about which nothing is known: one of three is right."""
CAPACITY = 3
"""Pictures that working memory holds."""
SHARP = 30.0
"""Inverse temperature of working memory, which knows or doesn't."""

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "own-model")
folder.mkdir(parents=True, exist_ok=True)

# %%
# The model
# ---------
# One function says how the state gives choice probabilities, one what the outcome makes of the state.


def faded(state, trial, p):
    """What memory still holds of the picture: it is that many trials ago."""
    kept = (1 - p["forget"]) ** trial["since"]
    return GUESS + kept * (state["memory"] - GUESS)


def update(state, trial, p):
    """After the outcome: values move toward it, memory takes it as it is."""
    value, chosen, reward = state["value"], trial["chosen"], trial["reward"]
    return {
        "value": value + chosen * p["alpha"] * (reward - value),
        "memory": pt.switch(chosen, reward, faded(state, trial, p)),
    }


def probabilities(state, trial, p):
    """Before the choice: a mixture of both policies; memory counts for as much as it can hold of the set."""
    share = p["trust"] * pt.minimum(1.0, CAPACITY / trial["set_size"])
    slow = pt.special.softmax(p["beta"] * state["value"])
    fast = pt.special.softmax(SHARP * faded(state, trial, p))
    return (1 - share) * slow + share * fast


MODEL = hr.Recursion(
    name="rlwm",
    parameters={
        "alpha": "rate",
        "beta": ("weight", 0, 30),
        "forget": "rate",
        "trust": "rate",
    },
    states={"value": GUESS, "memory": GUESS},
    update=update,
    probabilities=probabilities,
    columns=("set_size",),
    context="picture",
    n_arms=3,
)
print(MODEL)

# %%
# A study
# -------
# Subjects choose as the model says, in blocks of two and of five pictures.


def trials(rng: np.random.Generator) -> xr.Dataset:
    """What is shown when, with what every key pays."""
    rows = []
    for subject in range(1, N_SUBJECTS + 1):
        sizes = rng.permutation(np.repeat(SET_SIZES, BLOCKS_OF_EACH))
        for block, size in enumerate(sizes, start=1):
            right = rng.integers(0, 3, size)
            shown = rng.permuted(np.tile(np.arange(size), (REPEATS, 1)), axis=1)
            for picture in shown.ravel():
                key = rng.integers(0, 3)
                pays = [float(right[picture] == k) for k in range(3)]
                rows.append([subject, block, picture, size, key, pays[key], *pays])
    paid = ["pay_0", "pay_1", "pay_2"]
    names = ["subject", "session", "picture", "set_size", "choice", "reward", *paid]
    table = pd.DataFrame(rows, columns=names)
    return hr.behaviour(
        table, session="session", forgone=paid, covariates=["picture", "set_size"]
    )


def logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


rng = np.random.default_rng(1)
schedule = hr.Bandit.recorded(trials(rng))
truth = {
    "alpha": logistic(rng.normal(-1.5, 0.5, N_SUBJECTS)),
    "beta": np.exp(rng.normal(2.0, 0.3, N_SUBJECTS)),
    "forget": logistic(rng.normal(-2.0, 0.5, N_SUBJECTS)),
    "trust": logistic(rng.normal(1.5, 0.7, N_SUBJECTS)),
}
data = hr.simulate(MODEL, schedule, truth, random_seed=rng)

# %%
# Fits
# ----
# From here on it is a model like any other. The marginal sampler warns: importance points do not hold on the ridges
# and edges of this likelihood. NUTS (leave out ``method``) is slower and needs none.

mle = hr.fit_mle(MODEL, data, progress=False)
post = hr.fit_posterior(
    MODEL, data, start=mle, method="marginal", random_seed=1, progress=False
)

# %%
# Does each subject's estimate go with the truth? Four parameters are much for one person's trials; the
# posterior takes from the others what they don't say.

print("\nCorrelation of estimates with the truth, subject by subject\n")
for name in MODEL.names:
    told = [fit["posterior"][name].mean(("chain", "draw")) for fit in (mle, post)]
    alone, together = (np.corrcoef(each, data[f"true_{name}"])[0, 1] for each in told)
    print(f"{name:9}{alone:6.2f} by maximum likelihood, {together:.2f} by posterior")

picture = hr.plot_estimates({"mle": mle, "posterior": post})
picture.savefig(folder / "estimates.png")

# %%
# What the sampler says of itself, in whole sentences.

print("\nThe sampler\n", *hr.describe(post).parts["checks"], sep="\n")

# %%
# Medians of the population, beside the median of the true parameters.

median = post["population"]["median"].squeeze("cell", drop=True)
low, middle, high = median.quantile([0.025, 0.5, 0.975], ("chain", "draw"))
true = [float(np.median(truth[name])) for name in MODEL.names]
columns = {"true": true, "median": middle, "eti95_low": low, "eti95_high": high}
population = pd.DataFrame(columns, index=pd.Index(MODEL.names, name="parameter"))
print(f"\nThe population\n\n{population.round(2).to_string()}")

# %%
# Does memory explain anything?
# -----------------------------
# The same model without it, on two blocks that were held out.

without = hr.Recursion(
    name="rl",
    parameters={"alpha": "rate", "beta": "weight"},
    states={"value": GUESS},
    update=lambda state, trial, p: {
        "value": state["value"]
        + trial["chosen"] * p["alpha"] * (trial["reward"] - state["value"])
    },
    logits=lambda state, trial, p: p["beta"] * state["value"],
    context="picture",
    n_arms=3,
)
train, test = hr.split(data, sessions=[2 * BLOCKS_OF_EACH - 1, 2 * BLOCKS_OF_EACH])
print("\nHeld-out choices\n")
for name, model in {"with memory": MODEL, "values only": without}.items():
    fit = hr.fit_mle(model, train, progress=False)
    score = float(hr.log_likelihood(fit, data=test).mean())
    print(f"{name:12}{score:8.3f} nats per choice")

# %%
# What goes on inside
# -------------------
# Values and memory of the first subject's last picture, before its last choice.

last = np.flatnonzero(data["trial_subject"] == 1)[-1]
print("\nBefore the last choice\n")
print(hr.latents(mle)["value"].isel(trial=last).to_pandas().round(2).to_string())
print(f"\nPicture: estimates.png in {folder.name}/")
