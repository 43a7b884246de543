"""How late the event loop runs things: the first sign of a process that has too much to do."""

from __future__ import annotations

import asyncio
from collections import deque

EVERY_S = 0.1
SAMPLES = 20


class LoopDelay:
    """The mean over the last two seconds; one hiccup alone turns nobody away."""

    def __init__(self) -> None:
        self._samples_ms: deque[float] = deque(maxlen=SAMPLES)

    def add(self, late_ms: float) -> None:
        self._samples_ms.append(max(0.0, late_ms))

    @property
    def mean_ms(self) -> float:
        """0 until there are as many samples as it takes."""
        if len(self._samples_ms) < SAMPLES:
            return 0.0
        return sum(self._samples_ms) / SAMPLES

    async def run(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + EVERY_S
            await asyncio.sleep(EVERY_S)
            self.add((loop.time() - due) * 1000)
