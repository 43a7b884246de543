"""The model's server, driven by hand on the ``websockets`` package."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request

from tests.bridge.legs.served import WAIT_S

Event = dict[str, Any]
APPEND = "input_audio_buffer.append"
TELEPHONE = "audio/pcmu"


class PuppetSession:
    """One session. Says only what the test says, but keeps everything it is told."""

    def __init__(self, connection: ServerConnection) -> None:
        self.connection = connection
        self.events: list[Event] = []
        """All but audio."""
        self.audio: list[bytes] = []
        """One entry for each append."""
        self.closed_at: float | None = None
        self._changed = asyncio.Event()

    async def run(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for message in self.connection:
                event = json.loads(message)
                if event["type"] == APPEND:
                    self.audio.append(base64.b64decode(event["audio"]))
                else:
                    self.events.append(event)
                self._changed.set()
        self.closed_at = time.monotonic()
        self._changed.set()

    # --- what it was told ----------------------------------------------------------------------

    async def until(self, condition: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(WAIT_S):
                while not condition():
                    assert self.closed_at is None, f"closed, and came only: {self.kinds}"
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"came only: {self.kinds}") from None

    async def event(self, kind: str, count: int = 1) -> Event:
        """The ``count``-th event of this type."""
        await self.until(lambda: len(self.of(kind)) >= count)
        return self.of(kind)[count - 1]

    async def frames(self, count: int) -> list[bytes]:
        await self.until(lambda: len(self.audio) >= count)
        return self.audio

    async def closed(self) -> tuple[int, str]:
        """How the bridge closed it, or the connection was lost (1006)."""
        await self.until(lambda: self.closed_at is not None)
        assert self.connection.close_code is not None
        return self.connection.close_code, self.connection.close_reason or ""

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.events if event["type"] == kind]

    @property
    def kinds(self) -> list[str]:
        return [event["type"] for event in self.events]

    @property
    def texts(self) -> list[tuple[str, str]]:
        """Role and text of each message that was put into the conversation."""
        items = [event["item"] for event in self.of("conversation.item.create")]
        return [
            (item["role"], item["content"][0]["text"])
            for item in items
            if item["type"] == "message"
        ]

    @property
    def tool_outputs(self) -> dict[str, str]:
        items = [event["item"] for event in self.of("conversation.item.create")]
        return {
            item["call_id"]: item["output"]
            for item in items
            if item["type"] == "function_call_output"
        }

    # --- what it says --------------------------------------------------------------------------

    async def send(self, kind: str, **fields: object) -> None:
        await self.connection.send(json.dumps({"type": kind, "event_id": "event_1", **fields}))

    async def created(self) -> None:
        await self.send("session.created", session={"id": "sess_1", "type": "realtime"})

    async def updated(self, heard: str | None = TELEPHONE, spoken: str | None = TELEPHONE) -> None:
        def side(kind: str | None) -> dict[str, object]:
            return {} if kind is None else {"format": {"type": kind}}

        audio = {"input": side(heard), "output": {**side(spoken), "voice": "marin"}}
        await self.send("session.updated", session={"type": "realtime", "audio": audio})

    async def configure(self) -> None:
        await self.created()
        await self.event("session.update")
        await self.updated()

    async def error(self, code: str | None, message: str = "", event_id: str | None = None) -> None:
        fault = {
            "type": "invalid_request_error",
            "code": code,
            "message": message,
            "param": None,
            "event_id": event_id,
        }
        await self.send("error", error=fault)

    async def speech_started(self, item: str = "user_1", at_ms: int = 0) -> None:
        await self.send("input_audio_buffer.speech_started", item_id=item, audio_start_ms=at_ms)

    async def speech_stopped(self, item: str = "user_1", at_ms: int = 0) -> None:
        await self.send("input_audio_buffer.speech_stopped", item_id=item, audio_end_ms=at_ms)

    async def response(self, response: str = "resp_1", **fields: object) -> None:
        await self.send("response.created", response={"id": response, **fields})

    async def delta(self, ulaw: bytes, item: str = "item_1", response: str = "resp_1") -> None:
        await self.send(
            "response.output_audio.delta",
            response_id=response,
            item_id=item,
            output_index=0,
            content_index=0,
            delta=base64.b64encode(ulaw).decode(),
        )

    async def audio_done(self, item: str = "item_1", response: str = "resp_1") -> None:
        await self.send(
            "response.output_audio.done", response_id=response, item_id=item, content_index=0
        )

    async def done(
        self,
        response: str = "resp_1",
        status: str = "completed",
        *,
        code: str | None = None,
        output: list[Event] | None = None,
    ) -> None:
        details = None if code is None else {"type": status, "error": {"type": code, "code": code}}
        await self.send(
            "response.done",
            response={
                "id": response,
                "status": status,
                "status_details": details,
                "output": output or [],
            },
        )

    async def speak(self, ulaw: bytes, item: str = "item_1", response: str = "resp_1") -> None:
        """A whole response of one item."""
        await self.response(response)
        await self.delta(ulaw, item, response)
        await self.audio_done(item, response)
        await self.done(response)

    def call(
        self,
        name: str,
        arguments: object = None,
        call_id: str = "call_1",
        status: str = "completed",
    ) -> Event:
        """A function call as an item."""
        return {
            "id": f"fc_{call_id}",
            "type": "function_call",
            "name": name,
            "call_id": call_id,
            "arguments": json.dumps(arguments or {}),
            "status": status,
        }

    async def item_done(self, item: Event, response: str = "resp_1") -> None:
        await self.send(
            "response.output_item.done", response_id=response, output_index=0, item=item
        )

    async def decide(self, response: str = "resp_1", call_id: str = "call_1") -> None:
        """A whole response that calls the routing tool."""
        await self.response(response)
        call = self.call("route_call", ROUTE, call_id)
        await self.item_done(call, response)
        await self.done(response, output=[call])

    # --- how it goes ---------------------------------------------------------------------------

    def stop_reading(self) -> None:
        """Leave everything on the wire: the peer's window fills up."""
        self.connection.transport.pause_reading()

    def start_reading(self) -> None:
        self.connection.transport.resume_reading()

    @contextlib.asynccontextmanager
    async def only_talking(self) -> AsyncIterator[None]:
        """Read nothing but go on sending, so that nobody asks by a ping whether this end lives."""
        self.stop_reading()
        talking = asyncio.create_task(self._keep_talking())
        try:
            yield
        finally:
            talking.cancel()
            self.start_reading()

    async def _keep_talking(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await self.send("response.output_hologram.delta")
                await asyncio.sleep(0.2)

    def reset(self) -> None:
        transport = self.connection.transport
        line = transport.get_extra_info("socket")
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()


ROUTE = {
    "intent": "general",
    "summary": "Wants something.",
    "confidence": 0.9,
    "sentiment": "neutral",
    "urgency": "normal",
    "language": "en-US",
    "slots": {},
}
"""Arguments of a routing call that is in order."""


class PuppetModel:
    """``configures``: sessions answer ``session.update`` as a server does that agrees."""

    def __init__(self, configures: bool) -> None:
        self._configures = configures
        self.door = asyncio.Event()
        """Upgrades are answered while it is set."""
        self.door.set()
        self.knocked = asyncio.Event()
        self.sessions: list[PuppetSession] = []
        self.port = 0
        self.server: Server | None = None
        self._came = asyncio.Event()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/realtime"

    @property
    def open(self) -> int:
        return sum(session.closed_at is None for session in self.sessions)

    async def handle(self, connection: ServerConnection) -> None:
        session = PuppetSession(connection)
        self.sessions.append(session)
        self._came.set()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(session.run())
            if self._configures:
                with contextlib.suppress(ConnectionClosed, AssertionError):
                    await session.configure()

    async def answer_the_door(self, connection: ServerConnection, request: Request) -> None:
        self.knocked.set()
        await self.door.wait()

    async def session(self, number: int = 0) -> PuppetSession:
        """The n-th connection, from 0."""
        async with asyncio.timeout(WAIT_S):
            while len(self.sessions) <= number:
                self._came.clear()
                await self._came.wait()
        return self.sessions[number]


@contextlib.asynccontextmanager
async def serve_puppet(
    configures: bool = True,
    compression: str | None = None,
    receive_buffer_bytes: int | None = None,
) -> AsyncIterator[PuppetModel]:
    """``compression``: "deflate" for a server that would agree to it."""
    model = PuppetModel(configures)
    listening = socket.create_server(("127.0.0.1", 0))
    if receive_buffer_bytes is not None:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
    async with serve(
        model.handle,
        sock=listening,
        process_request=model.answer_the_door,
        compression=compression,
        close_timeout=1,
        max_queue=None,
        ping_interval=None,
    ) as server:
        model.server = server
        model.port = server.sockets[0].getsockname()[1]
        yield model
