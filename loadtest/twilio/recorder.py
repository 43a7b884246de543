"""Both directions of a call on one time axis, for listening: caller left, assistant right."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike

import audiocodecs
from loadtest.twilio.audio import SILENCE_BYTE
from loadtest.twilio.playout import BYTES_PER_SECOND, Played


@dataclass(frozen=True, slots=True)
class Recording:
    """Two mu-law tracks, 8 kHz, that begin when the call began; assistant: what was played."""

    caller: bytes
    assistant: bytes

    @property
    def duration_ms(self) -> int:
        return max(len(self.caller), len(self.assistant)) * 1000 // BYTES_PER_SECOND

    def write_wav(self, path: str | PathLike[str]) -> None:
        """A stereo WAV file: caller left, assistant right. PCM16, which every player knows."""
        left, right = (
            audiocodecs.WavAudio(audiocodecs.ulaw_to_pcm16(track), audiocodecs.Encoding.PCM16)
            for track in (self.caller, self.assistant)
        )
        audiocodecs.write_wav(path, audiocodecs.stereo(left, right))


class Recorder:
    """Collects a call's audio. ``started`` is where the axis begins, in monotonic seconds."""

    def __init__(self, started: float) -> None:
        self._started = started
        self._caller = bytearray()
        self._caller_from: float | None = None
        self._assistant: list[Played] = []

    def caller_frame(self, ulaw: bytes, at: float) -> None:
        """The next frame of the caller's line; frames come without gaps from the first one on."""
        if self._caller_from is None:
            self._caller_from = at
        self._caller += ulaw

    def assistant_runs(self, runs: Iterable[Played]) -> None:
        """What one stream really played, told when it has ended."""
        self._assistant.extend(runs)

    def finish(self) -> Recording:
        caller = bytearray()
        if self._caller_from is not None:
            _place(caller, self._offset(self._caller_from), self._caller)
        assistant = bytearray()
        for run in self._assistant:
            _place(assistant, self._offset(run.start), run.ulaw)
        size = max(len(caller), len(assistant))
        return Recording(*(bytes(track).ljust(size, SILENCE_BYTE) for track in (caller, assistant)))

    def _offset(self, at: float) -> int:
        return max(0, round((at - self._started) * BYTES_PER_SECOND))


def _place(track: bytearray, offset: int, audio: bytes | bytearray) -> None:
    if len(track) < offset:
        track += SILENCE_BYTE * (offset - len(track))
    track[offset : offset + len(audio)] = audio
