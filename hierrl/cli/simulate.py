"""``hierrl simulate``: a table of choices that a model makes."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hierrl.cli import options
from hierrl.cli.complaints import BadInput, plain_errors, reading
from hierrl.cli.grouped import Columns, Playing, Running, grouped
from hierrl.cli.options import MODEL, RUN
from hierrl.cli.pages import Page

if TYPE_CHECKING:
    import xarray as xr

    from hierrl.models import Model

FILE = Path("hierrl-simulated.csv")
DEFAULT_MODEL = "forgetting_q"
WRITERS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
KINDS = ".csv, .tsv, .txt (also with .gz) or .parquet"

ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME[+OPTION]",
        help="The model that chooses, as in hierrl fit. [dim]\\[default: forgetting_q][/]",
        rich_help_panel=MODEL,
        show_default=False,
    ),
]
OutOption = Annotated[
    Path,
    typer.Option("--out", metavar="FILE", help=f"The table: {KINDS}.", rich_help_panel=RUN),
]


@grouped
def simulate(
    *,
    model: ModelOption = None,
    values: options.Values = None,
    like: options.TruthFit = None,
    subjects: options.Subjects = None,
    playing: Playing,
    columns: Columns,
    seed: options.Seed = 0,
    out: OutOption = FILE,
    running: Running,
) -> None:
    """Simulate a study: a model with known parameters plays a task; a table as hierrl fit reads it comes out.

    The true parameters stand in its columns true_NAME. A file ending in .parquet keeps the types of its columns.

    [bold]Examples[/]

      hierrl simulate --subjects 30 --trials 150 --reverse-every 25

      hierrl simulate --model rw --set alpha=0.1:0.9 --set beta=4 --odds 0.7,0.3

      hierrl simulate --task iowa --model pvl_delta --out iowa.tsv

      hierrl simulate --like mle.nc --schedule mle.nc --out again.csv

    [bold]Exit codes[/]: 0 done; 1 something failed; 2 an option can't be used; 130 Ctrl-C.
    """
    page = Page(quiet=running.quiet)
    with plain_errors(debug=running.debug):
        from hierrl.cli.folder import open_file
        from hierrl.summary import summarise

        check_kind(out)
        data = make(model, values or [], like, subjects=subjects, playing=playing, columns=columns, seed=seed)
        target = open_file(out, force=running.force)
        write_table(data, target)
        page.study(summarise(data), "simulated")
        page.files(target.parent, [(target, "one row per trial, with the true parameters")])
        page.command(f"hierrl fit {shlex.quote(str(target))}{arms_option(data)}")


def arms_option(data: xr.Dataset) -> str:
    """What must be said when the table is read: all arms, if some were never chosen."""
    arms = data["arm"].values.tolist()
    chosen = set(data["choice"].values.tolist()) - {-1}
    return "" if len(chosen) == len(arms) else f" --arms {shlex.quote(','.join(map(str, arms)))}"


def make(
    model: str | None,
    texts: list[str],
    like: str | None,
    *,
    subjects: int | None,
    playing: Playing,
    columns: Columns,
    seed: int,
) -> xr.Dataset:
    """The study."""
    import numpy as np

    from hierrl.cli.playing import DEFAULT_SUBJECTS, check_values, draw_values, read_task, read_values
    from hierrl.simulate import simulate as play

    task = read_task(playing, columns)
    number = subjects or task.size or DEFAULT_SUBJECTS
    values = read_values(texts)
    # Values and choices come from streams of their own: other parameters, the same odds.
    of_values, of_choices = np.random.SeedSequence(seed).spawn(2)
    rng, then = np.random.default_rng(of_values), np.random.default_rng(of_choices)
    with reading():
        if like is not None:
            if values or model:
                raise BadInput("--like takes model and parameters from a fit; leave out --model and --set.")
            one, drawn = _of_fit(like, task, subjects, rng)
            return play(one, task, drawn, random_seed=then)
        one = _model(model)
        if not values:
            return play(one, task, _weak_prior(one, task, number), n_subjects=number, random_seed=then)
        check_values(one, values)
        drawn = draw_values(one, values, shape=(number, len(_arms(task))), rng=rng)
        return play(one, task, drawn, n_subjects=number, random_seed=then)


def _model(text: str | None) -> Model:
    from hierrl.cli.model_text import read_model

    return read_model(text or DEFAULT_MODEL).build()


def _arms(task: Any) -> list[Any]:
    return task.data["arm"].values.tolist() if hasattr(task, "data") else task.labels


def _weak_prior(model: Model, task: Any, n_subjects: int) -> Any:
    """The weak prior, whose numbers depend on the size of rewards, not on who chooses what."""
    from hierrl.prior import weak_prior
    from hierrl.simulate import simulate as play

    middle = {p.name: 0.5 if p.link in ("logit", "log") else 0.0 for p in model.parameters}
    return weak_prior(model, play(model, task, middle, n_subjects=n_subjects, random_seed=0))


def _of_fit(like: str, task: Any, subjects: int | None, rng: Any) -> tuple[Model, xr.Dataset]:
    """Model and one draw of a fit; of other subjects than the task's some are taken."""
    import numpy as np

    from hierrl.cli.saved import open_saved
    from hierrl.fits import model_of

    fit = open_saved([like])[-1].fit
    posterior = fit["posterior"].to_dataset()[list(model_of(fit).names)]
    draw = {dim: int(rng.integers(posterior.sizes[dim])) for dim in ("chain", "draw")}
    values = posterior.isel(draw, drop=True)
    theirs = values["subject"].values
    if hasattr(task, "data") and np.isin(task.data["subject"].values, theirs).all():
        return model_of(fit), values
    number = task.size or subjects or theirs.size
    chosen = np.sort(rng.choice(theirs.size, number, replace=number > theirs.size))
    some = values.isel(subject=chosen)
    same = number == theirs.size and not hasattr(task, "data")
    return model_of(fit), values if same else some.drop_vars("subject")


def check_kind(out: Path) -> None:
    """Raise if nobody knows how such a file is written."""
    if Path(out.name.removesuffix(".gz")).suffix not in (*WRITERS, ".parquet"):
        raise BadInput(f"--out {out}: the table is written as {KINDS}.")


def write_table(data: xr.Dataset, out: Path) -> None:
    """The study, one row per trial."""
    from hierrl.cli.folder import replaced
    from hierrl.data import to_table

    table = to_table(data)
    kind = Path(out.name.removesuffix(".gz")).suffix
    if kind == ".parquet":
        replaced(out, lambda beside: table.to_parquet(beside, index=False))
        return
    packed = "gzip" if out.suffix == ".gz" else None
    replaced(out, lambda beside: table.to_csv(beside, sep=WRITERS[kind], index=False, compression=packed))
