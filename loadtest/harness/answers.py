"""What a simulated model says, as frames that can be followed."""

from __future__ import annotations

from dataclasses import dataclass

from loadtest.realtime.record import ResponseRecord
from loadtest.twilio.audio import is_audible
from loadtest.twilio.wire import FRAME_BYTES


@dataclass(eq=False)
class Answer:
    """One spoken piece of the model: frames ``first`` up to ``end`` of its session were sent."""

    first: int
    response: ResponseRecord
    audible: tuple[int, int] | None
    """First and last frame that can be heard, if all of it is sent."""
    began: float
    total_bytes: int
    end: int = 0
    sent_bytes: int = 0
    over: bool = False

    @property
    def complete(self) -> bool:
        """All of it was sent, and the model did not take it back."""
        return self.sent_bytes >= self.total_bytes and self.response.status in (
            "completed",
            "in_progress",
        )


def audible(audio: bytes, first: int) -> tuple[int, int] | None:
    """Looked for from both ends, for what is between does not matter."""
    count = len(audio) // FRAME_BYTES

    def heard(index: int) -> bool:
        return is_audible(audio[index * FRAME_BYTES : (index + 1) * FRAME_BYTES])

    start = next((index for index in range(count) if heard(index)), None)
    if start is None:
        return None
    last = next(index for index in range(count - 1, -1, -1) if heard(index))
    return first + start, first + last
