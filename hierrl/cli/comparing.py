"""What ``hierrl compare`` does, once its options are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hierrl.cli.complaints import BadInput, reading
from hierrl.cli.folder import Folder, open_folder
from hierrl.cli.grouped import Columns, Fitting, Resuming
from hierrl.cli.options import Estimator
from hierrl.cli.pages import MARKS, Page
from hierrl.cli.saved import are_of_one_model, is_table, labelled, one_each
from hierrl.cli.source import DEFAULT_MODEL, SAMPLERS, default_folder, fits_from
from hierrl.cli.stages import Heard

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from hierrl.compare import ModelComparison

FOLDER = Path("hierrl-comparison")
GIVE_MORE = (
    ": there is nothing to compare it with. Give two saved fits or more, or a table with several --model or "
    "--method."
)
COLUMNS = {
    "model": "model", "score": "score", "difference": "difference", "difference_se": "se", "best_share": "best for",
    "parameters": "parameters", "unsure": "unsure",
}  # fmt: skip
"""Of the table of models, what a terminal has room for, and what it is called there."""


@dataclass(frozen=True)
class Split:
    """How models are scored."""

    criterion: str
    by: str | None
    last: float | None
    folds: int | None

    @property
    def how(self) -> dict[str, Any]:
        """The split, as `hr.compare` takes it."""
        return {name: v for name, v in (("last", self.last), ("folds", self.folds)) if v is not None}


def compare_sources(
    sources: Sequence[str],
    columns: Columns,
    fitting: Fitting,
    *,
    split: Split,
    page: Page,
    out: Path | None,
    running: Resuming,
) -> None:
    """Open or make the fits, compare them, write and show what comes out."""
    table_first = is_table(sources[0])
    if table_first and len(sources) == 1:
        _refuse_one(fitting)
    place = out or (default_folder(sources[0]) if table_first else FOLDER)
    found, runs = fits_from(
        sources, columns, fitting, page=page, folder=place, running=running, default=(Estimator.mle,),
    )  # fmt: skip
    wanted = fitting.method[-1] if fitting.method else None
    wanted = Estimator.posterior if wanted in SAMPLERS else wanted
    models = {one.key for one in found}
    fits = labelled(one_each(found, str(wanted) if wanted else None) if len(models) > 1 else found)
    if len(fits) < 2:
        raise BadInput(f"There is one fit only ({next(iter(fits))}){GIVE_MORE}")
    folder = Folder(place) if runs else open_folder(place, force=running.force or running.resume)
    files = [entry for run in runs for entry in run.files]
    show = _estimators if are_of_one_model(fits) else _models
    files += show(fits, split, folder, page=page, fitting=fitting)
    page.files(folder.path, files)


def _refuse_one(fitting: Fitting) -> None:
    """Raise if one fit would come of a table, before it is fitted."""
    models, methods = fitting.model or [DEFAULT_MODEL], fitting.method or [Estimator.mle]
    if len(models) < 2 and len(methods) < 2:
        raise BadInput(f"One fit is asked for ({models[0]} by {methods[0]}){GIVE_MORE}")


def _models(
    fits: Mapping[str, xr.DataTree], split: Split, folder: Folder, *, page: Page, fitting: Fitting
) -> list[tuple[Path, str]]:
    from hierrl.compare import compare_models
    from hierrl.plots import plot_comparison

    how: dict[str, Any] = {**split.how, "by": split.by, "method": split.criterion}
    refits = bool(split.how) or split.criterion == "lfo"  # which have bars of their own
    waiting = nullcontext() if refits else page.waiting("Scoring every choice")
    how["progress"] = refits and not page.console.quiet
    with waiting, Heard() as heard, reading():
        found = compare_models(fits, random_seed=fitting.seed, cores=fitting.cores, **how)
    shown = found.table.reset_index()
    page.title("Models side by side", str(found).splitlines()[0])
    page.table(_for_terminal(shown))
    for note in [*found.notes, *heard]:
        page.say(note)
    tables = [
        (folder.save_table("comparison", shown), "models, the best first"),
        (folder.save_table("differences", found.differences.reset_index()), "all pairs of models"),
        (folder.save_table("scores", found.subjects.reset_index()), "the score of every subject"),
        (folder.save_tree("comparison", found.to_dataset()), "all of it, as NetCDF"),
    ]
    tables += _frequencies(found, folder, page)
    return [*tables, (folder.save_picture("comparison", plot_comparison(found)), "the comparison, drawn")]


def _for_terminal(table: pd.DataFrame) -> pd.DataFrame:
    share = [f"{part:.0%}" for part in table["best_share"]]
    kept = [name for name in COLUMNS if name in table]
    return table.assign(best_share=share).loc[:, kept].rename(columns=COLUMNS)


def _frequencies(found: ModelComparison, folder: Folder, page: Page) -> list[tuple[Path, str]]:
    """Which model subjects follow, where scores are by subject."""
    if found.by != "subject":
        return []
    chosen = found.random_effects
    shown = chosen.table.reset_index()
    page.title("Which model do subjects follow?", "random-effects selection")
    told = shown.loc[:, ["model", "frequency", "protected_exceedance", "attributed"]]
    page.table(told.assign(protected_exceedance=[f"{p:.3f}" for p in told["protected_exceedance"]]))
    page.say(str(chosen).splitlines()[-1])
    return [
        (folder.save_table("frequencies", shown), "how frequent each model is among subjects"),
        (folder.save_table("attribution", chosen.attribution.reset_index()), "who probably follows which"),
    ]


def _estimators(
    fits: Mapping[str, xr.DataTree], split: Split, folder: Folder, *, page: Page, fitting: Fitting
) -> list[tuple[Path, str]]:
    from hierrl.cli.results import IN_SAMPLE
    from hierrl.compare import compare

    if split.by or split.criterion not in ("auto", "held_out"):
        raise BadInput(
            "These are fits of one model, which are compared as estimators: by --last or --folds, or in sample. "
            "--criterion and --by are for different models."
        )
    # refits have bars of their own
    waiting = nullcontext() if split.how else page.waiting("Scoring every choice under every draw")
    with waiting, Heard() as heard, reading():
        found = compare(fits, **split.how, cores=fitting.cores, progress=not page.console.quiet)
    score = "held_out" if found.held_out else "in_sample"
    shown = found.table.reset_index()
    page.title("Estimators side by side", str(found).splitlines()[0])
    page.table(shown.loc[:, ["estimator", score, "probability", "difference", "difference_se", "seconds"]])
    for sentence in heard:
        page.say(sentence, mark=MARKS["mind"])
    if not found.held_out:
        page.say(IN_SAMPLE, mark=MARKS["mind"])
    return [
        (folder.save_table("comparison", shown), "estimators, the best first"),
        (
            folder.save_table("subjects", found.subjects.reset_index()),
            "estimates and scores of every subject",
        ),
        (folder.save_table("population", found.population.reset_index()), "estimates across subjects"),
        (folder.save_table("differences", found.differences.reset_index()), "pairs of estimators"),
        (folder.save_tree("comparison", found.to_dataset()), "all of it, as NetCDF"),
    ]
