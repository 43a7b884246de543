"""What this process knows of the rollouts: read from the store twice a second."""

from __future__ import annotations

import asyncio
import contextlib

import structlog

from bridge.errors import TriageBridgeError
from bridge.rollouts import Rollouts, RolloutStore

log = structlog.get_logger("bridge.rollout")

EVERY_S = 0.4
"""With the reading itself, a change is known everywhere well within a second."""


class RolloutWatcher:
    """``current`` is None until the store was read once; after that the last state stays,
    whatever happens to the store: a kill switch that was seen holds."""

    def __init__(self, store: RolloutStore, every_s: float = EVERY_S) -> None:
        self._store = store
        self._every_s = every_s
        self._away = False
        self._stopping = asyncio.Event()
        self.current: Rollouts | None = None

    async def refresh(self) -> None:
        """Read now. Never raises; a store that is away is told once."""
        try:
            rollouts = await self._store.read()
        except Exception as error:  # calls in progress are not to end with it
            if not self._away:
                ours = isinstance(error, TriageBridgeError | TimeoutError)
                what = str(error) if ours else type(error).__name__
                log.error("rollout_unread", error=what, known=self.current is not None)
            self._away = True
            return
        if self._away:
            log.info("rollout_read_again")
        self._away = False
        self._tell(rollouts)
        self.current = rollouts

    def _tell(self, now: Rollouts) -> None:
        before = self.current
        for tenant, state in now.states.items():
            if before is not None and before.of(tenant) != state:
                log.info(
                    "rollout_changed",
                    tenant=tenant,
                    version=state.version,
                    killed=state.killed,
                    shares=sorted(state.shares.values()),
                )

    async def run(self) -> None:
        """Until ``stop``."""
        while not self._stopping.is_set():
            await self.refresh()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._every_s):
                    await self._stopping.wait()

    def stop(self) -> None:
        self._stopping.set()
