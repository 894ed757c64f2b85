"""The marginal sampler: points, chains, audit; once more with better points if they do not hold; subjects."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from hierrl.marginal import N_POINTS, draw_points, pooled
from hierrl.models.model import Model
from hierrl.posterior.layout import Layout
from hierrl.posterior.marginal_audit import Audit, audit
from hierrl.posterior.marginal_chains import sample_chains
from hierrl.posterior.marginal_phi import Phi, Populations
from hierrl.posterior.marginal_points import Group, find_group, pilot_points, whereabouts
from hierrl.posterior.samplers import Draws, Run

FloatArray = npt.NDArray[np.float64]

MOST_PARAMETERS = 6
"""Of a subject: in more dimensions points are too few wherever they lie."""

DEFAULT_TUNE = 200
"""Warm-up draws per chain: a handful of dimensions, whose scales are known."""

FEWEST_POINTS = 64

MOST_ROUNDS = 3
GROWTH = 2
"""Each round has so many times the points of the one before."""

HOPELESS = 0.5
"""Share of subjects that still fail after new points from which on more rounds are a waste of time."""


@dataclass(frozen=True)
class Marginal:
    """Draws, and what the audit of each round said."""

    draws: Draws
    audits: list[Audit]

    def record(self) -> dict[str, Any]:
        """What a fit says of it in its settings."""
        return {
            "parametrization": "auto",
            "parametrization_reason": "None: the subjects are integrated out.",
            "points": self.audits[0].n_points,
            "rounds": [one.record() for one in self.audits],
        }


class _Clock:
    """Seconds by stage, over all rounds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = dict.fromkeys(("points", "compile", "sample", "audit"), 0.0)
        self.since = perf_counter()

    def stop(self, stage: str) -> None:
        """What passed since the last stop belongs to this stage."""
        now = perf_counter()
        self.seconds[stage] += now - self.since
        self.since = now

    def move(self, seconds: float, *, to: str, of: str) -> None:
        """Count some seconds elsewhere."""
        self.seconds[of] -= seconds
        self.seconds[to] += seconds


def check_marginal(
    model: Model, data: xr.Dataset, *, sampler: str, parametrization: str, points: int | None
) -> None:
    """Raise a ValueError where the marginal sampler can't or needn't do what is asked."""
    check_size(len(model.scalars(list(data["arm"].values))))
    if sampler != "nutpie" or parametrization != "auto":
        raise ValueError(
            f"sampler={sampler!r} and parametrization={parametrization!r} are for method='nuts'. With "
            "method='marginal' leave them out: nutpie samples the population, and no subject has coordinates."
        )
    if points is not None and points < FEWEST_POINTS:
        raise ValueError(f"points= must be at least {FEWEST_POINTS} per subject and chain; found {points}.")


def check_size(n_parameters: int) -> None:
    """Raise a ValueError if a subject has too many parameters (and slopes of its own) for points."""
    if n_parameters > MOST_PARAMETERS:
        raise ValueError(
            f"method='marginal' integrates each subject out by importance points, which are too few in more than "
            f"{MOST_PARAMETERS} dimensions; here a subject has {n_parameters} parameters. Use method='nuts'."
        )


def sample_marginal(layout: Layout, run: Run, n_points: int | None = None) -> Marginal:
    """Sample the group posterior with the subjects integrated out, then the subjects given the group.

    Parameters
    ----------
    layout : Layout
        Problem, population and prior; its coordinates are not used.
    run : Run
    n_points : int, optional
        Points per subject and chain in the first round.
    """
    check_size(len(layout.population.labels))
    clock, phi = _Clock(), Phi(layout.population)
    group = find_group(layout, run.random_seed, progress=run.progress)
    known, size = pilot_points(layout, group, run.random_seed), n_points or N_POINTS
    audits: list[Audit] = []
    while True:
        times = len(audits)
        where = whereabouts(layout, known, group, times=times)
        seeds, floor = _seeds(run, times), where.floor(times)
        points = [
            draw_points(layout.study, where.proposal, n_points=size, random_seed=seed, progress=run.progress)
            for seed in seeds[: run.chains]
        ]
        clock.stop("points")
        chains = sample_chains(phi, group, points, floor=floor, run=run)
        points = [points[k] for k in chains.kept]
        clock.stop("sample")
        clock.move(chains.compiling, to="compile", of="sample")
        audits.append(audit(layout, where, points, phi=chains.phi, times=times, random_seed=seeds[-1]))
        clock.stop("audit")
        if chains.note or _finished(audits):
            break
        group = Group.of_draws(chains.phi.reshape(-1, chains.phi.shape[2]))
        known, size = pooled(points), GROWTH * size
    drawn = [
        Populations.of(phi, own, floor).draw(some, seed)
        for own, some, seed in zip(chains.phi, points, seeds, strict=False)
    ]
    clock.stop("sample")
    values = phi.point(chains.phi, np.stack(drawn))
    return Marginal(Draws(values, chains.stats, chains.note, clock.seconds), audits)


def _seeds(run: Run, round_: int) -> list[int]:
    """Seeds of the points of each chain, and one for the audit."""
    state = np.random.SeedSequence((run.random_seed, round_)).generate_state(run.chains + 1)
    return [int(seed) for seed in state]


def _finished(audits: list[Audit]) -> bool:
    """Whether the points hold, or another round would be a waste of time."""
    last = audits[-1]
    return (
        last.passed or len(audits) == MOST_ROUNDS or (len(audits) > 1 and bool(last.failed.mean() > HOPELESS))
    )
