"""Each measurement in a process of its own: its environment, its caches, its peak memory, and who else was at work."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
STAT = Path("/proc/stat")
IDLE, WAITING = 3, 4
"""Columns of /proc/stat that are no work."""
PATIENCE, LOOK = 2.0, 0.5
"""Seconds of quiet that are waited for, and of a look."""
QUIET = 0.15
"""Cores in use that still count as quiet."""


@contextmanager
def empty_caches() -> Iterator[dict[str, str]]:
    """Environment variables under which nothing has been compiled yet; what is then compiled is kept until the end."""
    with tempfile.TemporaryDirectory() as folder:
        yield {
            "NUMBA_CACHE_DIR": f"{folder}/numba",
            "PYTENSOR_FLAGS": f"base_compiledir={folder}/pytensor",
            "XDG_CACHE_HOME": f"{folder}/others",
        }


def kept_caches() -> AbstractContextManager[dict[str, str]]:
    """No change: what was compiled on this machine before is used."""
    return nullcontext({})


def run(
    script: str, job: Mapping[str, Any], *, environment: Mapping[str, str], patience: float
) -> dict[str, Any]:
    """What a script of this folder prints about a job.

    With ``wall`` and ``cpu`` seconds of the process, and ``others``: cores that others used meanwhile.

    Parameters
    ----------
    script : str
        Gets the job as JSON and prints a JSON object as its last line.
    job, environment : mapping
        The latter on top of the present one.
    patience : float
        Seconds to wait at most until nobody else is at work.
    """
    wait_for_quiet(patience)
    began, busy, own = time.perf_counter(), busy_seconds(), child_seconds()
    done = subprocess.run(
        [sys.executable, str(FOLDER / script), json.dumps(job)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        check=False,
        text=True,
    )
    wall = time.perf_counter() - began
    worked = child_seconds() - own
    others = (busy_seconds() - busy - worked) / wall
    if done.returncode != 0:
        raise RuntimeError(
            f"{script} failed on {dict(job)} (exit code {done.returncode}); its errors stand above."
        )
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return {**found, "wall": wall, "cpu": worked, "others": max(0.0, others)}


def peak_memory() -> float:
    """Largest memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def wait_for_quiet(patience: float) -> None:
    """Return when nobody has been at work for a moment, or patience is at its end."""
    began, quiet_since = time.perf_counter(), time.perf_counter()
    while time.perf_counter() - began < patience and time.perf_counter() - quiet_since < PATIENCE:
        busy = busy_seconds()
        time.sleep(LOOK)
        if busy_seconds() - busy > QUIET * LOOK:
            quiet_since = time.perf_counter()


def busy_seconds() -> float:
    """Seconds of work of all cores together since the machine started; 0 where it can't be known."""
    if not STAT.exists():
        return 0.0
    ticks = [int(x) for x in STAT.read_text().splitlines()[0].split()[1:9]]
    return (sum(ticks) - ticks[IDLE] - ticks[WAITING]) / os.sysconf("SC_CLK_TCK")


def child_seconds() -> float:
    """Seconds of work of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
