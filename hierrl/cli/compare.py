"""``hierrl compare``: models of the same choices, or estimators of one model, side by side."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hierrl.cli import options
from hierrl.cli.complaints import plain_errors
from hierrl.cli.grouped import Columns, Fitting, Running, grouped
from hierrl.cli.options import RUN
from hierrl.cli.pages import Page

FOLDER = Path("hierrl-comparison")
COMPARISON = "Comparison"


class Criterion(StrEnum):
    """What models are compared by."""

    auto = "auto"
    loo = "loo"
    lfo = "lfo"
    held_out = "held_out"
    evidence = "evidence"
    laplace = "laplace"
    aic = "aic"
    bic = "bic"


class By(StrEnum):
    """What is left out, or summed over."""

    trial = "trial"
    session = "session"
    subject = "subject"


CriterionOption = Annotated[
    Criterion,
    typer.Option(
        "--criterion",
        metavar="NAME",
        help="loo, lfo, held_out (with --last or --folds), evidence, laplace, aic or bic. auto: held_out with a "
        "split, else loo for posteriors and bic for point fits.",
        rich_help_panel=COMPARISON,
    ),
]
ByOption = Annotated[
    By | None,
    typer.Option(
        "--by",
        metavar="UNIT",
        help="What is left out or summed over: trial, session or subject.",
        rich_help_panel=COMPARISON,
        show_default=False,
    ),
]
LastOption = Annotated[
    float | None,
    typer.Option(
        "--last",
        metavar="SHARE",
        min=0.0,
        max=1.0,
        help="Score the last part of each session, such as 0.25, after refits without it.",
        rich_help_panel=COMPARISON,
        show_default=False,
    ),
]
FoldsOption = Annotated[
    int | None,
    typer.Option(
        "--folds",
        metavar="K",
        min=2,
        help="Score every trial after refits without its part of K.",
        rich_help_panel=COMPARISON,
        show_default=False,
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="FOLDER",
        help="Where tables and pictures go. [dim]\\[default: hierrl-comparison, or named after the table][/]",
        rich_help_panel=RUN,
        show_default=False,
    ),
]


@grouped
def compare(
    sources: options.Sources,
    *,
    criterion: CriterionOption = Criterion.auto,
    by: ByOption = None,
    last: LastOption = None,
    folds: FoldsOption = None,
    columns: Columns,
    fitting: Fitting,
    out: OutOption = None,
    resume: options.Resume = False,
    running: Running,
) -> None:
    """Compare models by how well they predict what they have not seen, or estimators of one model.

    Takes saved fits, or a table that is fitted first (by maximum likelihood, if no --method is given). Of folders
    that hold several estimators the last one that all models have is taken; --method chooses. Fits of one model
    are compared as estimators.

    [bold]Examples[/]

      hierrl compare results/rw results/subvalue

      hierrl compare plain=rw.nc forgetting=fq.nc --criterion loo --by subject

      hierrl compare study.csv --model rw --model rw+choice_trace

      hierrl compare results --last 0.25

    [bold]Exit codes[/]: 0 done; 1 something failed; 2 the input or an option can't be used; 130 Ctrl-C.
    """
    page = Page(quiet=running.quiet)
    with plain_errors(debug=running.debug):
        from hierrl.cli.comparing import Split, compare_sources

        split = Split(criterion=str(criterion), by=str(by) if by else None, last=last, folds=folds)
        compare_sources(
            sources, columns, fitting, split=split, page=page, out=out, resume=resume, running=running
        )
