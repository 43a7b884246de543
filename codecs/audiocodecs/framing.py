"""Exact frames from any chunking, and the arithmetic between bytes, base64 and milliseconds."""

from __future__ import annotations

from .g711 import SILENCE_ULAW, BytesLike

FRAME_MS = 20
"""What a telephone stream carries per message."""
ULAW_FRAME_BYTES = 160
"""20 ms of G.711 at 8 kHz."""

_ULAW_PAD = bytes([SILENCE_ULAW])


class Framer:
    """Cuts a byte stream into frames of exactly ``frame_bytes``; holds less than one frame back.

    The frames do not depend on how the stream was cut before: joined, they are the bytes pushed.
    """

    __slots__ = ("_rest", "frame_bytes")

    def __init__(self, frame_bytes: int = ULAW_FRAME_BYTES) -> None:
        if frame_bytes < 1:
            raise ValueError(f"frame_bytes is {frame_bytes}, expected 1 or more")
        self.frame_bytes = frame_bytes
        self._rest = b""

    @property
    def pending(self) -> int:
        """Bytes held back for the next frame; always less than ``frame_bytes``."""
        return len(self._rest)

    def push(self, data: BytesLike) -> list[bytes]:
        """Take the next bytes of the stream; return the frames that are complete now, in order."""
        size = self.frame_bytes
        stream = self._rest + data if self._rest else bytes(data)
        whole = len(stream) - len(stream) % size
        self._rest = stream[whole:]
        return [stream[start : start + size] for start in range(0, whole, size)]

    def flush(self, pad: bytes = _ULAW_PAD) -> bytes | None:
        """End of stream: what is pending, filled up with ``pad`` (one byte); None if nothing is."""
        if len(pad) != 1:
            raise ValueError(f"pad is {len(pad)} bytes long, expected one byte")
        rest, self._rest = self._rest, b""
        return rest.ljust(self.frame_bytes, pad) if rest else None

    def clear(self) -> None:
        """Forget what is pending, as after an interruption."""
        self._rest = b""


def base64_length(payload: str | bytes) -> int:
    """Bytes that padded base64 (RFC 4648, no line breaks) decodes to, without decoding it.

    Only the length and the padding are looked at, not the alphabet. ValueError for a length that
    padded base64 cannot have.
    """
    quads, excess = divmod(len(payload), 4)
    if excess:
        raise ValueError(f"base64 is {len(payload)} characters long, expected a multiple of 4")
    tail = payload[-2:]
    padding = tail.count("=") if isinstance(tail, str) else tail.count(b"=")
    return quads * 3 - padding


def duration_ms(byte_count: int, rate_hz: int = 8000, sample_bytes: int = 1) -> int:
    """Milliseconds that so many bytes last, rounded down; for all channels give their sum of bytes
    per instant as ``sample_bytes`` (1: G.711 mono, 2: PCM16 mono)."""
    return byte_count * 1000 // (rate_hz * sample_bytes)


def byte_count(duration_ms: int, rate_hz: int = 8000, sample_bytes: int = 1) -> int:
    """Bytes of the whole samples that fit into so many milliseconds."""
    return duration_ms * rate_hz // 1000 * sample_bytes
