"""A bell that wakes whoever waits for the call to change."""

from __future__ import annotations

import asyncio
import math
import time


class Bell:
    """``ring`` wakes every waiter once; ``wait`` ends at the next ring or at its deadline."""

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    def ring(self) -> None:
        for waiter in self._waiters:
            _release(waiter)

    async def wait(self, until: float) -> None:
        """Until the next ring or ``until`` (monotonic seconds), whatever is first."""
        left_s = until - time.monotonic()
        if left_s <= 0:
            return
        if not math.isfinite(left_s):
            raise ValueError(f"until is {until}, expected a moment that comes")
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiters.add(waiter)
        timer = loop.call_later(left_s, _release, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiters.discard(waiter)


def _release(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
