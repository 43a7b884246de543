"""Configured model sessions, ready before anybody calls: the greeting does not wait for a
handshake.

Each process keeps its own pool per tenant, so it does not matter which process a media socket
reaches. A session is handed out once, replaced at once, and thrown away well before the server's
60-minute end.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import structlog

from bridge.config import PoolSettings
from bridge.legs.model_leg import ModelEndpoint, ModelLeg, ModelUnavailableError
from bridge.protocol.unhandled import UnhandledCounter

_log = structlog.get_logger("bridge.pool")


EXTRA = 8
"""So many more than usual are made ready while answered voice webhooks are outstanding."""
EXPECTED_FOR_S = 15.0
"""A webhook's caller opens the media socket within this time, or does not come."""
CONNECTS_AT_ONCE = 8
RETRY_S, RETRY_MAX_S = 1.0, 30.0


class ModelPool:
    """The pool of one tenant in one process. ``start`` once, ``close`` at the end."""

    def __init__(
        self,
        endpoint: ModelEndpoint,
        settings: PoolSettings,
        unhandled: UnhandledCounter,
        clock: Callable[[], float],
    ) -> None:
        self._endpoint = endpoint
        self._settings = settings
        self._unhandled = unhandled
        self._clock = clock
        self._ready: deque[ModelLeg] = deque()
        self._expected: deque[float] = deque(maxlen=EXTRA)
        self._wake = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._failures = 0
        self.last_failure: str | None = None

    @property
    def ready(self) -> int:
        return len(self._ready)

    @property
    def target(self) -> int:
        if self._settings.size == 0:
            return 0
        horizon = self._clock() - EXPECTED_FOR_S
        while self._expected and self._expected[0] < horizon:
            self._expected.popleft()
        return self._settings.size + len(self._expected)

    def start(self) -> None:
        if self._settings.size > 0:
            self._keeper = asyncio.create_task(self._keep(), name="model-pool")

    def expect_call(self) -> None:
        """A voice webhook arrived: one more session than usual will be wanted soon."""
        self._expected.append(self._clock())
        self._wake.set()

    def take(self) -> ModelLeg | None:
        """A ready session, the youngest first; None when there is none. A replacement is begun."""
        if self._expected:
            self._expected.popleft()
        self._wake.set()
        while self._ready:
            leg = self._ready.pop()
            if not leg.closed:
                return leg
        return None

    async def connect(self) -> ModelLeg:
        """A session made now, past the pool. Raises ``ModelUnavailableError``."""
        leg = ModelLeg(self._endpoint, self._unhandled)
        await leg.open()
        return leg

    async def close(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        legs, self._ready = self._ready, deque()
        for leg in legs:
            leg.close()
        for leg in legs:
            await leg.wait_closed()

    # --- the keeper --------------------------------------------------------------------------

    async def _keep(self) -> None:
        while True:
            self._wake.clear()
            self._retire_old()
            missing = self.target - len(self._ready)
            if missing > 0:
                await self._add(min(missing, CONNECTS_AT_ONCE))
            if self._failures:
                await asyncio.sleep(self._backoff_s())
            elif self.target <= len(self._ready):
                await self._wait_for_change()

    async def _wait_for_change(self) -> None:
        try:
            async with asyncio.timeout(min(30.0, self._settings.max_age_s / 4)):
                await self._wake.wait()
        except TimeoutError:
            pass

    def _backoff_s(self) -> float:
        delay = RETRY_S * float(2 ** min(self._failures - 1, 10))
        return min(delay, RETRY_MAX_S)

    async def _add(self, count: int) -> None:
        results = await asyncio.gather(
            *(self._make_ready() for _ in range(count)), return_exceptions=True
        )
        faults = [result for result in results if isinstance(result, Exception)]
        if not faults:
            self._failures = 0
            self.last_failure = None
            return
        self._failures += 1
        fault = faults[0]
        # Whatever it was, the pool goes on: a call that finds it empty connects by itself.
        reason = type(fault).__name__
        if isinstance(fault, ModelUnavailableError):
            reason = fault.reason
        if reason != self.last_failure:
            _log.warning("pool_connect_failed", reason=reason, detail=str(fault)[:200])
        self.last_failure = reason

    async def _make_ready(self) -> None:
        leg = await self.connect()
        if leg.closed:  # between its configuration and now
            raise ModelUnavailableError("model_closed")
        leg.watch(lambda reason: self._lost(leg))
        self._ready.append(leg)

    def _lost(self, leg: ModelLeg) -> None:
        if leg in self._ready:
            self._ready.remove(leg)
        self._wake.set()

    def _retire_old(self) -> None:
        oldest = self._clock() - self._settings.max_age_s
        for leg in [leg for leg in self._ready if leg.opened_at < oldest]:
            self._ready.remove(leg)
            leg.close()
