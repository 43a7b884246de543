"""The session's settings: all of them said, checked before they are sent, confirmed by the echo."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.protocol.realtime import (
    ConfigureSession,
    RetentionRatio,
    SemanticVad,
    ServerVad,
    SessionSettings,
    SessionUpdated,
    Transcription,
    accepts_reasoning,
    check_echo,
    encode,
)
from tests.oracle_openai import OpenAIOracle

TOOL = {
    "type": "function",
    "name": "route_call",
    "description": "Where the call goes.",
    "parameters": {"type": "object", "properties": {"intent": {"type": "string"}}},
}
flags = st.booleans()
numbers = st.integers(min_value=0, max_value=60_000)
vads: st.SearchStrategy[ServerVad | SemanticVad] = st.builds(
    ServerVad,
    st.floats(min_value=0, max_value=1),
    numbers,
    numbers,
    flags,
    flags,
    st.none() | st.integers(min_value=5_000, max_value=30_000),
) | st.builds(SemanticVad, st.sampled_from(("low", "medium", "high", "auto")), flags, flags)
settings = st.builds(
    SessionSettings,
    model=st.sampled_from(("gpt-realtime-2.1", "gpt-realtime-2.1-mini", "gpt-realtime-1.5")),
    voice=st.sampled_from(("marin", "cedar", "voice_1234")),
    instructions=st.text(st.characters(codec="utf-8")),
    tools=st.just((TOOL,)),
    tool_choice=st.sampled_from(("auto", "none", "required", "route_call")),
    vad=vads,
    noise_reduction=st.sampled_from((None, "near_field", "far_field")),
    transcription=st.sampled_from(
        (
            None,
            Transcription(),
            Transcription("gpt-realtime-whisper", "en"),
            Transcription("gpt-live-transcribe", "de", "Names of streets.", ("Flex", "Twilio")),
        )
    ),
    speed=st.floats(min_value=0.25, max_value=1.5),
    max_output_tokens=st.just("inf") | st.integers(min_value=1, max_value=4096),
    reasoning_effort=st.sampled_from((None, "minimal", "low", "medium", "high", "xhigh")),
    parallel_tool_calls=st.none() | flags,
    truncation=st.sampled_from(
        ("auto", "disabled", RetentionRatio(0.8), RetentionRatio(0.5, 8000))
    ),
)


def test_the_whole_session_is_said_with_every_field_of_the_turn_detection() -> None:
    assert SessionSettings(instructions="Be brief.", tools=(TOOL,)).to_wire() == {
        "type": "realtime",
        "output_modalities": ["audio"],
        "instructions": "Be brief.",
        "audio": {
            "input": {
                "format": {"type": "audio/pcmu"},
                "noise_reduction": {"type": "near_field"},
                "transcription": {"model": "gpt-transcribe"},
                "turn_detection": {
                    "type": "server_vad",
                    "threshold": 0.5,
                    "prefix_padding_ms": 300,
                    "silence_duration_ms": 500,
                    "create_response": True,
                    "interrupt_response": True,
                    "idle_timeout_ms": None,
                },
            },
            "output": {"format": {"type": "audio/pcmu"}, "voice": "marin", "speed": 1.0},
        },
        "tools": [TOOL],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "truncation": "auto",
        "reasoning": {"effort": "low"},
    }


def test_what_is_switched_off_is_said_and_not_left_out() -> None:
    settings = SessionSettings(noise_reduction=None, transcription=None, vad=SemanticVad("high"))
    assert settings.to_wire()["audio"]["input"] == {
        "format": {"type": "audio/pcmu"},
        "noise_reduction": None,
        "transcription": None,
        "turn_detection": {
            "type": "semantic_vad",
            "eagerness": "high",
            "create_response": True,
            "interrupt_response": True,
        },
    }


def test_choices_with_a_form_of_their_own_are_sent_in_it() -> None:
    wire = SessionSettings(
        voice="voice_1234",
        tools=(TOOL,),
        tool_choice="route_call",
        transcription=Transcription("gpt-transcribe", "en", "Streets.", ("Flex",)),
        truncation=RetentionRatio(0.8, 8000),
    ).to_wire()
    assert wire["audio"]["output"]["voice"] == {"id": "voice_1234"}
    assert wire["tool_choice"] == {"type": "function", "name": "route_call"}
    assert wire["audio"]["input"]["transcription"] == {
        "model": "gpt-transcribe",
        "language": "en",
        "prompt": "Streets.",
        "keywords": ["Flex"],
    }
    assert wire["truncation"] == {
        "type": "retention_ratio",
        "retention_ratio": 0.8,
        "token_limits": {"post_instructions": 8000},
    }


@given(settings)
def test_every_session_that_can_be_set_is_valid_and_has_no_unknown_key(
    openai_oracle: OpenAIOracle, settings: SessionSettings
) -> None:
    assert openai_oracle.client_faults(encode(ConfigureSession(settings.to_wire()))) == []


@pytest.mark.parametrize(
    ("model", "accepts"),
    [
        ("gpt-realtime-2.1", True),
        ("gpt-realtime-2.1-mini", True),
        ("gpt-realtime-2", True),
        ("gpt-realtime-2-2026-05-07", True),
        ("gpt-realtime-10", True),
        ("gpt-realtime-1.5", False),
        ("gpt-realtime", False),
        ("gpt-realtime-mini", False),
        ("gpt-realtime-2025-08-28", False),
        ("gpt-realtime-mini-2025-12-15", False),
        ("our-deployment", False),
    ],
)
def test_reasoning_goes_only_to_models_that_take_it(model: str, accepts: bool) -> None:
    wire = SessionSettings(
        model=model, reasoning_effort="minimal", parallel_tool_calls=False
    ).to_wire()
    sent = {key: wire[key] for key in ("reasoning", "parallel_tool_calls") if key in wire}
    expected = {"reasoning": {"effort": "minimal"}, "parallel_tool_calls": False}
    assert accepts_reasoning(model) is accepts
    assert sent == (expected if accepts else {})


VAD_FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"threshold": 1.1}, "vad.threshold is 1.1, expected 0 to 1"),
    ({"threshold": float("nan")}, "vad.threshold is nan, expected 0 to 1"),
    ({"threshold": True}, "vad.threshold is True, expected 0 to 1"),
    ({"prefix_padding_ms": -1}, "vad.prefix_padding_ms is -1, expected 0 or more"),
    ({"silence_duration_ms": 0.5}, "vad.silence_duration_ms is 0.5, expected a whole number"),
    ({"create_response": "no"}, "vad.create_response is 'no', expected true or false"),
    ({"interrupt_response": None}, "vad.interrupt_response is None, expected true or false"),
    ({"idle_timeout_ms": 4999}, "vad.idle_timeout_ms is 4999, expected 5000 to 30000"),
    ({"idle_timeout_ms": 30001}, "vad.idle_timeout_ms is 30001, expected 5000 to 30000"),
]
TRANSCRIPTION_FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"model": ""}, "transcription.model is '', expected a name"),
    (
        {"language": "english"},
        "transcription.language is 'english', expected two letters of ISO 639-1",
    ),
    (
        {"model": "gpt-realtime-whisper", "prompt": "x"},
        "transcription.prompt is set, but gpt-realtime-whisper takes none",
    ),
    (
        {"model": "whisper-1", "keywords": ("x",)},
        "transcription.keywords are set, but whisper-1 takes none",
    ),
]
SESSION_FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"model": " "}, "model is ' ', expected a name"),
    ({"voice": ""}, "voice is '', expected a name"),
    ({"speed": 0.2}, "speed is 0.2, expected 0.25 to 1.5"),
    ({"speed": 2}, "speed is 2, expected 0.25 to 1.5"),
    ({"max_output_tokens": 0}, "max_output_tokens is 0, expected 1 to 4096"),
    ({"max_output_tokens": 4097}, "max_output_tokens is 4097, expected 1 to 4096"),
    ({"max_output_tokens": "all"}, "max_output_tokens is 'all', expected a whole number"),
    (
        {"reasoning_effort": "huge"},
        "reasoning_effort is 'huge', expected one of minimal, low, medium, high, xhigh",
    ),
    ({"parallel_tool_calls": 1}, "parallel_tool_calls is 1, expected true or false"),
    (
        {"noise_reduction": "off"},
        "noise_reduction is 'off', expected one of near_field, far_field",
    ),
    ({"truncation": "none"}, "truncation is 'none', expected one of auto, disabled"),
    ({"tool_choice": "required"}, "tool_choice is 'required', expected auto or none, as there"),
    (
        {"tools": (TOOL,), "tool_choice": "transfer"},
        "tool_choice is 'transfer', expected auto, none, required or a tool's name",
    ),
    (
        {"tools": (TOOL, TOOL)},
        "tools[1].name is 'route_call', expected a name that no other tool has",
    ),
    ({"tools": (TOOL | {"type": "mcp"},)}, "tools[0].type is 'mcp', expected function"),
    ({"tools": (TOOL | {"strict": True},)}, "tools[0] has unknown fields strict"),
    (
        {"tools": (TOOL | {"name": "route call"},)},
        "tools[0].name is 'route call', expected 1 to 64 letters, digits, _ or -",
    ),
    ({"tools": (TOOL | {"parameters": []},)}, "tools[0].parameters is [], expected a JSON schema"),
]


@pytest.mark.parametrize(
    ("make", "fields", "error"),
    [(ServerVad, *case) for case in VAD_FAULTS]
    + [(Transcription, *case) for case in TRANSCRIPTION_FAULTS]
    + [(SessionSettings, *case) for case in SESSION_FAULTS]
    + [
        (
            SemanticVad,
            {"eagerness": "max"},
            "vad.eagerness is 'max', expected one of low, medium, high, auto",
        ),
        (
            RetentionRatio,
            {"retention_ratio": 1.5},
            "truncation.retention_ratio is 1.5, expected 0 to 1",
        ),
        (
            RetentionRatio,
            {"retention_ratio": 1, "post_instructions_tokens": 0},
            "truncation.post_instructions_tokens is 0, expected 1 or more",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_value_that_the_api_refuses_is_refused_here_by_name(
    make: type, fields: dict[str, Any], error: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(error)}"):
        make(**fields)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (SessionUpdated("audio/pcmu", "audio/pcmu", "marin"), None),
        (
            SessionUpdated("audio/pcm", "audio/pcmu", "marin"),
            "session.audio.input.format.type is audio/pcm, expected audio/pcmu",
        ),
        (
            SessionUpdated("audio/pcmu", None, None),
            "session.audio.output.format.type is missing, expected audio/pcmu",
        ),
        (
            SessionUpdated("my secret words", "audio/pcmu", None),
            "session.audio.input.format.type is a str of 15 characters, expected audio/pcmu",
        ),
    ],
    ids=["both mu-law", "input is PCM", "output is missing", "nonsense is not repeated"],
)
def test_the_echo_confirms_mu_law_on_both_sides(event: SessionUpdated, reason: str | None) -> None:
    assert check_echo(event) == reason
