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
from loadtest.bench.turns import MS, Step, TurnCycle
from loadtest.bench.wire import Json

_BYTES_PER_MS = 8
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
        "_answers",
        "_begun_ns",
        "_board",
        "_call",
        "_configured",
        "_cycle",
        "_events",
        "_first",
        "_gauges",
        "_id",
        "_item_id",
        "_number",
        "_open_sessions",
        "_response_id",
        "_tail",
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
        self._events = 0
        self._answers = 0
        self._begun_ns = 0
        self._response_id = ""
        """Of the answer being generated; empty between answers."""
        self._item_id = ""
        self._first = False
        """Whether the next delta is its answer's first."""
        self._tail = stamp.tail_of(board.plan.delta_audio_ms * _BYTES_PER_MS)

    # --- socket -----------------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self._open_sessions.add(self)
        self._send({"type": "session.created", "session": wire.default_session(self._id)})

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._transport = None
        self._cycle = None
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
        else:
            self._control(message)

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
        self._timed = number % self._board.timed_every == 0
        self.read_lazily(True)
        self._begun_ns = now_ns
        self._cycle = TurnCycle(self._board.plan, now_ns)
        # The golden ratio spreads any number of calls evenly over the cycle.
        self._cycle.skip(number * 0.6180339887 % 1.0)
        call.take_turn = self.take_turn
        call.turn_due_ns = self._cycle.due_ns
        return call

    def read_lazily(self, lazily: bool) -> None:
        """Be woken for several frames at once, or for every one.

        Only a timed call's frames need reading as they come; of the others it is enough to know
        that they came. That saves this process most of its reads. The bridge cannot tell: the kernel
        acknowledges what has arrived either way, and the buffer holds a thousand frames.
        """
        if self._transport is None or (lazily and self._timed):
            return
        sock = self._transport.underlying_transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, _LAZY_BYTES if lazily else 1)

    # --- client events ----------------------------------------------------------------------

    def _control(self, message: Json) -> None:
        match message["type"]:
            case "session.update":
                self._configure(message["session"])
            case "conversation.item.create":
                item = {"id": f"item_{self._id}_{self._events}", **message["item"]}
                where = {"previous_item_id": None, "item": item}
                self._send({"type": "conversation.item.added", **where})
                self._send({"type": "conversation.item.done", **where})
            case "conversation.item.truncate":
                self._send({**message, "type": "conversation.item.truncated"})
            case "conversation.item.delete":
                self._send({"type": "conversation.item.deleted", "item_id": message["item_id"]})
            case "input_audio_buffer.clear":
                self._send({"type": "input_audio_buffer.cleared"})
            case "response.create":
                self._asked_to_answer()
            case "response.cancel":
                self._cancel()
            case unknown:
                self._send(wire.error("invalid_event", f"type is {unknown!r}"))

    def _configure(self, session: Json) -> None:
        refusal = wire.refusal_of(session)
        if refusal is not None:
            self._board.gauges.refusals += 1
            self._send(wire.error("invalid_value", refusal))
            return
        self._configured = True
        effective = {**wire.default_session(self._id), **session}
        self._send({"type": "session.updated", "session": effective})

    def _asked_to_answer(self) -> None:
        if self._response_id:
            text = "Conversation already has an active response in progress."
            self._send(wire.error("conversation_already_has_active_response", text))
            return
        self._open_answer()
        self._delta()
        self._close_answer(self._board.plan.delta_audio_ms)

    def _cancel(self) -> None:
        if not self._response_id:
            text = "Cancellation failed: no active response found"
            self._send(wire.error("response_cancel_not_active", text))
            return
        cancelled = wire.response(self._response_id, "cancelled", [], wire.usage(0))
        self._response_id = ""
        self._send({"type": "response.done", "response": cancelled})

    # --- turns ------------------------------------------------------------------------------

    def take_turn(self, now_ns: int) -> None:
        """Take every step of the conversation that is due."""
        cycle, call = self._cycle, self._call
        if cycle is None or call is None:
            return
        while cycle.due_ns <= now_ns:
            self._take(cycle.advance(), call)
        call.turn_due_ns = cycle.due_ns

    def _take(self, step: Step, call: CallState) -> None:
        match step:
            case Step.SPEECH_STARTED:
                self._speech_started()
            case Step.BARGE_IN:
                call.barge_sent_ns = monotonic_ns()
                self._speech_started()
            case Step.SPEECH_STOPPED:
                for event in wire.caller_heard(self._user_item, self._heard_ms()):
                    self._send(event)
            case Step.ANSWER_STARTED:
                self._open_answer()
            case Step.DELTA:
                self._delta()
            case Step.ANSWER_DONE:
                self._close_answer(self._board.plan.answer_ms)

    def _speech_started(self) -> None:
        self._send(
            {
                "type": "input_audio_buffer.speech_started",
                "item_id": self._user_item,
                "audio_start_ms": self._heard_ms(),
            }
        )

    @property
    def _user_item(self) -> str:
        return f"item_user_{self._id}_{self._answers}"

    def _heard_ms(self) -> int:
        return (monotonic_ns() - self._begun_ns) // MS

    def _open_answer(self) -> None:
        self._answers += 1
        self._response_id = f"resp_{self._id}_{self._answers}"
        self._item_id = f"item_{self._id}_{self._answers}"
        self._first = True
        for event in wire.answer_opening(self._response_id, self._item_id):
            self._send(event)

    def _delta(self) -> None:
        if not self._response_id or self._call is None or self._transport is None:
            return
        response_id, item_id = self._response_id.encode(), self._item_id.encode()
        self._events += 2
        transport, call = self._transport, self._call
        counter = call.deltas_sent * 2 + self._first
        call.deltas_sent += 1
        self._first = False
        head = stamp.encode(stamp.DOWNLINK, call.number, counter, monotonic_ns())
        audio = wire.AUDIO_DELTA % (self._events - 1, response_id, item_id, head, self._tail)
        transport.send(_TEXT, audio)
        text = wire.TRANSCRIPT_DELTA % (self._events, response_id, item_id)
        transport.send(_TEXT, text)

    def _close_answer(self, audio_ms: int) -> None:
        if not self._response_id:
            return
        transcript = " and then" * (audio_ms // self._board.plan.delta_audio_ms)
        closing = wire.answer_closing(self._response_id, self._item_id, transcript, audio_ms)
        self._response_id = ""
        for event in closing:
            self._send(event)

    def _send(self, event: Json) -> None:
        if self._transport is not None:
            self._events += 1
            event = {**event, "event_id": f"event_{self._events}"}
            self._transport.send(_TEXT, orjson.dumps(event))
