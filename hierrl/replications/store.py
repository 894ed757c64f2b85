"""Replications that are done, in a file of JSON lines, so that long work goes on where it was stopped."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hierrl.kernels.progress import ProgressBar

Row = dict[str, Any]
Key = int | str

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
    settings, file, progress, description
        As for `in_batches`.

    Raises
    ------
    ValueError
        If the file holds replications with other settings.
    """
    return in_batches(
        lambda batch: [work(batch[0])],
        [[k] for k in numbers],
        settings=settings,
        file=file,
        progress=progress,
        description=description,
    )


def in_batches[K: Key](
    work: Callable[[list[K]], Iterable[Row]],
    batches: Iterable[Sequence[K]],
    *,
    settings: Mapping[str, Any],
    file: str | Path | None = None,
    progress: bool = False,
    description: str = "Replications",
    keep: bool = False,
) -> list[Row]:
    """Rows of replications that are cheaper done together; those that the file has are not done again.

    Parameters
    ----------
    work : callable
        Keys of some replications -> a JSON-able row for each. A row must not depend on what else is in the batch.
    batches : iterable of sequences of int or str
        Keys, each once.
    settings : mapping
        JSON-able: all that rows depend on. The file's first line; another run's file is refused.
    file : path, optional
        Read if it exists; new rows are appended to it as soon as their batch is done.
    progress : bool
        Show a progress bar.
    description : str
        What the bar is labelled with.
    keep : bool
        After Ctrl-C return the rows that are done, with a warning, if there are any.

    Returns
    -------
    list of dict
        In the order of the keys, which are ``row["replication"]``.

    Raises
    ------
    ValueError
        If the file holds replications with other settings.
    """
    asked = [list(batch) for batch in batches]
    wanted = [k for batch in asked for k in batch]
    path = None if file is None else Path(file)
    done: dict[Any, Row] = {} if path is None else _opened(path, settings)
    try:
        with ProgressBar(progress, description, len(wanted)) as tick:
            tick(sum(k in done for k in wanted))
            for batch in asked:
                missing = [k for k in batch if k not in done]
                rows = [{NUMBER: k, **row} for k, row in zip(missing, _worked(work, missing), strict=True)]
                if path is not None:
                    _append(path, rows)
                done |= {row[NUMBER]: row for row in rows}
                tick(len(missing))
    except KeyboardInterrupt:
        _keep_or_raise(keep, sum(k in done for k in wanted), len(wanted), path)
    return [done[k] for k in wanted if k in done]


def _worked[K: Key](work: Callable[[list[K]], Iterable[Row]], keys: list[K]) -> Iterable[Row]:
    return work(keys) if keys else ()


def _keep_or_raise(keep: bool, n_done: int, n: int, path: Path | None) -> None:
    """Within a handler of KeyboardInterrupt."""
    if not keep or n_done == 0:
        raise
    more = (
        f"The same call goes on from {path}." if path else "With file= the same call would go on from here."
    )
    warnings.warn(f"Interrupted: {n_done} of {n} replications are done. {more}", stacklevel=4)


def _opened(path: Path, settings: Mapping[str, Any]) -> dict[Any, Row]:
    """The rows of a file by key; a file that is not there is begun."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _append(path, [{"settings": dict(settings)}])
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


def _append(path: Path, rows: Iterable[Row]) -> None:
    with path.open("a", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row) + "\n" for row in rows)
