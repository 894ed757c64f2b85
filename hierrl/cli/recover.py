"""``hierrl recover``: are parameters found again in a design, and models told apart?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from hierrl.cli import options
from hierrl.cli.complaints import plain_errors
from hierrl.cli.grouped import Columns, Fitting, Playing, Running, grouped
from hierrl.cli.options import RUN, option
from hierrl.cli.pages import Page

FOLDER = Path("hierrl-recovery")

Replications = Annotated[
    int,
    option(RUN, "replications", "N", "How many data sets of each model.", min=1, show_default=True),
]
OutOption = Annotated[
    Path,
    option(
        RUN,
        "out",
        "FOLDER",
        "Where data sets that are done, tables and pictures go. The same command again goes on from there.",
        show_default=True,
    ),
]


@grouped
def recover(
    *,
    values: options.Values = None,
    like: options.TruthFit = None,
    subjects: options.Subjects = None,
    playing: Playing,
    columns: Columns,
    fitting: Fitting,
    replications: Replications = 10,
    out: OutOption = FOLDER,
    running: Running,
) -> None:
    """Simulate data sets in a design, fit them, and see whether the true parameters are found again.

    With several models also whether they are told apart: each is fitted to the data of each (a confusion matrix).
    Every data set is kept as soon as it is done: after Ctrl-C the same command goes on.

    [bold]Examples[/]

      hierrl recover --model rw --subjects 40 --trials 200 --reverse-every 25

      hierrl recover --model rw --set alpha=0:1 --set beta=0:10 --replications 50

      hierrl recover --model rw --model subvalue --schedule study.csv

      hierrl recover --like mle.nc --schedule mle.nc --method marginal

    [bold]Exit codes[/]: 0 done; 1 something failed; 2 an option can't be used; 130 Ctrl-C.
    """
    page = Page(quiet=running.quiet)
    with plain_errors(
        debug=running.debug, advice="The same command goes on with the data sets that are left."
    ):
        from hierrl.cli.recovering import Design, recover_all

        design = Design(values or [], like, subjects, replications, playing, columns)
        recover_all(design, fitting, page=page, out=out, force=running.force)
