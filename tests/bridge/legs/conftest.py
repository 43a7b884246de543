"""The legs on real sockets and on the event loop of the product."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeAlias

import pytest
import structlog
import uvloop
from structlog.typing import EventDict

from bridge.store.ledger import Ledger
from loadtest.realtime import SimulatedRealtime, SimulatorOptions
from tests.bridge.legs.phone import Phone, open_call
from tests.bridge.legs.puppet import PuppetModel, PuppetSession, serve_puppet
from tests.bridge.legs.served import GREETING, GREETING_ULAW, ServedBridge, keep_line, serve_bridge

ServeBridge: TypeAlias = Callable[..., Awaitable[ServedBridge]]
Talk: TypeAlias = Callable[..., Awaitable[tuple[Phone, PuppetSession]]]


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Timers, transports and write buffers are those of the product: uvloop's."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """What a test opens, closed in reverse order; afterwards no task of it may be left."""
    async with AsyncExitStack() as opened:
        yield opened
    gc.collect()
    async with asyncio.timeout(5):
        while left := [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]:
            await asyncio.wait(left, timeout=0.1)


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """The folder of cached lines; empty."""
    folder = tmp_path / "lines"
    folder.mkdir()
    return folder


@pytest.fixture
def greeting_kept(lines: Path) -> str:
    """The greeting is in the cache."""
    keep_line(lines, GREETING, GREETING_ULAW)
    return GREETING


@pytest.fixture
async def bridge_under_test(stack: AsyncExitStack, lines: Path) -> ServeBridge:
    """Serves a bridge: ``await bridge_under_test(model.url, limits={...}, POOL_SIZE="1")``."""

    async def start(
        model_url: str,
        *,
        ledger: Ledger | None = None,
        limits: Mapping[str, float] | None = None,
        **environ: str,
    ) -> ServedBridge:
        environ = {"GREETING_CACHE": str(lines)} | environ
        return await stack.enter_async_context(
            serve_bridge(model_url, ledger=ledger, limits=limits, environ=environ)
        )

    return start


@pytest.fixture
async def puppet(stack: AsyncExitStack) -> PuppetModel:
    """A model's server that configures its sessions and then waits for the test."""
    return await stack.enter_async_context(serve_puppet())


@pytest.fixture
async def silent_puppet(stack: AsyncExitStack) -> PuppetModel:
    """A model's server that says nothing by itself, not even that a session was created."""
    return await stack.enter_async_context(serve_puppet(configures=False))


@pytest.fixture
async def simulated_model(
    stack: AsyncExitStack,
) -> Callable[[SimulatorOptions], Awaitable[SimulatedRealtime]]:
    async def start(options: SimulatorOptions) -> SimulatedRealtime:
        return await stack.enter_async_context(SimulatedRealtime(options))

    return start


@pytest.fixture
async def talk(stack: AsyncExitStack, puppet: PuppetModel) -> Talk:
    """A call in conversation: both of its ends, in the test's hands."""

    async def start(bridge: ServedBridge) -> tuple[Phone, PuppetSession]:
        phone = await stack.enter_async_context(open_call(bridge))
        session = await puppet.session(len(puppet.sessions))
        await bridge.watcher.until(phone.call_sid, "model_ready")
        return phone, session

    return start


@pytest.fixture
def logged() -> Iterator[list[EventDict]]:
    """Everything that was logged, as events."""
    with structlog.testing.capture_logs() as events:
        yield events
