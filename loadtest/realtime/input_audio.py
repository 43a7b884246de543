"""The caller's audio as it is appended: its clock, the VAD on it, and what a turn consists of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .format_check import FormatCheck
from .formats import VAD_FRAME_MS
from .settings import SessionSettings
from .vad import EnergyVad, SpeechStarted, SpeechStopped

HELD_LIMIT_MS = 10 * 60_000
"""Without VAD nothing commits by itself; older audio than this is let go."""


@dataclass(frozen=True, slots=True)
class InputEvents:
    """Whom to tell, in the middle of ``append``."""

    started: Callable[[SpeechStarted], None]
    stopped: Callable[[SpeechStopped, bytes], None]
    """With the turn's audio, in the session's input format."""
    wrong_format: Callable[[str], None]
    """What the audio seems to be instead of what was configured."""


class InputAudio:
    """Append audio of any chunking; turns come out through ``InputEvents``."""

    def __init__(self, settings: SessionSettings, events: InputEvents) -> None:
        self._events = events
        self._clock_base_ms = 0
        self._appended_bytes = 0
        self._held = bytearray()
        self._vad: EnergyVad | None = None
        self.configure(settings)

    def configure(self, settings: SessionSettings) -> None:
        """Take over format and turn detection; the clock goes on, half-heard speech is dropped."""
        self._clock_base_ms = self.appended_ms if self._appended_bytes else self._clock_base_ms
        self._appended_bytes = 0
        self._format = settings.input_format
        self._level = self._format.level_dbfs
        self._frame_bytes = VAD_FRAME_MS * self._format.bytes_per_ms
        self._rest = bytearray()
        self._held.clear()
        self._check = FormatCheck(self._format)
        detection = settings.turn_detection
        self._vad = None
        self._idle_keep_bytes = HELD_LIMIT_MS * self._format.bytes_per_ms
        if detection is not None:
            prefix_ms = int(detection.get("prefix_padding_ms", 300))
            threshold = float(detection.get("threshold", 0.5))
            self._vad = EnergyVad(threshold, prefix_ms, settings.silence_ms, self._clock_base_ms)
            # Outside speech only what a turn may begin with is of use: padding and onset.
            self._idle_keep_bytes = (prefix_ms + 5 * VAD_FRAME_MS) * self._format.bytes_per_ms

    @property
    def appended_ms(self) -> int:
        """The clock of appended audio."""
        return self._clock_base_ms + self._format.duration_ms(self._appended_bytes)

    @property
    def speaking(self) -> bool:
        return self._vad is not None and self._vad.started_ms is not None

    @property
    def committable_ms(self) -> int:
        """Audio that a commit by hand would take: under VAD only that of the running turn."""
        if self._vad is None:
            return self._format.duration_ms(len(self._held))
        started_ms = self._vad.started_ms
        return 0 if started_ms is None else self.appended_ms - started_ms

    def append(self, audio: bytes) -> None:
        self._appended_bytes += len(audio)
        self._held += audio
        if not self._check.resting:
            instead = self._check.feed(audio)
            if instead is not None:
                self._events.wrong_format(instead)
        if self._vad is None:
            self._let_go()
        elif len(audio) == self._frame_bytes and not self._rest:
            self._feed(self._vad, audio)
        else:
            self._reframe(self._vad, audio)

    def take(self) -> bytes:
        """The audio of a commit by hand; the buffer is empty afterwards."""
        audio = bytes(self._held)
        self.clear()
        return audio

    def clear(self) -> None:
        self._held.clear()
        if self._vad is not None:
            self._vad.reset()

    def _reframe(self, vad: EnergyVad, audio: bytes) -> None:
        self._rest += audio
        size = self._frame_bytes
        whole = len(self._rest) - len(self._rest) % size
        for start in range(0, whole, size):
            self._feed(vad, bytes(self._rest[start : start + size]))
        del self._rest[:whole]

    def _feed(self, vad: EnergyVad, frame: bytes) -> None:
        event = vad.feed(self._level(frame))
        if event is None:
            if vad.started_ms is None:
                self._let_go()
        elif isinstance(event, SpeechStarted):
            self._events.started(event)
        else:
            self._events.stopped(event, self.take())

    def _let_go(self) -> None:
        # Twice the limit before anything moves, so that the cost per frame stays small.
        if len(self._held) > 2 * self._idle_keep_bytes:
            del self._held[: -self._idle_keep_bytes]
