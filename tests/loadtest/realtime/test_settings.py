from __future__ import annotations

from typing import Any

import pytest

from loadtest.realtime.refusals import Refusal
from loadtest.realtime.settings import SessionSettings


def settings(model: str = "gpt-realtime-2.1") -> SessionSettings:
    return SessionSettings("sess_1", model, expires_at=3600)


def update(of: SessionSettings, *, voice_fixed: bool = False, **session: object) -> None:
    of.update({"type": "realtime", **session}, voice_fixed=voice_fixed)


def test_a_session_begins_with_the_documented_defaults() -> None:
    wire = settings().to_wire()
    assert (wire["expires_at"], wire["object"], wire["model"]) == (
        3600,
        "realtime.session",
        "gpt-realtime-2.1",
    )
    assert wire["audio"]["input"] == {
        "format": {"type": "audio/pcm", "rate": 24000},
        "transcription": None,
        "noise_reduction": None,
        "turn_detection": {
            "type": "server_vad",
            "threshold": 0.5,
            "prefix_padding_ms": 300,
            "silence_duration_ms": 200,
            "idle_timeout_ms": None,
            "create_response": True,
            "interrupt_response": True,
        },
    }
    assert wire["audio"]["output"]["format"] == {"type": "audio/pcm", "rate": 24000}
    assert wire["reasoning"] == {"effort": "low"}
    assert "reasoning" not in settings("gpt-realtime-1.5").to_wire()


def test_omitted_fields_keep_their_value() -> None:
    changed = settings()
    update(changed, instructions="Be brief.", audio={"input": {"format": {"type": "audio/pcmu"}}})
    update(changed, audio={"output": {"format": {"type": "audio/pcmu"}, "voice": "cedar"}})
    expected = settings().to_wire()
    expected["instructions"] = "Be brief."
    expected["audio"]["input"]["format"] = {"type": "audio/pcmu"}
    expected["audio"]["output"] = {"format": {"type": "audio/pcmu"}, "voice": "cedar", "speed": 1.0}
    assert changed.to_wire() == expected


def test_empty_values_clear_and_null_switches_off() -> None:
    changed = settings()
    update(changed, instructions="x", tools=[{"type": "function", "name": "f"}])
    update(changed, instructions="", tools=[], audio={"input": {"turn_detection": None}})
    assert (changed.instructions, changed.tools, changed.turn_detection) == ("", [], None)


def test_a_partial_turn_detection_falls_back_to_the_defaults() -> None:
    changed = settings()
    long = {"type": "server_vad", "silence_duration_ms": 700}
    update(changed, audio={"input": {"turn_detection": long}})
    update(changed, audio={"input": {"turn_detection": {"type": "server_vad", "threshold": 0.7}}})
    detection = changed.turn_detection
    assert detection is not None
    assert (detection["silence_duration_ms"], detection["threshold"]) == (200, 0.7)


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "another model": ({"model": "gpt-realtime-2"}, "invalid_value", "session.model"),
    "both modalities": (
        {"output_modalities": ["text", "audio"]},
        "invalid_value",
        "session.output_modalities",
    ),
    "too many tokens": ({"max_output_tokens": 5000}, "invalid_value", "session.max_output_tokens"),
    "speed": (
        {"audio": {"output": {"speed": 2.0}}},
        "invalid_value",
        "session.audio.output.speed",
    ),
    "unknown voice": (
        {"audio": {"output": {"voice": "nobody"}}},
        "invalid_value",
        "session.audio.output.voice",
    ),
    "threshold": (
        {"audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 1.5}}}},
        "invalid_value",
        "session.audio.input.turn_detection.threshold",
    ),
    "short idle timeout": (
        {"audio": {"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 100}}}},
        "invalid_value",
        "session.audio.input.turn_detection.idle_timeout_ms",
    ),
    "tool without a name": (
        {"tools": [{"type": "function"}]},
        "missing_required_parameter",
        "session.tools[0].name",
    ),
    "forced tool that is not there": (
        {"tool_choice": {"type": "function", "name": "f"}},
        "invalid_value",
        "session.tool_choice.name",
    ),
}


@pytest.mark.parametrize(("change", "code", "param"), REFUSED.values(), ids=REFUSED.keys())
def test_a_refused_change_applies_nothing(change: dict[str, Any], code: str, param: str) -> None:
    unchanged = settings()
    with pytest.raises(Refusal) as refused:
        update(unchanged, instructions="never", **change)
    assert (refused.value.code, refused.value.param) == (code, param)
    assert unchanged.to_wire() == settings().to_wire()


@pytest.mark.parametrize("model", ["gpt-realtime-1.5", "gpt-realtime", "gpt-realtime-mini"])
@pytest.mark.parametrize("field", [{"reasoning": {"effort": "low"}}, {"parallel_tool_calls": True}])
def test_models_that_do_not_reason_refuse_its_settings(model: str, field: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as refused:
        update(settings(model), **field)
    assert (refused.value.code, refused.value.param) == (
        "unknown_parameter",
        f"session.{next(iter(field))}",
    )
    update(settings("gpt-realtime-2.1-mini"), **field)


def test_the_voice_is_fixed_once_it_was_heard() -> None:
    spoken = settings()
    same = {"output": {"voice": spoken.voice}}
    update(spoken, voice_fixed=True, audio=same)
    with pytest.raises(Refusal) as refused:
        update(spoken, voice_fixed=True, audio={"output": {"voice": "cedar"}})
    assert refused.value.code == "cannot_update_voice"


def test_tracing_stays_as_it_was_switched_on() -> None:
    traced = settings()
    update(traced, tracing="auto")
    with pytest.raises(Refusal):
        update(traced, tracing=None)


@pytest.mark.parametrize(("eagerness", "silence_ms"), [("low", 1000), ("auto", 600), ("high", 300)])
def test_semantic_vad_waits_by_eagerness(eagerness: str, silence_ms: int) -> None:
    semantic = settings()
    detection = {"type": "semantic_vad", "eagerness": eagerness}
    update(semantic, audio={"input": {"turn_detection": detection}})
    assert semantic.silence_ms == silence_ms
    assert semantic.idle_timeout_ms is None
