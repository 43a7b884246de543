"""Recorded calls with labels, and the spoken lines of a scripted assistant.

A corpus is a folder with ``calls.jsonl`` (one call a line), the recordings it names and
``assistant/lines.json``. A handful of calls come with this package; a larger corpus or a user's own
recordings of the same form are loaded the same way.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtest.twilio.audio import Clip

PACKAGED = Path(__file__).parent / "audio"


class CorpusError(ValueError):
    """The folder is not a corpus, or does not have what was asked for."""


@dataclass(frozen=True, slots=True)
class SpokenTurn:
    """One thing the caller says, and where it lies in the recording."""

    start_ms: int
    end_ms: int
    text: str


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """One call: the caller's side, cut into turns, and what today's flow made of it (``label``)."""

    call_sid: str
    from_number: str
    to_number: str
    recording: Path
    duration_ms: int
    turns: tuple[SpokenTurn, ...]
    snr_db: float | None
    label: Mapping[str, Any]

    def clip(self, turn: int) -> Clip:
        """What is said in one turn, counted from 1."""
        if not 1 <= turn <= len(self.turns):
            raise CorpusError(f"{self.call_sid} has {len(self.turns)} turns, there is no {turn}")
        spoken = self.turns[turn - 1]
        return Clip.from_wav(self.recording, spoken.start_ms, spoken.end_ms)


@dataclass(frozen=True, slots=True)
class AssistantLine:
    """Something the scripted assistant can say: 8 kHz mu-law WAV."""

    name: str
    path: Path
    text: str
    duration_ms: int


class Corpus:
    """The calls of one folder, in the order of its list."""

    def __init__(self, root: Path = PACKAGED) -> None:
        self.root = root
        self.calls = tuple(_calls(root))

    def call(self, key: str) -> RecordedCall:
        """By call SID, or the first whose labelled intent is ``key``."""
        for call in self.calls:
            if key in (call.call_sid, call.label.get("intent")):
                return call
        raise CorpusError(f"{self.root} has no call {key!r}, neither by SID nor by intent")

    def assistant_lines(self) -> Mapping[str, AssistantLine]:
        """By name."""
        folder = self.root / "assistant"
        listed: dict[str, dict[str, Any]] = json.loads(_read(folder / "lines.json"))
        return {
            name: AssistantLine(name, folder / line["file"], line["text"], line["duration_ms"])
            for name, line in listed.items()
        }


def _calls(root: Path) -> Iterator[RecordedCall]:
    file = root / "calls.jsonl"
    for number, line in enumerate(_read(file).splitlines(), start=1):
        try:
            yield _call(root, json.loads(line))
        except (KeyError, TypeError, ValueError) as error:
            raise CorpusError(f"{file}:{number}: {type(error).__name__}: {error}") from None


def _call(root: Path, data: dict[str, Any]) -> RecordedCall:
    turns = tuple(
        SpokenTurn(turn["start_ms"], turn["end_ms"], turn["text"]) for turn in data["turns"]
    )
    return RecordedCall(
        call_sid=data["call_sid"],
        from_number=data["from"],
        to_number=data["to"],
        recording=root / data["recording"],
        duration_ms=data["duration_ms"],
        turns=turns,
        snr_db=data["snr_db"],
        label=data["studio"],
    )


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise CorpusError(f"{file} cannot be read: {error.strerror}") from None
