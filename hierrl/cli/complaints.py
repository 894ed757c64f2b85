"""Errors as one sentence and an exit code: 2 for what users can mend, 1 for what failed, 130 for Ctrl-C."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.markup import escape

BAD_INPUT, FAILURE, INTERRUPTED = 2, 1, 130

LONG = re.compile(r"'([^']{200})[^']{100,}'")
"""A label or value that would fill the terminal."""
ROLES = "subject|choice|reward|session|trial|gain|loss|forced"

IN_THE_TABLE = (
    (r"Give it another one: table\.rename\(.*?\)\.", "Rename the column in the table."),
    (r", for instance table\[.*?\]\.map\(.*?\);", " in the table;"),
    (r"turn them round: table\[.*?\] = -table\[.*?\]\.", "turn them round in the table."),
    (r" \(table\.drop_duplicates\(\)\)", ""),
    (r"Give another file, or the settings of this one\.", "Give another --out, or start again with --force."),
    (r"The same call goes on from .*\.$", "The same command goes on from there."),
    (r"(Give|Say it with|with) n_subjects=(, such as n_subjects=50)?", r"\1 --subjects"),
    (
        r"Pass it to hr\.behaviour \(as its own argument or in covariates=\[\.\.\.\]\)\.",
        "Say which column of the table it is (--gain, --loss, --context, --covariate COLUMN; forgone rewards are "
        "found in columns called forgone[ARM]).",
    ),
    (r"which the behaviour does not have; it has [^.]*\.", "which the data do not have."),
    (r"; or compose one with hr\.Model\.", ". hierrl models says what they are."),
    (r"Pass pandas\.read_csv\(path, decimal=','\)\.", "Write decimal points."),
)
"""What Python would do to a table, and how somebody without Python does it."""


class BadInput(Exception):
    """Something on the command line or in the table that the user can put right."""


@contextmanager
def reading() -> Iterator[None]:
    """What goes wrong here is the input's fault."""
    try:
        yield
    except (ValueError, TypeError, KeyError, OSError, UnicodeError) as error:
        raise BadInput(for_command_line(_text(error))) from error


@contextmanager
def plain_errors(*, debug: bool, advice: str = "") -> Iterator[None]:
    """Show errors as a sentence and leave with the right code; with `debug` let the traceback through.

    `advice` is what to do after Ctrl-C.
    """
    try:
        yield
    except (BadInput, KeyboardInterrupt, Exception) as error:
        if debug or isinstance(error, typer.Exit):
            raise
        sentence, code = _told(error)
        sentence = f"{sentence} {advice}".rstrip() if code == INTERRUPTED else sentence
        Console(stderr=True).print(f"[bold red]Error:[/] {escape(sentence)}", highlight=False, soft_wrap=True)
        raise typer.Exit(code) from None


def _told(error: BaseException) -> tuple[str, int]:
    if isinstance(error, BadInput):
        return str(error), BAD_INPUT
    if isinstance(error, KeyboardInterrupt):
        return "Interrupted.", INTERRUPTED
    if isinstance(error, OSError | ValueError):
        return _text(error), FAILURE
    return (
        f"{type(error).__name__}: {_text(error)} (This is not your input's fault, as far as hierrl can tell. "
        "--debug shows where it happened.)"
    ), FAILURE


def _text(error: BaseException) -> str:
    # str() of a KeyError is the repr of its message
    text = error.args[0] if isinstance(error, KeyError) and error.args else error
    return LONG.sub(r"'\1...'", " ".join(str(text).split()))


def for_command_line(text: str) -> str:
    """A message of the Python interface in the words of the command line.

    Examples
    --------
    >>> for_command_line("Say which one it is with reward='...', or pass trial=False.")
    'Say which one it is with --reward COLUMN, or pass --trial none.'
    """
    text = text.replace("hr.behaviour(..., covariates=[...])", "--covariate NAME")
    for python, words in IN_THE_TABLE:
        text = re.sub(python, words, text)
    text = re.sub(r"table\.iloc\[(\d+)\]", lambda found: f"row {int(found[1]) + 1:,}", text)
    text = re.sub(r"arms=list\(range\((\d+, )?\d+\)\)", _range_option, text)
    text = re.sub(r"arms=(\[[^\]]*\])", _list_option, text)
    text = re.sub(rf"\b({ROLES})='\.\.\.'", r"--\1 COLUMN", text)
    text = re.sub(rf"\b({ROLES})=False", r"--\1 none", text)
    text = re.sub(rf"\b({ROLES})='([^']*)'", lambda found: f"--{found[1]} {shlex.quote(found[2])}", text)
    text = re.sub(rf"\b({ROLES}|arms)=(?=[\s).,]|$)", r"--\1", text)
    text = re.sub(r"\b(tune|draws|chains|cores)=(?=[\s).,;]|$)", r"--\1", text)
    text = re.sub(r"\b(tune|draws|chains|cores)=(?=\d)", r"--\1 ", text)
    text = re.sub(r"\btarget_accept=(?=[\d.])", "--target-accept ", text)
    return re.sub(r"\bcovariates=(?=[\s).,]|$)", "--covariate", text)


def _range_option(found: re.Match[str]) -> str:
    ends = [int(number) for number in re.findall(r"\d+", found[0])]
    return "--arms " + ",".join(str(arm) for arm in range(*ends))


def _list_option(found: re.Match[str]) -> str:
    try:
        arms = [arm for arm in ast.literal_eval(found[1]) if arm is not Ellipsis]
    except (ValueError, SyntaxError):
        return "--arms A,B,..."
    more = ",..." if "..." in found[1] else ""
    return f"--arms {shlex.quote(','.join(str(arm) for arm in arms) + more)}" if arms else "--arms A,B,..."
