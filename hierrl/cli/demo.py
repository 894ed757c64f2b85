"""``hierrl demo``: the whole pipeline on the simulated study, and how well it finds the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from hierrl.cli import options
from hierrl.cli.complaints import BadInput, plain_errors
from hierrl.cli.folder import RECORD, Folder, open_folder
from hierrl.cli.options import RUN, option
from hierrl.cli.pages import Page
from hierrl.cli.stages import Settings

FOLDER = Path("hierrl-demo")
DemoOut = Annotated[
    Path,
    option(RUN, "out", "FOLDER", "Where results go; an earlier demo there is replaced.", show_default=True),
]


def demo(
    *,
    out: DemoOut = FOLDER,
    seed: options.Seed = 3,
    draws: options.Draws = 1000,
    tune: options.Tune = None,
    chains: options.Chains = 4,
    cores: options.Cores = None,
    force: options.Force = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Show everything on a simulated study of two groups, whose true parameters are known.

    Simulates forty people who play a reversal task, fits them, writes fits, tables and pictures, and
    compares the estimates with the truth.

    [bold]Examples[/]

      hierrl demo

      hierrl demo --out first-look --cores 2
    """
    settings = Settings(
        seed=seed, draws=draws, tune=tune, chains=chains, cores=cores, certify=True, progress=not quiet
    )
    with plain_errors(debug=debug):
        from hierrl.cli.demonstration import show

        show(settings, open_demo_folder(out, force=force), Page(quiet=quiet))


def open_demo_folder(out: Path, *, force: bool) -> Folder:
    """The folder, if it is new or holds an earlier demo."""
    record = out / RECORD
    earlier = record.is_file() and '"demo": true' in record.read_text()
    if out.suffix == ".nc":
        raise BadInput(f"--out {out}: the demo needs a folder.")
    return open_folder(out, force=force or earlier)
