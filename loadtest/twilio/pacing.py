"""The wheel that keeps every call's 20 ms on time: one timer for all of them, deadlines absolute.

A call is pinned to the emptiest of twenty slots a millisecond apart. Slot n of round r is due at
``epoch + r * 20 ms + n * 1 ms``, whatever happened before, so nothing drifts; what comes late is
caught up and measured. More than a second late, frames are left out and counted: such a run is not
valid.
"""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass
from typing import Protocol

SLOTS = 20
SLOT_S = 0.001
ROUND_S = SLOTS * SLOT_S
LATE_MS = 10
MAX_BACKLOG_S = 1.0
_PER_MS = 10
_BUCKETS = 1000 * _PER_MS


class Ticker(Protocol):
    """Something that happens every 20 ms."""

    def tick(self, due: float) -> None:
        """Once per round, in order. ``due`` is the exact moment on the monotonic clock."""

    def failed(self, error: Exception) -> None:
        """``tick`` raised: the wheel has dropped this ticker and goes on with the others."""


@dataclass(frozen=True, slots=True)
class Lateness:
    """How late frames left, measured when the slot they belong to was done (so an upper bound).

    ``skipped_frames`` never left, because the process was more than a second behind.
    """

    frames: int
    late_frames: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    skipped_frames: int
    histogram: tuple[int, ...] = ()
    """Frames by tenths of a millisecond; the last one holds what was later than a second."""

    @property
    def late_share(self) -> float:
        """Share of frames that were more than ``LATE_MS`` behind."""
        return self.late_frames / self.frames if self.frames else 0.0


class PacingWheel:
    """Owned by one event loop. The timer runs only while there is a ticker."""

    def __init__(self) -> None:
        self._slots: list[list[Ticker]] = [[] for _ in range(SLOTS)]
        self._count = 0
        self._epoch = time.monotonic()
        self._next = 0
        self._timer: asyncio.TimerHandle | None = None
        self._histogram = [0] * (_BUCKETS + 1)
        self._max_late_s = 0.0
        self._skipped = 0

    def __len__(self) -> int:
        return self._count

    def add(self, ticker: Ticker) -> None:
        """First tick within the next 20 ms, in the slot that has least to do.

        In the slot of this very moment, calls that begin at a steady rate (every 100 ms, say)
        would all meet in one, and wait for each other.
        """
        now = math.ceil((time.monotonic() - self._epoch) / SLOT_S)
        index = min(range(now, now + SLOTS), key=lambda at: len(self._slots[at % SLOTS]))
        self._slots[index % SLOTS].append(ticker)
        if not self._count or index < self._next:
            self._next = index
            self._disarm()
        self._count += 1
        self._arm()

    def remove(self, ticker: Ticker) -> None:
        """Out of the wheel, though it may see the tick of this moment; absence is no error."""
        for slot in self._slots:
            if ticker in slot:
                slot.remove(ticker)
                self._count -= 1
                break
        if not self._count:
            self._disarm()

    def lateness(self) -> Lateness:
        """Of every frame so far."""
        return Lateness(
            frames=sum(self._histogram),
            late_frames=sum(self._histogram[(LATE_MS + 1) * _PER_MS :]),
            p50_ms=self._quantile(0.50),
            p99_ms=self._quantile(0.99),
            max_ms=self._max_late_s * 1000,
            skipped_frames=self._skipped,
            histogram=tuple(self._histogram),
        )

    def _quantile(self, share: float) -> float:
        wanted = share * sum(self._histogram)
        seen = 0
        for tenths, count in enumerate(self._histogram):
            seen += count
            if seen and seen >= wanted:
                return tenths / _PER_MS
        return 0.0

    def _arm(self) -> None:
        if self._timer is None and self._count:
            # uvloop counts its timers from a cached clock and in milliseconds, so it may wake us
            # early: then nothing is due yet and this arms again.
            wait_s = self._due(self._next) - time.monotonic()
            wait_s = max(SLOT_S, wait_s) if wait_s > 0 else 0.0
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._turn)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self, index: int) -> float:
        return self._epoch + index * SLOT_S

    def _turn(self) -> None:
        """One round at most: where the machine cannot keep up, sockets must get their turn too."""
        self._timer = None
        now = time.monotonic()
        self._give_up_backlog(now)
        for _ in range(SLOTS):
            due = self._due(self._next)
            if due > now or not self._count:
                break
            slot = self._slots[self._next % SLOTS]
            if slot:
                self._run(slot, due)
                now = time.monotonic()
            self._next += 1
        self._skip_empty_slots()
        self._arm()

    def _give_up_backlog(self, now: float) -> None:
        """Too far behind to catch up: whole rounds are left out, and counted."""
        behind = int((now - self._due(self._next)) / ROUND_S)
        if behind * ROUND_S > MAX_BACKLOG_S:
            self._next += behind * SLOTS
            self._skipped += behind * self._count

    def _run(self, slot: list[Ticker], due: float) -> None:
        ran = 0
        for ticker in tuple(slot):
            try:
                ticker.tick(due)
            except Exception as error:  # one broken call must not stop the others
                self.remove(ticker)
                ticker.failed(error)
            ran += 1
        late_s = time.monotonic() - due
        self._max_late_s = max(self._max_late_s, late_s)
        self._histogram[min(_BUCKETS, max(0, int(late_s * 1000 * _PER_MS)))] += ran

    def _skip_empty_slots(self) -> None:
        if self._count:
            while not self._slots[self._next % SLOTS]:
                self._next += 1
