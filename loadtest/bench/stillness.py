"""How much of its core a busy process really gets: a virtual machine's neighbours take some.

No system passes audio on while its core is elsewhere, so where this is one per cent of the time,
p99 is a figure of the machine.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from time import perf_counter_ns, sleep

from loadtest.bench.system import BenchError, Seats, take_core

GAP_MS = 1.0
"""Shorter absences are ordinary: interrupts, and the caches they leave cold."""
_BUSY_MS, _IDLE_MS = 0.6, 0.4
"""Linux stops a real-time process that never sleeps for 50 ms of every second."""
_OVERSLEPT_MS = 0.1
_NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Absence:
    """``share`` of the time (0 to 1) that a core was away for over ``GAP_MS``; the longest time."""

    share: float
    longest_ms: float

    def line(self) -> str:
        found = f"this machine took busy cores away {self.share:.1%} of the time, for"
        return f"{found} {self.longest_ms:.0f} ms at most"


def absence(seats: Seats, length_s: float) -> Absence:
    """Of the worse of both seats, both busy at once, as system and rig will be; where there are
    none, of any core at ordinary priority.

    Nothing else should run there. Raises ``BenchError`` where it could not be measured.
    """
    command = [sys.executable, "-m", "loadtest.bench.stillness", str(length_s)]
    cores = [[str(core)] for core in (seats.system_core, seats.rig_core) if core is not None]
    watches = [
        subprocess.Popen([*command, *core], stdout=subprocess.PIPE, text=True)  # noqa: S603
        for core in cores or [[]]
    ]
    found = []
    for process in watches:
        try:
            printed, _ = process.communicate(timeout=length_s + 30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise BenchError("the machine's own absences could not be measured in time") from None
        if process.returncode:
            raise BenchError(f"measuring absences ended with code {process.returncode}")
        found.append(Absence(**json.loads(printed)))
    return max(found, key=lambda one: one.share)


def watch(length_s: float, clock: Callable[[], int], rest: Callable[[float], None]) -> Absence:
    """Of the core that this process is on, which it keeps busy six tenths of the time.

    ``clock`` gives nanoseconds, ``rest`` sleeps for seconds.
    """
    gaps: list[float] = []
    began = now = clock()
    while now - began < length_s * 1e9:
        busy_until = now + _BUSY_MS * _NS_PER_MS
        while now < busy_until:
            before, now = now, clock()
            if now - before > GAP_MS * _NS_PER_MS:
                gaps.append((now - before) / _NS_PER_MS)
        before = now
        rest(_IDLE_MS / 1e3)
        now = clock()
        overslept_ms = (now - before) / _NS_PER_MS - _IDLE_MS - _OVERSLEPT_MS
        if overslept_ms > GAP_MS:
            gaps.append(overslept_ms)
    return Absence(sum(gaps) / ((now - began) / _NS_PER_MS), max(gaps, default=0.0))


def main(arguments: Sequence[str]) -> None:
    """Seconds, and a core to take; prints one line of JSON."""
    length_s, *core = arguments
    for number in core:
        take_core(int(number))
    gc.disable()
    sys.stdout.write(json.dumps(asdict(watch(float(length_s), perf_counter_ns, sleep))) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
