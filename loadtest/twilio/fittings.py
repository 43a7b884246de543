"""What a load test may put on a caller's line: a carrier with its faults, and a listener."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from loadtest.twilio.audio import Frame


class Sink(Protocol):
    """The far end of the line while a media stream runs."""

    def send_media(self, payload: bytes) -> None:
        """One frame, base64."""


class Carrier(Protocol):
    """Between the caller and the media stream."""

    def carry(self, frame: Frame, sink: Sink) -> None:
        """Every 20 ms while a stream runs: hand the frame on, now, later, changed or never."""


class Listener(Protocol):
    """At the caller's ear, before anything is decided about what is audible."""

    def heard(self, ulaw: bytes, starts: float) -> None:
        """Audio has arrived now and will be played from ``starts`` on (monotonic seconds)."""

    def cut(self, now: float) -> None:
        """What was to be played from ``now`` on never will be."""


@dataclass(frozen=True, slots=True)
class Fittings:
    """Of one line; None is nothing of the kind."""

    carrier: Carrier | None = None
    listener: Listener | None = None


PLAIN = Fittings()
