"""Twilio's side of a call: one media socket, from the upgrade to the end of the stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import orjson
from orjson import loads
from picows import WSCloseCode, WSFrame, WSListener, WSTransport

from bridge.errors import RemoteProtocolError
from bridge.legs.closing import Closing, peers_fault
from bridge.legs.fragments import Fragments
from bridge.legs.sockets import BINARY, CLOSE, CONTINUATION, HIGH_WATER_BYTES, TEXT
from bridge.protocol import twilio_stream as tw
from bridge.protocol.twilio_stream import media_payload
from bridge.protocol.unhandled import UnhandledCounter

CLOSE_CODES = {
    "bad_json": WSCloseCode.INVALID_TEXT,
    "binary_frame": WSCloseCode.UNSUPPORTED_DATA,
    "ledger_unavailable": WSCloseCode.TRY_AGAIN_LATER,
    "message_too_big": WSCloseCode.MESSAGE_TOO_BIG,
    "shutdown": WSCloseCode.GOING_AWAY,
}
"""Everything else that a peer does wrong is a policy violation (1008)."""
ANSWER_S = 2.0
"""Twilio has so long to answer our close. Nobody waits for it: the call moves on meanwhile."""


class CallerSide(Protocol):
    """What a caller leg is attached to once its stream has started."""

    def caller_audio(self, payload: str) -> None:
        """One frame of base64 mu-law, 50 times a second. Must not block, log or await."""
        ...

    def caller_message(self, message: tw.Message) -> None: ...

    def caller_closed(self, reason: str) -> None:
        """The socket is gone, whoever closed it. Called once."""
        ...

    def caller_paused(self, paused: bool) -> None: ...


class CallerLeg(WSListener):
    """Reads the stream, keeps its state table, and writes what the call wants played."""

    def __init__(
        self,
        on_open: Callable[[CallerLeg], None],
        on_start: Callable[[CallerLeg, tw.Start], CallerSide],
        on_fault: Callable[[CallerLeg, RemoteProtocolError], None],
        unhandled: UnhandledCounter,
        on_gone: Callable[[CallerLeg], None],
    ) -> None:
        self._on_open = on_open
        self._on_gone = on_gone
        self._on_start = on_start
        self._on_fault = on_fault
        self._unhandled = unhandled
        self._fragments = Fragments(tw.MAX_MESSAGE_BYTES)
        self._state = tw.StreamState()
        self._side: CallerSide | None = None
        self._audio: Callable[[str], None] | None = None
        self._fault: str | None = None
        self.transport: WSTransport | None = None
        self.stream_sid = ""
        self.skipped = 0
        """Messages that were faulty and cost only themselves."""
        self._closing = Closing(ANSWER_S)

    # --- out ---------------------------------------------------------------------------------

    def play(self, payload: str) -> None:
        if self.transport is not None:
            self.transport.send(TEXT, tw.encode_media(self.stream_sid, payload))

    def mark(self, name: str) -> None:
        if self.transport is not None:
            self.transport.send(TEXT, tw.encode_mark(self.stream_sid, name))

    def clear(self) -> None:
        if self.transport is not None:
            self.transport.send(TEXT, tw.encode_clear(self.stream_sid))

    def close(self, reason: str = "") -> None:
        """End the stream: Twilio goes on with the action or the next verb. Harmless when closed."""
        if self.transport is None:
            self._closing.over()
            return
        if self._closing.begun:
            return
        self._audio = None
        code = CLOSE_CODES.get(reason, WSCloseCode.POLICY_VIOLATION) if reason else WSCloseCode.OK
        self._closing.begin(self.transport, code, reason)

    async def wait_closed(self) -> None:
        """Until the socket is gone; after ``close`` that is a matter of seconds at most."""
        await self._closing.wait()

    # --- picows ------------------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        transport.underlying_transport.set_write_buffer_limits(HIGH_WATER_BYTES)
        self._on_open(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """A caller's audio passes the first lines and no other, 50 times a second."""
        try:
            if self._audio is None or frame.msg_type is not TEXT or not frame.fin:
                self._uncommon(transport, frame)
                return
            message = loads(frame.get_payload_as_bytes())
            payload = media_payload(message)
            if payload is not None:
                self._audio(payload)
            else:
                self._control(tw.decode_object(message))
        except orjson.JSONDecodeError:
            self._refuse(RemoteProtocolError("message is not JSON", reason="bad_json"))
        except RemoteProtocolError as error:
            self._refuse(error)

    def _uncommon(self, transport: WSTransport, frame: WSFrame) -> None:
        """Before the stream starts, parts of messages, and everything that is not text."""
        kind = frame.msg_type
        if kind is CLOSE:
            self._closing.peer_closed(transport)
            return
        if transport.is_close_frame_sent or kind not in (TEXT, CONTINUATION, BINARY):
            return
        whole = self._fragments.whole(frame)
        # In the middle of a message in parts nothing else may come: the way above is closed.
        self._open_way(self._fragments.complete)
        if whole is not None:
            self._control(tw.decode_object(loads(whole)))

    def _open_way(self, whole: bool) -> None:
        streaming = self._side is not None and self._state.streaming
        self._audio = self._side.caller_audio if self._side and streaming and whole else None

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.transport = None
        self._audio = None
        self._closing.over()
        fault = peers_fault(transport)
        if fault is not None and self._fault is None:
            self._fault = fault.reason
            self._on_fault(self, fault)
        self._on_gone(self)
        side, self._side = self._side, None
        if side is not None:
            side.caller_closed(self._fault or "stream_closed")

    def pause_writing(self) -> None:
        if self._side is not None:
            self._side.caller_paused(True)

    def resume_writing(self) -> None:
        if self._side is not None:
            self._side.caller_paused(False)

    # --- everything but audio ----------------------------------------------------------------

    def _control(self, message: tw.Message) -> None:
        self._state.receive(message)
        match message:
            case tw.Start():
                self.stream_sid = message.stream_sid
                self._side = self._on_start(self, message)
                self._open_way(self._fragments.complete)
            case tw.Unhandled(kind=kind):
                self._unhandled.note(kind)
            case tw.Stop():
                self._audio = None
                if self._side is not None:
                    self._side.caller_message(message)
            case tw.Media(payload=payload):
                if self._side is not None:
                    self._side.caller_audio(payload)
            case _:
                if self._side is not None:
                    self._side.caller_message(message)

    def _refuse(self, error: RemoteProtocolError) -> None:
        if error.reason in tw.SKIPPABLE_REASONS:
            self.skipped += 1
            return
        self._fault = error.reason
        self._on_fault(self, error)
        self.close(error.reason)
