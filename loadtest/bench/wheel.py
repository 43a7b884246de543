"""One timer for all calls: every member is called once a period, spread over its slots."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic_ns

PERIOD_NS = 20_000_000
SLOTS = 20
_SLOT_NS = PERIOD_NS // SLOTS
_STRIDE = 7
"""Coprime to the slots, so that the first few members are spread as well."""
_CATCH_UP = 4
"""Late slots served before the loop may read again."""

Member = Callable[[int], None]


class Wheel:
    """Turns in step with the monotonic clock: a late slot is served late, never skipped."""

    def __init__(self, on_late: Callable[[int], None]) -> None:
        self._on_late = on_late
        """Told for every slot how late it was, in nanoseconds."""
        self._slots: list[list[Member]] = [[] for _ in range(SLOTS)]
        self._order = [self._slots[i * _STRIDE % SLOTS] for i in range(SLOTS)]
        self._at = 0
        self._due_ns = 0
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None

    def start(self) -> None:
        self._due_ns = monotonic_ns()
        self._turn()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def add(self, member: Member) -> None:
        """Put the member into the emptiest slot."""
        min(self._order, key=len).append(member)

    def remove(self, member: Member) -> None:
        """Members that are not there are nobody's business."""
        for slot in self._slots:
            if member in slot:
                slot.remove(member)
                return

    def _turn(self) -> None:
        now_ns = monotonic_ns()
        for _ in range(_CATCH_UP):
            if now_ns < self._due_ns:
                break
            self._on_late(now_ns - self._due_ns)
            for member in self._slots[self._at]:
                member(now_ns)
            self._at = (self._at + 1) % SLOTS
            self._due_ns += _SLOT_NS
            now_ns = monotonic_ns()
        loop = asyncio.get_running_loop()
        wait_ns = self._due_ns - now_ns
        if wait_ns <= 0:
            self._timer = loop.call_soon(self._turn)
        else:
            # uvloop's timers count whole milliseconds and round down: less would spin.
            self._timer = loop.call_later(max(wait_ns, _SLOT_NS) / 1e9, self._turn)
