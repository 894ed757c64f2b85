"""Which of four models describes these people, by how much, how sure is that, and is the winner any good?

    python examples/model_comparison.py [folder for the pictures]

The study is simulated: two thirds of the subjects remember what was rewarded and tend to leave what they chose before
(`subvalue` with a negative choice trace), one third learn by the plain delta rule (`rw`). The comparison of
posteriors should find both kinds. Point fits of four parameters predict worse than their posterior, which step 3 shows;
a predictive check shows what the simpler model misses.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

import hierrl as hr

NAMES = ("rw", "forgetting_q", "sticky", "subvalue")
TASK = hr.Bandit((0.75, 0.25), n_trials=150, reverse_every=25)
N_TRACE, N_PLAIN = 16, 8
"""Subjects who follow `subvalue`, and who follow `rw`."""


def main(folder: Path) -> None:
    data = study(seed=4)
    fits = {
        name: hr.fit_posterior(hr.model(name), data, method="marginal", random_seed=1, progress=False)
        for name in NAMES
    }

    print(
        "1. How well is a new subject predicted? Leave one out, its parameters integrated over the population\n"
    )
    subjects = hr.compare_models(fits, by="subject", random_seed=1, progress=False)
    print(subjects.table[["score", "difference", "difference_se"]].round(1).to_string())

    print("\n2. How frequent is each model among subjects, and how many follow it?\n")
    print(
        subjects.random_effects.table[["frequency", "protected_exceedance", "attributed"]]
        .round(2)
        .to_string()
    )

    print("\n3. The same question to point fits: the last quarter of each subject's trials, held out\n")
    points = {name: hr.fit_mle(hr.model(name), data, progress=False) for name in NAMES}
    ahead = hr.compare_models(points, last=0.25, progress=False)
    print(ahead.table[["score", "difference", "difference_se"]].round(1).to_string())

    print("\n4. Does the winner do what the subjects do, and what does the plain model miss?\n")
    for name in ("rw", "subvalue"):
        check = hr.predictive_check(
            fits[name], statistics=["win_stay", "lose_shift"], random_seed=1, progress=False
        )
        print(f"   {name:9} fails: {', '.join(check.failed) or 'nothing'}")

    folder.mkdir(parents=True, exist_ok=True)
    hr.plot_comparison(subjects).savefig(folder / "comparison.png")
    print("\nPicture: comparison.png")


def study(seed: int) -> xr.Dataset:
    """Two kinds of people, simulated apart and put into one table."""
    rng = np.random.default_rng(seed)
    trace = {
        "alpha": rng.uniform(0.2, 0.6, N_TRACE),
        "beta": rng.uniform(3, 6, N_TRACE),
        "alpha_choice": rng.uniform(0.3, 0.7, N_TRACE),
        "beta_choice": rng.uniform(-3, -1.5, N_TRACE),
    }
    plain = {"alpha": rng.uniform(0.2, 0.6, N_PLAIN), "beta": rng.uniform(3, 6, N_PLAIN)}
    tables = [
        hr.to_table(hr.simulate(hr.model(name), TASK, truth, random_seed=rng))
        for name, truth in (("subvalue", trace), ("rw", plain))
    ]
    both = [
        table.assign(subject=kind + table["subject"].astype(str))
        for kind, table in zip("tp", tables, strict=True)
    ]
    return hr.behaviour(pd.concat(both, ignore_index=True)[["subject", "trial", "choice", "reward"]])


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "model-comparison"))
