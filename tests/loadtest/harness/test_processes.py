"""A watched process and its children: CPU, memory, files."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from loadtest.harness.processes import ProcessError, ProcessWatch, family

CHILD = "import sys, os; held = [open(os.devnull) for _ in range(30)]; print('up', flush=True); "
BUSY = (
    CHILD
    + "\nwhile True: sys.stdin.readline() or exit(); [n * n for n in range(3_000_000)]; \
print('done', flush=True)"
)


def test_a_process_is_read_with_what_its_children_use() -> None:
    parent = (
        "import subprocess, sys; "
        f"child = subprocess.Popen([sys.executable, '-c', {BUSY!r}], text=True); child.wait()"
    )
    with subprocess.Popen(  # noqa: S603 - our own words
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "up\n"
            watch = ProcessWatch(process.pid)
            assert len(family(process.pid)) == 2
            process.stdin.write("go\n")
            process.stdin.flush()
            assert process.stdout.readline() == "done\n"
            watch.read(2.0)
        finally:
            process.stdin.close()
    watched = watch.result(frames=1000)
    (reading,) = watched.series
    assert watched.cpu_us_per_frame is not None
    assert watched.cpu_us_per_frame > 10  # far more than 10 ms were computed
    assert reading.cpu_share == pytest.approx(watched.cpu_us_per_frame / 1000 / 2, rel=0.01)
    assert reading.files >= 30
    assert reading.threads >= 2
    assert reading.rss_kib > 1000


def test_a_process_that_is_not_there_is_refused() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with pytest.raises(ProcessError, match=rf"--pid {ended.pid}: "):
        ProcessWatch(ended.pid)


def test_a_process_that_ends_while_watched_counts_for_nothing_more() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        watch = ProcessWatch(process.pid)
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
    watch.read(1.0)
    assert watch.result(0).series == ()
    assert os.getpid() != process.pid
