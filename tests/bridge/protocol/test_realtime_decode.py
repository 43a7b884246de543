"""What the model's server sends: events that we use, by GA names; everything else is counted."""

from __future__ import annotations

import json
import re
from typing import Any, get_args

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.realtime import RealtimeServerEvent

from bridge.errors import RemoteProtocolError
from bridge.protocol import realtime
from bridge.protocol.realtime import (
    MAX_EVENT_BYTES,
    UNUSED_EVENTS,
    CallerTranscript,
    CallerTranscriptFailed,
    RateLimitsUpdated,
    ResponseDone,
    ResponseStarted,
    ServerError,
    ServerEvent,
    SessionCreated,
    SessionUpdated,
    ToolCall,
    Unhandled,
    Usage,
    decode,
    decode_object,
    parse,
)
from tests.bridge.protocol.hostile import as_vector, json_values, paths, replaced
from tests.oracle_openai import OpenAIOracle

BETA_NAMES = (
    "response.audio.delta",
    "response.audio.done",
    "response.audio_transcript.delta",
    "response.audio_transcript.done",
    "response.text.delta",
    "response.text.done",
    "response.cancelled",
)


def test_every_event_that_we_use_is_read(from_model_vector: dict[str, Any]) -> None:
    raw = orjson.dumps(from_model_vector["wire"])
    for data in (raw, bytearray(raw), memoryview(raw), raw.decode()):
        assert as_vector(decode(data)) == from_model_vector["message"]


def test_every_broken_event_is_refused_by_name(from_model_broken: dict[str, Any]) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode(orjson.dumps(from_model_broken["wire"]))
    assert (str(caught.value), caught.value.reason) == (
        from_model_broken["error"],
        from_model_broken["reason"],
    )


def test_every_vector_is_what_the_api_documents(
    from_model_vector: dict[str, Any], openai_oracle: OpenAIOracle
) -> None:
    assert openai_oracle.server_faults(orjson.dumps(from_model_vector["wire"])) == []


def test_key_order_and_unknown_fields_do_not_matter(from_model_vector: dict[str, Any]) -> None:
    wire = {
        key: value | {"new": [1]} if isinstance(value, dict) else value
        for key, value in reversed(from_model_vector["wire"].items())
    }
    assert as_vector(decode(json.dumps(wire, indent=3))) == from_model_vector["message"]


def test_every_documented_event_is_used_or_known_to_be_unused() -> None:
    [union, _] = get_args(RealtimeServerEvent)
    documented = {
        get_args(event.model_fields["type"].annotation)[0]: event for event in get_args(union)
    }
    unhandled = {name for name in documented if is_unhandled(name)}
    assert unhandled <= UNUSED_EVENTS
    assert UNUSED_EVENTS - unhandled == {"response.output_item.done"}
    assert documented.keys() >= UNUSED_EVENTS


@pytest.mark.parametrize("name", BETA_NAMES)
def test_beta_names_are_unknown_and_not_expected(name: str) -> None:
    assert decode_object({"type": name, "delta": "/38A"}) == Unhandled(name)
    assert name not in UNUSED_EVENTS


def test_unknown_events_are_values_with_a_bounded_name() -> None:
    assert decode(b'{"type":"response.dreamt","x":1}') == Unhandled("response.dreamt")
    assert decode_object({"type": "x" * 1000}) == Unhandled("x" * 64)


def test_arguments_of_a_tool_call_alone_are_not_acted_on() -> None:
    event = {"type": "response.function_call_arguments.done", "call_id": "c", "arguments": "{}"}
    assert decode_object(event) == Unhandled("response.function_call_arguments.done")


def test_a_finished_item_that_is_no_tool_call_is_unhandled() -> None:
    event = {"type": "response.output_item.done", "response_id": "r", "item": {"type": "message"}}
    assert decode_object(event) == Unhandled("response.output_item.done")


@pytest.mark.parametrize("status", ["incomplete", "in_progress", None])
def test_an_interrupted_tool_call_is_not_completed(status: str | None) -> None:
    item = {"type": "function_call", "call_id": "c", "name": "n", "arguments": '{"a', "id": None}
    event = {"type": "response.output_item.done", "response_id": "r"}
    assert decode_object(event | {"item": item | {"status": status}}) == ToolCall(
        "r", "", "c", "n", '{"a', completed=False
    )


@pytest.mark.parametrize(
    ("details", "reason", "code", "message"),
    [
        ({"type": "cancelled", "reason": "turn_detected"}, "turn_detected", None, None),
        (
            {"type": "failed", "error": {"code": "server_error", "message": "Oh."}},
            None,
            "server_error",
            "Oh.",
        ),
        ({"type": "failed", "error": {"type": "tokens", "code": None}}, None, "tokens", None),
        ({"type": "failed", "error": None}, None, None, None),
        (None, None, None, None),
    ],
    ids=["cancelled", "failed", "failed without code", "failed without error", "null"],
)
def test_a_response_says_why_it_ended(
    details: object, reason: str | None, code: str | None, message: str | None
) -> None:
    response = {"id": "r", "status": "failed", "status_details": details}
    assert decode_object({"type": "response.done", "response": response}) == ResponseDone(
        "r", "failed", reason, code, message, None, (), {}
    )


@pytest.mark.parametrize(
    ("received", "usage"),
    [
        ({"text_tokens": 9}, Usage(text_in=9)),
        ({"text_tokens": None, "audio_tokens": 4}, Usage(audio_in=4)),
        (None, Usage()),
        (
            {"text_tokens": 100, "audio_tokens": 50, "cached_tokens": 128},
            Usage(text_in=100, audio_in=50, cached_text_in=100, cached_audio_in=28),
        ),
        (
            {"text_tokens": 100, "cached_tokens": 64, "cached_tokens_details": {}},
            Usage(text_in=100),
        ),
    ],
    ids=["text only", "null", "no details", "cached sum only", "cached details win"],
)
def test_usage_is_read_from_what_is_there(received: object, usage: Usage) -> None:
    response = {"id": "r", "status": "completed", "usage": {"input_token_details": received}}
    done = decode_object({"type": "response.done", "response": response})
    assert isinstance(done, ResponseDone)
    assert done.usage == usage


def test_null_stands_where_the_schema_lets_a_field_be_absent() -> None:
    failed = "conversation.item.input_audio_transcription.failed"
    completed = "conversation.item.input_audio_transcription.completed"
    cases: list[tuple[dict[str, Any], ServerEvent]] = [
        ({"type": "session.created", "session": {"id": None}}, SessionCreated("", None)),
        ({"type": "session.updated", "session": {}}, SessionUpdated(None, None, None)),
        (
            {"type": "session.updated", "session": {"audio": {"input": None, "output": None}}},
            SessionUpdated(None, None, None),
        ),
        ({"type": "response.created", "response": {"id": "r"}}, ResponseStarted("r", {})),
        ({"type": failed, "item_id": "i"}, CallerTranscriptFailed("i", None, "")),
        (
            {"type": completed, "item_id": "i", "transcript": "", "usage": {"type": "tokens"}},
            CallerTranscript("i", "", None),
        ),
        ({"type": "rate_limits.updated", "rate_limits": None}, RateLimitsUpdated(())),
        ({"type": "rate_limits.updated", "rate_limits": [{"name": "x"}]}, RateLimitsUpdated(())),
        ({"type": "error", "error": {}}, ServerError("", None, "", None, None)),
        ({"type": "error", "error": {"code": 500}}, ServerError("", "500", "", None, None)),
    ]
    assert [decode_object(wire) for wire, _ in cases] == [event for _, event in cases]


def test_the_echo_is_read_also_where_it_is_a_custom_voice_or_a_format_of_the_beta() -> None:
    audio = {"input": {"format": "g711_ulaw"}, "output": {"voice": {"id": "voice_1"}}}
    event = decode_object({"type": "session.updated", "session": {"audio": audio}})
    assert event == SessionUpdated("g711_ulaw", None, "voice_1")


def test_an_event_may_be_long_but_not_without_end() -> None:
    assert decode(b'{"type":"later"}' + b" " * 1_000_000) == Unhandled("later")
    with pytest.raises(RemoteProtocolError) as caught:
        parse(b" " * (MAX_EVENT_BYTES + 1))
    assert caught.value.reason == "message_too_big"


@given(st.binary() | st.text())
def test_arbitrary_bytes_are_read_or_refused_and_nothing_else(data: bytes | str) -> None:
    read_or_refused(data)


@given(st.data())
def test_a_document_with_one_thing_wrong_is_read_or_refused(
    model_wires: list[dict[str, Any]], data: st.DataObject
) -> None:
    wire = data.draw(st.sampled_from(model_wires))
    path = data.draw(st.sampled_from(list(paths(wire))))
    read_or_refused(orjson.dumps(replaced(wire, path, data.draw(json_values))))


@given(json_values, st.dictionaries(st.text(max_size=8), json_values))
def test_arbitrary_json_is_read_or_refused_and_nothing_else(
    model_wires: list[dict[str, Any]], value: object, fields: dict[str, Any]
) -> None:
    read_or_refused(orjson.dumps(value))
    for wire in model_wires:
        read_or_refused(orjson.dumps(fields | {"type": wire["type"]}))
        read_or_refused(orjson.dumps(dict.fromkeys(wire, value) | {"type": wire["type"]}))


@given(st.data())
def test_no_error_repeats_what_somebody_said(
    model_wires: list[dict[str, Any]], data: st.DataObject
) -> None:
    secret = "555 0199 my name is"
    wire = data.draw(st.sampled_from(model_wires))
    path = data.draw(st.sampled_from(list(paths(wire))))
    for value in (secret, [secret], {secret: secret}):
        try:
            decode_object(replaced(wire, path, value))
        except RemoteProtocolError as error:
            assert secret not in str(error)  # noqa: PT017


def test_every_name_of_the_module_can_be_imported() -> None:
    assert [name for name in realtime.__all__ if not hasattr(realtime, name)] == []


def is_unhandled(name: str) -> bool:
    """Whether nothing of an event with this name is read."""
    try:
        return isinstance(decode_object({"type": name}), Unhandled)
    except RemoteProtocolError:
        return False


def read_or_refused(data: bytes | str) -> None:
    try:
        event = decode(data)
    except RemoteProtocolError as error:
        assert re.fullmatch("[a-z_]+", error.reason)  # noqa: PT017
        assert str(error)  # noqa: PT017
    else:
        assert isinstance(event, ServerEvent)
