"""The timeline's lines: three sources on one clock, and no audio in them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from loadtest.demo import Note
from loadtest.demo.timeline import Timeline, session_of, words_so_far, write_jsonl
from loadtest.realtime import HeardTurn, SessionRecord
from loadtest.twilio import CallEvent

STARTED = 100.0


def session(*heard_at: float) -> SessionRecord:
    record = SessionRecord(0, "sess_1", "gpt-realtime-2.1", "demo", STARTED, keep_events=True)
    record.turns += [HeardTurn(at, 1, "item_1", 0, 900) for at in heard_at]
    return record


def test_sources_are_put_in_the_order_of_one_clock() -> None:
    timeline = Timeline(STARTED)
    timeline.bridge(100.030, Note("turn", {"turn": 1}, None))
    timeline.twilio(CallEvent("dtmf", 20, 100.02, "CA1"))
    record = session()
    record.events_sent.append((100.025, {"type": "response.created", "event_id": "e"}))
    record.events_received.append((100.040, {"type": "response.cancel"}))
    timeline.model(record)
    assert [entry.as_json("schedule") for entry in timeline.entries] == [
        {"ms": 20, "source": "twilio", "call": "schedule", "kind": "dtmf"},
        {
            "ms": 25,
            "source": "model",
            "call": "schedule",
            "kind": "response.created",
            "direction": "to_bridge",
        },
        {"ms": 30, "source": "bridge", "call": "schedule", "kind": "turn", "turn": 1},
        {
            "ms": 40,
            "source": "model",
            "call": "schedule",
            "kind": "response.cancel",
            "direction": "from_bridge",
        },
    ]


def test_a_note_that_has_a_field_of_the_same_name_does_not_hide_what_it_is() -> None:
    timeline = Timeline(STARTED)
    timeline.bridge(101.0, Note("limit", {"kind": "silence", "ms": 7}, "words"))
    assert timeline.entries[0].as_json("billing") == {
        "ms": 1000,
        "source": "bridge",
        "call": "billing",
        "kind": "limit",
        "words": "words",
    }


def test_audio_is_told_by_its_length_and_objects_by_their_names() -> None:
    timeline = Timeline(STARTED)
    record = session()
    record.events_sent += [
        (100.0, {"type": "response.output_audio.delta", "item_id": "i", "delta": "////" * 80}),
        (
            100.1,
            {
                "type": "response.done",
                "response": {"id": "resp_1", "status": "completed", "output": [{"a": 1}]},
                "extra": None,
            },
        ),
    ]
    timeline.model(record)
    assert [dict(entry.data) for entry in timeline.entries] == [
        {"direction": "to_bridge", "audio_ms": 30, "item_id": "i"},
        {"direction": "to_bridge", "response": {"id": "resp_1", "status": "completed"}},
    ]


def test_what_the_model_was_asked_stands_before_its_answer() -> None:
    timeline = Timeline(STARTED)
    record = session()
    record.events_sent.append((100.0, {"type": "response.done"}))
    record.events_received.append((100.0, {"type": "response.cancel"}))
    record.events_sent.append((99.0, {"type": "response.created"}))
    timeline.model(record)
    kinds = [entry.kind for entry in timeline.entries]
    assert kinds == ["response.created", "response.cancel", "response.done"]


def test_the_session_of_a_call_is_the_one_that_heard_its_caller() -> None:
    spare, before, during = session(), session(50.0), session(120.0)
    assert session_of([spare, before, during], 100.0, 130.0) is during
    assert session_of([spare, before], 100.0, 130.0) is None


def test_words_run_ahead_of_the_transcript() -> None:
    record = session()
    kind = "response.output_audio_transcript.delta"
    for item, words in (("a", "We repair"), ("b", "Of course"), ("a", " leaks,")):
        record.events_sent.append((100.0, {"type": kind, "item_id": item, "delta": words}))
    assert [words_so_far(record, item) for item in ("a", "b", "c")] == [
        "We repair leaks,",
        "Of course",
        "",
    ]


def test_lines_are_json_in_any_language(tmp_path: Path) -> None:
    path = tmp_path / "timeline.jsonl"
    write_jsonl(path, [{"words": "¿Sigue ahí?"}, {"ms": 1}])
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [{"words": "¿Sigue ahí?"}, {"ms": 1}]
    assert Counter(lines[0])["¿"] == 1
