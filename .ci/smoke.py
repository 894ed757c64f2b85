"""Use an installed hierrl from end to end, in a minute: is everything in the wheel that has to be?"""

from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd

import hierrl as hr

assert not Path(hr.__file__).is_relative_to(Path(__file__).parents[1]), f"this is the checkout: {hr.__file__}"
assert files("hierrl").joinpath("py.typed").is_file()
assert files("hierrl").joinpath("__init__.pyi").is_file()
for name in hr.__all__:
    assert getattr(hr, name) is not None

rng = np.random.default_rng(1)
n_subjects, n_trials = 4, 60
choice = rng.integers(0, 2, n_subjects * n_trials)
table = pd.DataFrame(
    {
        "subject": np.repeat([f"s{s}" for s in range(n_subjects)], n_trials),
        "trial": np.tile(np.arange(1, n_trials + 1), n_subjects),
        "choice": choice,
        "reward": rng.random(choice.size) < np.where(choice == 1, 0.8, 0.2),
    }
)
data = hr.behaviour(table, subject="subject", choice="choice", reward="reward", trial="trial")
model = hr.model("forgetting_q")
quick = hr.fit_convex(model, data)
mle = hr.fit_mle(model, data, start=quick)
tolerance = 1e-9
assert (quick["fit_stats"]["bound"] >= mle["fit_stats"]["loglik"] - tolerance).all()
assert (mle["fit_stats"]["loglik"] >= quick["fit_stats"]["loglik"] - tolerance).all()

print(f"hierrl {hr.__version__}: {len(hr.__all__)} public names, {n_subjects} subjects fitted.")
