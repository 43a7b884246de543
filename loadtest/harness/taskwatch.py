"""How many tasks a bridge says it has, asked again and again while it is under load."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import aiohttp

ASK_WITHIN_S = 5.0
KEY = "tasks"


class TaskWatchError(ValueError):
    """The page is not there or does not tell; the message says which."""


class TaskWatch:
    """``url`` answers JSON with a number under ``tasks``. A question that fails is left out."""

    def __init__(self, url: str, every_s: float) -> None:
        self._url = url
        self._every_s = every_s
        self.readings: list[tuple[float, float]] = []
        """Seconds since the watch began, and the number."""

    async def check(self) -> None:
        """TaskWatchError where the page does not tell how many tasks there are."""
        async with aiohttp.ClientSession() as session:
            try:
                await self._ask(session)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise TaskWatchError(f"{self._url}: {error or type(error).__name__}") from None

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        asking = asyncio.create_task(self._go_on())
        try:
            yield
        finally:
            asking.cancel()
            await asyncio.wait({asking})

    async def _go_on(self) -> None:
        began = time.monotonic()
        async with aiohttp.ClientSession() as session:
            while True:
                with contextlib.suppress(
                    aiohttp.ClientError, TimeoutError, TaskWatchError, OSError
                ):
                    count = await self._ask(session)
                    self.readings.append((round(time.monotonic() - began, 3), float(count)))
                await asyncio.sleep(self._every_s)

    async def _ask(self, session: aiohttp.ClientSession) -> int:
        async with asyncio.timeout(ASK_WITHIN_S), session.get(self._url) as response:
            if not response.ok:
                raise TaskWatchError(f"{self._url}: answers {response.status}")
            try:
                page = await response.json(content_type=None)
            except ValueError:
                raise TaskWatchError(f"{self._url}: answers no JSON") from None
        count = page.get(KEY) if isinstance(page, dict) else None
        if isinstance(count, bool) or not isinstance(count, int):
            raise TaskWatchError(f"{self._url}: tells no number under {KEY!r}")
        return count
