"""What a caller says: clips of mu-law audio, cut and encoded once, shared by every call."""

from __future__ import annotations

import binascii
import functools
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike

import audiocodecs
from loadtest.twilio.wire import BYTES_PER_MS, FRAME_BYTES, FRAME_MS

AUDIBLE_DBFS = -50.0
"""A 20 ms frame at or above this level counts as heard."""
NOISE_FRAMES = 10
STEADY_DB = 6.0
"""So many frames in a row, no further apart than this, are background noise or a held note."""
SILENT_DBFS = -70.0
"""Below it a line is dead, which says nothing of the noise elsewhere in the recording."""
LEAST_SNR_DB = 12.0
ABOVE_NOISE_DB = 10.0
SILENCE_BYTE = b"\xff"


def is_audible(ulaw: bytes) -> bool:
    """Whether a stretch of about 20 ms would be heard as something."""
    return audiocodecs.ulaw_level_dbfs(ulaw) >= AUDIBLE_DBFS


@dataclass(frozen=True, slots=True)
class Frame:
    """20 ms of caller audio, raw and as it goes on the wire."""

    ulaw: bytes
    payload: bytes

    @classmethod
    def of(cls, ulaw: bytes) -> Frame:
        return cls(ulaw, binascii.b2a_base64(ulaw, newline=False))


SILENCE = Frame.of(SILENCE_BYTE * FRAME_BYTES)


@dataclass(frozen=True, slots=True)
class Clip:
    """Something to say. Frames of 20 ms, the last one filled up with silence.

    ``speech`` are the indexes of the first and last audible frame, None for a silent clip.
    ``audible_dbfs`` is the level that was looked for, above the noise in the recording.
    """

    name: str
    frames: tuple[Frame, ...]
    speech: tuple[int, int] | None
    audible_dbfs: float = AUDIBLE_DBFS

    @property
    def duration_ms(self) -> int:
        return len(self.frames) * FRAME_MS

    @classmethod
    def of(cls, ulaw: bytes, name: str = "clip") -> Clip:
        """A clip of raw mu-law, 8 kHz mono."""
        if not ulaw:
            raise ValueError(f"{name}: a clip needs audio, got 0 bytes")
        framer = audiocodecs.Framer()
        cut = framer.push(ulaw)
        rest = framer.flush()
        frames = tuple(Frame.of(part) for part in (*cut, *([rest] if rest else [])))
        levels = [audiocodecs.ulaw_level_dbfs(frame.ulaw) for frame in frames]
        audible_dbfs = _speech_dbfs(levels)
        heard = [index for index, level in enumerate(levels) if level >= audible_dbfs]
        return cls(name, frames, (heard[0], heard[-1]) if heard else None, audible_dbfs)

    @classmethod
    def from_wav(
        cls, path: str | PathLike[str], start_ms: int = 0, end_ms: int | None = None
    ) -> Clip:
        """A WAV file or a part of it: 8 kHz mono, mu-law, A-law or PCM16."""
        audio = audiocodecs.read_wav(path)
        if audio.rate_hz != 8000 or audio.channels != 1:
            raise audiocodecs.WavError(
                f"{path}: {audio.rate_hz} Hz with {audio.channels} channels, expected 8000 Hz mono"
            )
        end = None if end_ms is None else end_ms * BYTES_PER_MS
        return cls.of(audio.ulaw()[start_ms * BYTES_PER_MS : end], name=str(path))


def _speech_dbfs(levels: Sequence[float]) -> float:
    """From which level on a frame is speech: background noise below it ends no turn late.

    The noise is the quietest steady stretch. A recording that is speech from end to end has none
    that is far enough below the rest.
    """
    heard = sorted(level for level in levels if level >= AUDIBLE_DBFS)
    if not heard:
        return AUDIBLE_DBFS
    loud_dbfs = heard[len(heard) * 9 // 10]
    stretches = (levels[at : at + NOISE_FRAMES] for at in range(len(levels) - NOISE_FRAMES + 1))
    steady = (
        statistics.median(one)
        for one in stretches
        if min(one) > SILENT_DBFS and max(one) - min(one) <= STEADY_DB
    )
    noise_dbfs = min(steady, default=SILENT_DBFS)
    snr_db = loud_dbfs - noise_dbfs
    if snr_db < LEAST_SNR_DB:
        return AUDIBLE_DBFS
    return max(AUDIBLE_DBFS, noise_dbfs + min(ABOVE_NOISE_DB, snr_db / 2))


@functools.cache
def noise_frames(level_dbfs: float, seed: int = 1, count: int = 50) -> tuple[Frame, ...]:
    """Comfort noise: ``count`` different frames of white noise at ``level_dbfs``."""
    rng = random.Random(seed)
    # Evenly spread samples of amplitude a have an RMS of a / sqrt(3).
    peak = min(32767, int(32768 * 10 ** (level_dbfs / 20) * 3**0.5))
    return tuple(Frame.of(_noise(rng, peak)) for _ in range(count))


def _noise(rng: random.Random, peak: int) -> bytes:
    samples = (rng.randint(-peak, peak) for _ in range(FRAME_BYTES))
    pcm16 = b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples)
    return audiocodecs.pcm16_to_ulaw(pcm16)
