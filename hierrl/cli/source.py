"""Where the fits of a command come from: saved ones, or a table that is fitted first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from hierrl.cli.complaints import INTERRUPTED, BadInput
from hierrl.cli.folder import Folder, open_folder
from hierrl.cli.grouped import Columns, Fitting, Resuming
from hierrl.cli.options import Estimator, Method
from hierrl.cli.pages import Page
from hierrl.cli.saved import STORES, Saved, is_table, open_saved

if TYPE_CHECKING:
    from hierrl.cli.inputs import Task
    from hierrl.cli.run import Run
    from hierrl.cli.stages import Settings

DEFAULT_MODEL = "forgetting_q"
SAMPLERS = (Method.nuts, Method.marginal)


def settings_from(
    fitting: Fitting, *, quiet: bool, default: Sequence[Estimator] = tuple(Estimator)
) -> Settings:
    """How to run, from the options."""
    from hierrl.cli.stages import Settings

    asked = list(dict.fromkeys(fitting.method or ()))
    samplers = [name for name in asked if name in SAMPLERS]
    if len(samplers) > 1:
        raise BadInput("--method nuts and --method marginal sample the same posterior; ask for one of them.")
    names = {Estimator.posterior if one in SAMPLERS else Estimator(one) for one in asked} or set(default)
    return Settings(
        estimators=tuple(name for name in Estimator if name in names),
        sampler=str(samplers[0]) if samplers else "nuts",
        seed=fitting.seed,
        draws=fitting.draws,
        tune=fitting.tune,
        chains=fitting.chains,
        target_accept=fitting.target_accept,
        cores=fitting.cores,
        certify=fitting.certify,
        progress=not quiet,
    )


def read_tasks(
    table: Path, columns: Columns, fitting: Fitting, *, page: Page, more: Iterable[str] = ()
) -> list[Task]:
    """The study, shown, and the models that are to be fitted to it; `more` are further columns to keep."""
    from hierrl.cli.inputs import covariates_in, make_tasks, read_formulas, read_study
    from hierrl.cli.model_text import read_models
    from hierrl.summary import summarise

    if table.suffix in STORES and table.exists():
        raise BadInput(
            f"{str(table)!r} is a saved fit, but a table of choices is needed here. hierrl report, check and compare "
            "take saved fits."
        )
    formulas = read_formulas(fitting.formula or ())
    models = read_models(fitting.model or [DEFAULT_MODEL])
    needed = [name for one in models for name in one.columns if name != "context"]
    covariates = [*(columns.covariate or ()), *covariates_in(formulas), *needed, *more]
    data = read_study(table, columns=columns.roles, arms=columns.arms, covariates=covariates)
    page.study(summarise(data), table)
    return make_tasks(data, models, formulas, certify=fitting.certify)


def fits_from(
    sources: Sequence[str],
    columns: Columns,
    fitting: Fitting,
    *,
    page: Page,
    folder: Path,
    running: Resuming,
    default: Sequence[Estimator],
    more: Iterable[str] = (),
) -> tuple[list[Saved], list[Run]]:
    """Saved fits, or those of a table, which are saved in the folder as ``hierrl fit`` does."""
    tables = [source for source in sources if is_table(source)]
    if not tables:
        _refuse_of_tables(columns, fitting, running.resume)
        return open_saved(sources), []
    if len(sources) > 1:
        raise BadInput(
            f"{tables[0]!r} is a table: give it alone (it is fitted first), or give saved fits only."
        )
    return _fitted(
        Path(tables[0]), columns, fitting,
        page=page, folder=folder, running=running, default=default, more=more,
    )  # fmt: skip


def _refuse_of_tables(columns: Columns, fitting: Fitting, resume: bool) -> None:
    """Raise if something is said that saved fits have settled."""
    of_fits = {
        "model": fitting.model,
        "formula": fitting.formula,
        "certify": fitting.certify,
        "resume": resume,
    }
    if given := [name for name, value in {**asdict(columns), **of_fits}.items() if value]:
        raise BadInput(
            f"--{given[0]} is for tables; these are saved fits, where it is settled. Leave it out."
        )


def _fitted(
    table: Path,
    columns: Columns,
    fitting: Fitting,
    *,
    page: Page,
    folder: Path,
    running: Resuming,
    default: Sequence[Estimator],
    more: Iterable[str],
) -> tuple[list[Saved], list[Run]]:
    from hierrl.cli.results import write_subjects
    from hierrl.cli.run import run_all

    tasks = read_tasks(table, columns, fitting, page=page, more=more)
    settings = settings_from(fitting, quiet=page.console.quiet, default=default)
    place = open_folder(folder, force=running.force, resume=running.resume, several=len(tasks) > 1)
    runs = run_all(tasks, settings, place, page, resume=running.resume, after=write_subjects)
    stop_if_incomplete(runs, page, place)
    found = [
        Saved(fit, run.folder.path / f"{name}.nc", run.task.name, name)
        for run in runs
        for name, fit in run.fits.items()
    ]
    return found, runs


def stop_if_incomplete(runs: Sequence[Run], page: Page, folder: Folder) -> None:
    """Raise what failed; after Ctrl-C say what is missing and how to go on, and leave with its code."""
    from hierrl.cli.pages import MARKS

    stopped = runs[-1].interrupted
    if (stopped or any(run.failure for run in runs)) and (files := [e for run in runs for e in run.files]):
        page.files(folder.path, files)
    for run in runs:
        if run.failure is not None:
            raise run.failure
    if stopped:
        missing = ", ".join(runs[-1].missing)
        cut = f"missing is {missing}" if missing else f"{list(runs[-1].fits)[-1]} was stopped early"
        page.say(f"Interrupted: {cut}. What is listed here is finished and saved.", mark=MARKS["mind"])
        page.say(
            "The same command with --force runs everything again."
            if folder.file is not None
            else "The same command with --resume keeps these fits and runs what is missing or was stopped; with "
            "--force everything starts again."
        )
        raise typer.Exit(INTERRUPTED)


def default_folder(source: str | Path, *, prefix: str = "hierrl") -> Path:
    """A folder beside the user, named after the table or the fit."""
    name = Path(source).name
    for ending in (".gz", ".csv", ".tsv", ".txt", ".dat", ".parquet", ".pq", ".nc", ".zarr"):
        name = name.removesuffix(ending)
    return Path(name if name.startswith(f"{prefix}-") else f"{prefix}-{name}")
