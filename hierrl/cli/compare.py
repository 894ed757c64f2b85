"""``hierrl compare``: models of the same choices, or estimators of one model, side by side."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from hierrl.cli import options
from hierrl.cli.complaints import plain_errors
from hierrl.cli.grouped import Columns, Fitting, Resuming, grouped
from hierrl.cli.options import option, out_option
from hierrl.cli.pages import Page

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
    option(
        COMPARISON,
        "criterion",
        "NAME",
        "loo, lfo, held_out (with --last or --folds), evidence, laplace, aic or bic. auto: held_out with a "
        "split, else loo for posteriors and bic for point fits.",
        show_default=True,
    ),
]
ByOption = Annotated[
    By | None,
    option(COMPARISON, "by", "UNIT", "What is left out or summed over: trial, session or subject."),
]
LastOption = Annotated[
    float | None,
    option(
        COMPARISON,
        "last",
        "SHARE",
        "Score the last part of each session, such as 0.25, after refits without it.",
        min=0.0,
        max=1.0,
    ),
]
FoldsOption = Annotated[
    int | None,
    option(COMPARISON, "folds", "K", "Score every trial after refits without its part of K.", min=2),
]
OutOption = Annotated[
    Path | None,
    out_option("FOLDER", "Where tables and pictures go.", "hierrl-comparison, or named after the table"),
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
    running: Resuming,
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
        compare_sources(sources, columns, fitting, split=split, page=page, out=out, running=running)
