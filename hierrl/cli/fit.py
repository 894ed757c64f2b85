"""``hierrl fit``: a table goes in; fits, tables and pictures come out."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hierrl.cli import options
from hierrl.cli.complaints import plain_errors
from hierrl.cli.folder import Folder, open_folder
from hierrl.cli.grouped import Columns, Fitting, Resuming, grouped
from hierrl.cli.pages import MARKS, Page
from hierrl.cli.source import default_folder, read_tasks, settings_from, stop_if_incomplete

if TYPE_CHECKING:
    from hierrl.cli.inputs import Task
    from hierrl.cli.run import Run
    from hierrl.cli.stages import Settings

ON_CTRL_C = "Fits that were finished are saved; the same command with --resume goes on from them."


@grouped
def fit(
    table: options.Table,
    *,
    columns: Columns,
    fitting: Fitting,
    last: options.Last = None,
    out: options.Out = None,
    dry_run: options.DryRun = False,
    running: Resuming,
) -> None:
    """Fit a model to a table of choices: convex, maximum likelihood, posterior.

    One row per trial. Columns are found by their common names; what was understood is shown first. Writes
    every fit as NetCDF, tables as csv and pictures as PNG.

    [bold]Examples[/]

      hierrl fit study.csv

      hierrl fit study.csv --formula "alpha ~ 1 + group" --out results

      hierrl fit study.csv --formula "1 + group" --covariate age

      hierrl fit study.tsv.gz --subject ppt --choice key --model rw --method mle

      hierrl fit study.csv --model rw+lapse+beta=0:20 --method marginal

      hierrl fit study.csv --dry-run

    [bold]Model options[/], each after a plus sign: lapse, bias, choice_trace, sticky, per_arm, signed, unsigned,
    start; start=0.5, missed=decay, context=COLUMN, regressor=COLUMN; PARAMETER=NUMBER fixes a parameter,
    PARAMETER=LOW:HIGH bounds it, PARAMETER=OTHER uses another one in its place.

    [bold]Exit codes[/]: 0 done; 1 something failed; 2 the table or an option can't be used; 130 Ctrl-C.
    """
    page = Page(quiet=running.quiet)
    with plain_errors(debug=running.debug, advice=ON_CTRL_C):
        from hierrl.cli.inputs import check_split
        from hierrl.cli.results import write_results
        from hierrl.cli.run import run_all

        settings = settings_from(fitting, quiet=running.quiet)
        tasks = read_tasks(table, columns, fitting, page=page)
        check_split(tasks[0].data, last)
        if dry_run:
            tell_plan(tasks, settings, page)
            return
        place = out or default_folder(table)
        folder = open_folder(place, force=running.force, resume=running.resume, several=len(tasks) > 1)
        after = partial(write_results, last=last)
        finish(run_all(tasks, settings, folder, page, resume=running.resume, after=after), page, folder)


def of_groups(task: Task) -> list[tuple[str, str]]:
    """How to compare groups that the table has and no formula asks for."""
    from hierrl.summary.behaviour import others_in

    dividing = {name: groups for name, groups in others_in(task.data).items() if groups}
    if task.formula or not dividing:
        return []
    name, groups = next(iter(dividing.items()))
    column = name if name.isidentifier() else f"`{name}`"
    told = " and ".join(groups) if len(groups) < 3 else f"{', '.join(groups[:-1])} and {groups[-1]}"
    return [(f"--formula {shlex.quote(f'1 + {column}')}", f"added to this command: do {told} differ?")]


def tell_plan(tasks: list[Task], settings: Settings, page: Page) -> None:
    """What would be done."""
    for task in tasks:
        page.title("Model", f"{task.name}: {task.describe()}")
    names = ", ".join(settings.estimators)
    page.say(f"All is well: {names} would be fitted now. Nothing was written.", mark=MARKS["good"])


def finish(runs: list[Run], page: Page, folder: Folder) -> None:
    """Say where things are; after Ctrl-C also what is missing, and leave with its code."""
    if len(runs) > 1:
        from hierrl.cli.results import model_table

        table = model_table(runs)
        runs[-1].wrote(folder.save_table("models", table), "the models side by side")
        page.title("Models side by side", "by maximum likelihood; lower AIC and BIC are better")
        page.table(table)
    stop_if_incomplete(runs, page, folder)
    page.files(folder.path, [entry for run in runs for entry in run.files])
    if folder.file is None:
        tell_next(folder.path, page, runs)


def tell_next(folder: Path, page: Page, runs: list[Run]) -> None:
    """What most people want then."""
    place, several = shlex.quote(str(folder)), len(runs) > 1
    page.title("Next")
    page.commands(
        [
            *of_groups(runs[0].task),
            (f"hierrl report {place}", "one page with everything, to read, print and send"),
            (f"hierrl check {place}", "does the model behave as the subjects do?"),
            *([(f"hierrl compare {place}", "which model predicts best?")] if several else []),
        ]
    )
