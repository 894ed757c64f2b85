"""One model on its way: the estimators in turn, each saved when it is finished, whatever happens next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import hierrl
from hierrl.cli.folder import Folder
from hierrl.cli.inputs import Task
from hierrl.cli.options import Estimator
from hierrl.cli.pages import MARKS, Page
from hierrl.cli.stages import Heard, Interrupt, Settings, compile_kernels, run_stage

if TYPE_CHECKING:
    import xarray as xr

TITLES = {
    Estimator.convex: "Convex fit",
    Estimator.mle: "Maximum likelihood",
    Estimator.posterior: "Posterior",
}
FIT_TEXTS = {
    Estimator.convex: "the convex fit, with its bound",
    Estimator.mle: "the maximum likelihood fit",
    Estimator.posterior: "the posterior, all draws",
}
QUICK = 2.0
"""Seconds of preparation that aren't worth a word."""


@dataclass
class Run:
    """What is finished, what was written, what stopped it."""

    task: Task
    settings: Settings
    folder: Folder
    page: Page
    about: dict[str, Any] = field(default_factory=dict)
    """Further entries of the record."""
    fits: dict[str, xr.DataTree] = field(default_factory=dict)
    files: list[tuple[Path, str]] = field(default_factory=list)
    interrupted: bool = False
    failure: Exception | None = None

    def stages(self) -> None:
        """Run the estimators that were asked for; each is on disk as soon as it is finished."""
        self.page.title("Model", f"{self.task.name}: {self.task.describe()}")
        self._record()
        with Interrupt() as interrupt:
            try:
                self._all(interrupt)
            except KeyboardInterrupt:
                pass
            except Exception as error:
                self.failure = error
            self.interrupted = interrupt.pressed
        self._record()

    def attempt(self, make: Callable[[Run], None]) -> None:
        """Make something of the fits; if that fails, the rest goes on and the failure is told at the end."""
        with Heard() as heard:
            try:
                make(self)
            except Exception as error:
                self.failure = self.failure or error
        for sentence in heard:
            self.page.say(sentence, mark=MARKS["mind"])

    @property
    def missing(self) -> list[Estimator]:
        """Estimators that were asked for and aren't finished."""
        return [name for name in self.settings.estimators if name not in self.fits]

    def wrote(self, path: Path, text: str) -> None:
        """Note a file for the list at the end."""
        if path not in [known for known, _ in self.files]:
            self.files.append((path, text))

    def _all(self, interrupt: Interrupt) -> None:
        self._prepare()
        for name in (name for name in Estimator if name in self.settings.estimators):
            self._stage(name)
            if interrupt.pressed:
                return

    def _prepare(self) -> None:
        started = perf_counter()
        with self.page.console.status("Preparing (on the first run the model is compiled: a minute or two)"):
            with suppress(Exception):  # if something is wrong, the fit itself will say so
                compile_kernels(self.task)
        seconds = perf_counter() - started
        if seconds > QUICK:
            self.page.say(f"Compiled in {seconds:.0f} s; later runs find it done.", mark="[cyan]·[/]")

    def _stage(self, name: Estimator) -> None:
        from hierrl.summary import verdict_of

        self.page.title(TITLES[name])
        started = perf_counter()
        with Heard() as heard:
            fit = run_stage(name, self.task, self.settings, self.fits)
        seconds = perf_counter() - started
        self.fits[str(name)] = fit
        self.wrote(self.folder.save_fit(str(name), fit), FIT_TEXTS[name])
        verdict = verdict_of(fit)
        told = " ".join(text for _, text in verdict.remarks)
        # who didn't converge is told by the verdict, in words for the terminal
        new = [text for text in heard if text not in told and "converge" not in text]
        self.page.verdict(verdict, seconds, new)

    def _record(self) -> None:
        """Write down what was asked for and what is finished."""
        if self.folder.file is not None:
            return
        asked = asdict(self.settings) | {"estimators": [str(name) for name in self.settings.estimators]}
        what = {"hierrl": hierrl.__version__, "model": self.task.name, "formula": dict(self.task.formula)}
        state = {"finished": list(self.fits), "interrupted": self.interrupted}
        path = self.folder.save_record({**what, **self.about, "settings": asked, **state})
        if self.fits:
            self.wrote(path, "what was run")


def run_all(
    tasks: Sequence[Task], settings: Settings, folder: Folder, page: Page, *, last: float | None = None
) -> list[Run]:
    """Fit every model and write its results; an interrupted run is the last one."""
    from hierrl.cli.results import write_results

    runs = []
    for task in tasks:
        run = Run(task, settings, folder.below(task.name) if len(tasks) > 1 else folder, page)
        runs.append(run)
        run.stages()
        write_results(run, last=last) if run.fits else run.folder.leave()
        if run.interrupted:
            break
    return runs
