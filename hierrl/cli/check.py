"""``hierrl check``: does a fitted model behave as the subjects do?"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from hierrl.cli import options
from hierrl.cli.complaints import plain_errors
from hierrl.cli.grouped import Columns, Fitting, Resuming, grouped
from hierrl.cli.options import option, out_option
from hierrl.cli.pages import Page

CHECK = "Check"


class Mode(StrEnum):
    """Who lives with the choices."""

    replay = "replay"
    generate = "generate"


ModeOption = Annotated[
    Mode,
    option(
        CHECK,
        "mode",
        "NAME",
        "replay: each choice anew after the subject's own history; generate: new behaviour.",
        show_default=True,
    ),
]
Statistics = Annotated[
    list[str] | None,
    option(
        CHECK, "statistic", "NAME", "Which statistic, such as win_stay (repeatable). [dim]\\[default: all][/]"
    ),
]
Group = Annotated[
    str | None, option(CHECK, "by", "COLUMN", "Check each level of a covariate of the subjects by itself.")
]
Best = Annotated[
    str | None, option(CHECK, "best", "COLUMN", "The arm that pays best on each trial, if it is known.")
]
Reversal = Annotated[
    str | None, option(CHECK, "reversal", "COLUMN", "Marks the first trial after a reversal.")
]
Win = Annotated[float | None, option(CHECK, "win", "X", "Rewards above it count as wins.")]
Replicates = Annotated[
    int, option(CHECK, "replicates", "N", "How often the model chooses.", min=1, show_default=True)
]
OutOption = Annotated[
    Path | None,
    out_option("FOLDER", "Where tables and the picture go.", "hierrl-check, or named after the table"),
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
    running: Resuming,
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
        check_sources(sources, columns, fitting, how=how, page=page, out=out, running=running)
