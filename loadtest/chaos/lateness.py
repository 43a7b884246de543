"""How late this machine itself was, and when: what a caller waited for that is nobody's fault."""

from __future__ import annotations

import asyncio
import bisect
import time

EVERY_S = 0.05
COUNTS_FROM_MS = 5


class Lateness:
    """Times are seconds of the monotonic clock."""

    def __init__(self) -> None:
        self._until: list[float] = []
        self._late_ms: list[float] = []
        self.worst_ms = 0
        """The most at once."""

    def add(self, until: float, late_ms: float) -> None:
        """A timer that was due ``late_ms`` before came only now. In the order of time."""
        if late_ms < COUNTS_FROM_MS:
            return
        self._until.append(until)
        self._late_ms.append(late_ms)
        self.worst_ms = max(self.worst_ms, round(late_ms))

    def between(self, begin: float, end: float) -> float:
        """Milliseconds that were lost in all within a while."""
        first = bisect.bisect_left(self._until, begin)
        last = bisect.bisect_right(self._until, end + EVERY_S)
        return sum(self._late_ms[first:last])

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            began = time.monotonic()
            await asyncio.sleep(EVERY_S)
            now = time.monotonic()
            self.add(now, (now - began - EVERY_S) * 1000)
