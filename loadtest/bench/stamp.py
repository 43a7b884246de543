"""Marks inside the audio itself, so that what comes out can be matched with what went in.

A stamp is the first 21 bytes of a block of mu-law: magic (4), call number (u32), counter (u32),
time sent (u64, monotonic ns), one byte of padding. 21 bytes are exactly 28 base64 characters, which
makes a block's base64 the stamp's followed by a constant tail: nothing else is encoded per frame.
The bridge under test sees audio and has no need to know.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from functools import cache
from struct import Struct
from struct import error as StructError  # noqa: N812 -- it is a class
from typing import NamedTuple

STAMP_BYTES = 21
STAMP_CHARS = 28
FRAME_BYTES = 160
FRAME_CHARS = 216
"""Base64 length of one 20 ms frame."""

UPLINK = b"BNup"
DOWNLINK = b"BNdn"
LAYOUT = Struct(">4sIIQx")
_COUNTER_LIMIT = 2**32


class Stamp(NamedTuple):
    call: int
    counter: int
    sent_ns: int


@cache
def tail_of(block_bytes: int) -> bytes:
    """Base64 of what follows the stamp in a block of this many bytes: a triangle in mu-law."""
    if block_bytes < STAMP_BYTES:
        raise ValueError(f"block_bytes is {block_bytes}, expected at least {STAMP_BYTES}")
    wave = bytes(0x7F - abs(16 - i % 32) for i in range(block_bytes - STAMP_BYTES))
    return b2a_base64(wave, newline=False)


def encode(magic: bytes, call: int, counter: int, sent_ns: int) -> bytes:
    """The 28 base64 characters that open a block."""
    return b2a_base64(LAYOUT.pack(magic, call, counter % _COUNTER_LIMIT, sent_ns), newline=False)


def decode(magic: bytes, payload: str) -> Stamp | None:
    """The stamp that opens this base64 payload; None if it is not one of ours."""
    try:
        found, call, counter, sent_ns = LAYOUT.unpack(a2b_base64(payload[:STAMP_CHARS]))
    except (ValueError, StructError):
        return None
    return Stamp(call, counter, sent_ns) if found == magic else None


def decode_frames(payload: str) -> list[Stamp] | None:
    """The stamps of an append that carries any whole number of frames; None if it does not.

    One frame is the usual case; a bridge may also join several into one append.
    """
    if len(payload) == FRAME_CHARS:
        stamp = decode(UPLINK, payload)
        return None if stamp is None else [stamp]
    try:
        audio = a2b_base64(payload)
    except ValueError:
        return None
    if not audio or len(audio) % FRAME_BYTES:
        return None
    stamps = []
    for start in range(0, len(audio), FRAME_BYTES):
        found, call, counter, sent_ns = LAYOUT.unpack_from(audio, start)
        if found != UPLINK:
            return None
        stamps.append(Stamp(call, counter, sent_ns))
    return stamps


def audio_bytes(payload: str) -> int:
    """Length of the decoded audio, without decoding it."""
    return len(payload) // 4 * 3 - payload.count("=", -2)
