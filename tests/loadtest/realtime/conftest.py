"""A client of the server on the ``websockets`` package, and a session on a hand-moved clock."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection, connect

from loadtest.realtime import (
    LatencyProfile,
    Scenario,
    SimulatedRealtime,
    SimulatorOptions,
    assistant_lines,
    load_scenario,
    profile,
)
from loadtest.realtime.conversation import Conversation
from loadtest.realtime.faults import NO_FAULTS, Cut, FaultPlan
from loadtest.realtime.formats import AudioFormat
from loadtest.realtime.record import SessionRecord
from loadtest.realtime.script import Script
from loadtest.realtime.session import RealtimeSession
from loadtest.realtime.settings import SessionSettings
from loadtest.realtime.stage import Stage, Timers

MODEL = "gpt-realtime-2.1"
TOOLS = [
    {"type": "function", "name": name, "parameters": {"type": "object", "properties": {}}}
    for name in ("route_call", "escalate", "end_call", "lookup")
]


def speech(audio_format: AudioFormat = AudioFormat.PCMU, line: str = "still_there") -> bytes:
    """About 1.4 s of somebody talking."""
    return assistant_lines().audio(line, audio_format)


def telephone_settings(**changes: object) -> dict[str, Any]:
    """A ``session`` for mu-law both ways; ``turn_detection`` and top-level keys may change."""
    detection = {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "create_response": True,
        "interrupt_response": True,
    }
    audio_input = {
        "format": {"type": "audio/pcmu"},
        "transcription": {"model": "gpt-transcribe"},
        "turn_detection": changes.pop("turn_detection", detection),
    }
    return {
        "type": "realtime",
        "tools": TOOLS,
        "audio": {"input": audio_input, "output": {"format": {"type": "audio/pcmu"}}},
        **changes,
    }


class Client:
    """Sends what a bridge would send; keeps every event it got."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.events: list[dict[str, Any]] = []

    async def send(self, kind: str, **fields: object) -> None:
        await self.socket.send(orjson.dumps({"type": kind, **fields}).decode())

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(10):
            event: dict[str, Any] = orjson.loads(await self.socket.recv())
        self.events.append(event)
        return event

    async def until(self, kind: str) -> dict[str, Any]:
        """The next event of this type; what comes before it is kept in ``events``."""
        while (event := await self.next())["type"] != kind:
            pass
        return event

    async def configure(self, **changes: object) -> dict[str, Any]:
        """Wait for the session, set it up for a telephone, return the ``session.updated``."""
        await self.until("session.created")
        await self.send("session.update", session=telephone_settings(**changes))
        return await self.until("session.updated")

    async def append(self, audio: bytes, chunk_bytes: int = 160) -> None:
        for start in range(0, len(audio), chunk_bytes):
            chunk = b64encode(audio[start : start + chunk_bytes]).decode()
            await self.send("input_audio_buffer.append", audio=chunk)

    async def hush(self, duration_ms: int = 700) -> None:
        await self.append(AudioFormat.PCMU.silence(duration_ms))

    async def talk(self, line: str = "still_there", chunk_bytes: int = 160) -> None:
        """One turn of the caller: speech, then enough silence to end it."""
        await self.append(speech(line=line) + AudioFormat.PCMU.silence(700), chunk_bytes)

    async def answer_tool(self, call: dict[str, Any], output: str = '{"ok":true}') -> None:
        item = {"type": "function_call_output", "call_id": call["call_id"], "output": output}
        await self.send("conversation.item.create", item=item)

    def kinds(self) -> list[str]:
        """Types of all events in order, runs of the same type as one."""
        return [kind for kind, _ in itertools.groupby(event["type"] for event in self.events)]

    def all(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]


@asynccontextmanager
async def connected(
    server: SimulatedRealtime,
    *,
    key: str = "sk-test",
    query: str = f"model={MODEL}",
    **headers: str,
) -> AsyncIterator[Client]:
    """A client on its own connection; another key, query or headers where a test wants them."""
    async with connect(
        f"{server.url}?{query}",
        additional_headers={"Authorization": f"Bearer {key}", **headers},
        compression=None,
        max_size=None,
        max_queue=None,
        close_timeout=1,
    ) as socket:
        yield Client(socket)


INSTANT = SimulatorOptions(profile="instant", strict=True)
"""No delays; everything that comes in is checked."""
FAST = SimulatorOptions(profile="fast", strict=True)
"""Short delays, so that a response can be met while it runs."""


@dataclass(order=True)
class _Call:
    when: float
    number: int
    callback: Callable[..., object] = field(compare=False)
    args: tuple[object, ...] = field(compare=False)
    cancelled: bool = field(default=False, compare=False)

    def __hash__(self) -> int:
        return self.number

    def cancel(self) -> None:
        self.cancelled = True


class HandClock:
    """Time that a test moves itself."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._calls: list[_Call] = []
        self._numbers = itertools.count()

    def time(self) -> float:
        return self._now

    def call_at(self, when: float, callback: Callable[..., object], *args: object) -> _Call:
        call = _Call(when, next(self._numbers), callback, args)
        heapq.heappush(self._calls, call)
        return call

    def advance(self, seconds: float) -> None:
        end = self._now + seconds
        while self._calls and self._calls[0].when <= end:
            call = heapq.heappop(self._calls)
            self._now = max(self._now, call.when)
            if not call.cancelled:
                call.callback(*call.args)
        self._now = end

    @property
    def pending(self) -> int:
        return sum(not call.cancelled for call in self._calls)


class Recorder:
    """The wire of a session under a hand-moved clock: keeps what was sent, and when."""

    def __init__(self, clock: HandClock) -> None:
        self._clock = clock
        self.events: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.closed: tuple[int, str] | None = None
        self.cuts: list[Cut] = []

    def send_text(self, payload: bytes) -> None:
        self.events.append(orjson.loads(payload))
        self.times.append(self._clock.time())

    def send_binary(self, payload: bytes) -> None:
        raise AssertionError("no binary frame was expected")

    def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)

    def cut(self, cut: Cut) -> None:
        self.cuts.append(cut)


@dataclass
class Bench:
    """One session without a socket."""

    session: RealtimeSession
    clock: HandClock
    wire: Recorder

    def send(self, kind: str, **fields: object) -> None:
        self.session.receive(orjson.dumps({"type": kind, **fields}))

    def append(self, audio: bytes, chunk_bytes: int = 160) -> None:
        for start in range(0, len(audio), chunk_bytes):
            chunk = b64encode(audio[start : start + chunk_bytes]).decode()
            self.send("input_audio_buffer.append", audio=chunk)

    def talk(self) -> None:
        self.append(speech() + AudioFormat.PCMU.silence(700))

    def all(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.wire.events if event["type"] == kind]

    def at(self, kind: str) -> list[float]:
        """When events of this type were sent."""
        pairs = zip(self.wire.events, self.wire.times, strict=True)
        return [time for event, time in pairs if event["type"] == kind]


def bench(
    scenario: str | Scenario = "reactive",
    latency: str | LatencyProfile = "instant",
    seed: int = 0,
    faults: FaultPlan = NO_FAULTS,
) -> Bench:
    clock = HandClock()
    wire = Recorder(clock)
    script = load_scenario(scenario) if isinstance(scenario, str) else scenario
    stage = Stage(
        clock=clock,
        timers=Timers(clock),
        rng=random.Random(seed),
        wire=wire,
        profile=profile(latency) if isinstance(latency, str) else latency,
        lines=assistant_lines(),
        faults=faults,
        settings=SessionSettings("sess_1", MODEL, expires_at=4600),
        conversation=Conversation("conv_1"),
        script=Script(script),
        record=SessionRecord(0, "sess_1", MODEL, script.name, clock.time(), keep_events=True),
    )
    session = RealtimeSession(stage, load_scenario, strict=True)
    session.open(ttl_s=3600)
    return Bench(session, clock, wire)
