"""A proxy between the simulated Twilio and a bridge's media socket that degrades what it passes on.

It answers an upgrade as the bridge answers it, and closes as either side closes. Everything of one
direction stays in order: a delay holds marks and closes back as well as audio. One proxy serves any
number of bridges: where to go stands in the query of the address that it is reached under.
"""

from __future__ import annotations

import asyncio
import http
import random
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.http11 import Request, Response

from loadtest.harness.degrade.faults import Degradation, Share
from loadtest.twilio.origins import Destination, Origins

MOST_HELD = 20_000
"""Messages of one direction that are held back at once; past that the sender is not read."""
MAX_MESSAGE_BYTES = 10 * 1024 * 1024
CONNECT_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 2.0
_OWN_HEADERS = ("connection", "upgrade", "host")
_LOST = 1006


@dataclass(slots=True)
class Tampering:
    """What was done so far, over all connections."""

    connections: int = 0
    refused: int = 0
    uplink_messages: int = 0
    downlink_messages: int = 0
    uplink_dropped: int = 0
    downlink_dropped: int = 0
    marks_forgotten: int = 0


class Sieve:
    """Decides of each text message of one direction whether it passes."""

    def __init__(self, share: Share, rng: random.Random, *, forget_marks: bool = False) -> None:
        self._share = share
        self._rng = rng
        self._forget_marks = forget_marks
        self._media = 0
        self.dropped = 0
        self.forgotten = 0

    def passes(self, message: str | bytes) -> bool:
        if not self._share and not self._forget_marks:
            return True
        kind = _event(message)
        if kind == "media" and self._loses():
            self.dropped += 1
            return False
        if kind == "mark" and self._forget_marks:
            self.forgotten += 1
            return False
        return True

    def _loses(self) -> bool:
        self._media += 1
        if self._share.one_in:
            return self._media % self._share.one_in == 0
        return self._rng.random() < self._share.probability


def _event(message: str | bytes) -> object:
    try:
        decoded = orjson.loads(message)
    except orjson.JSONDecodeError:
        return None  # not ours to judge
    return decoded.get("event") if isinstance(decoded, dict) else None


@dataclass(frozen=True, slots=True)
class Closed:
    """The end of one direction; ``lost``: without a closing handshake."""

    code: int
    reason: str

    @property
    def lost(self) -> bool:
        return self.code == _LOST


class DegradingProxy:
    """``async with DegradingProxy(degradation, seed) as proxy:`` serves on a free loopback port.

    Give ``proxy.behind(origins)`` to the simulated Twilio: its webhooks go where they went, its
    media sockets go through here. ``ssl_context`` is for bridges that are reached by ``wss``.
    """

    def __init__(
        self, degradation: Degradation, seed: int = 0, ssl_context: ssl.SSLContext | None = None
    ) -> None:
        self.degradation = degradation
        self.tampering = Tampering()
        self._seed = seed
        self._tls = ssl_context
        self._server: Server | None = None
        self._ahead: dict[ServerConnection, ClientConnection] = {}

    @property
    def port(self) -> int:
        if self._server is None:
            raise RuntimeError("the proxy is not running: use it as `async with`")
        return int(next(iter(self._server.sockets)).getsockname()[1])

    def behind(self, origins: Origins) -> DegradedOrigins:
        return DegradedOrigins(origins.resolve, origins.allowed, self.address_for)

    def address_for(self, to: Destination) -> str:
        """Where to connect instead; the Host header goes along unchanged."""
        query = urlencode({"to": to.address, "host": to.host})
        return f"ws://127.0.0.1:{self.port}/?{query}"

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._pass_on,
            "127.0.0.1",
            0,
            process_request=self._ask_ahead,
            compression=None,
            ping_interval=None,
            close_timeout=CLOSE_TIMEOUT_S,
            max_size=MAX_MESSAGE_BYTES,
            server_header=None,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        for upstream in self._ahead.values():
            await upstream.close()
        self._ahead.clear()

    # --- one connection ------------------------------------------------------------------------

    async def _ask_ahead(self, near: ServerConnection, request: Request) -> Response | None:
        """Connect to the bridge first: what it answers to the upgrade is what Twilio gets."""
        query = parse_qs(urlsplit(request.path).query)
        to = Destination(query["to"][0], query["host"][0])
        try:
            self._ahead[near] = await self._connect(to, request.headers)
        except InvalidStatus as refused:
            self.tampering.refused += 1
            answer = refused.response
            return Response(answer.status_code, answer.reason_phrase, Headers(), answer.body)
        except (OSError, WebSocketException, TimeoutError):
            # A refused TCP connection cannot be imitated once ours was accepted.
            self.tampering.refused += 1
            return near.respond(http.HTTPStatus.BAD_GATEWAY, "the bridge cannot be reached\n")
        return None

    async def _connect(self, to: Destination, headers: Headers) -> ClientConnection:
        """To the address, under the public name, with the signature and all else that was sent."""
        there = urlsplit(to.address)
        secure = there.scheme == "wss"
        public = urlunsplit((there.scheme, to.host, there.path, there.query, ""))
        passed_on = [
            (name, value)
            for name, value in headers.raw_items()
            if name.lower() not in _OWN_HEADERS and not name.lower().startswith("sec-websocket")
        ]
        return await connect(
            public,
            host=there.hostname,
            port=there.port or (443 if secure else 80),
            additional_headers=passed_on,
            user_agent_header=None,
            ssl=(self._tls or ssl.create_default_context()) if secure else None,
            server_hostname=there.hostname if secure else None,
            compression=None,
            ping_interval=None,
            open_timeout=CONNECT_TIMEOUT_S,
            close_timeout=CLOSE_TIMEOUT_S,
            max_size=MAX_MESSAGE_BYTES,
            proxy=None,
        )

    async def _pass_on(self, near: ServerConnection) -> None:
        far = self._ahead.pop(near)
        plan, number = self.degradation, self.tampering.connections
        self.tampering.connections += 1
        up = Sieve(plan.uplink_drop, random.Random(f"{self._seed}:{number}:up"))
        down = Sieve(
            plan.downlink_drop,
            random.Random(f"{self._seed}:{number}:down"),
            forget_marks=plan.forget_marks,
        )
        try:
            async with asyncio.TaskGroup() as lanes:
                lanes.create_task(self._lane(near, far, up, plan.uplink_delay_ms))
                lanes.create_task(self._lane(far, near, down, plan.downlink_delay_ms))
        finally:
            self.tampering.uplink_dropped += up.dropped
            self.tampering.downlink_dropped += down.dropped
            self.tampering.marks_forgotten += down.forgotten

    async def _lane(
        self,
        source: ServerConnection | ClientConnection,
        target: ServerConnection | ClientConnection,
        sieve: Sieve,
        delay_ms: int,
    ) -> None:
        """One direction, to its end."""
        loop = asyncio.get_running_loop()
        held: asyncio.Queue[tuple[float, str | bytes | Closed]] = asyncio.Queue(MOST_HELD)
        uplink = isinstance(source, ServerConnection)

        async def read() -> None:
            try:
                async for message in source:
                    self._count(uplink=uplink)
                    if sieve.passes(message):
                        await held.put((loop.time() + delay_ms / 1000, message))
            except ConnectionClosed:
                pass
            code = source.close_code or _LOST
            await held.put((loop.time() + delay_ms / 1000, Closed(code, source.close_reason or "")))

        reading = asyncio.create_task(read())
        try:
            await _deliver(held, target, loop.time)
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading

    def _count(self, *, uplink: bool) -> None:
        if uplink:
            self.tampering.uplink_messages += 1
        else:
            self.tampering.downlink_messages += 1


async def _deliver(
    held: asyncio.Queue[tuple[float, str | bytes | Closed]],
    target: ServerConnection | ClientConnection,
    now: Callable[[], float],
) -> None:
    """Send what is held when it is due, until the end of its direction."""
    while True:
        due, message = await held.get()
        if due > (at := now()):
            await asyncio.sleep(due - at)
        if isinstance(message, Closed):
            await _close(target, message)
            return
        try:
            # A text message arrives as str here, and has to leave as one.
            await target.send(message)
        except ConnectionClosed:
            return


async def _close(target: ServerConnection | ClientConnection, closed: Closed) -> None:
    if closed.lost:
        target.transport.abort()
        return
    if closed.code == 1005:  # a close without a code
        await target.close()
    else:
        await target.close(closed.code, closed.reason)


@dataclass(frozen=True, slots=True)
class DegradedOrigins(Origins):
    """As the origins it was made of, with every media socket led through the proxy."""

    detour: Callable[[Destination], str] | None = None

    def destination(self, url: str) -> Destination:
        to = Origins.destination(self, url)
        if self.detour is None or urlsplit(to.address).scheme not in ("ws", "wss"):
            return to
        return Destination(self.detour(to), to.host)
