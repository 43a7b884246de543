"""Numbers hidden in telephone audio, so that a frame is known again wherever it comes out.

The lowest bits of the first 48 mu-law codes of a 20 ms frame hold a stream number (18 bits), a
frame number (18 bits) and a checksum (12 bits). The lowest bit of a code is the smallest step there
is at that loudness: nobody hears it, and the audio stays the speech it was. It survives everything
that hands mu-law on as it is, and nothing that decodes it.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadtest.twilio.audio import Frame
from loadtest.twilio.wire import FRAME_BYTES

MARK_BYTES = 48
NUMBER_LIMIT = 2**18
"""Of streams, and of frames in a stream: 87 minutes."""
UPLINK = 0x9E3779B97F4A7C15
DOWNLINK = 0xC2B2AE3D27D4EB4F
"""What the checksum is made with, so that neither direction is taken for the other."""

_HIGH = int.from_bytes(b"\xfe" * MARK_BYTES, "big")
_WORD = 2**64 - 1
_DIGITS = bytes(0x31 if code & 1 else 0x30 for code in range(256))
_CHUNK_BITS = 12


def _spread(place: int) -> tuple[int, ...]:
    """Every 12 bits as the lowest bits of 12 codes, ``place`` chunks before a head's end."""
    codes = (
        sum((bits >> bit & 1) << 8 * bit for bit in range(_CHUNK_BITS))
        for bits in range(1 << _CHUNK_BITS)
    )
    return tuple(code << 8 * _CHUNK_BITS * place for code in codes)


# Looked up, because marking runs 50 times a second and call.
_CHUNK0, _CHUNK1, _CHUNK2, _CHUNK3 = (_spread(place) for place in range(4))


def word(key: int, stream: int, frame: int) -> int:
    """The 48 bits of a mark."""
    numbers = stream << 18 | frame
    return numbers << 12 | ((numbers + 1) * key & _WORD) >> 52


def read(key: int, ulaw: bytes | bytearray) -> tuple[int, int] | None:
    """Stream and frame number from the first ``MARK_BYTES`` of a frame; None if it has no mark."""
    found = int(ulaw[:MARK_BYTES].translate(_DIGITS), 2)
    numbers = found >> 12
    if ((numbers + 1) * key & _WORD) >> 52 != found & 0xFFF:
        return None
    return numbers >> 18, numbers & 0x3FFFF


@dataclass(frozen=True, slots=True)
class Blank:
    """A frame of caller audio with room for a mark, prepared once for all calls that say it."""

    head: int
    tail: bytes
    """Base64."""

    @classmethod
    def of(cls, frame: Frame) -> Blank:
        head = int.from_bytes(frame.ulaw[:MARK_BYTES], "big") & _HIGH
        return cls(head, binascii.b2a_base64(frame.ulaw[MARK_BYTES:], newline=False))

    def marked(self, mark: int) -> bytes:
        """Base64 of the frame with a mark made by ``word``."""
        head = (
            self.head
            | _CHUNK3[mark >> 36]
            | _CHUNK2[mark >> 24 & 0xFFF]
            | _CHUNK1[mark >> 12 & 0xFFF]
            | _CHUNK0[mark & 0xFFF]
        )
        return binascii.b2a_base64(head.to_bytes(MARK_BYTES, "big"), newline=False) + self.tail


def mark_all(key: int, stream: int, first: int, ulaw: bytes) -> bytes:
    """Whole frames numbered from ``first`` on; numbers beyond the limit begin at 0 again."""
    count = len(ulaw) // FRAME_BYTES
    codes = np.frombuffer(ulaw, dtype=np.uint8, count=count * FRAME_BYTES).reshape(count, -1).copy()
    numbers = np.uint64(stream) << np.uint64(18) | (
        np.arange(first, first + count, dtype=np.uint64) % np.uint64(NUMBER_LIMIT)
    )
    marks = numbers << np.uint64(12) | (numbers + np.uint64(1)) * np.uint64(key) >> np.uint64(52)
    shifts = np.arange(MARK_BYTES - 1, -1, -1, dtype=np.uint64)
    bits = (marks[:, None] >> shifts & np.uint64(1)).astype(np.uint8)
    codes[:, :MARK_BYTES] = codes[:, :MARK_BYTES] & 0xFE | bits
    return codes.tobytes() + ulaw[count * FRAME_BYTES :]


def find(key: int, ulaw: bytes | bytearray) -> Iterator[tuple[int, int, int]]:
    """Offset, stream and frame of every place that looks like a mark, at any byte.

    One place in 4096 looks like one by chance: the numbers have to be known ones.
    """
    if len(ulaw) < MARK_BYTES:
        return
    # Bits of twice as many codes each time, in numbers no wider than they need to be.
    part: NDArray[np.unsignedinteger[Any]] = np.frombuffer(bytes(ulaw), dtype=np.uint8)
    part = part.astype(np.uint16) & np.uint16(1)
    for width in (1, 2, 4, 8):
        part = (part[:-width] << np.uint16(width)) | part[width:]
    two = (part[:-16].astype(np.uint32) << np.uint32(16)) | part[16:]
    words = (two[:-16].astype(np.uint64) << np.uint64(16)) | part[32:]
    numbers = words >> np.uint64(12)
    good = ((numbers + np.uint64(1)) * np.uint64(key)) >> np.uint64(52) == words & np.uint64(0xFFF)
    for offset in np.flatnonzero(good).tolist():
        both = int(numbers[offset])
        yield offset, both >> 18, both & 0x3FFFF
