"""The proxy on real sockets, between the simulated Twilio and a small media server."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from itertools import pairwise
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from loadtest.harness.degrade import DegradingProxy, Tampering, parse_degradation
from loadtest.twilio import (
    CallResult,
    CallScript,
    HangUp,
    Origins,
    Settings,
    SimulatedTwilio,
    StayOnLine,
    Step,
    StreamEnd,
    WaitForStream,
    WaitMs,
)

PUBLIC = "wss://bridge.example"
TONE = base64.b64encode(b"\x00" * 160).decode()

Behaviour = Callable[[ServerConnection], Awaitable[None]]


async def listen(socket: ServerConnection) -> None:
    async for _ in socket:
        pass


class Bridge:
    """A media server that does what the test says and remembers what came, and when."""

    def __init__(self, behaviour: Behaviour = listen, refusal: HTTPStatus | None = None) -> None:
        self.headers: list[dict[str, str]] = []
        self.path = ""
        self.port = 0
        self._behaviour = behaviour
        self._refusal = refusal

    def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        self.headers.append({name.lower(): value for name, value in request.headers.raw_items()})
        self.path = request.path
        return None if self._refusal is None else connection.respond(self._refusal, "no\n")

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Bridge]:
        async with serve(
            self._behaviour, "127.0.0.1", 0, process_request=self.admit, compression=None
        ) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            yield self


async def call_through(
    bridge: Bridge, asked: list[str], *steps: Step, seed: int = 0
) -> tuple[CallResult, Tampering]:
    async with DegradingProxy(parse_degradation(asked), seed) as proxy:
        origins = Origins({PUBLIC: f"ws://127.0.0.1:{bridge.port}"})
        settings = Settings("AC" + "0" * 32, "token", proxy.behind(origins), rest_port=None)
        twiml = f'<Response><Connect><Stream url="{PUBLIC}/media"/></Connect></Response>'
        script = CallScript(steps, twiml=twiml, max_call_ms=5_000, record=False)
        async with SimulatedTwilio(settings) as twilio:
            result = await twilio.place_call(script)
    return result, proxy.tampering


def said(event: str, sid: str, **body: object) -> str:
    return json.dumps({"event": event, "streamSid": sid, **({event: body} if body else {})})


async def started(socket: ServerConnection) -> str:
    async for message in socket:
        decoded = json.loads(message)
        if decoded["event"] == "start":
            return str(decoded["streamSid"])
    raise AssertionError("no start came")


async def test_the_upgrade_arrives_as_it_was_sent_and_the_close_as_the_bridge_gave_it() -> None:
    async def hang_up(socket: ServerConnection) -> None:
        await started(socket)
        await socket.close(1000, "done")

    async with Bridge(hang_up).serving() as bridge:
        result, tampering = await call_through(bridge, ["delay=5ms"], StayOnLine())
    assert bridge.path == "/media"
    assert bridge.headers[0]["host"] == "bridge.example"
    assert bridge.headers[0]["user-agent"] == "Twilio.TmeWs/1.0"
    assert bridge.headers[0]["x-twilio-signature"]
    (stream,) = result.streams
    assert (stream.end, stream.close_code, stream.close_reason) == (
        StreamEnd.CLOSED_BY_SERVER,
        1000,
        "done",
    )
    assert tampering.connections == 1


async def test_a_refusal_of_the_bridge_is_the_proxys_refusal() -> None:
    async with Bridge(refusal=HTTPStatus.FORBIDDEN).serving() as bridge:
        result, tampering = await call_through(bridge, ["delay=50ms"], StayOnLine(max_ms=200))
    assert [stream.refused_status for stream in result.streams] == [403]
    assert tampering == Tampering(refused=1)


async def test_a_bridge_that_is_not_there_is_a_bad_gateway() -> None:
    async with Bridge().serving() as bridge:
        pass
    result, _ = await call_through(bridge, ["delay=50ms"], StayOnLine(max_ms=200))
    assert [stream.refused_status for stream in result.streams] == [502]


async def test_a_connection_that_breaks_is_broken_on_the_other_side_too() -> None:
    async def break_off(socket: ServerConnection) -> None:
        await started(socket)
        socket.transport.abort()

    async with Bridge(break_off).serving() as bridge:
        result, _ = await call_through(bridge, ["forget-marks"], StayOnLine())
    assert [stream.end for stream in result.streams] == [StreamEnd.LOST]


async def test_a_delay_keeps_the_order_and_holds_every_message_back() -> None:
    loop = asyncio.get_running_loop()
    sent: list[float] = []
    got: list[tuple[int, float]] = []

    async def echo_marks(socket: ServerConnection) -> None:
        sid = await started(socket)
        for number in range(5):
            sent.append(loop.time())
            await socket.send(said("mark", sid, name=str(number)))
        async for message in socket:
            decoded: dict[str, Any] = json.loads(message)
            if decoded["event"] == "mark":
                got.append((int(decoded["mark"]["name"]), loop.time()))
                if len(got) == len(sent):
                    return

    async with Bridge(echo_marks).serving() as bridge:
        await call_through(bridge, ["delay.uplink=30ms", "delay.downlink=50ms"], StayOnLine())
    assert [number for number, _ in got] == [0, 1, 2, 3, 4]
    assert min(at - begun for begun, (_, at) in zip(sent, got, strict=True)) >= 0.08


async def test_one_frame_in_five_is_lost_on_its_way_to_the_bridge_and_nothing_else() -> None:
    chunks: list[int] = []
    others: list[str] = []

    async def note(socket: ServerConnection) -> None:
        async for message in socket:
            decoded = json.loads(message)
            if decoded["event"] == "media":
                chunks.append(int(decoded["media"]["chunk"]))
            else:
                others.append(decoded["event"])

    async with Bridge(note).serving() as bridge:
        result, tampering = await call_through(
            bridge, ["drop.uplink=1/5"], WaitForStream(), WaitMs(600), HangUp()
        )
    sent = result.streams[0].frames_sent
    expected = [chunk for chunk in range(1, sent + 1) if chunk % 5]
    assert chunks == expected
    assert others == ["connected", "start", "stop"]
    assert (tampering.uplink_dropped, tampering.downlink_dropped) == (sent // 5, 0)


async def test_what_is_lost_by_share_is_the_same_for_the_same_seed() -> None:
    async def lost(seed: int) -> list[int]:
        chunks: list[int] = []

        async def note(socket: ServerConnection) -> None:
            async for message in socket:
                decoded = json.loads(message)
                if decoded["event"] == "media":
                    chunks.append(int(decoded["media"]["chunk"]))
                if len(chunks) == 20:
                    return

        async with Bridge(note).serving() as bridge:
            await call_through(bridge, ["drop=0.3"], StayOnLine(), seed=seed)
        return chunks

    first = await lost(1)
    assert first == await lost(1)
    assert first != await lost(2)
    assert any(after - before > 1 for before, after in pairwise(first))


async def test_audio_of_the_bridge_is_lost_while_its_marks_pass() -> None:
    async def play(socket: ServerConnection) -> None:
        sid = await started(socket)
        for number in range(10):
            await socket.send(said("media", sid, payload=TONE))
            await socket.send(said("mark", sid, name=str(number)))
        await echoed(socket, "9")

    async with Bridge(play).serving() as bridge:
        result, tampering = await call_through(bridge, ["drop.downlink=1/2"], StayOnLine())
    (stream,) = result.streams
    assert (stream.audio_bytes_received, stream.marks_received) == (5 * 160, 10)
    assert (tampering.downlink_dropped, tampering.marks_forgotten) == (5, 0)


async def echoed(socket: ServerConnection, name: str) -> None:
    async for message in socket:
        decoded = json.loads(message)
        if decoded["event"] == "mark" and decoded["mark"]["name"] == name:
            return


async def test_forgotten_marks_never_reach_twilio_and_all_else_does() -> None:
    async def play(socket: ServerConnection) -> None:
        sid = await started(socket)
        await socket.send(said("media", sid, payload=TONE))
        await socket.send(said("mark", sid, name="one"))
        await socket.send(said("clear", sid))
        await socket.close()

    async with Bridge(play).serving() as bridge:
        result, tampering = await call_through(bridge, ["forget-marks"], StayOnLine())
    (stream,) = result.streams
    assert (stream.audio_bytes_received, stream.marks_received, stream.clears) == (160, 0, 1)
    assert tampering.marks_forgotten == 1
    assert result.errors == ()


@pytest.mark.parametrize("asked", [["delay=1ms"], ["drop=1/7", "forget-marks"]])
async def test_nothing_is_left_running(asked: list[str]) -> None:
    before = asyncio.all_tasks()
    async with Bridge().serving() as bridge:
        await call_through(bridge, asked, WaitForStream(), WaitMs(100), HangUp())
    assert asyncio.all_tasks() == before
