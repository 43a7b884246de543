"""What happened in a call, in order: for the result, and live for whoever watches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

EventKind: TypeAlias = Literal[
    "call_started",
    "call_answered",
    "webhook",
    "document",
    "verb",
    "stream_opening",
    "stream_started",
    "stream_refused",
    "stream_closed",
    "caller_speech_started",
    "caller_speech_ended",
    "assistant_started",
    "assistant_stopped",
    "playout_gap",
    "mark",
    "clear",
    "dtmf",
    "step",
    "call_updated",
    "outcome",
    "notice",
    "call_ended",
]


@dataclass(frozen=True, slots=True)
class CallEvent:
    """One thing that happened: ``at_ms`` since the call began, ``at`` in monotonic seconds."""

    kind: EventKind
    at_ms: int
    at: float
    call_sid: str
    data: Mapping[str, object] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """One line of a timeline file."""
        return {"at_ms": self.at_ms, "kind": self.kind, "call_sid": self.call_sid, **self.data}


Observer: TypeAlias = Callable[[CallEvent], None]


class Timeline:
    """Events of one call. The observer is called as each becomes known, in the event loop's thread.

    An event can become known after others that were later: the end of a spell of speech is only
    certain after a pause. ``events`` is sorted by the true time.
    """

    def __init__(self, call_sid: str, started: float, observer: Observer | None = None) -> None:
        self.call_sid = call_sid
        self.started = started
        self._observer = observer
        self._events: list[CallEvent] = []

    def add(self, kind: EventKind, at: float, **data: object) -> CallEvent:
        """Record one event that happened ``at`` (monotonic seconds)."""
        event = CallEvent(kind, self.ms(at), at, self.call_sid, data)
        self._events.append(event)
        if self._observer is not None:
            self._observer(event)
        return event

    def ms(self, at: float) -> int:
        """Milliseconds since the start of the call."""
        return round((at - self.started) * 1000)

    @property
    def events(self) -> tuple[CallEvent, ...]:
        return tuple(sorted(self._events, key=lambda event: event.at))
