"""It is real PyMC: the hierarchical model as a `pymc.Model`, used with PyMC's and nutpie's own tools.

    python examples/pymc_model.py

A study is simulated, so nothing is needed. In this order: the model graph, prior predictive draws, a term of one's
own (a questionnaire that depends on the learning rate), `pymc.sample`, nutpie, posterior predictive choices, and
another study through the same compiled model. `hr.fit_posterior` samples and checks the result with one call; this is
for models that it does not have.
"""

from __future__ import annotations

from time import perf_counter

import arviz as az
import numpy as np
import nutpie
import pymc as pm
import xarray as xr

import hierrl as hr
from hierrl.kernels.problem import prepare
from hierrl.posterior import trial_data

MODEL = hr.model("rw")
TASK = hr.Bandit((0.8, 0.2), n_trials=100, reverse_every=25)
N_SUBJECTS = 20
TRUE_SLOPE = 2.0
"""Points of the questionnaire for a learning rate that is higher by one on the logit scale."""
SAMPLING = {"draws": 300, "tune": 300, "chains": 2, "random_seed": 1}
QUIET = {"progressbar": False, "compute_convergence_checks": False}


def main() -> None:
    data, score = study(seed=1)
    pm_model = hr.pymc_model(MODEL, data, random_seed=1)

    print("1. The model graph, what is sampled (pm.model_to_graphviz draws it where graphviz is installed)\n")
    print(graph_of(pm_model))

    print("\n2. Prior predictive: what subjects drawn from the prior would choose after these very trials")
    with pm_model:
        prior = pm.sample_prior_predictive(draws=50, random_seed=1)
    print(f"   P(first arm), a draw of the population at a time: {shares(prior['prior_predictive'])}")

    print("\n3. A term of one's own: score = a + b logit(alpha) + noise, fitted together with the choices")
    add_questionnaire(pm_model, score)
    print(f"   free variables: {', '.join(v.name for v in pm_model.free_RVs)}")

    print("\n4. pymc.sample, PyMC's own NUTS")
    started = perf_counter()
    with pm_model:
        trace = pm.sample(**SAMPLING, **QUIET, nuts_sampler="pymc", cores=2)
    report(trace, started)

    print("\n5. nutpie on the same model")
    started = perf_counter()
    compiled = nutpie.compile_pymc_model(pm_model, freeze_model=False)
    fast = nutpie.sample(compiled, **nutpie_options(), progress_bar=False)
    report(fast, started)

    print("\n6. Posterior predictive: choices given each subject's own past")
    with pm_model:
        drawn = pm.sample_posterior_predictive(trace, var_names=["choice"], random_seed=1, progressbar=False)
    same = (
        drawn["posterior_predictive"]["choice"] == xr.DataArray(data["choice"].values, dims="trial")
    ).mean()
    print(f"   {float(same):.0%} of the drawn choices are those that were made")

    print("\n7. Another study through what is compiled already")
    swap_data(pm_model, compiled)


def graph_of(pm_model: pm.Model) -> str:
    """Arrows of the model graph that start at random variables; those from data and numbers are many more."""
    names = {variable.name for variable in (*pm_model.free_RVs, *pm_model.deterministics)}
    arrows = (line.strip() for line in pm.model_to_mermaid(pm_model).splitlines() if "-->" in line)
    return "\n".join(f"   {arrow}" for arrow in sorted(arrows) if arrow.split(" --> ")[0] in names)


def study(seed: int) -> tuple[xr.Dataset, np.ndarray]:
    """Behaviour, and a questionnaire that goes with the learning rate."""
    rng = np.random.default_rng(seed)
    logit_alpha = rng.normal(-0.5, 0.8, N_SUBJECTS)
    parameters = {"alpha": 1 / (1 + np.exp(-logit_alpha)), "beta": np.exp(rng.normal(1.2, 0.4, N_SUBJECTS))}
    data = hr.simulate(MODEL, TASK, parameters, random_seed=seed)
    return data, 10 + TRUE_SLOPE * logit_alpha + rng.normal(0, 1, N_SUBJECTS)


def add_questionnaire(pm_model: pm.Model, score: np.ndarray) -> None:
    """Regress a score on the learning rates: their uncertainty goes into the slope, and scores inform the rates."""
    with pm_model:
        rate = pm.math.logit(pm_model["alpha"])
        intercept, slope = pm.Normal("a", 10, 5), pm.Normal("b", 0, 3)
        noise = pm.Gamma("noise", 3, 2)
        pm.Normal(
            "score",
            intercept + slope * rate,
            noise,
            observed=pm.Data("scores", score, dims="subject"),
            dims="subject",
        )


def report(trace: xr.DataTree, started: float) -> None:
    """The slope and the population, and what ArviZ says of the chains."""
    seconds = perf_counter() - started
    print(f"   {seconds:.1f} s, compilation included; the true slope is {TRUE_SLOPE:g}")
    table = az.summary(trace, var_names=["b", "mu", "sigma"], round_to=2)
    print("   " + table[["mean", "sd", "ess_bulk", "r_hat"]].to_string().replace("\n", "\n   "))


def nutpie_options() -> dict[str, int]:
    """The same run in nutpie's words."""
    renamed = {"random_seed": "seed"}
    return {renamed.get(name, name): value for name, value in SAMPLING.items()}


def shares(predictive: xr.DataTree) -> str:
    """Share of choices of the first arm: 5, 50 and 95 % quantile over draws."""
    share = (predictive["choice"] == 0).mean("trial")
    low, middle, high = np.quantile(share, [0.05, 0.5, 0.95])
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def swap_data(pm_model: pm.Model, compiled: nutpie.CompiledModel) -> None:
    """Choices and scores of a second study of as many subjects, with twice the trials."""
    task = hr.Bandit((0.8, 0.2), n_trials=200, reverse_every=25)
    rng = np.random.default_rng(2)
    truth = {"alpha": 1 / (1 + np.exp(-rng.normal(1.0, 0.5, N_SUBJECTS))), "beta": 4.0}
    other = hr.simulate(MODEL, task, truth, random_seed=2)
    new = trial_data(prepare(MODEL, other, reward_scale=1.0))

    logp, point = pm_model.compile_logp(), pm_model.initial_point()
    before = logp(point)
    with pm_model:
        pm.set_data(new, coords={"trial": other["trial"].values})
    print(
        f"   log-density at one point: {before:.1f}, after pymc.set_data {logp(point):.1f} (the same function)"
    )

    started = perf_counter()
    # The likelihood needs some of the arrays, posterior predictive draws the others.
    known = {variable.name for variable in compiled.shared_var_keys}
    used = {name: values for name, values in new.items() if name in known}
    trace = nutpie.sample(compiled.with_data(**used), **nutpie_options(), progress_bar=False)
    mu = trace["posterior"]["mu"].sel(parameter="alpha").mean().item()
    print(f"   nutpie, nothing compiled: {perf_counter() - started:.1f} s; mu of alpha {mu:.2f} (truly 1.0)")


if __name__ == "__main__":
    main()
