"""Notices audio that is not in the configured format, from the statistics of its bytes.

In PCM16 the high bytes of speech crowd around 0x00 and 0xFF while the low bytes take every value,
so bytes at even and at odd places are distributed differently. In G.711 every byte is a sample and
both places look alike. The distance of the two distributions tells the formats apart within half a
second of speech; silence says nothing and is passed over.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from .formats import AudioFormat

_Counts: TypeAlias = npt.NDArray[np.int64]

BLOCK_MS = 100
BLOCKS_WANTED = 5
"""Loud blocks that are judged, the first ones after a format was configured; then it rests."""
WRONG_BLOCKS = 4
LOUD_DBFS = -45.0
ALIKE_BELOW = 0.2
"""Measured on telephone speech: mu-law blocks of 4800 bytes stay under 0.06, PCM is above 0.25."""
DIFFERENT_ABOVE = 0.3
"""Mu-law blocks of 800 bytes stay under 0.18; PCM speech is mostly above 0.5."""


class FormatCheck:
    """Feed it everything that is appended; it says once that the format is wrong."""

    __slots__ = ("_block", "_format", "_judged", "_wrong")

    def __init__(self, audio_format: AudioFormat) -> None:
        self._format = audio_format
        self._block = bytearray()
        self._judged = 0
        self._wrong = 0

    @property
    def resting(self) -> bool:
        """Enough was judged; feeding it more is a waste."""
        return self._judged >= BLOCKS_WANTED

    def feed(self, audio: bytes) -> str | None:
        """What the audio seems to be instead, at the moment that this is certain; else None."""
        block_bytes = BLOCK_MS * self._format.bytes_per_ms
        self._block += audio
        while len(self._block) >= block_bytes and self._judged < BLOCKS_WANTED:
            block = bytes(self._block[:block_bytes])
            del self._block[:block_bytes]
            if self._format.level_dbfs(block) > LOUD_DBFS:
                self._judged += 1
                self._wrong += self._looks_wrong(block)
                if self._judged == BLOCKS_WANTED and self._wrong >= WRONG_BLOCKS:
                    return "G.711" if self._format is AudioFormat.PCM else "PCM16"
        return None

    def _looks_wrong(self, block: bytes) -> bool:
        even, odd = _nibble_counts(block)
        distance = _distance(even, odd)
        if self._format is AudioFormat.PCM:
            return distance < ALIKE_BELOW
        return distance > DIFFERENT_ABOVE or _quiet_pcm(even + odd)


def even_odd_distance(audio: bytes) -> float:
    """Total variation distance (0 to 1) of the bytes at even and at odd places, by high nibble."""
    return _distance(*_nibble_counts(audio))


def _nibble_counts(audio: bytes) -> tuple[_Counts, _Counts]:
    nibbles = np.frombuffer(audio, np.uint8)[: len(audio) & ~1] >> 4
    return np.bincount(nibbles[::2], minlength=16), np.bincount(nibbles[1::2], minlength=16)


def _distance(even: _Counts, odd: _Counts) -> float:
    return float(np.abs(even - odd).sum() / (even.sum() + odd.sum()))


def _quiet_pcm(counts: _Counts) -> bool:
    """PCM near zero is bytes of 0x00 and 0xFF: as mu-law, full negative swing, never positive."""
    loudest_negative, loudest_positive = counts[0x0], counts[0x8]
    return bool(loudest_negative * 10 > counts.sum() and loudest_positive * 4 < loudest_negative)
