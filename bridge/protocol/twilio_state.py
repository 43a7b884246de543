"""What may come when on Twilio's socket, as a table."""

from __future__ import annotations

from enum import Enum
from typing import Final

from bridge.errors import RemoteProtocolError
from bridge.protocol.twilio_messages import (
    Connected,
    Dtmf,
    Mark,
    Media,
    Message,
    Start,
    Stop,
    Unhandled,
)


class StreamPhase(Enum):
    """How far the stream is."""

    AWAIT_CONNECTED = "await_connected"
    AWAIT_START = "await_start"
    STREAMING = "streaming"
    STOPPED = "stopped"

    # Members are found in a table for every message; Enum's own hash is a call of Python.
    __hash__ = object.__hash__


_P = StreamPhase

TRANSITIONS: Final[dict[tuple[StreamPhase, type[Message]], StreamPhase]] = {
    (_P.AWAIT_CONNECTED, Connected): _P.AWAIT_START,
    (_P.AWAIT_CONNECTED, Start): _P.STREAMING,  # seen in the wild: no connected at all
    (_P.AWAIT_CONNECTED, Unhandled): _P.AWAIT_CONNECTED,
    (_P.AWAIT_START, Start): _P.STREAMING,
    (_P.AWAIT_START, Unhandled): _P.AWAIT_START,
    (_P.STREAMING, Media): _P.STREAMING,
    (_P.STREAMING, Dtmf): _P.STREAMING,
    (_P.STREAMING, Mark): _P.STREAMING,
    (_P.STREAMING, Unhandled): _P.STREAMING,
    (_P.STREAMING, Stop): _P.STOPPED,
}

_EVENT_NAMES: Final[dict[type[Message], str]] = {
    Connected: "connected",
    Start: "start",
    Media: "media",
    Dtmf: "dtmf",
    Mark: "mark",
    Stop: "stop",
    Unhandled: "unknown",
}


class StreamState:
    """The phase of one stream. Gaps in ``sequenceNumber`` are no concern of it."""

    __slots__ = ("phase",)

    def __init__(self) -> None:
        self.phase = StreamPhase.AWAIT_CONNECTED

    @property
    def streaming(self) -> bool:
        """Between start and stop: media may pass without asking."""
        return self.phase is StreamPhase.STREAMING

    def receive(self, message: Message) -> StreamPhase:
        """Move to the phase after ``message``.

        A message out of place raises RemoteProtocolError and changes nothing. Reasons:
        ``after_stop``, ``second_start``, ``second_connected``, ``media_before_start`` and its kind.
        """
        kind = type(message)
        following = TRANSITIONS.get((self.phase, kind))
        if following is None:
            raise self._out_of_place(_EVENT_NAMES[kind])
        self.phase = following
        return following

    def _out_of_place(self, event: str) -> RemoteProtocolError:
        if self.phase is StreamPhase.STOPPED:
            return RemoteProtocolError(f"{event} came after stop", reason="after_stop")
        if event in ("connected", "start"):
            return RemoteProtocolError(f"{event} came twice", reason=f"second_{event}")
        return RemoteProtocolError(f"{event} came before start", reason=f"{event}_before_start")
