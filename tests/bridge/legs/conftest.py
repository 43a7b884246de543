"""The legs on real sockets and on the event loop of the product."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import pytest
import structlog
from structlog.typing import EventDict

from bridge.eventloop import new_event_loop
from bridge.store.ledger import Ledger
from loadtest.realtime import LineLibrary, SessionRecord, SimulatedRealtime, SimulatorOptions
from loadtest.realtime.lines import Line
from loadtest.twilio import CallResult, CallScript, Origins, PhoneNumber, SimulatedTwilio
from loadtest.twilio import Settings as TwilioSettings
from tests.bridge.legs.audio import tone
from tests.bridge.legs.phone import Phone, open_call
from tests.bridge.legs.puppet import PuppetModel, PuppetSession, serve_puppet
from tests.bridge.legs.served import (
    ACCOUNT,
    AUTH_TOKEN,
    GREETING,
    GREETING_ULAW,
    PUBLIC,
    ServedBridge,
    Wanted,
    keep_line,
    serve_bridge,
)

ServeBridge: TypeAlias = Callable[..., Awaitable[ServedBridge]]
Talk: TypeAlias = Callable[..., Awaitable[tuple[Phone, PuppetSession]]]


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Timers, transports and write buffers are those of the product."""
    return {"product": new_event_loop}


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """What a test opens, closed in reverse order; afterwards no task of it may be left."""
    async with AsyncExitStack() as opened:
        yield opened
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
        insecure_local: bool = False,
        **environ: str,
    ) -> ServedBridge:
        environ = {"GREETING_CACHE": str(lines)} | environ
        wanted = Wanted(limits or {}, environ, insecure_local)
        return await stack.enter_async_context(serve_bridge(model_url, wanted, ledger))

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
async def talk_to(stack: AsyncExitStack) -> Talk:
    """A call in conversation: both of its ends, in the test's hands."""

    async def start(bridge: ServedBridge, puppet: PuppetModel) -> tuple[Phone, PuppetSession]:
        phone = await stack.enter_async_context(open_call(bridge))
        session = await puppet.session(len(puppet.sessions))
        await bridge.watcher.until(phone.call_sid, "model_ready")
        return phone, session

    return start


@pytest.fixture
async def talk(talk_to: Talk, puppet: PuppetModel) -> Talk:
    """As ``talk_to``, with the usual model."""

    async def start(bridge: ServedBridge) -> tuple[Phone, PuppetSession]:
        return await talk_to(bridge, puppet)

    return start


@pytest.fixture
async def open_line(
    stack: AsyncExitStack, bridge_under_test: ServeBridge, silent_puppet: PuppetModel
) -> Phone:
    """A stream that has started, towards a model that says nothing yet."""
    bridge = await bridge_under_test(silent_puppet.url)
    return await stack.enter_async_context(open_call(bridge))


@pytest.fixture
def logged() -> Iterator[list[EventDict]]:
    """Everything that was logged, as events."""
    with structlog.testing.capture_logs() as events:
        yield events


@dataclass(frozen=True)
class Called:
    """A call between the two simulators: what the caller and what the model knows of it."""

    result: CallResult
    record: SessionRecord
    bridge: ServedBridge


SimulatedCall: TypeAlias = Callable[..., Awaitable[Called]]


def lines_of_tones(**lengths_ms: int) -> LineLibrary:
    """Assistant lines by name, each a tone of that length."""
    return LineLibrary(
        {name: Line(name, f"A line named {name}.", tone(ms)) for name, ms in lengths_ms.items()}
    )


def twilio_for(bridge: ServedBridge) -> SimulatedTwilio:
    """A simulated Twilio whose number belongs to this bridge."""
    origins = Origins({PUBLIC: f"http://127.0.0.1:{bridge.port}"})
    number = PhoneNumber(f"{PUBLIC}/voice", status_callback=f"{PUBLIC}/status")
    account = TwilioSettings(ACCOUNT, AUTH_TOKEN, origins=origins, rest_port=None)
    return SimulatedTwilio(account, number)


@pytest.fixture
async def simulated_call(stack: AsyncExitStack, bridge_under_test: ServeBridge) -> SimulatedCall:
    """One call between the simulators, to its end."""

    async def place(script: CallScript, options: SimulatorOptions, **environ: str) -> Called:
        lines = options.lines or lines_of_tones(long=4000, short=300, closing=800)
        chosen = replace(options, lines=lines)
        model = await stack.enter_async_context(SimulatedRealtime(chosen))
        bridge = await bridge_under_test(model.url, **environ)
        async with twilio_for(bridge) as twilio:
            result = await twilio.place_call(script)
        await bridge.idle()
        return Called(result, model.sessions[0], bridge)

    return place
