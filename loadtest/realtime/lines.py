"""What the assistant can say: recorded lines by name, in whatever format a session asks for."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from audiocodecs import pcm16_to_ulaw, read_wav

from .formats import AudioFormat

ASSISTANT_LINES = Path(__file__).parent.parent / "audio" / "assistant"


class LineError(ValueError):
    """A line cannot be had; the message names it, says why and lists what there is."""


@dataclass(frozen=True, slots=True)
class Line:
    name: str
    text: str
    ulaw: bytes
    """8 kHz mu-law."""


class LineLibrary:
    """Lines from a folder: ``lines.json`` (name -> file, text) beside 8 kHz mono WAV files.

    Every line is read at once, so that a missing file is found before a call depends on it; other
    formats are made on first use and kept.
    """

    def __init__(self, lines: Mapping[str, Line]) -> None:
        self._lines = dict(lines)
        self._converted: dict[tuple[str, AudioFormat], bytes] = {}

    @classmethod
    def from_folder(cls, folder: Path) -> LineLibrary:
        index = folder / "lines.json"
        try:
            entries = json.loads(index.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise LineError(f"{index}: {error}") from error
        return cls({name: _read_line(folder, name, entry) for name, entry in entries.items()})

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._lines)

    def text(self, name: str) -> str:
        return self._line(name).text

    def audio(self, name: str, audio_format: AudioFormat) -> bytes:
        key = (name, audio_format)
        if key not in self._converted:
            self._converted[key] = audio_format.from_ulaw(self._line(name).ulaw)
        return self._converted[key]

    def _line(self, name: str) -> Line:
        try:
            return self._lines[name]
        except KeyError:
            known = ", ".join(sorted(self._lines))
            raise LineError(f"no line named {name!r}; there are: {known}") from None


def _read_line(folder: Path, name: str, entry: object) -> Line:
    if not isinstance(entry, dict) or not {"file", "text"} <= entry.keys():
        raise LineError(f"{folder}/lines.json: {name} is {entry!r}, expected file and text")
    audio = read_wav(folder / entry["file"])
    if (audio.rate_hz, audio.channels) != (8000, 1):
        raise LineError(
            f"{entry['file']} is {audio.rate_hz} Hz with {audio.channels} channels, "
            "expected 8000 Hz mono"
        )
    return Line(name, entry["text"], audio.ulaw())


@cache
def assistant_lines() -> LineLibrary:
    """The lines that are shipped."""
    return LineLibrary.from_folder(ASSISTANT_LINES)


def near_silence(audio_format: AudioFormat, duration_ms: int, rng: random.Random) -> bytes:
    """The breath before the first word: noise around -70 dBFS, as real output begins with."""
    noise = _breath()
    start = rng.randrange(len(noise))
    needed = duration_ms * 8
    pieces = 1 + (start + needed) // len(noise)
    return audio_format.from_ulaw((noise * pieces)[start : start + needed])


@cache
def _breath() -> bytes:
    """Two seconds of it in mu-law, made once: every answer of every session begins with some."""
    rng = random.Random("breath")
    pcm = b"".join(rng.randint(-16, 16).to_bytes(2, "little", signed=True) for _ in range(16_000))
    return pcm16_to_ulaw(pcm)


@cache
def loud_noise(audio_format: AudioFormat, duration_ms: int) -> bytes:
    """White noise at -12 dBFS: what a session answers with when it was fed the wrong format."""
    rng = random.Random(duration_ms)  # always the same noise
    pcm = b"".join(
        rng.randint(-14000, 14000).to_bytes(2, "little", signed=True)
        for _ in range(duration_ms * 8)
    )
    return audio_format.from_ulaw(pcm16_to_ulaw(pcm))
