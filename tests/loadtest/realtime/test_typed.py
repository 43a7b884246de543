"""What a client event is refused for: code and path of the field."""

from __future__ import annotations

from typing import Any

import pytest

from loadtest.realtime import server_event_problems
from loadtest.realtime.refusals import Refusal
from loadtest.realtime.typed import check_client_event


def update(**session: object) -> dict[str, Any]:
    return {"type": "session.update", "session": {"type": "realtime", **session}}


def audio_input(**fields: object) -> dict[str, Any]:
    return update(audio={"input": fields})


def create_item(**item: object) -> dict[str, Any]:
    return {"type": "conversation.item.create", "item": item}


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "removed field": (update(temperature=0.8), "unknown_parameter", "session.temperature"),
    "beta field": (
        update(input_audio_format="g711_ulaw"),
        "unknown_parameter",
        "session.input_audio_format",
    ),
    "typo below": (audio_input(foo=1), "unknown_parameter", "session.audio.input.foo"),
    "rate of pcmu": (
        audio_input(format={"type": "audio/pcmu", "rate": 8000}),
        "unknown_parameter",
        "session.audio.input.format.rate",
    ),
    "unknown format": (
        audio_input(format={"type": "audio/opus"}),
        "invalid_value",
        "session.audio.input.format.type",
    ),
    "beta format": (
        audio_input(format="g711_ulaw"),
        "invalid_type",
        "session.audio.input.format",
    ),
    "text for a number": (
        audio_input(turn_detection={"type": "server_vad", "threshold": "0.5"}),
        "invalid_type",
        "session.audio.input.turn_detection.threshold",
    ),
    "idle timeout of semantic_vad": (
        audio_input(turn_detection={"type": "semantic_vad", "idle_timeout_ms": 6000}),
        "unknown_parameter",
        "session.audio.input.turn_detection.idle_timeout_ms",
    ),
    "strict in a tool": (
        update(tools=[{"type": "function", "name": "f", "strict": True}]),
        "unknown_parameter",
        "session.tools[0].strict",
    ),
    "session without type": (
        {"type": "session.update", "session": {"instructions": "hello"}},
        "missing_required_parameter",
        "session.type",
    ),
    "beta content": (
        create_item(type="message", role="user", content=[{"type": "text", "text": "hello"}]),
        "invalid_value",
        "item.content[0].type",
    ),
    "object as tool output": (
        create_item(type="function_call_output", call_id="c", output={"ok": True}),
        "invalid_type",
        "item.output",
    ),
    "truncate without end": (
        {"type": "conversation.item.truncate", "item_id": "i", "content_index": 0},
        "missing_required_parameter",
        "audio_end_ms",
    ),
    "number as audio": (
        {"type": "input_audio_buffer.append", "audio": 1},
        "invalid_type",
        "audio",
    ),
    "no type": ({"session": {}}, "missing_required_parameter", "type"),
    "only for WebRTC": ({"type": "output_audio_buffer.clear"}, "invalid_value", "type"),
}


@pytest.mark.parametrize(("event", "code", "param"), REFUSED.values(), ids=REFUSED.keys())
def test_wrong_events_are_refused_with_code_and_path(
    event: dict[str, Any], code: str, param: str
) -> None:
    with pytest.raises(Refusal) as refused:
        check_client_event(event)
    assert (refused.value.code, refused.value.param) == (code, param)


ACCEPTED: dict[str, dict[str, Any]] = {
    "nulls that switch off": audio_input(
        noise_reduction=None, transcription=None, turn_detection=None
    ),
    "idle timeout of server_vad": audio_input(
        turn_detection={"type": "server_vad", "idle_timeout_ms": 6000, "threshold": 1}
    ),
    "item references": {
        "type": "response.create",
        "response": {"conversation": "none", "input": [{"type": "item_reference", "id": "i"}]},
    },
    "bare response.create": {"type": "response.create", "event_id": "e1"},
}


@pytest.mark.parametrize("event", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_documented_events_are_accepted(event: dict[str, Any]) -> None:
    check_client_event(event)


def test_supported_values_are_listed() -> None:
    with pytest.raises(Refusal) as refused:
        check_client_event(audio_input(format={"type": "audio/opus"}))
    assert refused.value.message == (
        "Invalid value: 'audio/opus'."
        " Supported values are: 'audio/pcm', 'audio/pcmu', 'audio/pcma'."
    )


def test_problems_of_server_events_are_named() -> None:
    event = {
        "type": "response.output_audio.delta",
        "event_id": "e",
        "response_id": "r",
        "item_id": "i",
        "output_index": 0,
        "content_index": 0,
        "delta": "",
    }
    assert server_event_problems(event) == []
    assert server_event_problems({**event, "phase": "x"}) == ["phase: unknown key"]
    assert server_event_problems({**event, "delta": None}) == [
        "delta: Input should be a valid string"
    ]
    assert server_event_problems(
        {"type": "session.created", "event_id": "e", "session": {"type": "realtime", "id": "s"}}
    ) == ["session.object is missing", "session.expires_at is missing"]
