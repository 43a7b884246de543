"""A process and its children as Linux tells of them: CPU, memory, open files, threads."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

from loadtest.harness.result import Process, ProcessReading

_CPUCLOCK_SCHED = 2
"""Linux: the clock of all CPU time of a process, as clock_getcpuclockid(3) makes its number."""


class ProcessError(ValueError):
    """A process that cannot be watched; the message says why."""


class ProcessWatch:
    """Reads ``pid`` and its children, which may come and go. ProcessError if it is not there."""

    def __init__(self, pid: int) -> None:
        if not Path("/proc/self/stat").exists():
            raise ProcessError("--pid needs /proc, which this system does not have")
        try:
            time.clock_gettime_ns(_clock(pid))
            os.listdir(f"/proc/{pid}/fd")
        except OSError as error:
            gone = not Path(f"/proc/{pid}").exists()
            why = "there is no such process" if gone else error.strerror
            raise ProcessError(f"--pid {pid}: {why}") from None
        self.pid = pid
        self._series: list[ProcessReading] = []
        self._cpu_ns = dict(self._cpu())
        self._used_ns = 0
        self._last_s = 0.0

    def begin(self) -> None:
        """What was used up to now does not count, as getting ready for the first call."""
        self._cpu_ns = dict(self._cpu())

    def read(self, at_s: float) -> None:
        """Once a second. A process that has just ended counts for nothing."""
        now = dict(self._cpu())
        used_ns = sum(ns - self._cpu_ns.get(pid, 0) for pid, ns in now.items())
        self._cpu_ns = now
        self._used_ns += used_ns
        since_s = at_s - self._last_s
        self._last_s = at_s
        if since_s <= 0 or not now:
            return
        pids = list(now)
        self._series.append(
            ProcessReading(
                at_s=round(at_s, 3),
                cpu_share=round(used_ns / 1e9 / since_s, 4),
                rss_kib=sum(map(_rss_kib, pids)),
                files=sum(map(_files, pids)),
                threads=sum(map(_threads, pids)),
            )
        )

    def result(self, frames: int) -> Process:
        """``frames``: caller frames sent while it was watched."""
        per_frame = round(self._used_ns / 1000 / frames, 3) if frames else None
        return Process(pid=self.pid, cpu_us_per_frame=per_frame, series=tuple(self._series))

    def _cpu(self) -> Iterator[tuple[int, int]]:
        for pid in family(self.pid):
            try:
                yield pid, time.clock_gettime_ns(_clock(pid))
            except OSError:
                continue


def family(pid: int) -> list[int]:
    """The process and its children and theirs."""
    found = [pid]
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for task in tasks:
        try:
            children = Path(f"/proc/{pid}/task/{task}/children").read_text(encoding="ascii")
        except OSError:
            continue
        for child in children.split():
            found += family(int(child))
    return found


def _clock(pid: int) -> int:
    return ~pid << 3 | _CPUCLOCK_SCHED


def _rss_kib(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * resource.getpagesize() // 1024


def _files(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def _threads(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return 0
