"""``hierrl report``: one HTML file about a study and its fits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hierrl.cli import options
from hierrl.cli.complaints import BadInput, plain_errors, reading
from hierrl.cli.grouped import Columns, Fitting, Resuming, grouped
from hierrl.cli.options import Estimator, option, out_option
from hierrl.cli.pages import MARKS, Page
from hierrl.cli.stages import Heard

REPORT = "Report"
FILE = "report.html"

Title = Annotated[
    str | None,
    option(REPORT, "title", "TEXT", "What stands at the top. [dim]\\[default: after the table or fits][/]"),
]
Checks = Annotated[
    bool,
    typer.Option("--checks/--no-checks", help="Predictive checks, with pictures.", rich_help_panel=REPORT),
]
OutOption = Annotated[
    Path | None,
    out_option("FILE.html", "The report.", "report.html; of a table, in the folder of its fits"),
]


@grouped
def report(
    sources: options.Sources,
    *,
    title: Title = None,
    checks: Checks = True,
    columns: Columns,
    fitting: Fitting,
    out: OutOption = None,
    running: Resuming,
) -> None:
    """Write one self-contained HTML file about the data, the model, its fits and what they say.

    Takes saved fits, or a table that is fitted first, as hierrl fit does, into a folder named after it.

    [bold]Examples[/]

      hierrl report results

      hierrl report rw.nc subvalue.nc --title "Pilot study" --out pilot.html

      hierrl report study.csv --formula "alpha ~ 1 + group"

    [bold]Exit codes[/]: 0 done; 1 something failed; 2 the input or an option can't be used; 130 Ctrl-C.
    """
    page = Page(quiet=running.quiet)
    with plain_errors(debug=running.debug):
        write(
            sources, columns, fitting,
            title=title, checks=checks, page=page, out=out, running=running,
        )  # fmt: skip


def write(
    sources: list[str],
    columns: Columns,
    fitting: Fitting,
    *,
    title: str | None,
    checks: bool,
    page: Page,
    out: Path | None,
    running: Resuming,
) -> None:
    """Open or make the fits, and write about them."""
    import hierrl
    from hierrl.cli.folder import open_file
    from hierrl.cli.saved import is_table, labelled
    from hierrl.cli.source import default_folder, fits_from

    of_table = is_table(sources[0])
    folder = default_folder(sources[0])
    target = out or (folder / FILE if of_table else Path(FILE))
    force = running.force or (running.resume and of_table)
    if target.suffix.lower() not in (".html", ".htm"):
        raise BadInput(
            f"--out {target}: a report is an HTML file, whose name ends in .html. For a PDF, open the report in a "
            "browser and print it."
        )
    if target.parent != folder or not of_table:  # refuse before the work, not after it
        target = open_file(target, force=force)
    found, runs = fits_from(
        sources, columns, fitting, page=page, folder=folder, running=running, default=tuple(Estimator)
    )  # fmt: skip
    page.title("Report")
    with page.waiting("Writing the report"), Heard() as heard, reading():
        hierrl.report(
            labelled(found), target, title=title, checks=checks, random_seed=fitting.seed, force=True
        )
    for sentence in heard:
        page.say(sentence, mark=MARKS["mind"])
    written = [entry for run in runs for entry in run.files]
    if written and target.parent != folder:
        page.files(folder, written)
        written = []
    page.files(target.parent, [*written, (target, "the report, for any browser")])
