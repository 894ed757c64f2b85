"""Chains of the group posterior: nutpie, one call for each chain, since each has importance points of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import nutpie
import xarray as xr

from hierrl.kernels.progress import Waiting
from hierrl.marginal import Points
from hierrl.posterior.compiled import with_arrays
from hierrl.posterior.marginal_model import (
    IN_COORDINATES,
    PHI,
    compile_group_model,
    group_arrays,
    point_arrays,
)
from hierrl.posterior.marginal_phi import Phi
from hierrl.posterior.marginal_points import Group
from hierrl.posterior.samplers import ARVIZ_NAMES, COMPILING, FEWEST_DRAWS, OVERDISPERSION, Run, counting

FloatArray = npt.NDArray[np.float64]


class Chains(NamedTuple):
    """What sampling gives: C chains of N draws."""

    phi: FloatArray
    """(C, N, D)"""
    stats: xr.Dataset
    """Group ``sample_stats`` of a fit."""
    kept: list[int]
    """Which of the chains that were asked for."""
    note: str
    """What the user should know of the run; empty if it went to its end."""
    compiling: float
    """Seconds before the first chain began."""


def sample_chains(phi: Phi, group: Group, points: list[Points], *, floor: FloatArray, run: Run) -> Chains:
    """One chain for each set of points; on Ctrl-C what there is."""
    started = perf_counter()
    arrays = group_arrays(phi, group.factor, floor)
    middle = arrays["inverse"] @ (group.centre - arrays["loc"])

    def start(seed: Any) -> dict[str, FloatArray]:
        away = np.random.default_rng(seed).standard_normal(middle.size)
        return {IN_COORDINATES: middle + OVERDISPERSION * away}

    with Waiting(run.progress, COMPILING):
        compiled = compile_group_model({**arrays, **point_arrays(points[0])}, start)
    ready = perf_counter()
    models = [with_arrays(compiled, {**arrays, **point_arrays(own)}, start) for own in points]
    return _collect(_run(models, run), arrays["loc"], group.factor, run=run, compiling=ready - started)


def _run(models: list[Any], run: Run) -> list[xr.DataTree]:
    """The chains that were begun, as many at a time as there are cores."""
    at_once = run.cores or os.cpu_count() or 1
    running: list[Any] = []
    with run.bar as tick:
        try:
            for k, model in enumerate(models):
                if k >= at_once:
                    running[k - at_once] = running[k - at_once].wait()
                running.append(_begin(model, k, run, tick))
            return [one if isinstance(one, xr.DataTree) else one.wait() for one in running]
        except KeyboardInterrupt:
            return [one if isinstance(one, xr.DataTree) else one.abort() for one in running]


def _begin(model: Any, k: int, run: Run, tick: Callable[[int], None]) -> Any:
    """Chain number k, in the background."""
    options: dict[str, Any] = {"progress_callback": counting(tick)} if run.progress else {}
    return nutpie.sample(
        model,
        draws=run.draws,
        tune=run.tune,
        chains=1,
        cores=1,
        seed=int(np.random.SeedSequence((run.random_seed, k)).generate_state(1)[0]),
        target_accept=run.target_accept,
        save_warmup=False,
        progress_bar=False,
        blocking=False,
        **options,
    )


def _collect(
    trees: list[xr.DataTree], loc: FloatArray, factor: FloatArray, *, run: Run, compiling: float
) -> Chains:
    """Draws of the chains that have enough, all of one length, and their statistics."""
    lengths = [tree["posterior"].sizes["draw"] for tree in trees]
    kept = [k for k, length in enumerate(lengths) if length >= min(FEWEST_DRAWS, run.draws)]
    if not kept:
        raise KeyboardInterrupt(
            f"Sampling was stopped before any chain had {FEWEST_DRAWS} draws after its warm-up: nothing to keep."
        )
    length = min(lengths[k] for k in kept)
    stats = xr.concat([trees[k]["sample_stats"].to_dataset().isel(draw=slice(length)) for k in kept], "chain")
    variables = {known: stats[name] for name, known in ARVIZ_NAMES.items() if name in stats}
    coords = {"chain": np.arange(len(kept)), "draw": np.arange(length)}
    phi = np.stack([_phi(trees[k], loc, factor)[:length] for k in kept])
    return Chains(phi, xr.Dataset(variables).assign_coords(coords), kept, _note(run, kept, length), compiling)


def _phi(tree: xr.DataTree, loc: FloatArray, factor: FloatArray) -> FloatArray:
    """Draws (N, D) of one chain."""
    draws = tree["posterior"].to_dataset()
    if PHI in draws:  # nutpie's own compilation stores the variable itself
        return draws[PHI].values[0]
    return loc + draws[IN_COORDINATES].values[0] @ factor.T


def _note(run: Run, kept: list[int], length: int) -> str:
    if len(kept) == run.chains and length == run.draws:
        return ""
    asked = f"{run.chains} chains of {run.draws:,} draws"
    return f"Sampling was stopped: of {asked}, {len(kept)} chains with {length:,} draws each are kept."
