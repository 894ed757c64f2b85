"""What ``hierrl recover`` does, once its options are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

import hierrl
from hierrl.cli.complaints import INTERRUPTED, BadInput, for_command_line, reading
from hierrl.cli.folder import UNSAFE, Folder, make_folder
from hierrl.cli.grouped import Columns, Fitting, Playing
from hierrl.cli.options import Estimator, Method
from hierrl.cli.pages import Page
from hierrl.cli.stages import Heard

if TYPE_CHECKING:
    from hierrl.models import Model

DEFAULT_MODEL = "forgetting_q"
SHOWN = ("parameter", "scale", "correlation", "bias", "rmse", "coverage")
KEPT = ".jsonl"
"""Ending of the files that hold data sets that are done."""


@dataclass(frozen=True)
class Design:
    """What is simulated."""

    values: list[str]
    like: str | None
    subjects: int | None
    replications: int
    playing: Playing
    columns: Columns


def recover_all(design: Design, fitting: Fitting, *, page: Page, out: Path, force: bool) -> None:
    """Recovery of each model, and confusion of several."""
    from hierrl.cli.playing import DEFAULT_SUBJECTS, read_task

    models, truth = _models(design, fitting)
    task = read_task(design.playing, design.columns)
    number = design.subjects or (None if task.size is not None else DEFAULT_SUBJECTS)
    how = {
        "n_subjects": number, "replications": design.replications, "random_seed": fitting.seed,
        "progress": not page.console.quiet,
    }  # fmt: skip
    options = _options(fitting)
    folder = open_kept(out, force=force)
    files: list[tuple[Path, str]] = []
    for name, model in models.items():
        files += _recovery(name, model, task, folder, page=page, how={**how, **options, "truth": truth})
    if len(models) > 1:
        files += _confusion(models, task, folder, page=page, how={**how, "cores": fitting.cores})
    page.files(folder.path, files)


def _models(design: Design, fitting: Fitting) -> tuple[dict[str, Model], Any]:
    """Models by name, and where true values come from."""
    from hierrl.cli.model_text import read_models
    from hierrl.cli.playing import check_values, read_values
    from hierrl.cli.saved import open_saved
    from hierrl.fits import model_of

    values = read_values(design.values)
    if design.like is not None:
        if values or fitting.model:
            raise BadInput("--like takes model and parameters from a fit; leave out --model and --set.")
        saved = open_saved([design.like])[-1]
        return {saved.model: model_of(saved.fit)}, saved.fit
    models = {one.text: one.build() for one in read_models(fitting.model or [DEFAULT_MODEL])}
    if values and len(models) > 1:
        raise BadInput(
            "--set gives the parameters of one model. Leave it out with several: a weak prior is used."
        )
    if values:
        check_values(next(iter(models.values())), values)
    return models, values or None


def _options(fitting: Fitting) -> dict[str, Any]:
    """The estimator and what it takes."""
    asked = list(dict.fromkeys(fitting.method or [Method.mle]))
    if len(asked) > 1:
        raise BadInput("Recovery looks at one estimator: give one --method.")
    if fitting.formula:
        raise BadInput(
            "--formula needs covariates, which these subjects don't have. In Python: hr.recovery(...)."
        )
    if fitting.certify:
        raise BadInput("--certify is for hierrl fit; here thousands of subjects are fitted. Leave it out.")
    method = asked[0]
    if method in (Method.convex, Method.mle):
        return {"estimator": str(method), "cores": fitting.cores}
    sampler = "nuts" if method is Method.posterior else str(method)
    return {
        "estimator": str(Estimator.posterior), "method": sampler, "draws": fitting.draws, "tune": fitting.tune,
        "chains": fitting.chains, "cores": fitting.cores,
    }  # fmt: skip


def open_kept(out: Path, *, force: bool) -> Folder:
    """The folder, if it is new or holds a recovery, which goes on; with `force` it starts again."""
    if out.is_file():
        raise BadInput(f"--out {out}: that is a file already. Choose another name.")
    there = list(out.iterdir()) if out.is_dir() else []
    folder = Folder(out)
    if there and not folder.record().get("recovery") and not force:
        raise BadInput(f"{str(out)!r} exists already. Choose another --out, or overwrite it with --force.")
    make_folder(out)
    if force:
        for path in (path for path in there if path.suffix == KEPT):
            path.unlink()
    folder.save_record({"hierrl": hierrl.__version__, "recovery": True})
    return folder


def _recovery(
    name: str, model: Model, task: Any, folder: Folder, *, page: Page, how: Mapping[str, Any]
) -> list[tuple[Path, str]]:
    title = UNSAFE.sub("-", name)
    kept = folder.path / f"recovery-{title}{KEPT}"
    with Heard() as heard, reading():
        found = hierrl.recovery(model, task, file=kept, **how)
    page.title(f"Parameter recovery of {name}")
    page.table(found.summary.loc[:, [column for column in SHOWN if column in found.summary]])
    for sentence in [*found.text.splitlines(), *heard]:
        page.say(for_command_line(sentence))
    files = [
        (folder.save_table(f"recovery-{title}", found.summary), "correlation, bias, error and coverage"),
        (folder.save_table(f"estimates-{title}", found.table), "true values and estimates of every subject"),
        (kept, "data sets that are done"),
        (folder.save_picture(f"recovery-{title}", hierrl.plot_recovery(found)), "estimates over true values"),
    ]
    leave_if_cut(heard, page, files, folder)
    return files


def _confusion(
    models: Mapping[str, Model], task: Any, folder: Folder, *, page: Page, how: Mapping[str, Any]
) -> list[tuple[Path, str]]:
    kept = folder.path / f"confusion{KEPT}"
    with Heard() as heard, reading():
        found = hierrl.confusion(dict(models), task, file=kept, **how)
    page.title("Are the models told apart?", "share of subjects by the model that fits best, by BIC")
    page.table(found.matrix("bic").rename_axis(index="generating").reset_index())
    for sentence in [*found.text.splitlines(), *heard]:
        page.say(for_command_line(sentence))
    files = [
        (folder.save_table("confusion", found.table), "which model fits best, by the one that generated"),
        (folder.save_table("best", found.best), "the best model of every subject"),
        (kept, "data sets that are done"),
        (folder.save_picture("confusion", hierrl.plot_confusion(found)), "the matrices, drawn"),
    ]
    leave_if_cut(heard, page, files, folder)
    return files


def leave_if_cut(heard: Sequence[str], page: Page, files: Sequence[tuple[Path, str]], folder: Folder) -> None:
    """After Ctrl-C the rest is left out; what was done is written."""
    if any(sentence.startswith("Interrupted") for sentence in heard):
        page.files(folder.path, files)
        raise typer.Exit(INTERRUPTED)
