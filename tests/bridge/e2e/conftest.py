"""The whole system, on the event loop of the product."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from bridge.eventloop import new_event_loop
from loadtest.realtime import Scenario
from tests.bridge.e2e.system import System, running

Start: TypeAlias = Callable[..., Awaitable[System]]


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Timers, transports and write buffers are those of the product."""
    return {"product": new_event_loop}


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts a system: ``await start(model(routes_to("billing")))``; nothing of it is left."""
    async with AsyncExitStack() as stack:

        async def begin(scenario: Scenario | Callable[[int], Scenario], **options: Any) -> System:  # noqa: ANN401
            return await stack.enter_async_context(running(scenario, tmp_path, **options))

        yield begin
    gc.collect()
    async with asyncio.timeout(5):
        while left := [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]:
            await asyncio.wait(left, timeout=0.1)
