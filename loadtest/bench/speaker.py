"""What one model session says: the events of a turn, and answers as stamped audio."""

from __future__ import annotations

from binascii import b2a_base64
from time import monotonic_ns

import orjson
from picows import WSMsgType, WSTransport

from loadtest.bench import stamp, wire
from loadtest.bench.board import Board, CallState
from loadtest.bench.turns import MS, Step
from loadtest.bench.wire import Json

_BYTES_PER_MS = 8
_TEXT = WSMsgType.TEXT
_UNSTAMPED = b2a_base64(b"\xff" * stamp.STAMP_BYTES, newline=False)
"""Silence, for an answer that was asked for before there is a call."""
_WORDS = " and then"
"""What every delta says."""


class Speaker:
    """Sends on one session's socket. Knows which answer is being generated."""

    __slots__ = (
        "_answers",
        "_begun_ns",
        "_board",
        "_events",
        "_first",
        "_item_id",
        "_response_id",
        "_session_id",
        "_tail",
        "_transport",
    )

    def __init__(self, board: Board, session_id: str, transport: WSTransport) -> None:
        self._board = board
        self._session_id = session_id
        self._transport = transport
        self._begun_ns = monotonic_ns()
        self._events = 0
        self._answers = 0
        self._response_id = ""
        """Of the answer being generated; empty between answers."""
        self._item_id = ""
        self._first = False
        """Whether the next delta is its answer's first."""
        self._tail = stamp.tail_of(board.plan.delta_audio_ms * _BYTES_PER_MS)

    def send(self, event: Json) -> None:
        """Send one event under the session's next event id."""
        self._events += 1
        event = {**event, "event_id": f"event_{self._events}"}
        self._transport.send(_TEXT, orjson.dumps(event))

    def take(self, step: Step, call: CallState) -> None:
        """Say what belongs to this step of the conversation."""
        match step:
            case Step.SPEECH_STARTED:
                self._speech_started()
            case Step.BARGE_IN:
                self._barge_in(call)
            case Step.SPEECH_STOPPED:
                self._send_all(wire.caller_heard(self._user_item, self._heard_ms()))
            case Step.ANSWER_STARTED:
                self._open_answer()
            case Step.DELTA:
                self._delta(call)
            case Step.ANSWER_DONE:
                self._close_answer(self._board.plan.answer_ms)

    def answer_briefly(self, call: CallState | None) -> None:
        """A response that the bridge asked for: one delta, at once."""
        if self._response_id:
            text = "Conversation already has an active response in progress."
            self.send(wire.error("conversation_already_has_active_response", text))
            return
        self._open_answer()
        self._delta(call)
        self._close_answer(self._board.plan.delta_audio_ms)

    def cancel(self) -> None:
        """Stop generating; what is left of this answer is never sent."""
        if not self._response_id:
            text = "Cancellation failed: no active response found"
            self.send(wire.error("response_cancel_not_active", text))
            return
        cancelled = wire.response(self._response_id, "cancelled", [], wire.usage(0))
        self._response_id = ""
        self.send({"type": "response.done", "response": cancelled})

    def _barge_in(self, call: CallState) -> None:
        now_ns, gauges = monotonic_ns(), self._board.gauges
        call.barge_sent_ns = now_ns
        gauges.barge_ins += gauges.from_ns <= now_ns < gauges.until_ns
        self._speech_started()

    def _speech_started(self) -> None:
        started = "input_audio_buffer.speech_started"
        at_ms = self._heard_ms()
        self.send({"type": started, "item_id": self._user_item, "audio_start_ms": at_ms})

    @property
    def _user_item(self) -> str:
        return f"item_user_{self._session_id}_{self._answers}"

    def _heard_ms(self) -> int:
        return (monotonic_ns() - self._begun_ns) // MS

    def _open_answer(self) -> None:
        self._answers += 1
        self._response_id = f"resp_{self._session_id}_{self._answers}"
        self._item_id = f"item_{self._session_id}_{self._answers}"
        self._first = True
        self._send_all(wire.answer_opening(self._response_id, self._item_id))

    def _delta(self, call: CallState | None) -> None:
        if not self._response_id:
            return  # cancelled
        response_id, item_id = self._response_id.encode(), self._item_id.encode()
        head = _UNSTAMPED if call is None else self._stamp(call)
        self._events += 2
        audio = wire.AUDIO_DELTA % (self._events - 1, response_id, item_id, head, self._tail)
        self._transport.send(_TEXT, audio)
        if not self._board.plan.transcripts:
            return
        text = wire.TRANSCRIPT_DELTA % (self._events, response_id, item_id, _WORDS.encode())
        self._transport.send(_TEXT, text)

    def _stamp(self, call: CallState) -> bytes:
        """The counter's lowest bit tells the caller's side that an answer begins."""
        counter = call.deltas_sent * 2 + self._first
        call.deltas_sent += 1
        self._first = False
        return stamp.encode(stamp.DOWNLINK, call.number, counter, monotonic_ns())

    def _close_answer(self, audio_ms: int) -> None:
        if not self._response_id:
            return
        transcript = _WORDS * (audio_ms // self._board.plan.delta_audio_ms)
        closing = wire.answer_closing(self._response_id, self._item_id, transcript, audio_ms)
        self._response_id = ""
        self._send_all(closing)

    def _send_all(self, events: list[Json]) -> None:
        for event in events:
            if self._board.plan.transcripts or event["type"] not in wire.TRANSCRIPTS:
                self.send(event)
