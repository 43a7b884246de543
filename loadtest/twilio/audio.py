"""What a caller says: clips of mu-law audio, cut and encoded once, shared by every call."""

from __future__ import annotations

import binascii
import functools
import random
from dataclasses import dataclass
from os import PathLike

import audiocodecs
from loadtest.twilio.wire import BYTES_PER_MS, FRAME_BYTES, FRAME_MS

AUDIBLE_DBFS = -50.0
"""A 20 ms frame at or above this level counts as heard."""
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
    """

    name: str
    frames: tuple[Frame, ...]
    speech: tuple[int, int] | None

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
        heard = [index for index, frame in enumerate(frames) if is_audible(frame.ulaw)]
        return cls(name, frames, (heard[0], heard[-1]) if heard else None)

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
