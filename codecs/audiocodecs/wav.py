"""WAV files of telephone audio: PCM16, mu-law and A-law, mono and stereo.

The standard library's ``wave`` knows PCM only. Format: Microsoft, "Multiple Channel Audio Data and
WAVE Files" and RIFF MCI; format tags 1 (PCM), 6 (A-law), 7 (mu-law), 0xFFFE (extensible, where the
sub-format says which of the three it is).
"""

from __future__ import annotations

import enum
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np

from . import g711

WavFile: TypeAlias = str | os.PathLike[str] | BinaryIO


class WavError(ValueError):
    """The file is not a WAV file that can be read here; the message says what came instead."""


class Encoding(enum.IntEnum):
    """How samples are stored; the value is the WAV format tag."""

    PCM16 = 1
    ALAW = 6
    ULAW = 7

    @property
    def sample_bytes(self) -> int:
        return 2 if self is Encoding.PCM16 else 1


_SILENCE = {
    Encoding.PCM16: b"\0",
    Encoding.ALAW: bytes([g711.SILENCE_ALAW]),
    Encoding.ULAW: bytes([g711.SILENCE_ULAW]),
}
_SPOKEN = {Encoding.PCM16: "PCM", Encoding.ALAW: "A-law", Encoding.ULAW: "mu-law"}
# Sizes are 32 bits wide; the other chunks take 54 bytes at most.
_MOST_DATA = 2**32 - 64
# What writers to a pipe put for a size they cannot know: about 2 or 4 GiB, by program.
_NEVER_KNEW = 2**31 - 2**16
_EXTENSIBLE = 0xFFFE
# The rest of a sub-format GUID whose first two bytes are a format tag (KSDATAFORMAT_SUBTYPE_*).
_SUBFORMAT = bytes.fromhex("0000 0000 1000 8000 00aa 0038 9b71")
_OTHER_TAGS = {
    0x0002: "MS ADPCM",
    0x0003: "IEEE float",
    0x0011: "IMA ADPCM",
    0x0031: "GSM 6.10",
    0x0055: "MP3",
    _EXTENSIBLE: "extensible, unknown sub-format",
}


@dataclass(frozen=True, slots=True)
class WavAudio:
    """Audio as it is stored: ``data`` holds encoded samples, two channels interleaved.

    The bytes stay out of the representation, and with it out of logs and tracebacks.
    """

    data: bytes = field(repr=False)
    encoding: Encoding = Encoding.ULAW
    rate_hz: int = 8000
    channels: int = 1
    missing_bytes: int = field(default=0, compare=False, repr=False)
    """Data that the file announced and does not hold; its writer died, or it was cut."""

    def __post_init__(self) -> None:
        if self.channels not in (1, 2):
            raise WavError(f"channels is {self.channels}, expected 1 or 2")
        if not 1 <= self.rate_hz < 2**32 // 4:
            raise WavError(f"rate_hz is {self.rate_hz}, expected a sample rate")
        if len(self.data) % self.frame_bytes:
            raise WavError(
                f"data is {len(self.data)} bytes long, expected a multiple of {self.frame_bytes}"
            )

    @property
    def frame_bytes(self) -> int:
        """Bytes of one instant: one sample of every channel."""
        return self.encoding.sample_bytes * self.channels

    @property
    def frame_count(self) -> int:
        """Samples per channel."""
        return len(self.data) // self.frame_bytes

    @property
    def duration_ms(self) -> int:
        return self.frame_count * 1000 // self.rate_hz

    def pcm16(self) -> bytes:
        """The samples as PCM16, interleaved as they are stored."""
        match self.encoding:
            case Encoding.PCM16:
                return self.data
            case Encoding.ULAW:
                return g711.ulaw_to_pcm16(self.data)
            case Encoding.ALAW:
                return g711.alaw_to_pcm16(self.data)

    def ulaw(self) -> bytes:
        """The samples as mu-law, interleaved as they are stored."""
        match self.encoding:
            case Encoding.PCM16:
                return g711.pcm16_to_ulaw(self.data)
            case Encoding.ULAW:
                return self.data
            case Encoding.ALAW:
                return g711.alaw_to_ulaw(self.data)

    def channel(self, index: int) -> bytes:
        """The encoded samples of one channel (0: left or mono, 1: right)."""
        if not 0 <= index < self.channels:
            raise IndexError(f"channel {index} of {self.channels}")
        width = self.encoding.sample_bytes
        samples = np.frombuffer(self.data, dtype=f"V{width}")
        return samples[index :: self.channels].tobytes()


def stereo(left: WavAudio, right: WavAudio) -> WavAudio:
    """Two mono recordings side by side; the shorter one is filled up with silence."""
    formats = {(side.encoding, side.rate_hz, side.channels) for side in (left, right)}
    if len(formats) != 1 or left.channels != 1:
        raise WavError(
            f"left is {_describe(left)}, right is {_describe(right)}: expected mono alike"
        )
    size = max(len(left.data), len(right.data))
    both = np.empty((size // left.frame_bytes, 2), dtype=f"V{left.frame_bytes}")
    for side, audio in enumerate((left, right)):
        filled = audio.data.ljust(size, _SILENCE[audio.encoding])
        both[:, side] = np.frombuffer(filled, dtype=both.dtype)
    return WavAudio(both.tobytes(), left.encoding, left.rate_hz, channels=2)


def write_wav(file: WavFile, audio: WavAudio) -> None:
    """Write one WAV file; a path is replaced, an open binary file is written to where it stands."""
    if isinstance(file, (str, os.PathLike)):
        Path(file).write_bytes(encode_wav(audio))
    else:
        file.write(encode_wav(audio))


def read_wav(file: WavFile) -> WavAudio:
    """Read one WAV file from a path or an open binary file.

    Tolerates chunks it does not know, in any order, and files that end early (a recorder died, or
    wrote to a pipe and never knew the size): then the audio is what is there, in whole samples.
    WavError for everything else, with the file's name.
    """
    if isinstance(file, (str, os.PathLike)):
        blob, name = Path(file).read_bytes(), os.fspath(file)
    else:
        blob, name = file.read(), str(getattr(file, "name", "WAV data"))
    try:
        return decode_wav(blob)
    except WavError as error:
        raise WavError(f"{name}: {error}") from None


def encode_wav(audio: WavAudio) -> bytes:
    """The bytes of a WAV file."""
    if len(audio.data) > _MOST_DATA:
        raise WavError(f"data is {len(audio.data)} bytes long, expected {_MOST_DATA} or less")
    chunks = _chunk(b"fmt ", _fmt_body(audio))
    if audio.encoding is not Encoding.PCM16:
        # Required for every format but PCM: samples per channel.
        chunks += _chunk(b"fact", struct.pack("<I", audio.frame_count))
    chunks += _chunk(b"data", audio.data)
    return struct.pack("<4sI4s", b"RIFF", 4 + len(chunks), b"WAVE") + chunks


def decode_wav(blob: bytes) -> WavAudio:
    """The audio in the bytes of a WAV file; tolerance and errors as in ``read_wav``."""
    if blob[:4] != b"RIFF" or blob[8:12] != b"WAVE":
        raise WavError(f"begins with {blob[:12]!r}, expected RIFF....WAVE")
    chunks: dict[bytes, tuple[int, bytes]] = {}
    for kind, size, body in _chunks(blob):
        chunks.setdefault(kind, (size, body))
    if not {b"fmt ", b"data"} <= chunks.keys():
        raise WavError(
            f"has the chunks {list(chunks)[:10]}, expected b'fmt ' and b'data' among them"
        )
    encoding, rate_hz, channels = _parse_fmt(chunks[b"fmt "][1])
    announced, data = chunks[b"data"]
    whole = len(data) - len(data) % (encoding.sample_bytes * channels)
    missing = 0 if announced >= _NEVER_KNEW else announced - len(data)
    return WavAudio(data[:whole], encoding, rate_hz, channels, missing)


def _fmt_body(audio: WavAudio) -> bytes:
    body = struct.pack(
        "<HHIIHH",
        audio.encoding,
        audio.channels,
        audio.rate_hz,
        audio.rate_hz * audio.frame_bytes,
        audio.frame_bytes,
        audio.encoding.sample_bytes * 8,
    )
    # Every format but PCM states the size of its extension, here none.
    return body if audio.encoding is Encoding.PCM16 else body + b"\0\0"


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack("<4sI", kind, len(body)) + body + b"\0" * (len(body) & 1)


def _chunks(blob: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    """Each chunk with its announced size, up to the end of the bytes; the last may be cut short."""
    start = 12
    while start + 8 <= len(blob):
        kind, size = struct.unpack_from("<4sI", blob, start)
        end = start + 8 + size
        yield kind, size, blob[start + 8 : end]
        # Chunks start at even places, but some writers forget the zero after an odd size.
        start = end + 1 if size & 1 and blob[end : end + 1] == b"\0" else end


def _parse_fmt(body: bytes) -> tuple[Encoding, int, int]:
    if len(body) < 16:
        raise WavError(f"the fmt chunk is {len(body)} bytes long, expected 16 or more")
    tag, channels, rate_hz, _, frame_bytes, bits = struct.unpack_from("<HHIIHH", body)
    if tag == _EXTENSIBLE and body[26:40] == _SUBFORMAT:
        (tag,) = struct.unpack_from("<H", body, 24)
    if tag not in set(Encoding):
        known = _OTHER_TAGS.get(tag, "unknown here")
        raise WavError(f"format tag is {tag:#06x} ({known}), expected 1 PCM, 6 A-law or 7 mu-law")
    encoding = Encoding(tag)
    if bits != encoding.sample_bytes * 8:
        raise WavError(
            f"{_SPOKEN[encoding]} with {bits} bits a sample, expected {encoding.sample_bytes * 8}"
        )
    if channels not in (1, 2):
        raise WavError(f"channels is {channels}, expected 1 or 2")
    if frame_bytes != encoding.sample_bytes * channels:
        raise WavError(
            f"block align is {frame_bytes}, expected {encoding.sample_bytes * channels}"
            f" for {channels} channels of {encoding.name}"
        )
    return encoding, rate_hz, channels


def _describe(audio: WavAudio) -> str:
    return f"{audio.encoding.name} {audio.rate_hz} Hz with {audio.channels} channels"
