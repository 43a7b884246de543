"""Both media sockets on picows: the server side handed over by uvicorn, the client side to the
model.

uvicorn accepts the connection and reads the upgrade request, as for HTTP. Its ``ws`` setting
takes any factory: it calls ``connection_made``, replays the request with ``data_received`` and
makes the object the transport's protocol. ``UpgradedSocket`` is a picows protocol that
understands that replay, so from there on the socket is picows' alone, on the same port as
everything else.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Mapping

from picows import (
    WSAutoPingStrategy,
    WSListener,
    WSMsgType,
    WSUpgradeRequest,
    WSUpgradeResponseWithListener,
    ws_connect,
)
from picows.picows import WSProtocol  # type: ignore[attr-defined]

from bridge.protocol.twilio_stream import MAX_MESSAGE_BYTES

READ_BUFFER_BYTES = 4096
MODEL_MESSAGE_BYTES = 16 * 1024 * 1024
HIGH_WATER_BYTES = 256 * 1024
"""A leg that has so much unsent is slow: caller audio is held back from then on."""
PING_AFTER_S, PONG_WITHIN_S = 1.2, 1.2
"""A model's server that sent nothing for so long is asked, and is gone when it does not answer: a
caller may be waiting for it all the while, and waits 3 s at most."""

ListenerFactory = Callable[[WSUpgradeRequest], WSListener | WSUpgradeResponseWithListener | None]
_log = logging.getLogger("picows.server")
_log.setLevel(logging.WARNING)
logging.getLogger("picows.client").setLevel(logging.WARNING)


class UpgradedSocket(WSProtocol):  # type: ignore[misc]
    """A picows server protocol for a connection that uvicorn has accepted."""

    def data_received(self, data: bytes) -> None:
        """Take the upgrade request that uvicorn read, as if it had come from the socket."""
        rest = memoryview(data)
        while rest:
            room = self.get_buffer(-1)
            part = rest[: len(room)]
            room[: len(part)] = part
            self.buffer_updated(len(part))
            rest = rest[len(part) :]


def upgrade_factory(listener_factory: ListenerFactory) -> Callable[..., UpgradedSocket]:
    """What uvicorn's ``ws`` setting wants: called for each upgrade request on the HTTP port.

    ``listener_factory`` decides on the request: a listener accepts it, a response refuses it. It
    cannot agree to an extension: picows knows none, so permessage-deflate is never in the answer.
    """

    def make(config: object, server_state: object, app_state: object) -> UpgradedSocket:
        return UpgradedSocket(
            None,  # host and port: client side only
            None,  # path: client side only
            False,  # is_client_side
            listener_factory,
            _log,
            False,  # disconnect_on_exception: our listeners answer for their own
            5.0,  # handshake timeout, seconds
            False,  # auto ping: Twilio sends 50 messages a second
            20.0,
            20.0,
            WSAutoPingStrategy.PING_WHEN_IDLE,
            True,  # auto pong
            MAX_MESSAGE_BYTES,
            None,  # extra headers: client side only
            READ_BUFFER_BYTES,
        )

    return make


async def connect_model(
    listener: WSListener,
    url: str,
    headers: Mapping[str, str],
    *,
    timeout_s: float,
    ssl_context: ssl.SSLContext | None = None,
) -> None:
    """Open the model's socket. Raises ``OSError``, ``TimeoutError`` or picows' handshake error.

    Pings when idle find a peer that is gone without a word.
    """
    async with asyncio.timeout(timeout_s):
        await ws_connect(
            lambda: listener,
            url,
            ssl_context=ssl_context,
            extra_headers=dict(headers),
            websocket_handshake_timeout=timeout_s,
            max_frame_size=MODEL_MESSAGE_BYTES,
            read_buffer_init_size=READ_BUFFER_BYTES,
            enable_auto_ping=True,
            auto_ping_idle_timeout=PING_AFTER_S,
            auto_ping_reply_timeout=PONG_WITHIN_S,
            disconnect_on_exception=False,
            max_redirects=0,
        )


TEXT = WSMsgType.TEXT
BINARY = WSMsgType.BINARY
CONTINUATION = WSMsgType.CONTINUATION
CLOSE = WSMsgType.CLOSE
