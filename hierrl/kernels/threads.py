"""Threads over chunks of subjects: parallelism, progress, and an interrupt that keeps what is done."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from time import perf_counter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hierrl.kernels.progress import ProgressBar

IndexArray = npt.NDArray[np.int64]

CHUNKS_PER_CORE = 16
"""Enough chunks for a smooth progress bar and an even load, few enough that hand-over costs nothing."""

SMALL_CHUNK = 20_000
"""Rows below which a single likelihood pass is not worth handing to another thread."""


class Work(NamedTuple):
    """What became of the work: which subjects are done, and the seconds spent on each (its share of its
    chunk's).
    """

    done: npt.NDArray[np.bool_]
    seconds: npt.NDArray[np.float64]


def over_subjects(
    work: Callable[[IndexArray], None],
    sizes: npt.ArrayLike,
    *,
    cores: int | None = None,
    smallest: int = 1,
    keep: bool = False,
    progress: bool = False,
    description: str = "",
) -> Work:
    """Call ``work(indices)`` for chunks of subjects on a thread pool.

    `work` writes its results into arrays of its own, at the given indices, and releases the GIL. On Ctrl-C
    chunks that run are finished; then, with `keep`, the caller learns which are done.

    Parameters
    ----------
    work : callable
        Takes an int64 array of subject indices.
    sizes : array_like, (S,)
        Trials by subject; chunks are balanced by it.
    cores : int, optional
        Threads; all cores of the machine if not given.
    smallest : int
        Trials that a chunk has at least; with a single chunk the work is done in the calling thread.
    keep : bool
        Return what is done after Ctrl-C instead of raising KeyboardInterrupt: for callers who look at ``done``.
    progress : bool
        Show a progress bar on a terminal or in a notebook.
    description : str
        What the bar is labelled with.

    Returns
    -------
    Work
        ``done`` (S,): all, unless interrupted; ``seconds`` (S,).
    """
    sizes = np.asarray(sizes, dtype=np.float64)
    if cores is not None and cores < 1:
        raise ValueError(f"cores= is a number of threads, at least 1, or None for all; found {cores!r}.")
    cores = cores or os.cpu_count() or 1
    chunks = _chunks(sizes, int(min(cores * CHUNKS_PER_CORE, 1 + sizes.sum() // smallest)))
    outcome = Work(np.zeros(sizes.size, dtype=bool), np.zeros(sizes.size))

    def timed(chunk: IndexArray) -> None:
        started = perf_counter()
        work(chunk)
        share = sizes[chunk] / max(sizes[chunk].sum(), 1.0)
        outcome.seconds[chunk] = (perf_counter() - started) * share
        outcome.done[chunk] = True

    if len(chunks) == 1 and not progress:
        timed(chunks[0])
        return outcome
    try:
        with ProgressBar(progress, description, sizes.size) as tick, ThreadPoolExecutor(cores) as pool:
            _drain({pool.submit(timed, chunk): chunk for chunk in chunks}, tick)
    except KeyboardInterrupt:
        if not keep:
            raise
    return outcome


def _drain(pending: dict[Future[None], IndexArray], tick: Callable[[int], None]) -> None:
    """Wait for all chunks; on Ctrl-C drop those that have not begun (the pool's exit waits for the others)."""
    try:
        while pending:
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                chunk = pending.pop(future)
                future.result()
                tick(chunk.size)
    except BaseException:
        for future in pending:
            future.cancel()
        raise


def _chunks(sizes: npt.NDArray[np.float64], n_chunks: int) -> list[IndexArray]:
    """Runs of subjects with about equal numbers of trials, the longest first so that no thread ends alone."""
    edges = np.searchsorted(np.cumsum(sizes), np.linspace(0, sizes.sum(), n_chunks + 1)[1:-1], side="right")
    chunks = [
        chunk for chunk in np.split(np.arange(sizes.size, dtype=np.int64), np.unique(edges)) if chunk.size
    ]
    return sorted(chunks, key=lambda chunk: -sizes[chunk].sum())
