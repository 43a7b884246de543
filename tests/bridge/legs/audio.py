"""Sounds for tests: a tone is speech to a voice detector by energy, and can be told from others."""

from __future__ import annotations

import functools

import numpy as np

import audiocodecs


@functools.cache
def tone(length_ms: int, hz: int = 440) -> bytes:
    """Audible mu-law."""
    time_s = np.arange(length_ms * 8) / 8000
    wave = (np.sin(2 * np.pi * hz * time_s) * 8000).astype("<i2")
    return audiocodecs.pcm16_to_ulaw(wave.tobytes())


def numbered(count: int) -> list[bytes]:
    """Frames of 20 ms, each of them different from all others."""
    return [index.to_bytes(2, "big") * 80 for index in range(count)]
