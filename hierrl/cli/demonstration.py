"""What the demo does and shows, once its options are read."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import typer

from hierrl.cli.complaints import INTERRUPTED
from hierrl.cli.folder import Folder
from hierrl.cli.inputs import Task
from hierrl.cli.options import Estimator
from hierrl.cli.pages import Page, with_interval
from hierrl.cli.run import Run
from hierrl.cli.stages import Settings

LAST = 0.25
"""Part of each session on which the estimators are compared."""


def show(settings: Settings, folder: Folder, page: Page) -> None:
    """Simulate, fit, compare with the truth, and say how to do it with one's own data."""
    from hierrl.cli.results import write_results
    from hierrl.data import to_table
    from hierrl.demo import FORMULA, MODEL, demo_model, demo_study
    from hierrl.summary import summarise

    data = demo_study(random_seed=settings.seed)
    page.study(summarise(data), "simulated: controls and patients, a reversal task, known truth")
    run = Run(Task(MODEL, demo_model(), data, FORMULA), settings, folder, page, about={"demo": True})
    run.wrote(folder.save_table("study", to_table(data)), "the simulated study, as a table like yours")
    run.stages()
    write_results(run, last=LAST)
    if run.interrupted:
        raise typer.Exit(INTERRUPTED)
    if not run.missing:
        run.attempt(_recovery)
    page.files(folder.path, run.files)
    if run.failure is not None:
        raise run.failure
    page.title("Your own data")
    page.command(f'{own_name()} fit your.csv --formula "alpha ~ 1 + group"')


def own_name() -> str:
    """How this program is called from here: by its name, or by its path if the shell doesn't find it."""
    called = Path(sys.argv[0])
    return str(called) if called.name == "hierrl" and shutil.which("hierrl") is None else "hierrl"


def _recovery(run: Run) -> None:
    from hierrl.demo import PLACE, population_recovery, subject_recovery
    from hierrl.summary import population_table

    subjects = subject_recovery(run.fits, run.task.data)
    run.wrote(run.folder.save_table("recovery", subjects), "how near the estimates come to the truth")
    run.page.title(
        "Was the truth found again?",
        "correlation with the truth, and rms error",
    )
    run.page.table(subjects)
    population = population_recovery(population_table(run.fits[Estimator.posterior]))
    run.wrote(
        run.folder.save_table("population_recovery", population), "the true population and its posterior"
    )
    run.page.title("And the population?")
    run.page.table(with_interval(population.drop(columns=PLACE)))
    inside = int(population.loc[:, "inside"].sum())
    run.page.say(f"{inside} of {len(population)} true values lie in their 95 % intervals; 19 of 20 should.")
