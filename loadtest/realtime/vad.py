"""Server VAD by energy, on the clock of appended audio. Knows levels, no samples, no wall clock."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TypeAlias

from .formats import VAD_FRAME_MS

ONSET_FRAMES = 3
"""Loud frames in a row that make a start: a click of 20 or 40 ms is not speech."""
RESUME_FRAMES = 2
"""Loud frames in a row that end a pause within speech: one peak of the noise does not."""
FLOOR_MARGIN_DB = 6.0
FLOOR_WINDOWS = 5
FLOOR_WINDOW_FRAMES = 30
"""The noise floor is the quietest frame of the last 3 s: between words the noise shows."""
HIGHEST_LIMIT_DBFS = -26.0
"""Sound above this is always speech, however steady; telephone speech is mostly at -30 to -15."""


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    audio_start_ms: int
    """Onset less the prefix padding, never before the end of the turn before."""


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    audio_start_ms: int
    audio_end_ms: int
    """End of speech plus the silence that was waited for."""


VadEvent: TypeAlias = SpeechStarted | SpeechStopped


class EnergyVad:
    """Levels of 20 ms frames in, starts and stops of speech out.

    ``threshold`` (0 to 1, as in the API) is mapped onto a level: a frame is loud above
    ``-44 + 20 * threshold`` dBFS, so -34 dBFS at the default of 0.5: line noise up to about -37
    stays out. Where the noise floor is higher than that, the limit rises to 6 dB above it.
    """

    def __init__(
        self, threshold: float, prefix_ms: int, silence_ms: int, clock_ms: int = 0
    ) -> None:
        self._base_dbfs = self._limit_dbfs = -44.0 + 20.0 * threshold
        self._prefix_ms = prefix_ms
        self._silence_ms = silence_ms
        self._clock_ms = clock_ms
        self._earliest_ms = clock_ms
        self._started_ms: int | None = None
        self._loud_run = 0
        self._quiet_ms = 0
        self._minima: deque[float] = deque(maxlen=FLOOR_WINDOWS)
        self._window_min = math.inf
        self._window_frames = 0

    @property
    def clock_ms(self) -> int:
        """End of the last frame fed."""
        return self._clock_ms

    @property
    def started_ms(self) -> int | None:
        """Where the running turn begins (with its prefix); None outside speech."""
        return self._started_ms

    def feed(self, level_dbfs: float) -> VadEvent | None:
        """Take the level of the next 20 ms."""
        self._clock_ms += VAD_FRAME_MS
        self._track_floor(level_dbfs)
        self._loud_run = self._loud_run + 1 if level_dbfs > self._limit_dbfs else 0
        if self._started_ms is None:
            return self._started() if self._loud_run >= ONSET_FRAMES else None
        if self._loud_run >= RESUME_FRAMES:
            self._quiet_ms = 0
            return None
        self._quiet_ms += VAD_FRAME_MS
        if self._quiet_ms < self._silence_ms or self._loud_run:
            return None
        stopped = SpeechStopped(self._started_ms, self._clock_ms)
        self.reset()
        return stopped

    def reset(self) -> None:
        """Forget the running turn: it ended, or its buffer was cleared or committed by hand."""
        self._started_ms = None
        self._loud_run = self._quiet_ms = 0
        self._earliest_ms = self._clock_ms

    def _started(self) -> SpeechStarted:
        onset_ms = self._clock_ms - ONSET_FRAMES * VAD_FRAME_MS
        self._started_ms = max(self._earliest_ms, onset_ms - self._prefix_ms)
        self._quiet_ms = 0
        return SpeechStarted(self._started_ms)

    def _track_floor(self, level_dbfs: float) -> None:
        if level_dbfs < self._window_min:
            self._window_min = level_dbfs
        self._window_frames += 1
        if self._window_frames < FLOOR_WINDOW_FRAMES:
            return
        self._minima.append(self._window_min)
        self._window_min, self._window_frames = math.inf, 0
        if len(self._minima) == FLOOR_WINDOWS:
            floor_dbfs = min(self._minima)
            raised = min(floor_dbfs + FLOOR_MARGIN_DB, HIGHEST_LIMIT_DBFS)
            self._limit_dbfs = max(self._base_dbfs, raised)
