"""
Before the study: recovery and power
====================================

Can the parameters be found, the models told apart, and how many people does a difference need?

Everything is simulated in the design that is planned. Replications are few, so that the script ends within a minute or
two; take ten times as many for a plan, with ``file=`` so that an interrupted run goes on.

Run it: ``python examples/recovery_and_power.py [folder for the pictures]``
"""

import sys
from pathlib import Path

import hierrl as hr

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "recovery-and-power")
folder.mkdir(parents=True, exist_ok=True)

model = hr.model("rw", bounds={"beta": (0, 20)})
task = hr.Bandit((0.8, 0.2), n_trials=100, reverse_every=25)

# %%
# Can the parameters be found?
# ----------------------------
# True values are drawn from ranges, data are simulated and fitted: 4 data sets of 40 subjects.

truth = {"alpha": (0.1, 0.9), "beta": (1.0, 8.0)}
found = hr.recovery(
    model,
    task,
    truth=truth,
    n_subjects=40,
    replications=4,
    random_seed=1,
    progress=False,
)
print(found.text)

recovery = hr.plot_recovery(found)
recovery.savefig(folder / "recovery.png")

# %%
# Can the models be told apart?
# -----------------------------
# Rows are the models that made the data, columns those that win by BIC.

models = {name: hr.model(name) for name in ("rw", "forgetting_q", "sticky")}
which = hr.confusion(
    models, task, n_subjects=20, replications=4, random_seed=1, progress=False
)
print(f"\nWhich model wins\n\n{which.matrix('bic').round(2).to_string()}")

# %%
# How many subjects?
# ------------------
# For a difference of 0.8 in logit alpha between two groups. A population is a median, and a spread on the
# link scale.

power = hr.power(
    model,
    task,
    {"alpha": 0.8},
    population={"alpha": (0.3, 0.8), "beta": (4.0, 0.4)},
    n_subjects=(20, 40, 80),
    replications=40,
    random_seed=1,
    progress=False,
)
print(f"\n{power.text}")

picture = hr.plot_power(power)
picture.savefig(folder / "power.png")
print(f"\nPictures: recovery.png and power.png in {folder.name}/")
