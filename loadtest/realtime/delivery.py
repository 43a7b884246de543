"""How an answer's audio leaves: irregular pieces with words ahead of them. Knows no clock."""

from __future__ import annotations

import random
from binascii import b2a_base64
from collections.abc import Iterator
from dataclasses import dataclass

from .formats import AudioFormat

LEAST_DELTA_MS = 50
MOST_DELTA_MS = 400
WORDS_AHEAD = 1.6
"""The transcript runs ahead of the audio by this factor."""
TWILIO_FRAME_BYTES = 160


@dataclass(frozen=True, slots=True)
class Delta:
    audio: str
    """Base64."""
    byte_count: int
    transcript: str
    """The words that go before it; may be empty."""


def deltas(
    audio: bytes, text: str, audio_format: AudioFormat, rng: random.Random
) -> Iterator[Delta]:
    """Cut audio into pieces of 50 to 400 ms, whole samples but no multiples of a 20 ms frame.

    Sizes are unpublished; that they are irregular is what a client has to cope with.
    """
    words = _words(text)
    spoken = 0
    start = 0
    while start < len(audio):
        piece = audio[start : start + _size(audio_format, rng)]
        start += len(piece)
        reached = min(len(words), int(len(words) * WORDS_AHEAD * start / len(audio)) + 1)
        if start >= len(audio):
            reached = len(words)
        yield Delta(
            b2a_base64(piece, newline=False).decode("ascii"),
            len(piece),
            "".join(words[spoken:reached]),
        )
        spoken = reached


def pieces(text: str, rng: random.Random) -> Iterator[str]:
    """Cut text (arguments, written answers) into pieces of a few characters."""
    start = 0
    while start < len(text):
        end = start + rng.randint(4, 14)
        yield text[start:end]
        start = end


def _words(text: str) -> list[str]:
    """Words with the space before them, so that they join up to the text."""
    return [word if n == 0 else f" {word}" for n, word in enumerate(text.split(" "))]


def _size(audio_format: AudioFormat, rng: random.Random) -> int:
    step = audio_format.sample_bytes
    low, high = (ms * audio_format.bytes_per_ms for ms in (LEAST_DELTA_MS, MOST_DELTA_MS))
    size = rng.randrange(low, high, step)
    return size + step if size % TWILIO_FRAME_BYTES == 0 else size
