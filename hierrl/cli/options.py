"""What can be said on the command line: options that commands share, with their help."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

COLUMNS = "Columns (found by their names if not given; none = there is no such column)"
MODEL = "Model"
SAMPLING = "Sampling"
RUN = "Run"


class Estimator(StrEnum):
    """The estimators, in the order in which they run."""

    convex = "convex"
    mle = "mle"
    posterior = "posterior"


def _column(role: str, text: str):
    return typer.Option(f"--{role}", metavar="COLUMN", help=text, rich_help_panel=COLUMNS, show_default=False)


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
Forced = Annotated[str | None, _column("forced", "Marks forced choices: learned from, not scored.")]
Covariates = Annotated[
    list[str] | None,
    typer.Option(
        "--covariate",
        metavar="COLUMN",
        help="A further column to keep (repeatable); those in a formula are kept anyway.",
        rich_help_panel=COLUMNS,
        show_default=False,
    ),
]
Arms = Annotated[
    str | None,
    typer.Option(
        "--arms",
        metavar="A,B,...",
        help="All arms, if some are never chosen: labels, or their number.",
        rich_help_panel=COLUMNS,
        show_default=False,
    ),
]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="NAME",
        help="A model (repeatable); `hierrl models` lists them. [dim]\\[default: forgetting_q][/]",
        rich_help_panel=MODEL,
        show_default=False,
    ),
]
Formulas = Annotated[
    list[str] | None,
    typer.Option(
        "--formula",
        metavar="TEXT",
        help="How a parameter depends on the subjects' covariates: 'alpha ~ 1 + group' (repeatable).",
        rich_help_panel=MODEL,
        show_default=False,
    ),
]
Estimators = Annotated[
    list[Estimator] | None,
    typer.Option(
        "--estimator",
        metavar="NAME",
        help="convex, mle or posterior (repeatable). [dim]\\[default: all three][/]",
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
    typer.Option(
        "--last",
        metavar="SHARE",
        min=0.0,
        max=1.0,
        help="Compare the estimators on the last part of each session, such as 0.25: each is fitted again "
        "without it, which takes about as long as the first time.",
        rich_help_panel=MODEL,
        show_default=False,
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
    typer.Option(
        "--tune",
        metavar="N",
        min=1,
        help="Draws before, to adapt. [dim]\\[default: 500][/]",
        rich_help_panel=SAMPLING,
        show_default=False,
    ),
]
Chains = Annotated[
    int, typer.Option("--chains", metavar="N", min=1, help="Independent chains.", rich_help_panel=SAMPLING)
]
Cores = Annotated[
    int | None,
    typer.Option(
        "--cores",
        metavar="N",
        min=1,
        help="Threads. [dim]\\[default: all]",
        rich_help_panel=RUN,
        show_default=False,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="PATH",
        help="A folder for fits, tables and pictures; or a file ending in .nc for the last fit alone. "
        "[dim]\\[default: a folder named after the table][/]",
        rich_help_panel=RUN,
        show_default=False,
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite what is there.", rich_help_panel=RUN)]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.", rich_help_panel=RUN)]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.", rich_help_panel=RUN)]
