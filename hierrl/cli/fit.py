"""``hierrl fit``: a table goes in; fits, tables and pictures come out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from hierrl.cli import options
from hierrl.cli.complaints import INTERRUPTED, plain_errors
from hierrl.cli.folder import Folder, open_folder
from hierrl.cli.options import Estimator
from hierrl.cli.pages import MARKS, Page
from hierrl.cli.stages import Settings

if TYPE_CHECKING:
    from hierrl.cli.run import Run

DEFAULT_MODEL = "forgetting_q"


def fit(
    table: options.Table,
    *,
    model: options.Models = None,
    formula: options.Formulas = None,
    estimator: options.Estimators = None,
    certify: options.Certify = False,
    last: options.Last = None,
    subject: options.Subject = None,
    choice: options.Choice = None,
    reward: options.Reward = None,
    session: options.Session = None,
    trial: options.Trial = None,
    gain: options.Gain = None,
    loss: options.Loss = None,
    forced: options.Forced = None,
    covariate: options.Covariates = None,
    arms: options.Arms = None,
    seed: options.Seed = 0,
    draws: options.Draws = 1000,
    tune: options.Tune = None,
    chains: options.Chains = 4,
    cores: options.Cores = None,
    out: options.Out = None,
    force: options.Force = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Fit a model to a table of choices: convex, maximum likelihood, posterior.

    One row per trial. Columns are found by their common names; what was understood is shown first. Writes
    every fit as NetCDF, tables as csv and pictures as PNG.

    [bold]Examples[/]

      hierrl fit study.csv

      hierrl fit study.csv --formula "alpha ~ 1 + group" --out results

      hierrl fit study.tsv.gz --subject ppt --choice key --model rw --model subvalue --estimator mle
    """
    columns = {
        "subject": subject, "choice": choice, "reward": reward, "session": session, "trial": trial,
        "gain": gain, "loss": loss, "forced": forced,
    }  # fmt: skip
    settings = Settings(
        estimators=tuple(estimator or Estimator),
        seed=seed,
        draws=draws,
        tune=tune,
        chains=chains,
        cores=cores,
        certify=certify,
        progress=not quiet,
    )
    page = Page(quiet=quiet)
    with plain_errors(debug=debug):
        from hierrl.cli.inputs import check_split, covariates_in, make_tasks, read_formulas, read_study
        from hierrl.cli.run import run_all
        from hierrl.summary import summarise

        formulas = read_formulas(formula or ())
        covariates = [*(covariate or ()), *covariates_in(formulas)]
        data = read_study(table, columns=columns, arms=arms, covariates=covariates)
        page.study(summarise(data), table)
        tasks = make_tasks(data, model or [DEFAULT_MODEL], formulas, certify=certify)
        check_split(data, last)
        folder = open_folder(out or default_out(table), force=force, several=len(tasks) > 1)
        finish(run_all(tasks, settings, folder, page, last=last), page, folder)


def finish(runs: list[Run], page: Page, folder: Folder) -> None:
    """Say where things are; after Ctrl-C also what is missing, and leave with its code."""
    if len(runs) > 1:
        from hierrl.cli.results import model_table

        table = model_table(runs)
        runs[-1].wrote(folder.save_table("models", table), "the models side by side")
        page.title("Models side by side", "by maximum likelihood; lower AIC and BIC are better")
        page.table(table)
    if files := [entry for run in runs for entry in run.files]:
        page.files(folder.path, files)
    for run in runs:
        if run.failure is not None:
            raise run.failure
    if runs[-1].interrupted:
        missing = ", ".join(runs[-1].missing)
        cut = f"missing is {missing}" if missing else f"{list(runs[-1].fits)[-1]} was stopped early"
        page.say(f"Interrupted: {cut}. What is listed here is finished and saved.", mark=MARKS["mind"])
        page.say("The same command with --force runs everything again.")
        raise typer.Exit(INTERRUPTED)


def default_out(table: Path) -> Path:
    """A folder beside the user, named after the table."""
    name = table.name.removesuffix(".gz")
    return Path(f"hierrl-{Path(name).stem}")
