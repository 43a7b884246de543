"""The media socket of one call: picows on the wire, Twilio's manners. Never reconnects."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from picows import (
    WSCloseCode,
    WSFrame,
    WSHandshakeError,
    WSListener,
    WSMsgType,
    WSTransport,
    ws_connect,
)

from loadtest.twilio import wire
from loadtest.twilio.faults import StreamFaults
from loadtest.twilio.journal import Journal
from loadtest.twilio.line import CallLine
from loadtest.twilio.notices import Code
from loadtest.twilio.playout import Played
from loadtest.twilio.reception import Reception
from loadtest.twilio.stream_report import StreamEnd, StreamReport

CLOSE_TIMEOUT_S = 2.0
NO_CLOSE_CODE = 1005
"""What a close without a code counts as (RFC 6455, 7.1.5)."""
MAX_MESSAGE_BYTES = 10 * 1024 * 1024
_DEFLATE = "permessage-deflate"


@dataclass(frozen=True, slots=True)
class Handshake:
    """How to reach the server: the address to connect to, and the headers that go with it."""

    address: str
    headers: Mapping[str, str]
    ssl_context: ssl.SSLContext | None = None
    offer_deflate: bool = False
    timeout_s: float = 5.0


class MediaStream(WSListener):
    """Twilio's end of a bidirectional stream."""

    def __init__(
        self,
        report: StreamReport,
        encoder: wire.Encoder,
        line: CallLine,
        journal: Journal,
        faults: StreamFaults,
    ) -> None:
        self.report = report
        self._encoder = encoder
        self._line = line
        self._journal = journal
        self._faults = faults
        self._reception = Reception(report, line, journal, self._echo)
        self._transport: WSTransport | None = None
        self._partial = bytearray()
        self._skipping = False
        self._congested = False
        self._stalled = False
        self._open = False
        self._offered_deflate = False
        self.ended = asyncio.Event()

    @property
    def played(self) -> list[Played]:
        """The audio that was really played."""
        return self._reception.played

    # --- opening and closing ------------------------------------------------------------------

    async def connect(self, handshake: Handshake) -> bool:
        """Open the socket, send ``connected`` and ``start``; False when refused, with a notice."""
        headers = dict(handshake.headers)
        self._offered_deflate = handshake.offer_deflate
        if handshake.offer_deflate:
            headers["Sec-WebSocket-Extensions"] = _DEFLATE
        try:
            async with asyncio.timeout(handshake.timeout_s):
                await ws_connect(
                    lambda: self,
                    handshake.address,
                    ssl_context=handshake.ssl_context,
                    websocket_handshake_timeout=handshake.timeout_s,
                    extra_headers=headers,
                    max_redirects=0,
                    max_frame_size=MAX_MESSAGE_BYTES,
                )
        except asyncio.CancelledError:
            self._finish(StreamEnd.STOPPED)
            raise
        except (OSError, WSHandshakeError) as error:
            self._refuse(*self._trouble(error, handshake))
        else:
            if self._transport is None:
                self._refuse(Code.STREAM_HANDSHAKE, "connection closed during the handshake")
        finally:
            # The server may have answered in the very moment in which we gave up.
            given_up = self.report.end in (StreamEnd.REFUSED, StreamEnd.STOPPED)
            if given_up and self._transport is not None:
                self._transport.disconnect(graceful=False)
        return self.report.end is not StreamEnd.REFUSED

    def _trouble(self, error: Exception, handshake: Handshake) -> tuple[Code, str]:
        """Twilio's code for what went wrong with connecting."""
        match error:
            case TimeoutError():
                return Code.STREAM_CONNECT_TIMEOUT, f"no answer within {handshake.timeout_s:g} s"
            case ssl.SSLError(reason=reason):
                return Code.STREAM_TLS, f"TLS failed: {reason}"
            case OSError(strerror=why):
                return Code.STREAM_CONNECT_REFUSED, f"connection failed: {why}"
            case WSHandshakeError(response=answer) if answer is not None:
                self.report.refused_status = int(answer.status)
                text = f"handshake answered with {answer.status}, expected 101"
                return Code.STREAM_HANDSHAKE, text
            case _:
                return Code.STREAM_HANDSHAKE, f"handshake failed: {error}"

    async def stop(self) -> None:
        """Twilio ends the stream: ``stop``, close, and a bounded wait for the server to follow."""
        transport = self._transport
        if not self._open or transport is None:
            return
        self._send(self._encoder.stop())
        self._finish(StreamEnd.STOPPED)
        transport.send_close(WSCloseCode.OK)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await transport.wait_disconnected()
        finally:
            transport.disconnect(graceful=False)

    def refuse(self, code: Code, message: str) -> None:
        """Never connect: what the document asked for cannot be opened."""
        self._refuse(code, message)

    def _refuse(self, code: Code, message: str) -> None:
        self._journal.error(code, message, self.report.stream_sid)
        self._journal.event("stream_refused", code=int(code), message=message)
        self._finish(StreamEnd.REFUSED)

    def _finish(self, end: StreamEnd) -> None:
        if self.report.end is not None:
            return
        now = time.monotonic()
        self._open = False
        self.report.end, self.report.ended = end, now
        self._line.sink = None
        self._reception.close(now)
        self.ended.set()

    # --- picows calls these -------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        if self.report.end is not None:  # given up before the server answered
            transport.disconnect(graceful=False)
            return
        extensions = transport.response.headers.get("Sec-WebSocket-Extensions", "")
        self.report.deflate_agreed = _DEFLATE in extensions
        if extensions and not self._offered_deflate:
            self._protocol_fault(f"extension {extensions!r} agreed to, but none was offered")
            return
        self.report.started = time.monotonic()
        self._open = True
        if not self._faults.omit_connected:
            self._send(wire.CONNECTED)
        for _ in range(self._faults.starts):
            self._send(self._encoder.start())
        self._journal.event(
            "stream_started", self.report.started, stream_sid=self.report.stream_sid
        )
        self._line.sink = self
        self._line.bell.ring()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind == WSMsgType.TEXT and frame.fin and not frame.rsv1:
            self._reception.receive(frame.get_payload_as_bytes())
        elif kind == WSMsgType.CLOSE:
            # picows types the code as an enumeration; on the wire it may be any number.
            # For a close without one it says 0, which nobody may send.
            code = int(cast("int", frame.get_close_code()))
            self._closed_by_server(code or NO_CLOSE_CODE, frame.get_close_reason() or "")
            transport.send_close(frame.get_close_code() if code else WSCloseCode.OK)
            transport.disconnect()
        elif kind == WSMsgType.BINARY:
            self._skipping = not frame.fin
            self._reception.refuse(Code.STREAM_BINARY_MESSAGE, "binary message")
        elif frame.rsv1:
            self._protocol_fault("compressed message")
        elif kind in (WSMsgType.TEXT, WSMsgType.CONTINUATION):
            self._assemble(frame)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if self._open:
            self._closed_by_server(1006, "")

    def pause_writing(self) -> None:
        self._congested = True

    def resume_writing(self) -> None:
        self._congested = False

    def _assemble(self, frame: WSFrame) -> None:
        """A text message in fragments; those of a refused binary one are passed over."""
        if self._skipping:
            self._skipping = not frame.fin
            return
        self._partial += frame.get_payload_as_bytes()
        if len(self._partial) > MAX_MESSAGE_BYTES:
            self._protocol_fault(f"message of more than {MAX_MESSAGE_BYTES} bytes")
        elif frame.fin:
            message = bytes(self._partial)
            self._partial.clear()
            self._reception.receive(message)

    def _closed_by_server(self, code: int, reason: str) -> None:
        if not self._open:
            return
        self.report.close_code, self.report.close_reason = code, reason
        lost = code == 1006
        text = "connection lost without a close" if lost else f"closed by server with {code}"
        # Twilio logs this one even where the close is meant: a remark, not a failure.
        tell = self._journal.warning if lost else self._journal.info
        tell(Code.STREAM_CLOSED_BY_SERVER, f"{text} {reason}".strip(), self.report.stream_sid)
        self._journal.event("stream_closed", code=code, reason=reason)
        self._finish(StreamEnd.LOST if lost else StreamEnd.CLOSED_BY_SERVER)

    def _protocol_fault(self, message: str) -> None:
        self._journal.error(Code.STREAM_PROTOCOL, message, self.report.stream_sid)
        self._finish(StreamEnd.LOST)
        if self._transport is not None:
            self._transport.send_close(WSCloseCode.PROTOCOL_ERROR)
            self._transport.disconnect()

    # --- what Twilio sends --------------------------------------------------------------------

    def send_media(self, payload: bytes) -> None:
        """One frame of caller audio; dropped and counted while the server does not read."""
        if not self._open or self._stalled:
            return
        if self._congested:
            self.report.frames_dropped += 1
            self._journal.warning(
                Code.STREAM_CONGESTION,
                "the server does not read, caller audio dropped",
                self.report.stream_sid,
            )
            return
        self.report.frames_sent += 1
        # Not by way of _send: it runs 50 times a second and call, and an open stream sent no close.
        if self._transport is not None:
            self._transport.send(WSMsgType.TEXT, self._encoder.media(payload))

    def send_dtmf(self, digit: str) -> None:
        """The caller pressed a key."""
        if self._open:
            self._send(self._encoder.dtmf(digit))

    def send_raw(self, message: str | bytes) -> None:
        """Anything at all, to test the server: a text message, or a binary one for bytes."""
        if self._open and self._transport is not None:
            kind = WSMsgType.TEXT if isinstance(message, str) else WSMsgType.BINARY
            self._transport.send(kind, message.encode() if isinstance(message, str) else message)

    def send_start(self) -> None:
        """``start`` once more, as no stream should."""
        if self._open:
            self._send(self._encoder.start())

    def break_off(self) -> None:
        """The network is gone: no ``stop``, no close, a reset."""
        if self._open and self._transport is not None:
            self._transport.disconnect(graceful=False)

    def stall(self, length_s: float) -> None:
        """Nothing is read and no caller audio sent for so long."""
        if not self._open or self._transport is None:
            return
        reading = self._transport.underlying_transport
        reading.pause_reading()
        self._stalled = True

        def go_on() -> None:
            self._stalled = False
            if not reading.is_closing():
                reading.resume_reading()

        asyncio.get_running_loop().call_later(length_s, go_on)

    def _echo(self, name: str) -> None:
        self._send(self._encoder.mark(name))

    def _send(self, message: bytes) -> None:
        if self._transport is not None and not self._transport.is_close_frame_sent:
            self._transport.send(WSMsgType.TEXT, message)
