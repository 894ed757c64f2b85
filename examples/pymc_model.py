"""
The plain PyMC model
====================

It is real PyMC: the hierarchical model as a ``pymc.Model``, used with PyMC's, nutpie's and ArviZ's own tools.

``hr.fit_posterior`` samples and checks the result with one call; this is for models that it does not have. Here a
questionnaire depends on the learning rate, and both are fitted together. The study is simulated, so nothing is needed.

Run it: ``python examples/pymc_model.py [folder for the picture]``
"""

import sys
from pathlib import Path
from time import perf_counter

import arviz as az
import numpy as np
import nutpie
import pymc as pm
import xarray as xr

import hierrl as hr
from hierrl.kernels.problem import prepare
from hierrl.posterior import trial_data

N_SUBJECTS = 20
TRUE_SLOPE = 2.0
"""Points of the questionnaire for a learning rate that is higher by one on the logit scale."""

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "pymc-model")
folder.mkdir(parents=True, exist_ok=True)

# %%
# The model
# ---------
# ``hr.pymc_model`` gives a ``pymc.Model`` with dims and coords. These are the arrows of its graph that
# start at what is sampled; ``pm.model_to_graphviz`` draws all where graphviz is installed.

model = hr.model("rw")
rng = np.random.default_rng(1)
logit_alpha = rng.normal(-0.5, 0.8, N_SUBJECTS)
truth = {
    "alpha": 1 / (1 + np.exp(-logit_alpha)),
    "beta": np.exp(rng.normal(1.2, 0.4, N_SUBJECTS)),
}
task = hr.Bandit((0.8, 0.2), n_trials=100, reverse_every=25)
data = hr.simulate(model, task, truth, random_seed=1)
score = 10 + TRUE_SLOPE * logit_alpha + rng.normal(0, 1, N_SUBJECTS)

pm_model = hr.pymc_model(model, data, random_seed=1)
names = {variable.name for variable in (*pm_model.free_RVs, *pm_model.deterministics)}
lines = [line.strip() for line in pm.model_to_mermaid(pm_model).splitlines()]
print(*sorted(line for line in lines if line.split(" --> ")[0] in names), sep="\n")

# %%
# Prior predictive
# ----------------
# What subjects drawn from the prior would choose after these very trials.

with pm_model:
    prior = pm.sample_prior_predictive(draws=50, random_seed=1)
share = (prior["prior_predictive"]["choice"] == 0).mean("trial")
low, middle, high = np.quantile(share, [0.05, 0.5, 0.95])
print(f"\nP(first arm) over draws: {middle:.2f} ({low:.2f} to {high:.2f})")

# %%
# A term of one's own
# -------------------
# The score is regressed on the learning rates: their uncertainty goes into the slope, and scores inform the
# rates.

with pm_model:
    rate = pm.math.logit(pm_model["alpha"])
    intercept, slope = pm.Normal("a", 10, 5), pm.Normal("b", 0, 3)
    noise = pm.Gamma("noise", 3, 2)
    scores = pm.Data("scores", score, dims="subject")
    pm.Normal("score", intercept + slope * rate, noise, observed=scores, dims="subject")
print(f"\nfree variables: {', '.join(variable.name for variable in pm_model.free_RVs)}")

# %%
# PyMC's own NUTS
# ---------------
# Most of the time is compilation.


def told(trace: xr.DataTree) -> str:
    """The slope and the population, and what ArviZ says of the chains."""
    table = az.summary(trace, var_names=["b", "mu", "sigma"], round_to=2)
    return table[["mean", "sd", "ess_bulk", "r_hat"]].to_string()


started = perf_counter()
with pm_model:
    trace = pm.sample(
        draws=300,
        tune=300,
        chains=2,
        cores=1,
        random_seed=1,
        nuts_sampler="pymc",
        progressbar=False,
        compute_convergence_checks=False,
    )
print(f"\npymc.sample: {perf_counter() - started:.1f} s, compilation included")
print(f"the true slope is {TRUE_SLOPE:g}")
print(told(trace))

# %%
# nutpie on the same model
# ------------------------
# ``freeze_model=False`` leaves the data open, for the last section.

started = perf_counter()
options = {"draws": 300, "tune": 300, "chains": 2, "seed": 1, "progress_bar": False}
compiled = nutpie.compile_pymc_model(pm_model, freeze_model=False)
fast = nutpie.sample(compiled, **options)
print(f"\nnutpie: {perf_counter() - started:.1f} s, compilation included")
print(told(fast))

picture = az.plot_dist(fast, var_names=["b"])
picture.savefig(folder / "slope.png")

# %%
# Posterior predictive
# --------------------
# Choices given each subject's own past.

with pm_model:
    drawn = pm.sample_posterior_predictive(
        trace, var_names=["choice"], random_seed=1, progressbar=False
    )
made = xr.DataArray(data["choice"].values, dims="trial")
same = drawn["posterior_predictive"]["choice"] == made
print(f"\n{float(same.mean()):.0%} of the drawn choices are those that were made")

# %%
# Another study through what is compiled already
# ----------------------------------------------
# As many subjects with twice the trials: data are inputs of the model, so nothing is compiled again.

longer = hr.Bandit((0.8, 0.2), n_trials=200, reverse_every=25)
rng = np.random.default_rng(2)
truth = {"alpha": 1 / (1 + np.exp(-rng.normal(1.0, 0.5, N_SUBJECTS))), "beta": 4.0}
other = hr.simulate(model, longer, truth, random_seed=2)
new = trial_data(prepare(model, other, reward_scale=1.0))

logp, point = pm_model.compile_logp(), pm_model.initial_point()
before = logp(point)
with pm_model:
    pm.set_data(new, coords={"trial": other["trial"].values})
print(f"\nlog-density at one point: {before:.1f}, with other data {logp(point):.1f}")

started = perf_counter()
# The likelihood needs some of the arrays, posterior predictive draws the others.
known = {variable.name for variable in compiled.shared_var_keys}
used = {name: values for name, values in new.items() if name in known}
again = nutpie.sample(compiled.with_data(**used), **options)
mu = again["posterior"]["mu"].sel(parameter="alpha").mean().item()
print(f"nutpie, nothing compiled: {perf_counter() - started:.1f} s")
print(f"mu of alpha {mu:.2f} (truly 1.0)")
print(f"\nPicture: slope.png in {folder.name}/")
