"""The media socket of one call: picows on the wire, Twilio's manners. Never reconnects."""

from __future__ import annotations

import asyncio
import enum
import math
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import assert_never, cast

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
from loadtest.twilio.playout import Played, Playout

CONNECT_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 2.0
_DEFLATE = "permessage-deflate"


class StreamEnd(enum.Enum):
    """How a stream came to its end."""

    REFUSED = "refused"
    CLOSED_BY_SERVER = "closed_by_server"
    LOST = "lost"
    STOPPED = "stopped"


@dataclass(slots=True)
class StreamReport:
    """One stream's figures, filled while it runs. Times are monotonic seconds."""

    stream_sid: str
    url: str
    parameters: Mapping[str, str]
    started: float | None = None
    ended: float | None = None
    end: StreamEnd | None = None
    close_code: int | None = None
    close_reason: str = ""
    refused_status: int | None = None
    deflate_agreed: bool = False
    frames_sent: int = 0
    frames_dropped: int = 0
    messages_received: int = 0
    messages_dropped: int = 0
    audio_bytes_received: int = 0
    marks_received: int = 0
    marks_echoed: int = 0
    clears: int = 0
    playout_gaps_ms: list[int] = field(default_factory=list)
    cut_ms: int = 0


@dataclass(frozen=True, slots=True)
class Handshake:
    """How to reach the server: the address to connect to, and the headers that go with it."""

    address: str
    headers: Mapping[str, str]
    ssl_context: ssl.SSLContext | None = None
    offer_deflate: bool = False


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
        self._playout = Playout()
        self._transport: WSTransport | None = None
        self._partial = bytearray()
        self._mark_timer: asyncio.TimerHandle | None = None
        self._congested = False
        self._open = False
        self._offered_deflate = False
        self.ended = asyncio.Event()

    @property
    def played(self) -> list[Played]:
        """The audio that was really played."""
        return self._playout.runs

    # --- opening and closing ------------------------------------------------------------------

    async def connect(self, handshake: Handshake) -> bool:
        """Open the socket, send ``connected`` and ``start``; False when refused, with a notice."""
        headers = dict(handshake.headers)
        self._offered_deflate = handshake.offer_deflate
        if handshake.offer_deflate:
            headers["Sec-WebSocket-Extensions"] = _DEFLATE
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await ws_connect(
                    lambda: self,
                    handshake.address,
                    ssl_context=handshake.ssl_context,
                    websocket_handshake_timeout=CONNECT_TIMEOUT_S,
                    extra_headers=headers,
                    max_redirects=0,
                )
        except TimeoutError:
            self._refuse(Code.STREAM_CONNECT_TIMEOUT, f"no answer within {CONNECT_TIMEOUT_S:g} s")
        except ssl.SSLError as error:
            self._refuse(Code.STREAM_TLS, f"TLS failed: {error.reason}")
        except OSError as error:
            self._refuse(Code.STREAM_CONNECT_REFUSED, f"connection failed: {error.strerror}")
        except WSHandshakeError as error:
            status = error.response.status if error.response is not None else None
            self.report.refused_status = int(status) if status is not None else None
            self._refuse(Code.STREAM_HANDSHAKE, f"handshake answered with {status}, expected 101")
        else:
            if self._transport is None:
                self._refuse(Code.STREAM_HANDSHAKE, "connection closed during the handshake")
        return self.report.end is not StreamEnd.REFUSED

    async def stop(self) -> None:
        """Twilio ends the stream: ``stop``, close, and a bounded wait for the server to follow."""
        transport = self._transport
        if not self._open or transport is None:
            return
        self._send(self._encoder.stop())
        self._finish(StreamEnd.STOPPED)
        transport.send_close(WSCloseCode.OK)
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await transport.wait_disconnected()
        except TimeoutError:
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
        if self._mark_timer is not None:
            self._mark_timer.cancel()
        self.report.cut_ms = round(self._playout.buffered_ms(now))
        self._playout.cut(now)
        self._line.cut(now)
        self.ended.set()

    # --- picows calls these -------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
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

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind == WSMsgType.TEXT and frame.fin and not frame.rsv1:
            self._receive(frame.get_payload_as_bytes())
        elif kind == WSMsgType.CLOSE:
            # picows types the code as an enumeration; on the wire it may be any number.
            code = cast("int", frame.get_close_code())
            self._closed_by_server(int(code), frame.get_close_reason() or "")
            transport.send_close(frame.get_close_code())
            transport.disconnect()
        elif kind == WSMsgType.BINARY:
            self.report.messages_received += 1
            self.report.messages_dropped += 1
            self._journal.error(
                Code.STREAM_BINARY_MESSAGE, "binary message", self.report.stream_sid
            )
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
        self._partial += frame.get_payload_as_bytes()
        if frame.fin:
            message = bytes(self._partial)
            self._partial.clear()
            self._receive(message)

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

    # --- what the server sends ----------------------------------------------------------------

    def _receive(self, text: bytes) -> None:
        if not self._open:
            return
        self.report.messages_received += 1
        try:
            message = wire.decode(text, self.report.stream_sid)
        except wire.InvalidMessage as error:
            self.report.messages_dropped += 1
            self._journal.error(Code.STREAM_INVALID_MESSAGE, str(error), self.report.stream_sid)
            return
        now = time.monotonic()
        match message:
            case wire.PlayMedia(ulaw):
                self._play(ulaw, now)
            case wire.PlaceMark(name):
                self.report.marks_received += 1
                self._playout.mark(name, now)
                self._echo_marks()
            case wire.Clear():
                self._clear(now)
            case _:
                assert_never(message)

    def _play(self, ulaw: bytes, now: float) -> None:
        self.report.audio_bytes_received += len(ulaw)
        queued = self._playout.media(ulaw, now)
        if queued is None:
            self._journal.warning(
                Code.STREAM_BUFFER_OVERFLOW,
                "more than 10 minutes of audio buffered, media thrown away",
                self.report.stream_sid,
            )
            return
        if queued.gap_s > 0 and math.isfinite(queued.gap_s) and self._line.ear.speaking:
            gap_ms = round(queued.gap_s * 1000)
            self.report.playout_gaps_ms.append(gap_ms)
            self._journal.event("playout_gap", queued.start, gap_ms=gap_ms)
        self._line.hear(ulaw, queued.start)

    def _clear(self, now: float) -> None:
        self.report.clears += 1
        buffered_ms = round(self._playout.buffered_ms(now))
        names = self._playout.clear(now)
        self._journal.event("clear", now, buffered_ms=buffered_ms, marks=len(names))
        self._line.cut(now)
        self._echo_marks()
        for name in names:
            self._echo(name, reached=False)

    # --- marks --------------------------------------------------------------------------------

    def _echo_marks(self) -> None:
        """Echo what is reached, and wake up again for the next."""
        if self._mark_timer is not None:
            self._mark_timer.cancel()
            self._mark_timer = None
        for name in self._playout.reached(time.monotonic()):
            self._echo(name, reached=True)
        due = self._playout.next_mark_at
        if due is not None and self._open:
            # Never early: a mark echoed before its audio was played would be a lie. Timers count
            # in milliseconds, so round up.
            wait_s = max(0.001, math.ceil((due - time.monotonic()) * 1000) / 1000)
            loop = asyncio.get_running_loop()
            self._mark_timer = loop.call_later(wait_s, self._echo_marks)

    def _echo(self, name: str, *, reached: bool) -> None:
        self.report.marks_echoed += 1
        self._journal.event("mark", name=name, reached=reached)
        self._send(self._encoder.mark(name))

    # --- what Twilio sends --------------------------------------------------------------------

    def send_media(self, payload: bytes) -> None:
        """One frame of caller audio; dropped and counted while the server does not read."""
        if not self._open:
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
        self._send(self._encoder.media(payload))

    def send_dtmf(self, digit: str) -> None:
        """The caller pressed a key."""
        if self._open:
            self._send(self._encoder.dtmf(digit))

    def send_raw(self, message: str | bytes) -> None:
        """Anything at all, to test the server: a text message, or a binary one for bytes."""
        if self._open and self._transport is not None:
            kind = WSMsgType.TEXT if isinstance(message, str) else WSMsgType.BINARY
            self._transport.send(kind, message.encode() if isinstance(message, str) else message)

    def _send(self, message: bytes) -> None:
        if self._transport is not None and not self._transport.is_close_frame_sent:
            self._transport.send(WSMsgType.TEXT, message)
