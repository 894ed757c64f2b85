"""One model on its way: the estimators in turn, each saved when it is finished, whatever happens next."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import hierrl
from hierrl.cli.complaints import BadInput
from hierrl.cli.folder import Folder
from hierrl.cli.inputs import Task
from hierrl.cli.options import Estimator
from hierrl.cli.pages import MARKS, Page
from hierrl.cli.stages import Heard, Interrupt, Settings, compile_kernels, run_stage
from hierrl.fits import load

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
STOPPED = "the posterior, the draws there were when it was stopped"
MUCH = 3e8
"""Trials times draws from which on sampling took more than half a minute on two cores (dezfouli_clinical_2arm: 5e8
and 35 s, bahrami_4arm: 6e8 and 220 s, bari_mice_2arm: 8e8 and 140 s)."""
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
    resume: bool = False
    """Take fits that an earlier run has finished in the folder."""
    fits: dict[str, xr.DataTree] = field(default_factory=dict)
    files: list[tuple[Path, str]] = field(default_factory=list)
    partial: list[str] = field(default_factory=list)
    """Fits of which Ctrl-C has left some subjects out."""
    interrupted: bool = False
    failure: Exception | None = None

    def stages(self) -> None:
        """Run the estimators that were asked for; each is on disk as soon as it is finished."""
        self.page.title("Model", f"{self.task.name}: {self.task.describe()}")
        if self.resume:
            self._take_up(self.folder.record())
        self._record()
        with Interrupt() as interrupt:
            try:
                self._all(interrupt)
            except KeyboardInterrupt:
                pass  # `interrupt.pressed` knows; what is finished is saved
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
        missing = self.missing
        if missing:
            self._prepare()
        for name in missing:
            self._stage(name, interrupt)
            if interrupt.pressed:
                self.partial.append(str(name))
                return

    def _take_up(self, earlier: dict[str, Any]) -> None:
        """Fits of an interrupted run, which must have been the same one."""
        if not earlier:
            return
        asked = json.loads(json.dumps(self._asked(), default=str))
        before = {name: earlier.get(name) for name in asked}
        if before != asked:
            wrong = next(name for name in asked if before[name] != asked[name])
            raise BadInput(
                f"--resume: {str(self.folder.path)!r} holds a run with another {wrong} "
                f"({before[wrong]}; now {asked[wrong]}). Give what was given then, or start again with --force."
            )
        done = [name for name in earlier.get("finished", []) if name not in earlier.get("partial", [])]
        for name in (name for name in done if name in self.settings.estimators):
            path = self.folder.path / f"{name}.nc"
            if path.exists():
                self.fits[name] = load(path)
                self.wrote(path, FIT_TEXTS[Estimator(name)])
                self.page.say(
                    f"{TITLES[Estimator(name)]}: finished before, in {path.name}.", mark=MARKS["good"]
                )

    def _prepare(self) -> None:
        started = perf_counter()
        with self.page.waiting("Compiling, once per machine: some minutes, then never again"):
            with suppress(Exception):  # if something is wrong, the fit itself will say so
                compile_kernels(self.task)
        seconds = perf_counter() - started
        if seconds > QUICK:
            self.page.say(
                f"Compiled in {seconds:.0f} s, once per machine: later runs find it done.", mark="[cyan]·[/]"
            )

    def _stage(self, name: Estimator, interrupt: Interrupt) -> None:
        from hierrl.summary import verdict_of

        self.page.title(TITLES[name])
        if name is Estimator.posterior and (sentence := if_long(self.task, self.settings)):
            self.page.say(sentence, mark="[cyan]·[/]")
        started = perf_counter()
        with Heard() as heard:
            fit = run_stage(name, self.task, self.settings, self.fits)
        seconds = perf_counter() - started
        self.fits[str(name)] = fit
        early = name is Estimator.posterior and interrupt.pressed
        self.wrote(self.folder.save_fit(str(name), fit), STOPPED if early else FIT_TEXTS[name])
        verdict = verdict_of(fit)
        told = " ".join(text for _, text in verdict.remarks)
        # who didn't converge is told by the verdict, in words for the terminal
        new = [text for text in heard if text not in told and "converge" not in text]
        self.page.verdict(verdict, seconds, new)

    def _asked(self) -> dict[str, Any]:
        """All that a fit depends on: the same again gives the same."""
        irrelevant = ("estimators", "cores", "progress")
        settings = {name: value for name, value in asdict(self.settings).items() if name not in irrelevant}
        return {
            "model": self.task.name,
            "formula": dict(self.task.formula),
            **settings,
            "data": fingerprint(self.task.data),
            "hierrl": hierrl.__version__,
        }

    def _record(self) -> None:
        """Write down what was asked for and what is finished."""
        if self.folder.file is not None:
            return
        estimators = [str(name) for name in self.settings.estimators]
        state = {"finished": list(self.fits), "partial": self.partial, "interrupted": self.interrupted}
        path = self.folder.save_record({**self._asked(), **self.about, "estimators": estimators, **state})
        if self.fits:
            self.wrote(path, "what was run")


def if_long(task: Task, settings: Settings) -> str:
    """What to expect of a sampler that will run for long, and what else there is; empty if it will not."""
    n = task.data.sizes["trial"]
    if settings.sampler != "nuts" or n * settings.draws * settings.chains < MUCH:
        return ""
    from hierrl.posterior.marginal_sample import MOST_PARAMETERS  # heavy, and needed now anyway

    few = len(task.model.scalars(task.data["arm"].values.tolist())) <= MOST_PARAMETERS
    faster = "--method marginal samples the same posterior, mostly faster; " if few else ""
    return (
        f"{n:,} trials: sampling takes minutes. The time left is shown while it runs, and Ctrl-C keeps the draws "
        f"that there are. {faster}--method mle leaves it out."
    )


def fingerprint(data: xr.Dataset) -> str:
    """A short text that is another one for other behaviour."""
    digest = hashlib.sha256()
    for name in sorted(map(str, data.variables)):
        values = data[name].values
        values = values.astype(str) if values.dtype.kind in "OT" else values
        digest.update(f"{name} {values.shape} {values.dtype}".encode() + values.tobytes())
    return digest.hexdigest()[:16]


def run_all(
    tasks: Sequence[Task],
    settings: Settings,
    folder: Folder,
    page: Page,
    *,
    resume: bool = False,
    after: Callable[[Run], None] | None = None,
) -> list[Run]:
    """Fit every model and make `after` of it; an interrupted run is the last one."""
    runs = []
    for task in tasks:
        place = folder.below(task.name) if len(tasks) > 1 else folder
        run = Run(task, settings, place, page, resume=resume)
        runs.append(run)
        run.stages()
        if not run.fits:
            run.folder.leave()
        elif after is not None:
            after(run)
        if run.interrupted:
            break
    return runs
