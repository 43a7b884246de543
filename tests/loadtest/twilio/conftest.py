"""The other side of the simulator: a small application and a media server, on real sockets."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import numpy as np
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request as WebSocketRequest
from websockets.http11 import Response as WebSocketResponse

import audiocodecs
from loadtest.twilio import Clip, Origins, PhoneNumber, Settings, SimulatedTwilio

ACCOUNT_SID = "AC" + "0a" * 16
AUTH_TOKEN = "test-token"
FLOW_SID = "FW" + "1b" * 16
WORKFLOW_SID = "WW" + "2c" * 16
PUBLIC = "bridge.example"
STUDIO = f"https://webhooks.twilio.com/v1/Accounts/{ACCOUNT_SID}/Flows/{FLOW_SID}"


def tone(length_ms: int, hz: int = 440) -> bytes:
    """Audible mu-law."""
    time_s = np.arange(length_ms * 8) / 8000
    wave = (np.sin(2 * np.pi * hz * time_s) * 8000).astype("<i2")
    return audiocodecs.pcm16_to_ulaw(wave.tobytes())


def silence(length_ms: int) -> bytes:
    return b"\xff" * (length_ms * 8)


def clip(length_ms: int) -> Clip:
    return Clip.of(tone(length_ms))


def response(*verbs: str) -> str:
    return f'<?xml version="1.0" encoding="UTF-8"?><Response>{"".join(verbs)}</Response>'


@dataclass(frozen=True)
class Seen:
    """One request as the application saw it."""

    method: str
    path: str
    target: str
    params: Mapping[str, str]
    headers: Mapping[str, str]


Reply = str | Response | Callable[[Mapping[str, str]], str | Response]


class Application:
    """Answers each path with what the test says, and remembers what was asked."""

    def __init__(self) -> None:
        self.replies: dict[str, Reply] = {}
        self.seen: list[Seen] = []
        self.held: asyncio.Event | None = None
        self.port = 0

    def asked(self, path: str) -> list[Seen]:
        return [request for request in self.seen if request.path == path]

    async def handle(self, request: Request) -> Response:
        form = await request.form()
        params = {name: str(value) for name, value in form.items()}
        path = request.url.path
        target = request.scope["raw_path"].decode()
        if request.scope["query_string"]:
            target += "?" + request.scope["query_string"].decode()
        self.seen.append(Seen(request.method, path, target, params, request.headers))
        if self.held is not None:
            await self.held.wait()
        reply = self.replies.get(path)
        if reply is None:
            return Response("nothing here", status_code=404)
        answer = reply(params) if callable(reply) and not isinstance(reply, Response) else reply
        if isinstance(answer, Response):
            return answer
        return Response(answer, media_type="text/xml")


@contextlib.asynccontextmanager
async def serving(app: Starlette) -> AsyncIterator[int]:
    """The app on a free port of loopback."""
    config = uvicorn.Config(app, port=0, log_level="warning", lifespan="off")
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        await server.shutdown()


@pytest.fixture
async def application() -> AsyncIterator[Application]:
    app = Application()
    route = Route("/{path:path}", app.handle, methods=["GET", "POST"])
    async with serving(Starlette(routes=[route])) as port:
        app.port = port
        yield app


Message = dict[str, Any]


@dataclass
class Socket:
    """One media connection, from the server's side."""

    connection: ServerConnection
    headers: Headers
    messages: list[Message] = field(default_factory=list)
    stream_sid: str = ""

    async def next(self) -> Message:
        message: Message = json.loads(await self.connection.recv())
        self.messages.append(message)
        if message["event"] == "start":
            self.stream_sid = message["streamSid"]
        return message

    async def until(self, event: str) -> Message:
        while (message := await self.next())["event"] != event:
            pass
        return message

    async def send(self, message: Message) -> None:
        await self.connection.send(json.dumps(message))

    async def play(self, ulaw: bytes, mark: str | None = None) -> None:
        payload = base64.b64encode(ulaw).decode()
        media = {"payload": payload}
        await self.send({"event": "media", "streamSid": self.stream_sid, "media": media})
        if mark is not None:
            await self.mark(mark)

    async def mark(self, name: str) -> None:
        await self.send({"event": "mark", "streamSid": self.stream_sid, "mark": {"name": name}})

    async def clear(self) -> None:
        await self.send({"event": "clear", "streamSid": self.stream_sid})

    def of(self, event: str) -> list[Message]:
        return [message for message in self.messages if message["event"] == event]


Behaviour = Callable[[Socket], Awaitable[None]]


class MediaServer:
    """Runs the test's behaviour for every media connection; closes when it returns."""

    def __init__(self) -> None:
        self.behaviour: Behaviour = _listen
        self.sockets: list[Socket] = []
        self.port = 0
        self.refusal: int | None = None
        self.held: asyncio.Event | None = None
        self.asked = asyncio.Event()
        self.connected = asyncio.Event()

    async def answer(
        self, connection: ServerConnection, request: WebSocketRequest
    ) -> WebSocketResponse | None:
        self.asked.set()
        if self.held is not None:
            await self.held.wait()
        if self.refusal is None:
            return None
        return connection.respond(HTTPStatus(self.refusal), "refused")

    async def handle(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        socket = Socket(connection, connection.request.headers)
        self.sockets.append(socket)
        self.connected.set()
        await self.behaviour(socket)

    @property
    def socket(self) -> Socket:
        assert len(self.sockets) == 1
        return self.sockets[0]


async def _listen(socket: Socket) -> None:
    await socket.until("stop")


@pytest.fixture
async def media() -> AsyncIterator[MediaServer]:
    server = MediaServer()
    async with serve(
        server.handle, "127.0.0.1", 0, compression=None, process_request=server.answer
    ) as listening:
        server.port = listening.sockets[0].getsockname()[1]
        yield server


@pytest.fixture
def settings(application: Application, media: MediaServer) -> Settings:
    resolve = {
        f"https://{PUBLIC}": f"http://127.0.0.1:{application.port}",
        f"wss://{PUBLIC}": f"ws://127.0.0.1:{media.port}",
    }
    return Settings(
        account_sid=ACCOUNT_SID,
        auth_token=AUTH_TOKEN,
        origins=Origins(resolve),
        say_ms_per_word=0,
    )


@pytest.fixture
def number() -> PhoneNumber:
    return PhoneNumber(f"https://{PUBLIC}/voice")


@pytest.fixture
async def twilio(settings: Settings, number: PhoneNumber) -> AsyncIterator[SimulatedTwilio]:
    async with SimulatedTwilio(settings, number, random.Random(1)) as simulated:
        yield simulated
