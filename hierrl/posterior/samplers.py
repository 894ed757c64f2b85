"""Running NUTS: starts spread over what the posterior may be, nutpie or PyMC, and keeping what Ctrl-C leaves."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
import nutpie
import pymc as pm
import xarray as xr

from hierrl.kernels.progress import ProgressBar, Waiting
from hierrl.posterior.compiled import compile_model
from hierrl.posterior.coordinates import Point, coordinates_of, parameters_of
from hierrl.posterior.layout import Layout

FloatArray = npt.NDArray[np.float64]

OVERDISPERSION = 2.0
"""Posterior standard deviations, roughly, by which chains start from the middle: R-hat sees only what began apart."""

PARTIAL_SIZE = 1.0
"""Logit scale by which partial correlations start apart: between about -.75 and .75."""

FEWEST_DRAWS = 50
"""An interrupted chain with fewer draws than this is dropped."""

COMPILING = "Compiling the sampler, once per model and machine: about a minute"

ARVIZ_NAMES = {
    "depth": "tree_depth",
    "tree_depth": "tree_depth",
    "diverging": "diverging",
    "energy": "energy",
    "energy_error": "energy_error",
    "logp": "lp",
    "lp": "lp",
    "maxdepth_reached": "reached_max_treedepth",
    "reached_max_treedepth": "reached_max_treedepth",
    "mean_tree_accept": "acceptance_rate",
    "acceptance_rate": "acceptance_rate",
    "n_steps": "n_steps",
    "step_size": "step_size",
}
"""Statistics of the samplers that are kept, and what ArviZ calls them."""


@dataclass(frozen=True)
class Run:
    """How to sample."""

    draws: int
    tune: int
    chains: int
    target_accept: float
    cores: int | None
    random_seed: int
    progress: bool

    @property
    def bar(self) -> ProgressBar:
        """Counts the draws of all chains, warm-up included."""
        return ProgressBar(
            self.progress, f"Sampling {self.chains} chains", self.chains * (self.draws + self.tune)
        )


@dataclass(frozen=True)
class Draws:
    """What a sampler gives."""

    values: Point
    """Draws of the free variables, leading dims (chain, draw)."""
    stats: xr.Dataset
    """Group ``sample_stats`` of a fit."""
    note: str
    """What the user should know of the run; empty if it went to its end."""
    seconds: dict[str, float]
    """``compile`` and ``sample``."""


def start_of_chain(layout: Layout, seed: Any) -> Point:
    """Values where a chain may start: population about the prior's centre, subjects about their sites.

    All of them are spread `OVERDISPERSION` times as wide as the posterior probably is.
    """
    rng = np.random.default_rng(seed)
    population, sizes = layout.population, layout.sizes
    effects = OVERDISPERSION * sizes.effects @ rng.standard_normal(len(population.terms))
    spread_loc = population.spread_prior[0]
    log_sigma = OVERDISPERSION * sizes.log_sigma @ rng.standard_normal(spread_loc.size)
    eta = OVERDISPERSION * np.einsum("spq,sq->sp", sizes.subjects, rng.standard_normal(layout.centre.shape))
    partial = None
    if population.is_correlated:
        partial = 1 / (1 + np.exp(-PARTIAL_SIZE * rng.standard_normal(population.partial_shapes.size)))
    return Point(
        population.effects_prior[0] + effects,
        spread_loc + log_sigma.reshape(spread_loc.shape),
        layout.centre + eta,
        partial,
    )


def sample_with_nutpie(pm_model: pm.Model, layout: Layout, run: Run) -> Draws:
    """Sample with nutpie; on Ctrl-C keep what there is."""
    started = perf_counter()
    names = [pm_model.rvs_to_values[pm_model[name]].name for name in layout.free]

    def start(seed: Any) -> dict[str, FloatArray]:
        z = coordinates_of(layout, start_of_chain(layout, seed).reshaped(0, (1,))).reshaped(1, ())
        return {name: x for name, x in zip(names, z, strict=False) if x is not None}

    with Waiting(run.progress, COMPILING):
        compiled = compile_model(pm_model, start)
    ready = perf_counter()
    with warnings.catch_warnings(), run.bar as tick:
        # Said of what an interrupt leaves; `_complete` sees to that.
        warnings.filterwarnings("ignore", message="Found chain dimension to be longer than draw dimension")
        tree = nutpie.sample(
            compiled,
            draws=run.draws,
            tune=run.tune,
            chains=run.chains,
            cores=run.cores,
            seed=run.random_seed,
            target_accept=run.target_accept,
            save_warmup=False,
            progress_bar=False,  # nutpie's table needs more than 80 columns
            progress_callback=counting(tick) if run.progress else None,
        )
    seconds = {"compile": ready - started, "sample": perf_counter() - ready}
    if not set(names) <= set(tree["posterior"].data_vars):
        return _collect(tree, layout.free, run, seconds)
    kept = _collect(tree, names, run, seconds)
    leading = kept.values.eta.shape[:2]
    flat = parameters_of(layout, kept.values.reshaped(2, (-1,)))
    return replace(kept, values=flat.reshaped(1, leading))


def sample_with_pymc(pm_model: pm.Model, layout: Layout, run: Run) -> Draws:
    """Sample with PyMC's own NUTS."""
    started = perf_counter()
    starts = [start_of_chain(layout, (run.random_seed, k)) for k in range(run.chains)]
    begin: list[Any] = [dict(zip(layout.free, start, strict=False)) for start in starts]
    with pm_model, run.bar as tick:
        tree = pm.sample(
            draws=run.draws,
            tune=run.tune,
            chains=run.chains,
            cores=run.cores,
            random_seed=run.random_seed,
            target_accept=run.target_accept,
            nuts_sampler="pymc",
            initvals=begin,
            progressbar=False,  # PyMC's table needs more than 80 columns
            callback=lambda trace, draw: tick(1),
            compute_convergence_checks=False,
        )
    return _collect(tree, layout.free, run, {"compile": 0.0, "sample": perf_counter() - started})


SAMPLERS: dict[str, Callable[[pm.Model, Layout, Run], Draws]] = {
    "nutpie": sample_with_nutpie,
    "pymc": sample_with_pymc,
}


def counting(tick: Callable[[int], None]) -> Callable[[list[Any]], None]:
    """What nutpie calls now and then with the state of its chains: counts the draws since the last time."""
    seen = 0

    def report(chains: list[Any]) -> None:
        nonlocal seen
        now = sum(chain.finished_draws for chain in chains)
        tick(now - seen)
        seen = now

    return report


def _collect(tree: xr.DataTree, names: Sequence[str], run: Run, seconds: dict[str, float]) -> Draws:
    """Draws of the variables `names` of the chains that have enough, all of one length, and their statistics."""
    posterior, stats = tree["posterior"].to_dataset(), tree["sample_stats"].to_dataset()
    values = Point(*(posterior[name].values for name in names))
    kept, length = _complete(values.effects)
    if not kept.any():
        raise KeyboardInterrupt(
            f"Sampling was stopped before any chain had {FEWEST_DRAWS} draws after its warm-up: nothing to keep."
        )
    variables = {
        known: (("chain", "draw"), stats[name].values[kept, :length])
        for name, known in ARVIZ_NAMES.items()
        if name in stats
    }
    coords = {"chain": np.arange(kept.sum()), "draw": np.arange(length)}
    note = "" if kept.all() and length == run.draws else _interrupted(run, int(kept.sum()), length)
    whole = Point(*(np.ascontiguousarray(x[kept, :length]) for x in values if x is not None))
    return Draws(whole, xr.Dataset(variables, coords=coords), note, seconds)


def _complete(draws: FloatArray) -> tuple[npt.NDArray[np.bool_], int]:
    """Chains with enough draws, and how many all of these have; after an interrupt the rest is NaN."""
    lengths = np.isfinite(draws).all(axis=2).sum(axis=1)
    kept = lengths >= max(1, min(FEWEST_DRAWS, draws.shape[1]))
    return kept, int(lengths[kept].min()) if kept.any() else 0


def _interrupted(run: Run, chains: int, length: int) -> str:
    asked = f"{run.chains} chains of {run.draws:,} draws"
    return f"Sampling was stopped: of {asked}, {chains} chains with {length:,} draws each are kept."
