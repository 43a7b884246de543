"""The caller's side of one call: Twilio's socket, spoken as cheaply as can be."""

from __future__ import annotations

from binascii import b2a_base64
from time import monotonic_ns

import orjson
from picows import WSFrame, WSListener, WSMsgType, WSTransport

from loadtest.bench import stamp, wire
from loadtest.bench.board import Board, CallState
from loadtest.bench.playout import Playout

_FRAME_MS = 20
_TEXT = WSMsgType.TEXT
_MEDIA = wire.MEDIA
_UPLINK = stamp.UPLINK
_pack = stamp.LAYOUT.pack
_TAIL = stamp.tail_of(stamp.FRAME_BYTES)


class Caller(WSListener):
    """Sends a frame whenever the wheel says so; plays, echoes and clears as Twilio does."""

    __slots__ = (
        "_gauges",
        "_leaving",
        "_playout",
        "_sequence",
        "_stream_sid",
        "_transport",
        "call",
    )

    def __init__(self, board: Board, call: CallState) -> None:
        self.call = call
        self._gauges = board.gauges
        self._playout = Playout()
        self._transport: WSTransport | None = None
        self._stream_sid = wire.stream_sid(call.number).encode()
        self._sequence = 1
        self._leaving = False

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        transport.send(_TEXT, wire.CONNECTED)
        transport.send(_TEXT, wire.start(self.call.number))

    def beat(self, now_ns: int) -> None:
        """20 ms have passed: send a frame, echo marks that were reached, let the model go on."""
        transport, call = self._transport, self.call
        if transport is None:
            return
        if now_ns >= self._playout.next_ns:
            for name in self._playout.due(now_ns):
                self._echo(name)
        count = call.frames_sent
        call.frames_sent = count + 1
        self._sequence = sequence = self._sequence + 1
        head = b2a_base64(_pack(_UPLINK, call.number, count, monotonic_ns()), newline=False)
        transport.send(
            _TEXT,
            _MEDIA % (sequence, self._stream_sid, count + 1, count * _FRAME_MS, head, _TAIL),
        )
        if now_ns >= call.turn_due_ns:
            call.take_turn(now_ns)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        now_ns = monotonic_ns()
        if frame.msg_type is not _TEXT:
            if frame.msg_type is WSMsgType.CLOSE:
                transport.disconnect()
            return
        message = orjson.loads(frame.get_payload_as_memoryview())
        match message["event"]:
            case "media":
                self._media(message["media"]["payload"], now_ns)
            case "mark":
                self._playout.mark(message["mark"]["name"])
            case "clear":
                self._clear(now_ns)

    def _media(self, payload: str, now_ns: int) -> None:
        self._playout.play(stamp.audio_bytes(payload), now_ns)
        found = stamp.decode(stamp.DOWNLINK, payload)
        if found is None:
            return  # a greeting, or the rest of a delta that the bridge has cut up
        gauges, call = self._gauges, self.call
        if found.call != call.number:
            gauges.crossed += 1
            return
        number, first = divmod(found.counter, 2)
        if number == call.downlink.next:
            call.downlink.next = number + 1
        else:
            call.downlink.irregular(number)
        if gauges.from_ns <= found.sent_ns < gauges.until_ns:
            (gauges.first_audio_ns if first else gauges.delta_ns).append(now_ns - found.sent_ns)

    def _clear(self, now_ns: int) -> None:
        gauges, call = self._gauges, self.call
        for name in self._playout.clear(now_ns):
            self._echo(name)
        sent_ns, call.barge_sent_ns = call.barge_sent_ns, 0
        if not sent_ns:
            gauges.clears_elsewhere += 1
        elif gauges.from_ns <= sent_ns < gauges.until_ns:
            gauges.barge_in_ns.append(now_ns - sent_ns)

    def _echo(self, name: str) -> None:
        if self._transport is None:
            return
        self._sequence += 1
        self._transport.send(_TEXT, wire.mark(self.call.number, self._sequence, name))

    def press(self, digit: str) -> None:
        if self._transport is None:
            return
        self._sequence += 1
        self._transport.send(_TEXT, wire.dtmf(self.call.number, self._sequence, digit))

    def hang_up(self) -> None:
        """As Twilio does when the caller hangs up: ``stop``, then the socket closes."""
        self._leaving = True
        if self._transport is None:
            return
        self._sequence += 1
        self._transport.send(_TEXT, wire.stop(self.call.number, self._sequence))
        self._transport.send_close()
        self._transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._transport = None
        self.call.ended_early = not self._leaving
