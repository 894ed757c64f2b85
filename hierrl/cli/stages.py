"""The estimators in turn; each fit is handed over as soon as it is finished."""

from __future__ import annotations

import signal
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hierrl.cli.options import Estimator

if TYPE_CHECKING:
    import xarray as xr

    from hierrl.cli.inputs import Task

PACKAGE = str(Path(__file__).resolve().parents[1])


@dataclass(frozen=True)
class Settings:
    """How to run; the same for all models."""

    estimators: tuple[Estimator, ...] = tuple(Estimator)
    sampler: str = "nuts"
    """Of the posterior: nuts or marginal."""
    seed: int = 0
    draws: int = 1000
    tune: int | None = None
    chains: int = 4
    target_accept: float = 0.8
    cores: int | None = None
    certify: bool = False
    progress: bool = True


def run_stage(name: Estimator, task: Task, settings: Settings, done: dict[str, xr.DataTree]) -> xr.DataTree:
    """One estimator, started from the convex fit if that is `done`."""
    common: dict[str, Any] = {"cores": settings.cores, "progress": settings.progress}
    start = done.get(Estimator.convex)
    if name is Estimator.convex:
        from hierrl.convex import fit_convex

        return fit_convex(task.model, task.data, **common)
    if name is Estimator.mle:
        from hierrl.convex import CERTIFIED
        from hierrl.mle import fit_mle

        return fit_mle(
            task.model, task.data, start=start, certify=CERTIFIED if settings.certify else None, **common
        )
    from hierrl.posterior import fit_posterior

    return fit_posterior(
        task.model,
        task.data,
        start=start,
        formula=dict(task.formula) or None,
        method=settings.sampler,  # type: ignore[arg-type]
        draws=settings.draws,
        tune=settings.tune,
        chains=settings.chains,
        target_accept=settings.target_accept,
        random_seed=settings.seed,
        **common,
    )


def compile_kernels(task: Task) -> None:
    """Fit a few trials of one subject, so that what takes time on the first run of a machine has happened."""
    from hierrl.mle import fit_mle

    few = _first_trials(task.data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # so few trials need not converge
        fit_mle(task.model, few, progress=False)


def _first_trials(data: xr.Dataset, n: int = 12) -> xr.Dataset:
    first = data["subject"].values[:1]
    rows = (data["trial_subject"].values == first[0]).nonzero()[0][:n]
    return data.isel(trial=rows, subject=[0])


class Interrupt:
    """Remembers Ctrl-C: an estimator that keeps its finished subjects returns as if nothing had happened."""

    def __init__(self) -> None:
        self.pressed = False

    def __enter__(self) -> Interrupt:
        try:
            self._before = signal.signal(signal.SIGINT, self._press)
        except ValueError:  # not in the main thread: nobody can press
            self._before = None
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _press(self, *_: object) -> None:
        self.pressed = True
        raise KeyboardInterrupt


class Heard(list[str]):
    """Warnings of this package while the block runs, as sentences; those of others are for programmers."""

    def __enter__(self) -> Heard:
        self._catch = warnings.catch_warnings(record=True)
        self._caught: Any = self._catch.__enter__()
        warnings.simplefilter("always")
        return self

    def __exit__(self, *error: Any) -> None:
        self._catch.__exit__(*error)
        own = (str(one.message) for one in self._caught if one.filename.startswith(PACKAGE))
        self.extend(dict.fromkeys(own))
