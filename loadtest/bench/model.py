"""The model's side: OpenAI Realtime sessions that check their configuration and hold planned turns.

A bridge may open sessions ahead of calls and let them go unused: a session belongs to no call until
audio with a call's number arrives, and costs nothing till then.
"""

from __future__ import annotations

import socket
from binascii import a2b_base64
from struct import error as StructError  # noqa: N812 -- it is a class
from time import monotonic_ns

import orjson
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from loadtest.bench import stamp, wire
from loadtest.bench.board import Board, CallState
from loadtest.bench.playout import NEVER_NS
from loadtest.bench.sequence import Sequence
from loadtest.bench.speaker import Speaker
from loadtest.bench.turns import TurnCycle
from loadtest.bench.wire import Json

_TEXT = WSMsgType.TEXT
_FRAME_ON_WIRE = 271
"""Bytes of one masked append of one frame."""
_LAZY_BYTES = 8 * _FRAME_ON_WIRE - 1
_APPEND = b'{"type":"input_audio_buffer.append","audio":"'
_APPEND_BYTES = len(_APPEND) + stamp.FRAME_CHARS + len('"}')
_HEAD = slice(len(_APPEND), len(_APPEND) + stamp.STAMP_CHARS)
_unpack = stamp.LAYOUT.unpack


class ModelSession(WSListener):
    """One session. ``take_turn`` takes its conversation forward."""

    __slots__ = (
        "_board",
        "_call",
        "_configured",
        "_cycle",
        "_gauges",
        "_id",
        "_items",
        "_number",
        "_open_sessions",
        "_speaker",
        "_timed",
        "_transport",
        "_uplink",
    )

    def __init__(self, board: Board, open_sessions: set[ModelSession], number: int) -> None:
        self._board = board
        self._gauges = board.gauges
        self._open_sessions = open_sessions
        self._id = f"sess_{number}"
        self._transport: WSTransport | None = None
        self._call: CallState | None = None
        self._uplink = Sequence()
        """The call's; a lone one until there is a call."""
        self._timed = False
        """Whether this call's frames are timed."""
        self._number = 0
        """The call's; 0 until there is a call."""
        self._cycle: TurnCycle | None = None
        self._configured = False
        self._items = 0
        self._speaker: Speaker | None = None

    # --- socket -----------------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self._speaker = Speaker(self._board, self._id, transport)
        self._open_sessions.add(self)
        self._speaker.send({"type": "session.created", "session": wire.default_session(self._id)})

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._transport = self._speaker = self._cycle = None
        self._open_sessions.discard(self)
        if self._call is not None and self._call.take_turn == self.take_turn:
            self._call.turn_due_ns = NEVER_NS

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        now_ns = monotonic_ns()
        payload = frame.get_payload_as_bytes()
        if len(payload) == _APPEND_BYTES and payload.startswith(_APPEND):
            # Read without parsing: in one process for all calls, this is where the time goes.
            try:
                found = _unpack(a2b_base64(payload[_HEAD]))
            except (ValueError, StructError):
                found = (b"", 0, 0, 0)
            uplink = self._uplink
            if found[1] == self._number and found[2] == uplink.next and found[0] == stamp.UPLINK:
                uplink.next = found[2] + 1
                if self._timed:
                    self._time(found[3], now_ns)
                return
        self._parse(transport, frame, now_ns)

    def _parse(self, transport: WSTransport, frame: WSFrame, now_ns: int) -> None:
        if frame.msg_type is not _TEXT:
            if frame.msg_type is WSMsgType.CLOSE:
                transport.send_close(frame.get_close_code())
                transport.disconnect()
            return
        message = orjson.loads(frame.get_payload_as_memoryview())
        if message["type"] == "input_audio_buffer.append":
            self._append(message["audio"], now_ns)
        elif self._speaker is not None:
            self._control(message, self._speaker)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.send_close(WSCloseCode.GOING_AWAY)
            self._transport.disconnect()

    # --- caller audio -----------------------------------------------------------------------

    def _append(self, audio: str, now_ns: int) -> None:
        gauges = self._gauges
        if not self._configured:
            gauges.unreadable += 1  # telephone audio while the session still expects PCM
            return
        stamps = stamp.decode_frames(audio)
        if stamps is None:
            gauges.unreadable += 1
            return
        for number, counter, sent_ns in stamps:
            call = self._call
            if call is None or call.number != number:
                call = self._bind(number, now_ns)
                if call is None:
                    return
            if counter == call.uplink.next:
                call.uplink.next = counter + 1
            else:
                call.uplink.irregular(counter)
            if self._timed:
                self._time(sent_ns, now_ns)

    def _time(self, sent_ns: int, now_ns: int) -> None:
        gauges = self._gauges
        if gauges.from_ns <= sent_ns < gauges.until_ns:
            gauges.uplink_ns.append(now_ns - sent_ns)

    def _bind(self, number: int, now_ns: int) -> CallState | None:
        """This session's first audio says which call it serves; None if it is over or another's."""
        if self._call is not None:
            self._board.gauges.crossed += 1
            return None
        call = self._board.calls.get(number)
        if call is None:
            return None
        self._call, self._number, self._uplink = call, number, call.uplink
        self._timed = (number - 1) % self._board.timed_every == 0
        self.read_lazily(True)
        self._cycle = TurnCycle(self._board.plan, now_ns)
        # The golden ratio spreads any number of calls evenly over the cycle.
        self._cycle.skip(number * 0.6180339887 % 1.0)
        call.take_turn = self.take_turn
        call.turn_due_ns = self._cycle.due_ns
        return call

    def read_lazily(self, lazily: bool) -> None:
        """Be woken for several frames at once, or for every one.

        Only a timed call's frames need reading as they come; of the others it is enough to know
        that they came. That saves this process most of its reads. The bridge cannot tell: the
        kernel acknowledges what has arrived either way, and its buffer holds hundreds of frames.
        """
        if self._transport is None or (lazily and self._timed):
            return
        sock = self._transport.underlying_transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, _LAZY_BYTES if lazily else 1)

    # --- client events ----------------------------------------------------------------------

    def _control(self, message: Json, speaker: Speaker) -> None:
        match message["type"]:
            case "session.update":
                self._configure(message["session"], speaker)
            case "conversation.item.create":
                where = {"previous_item_id": None, "item": self._item(message["item"])}
                speaker.send({"type": "conversation.item.added", **where})
                speaker.send({"type": "conversation.item.done", **where})
            case "conversation.item.truncate":
                speaker.send({**message, "type": "conversation.item.truncated"})
            case "conversation.item.delete":
                deleted = {"item_id": message["item_id"]}
                speaker.send({"type": "conversation.item.deleted", **deleted})
            case "input_audio_buffer.clear":
                speaker.send({"type": "input_audio_buffer.cleared"})
            case "response.create":
                speaker.answer_briefly(self._call)
            case "response.cancel":
                speaker.cancel()
            case unknown:
                speaker.send(wire.error("invalid_event", f"type is {unknown!r}"))

    def _item(self, given: Json) -> Json:
        """An item as the server shows it, under an id of its own where none was given."""
        self._items += 1
        ours = {"id": f"item_{self._id}_given_{self._items}", "object": "realtime.item"}
        return {**ours, "status": "completed", **given}

    def _configure(self, session: Json, speaker: Speaker) -> None:
        refusal = wire.refusal_of(session)
        if refusal is not None:
            self._gauges.refusals += 1
            speaker.send(wire.error("invalid_value", refusal))
            return
        self._configured = True
        effective = {**wire.default_session(self._id), **session}
        speaker.send({"type": "session.updated", "session": effective})

    # --- turns ------------------------------------------------------------------------------

    def take_turn(self, now_ns: int) -> None:
        """Take every step of the conversation that is due."""
        cycle, call, speaker = self._cycle, self._call, self._speaker
        if cycle is None or call is None or speaker is None:
            return
        while cycle.due_ns <= now_ns:
            speaker.take(cycle.advance(), call)
        call.turn_due_ns = cycle.due_ns
