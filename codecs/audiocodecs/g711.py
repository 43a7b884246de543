"""ITU-T G.711 mu-law and A-law to and from PCM16 (16-bit signed, little endian, any channels).

G.711 is defined on 14 bits (mu-law) and 13 bits (A-law). Decoding scales those up to 16 bits;
encoding drops the 2 or 3 lowest bits (rounding towards minus infinity) before it looks for the
segment. So a code survives decoding and encoding unchanged, except the mu-law code 0x7F: it decodes
to 0, as 0xFF does, and 0 is encoded as 0xFF.
"""

from __future__ import annotations

from typing import TypeAlias

from ._audioop import audioop

BytesLike: TypeAlias = bytes | bytearray | memoryview

SILENCE_ULAW = 0xFF
"""The mu-law code of zero."""
SILENCE_ALAW = 0xD5
"""The A-law code closest to zero from above (it decodes to 8: A-law has no zero)."""


def ulaw_to_pcm16(data: BytesLike) -> bytes:
    """Each mu-law byte becomes one 16-bit sample."""
    return audioop.ulaw2lin(data, 2)


def alaw_to_pcm16(data: BytesLike) -> bytes:
    """Each A-law byte becomes one 16-bit sample."""
    return audioop.alaw2lin(data, 2)


def pcm16_to_ulaw(pcm16: BytesLike) -> bytes:
    """Each 16-bit sample becomes one mu-law byte. Half a sample is a ValueError."""
    require_whole_samples(pcm16)
    return audioop.lin2ulaw(pcm16, 2)


def pcm16_to_alaw(pcm16: BytesLike) -> bytes:
    """Each 16-bit sample becomes one A-law byte. Half a sample is a ValueError."""
    require_whole_samples(pcm16)
    return audioop.lin2alaw(pcm16, 2)


def ulaw_to_alaw(data: BytesLike) -> bytes:
    """The A-law code of each mu-law code's linear value (on 44 codes one step away from what the
    recommendation's own conversion table chooses)."""
    return bytes(data).translate(_ULAW_TO_ALAW)


def alaw_to_ulaw(data: BytesLike) -> bytes:
    """The mu-law code of each A-law code's linear value; A-law silence 0xD5 becomes 0xFE."""
    return bytes(data).translate(_ALAW_TO_ULAW)


def require_whole_samples(pcm16: BytesLike) -> None:
    """Raise ValueError where the bytes end in the middle of a 16-bit sample."""
    if len(pcm16) & 1:
        raise ValueError(f"pcm16 is {len(pcm16)} bytes long, expected whole samples of 2 bytes")


_CODES = bytes(range(256))
_ULAW_TO_ALAW = pcm16_to_alaw(ulaw_to_pcm16(_CODES))
_ALAW_TO_ULAW = pcm16_to_ulaw(alaw_to_pcm16(_CODES))
