"""What can be said on the command line: options that commands share, with their help."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

COLUMNS = "Columns (found by their names if not given; none = there is no such column)"
MODEL = "Model"
SAMPLING = "Sampling"
TASK = "Task"
RUN = "Run"


class Estimator(StrEnum):
    """The estimators, in the order in which they run."""

    convex = "convex"
    mle = "mle"
    posterior = "posterior"


class Method(StrEnum):
    """What can be asked for: an estimator, or the posterior by one of its samplers."""

    convex = "convex"
    mle = "mle"
    posterior = "posterior"
    nuts = "nuts"
    marginal = "marginal"


class TaskName(StrEnum):
    """Tasks of the literature."""

    iowa = "iowa"
    zhu_2arm = "zhu_2arm"
    zhu_10arm = "zhu_10arm"


def option(panel: str, name: str, metavar: str, text: str, **how: Any) -> Any:
    """An option in a panel of the help; without `show_default`, its text says what happens without it."""
    how = {"show_default": False, **how}
    return typer.Option(f"--{name}", metavar=metavar, help=text, rich_help_panel=panel, **how)


def out_option(metavar: str, text: str, default: str = "") -> Any:
    """Where results go."""
    shown = f" [dim]\\[default: {default}][/]" if default else ""
    return option(RUN, "out", metavar, text + shown)


def _column(role: str, text: str) -> Any:
    return option(COLUMNS, role, "COLUMN", text)


Table = Annotated[
    Path,
    typer.Argument(
        metavar="TABLE",
        help="A csv, tsv or parquet file with one row per trial; .gz is fine.",
        show_default=False,
    ),
]
Subject = Annotated[str | None, _column("subject", "Whose row this is.")]
Choice = Annotated[str | None, _column("choice", "What was chosen: numbers or labels; empty or -1 = missed.")]
Reward = Annotated[str | None, _column("reward", "What was paid, in any unit; empty = unknown.")]
Session = Annotated[str | None, _column("session", "Values start anew where it changes.")]
Trial = Annotated[str | None, _column("trial", "Number of the trial within its session.")]
Gain = Annotated[str | None, _column("gain", "What was won (0 or more).")]
Loss = Annotated[str | None, _column("loss", "What was lost (0 or less).")]
Context = Annotated[str | None, _column("context", "What the trial was about, if values differ by it.")]
Forced = Annotated[str | None, _column("forced", "Marks forced choices: learned from, not scored.")]
Covariates = Annotated[
    list[str] | None,
    option(
        COLUMNS,
        "covariate",
        "COLUMN",
        "A further column to keep (repeatable); those in a formula are kept anyway.",
    ),
]
Arms = Annotated[
    str | None,
    option(COLUMNS, "arms", "A,B,...", "All arms, if some are never chosen: labels, or their number."),
]
Models = Annotated[
    list[str] | None,
    option(
        MODEL,
        "model",
        "NAME[+OPTION]",
        "A model (repeatable), with options such as rw+lapse+choice_trace or subvalue+beta=0:20; "
        "`hierrl models` lists them, `hierrl fit --help` the options. "
        "[dim]\\[default: forgetting_q][/]",
    ),
]
Formulas = Annotated[
    list[str] | None,
    option(
        MODEL,
        "formula",
        "TEXT",
        "How a parameter depends on the subjects' covariates, 'alpha ~ 1 + group' (repeatable), or how all do: "
        "'1 + group'.",
    ),
]
Methods = Annotated[
    list[Method] | None,
    typer.Option(
        "--method",
        metavar="NAME",
        help="How to fit: convex, mle or posterior (repeatable). nuts and marginal are the samplers of the "
        "posterior, nuts the usual one. [dim]\\[default: all three; compare, check and recover: mle][/]",
        rich_help_panel=MODEL,
        show_default=False,
    ),
]
Certify = Annotated[
    bool,
    typer.Option(
        "--certify",
        help="Prove for each subject that no parameter values fit better than the maximum likelihood fit.",
        rich_help_panel=MODEL,
    ),
]
Last = Annotated[
    float | None,
    option(
        MODEL,
        "last",
        "SHARE",
        "Compare the estimators on the last part of each session, such as 0.25: each is fitted again "
        "without it, which takes about as long as the first time.",
        min=0.0,
        max=1.0,
    ),
]
Seed = Annotated[
    int, typer.Option("--seed", metavar="N", min=0, help="Same seed, same result.", rich_help_panel=SAMPLING)
]
Draws = Annotated[
    int,
    typer.Option("--draws", metavar="N", min=4, help="Draws kept of each chain.", rich_help_panel=SAMPLING),
]
Tune = Annotated[
    int | None,
    option(
        SAMPLING, "tune", "N", "Draws before, to adapt. [dim]\\[default: 200 or 500, as needed][/]", min=1
    ),
]
TargetAccept = Annotated[
    float,
    option(
        SAMPLING,
        "target-accept",
        "P",
        "Nearer to 1: smaller steps, slower, with fewer divergences.",
        min=0.5,
        max=0.999,
        show_default=True,
    ),
]
Chains = Annotated[
    int, typer.Option("--chains", metavar="N", min=1, help="Independent chains.", rich_help_panel=SAMPLING)
]
Cores = Annotated[
    int | None,
    option(RUN, "cores", "N", "Threads. [dim]\\[default: all]", min=1),
]
Out = Annotated[
    Path | None,
    option(
        RUN,
        "out",
        "PATH",
        "A folder for fits, tables and pictures; or a file (.nc) or store (.zarr) for the last fit alone. "
        "[dim]\\[default: a folder named after the table][/]",
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on with an interrupted run of the same command: fits that are finished are kept.",
        rich_help_panel=RUN,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Read and check everything, fit nothing.", rich_help_panel=RUN),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite what is there.", rich_help_panel=RUN)]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.", rich_help_panel=RUN)]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.", rich_help_panel=RUN)]

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="FITS|TABLE",
        help="Saved fits: .nc files, .zarr stores or folders from `hierrl fit`, each perhaps as NAME=PATH; or "
        "one table, which is fitted first.",
        show_default=False,
    ),
]


def _task(name: str, metavar: str, text: str, **how: Any) -> Any:
    return option(TASK, name, metavar, text, **how)


Schedule = Annotated[
    str | None,
    _task(
        "schedule", "TABLE|FIT", "Play the schedule of a recorded study again, instead of a described task."
    ),
]
NamedTask = Annotated[TaskName | None, _task("task", "NAME", "A known task: iowa, zhu_2arm or zhu_10arm.")]
Odds = Annotated[
    str | None, _task("odds", "P,P,...", "Chance of each arm to pay. [dim]\\[default: 0.8,0.2][/]")
]
Means = Annotated[str | None, _task("means", "X,X,...", "Instead of odds: mean payoff of each arm.")]
Sd = Annotated[float | None, _task("sd", "X", "Noise of payoffs around means. [dim]\\[default: 1][/]")]
Drift = Annotated[float | None, _task("drift", "X", "How much odds or means drift from trial to trial (sd).")]
Limits = Annotated[str | None, _task("limits", "LOW,HIGH", "Where drifting odds or means are reflected.")]
Amounts = Annotated[
    str | None, _task("amounts", "LOSS,WIN", "What is paid without and with a win. [dim]\\[default: 0,1][/]")
]
Trials = Annotated[
    int | None, _task("trials", "N", "Trials of a session. [dim]\\[default: 200; iowa 100][/]", min=1)
]
Sessions = Annotated[
    int | None, _task("sessions", "N", "Sessions of each subject. [dim]\\[default: 1][/]", min=1)
]
ReverseEvery = Annotated[
    int | None, _task("reverse-every", "N", "The arms reverse after every N trials.", min=1)
]
ReverseChance = Annotated[
    float | None, _task("reverse-chance", "P", "The arms reverse after a trial with this chance.")
]
Missed = Annotated[float | None, _task("missed", "SHARE", "Share of trials without a choice.")]
Subjects = Annotated[
    int | None,
    _task("subjects", "N", "How many subjects. [dim]\\[default: 40; a recorded schedule's own][/]", min=1),
]
Values = Annotated[
    list[str] | None,
    option(
        MODEL,
        "set",
        "NAME=VALUE",
        "A parameter (repeatable): a number, or LOW:HIGH, from which each subject gets a value. "
        "[dim]\\[default: subjects of a weak prior][/]",
    ),
]
TruthFit = Annotated[
    str | None,
    option(MODEL, "like", "FIT", "Take the parameters, and the model, from a saved fit."),
]
