"""``hierrl check``: does a fitted model behave as the subjects do?"""

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

CHECK = "Check"


class Mode(StrEnum):
    """Who lives with the choices."""

    replay = "replay"
    generate = "generate"


def _option(name: str, metavar: str, text: str, **how):
    return typer.Option(f"--{name}", metavar=metavar, help=text, rich_help_panel=CHECK, **how)


ModeOption = Annotated[
    Mode,
    _option(
        "mode", "NAME", "replay: each choice anew after the subject's own history; generate: new behaviour."
    ),
]
Statistics = Annotated[
    list[str] | None,
    _option(
        "statistic", "NAME", "Which statistic, such as win_stay (repeatable). [dim]\\[default: all][/]",
        show_default=False,
    ),
]  # fmt: skip
Group = Annotated[
    str | None,
    _option("by", "COLUMN", "Check each level of a covariate of the subjects by itself.", show_default=False),
]
Best = Annotated[
    str | None,
    _option("best", "COLUMN", "The arm that pays best on each trial, if it is known.", show_default=False),
]
Reversal = Annotated[
    str | None,
    _option("reversal", "COLUMN", "Marks the first trial after a reversal.", show_default=False),
]
Win = Annotated[float | None, _option("win", "X", "Rewards above it count as wins.", show_default=False)]
Replicates = Annotated[int, _option("replicates", "N", "How often the model chooses.", min=1)]
OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="FOLDER",
        help="Where tables and the picture go. [dim]\\[default: hierrl-check, or named after the table][/]",
        rich_help_panel=RUN,
        show_default=False,
    ),
]


@grouped
def check(
    sources: options.Sources,
    *,
    mode: ModeOption = Mode.replay,
    statistic: Statistics = None,
    by: Group = None,
    best: Best = None,
    reversal: Reversal = None,
    win: Win = None,
    replicates: Replicates = 200,
    columns: Columns,
    fitting: Fitting,
    out: OutOption = None,
    resume: options.Resume = False,
    running: Running,
) -> None:
    """Let a fitted model choose in the subjects' place, and compare (a predictive check).

    Takes saved fits, or a table that is fitted first (by maximum likelihood, if no --method is given). Columns that
    --best, --reversal and --by name must be in the fit: hierrl fit TABLE --covariate COLUMN keeps them.

    [bold]Examples[/]

      hierrl check results/posterior.nc

      hierrl check results --method mle --mode generate --best best --by group

      hierrl check study.csv --model rw+choice_trace --by group

    [bold]Exit codes[/]: 0 done, whatever the check says; 1 something failed; 2 the input or an option can't be
    used; 130 Ctrl-C.
    """
    page = Page(quiet=running.quiet)
    with plain_errors(debug=running.debug):
        from hierrl.cli.checking import check_sources

        how = {
            "mode": str(mode), "statistics": statistic or None, "by": by, "best": best, "reversal": reversal,
            "win": win, "replicates": replicates, "random_seed": fitting.seed,
        }  # fmt: skip
        check_sources(sources, columns, fitting, how=how, page=page, out=out, resume=resume, running=running)
