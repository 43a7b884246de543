"""Everything that happened in a call, on one clock, whoever saw it: bridge, Twilio or model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import audiocodecs
from loadtest.realtime import SessionRecord
from loadtest.twilio import CallEvent

Source: TypeAlias = Literal["bridge", "twilio", "model"]
_AUDIO_DELTA = "response.output_audio.delta"
_WORDS_DELTA = "response.output_audio_transcript.delta"
_TELLING = ("id", "type", "role", "name", "status", "code", "message", "metadata")


@dataclass(frozen=True, slots=True)
class Entry:
    """``ms`` since the call began."""

    ms: int
    source: Source
    kind: str
    data: Mapping[str, object]

    def as_json(self, call: str) -> dict[str, object]:
        """One line of ``timeline.jsonl``. Data never takes the place of the four fields."""
        own = {"ms": self.ms, "source": self.source, "call": call, "kind": self.kind}
        return {**own, **{name: value for name, value in self.data.items() if name not in own}}


@dataclass(frozen=True, slots=True)
class Note:
    """Something the bridge noted: figures, and apart from them what was spoken."""

    kind: str
    fields: Mapping[str, str | int | float | bool | None]
    words: str | None = None


class Timeline:
    """One call's entries. ``started`` is its beginning, in monotonic seconds."""

    def __init__(self, started: float) -> None:
        self.started = started
        self._entries: list[Entry] = []

    def ms(self, at: float) -> int:
        return round((at - self.started) * 1000)

    def bridge(self, at: float, note: Note) -> None:
        words = {} if note.words is None else {"words": note.words}
        self._entries.append(Entry(self.ms(at), "bridge", note.kind, {**note.fields, **words}))

    def twilio(self, event: CallEvent) -> None:
        self._entries.append(Entry(event.at_ms, "twilio", event.kind, event.data))

    def model(self, record: SessionRecord) -> None:
        """What a simulated session sent and received, without the audio itself."""
        both = [("from_bridge", at, event) for at, event in record.events_received]
        both += [("to_bridge", at, event) for at, event in record.events_sent]
        # What came in stands before what followed from it, also where the clock saw no difference.
        for direction, at, event in sorted(both, key=lambda one: one[1]):
            data = {"direction": direction, **_summary(event)}
            self._entries.append(Entry(self.ms(at), "model", str(event.get("type")), data))

    @property
    def entries(self) -> tuple[Entry, ...]:
        """By time; at the same millisecond in the order in which they became known."""
        return tuple(sorted(self._entries, key=lambda entry: entry.ms))


def session_of(
    sessions: Iterable[SessionRecord], first: float, last: float
) -> SessionRecord | None:
    """The model session of the call between these times: the one that heard its caller."""
    for record in sessions:
        if any(first <= turn.at_s <= last for turn in record.turns):
            return record
    return None


def words_so_far(record: SessionRecord, item: str) -> str:
    """What a simulated session has sent of an item's transcript."""
    return "".join(
        event["delta"]
        for _, event in record.events_sent
        if event["type"] == _WORDS_DELTA and event["item_id"] == item
    )


def write_jsonl(path: Path, lines: Iterable[Mapping[str, object]]) -> None:
    text = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)
    path.write_text(text, encoding="utf-8")


def _summary(event: Mapping[str, Any]) -> dict[str, object]:
    """The telling part of an event: scalars, and of nested objects what names them."""
    return dict(_telling(event))


def _telling(event: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    if event.get("type") == _AUDIO_DELTA:
        size = audiocodecs.base64_length(event["delta"])
        yield "audio_ms", audiocodecs.duration_ms(size)
        event = {name: value for name, value in event.items() if name != "delta"}
    for name, value in event.items():
        if name in ("type", "event_id"):
            continue
        if isinstance(value, str | int | float):
            yield name, value
        elif isinstance(value, Mapping):
            nested = {inner: value[inner] for inner in _TELLING if value.get(inner)}
            if nested:
                yield name, nested
