"""A model of your own: reinforcement learning with a working memory, written as what happens on one trial.

    python examples/own_model.py

After Collins & Frank (2012): people learn which of three keys goes with each of several pictures. Values are learned
slowly, whatever the number of pictures; working memory keeps the last outcome of each picture, fades with every trial
and holds three pictures at once, so it is of less use in large sets. Blocks have two or five pictures. The study is
simulated; the program fits it by maximum likelihood and with a hierarchical posterior, and looks at memory.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytensor.tensor as pt
import xarray as xr

import hierrl as hr
from hierrl.fits import settings_of

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


# --- model
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
    parameters={"alpha": "rate", "beta": ("weight", 0, 30), "forget": "rate", "trust": "rate"},
    states={"value": GUESS, "memory": GUESS},
    update=update,
    probabilities=probabilities,
    columns=("set_size",),
    context="picture",
    n_arms=3,
)
# --- end of model


def main() -> None:
    data = study(seed=1)
    print(f"{MODEL}\n")

    # --- fits
    mle = hr.fit_mle(MODEL, data, progress=False)
    post = hr.fit_posterior(MODEL, data, start=mle, method="marginal", random_seed=1, progress=False)
    # --- end of fits
    print("1. Subject by subject: correlation of estimates with the truth\n")
    for name in MODEL.names:
        told = [fit["posterior"][name].mean(("chain", "draw")) for fit in (mle, post)]
        alone, together = (np.corrcoef(each, data[f"true_{name}"])[0, 1] for each in told)
        print(f"   {name:9}{alone:6.2f} by maximum likelihood, {together:.2f} by the posterior")

    print("\n2. The posterior: what the sampler says, and medians of the population\n")
    print(*(f"   {sentence}" for sentence in settings_of(post)["diagnostics"]["sentences"]), sep="\n")
    print(population(data, post).round(2).to_string())

    print("\n3. Does memory explain anything? The same model without it, on two blocks that were held out\n")
    for name, score in held_out(data).items():
        print(f"   {name:16}{score:8.3f} nats per choice")

    print("\n4. Values and memory of the first subject's last picture, before its last choice\n")
    told = hr.latents(mle)["value"].isel(trial=np.flatnonzero(data["trial_subject"] == 1)[-1])
    print(told.to_pandas().round(2).to_string())


def study(seed: int) -> xr.Dataset:
    """Subjects who choose as the model says, in blocks of two and of five pictures."""
    rng = np.random.default_rng(seed)
    schedule = hr.Bandit.recorded(trials(rng))
    truth = {
        "alpha": logistic(rng.normal(-1.5, 0.5, N_SUBJECTS)),
        "beta": np.exp(rng.normal(2.0, 0.3, N_SUBJECTS)),
        "forget": logistic(rng.normal(-2.0, 0.5, N_SUBJECTS)),
        "trust": logistic(rng.normal(1.5, 0.7, N_SUBJECTS)),
    }
    return hr.simulate(MODEL, schedule, truth, random_seed=rng)


def trials(rng: np.random.Generator) -> xr.Dataset:
    """What is shown when, with what every key pays."""
    rows = []
    for subject in range(1, N_SUBJECTS + 1):
        for block, size in enumerate(rng.permutation(np.repeat(SET_SIZES, BLOCKS_OF_EACH)), start=1):
            right = rng.integers(0, 3, size)
            for picture in rng.permuted(np.tile(np.arange(size), (REPEATS, 1)), axis=1).ravel():
                key = rng.integers(0, 3)
                pays = [float(right[picture] == k) for k in range(3)]
                rows.append([subject, block, picture, size, key, pays[key], *pays])
    names = ["subject", "session", "picture", "set_size", "choice", "reward", "pay_0", "pay_1", "pay_2"]
    table = pd.DataFrame(rows, columns=names)
    paid = ["pay_0", "pay_1", "pay_2"]
    return hr.behaviour(table, session="session", forgone=paid, covariates=["picture", "set_size"])


def population(data: xr.Dataset, post: xr.DataTree) -> pd.DataFrame:
    """Medians with 95 % ETI beside the median of the true parameters."""
    median = post["population"]["median"].squeeze("cell", drop=True)
    low, middle, high = median.quantile([0.025, 0.5, 0.975], ("chain", "draw"))
    true = [float(data[f"true_{name}"].median()) for name in MODEL.names]
    columns = {"true": true, "median": middle, "eti95_low": low, "eti95_high": high}
    return pd.DataFrame(columns, index=pd.Index(MODEL.names, name="parameter"))


def held_out(data: xr.Dataset) -> dict[str, float]:
    """Mean log-probability of held-out choices by model."""
    without = hr.Recursion(
        name="rl",
        parameters={"alpha": "rate", "beta": "weight"},
        states={"value": GUESS},
        update=lambda state, trial, p: {
            "value": state["value"] + trial["chosen"] * p["alpha"] * (trial["reward"] - state["value"])
        },
        logits=lambda state, trial, p: p["beta"] * state["value"],
        context="picture",
        n_arms=3,
    )
    train, test = hr.split(data, sessions=[2 * BLOCKS_OF_EACH - 1, 2 * BLOCKS_OF_EACH])
    scores = {}
    for name, model in {"with memory": MODEL, "values only": without}.items():
        fit = hr.fit_mle(model, train, progress=False)
        scores[name] = float(hr.log_likelihood(fit, data=test).mean())
    return scores


def logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


if __name__ == "__main__":
    main()
