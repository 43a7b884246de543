"""Anybody's WAV as something a caller says: whatever its rate, it becomes telephone audio."""

from __future__ import annotations

from os import PathLike

import numpy as np

import audiocodecs
from loadtest.twilio.audio import AUDIBLE_DBFS, Clip

TELEPHONE_HZ = 8000
LOWEST_HZ, HIGHEST_HZ = 4000, 192_000
LONGEST_S = 600
TOP_OF_BAND_HZ = 3700
"""What a telephone line passes; above it nothing is kept, so nothing is folded back."""


def caller_clip(path: str | PathLike[str]) -> tuple[Clip, str | None]:
    """The clip, and what had to be done to the recording, if anything.

    Raises OSError or WavError, with the file and the reason.
    """
    audio = audiocodecs.read_wav(path)
    if not LOWEST_HZ <= audio.rate_hz <= HIGHEST_HZ:
        raise audiocodecs.WavError(
            f"{path}: {audio.rate_hz} Hz, expected {LOWEST_HZ} to {HIGHEST_HZ}"
        )
    if not audio.frame_count:
        raise audiocodecs.WavError(f"{path}: holds no audio")
    if audio.duration_ms > LONGEST_S * 1000:
        raise audiocodecs.WavError(
            f"{path}: {audio.duration_ms // 1000} s long, expected at most {LONGEST_S} s"
        )
    done = []
    if audio.missing_bytes:
        lost_ms = audio.missing_bytes * 1000 // (audio.frame_bytes * audio.rate_hz)
        done.append(f"the file is cut short by {lost_ms} ms, used as far as it goes")
    if audio.channels == 2:
        done.append("of two channels the left one taken")
        audio = audiocodecs.WavAudio(audio.channel(0), audio.encoding, audio.rate_hz)
    if audio.encoding is audiocodecs.Encoding.ALAW:
        done.append("A-law made mu-law")
    ulaw = audio.ulaw()
    if audio.rate_hz != TELEPHONE_HZ:
        done.append(f"resampled from {audio.rate_hz} Hz")
        ulaw = audiocodecs.pcm16_to_ulaw(_resampled(audio.pcm16(), audio.rate_hz))
    clip = Clip.of(ulaw, name=str(path))
    if clip.speech is None:
        raise audiocodecs.WavError(f"{path}: nothing in it is loud enough to be heard")
    if clip.audible_dbfs > AUDIBLE_DBFS:
        done.append(f"noise in it, speech is what is above {clip.audible_dbfs:.0f} dBFS")
    return clip, f"{path}: {', '.join(done)}" if done else None


def _resampled(pcm16: bytes, rate_hz: int) -> bytes:
    """By way of the spectrum, which for a whole recording at once is exact."""
    samples = np.frombuffer(pcm16, dtype="<i2").astype(np.float64)
    count = max(1, round(len(samples) * TELEPHONE_HZ / rate_hz))
    spectrum = np.fft.rfft(samples)
    top = int(min(TOP_OF_BAND_HZ, rate_hz / 2) * len(samples) / rate_hz) + 1
    kept = np.zeros(count // 2 + 1, dtype=spectrum.dtype)
    width = min(top, len(spectrum), len(kept))
    kept[:width] = spectrum[:width]
    made = np.fft.irfft(kept, count) * (count / len(samples))
    return np.clip(np.rint(made), -32768, 32767).astype("<i2").tobytes()
