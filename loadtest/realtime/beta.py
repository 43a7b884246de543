"""The wire of the Realtime beta, for bridges that still speak it: both directions, translated.

The real API stopped serving it on 2026-05-12. Before that it was chosen by the header
``OpenAI-Beta: realtime=v1``, as it is here. A session keeps its GA shape inside; what is checked
strictly there is checked after translation. Shapes: ``openai.types.beta.realtime``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, Final

from openai.types.beta.realtime.realtime_client_event import RealtimeClientEvent
from pydantic import Field, TypeAdapter

from . import refusals, typed
from .formats import AudioFormat

HEADER: Final = "OpenAI-Beta"
HEADER_VALUE: Final = "realtime=v1"
MODELS: Collection[str] = (
    "gpt-4o-realtime-preview",
    "gpt-4o-realtime-preview-2024-10-01",
    "gpt-4o-realtime-preview-2024-12-17",
    "gpt-4o-realtime-preview-2025-06-03",
    "gpt-4o-mini-realtime-preview",
    "gpt-4o-mini-realtime-preview-2024-12-17",
)
"""Besides those of the GA interface."""

_CLIENT: TypeAdapter[Any] = TypeAdapter(Annotated[RealtimeClientEvent, Field(discriminator="type")])
_FORMATS: Mapping[str, AudioFormat] = {
    "pcm16": AudioFormat.PCM,
    "g711_ulaw": AudioFormat.PCMU,
    "g711_alaw": AudioFormat.PCMA,
}
_FORMAT_NAMES = {audio_format.value: name for name, audio_format in _FORMATS.items()}
_EVENTS: Mapping[str, str] = {
    "conversation.item.added": "conversation.item.created",
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
    "response.output_text.delta": "response.text.delta",
    "response.output_text.done": "response.text.done",
}
_UNKNOWN_THEN = frozenset({"conversation.item.done", "input_audio_buffer.timeout_triggered"})
_SPOKEN, _WRITTEN = ["audio", "text"], ["text"]
_LEAST_TEMPERATURE, _MOST_TEMPERATURE = 0.6, 1.2
_DETECTION_KEYS = (
    "type", "threshold", "prefix_padding_ms", "silence_duration_ms", "eagerness",
    "create_response", "interrupt_response",
)  # fmt: skip


class BetaDialect:
    """One session's translator. ``temperature``, which the GA interface lost, is kept here."""

    def __init__(self) -> None:
        self._temperature = 0.8

    # --- client to server ----------------------------------------------------------------------

    def from_client(self, event: dict[str, Any]) -> dict[str, Any]:
        """A control event in the GA shape; raises the Refusal for what was no beta event."""
        kind = event.get("type")
        chosen = _without_tool_choice(event)
        typed.check(_CLIENT, chosen)
        if kind == "session.update":
            return {**event, "session": self._session_in(event["session"])}
        if kind == "response.create" and event.get("response"):
            return {**event, "response": self._response_in(event["response"])}
        if kind == "conversation.item.create":
            return {**event, "item": _item_in(event["item"])}
        return event

    def _session_in(self, session: Mapping[str, Any]) -> dict[str, Any]:
        if session.get("temperature") is not None:
            self._temperature = _temperature(session["temperature"], "session.temperature")
        made: dict[str, Any] = {"type": "realtime", **_shared_in(session, "session")}
        made |= {key: session[key] for key in ("model", "tracing") if key in session}
        audio_input: dict[str, Any] = {}
        if session.get("input_audio_format") is not None:
            audio_input["format"] = _FORMATS[session["input_audio_format"]].to_wire()
        for key in ("transcription", "noise_reduction"):
            if f"input_audio_{key}" in session:
                audio_input[key] = session[f"input_audio_{key}"]
        if "turn_detection" in session:
            detection = session["turn_detection"]
            audio_input["turn_detection"] = detection and {"type": "server_vad", **detection}
        output = _output_in(session)
        if session.get("speed") is not None:
            output["speed"] = session["speed"]
        return {**made, "audio": {"input": audio_input, "output": output}}

    def _response_in(self, response: Mapping[str, Any]) -> dict[str, Any]:
        if response.get("temperature") is not None:
            _temperature(response["temperature"], "response.temperature")
        made = _shared_in(response, "response")
        made |= {key: response[key] for key in ("conversation", "metadata") if key in response}
        if response.get("input") is not None:
            made["input"] = [_item_in(item) for item in response["input"]]
        output = _output_in(response)
        return {**made, "audio": {"output": output}} if output else made

    # --- server to client ----------------------------------------------------------------------

    def to_client(
        self, kind: str, fields: Mapping[str, object]
    ) -> tuple[str, Mapping[str, object]] | None:
        """Name and fields as the beta had them; None for an event that it did not have."""
        if kind in _UNKNOWN_THEN:
            return None
        changed = {
            key: change(fields[key])
            for key, change in self._changes.items()
            if isinstance(fields.get(key), Mapping)
        }
        if kind == "response.function_call_arguments.done":
            fields = {key: value for key, value in fields.items() if key != "name"}
        return _EVENTS.get(kind, kind), {**fields, **changed} if changed else fields

    @property
    def _changes(self) -> Mapping[str, Callable[[Any], object]]:
        return {
            "session": self._session_out,
            "response": self._response_out,
            "item": _item_out,
            "part": _part_out,
        }

    def _session_out(self, session: Mapping[str, Any]) -> dict[str, Any]:
        audio_input, audio_output = session["audio"]["input"], session["audio"]["output"]
        detection = audio_input["turn_detection"]
        return {
            **{key: session[key] for key in ("id", "object", "model", "expires_at")},
            "modalities": _modalities_out(session["output_modalities"]),
            "instructions": session["instructions"],
            "voice": audio_output["voice"],
            "input_audio_format": _FORMAT_NAMES[audio_input["format"]["type"]],
            "output_audio_format": _FORMAT_NAMES[audio_output["format"]["type"]],
            "input_audio_transcription": audio_input["transcription"],
            "input_audio_noise_reduction": audio_input["noise_reduction"],
            "turn_detection": detection
            and {key: detection[key] for key in _DETECTION_KEYS if key in detection},
            "tools": session["tools"],
            "tool_choice": session["tool_choice"],
            "temperature": self._temperature,
            "speed": audio_output["speed"],
            "max_response_output_tokens": session["max_output_tokens"],
        }

    def _response_out(self, response: Mapping[str, Any]) -> dict[str, Any]:
        kept = {key: value for key, value in response.items() if key not in _RESPONSE_CHANGES}
        output = response["audio"]["output"]
        return {
            **kept,
            "output": [_item_out(item) for item in response["output"]],
            "modalities": _modalities_out(response["output_modalities"]),
            "voice": output["voice"],
            "output_audio_format": _FORMAT_NAMES[output["format"]["type"]],
            "temperature": self._temperature,
            "usage": _usage_out(response["usage"]),
        }


_RESPONSE_CHANGES = ("audio", "output_modalities", "output", "usage")


def _without_tool_choice(event: dict[str, Any]) -> dict[str, Any]:
    """The typed events know ``tool_choice`` only as text; the documents also name a function."""
    for key in ("session", "response"):
        inside = event.get(key)
        if isinstance(inside, dict) and isinstance(inside.get("tool_choice"), dict):
            kept = {name: value for name, value in inside.items() if name != "tool_choice"}
            return {**event, key: kept}
    return event


def _shared_in(given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """What session and response have in common."""
    made = {key: given[key] for key in ("instructions", "tools") if key in given}
    if given.get("modalities") is not None:
        made["output_modalities"] = _modalities_in(given["modalities"], f"{where}.modalities")
    if given.get("max_response_output_tokens") is not None:
        made["max_output_tokens"] = given["max_response_output_tokens"]
    choice = given.get("tool_choice")
    if isinstance(choice, Mapping):
        function = choice.get("function")
        name = function.get("name") if isinstance(function, Mapping) else choice.get("name")
        choice = {"type": "function", "name": name}
    if choice is not None:
        made["tool_choice"] = choice
    return made


def _output_in(given: Mapping[str, Any]) -> dict[str, Any]:
    output: dict[str, Any] = {}
    if given.get("output_audio_format") is not None:
        output["format"] = _FORMATS[given["output_audio_format"]].to_wire()
    if given.get("voice") is not None:
        output["voice"] = given["voice"]
    return output


def _modalities_in(modalities: list[str], param: str) -> list[str]:
    if sorted(modalities) == _SPOKEN:
        return ["audio"]
    if modalities == _WRITTEN:
        return ["text"]
    raise refusals.invalid_value(param, modalities, ["['text']", "['audio', 'text']"])


def _modalities_out(modalities: list[str]) -> list[str]:
    return list(_SPOKEN if modalities == ["audio"] else _WRITTEN)


def _temperature(value: float, param: str) -> float:
    if not _LEAST_TEMPERATURE <= value <= _MOST_TEMPERATURE:
        expected = f"a value from {_LEAST_TEMPERATURE} to {_MOST_TEMPERATURE}"
        raise refusals.out_of_range(param, value, expected)
    return value


def _item_in(item: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(item)
    if made.get("role") == "assistant":
        made["content"] = [
            {**part, "type": "output_text"} if part.get("type") == "text" else part
            for part in made.get("content") or ()
        ]
    return made


def _item_out(item: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(item)
    if "content" in made:
        made["content"] = [_part_out(part) for part in made["content"]]
    return made


def _part_out(part: Mapping[str, Any]) -> dict[str, Any]:
    return {**part, "type": str(part["type"]).removeprefix("output_")}


def _usage_out(usage: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if usage is None:
        return None
    details = usage["input_token_details"]
    kept = {key: details[key] for key in ("text_tokens", "audio_tokens", "cached_tokens")}
    return {**usage, "input_token_details": kept}
