"""Spoken lines kept as audio: made once in the model's own voice, played without the model.

A line is a mu-law WAV file in the cache folder, named by voice, model and text, so that a change
of any of them asks for a new one. Making a line is the model leg's business.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import fcntl
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

from audiocodecs import WavAudio, read_wav, write_wav
from bridge.call.voice import CachedLine

LOCK = ".making"
LOOK_EACH_S = 0.5
CHUNK_BYTES = 1600
"""200 ms: one media message with its mark."""


class LineCache:
    """Lines by voice, model and text. Reads each file once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lines: dict[str, CachedLine] = {}

    def get(self, voice: str, model: str, text: str) -> CachedLine | None:
        """The line, if it was made before. A file that cannot be read counts as none."""
        if not text:
            return None
        key = line_key(voice, model, text)
        if key not in self._lines:
            path = self.folder / f"{key}.wav"
            try:
                audio = read_wav(path)
            except (OSError, ValueError):
                return None
            self._lines[key] = cached_line(text, audio.ulaw())
        return self._lines[key]

    def put(self, voice: str, model: str, text: str, ulaw: bytes) -> CachedLine:
        """Keep a line. The file appears whole or not at all; raises ``OSError``."""
        self.folder.mkdir(parents=True, exist_ok=True)
        key = line_key(voice, model, text)
        handle, name = tempfile.mkstemp(dir=self.folder, suffix=".part")
        os.close(handle)
        write_wav(name, WavAudio(ulaw))
        Path(name).replace(self.folder / f"{key}.wav")
        self._lines[key] = cached_line(text, ulaw)
        return self._lines[key]


@contextlib.asynccontextmanager
async def making_alone(folder: Path) -> AsyncIterator[None]:
    """One process at a time makes lines for a folder; the others wait, and find them made.

    Raises ``OSError`` where the folder cannot be used.
    """
    with _lock_file(folder) as lock:
        while not _locked(lock):  # noqa: ASYNC110 - nobody tells when another process is done
            await asyncio.sleep(LOOK_EACH_S)
        yield


def _lock_file(folder: Path) -> IO[str]:
    folder.mkdir(parents=True, exist_ok=True)
    return (folder / LOCK).open("w")


def _locked(lock: IO[str]) -> bool:
    """Until the file is closed, or the process gone."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def line_key(voice: str, model: str, text: str) -> str:
    return hashlib.sha256("\0".join((voice, model, text)).encode()).hexdigest()[:24]


def cached_line(text: str, ulaw: bytes) -> CachedLine:
    """Audio cut into the messages that are sent."""
    chunks = [ulaw[at : at + CHUNK_BYTES] for at in range(0, len(ulaw), CHUNK_BYTES)]
    return CachedLine(text, tuple(base64.b64encode(chunk).decode() for chunk in chunks))
