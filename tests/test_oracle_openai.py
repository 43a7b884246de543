"""The judge itself: it accepts what is documented and finds what is not."""

from __future__ import annotations

import orjson
import pytest

from tests.oracle_openai import OpenAIOracle


def update(**session: object) -> bytes:
    return orjson.dumps({"type": "session.update", "session": {"type": "realtime", **session}})


@pytest.mark.parametrize(
    "session",
    [
        {"audio": {"input": {"noise_reduction": None, "turn_detection": None}}},
        {"audio": {"input": {"transcription": {"model": "gpt-transcribe", "keywords": ["x"]}}}},
        {"reasoning": {"effort": "low"}, "parallel_tool_calls": False},
        {"audio": {"output": {"format": {"type": "audio/pcmu"}, "voice": {"id": "voice_1"}}}},
    ],
    ids=["null", "transcription", "reasoning", "custom voice"],
)
def test_what_is_documented_has_no_fault(
    openai_oracle: OpenAIOracle, session: dict[str, object]
) -> None:
    assert openai_oracle.client_faults(update(**session)) == []


@pytest.mark.parametrize(
    ("session", "fault"),
    [
        ({"temperature": 0.8}, "session.temperature: unknown key"),
        ({"audio": {"input": {"foo": 1}}}, "session.audio.input.foo: unknown key"),
        (
            {"audio": {"input": {"format": {"type": "audio/pcmu", "rate": 8000}}}},
            "session.audio.input.format.rate: unknown key",
        ),
        (
            {"tools": [{"type": "function", "name": "a", "strict": True}]},
            "session.tools[0].strict: unknown key",
        ),
    ],
    ids=["at the top", "deep", "of another format", "in a list"],
)
def test_an_unknown_key_is_a_fault(
    openai_oracle: OpenAIOracle, session: dict[str, object], fault: str
) -> None:
    assert openai_oracle.client_faults(update(**session)) == [fault]


@pytest.mark.parametrize(
    "message",
    [
        b'{"type":"input_audio_buffer.append"}',
        b'{"type":"conversation.item.truncate","item_id":"i","content_index":0,"audio_end_ms":"5"}',
        b'{"type":"session.update","session":{"type":"realtime","audio":{"input":{"format":"g711_ulaw"}}}}',
        b'{"type":"response.audio.delta"}',
        b"{}",
        b"{",
    ],
    ids=["field missing", "number as text", "format of the beta", "not ours", "no type", "no JSON"],
)
def test_a_wrong_shape_is_a_fault(openai_oracle: OpenAIOracle, message: bytes) -> None:
    assert openai_oracle.client_faults(message) != []


def test_keys_of_the_server_that_the_package_leaves_out_are_no_fault(
    openai_oracle: OpenAIOracle,
) -> None:
    session = {"type": "realtime", "id": "sess_1", "object": "realtime.session", "expires_at": 5}
    event = {"type": "session.created", "event_id": "e", "session": session}
    assert openai_oracle.server_faults(orjson.dumps(event)) == []
    event["session"] = session | {"mood": "good"}
    assert openai_oracle.server_faults(orjson.dumps(event)) == ["session.mood: unknown key"]
