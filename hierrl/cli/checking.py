"""What ``hierrl check`` does, once its options are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hierrl.cli.complaints import reading
from hierrl.cli.folder import UNSAFE, Folder, open_folder
from hierrl.cli.grouped import Columns, Fitting, Resuming
from hierrl.cli.options import Estimator
from hierrl.cli.pages import MARKS, Page
from hierrl.cli.saved import Saved, is_table, labelled, one_each
from hierrl.cli.source import SAMPLERS, default_folder, fits_from
from hierrl.cli.stages import Heard

if TYPE_CHECKING:
    import xarray as xr

FOLDER = Path("hierrl-check")


def check_sources(
    sources: Sequence[str],
    columns: Columns,
    fitting: Fitting,
    *,
    how: Mapping[str, Any],
    page: Page,
    out: Path | None,
    running: Resuming,
) -> None:
    """Open or make the fits and check one of each model."""
    place = out or (default_folder(sources[0]) if is_table(sources[0]) else FOLDER)
    more = [how[name] for name in ("by", "best", "reversal") if how[name]]
    found, runs = fits_from(
        sources, columns, fitting, page=page, folder=place, running=running, default=(Estimator.mle,), more=more,
    )  # fmt: skip
    fits = labelled(to_check(found, fitting))
    folder = Folder(place) if runs else open_folder(place, force=running.force or running.resume)
    files = [entry for run in runs for entry in run.files]
    for name, fit in fits.items():
        ending = "" if len(fits) == 1 else f"-{UNSAFE.sub('-', name)}"
        files += _check(name, fit, folder, ending, how=how, page=page)
    page.files(folder.path, files)


def to_check(found: Sequence[Saved], fitting: Fitting) -> list[Saved]:
    """Of each model the fit that was asked for, or the last one."""
    wanted = fitting.method[-1] if fitting.method else None
    wanted = Estimator.posterior if wanted in SAMPLERS else wanted
    return one_each(found, str(wanted) if wanted else None)


def _check(
    name: str, fit: xr.DataTree, folder: Folder, ending: str, *, how: Mapping[str, Any], page: Page
) -> list[tuple[Path, str]]:
    from hierrl.checks import predictive_check
    from hierrl.plots import plot_predictive_check
    from hierrl.report.checked import WHAT_TO_DO

    with Heard() as heard, reading():
        found = predictive_check(fit, **how, progress=not page.console.quiet)
    page.title(f"Check of {name}")
    page.say(str(found).splitlines()[0])
    passed = {True: MARKS["good"], False: MARKS["bad"]}
    for verdict, sentence in zip(found.verdicts["passed"].tolist(), found.sentences, strict=True):
        page.say(sentence, mark=passed.get(verdict, MARKS["mind"]))
    for sentence in heard:
        page.say(sentence, mark=MARKS["mind"])
    if found.failed:
        page.say(f"What to do: {WHAT_TO_DO}", mark=MARKS["mind"])
    return [
        (folder.save_table(f"check{ending}", found.table), "observed and predicted, with 95 % intervals"),
        (folder.save_table(f"verdicts{ending}", found.verdicts), "what passes and what does not"),
        (folder.save_tree(f"check{ending}", found.tree), "every replicate, as NetCDF"),
        (folder.save_picture(f"check{ending}", plot_predictive_check(found)), "the check, drawn"),
    ]
