"""The commands, held together."""

from __future__ import annotations

import inspect
from typing import Annotated

import typer

import hierrl
from hierrl.cli.check import check
from hierrl.cli.compare import compare
from hierrl.cli.demo import demo
from hierrl.cli.fit import fit
from hierrl.cli.models import models
from hierrl.cli.recover import recover
from hierrl.cli.report import report
from hierrl.cli.simulate import simulate

app = typer.Typer(
    name="hierrl",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,  # errors are told by `complaints`; --debug wants the plain traceback
    context_settings={"help_option_names": ["-h", "--help"]},
)


def flowing(text: str) -> str:
    """A docstring whose paragraphs are lines, for the terminal to wrap."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(" ".join(paragraph.splitlines()) for paragraph in paragraphs)


for command in (fit, compare, check, report, simulate, recover, models, demo):
    app.command(name=command.__name__, help=flowing(command.__doc__ or ""))(command)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"hierrl {hierrl.__version__}")
        raise typer.Exit


ABOUT = """
    Hierarchical reinforcement-learning models of choice data, with a certificate for every point fit.

    New here? [bold]hierrl demo[/] shows everything on a simulated study; [bold]hierrl fit study.csv[/] does
    the same for yours. Every command has examples: [bold]hierrl fit --help[/].
"""


@app.callback(help=flowing(ABOUT))
def about(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options that need no command."""


def main() -> None:
    """Run the command line."""
    app()
