"""What the caller hears: when the assistant begins and ends to speak at the ear. Sans-I/O.

It listens to the audio itself, in steps of 20 ms, so that silence sent as audio does not count as
an answer. Pauses shorter than ``HANGOVER_S`` belong to one spell of speech.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TypeAlias

from loadtest.twilio.audio import is_audible
from loadtest.twilio.playout import BYTES_PER_SECOND
from loadtest.twilio.wire import FRAME_BYTES, FRAME_MS

HANGOVER_S = 0.3
SETTLED_S = 0.06
"""A bridge that sends in real time may be so far behind, and is speaking all the same."""
_STEP_S = FRAME_MS / 1000
_NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class SpellStarted:
    """The first audible moment after silence."""

    at: float


@dataclass(frozen=True, slots=True)
class SpellEnded:
    """The last audible moment before silence; ``cut`` when what was queued behind it is gone."""

    at: float
    cut: bool


Change: TypeAlias = SpellStarted | SpellEnded


@dataclass(slots=True)
class _Run:
    start: float
    end: float


class Ear:
    """Follows the playout: ``heard`` and ``cut`` come from the stream, ``advance`` from a clock."""

    def __init__(self) -> None:
        self._runs: deque[_Run] = deque()
        self._speaking = False
        self._last_heard = -_NEVER
        self.next_change_at = _NEVER

    @property
    def speaking(self) -> bool:
        """In a spell of speech, short pauses included (as of the last ``advance``)."""
        return self._speaking

    @property
    def quiet_from(self) -> float:
        """The last audible moment, past or already queued; minus infinity if there was none."""
        return self._runs[-1].end if self._runs else self._last_heard

    def is_audible(self, now: float) -> bool:
        """Something can be heard at this very moment, or within a pause of speech."""
        return bool(self._runs) and self._runs[0].start <= now < self._runs[-1].end

    def heard(self, ulaw: bytes, start: float) -> None:
        """Audio that will be at the ear from ``start`` on, behind everything told before."""
        for offset in range(0, len(ulaw), FRAME_BYTES):
            step = ulaw[offset : offset + FRAME_BYTES]
            if is_audible(step):
                self._add(start + offset / BYTES_PER_SECOND, len(step) / BYTES_PER_SECOND)
        self._plan()

    def _add(self, start: float, length_s: float) -> None:
        last = self._runs[-1] if self._runs else None
        if last is not None and start - last.end <= _STEP_S / 2:
            last.end = start + length_s
        else:
            self._runs.append(_Run(start, start + length_s))

    def cut(self, now: float) -> list[Change]:
        """Nothing queued will be heard after ``now``; a running spell ends with it."""
        changes = self.advance(now)
        ended = self._speaking
        while self._runs and self._runs[-1].start >= now:
            self._runs.pop()
        if self._runs:
            self._last_heard = min(now, self._runs[-1].end)
        self._runs.clear()
        self._speaking = False
        self._plan()
        return [*changes, SpellEnded(self._last_heard, cut=True)] if ended else changes

    def settle(self, now: float) -> list[Change]:
        """End a spell that is in its last pause: the caller has taken the turn."""
        changes = self.advance(now)
        if self._speaking and self.quiet_from <= now - SETTLED_S:
            changes.append(self._end_spell())
            self._plan()
        return changes

    def advance(self, now: float) -> list[Change]:
        """What has changed up to ``now``, in order, with the true times."""
        changes: list[Change] = []
        while self.next_change_at <= now:
            if not self._speaking:
                self._speaking = True
                changes.append(SpellStarted(self._runs[0].start))
            elif len(self._runs) > 1 and self._runs[1].start - self._runs[0].end <= HANGOVER_S:
                self._runs.popleft()
            else:
                changes.append(self._end_spell())
            self._plan()
        return changes

    def _end_spell(self) -> SpellEnded:
        self._speaking = False
        self._last_heard = self._runs.popleft().end
        return SpellEnded(self._last_heard, cut=False)

    def _plan(self) -> None:
        """When ``advance`` has to look next. Bounded work per frame: one comparison."""
        if not self._runs:
            self.next_change_at = _NEVER
        elif not self._speaking:
            self.next_change_at = self._runs[0].start
        elif len(self._runs) > 1 and self._runs[1].start - self._runs[0].end <= HANGOVER_S:
            self.next_change_at = self._runs[1].start
        else:
            self.next_change_at = self._runs[0].end + HANGOVER_S
