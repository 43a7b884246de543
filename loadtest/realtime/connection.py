"""One websocket of the simulated server, on picows: frames to the session, its events to frames."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import Literal

from picows import WSFrame, WSListener, WSMsgType, WSTransport

from .faults import Cut
from .record import Ending, SessionRecord
from .session import RealtimeSession

MAX_UNSENT_BYTES = 16 * 1024 * 1024
"""A client that leaves this much unread is cut off, so that one slow reader costs only itself."""
CLOSE_TIMEOUT_S = 2.0
MAX_MESSAGE_BYTES = 24 * 1024 * 1024
"""An append of 15 MiB as base64 and its JSON fit in."""
_CLOSE_CODES: dict[Cut, tuple[int, str]] = {
    "1001": (1001, "going away"),
    "1011": (1011, "internal error"),
}


class Connection(WSListener):
    """Listener of one connection and wire of its session, which is set before frames come."""

    def __init__(
        self,
        record: SessionRecord,
        now: Callable[[], float],
        opened: Callable[[Connection], None],
        closed: Callable[[Connection], None],
    ) -> None:
        self.record = record
        self.session: RealtimeSession
        self._now = now
        self._opened = opened
        self._closed = closed
        self._transport: WSTransport | None = None
        self._parts: bytearray | None = None
        self._silent = False
        self._close_sent: tuple[int, str] | None = None
        self._close_received: tuple[int, str] | None = None

    @property
    def open(self) -> bool:
        return self._transport is not None

    @property
    def _closing(self) -> bool:
        return self._close_sent is not None or self._close_received is not None

    # --- from picows ----------------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        connection = transport.underlying_transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._opened(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if self._silent:
            return
        kind = frame.msg_type
        if kind == WSMsgType.TEXT:
            if frame.fin:
                self.session.receive(frame.get_payload_as_memoryview())
            else:
                self._parts = bytearray(frame.get_payload_as_memoryview())
        elif kind == WSMsgType.CONTINUATION and self._parts is not None:
            self._parts += frame.get_payload_as_memoryview()
            if len(self._parts) > MAX_MESSAGE_BYTES:
                self.close(1009, "message too big")
            elif frame.fin:
                whole, self._parts = bytes(self._parts), None
                self.session.receive(whole)
        elif kind == WSMsgType.CLOSE:
            self._client_closed(transport, frame)
        elif kind == WSMsgType.BINARY:
            self.record.fault(self._now(), "binary_frame", f"{frame.payload_size} bytes")

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._transport = None
        self.record.ending = self._ending()
        self.session.end()
        self.record.note(self._now(), "closed", by=self.record.ending.by)
        self._closed(self)

    def _client_closed(self, transport: WSTransport, frame: WSFrame) -> None:
        payload = frame.get_payload_as_bytes()
        if self._close_sent is None:
            transport.send(WSMsgType.CLOSE, payload)
        # A close without a code counts as 1005 (RFC 6455, 7.1.5).
        code = int.from_bytes(payload[:2], "big") if payload else 1005
        self._close_received = (code, payload[2:].decode("utf-8", "replace"))
        transport.disconnect()

    def _ending(self) -> Ending:
        by: Literal["client", "server", "lost"] = "lost"
        code: int | None = None
        reason = ""
        if self._close_sent is not None:
            by, (code, reason) = "server", self._close_sent
        elif self._close_received is not None:
            by, (code, reason) = "client", self._close_received
        return Ending(self._now(), by, code, reason)

    # --- the wire of the session ----------------------------------------------------------------

    def send_text(self, payload: bytes) -> None:
        self._send(WSMsgType.TEXT, payload)

    def send_binary(self, payload: bytes) -> None:
        self._send(WSMsgType.BINARY, payload)

    def close(self, code: int, reason: str) -> None:
        """The closing handshake from this side."""
        if self._transport is None or self._closing:
            return
        self._close_sent = (code, reason)
        self.session.closing()
        # By hand: picows' own close takes only the registered codes, not 3000 or 4000.
        self._transport.send(WSMsgType.CLOSE, struct.pack("!H", code) + reason.encode()[:120])
        # A client that does not answer the handshake is not waited for.
        self.session.stage.timers.after(CLOSE_TIMEOUT_S, self.reset)

    def cut(self, cut: Cut) -> None:
        if self._transport is None:
            return
        if cut in _CLOSE_CODES:
            self.close(*_CLOSE_CODES[cut])
        elif cut == "reset":
            self.reset()
        else:
            self._silent = True
            self.session.closing()
            self._transport.underlying_transport.pause_reading()

    def reset(self) -> None:
        """Drop the connection with a TCP reset."""
        if self._transport is None:
            return
        transport = self._transport.underlying_transport
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()

    def _send(self, kind: WSMsgType, payload: bytes) -> None:
        transport = self._transport
        if transport is None or self._silent or self._closing:
            return
        transport.send(kind, payload)
        if transport.underlying_transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            self.record.fault(self._now(), "slow_reader", f"over {MAX_UNSENT_BYTES} bytes unread")
            self.reset()
