"""What is printed: the study, each stage as it ends, the results, and where things are."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from hierrl.cli.complaints import for_command_line

if TYPE_CHECKING:
    import pandas as pd

    from hierrl.summary import StudySummary, Verdict

MARKS = {"good": "[green]✓[/]", "mind": "[yellow]![/]", "bad": "[bold red]✗[/]"}
INDENT = 2
UNBROKEN = ("parameter", "model", "estimator", "fit", "95 % ETI")
"""Columns of text that stay on one line."""
NARROW, WIDE = 72, 110
"""Columns of the terminal between which tables are laid out; wider ones are hard to read."""


class Page:
    """Prints to the terminal; silent if `quiet`."""

    def __init__(self, *, quiet: bool = False, console: Console | None = None) -> None:
        self.console = console or Console(quiet=quiet, highlight=False)
        self.console.width = min(max(self.console.width, NARROW), WIDE)

    def title(self, text: str, rest: str = "") -> None:
        """A heading in bold, and what follows it."""
        self.console.print()
        self.console.print(f"[bold cyan]{escape(text)}[/]  {escape(rest)}")

    def say(self, text: str, *, mark: str = " ") -> None:
        """A sentence, indented, after a mark."""
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=1)
        grid.add_column()
        grid.add_row(mark, escape(text))
        self.console.print(Padding(grid, (0, 0, 0, INDENT)))

    def waiting(self, text: str) -> Progress:
        """A spinner with the seconds gone by, while nothing else can be shown."""
        line = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(),
            console=self.console, transient=True,
        )  # fmt: skip
        line.disable = self.console.quiet or not self.console.is_terminal
        line.add_task(text, total=None)
        return line

    def study(self, summary: StudySummary, path: Path | str) -> None:
        """The data: how columns were understood, numbers, what is odd."""
        self.title("Data", str(path))
        columns = ", ".join(_column(role, name) for role, name in summary.columns.items())
        others = [("Not used", ", ".join(summary.others))] if summary.others else []
        self._pairs([("Columns", columns), *others, *summary.lines])
        for sentence in summary.notes:
            self.say(sentence, mark="[cyan]·[/]")
        for sentence in summary.oddities:
            self.say(sentence, mark=MARKS["mind"])

    def verdict(self, verdict: Verdict, seconds: float, heard: Iterable[str] = ()) -> None:
        """What became of an estimator."""
        for i, (level, sentence) in enumerate(verdict.remarks):
            text = for_command_line(f"{sentence} ({seconds:.1f} s)" if i == 0 else sentence)
            self.say(text, mark=MARKS[level] if i == 0 or level != "good" else " ")
        for sentence in heard:
            self.say(for_command_line(sentence), mark=MARKS["mind"])

    def table(self, table: pd.DataFrame, *, caption: str = "") -> None:
        """A short table: text to the left, numbers to the right with three digits."""
        shown = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
        for name in table.columns:
            numeric = table[name].dtype.kind in "fiu"
            shown.add_column(
                escape(str(name)), justify="right" if numeric else "left", no_wrap=numeric or name in UNBROKEN
            )
        for row in table.itertuples(index=False):
            shown.add_row(*(escape(number(value)) for value in row))
        self.console.print(Padding(shown, (0, 0, 0, INDENT)))
        if caption:
            self.console.print(Padding(f"[dim]{escape(caption)}[/]", (0, 0, 0, INDENT)))

    def command(self, line: str) -> None:
        """A line to type."""
        self.console.print(f"\n  [bold green]{escape(line)}[/]\n", soft_wrap=True)

    def commands(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Lines to type, never broken, each with what it does."""
        for line, text in pairs:
            self.console.print(f"  [green]{escape(line)}[/]  [dim]{escape(text)}[/]", soft_wrap=True)

    def files(self, folder: Path, entries: Sequence[tuple[Path, str]]) -> None:
        """Where things are, and what they are."""
        self.title("Written", f"to {folder}{os.sep}")
        self._pairs([(str(path.relative_to(folder)), text) for path, text in entries])

    def _pairs(self, pairs: Iterable[tuple[str, str]]) -> None:
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column()
        for left, right in pairs:
            grid.add_row(escape(left), escape(right))
        self.console.print(Padding(grid, (0, 0, 0, INDENT)))


def with_interval(table: pd.DataFrame) -> pd.DataFrame:
    """The ends of the interval in one column, for the terminal."""
    pairs = zip(table["eti95_low"], table["eti95_high"], strict=True)
    shown = table.assign(interval=[f"{number(low)} to {number(high)}" for low, high in pairs])
    order = [name if name != "eti95_low" else "interval" for name in table if name != "eti95_high"]
    return shown.loc[:, order].rename(columns={"interval": "95 % ETI"})


def number(value: Any) -> str:
    """A value as a reader wants it: three digits, no exponents where they can be avoided."""
    if isinstance(value, str) or value is None:
        return value or ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Integral):
        return f"{value:,}"
    if value != value:
        return "-"
    if float(value).is_integer() and abs(value) >= 10:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".")


def _column(role: str, column: Any) -> str:
    if isinstance(column, list):
        return f"{role} {', '.join(map(str, column))}"
    return str(role) if role == column else f"{role} = {column}"
