"""A rig with a quick conversation, and relays to point it at."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from loadtest.bench.relays import picows_relay
from loadtest.bench.relays.picows_relay import CallerLeg
from loadtest.bench.relays.shared import Options
from loadtest.bench.rig import Rig
from loadtest.bench.turns import TurnPlan

QUICK = TurnPlan(
    pause_ms=60,
    speech_ms=60,
    vad_ms=20,
    thinking_ms=20,
    deltas=4,
    delta_audio_ms=60,
    delta_every_ms=20,
    barge_every=2,
    barge_after_ms=120,
)

Relay = Callable[[type[CallerLeg]], Awaitable[str]]
"""Starts a relay whose calls run on that leg; gives its media address."""


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    made = Rig(QUICK)
    await made.start()
    yield made
    await made.close()


@pytest.fixture
async def relay(rig: Rig) -> AsyncIterator[Relay]:
    servers: list[asyncio.Server] = []

    async def start(leg: type[CallerLeg]) -> str:
        server = await picows_relay.listen(Options("127.0.0.1", 0, rig.realtime_url), leg)
        servers.append(server)
        return f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/media"

    yield start
    await rig.set_calls(0, "")
    for server in servers:
        server.close()
