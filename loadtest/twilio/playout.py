"""The playout clock of one stream: audio in, marks out, and what was really played. Sans-I/O.

Times are seconds on any steadily rising clock, handed in. Audio plays at 8 bytes a millisecond from
the moment it arrives, or behind what is still queued.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from loadtest.twilio.wire import BYTES_PER_MS

BYTES_PER_SECOND = BYTES_PER_MS * 1000
LIMIT_MS = 10 * 60 * 1000
"""More than this queued, and Twilio throws new audio away (31931)."""


@dataclass(slots=True)
class Played:
    """A run of audio without a gap: it began at ``start`` and was heard as it is."""

    start: float
    ulaw: bytearray

    @property
    def end(self) -> float:
        return self.start + len(self.ulaw) / BYTES_PER_SECOND


@dataclass(frozen=True, slots=True)
class Queued:
    """What became of one media message: it plays from ``start``, after ``gap_s`` of empty buffer.

    The gap is infinite for the first audio and for the first after a clear.
    """

    start: float
    gap_s: float


class Playout:
    """Buffer and clock of what the caller hears. ``limit_ms`` bounds the buffer."""

    def __init__(self, limit_ms: int = LIMIT_MS, *, keep_audio: bool = True) -> None:
        self._limit_s = limit_ms / 1000
        self._keep_audio = keep_audio
        self._runs: list[Played] = []
        self._marks: deque[tuple[float, str]] = deque()
        self._end = float("-inf")

    @property
    def runs(self) -> list[Played]:
        """What was played and, behind the present, what would be if nothing clears it."""
        return self._runs

    @property
    def next_mark_at(self) -> float | None:
        """When the oldest pending mark is reached."""
        return self._marks[0][0] if self._marks else None

    @property
    def pending_marks(self) -> int:
        return len(self._marks)

    def buffered_ms(self, now: float) -> float:
        """Audio that has not been played yet."""
        return max(0.0, self._end - now) * 1000

    def media(self, ulaw: bytes, now: float) -> Queued | None:
        """Queue audio; None if the buffer is full and it was thrown away."""
        start = max(now, self._end)
        length_s = len(ulaw) / BYTES_PER_SECOND
        if start + length_s - now > self._limit_s:
            return None
        gap_s = start - self._end
        self._end = start + length_s
        if self._keep_audio:
            if gap_s > 0:
                self._runs.append(Played(start, bytearray()))
            self._runs[-1].ulaw += ulaw
        return Queued(start, gap_s)

    def mark(self, name: str, now: float) -> None:
        """Place a mark behind everything queued; with nothing queued it is reached at once."""
        self._marks.append((max(now, self._end), name))

    def reached(self, now: float) -> list[str]:
        """Names of the marks whose turn has come, oldest first; each is reported once."""
        names = []
        while self._marks and self._marks[0][0] <= now:
            names.append(self._marks.popleft()[1])
        return names

    def clear(self, now: float) -> list[str]:
        """Stop playing at ``now``. Returns the marks that were pending, in order."""
        self.cut(now)
        names = [name for _, name in self._marks]
        self._marks.clear()
        return names

    def cut(self, now: float) -> None:
        """Forget what has not been played by ``now``; marks stay."""
        if self._end <= now:
            return
        self._end = float("-inf")  # what comes next begins a new run, also at this very moment
        while self._runs and self._runs[-1].start >= now:
            self._runs.pop()
        if self._runs and self._runs[-1].end > now:
            last = self._runs[-1]
            del last.ulaw[int((now - last.start) * BYTES_PER_SECOND) :]
