"""What the demo does and shows, once its options are read."""

from __future__ import annotations

from hierrl.cli.complaints import INTERRUPTED
from hierrl.cli.folder import Folder
from hierrl.cli.inputs import Task
from hierrl.cli.options import Estimator
from hierrl.cli.pages import Page
from hierrl.cli.run import Run
from hierrl.cli.stages import Settings

LAST = 0.25
"""Part of each session on which the estimators are compared."""


def show(settings: Settings, folder: Folder, page: Page) -> None:
    """Simulate, fit, compare with the truth, and say how to do it with one's own data."""
    import typer

    from hierrl.cli.results import write_results
    from hierrl.data import to_table
    from hierrl.demo import FORMULA, MODEL, demo_model, demo_study
    from hierrl.summary import summarise

    data = demo_study(random_seed=settings.seed)
    page.study(summarise(data), "simulated: two groups, a reversal task, known truth")
    task = Task(MODEL, demo_model(), data, FORMULA)
    run = Run(task, settings, folder, page, about={"demo": True})
    run.wrote(folder.save_table("study", to_table(data)), "the simulated study, as a table like yours")
    run.stages()
    write_results(run, last=LAST)
    if run.interrupted:
        raise typer.Exit(INTERRUPTED)
    _recovery(run)
    page.files(folder.path, run.files)
    page.title("Your own data")
    page.command('hierrl fit your.csv --formula "alpha ~ 1 + group"')


def _recovery(run: Run) -> None:
    from hierrl.demo import population_recovery, subject_recovery
    from hierrl.summary import population_table

    subjects = subject_recovery(run.fits, run.task.data)
    run.wrote(run.folder.save_table("recovery", subjects), "how near the estimates come to the truth")
    run.page.title("Was the truth found again?", "40 subjects, true values known")
    run.page.table(subjects)
    if Estimator.posterior not in run.fits:
        return
    population = population_recovery(population_table(run.fits[Estimator.posterior]))
    run.wrote(
        run.folder.save_table("population_recovery", population), "the true population beside its posterior"
    )
    run.page.table(population)
    inside = int(population["inside"].sum())
    run.page.say(
        f"{inside} of {len(population)} true population values lie in their 95 % intervals (19 of 20 should)."
    )
