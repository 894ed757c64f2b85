"""What is seen of long work: a line that fits into 80 columns on a terminal, a sentence now and then elsewhere."""

import os
import pty
import re
import struct
import subprocess
import sys
import time

import pytest

from hierrl.kernels import progress
from hierrl.kernels.progress import ProgressBar, Waiting, duration
from hierrl.posterior.samplers import Run, counting

fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")

CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_terminal(script: str, columns: int = 80) -> list[str]:
    """What a script draws on a terminal, line by line as it was drawn, without colours."""
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns)}
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=child, stdout=child, stderr=child, env=environment
    )
    os.close(child)
    heard = b""
    while True:
        try:
            part = os.read(parent, 4096)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        heard += part
    os.close(parent)
    assert process.wait() == 0, heard.decode()
    return [line.rstrip() for line in re.split(r"[\r\n]+", CODES.sub("", heard.decode())) if line.strip()]


def test_the_widest_line_fits_into_80_columns_and_shows_what_is_done_and_left():
    lines = on_terminal(
        "import time\n"
        "from hierrl.kernels.progress import ProgressBar\n"
        "with ProgressBar(True, 'Predictive check (generate)', 48000) as tick:\n"
        "    for _ in range(6):\n"
        "        tick(4000); time.sleep(.15)\n"
    )
    assert lines, "nothing was drawn"
    assert max(map(len, lines)) <= 80
    assert any(
        re.search(r"Predictive check \(generate\) .* 24000/48000 \d:\d\d:\d\d [-\d:]+ left", x) for x in lines
    )


def test_samplers_bar_counts_draws_of_all_chains_with_the_warm_up():
    run = Run(1000, 200, 4, 0.8, None, 0, True)
    assert (run.bar.description, run.bar.total) == ("Sampling 4 chains", 4800)


def test_waiting_says_what_is_waited_for():
    lines = on_terminal(
        "import time\n"
        "from hierrl.kernels.progress import Waiting\n"
        "with Waiting(True, 'Compiling'): time.sleep(.3)\n"
    )
    assert any(re.search(r"Compiling \d:\d\d:\d\d", line) for line in lines)


def test_elsewhere_a_sentence_is_said_now_and_then(capsys, monkeypatch):
    monkeypatch.setattr(progress, "SENTENCE_EVERY", 0.0)
    now = iter([0.0, 30.0, 60.0, 90.0])
    monkeypatch.setattr(progress, "perf_counter", lambda: next(now))
    with ProgressBar(True, "Sampling 4 chains", 4800) as tick:
        for _ in range(3):
            tick(1600)
    heard = capsys.readouterr()
    assert heard.out == ""
    assert heard.err.splitlines() == [
        "Sampling 4 chains: 1,600 of 4,800 after 30 s, about 1 min left.",
        "Sampling 4 chains: 3,200 of 4,800 after 1 min, about 30 s left.",
    ]


def test_short_work_and_work_that_nobody_wants_to_watch_say_nothing(capsys):
    for wanted in (True, False):
        with ProgressBar(wanted, "Sampling", 2) as tick:
            tick(1)
            tick(1)
        with Waiting(wanted, "Compiling"):
            pass
    assert capsys.readouterr() == ("", "")


def test_long_waiting_elsewhere_is_one_sentence(capsys, monkeypatch):
    monkeypatch.setattr(progress, "SILENT_FOR", 0.01)
    with Waiting(True, "Compiling"):
        time.sleep(0.2)
    assert capsys.readouterr().err == "Compiling ...\n"


def test_draws_of_a_sampler_are_counted_once():
    class Chain:
        def __init__(self, finished):
            self.finished_draws = finished

    ticks = []
    report = counting(ticks.append)
    report([Chain(3), Chain(0)])
    report([Chain(5), Chain(4)])
    assert ticks == [3, 6]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59, "59 s"), (61, "1 min"), (7200, "2 h 0 min")]
)
def test_durations_are_said_in_one_unit_up_to_an_hour(seconds, text):
    assert duration(seconds) == text
