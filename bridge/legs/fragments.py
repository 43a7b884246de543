"""Puts fragmented websocket messages together, up to a limit. Whole ones pass without a copy."""

from __future__ import annotations

from picows import WSFrame

from bridge.errors import RemoteProtocolError
from bridge.legs.sockets import CONTINUATION, TEXT


class Fragments:
    """One direction of one socket."""

    def __init__(self, limit_bytes: int = 1024 * 1024) -> None:
        self._limit_bytes = limit_bytes
        self._parts: bytearray | None = None

    @property
    def complete(self) -> bool:
        """No message is in parts right now."""
        return self._parts is None

    def whole(self, frame: WSFrame) -> memoryview | bytes | None:
        """The text message that ``frame`` completes, None while parts are missing.

        A memoryview is valid only until the callback that delivered the frame returns. Raises
        ``RemoteProtocolError`` for binary, for parts out of order and for too much; what there was
        of a message is then forgotten.
        """
        try:
            return self._add(frame)
        except RemoteProtocolError:
            self._parts = None
            raise

    def _add(self, frame: WSFrame) -> memoryview | bytes | None:
        kind = frame.msg_type
        if kind is TEXT and frame.fin and self._parts is None:
            return frame.get_payload_as_memoryview()
        if kind is TEXT and self._parts is None:
            self._parts = bytearray()
        elif kind is not CONTINUATION or self._parts is None:
            name = "a text message inside another" if kind is TEXT else kind.name.lower()
            raise RemoteProtocolError(
                f"websocket frame is {name}, expected text", reason="binary_frame"
            )
        self._parts += frame.get_payload_as_memoryview()
        if len(self._parts) > self._limit_bytes:
            raise RemoteProtocolError(
                f"message is over {self._limit_bytes} bytes in fragments", reason="message_too_big"
            )
        if not frame.fin:
            return None
        whole, self._parts = bytes(self._parts), None
        return whole
