"""How far long work has come: a line on a terminal or in a notebook, now and then a sentence elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from threading import RLock, Timer
from time import perf_counter
from typing import Any

SENTENCE_EVERY = 60.0
"""Seconds between sentences where nobody can watch a line, as in the log of a cluster."""
SILENT_FOR = 10.0
"""Seconds of waiting, in such a place, that need no word."""
BAR_WIDTH = 16
"""Columns; with the longest description and the largest numbers the line still fits into 80."""
MINUTE, HOUR = 60, 3600


class ProgressBar:
    """A line with a bar, what is done and the time left; where it can't be drawn, a sentence every minute.

    Entering gives the function that counts; it may be called from any thread.
    """

    def __init__(self, wanted: bool, description: str, total: int):
        self.wanted, self.description, self.total = wanted, description, total
        self.done = 0

    def __enter__(self) -> Callable[[int], None]:
        if not self.wanted:
            return lambda n: None
        self._line = _line(counted=True)
        if self._line is not None:
            line = self._line
            line.start()
            task = line.add_task(self.description, total=self.total)
            return lambda n: line.advance(task, n)
        self._lock, self._started = RLock(), perf_counter()
        self._told = self._started
        return self._count

    def __exit__(self, *_: object) -> None:
        if self.wanted and self._line is not None:
            self._line.stop()

    def _count(self, n: int) -> None:
        with self._lock:
            self.done += n
            now = perf_counter()
            if now - self._told >= SENTENCE_EVERY and 0 < self.done < self.total:
                self._told = now
                self._tell(now - self._started)

    def _tell(self, gone: float) -> None:
        left = gone * (self.total - self.done) / self.done
        _say(
            f"{self.description}: {self.done:,} of {self.total:,} after {duration(gone)}, "
            f"about {duration(left)} left."
        )


class Waiting:
    """A line with the seconds gone by while work that can't be counted runs; elsewhere one sentence, if it is long."""

    def __init__(self, wanted: bool, description: str):
        self.wanted, self.description = wanted, description

    def __enter__(self) -> None:
        if not self.wanted:
            return
        self._line = _line(counted=False)
        if self._line is not None:
            self._line.start()
            self._line.add_task(self.description, total=None)
            return
        self._timer = Timer(SILENT_FOR, _say, [f"{self.description} ..."])
        self._timer.daemon = True
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        if not self.wanted:
            return
        if self._line is not None:
            self._line.stop()
        else:
            self._timer.cancel()


def duration(seconds: float) -> str:
    """A length of time as one says it.

    Examples
    --------
    >>> duration(42.3), duration(200), duration(4000)
    ('42 s', '3 min', '1 h 7 min')
    """
    if seconds < MINUTE:
        return f"{seconds:.0f} s"
    if seconds < HOUR:
        return f"{seconds / MINUTE:.0f} min"
    hours, minutes = divmod(round(seconds / MINUTE), MINUTE)
    return f"{hours} h {minutes} min"


def _line(*, counted: bool) -> Any:
    """A rich line on the terminal or in the notebook, None where there is neither."""
    if not (sys.stderr.isatty() or sys.stdout.isatty() or "ipykernel" in sys.modules):
        return None
    # rich costs 30 ms to import and is needed only where a line is shown
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.table import Column

    console = Console(stderr=sys.stderr.isatty())
    if console.is_jupyter and find_spec("ipywidgets") is None:
        return None  # rich draws its line in a widget
    name = TextColumn("{task.description}", table_column=Column(no_wrap=True))
    columns = (name, *_counts()) if counted else (SpinnerColumn(), name, TimeElapsedColumn())
    line = Progress(*columns, console=console, transient=True)  # a fit may show dozens of them
    line.disable = not (console.is_terminal or console.is_jupyter)
    return line


def _counts() -> tuple[Any, ...]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return (
        BarColumn(bar_width=BAR_WIDTH),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("left"),
    )


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
