"""Replications that are done, in a file of JSON lines, so that long work goes on where it was stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from hierrl.kernels.threads import ProgressBar

Row = dict[str, Any]

NUMBER = "replication"
"""What tells rows apart."""


def replicated(
    work: Callable[[int], Row],
    numbers: Iterable[int],
    *,
    settings: Mapping[str, Any],
    file: str | Path | None = None,
    progress: bool = False,
    description: str = "Replications",
) -> list[Row]:
    """Rows ``work(k)`` of the replications k, in their order; those that the file has are not done again.

    Parameters
    ----------
    work : callable
        Number of a replication -> JSON-able row.
    numbers : iterable of int
    settings : mapping
        JSON-able: all that rows depend on. The file's first line; another run's file is refused.
    file : path, optional
        Read if it exists; each new row is appended to it as soon as it is done.
    progress : bool
        Show a progress bar.
    description : str
        What the bar is labelled with.

    Raises
    ------
    ValueError
        If the file holds replications with other settings.
    """
    wanted = list(numbers)
    path = None if file is None else Path(file)
    done = {} if path is None else _opened(path, settings)
    with ProgressBar(progress, description, len(wanted)) as tick:
        tick(sum(k in done for k in wanted))
        for k in wanted:
            if k in done:
                continue
            done[k] = {NUMBER: k, **work(k)}
            if path is not None:
                _append(path, done[k])
            tick(1)
    return [done[k] for k in wanted]


def _opened(path: Path, settings: Mapping[str, Any]) -> dict[int, Row]:
    """The rows of a file by number; a file that is not there is begun."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _append(path, {"settings": dict(settings)})
        return {}
    head, *lines = path.read_text().splitlines()
    found = json.loads(head)["settings"]
    asked = json.loads(json.dumps(dict(settings)))
    if found != asked:
        wrong = next(name for name in {**found, **asked} if found.get(name) != asked.get(name))
        raise ValueError(
            f"{path} holds replications with {wrong}={found.get(wrong)!r}; asked is {asked.get(wrong)!r}. "
            "Give another file, or the settings of this one."
        )
    complete = [line for line in lines if line.endswith("}")]
    if len(complete) < len(lines):  # stopped in the middle of a line: that replication is done again
        path.write_text("\n".join([head, *complete]) + "\n")
    rows = [json.loads(line) for line in complete]
    return {row[NUMBER]: row for row in rows}


def _append(path: Path, row: Row) -> None:
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(row) + "\n")
