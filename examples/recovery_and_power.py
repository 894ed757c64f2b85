"""Before the study: can its parameters be found, its models told apart, and how many people does a difference need?

    python examples/recovery_and_power.py [folder for the pictures]

Everything is simulated in the design that is planned. Replications are few, so that the script ends within a minute or
two; take ten times as many for a plan, with `file=` so that an interrupted run goes on.
"""

from __future__ import annotations

import sys
from pathlib import Path

import hierrl as hr

MODEL = hr.model("rw", bounds={"beta": (0, 20)})
TASK = hr.Bandit((0.8, 0.2), n_trials=100, reverse_every=25)
TRUTH = {"alpha": (0.1, 0.9), "beta": (1.0, 8.0)}
"""Ranges that true values are drawn from."""
POPULATION = {"alpha": (0.3, 0.8), "beta": (4.0, 0.4)}
"""Median, and spread on the link scale."""
DIFFERENCE = 0.8
"""Between the groups, on the logit scale of alpha."""


def main(folder: Path) -> None:
    print("1. Parameter recovery: 4 data sets of 40 subjects\n")
    found = hr.recovery(
        MODEL, TASK, truth=TRUTH, n_subjects=40, replications=4, random_seed=1, progress=False
    )
    print(found.text)

    print("\n2. Model recovery: which model wins by BIC, by the model that made the data\n")
    models = {name: hr.model(name) for name in ("rw", "forgetting_q", "sticky")}
    which = hr.confusion(models, TASK, n_subjects=20, replications=4, random_seed=1, progress=False)
    print(which.matrix("bic").round(2).to_string())

    print(f"\n3. Power for a difference of {DIFFERENCE} in logit alpha between two groups\n")
    power = hr.power(
        MODEL,
        TASK,
        {"alpha": DIFFERENCE},
        population=POPULATION,
        n_subjects=(20, 40, 80),
        replications=40,
        random_seed=1,
        progress=False,
    )
    print(power.text)

    folder.mkdir(parents=True, exist_ok=True)
    hr.plot_recovery(found).savefig(folder / "recovery.png")
    hr.plot_power(power).savefig(folder / "power.png")
    print("\nPictures: recovery.png and power.png")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "recovery-and-power"))
