"""uvicorn as a part of our program: one port for HTTP and the media socket, signals left to us."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bridge.openfiles import ListeningSocket

BACKLOG = 4096
KEEP_ALIVE_S = 65
"""Longer than load balancers keep an idle connection, so that they are the ones to close it."""
FINISH_WAIT_S = 5
"""Requests in progress at the end get so long."""


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's, and a connection that never asks anything is idle from its beginning.

    What is over is let go at once: parser and answer refer back to their connection, and would wait
    for a collector that comes once in some hundred calls.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def handle_websocket_upgrade(self) -> None:
        super().handle_websocket_upgrade()
        self.parser = None  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.cycle is not None and self.cycle.response_complete:
            self.cycle = None  # type: ignore[assignment]


class HttpServer(uvicorn.Server):
    """Serves ``app`` on a bound socket, which it then owns.

    ``ws_protocol`` makes the protocol of an upgraded connection; None refuses every upgrade.
    ``tls`` is there to be measured: in front of callers something made for it ends TLS, which
    renews its certificate and knows what to do with strangers.
    """

    def __init__(
        self,
        app: ASGIApp,
        listening: socket.socket,
        ws_protocol: Callable[..., object] | None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._app = app
        self._leaving = False
        super().__init__(
            uvicorn.Config(
                self._answer,
                interface="asgi3",
                http=HttpProtocol,
                ws="none" if ws_protocol is None else ws_protocol,  # type: ignore[arg-type]
                ws_per_message_deflate=False,
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,  # addresses come from PUBLIC_URL, never from a header
                server_header=False,
                backlog=BACKLOG,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=FINISH_WAIT_S,
                ssl_context_factory=None if tls is None else lambda _config, _usual: tls,
            )
        )
        self._listening = listening
        self._serving = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Ours to handle: on SIGTERM calls are drained first, while webhooks are still answered."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._serving.set()

    async def run_until_stopped(self) -> None:
        """Returns once ``stop`` was called and what was in progress is done."""
        await self.serve(sockets=[self._listening])

    async def listening(self) -> None:
        """Returns when connections are accepted."""
        await self._serving.wait()

    def end_connections(self) -> None:
        """End each connection with its next answer: a new one may reach another process."""
        self._leaving = True

    def leave(self) -> None:
        """Accept no more connections; for a socket that other processes accept on."""
        for server in self.servers:
            server.close()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_last(message: Message) -> None:
            if self._leaving and message["type"] == "http.response.start":
                headers = [*message.get("headers", []), (b"connection", b"close")]
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, send_last)

    def stop(self) -> None:
        self.should_exit = True


def bind(host: str, port: int) -> socket.socket:
    """A bound TCP socket; ``port`` 0 lets the system choose. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = ListeningSocket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host.strip("[]"), port))
    except BaseException:
        sock.close()
        raise
    return sock
