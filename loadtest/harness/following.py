"""What could be followed on its way, and what came out where it does not belong.

A bridge may change the audio in one direction and not in the other. Where it does, the numbers in
the frames are gone, and what is missing then is not lost.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from loadtest.twilio.wire import FRAME_BYTES

EXPLAINED = 0.75
"""So much of what is missing has come without numbers: it was changed, not lost."""
UPLINK_MISSING = 0.0
ANSWERS_MISSING = 1 / 3
"""A bridge also plays audio of its own, so that little is said by audio without numbers."""
CERTAIN_FRAMES = 2
"""One frame may be taken for another's by chance, once in hours of a thousand calls."""


@dataclass(slots=True)
class Direction:
    """Frames of one direction, of all calls."""

    due: int = 0
    """Numbered frames that had to come out."""
    missing: int = 0
    strange_bytes: int = 0
    """Audio that came out with no number, stretches of one code left out."""

    def changed(self, least_missing: float) -> bool:
        """It came out, but not as it was sent."""
        if not self.missing or self.missing < least_missing * self.due:
            return False
        return self.strange_bytes / FRAME_BYTES >= EXPLAINED * self.missing


@dataclass(slots=True)
class Following:
    """Of a whole run."""

    calls: int = 0
    """Calls of which a frame was seen at the model."""
    uplink: Direction = field(default_factory=Direction)
    answers: Direction = field(default_factory=Direction)
    numbered: int = 0
    """Answers of the model whose audio has numbers."""
    not_mulaw: int = 0
    """Answers that can have none."""

    @property
    def why_no_uplink(self) -> str | None:
        """Why nothing can be said of frames on their way to the model."""
        if not self.calls:
            return (
                "callers' audio did not reach the model as it was sent (the bridge decodes it, or "
                "sends none): frames on the way were not counted"
            )
        if self.uplink.changed(UPLINK_MISSING):
            return (
                "callers' audio was changed on its way to the model (decoded and encoded again): "
                "frames on that way were not counted"
            )
        return None

    @property
    def why_no_answers(self) -> str | None:
        """Why nothing can be said of the model's audio on its way to the caller."""
        if self.not_mulaw and not self.numbered:
            return (
                "the model was asked for answers in another format than mu-law: their audio on the "
                "way to the caller was not counted"
            )
        if self.answers.changed(ANSWERS_MISSING):
            return (
                "answers were changed on their way to the caller (decoded and encoded again): "
                "their audio on that way was not counted"
            )
        return None


@dataclass(slots=True)
class Strays:
    """Frames of others that came out in one place, by the number of their stream."""

    seen: Counter[int] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        return self.seen.total()

    def add(self, stream: int) -> int:
        """How many are certain to be strays now that were not before."""
        self.seen[stream] += 1
        count = self.seen[stream]
        if count < CERTAIN_FRAMES:
            return 0
        return count if count == CERTAIN_FRAMES else 1
