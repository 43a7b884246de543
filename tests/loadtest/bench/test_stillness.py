"""What a machine takes from a busy process, told apart from what the process does itself."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest

from loadtest.bench.stillness import Absence, absence, watch
from loadtest.bench.system import Seats

STOPPED_S = 0.3


def test_a_process_that_was_stopped_for_a_while_was_away_for_so_long() -> None:
    command = [sys.executable, "-m", "loadtest.bench.stillness", "2"]
    with subprocess.Popen(  # noqa: S603 - our own module
        command, stdout=subprocess.PIPE, text=True
    ) as process:
        for _ in range(3):  # one of them at least lies behind its start
            time.sleep(0.5)
            process.send_signal(signal.SIGSTOP)
            time.sleep(STOPPED_S)
            process.send_signal(signal.SIGCONT)
        printed, _ = process.communicate(timeout=60)
    found = Absence(**json.loads(printed))
    assert found.longest_ms >= 1000 * STOPPED_S
    assert found.share >= STOPPED_S / 3


class Core:
    """With a clock: each look at it takes 50 microseconds; after a rest the core may be away."""

    def __init__(self, *away_ms: float) -> None:
        self.now_ns = 0
        self._away_ms = list(away_ms)

    def clock(self) -> int:
        self.now_ns += 50_000
        return self.now_ns

    def rest(self, length_s: float) -> None:
        self.now_ns += round(length_s * 1e9)
        if self._away_ms:
            self.now_ns += round(self._away_ms.pop(0) * 1e6)


@pytest.mark.parametrize(
    ("away_ms", "longest_ms", "share"),
    [((), 0.0, 0.0), ((0.5, 0.9), 0.0, 0.0), ((20.0, 0.0, 5.0), 19.95, 0.0249)],
    ids=["never", "no longer than usual", "twice"],
)
def test_only_long_absences_count(
    away_ms: tuple[float, ...], longest_ms: float, share: float
) -> None:
    core = Core(*away_ms)
    found = watch(1.0, core.clock, core.rest)
    assert found.longest_ms == pytest.approx(longest_ms, abs=0.02)
    assert found.share == pytest.approx(share, abs=0.0005)


def test_without_seats_any_core_is_watched() -> None:
    found = absence(Seats(None, None), 0.2)
    assert 0 <= found.share <= 1


def test_it_is_told_in_a_line() -> None:
    assert Absence(0.0312, 27.74).line() == (
        "this machine took busy cores away 3.1% of the time, for 28 ms at most"
    )
