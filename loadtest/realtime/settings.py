"""A session's configuration: the documented defaults and what ``session.update`` may change."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from typing import Any

from . import refusals
from .formats import AudioFormat
from .refusals import Refusal

REASONING_PREFIX = "gpt-realtime-2."
MODELS: Collection[str] = (
    "gpt-realtime-2.1",
    "gpt-realtime-2.1-mini",
    "gpt-realtime-2",
    "gpt-realtime-1.5",
    "gpt-realtime",
    "gpt-realtime-2025-08-28",
    "gpt-realtime-mini",
    "gpt-realtime-mini-2025-10-06",
    "gpt-realtime-mini-2025-12-15",
)
VOICES = (
    "alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar",
)  # fmt: skip
DEFAULT_INSTRUCTIONS = (
    "Your knowledge cutoff is 2023-10. You are a helpful, witty, and friendly AI. Act like a "
    "human, but remember that you aren't a human and that you can't do human things in the world."
)

# The documented session.created shows silence_duration_ms 200 where the text says 500.
_SERVER_VAD: Mapping[str, Any] = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 200,
    "idle_timeout_ms": None,
    "create_response": True,
    "interrupt_response": True,
}
_SEMANTIC_VAD: Mapping[str, Any] = {
    "type": "semantic_vad",
    "eagerness": "auto",
    "create_response": True,
    "interrupt_response": True,
}
# There is no meaning to look at here, so eagerness is a silence to wait for: shorter than the
# maximum waits of 8, 4 and 2 s, which apply to callers who trail off.
_EAGERNESS_SILENCE_MS = {"low": 1000, "medium": 600, "auto": 600, "high": 300}


class SessionSettings:
    """The effective configuration, kept as the object that ``session.updated`` echoes."""

    def __init__(self, session_id: str, model: str, expires_at: int) -> None:
        self.model = model
        self._wire: dict[str, Any] = {
            "type": "realtime",
            "object": "realtime.session",
            "id": session_id,
            "model": model,
            "expires_at": expires_at,
            "output_modalities": ["audio"],
            "instructions": DEFAULT_INSTRUCTIONS,
            "tools": [],
            "tool_choice": "auto",
            "max_output_tokens": "inf",
            "tracing": None,
            "truncation": "auto",
            "prompt": None,
            "include": None,
            "audio": {
                "input": {
                    "format": AudioFormat.PCM.to_wire(),
                    "transcription": None,
                    "noise_reduction": None,
                    "turn_detection": dict(_SERVER_VAD),
                },
                "output": {"format": AudioFormat.PCM.to_wire(), "voice": "marin", "speed": 1.0},
            },
        }
        if self.reasons:
            self._wire |= {"reasoning": {"effort": "low"}, "parallel_tool_calls": True}

    @property
    def reasons(self) -> bool:
        """Whether the model takes reasoning settings (the 2.x models)."""
        return f"{self.model}.".startswith(REASONING_PREFIX)

    def to_wire(self) -> dict[str, Any]:
        return copy.deepcopy(self._wire)

    @property
    def input_format(self) -> AudioFormat:
        return AudioFormat(self._wire["audio"]["input"]["format"]["type"])

    @property
    def output_format(self) -> AudioFormat:
        return AudioFormat(self._wire["audio"]["output"]["format"]["type"])

    @property
    def voice(self) -> object:
        return self._wire["audio"]["output"]["voice"]

    @property
    def instructions(self) -> str:
        return str(self._wire["instructions"] or "")

    @property
    def tools(self) -> list[dict[str, Any]]:
        return list(self._wire["tools"])

    @property
    def tool_choice(self) -> object:
        return self._wire["tool_choice"]

    @property
    def output_modalities(self) -> list[str]:
        return list(self._wire["output_modalities"])

    @property
    def max_output_tokens(self) -> int | str:
        limit = self._wire["max_output_tokens"]
        return limit if isinstance(limit, int) else "inf"

    @property
    def transcribes(self) -> bool:
        return self._wire["audio"]["input"]["transcription"] is not None

    @property
    def turn_detection(self) -> Mapping[str, Any] | None:
        detection = self._wire["audio"]["input"]["turn_detection"]
        return None if detection is None else dict(detection)

    @property
    def silence_ms(self) -> int:
        """What the VAD waits for, also where ``semantic_vad`` would judge by meaning."""
        detection = self.turn_detection or {}
        if detection.get("type") == "semantic_vad":
            return _EAGERNESS_SILENCE_MS[detection["eagerness"]]
        return int(detection.get("silence_duration_ms", _SERVER_VAD["silence_duration_ms"]))

    @property
    def creates_response(self) -> bool:
        return bool((self.turn_detection or {}).get("create_response"))

    @property
    def interrupts_response(self) -> bool:
        return bool((self.turn_detection or {}).get("interrupt_response"))

    @property
    def idle_timeout_ms(self) -> int | None:
        timeout = (self.turn_detection or {}).get("idle_timeout_ms")
        return None if timeout is None else int(timeout)

    def update(self, change: Mapping[str, Any], *, voice_fixed: bool) -> None:
        """Apply a ``session`` object of checked keys and types, or raise and change nothing.

        Omitted fields keep their value. ``voice_fixed``: the conversation has assistant audio.
        """
        self._check(change, voice_fixed)
        audio = change.get("audio") or {}
        merged = {**self._wire, **{k: v for k, v in change.items() if k != "audio"}}
        merged["audio"] = {
            side: {**self._wire["audio"][side], **_completed(audio.get(side) or {})}
            for side in ("input", "output")
        }
        self._wire = copy.deepcopy(merged)

    def _check(self, change: Mapping[str, Any], voice_fixed: bool) -> None:
        if change.get("type") != "realtime":
            raise refusals.invalid_value("session.type", change.get("type"), ["realtime"])
        if change.get("model", self.model) != self.model:
            raise refusals.invalid_value("session.model", change["model"], [self.model])
        self._check_common(change, "session")
        audio = change.get("audio") or {}
        _check_turn_detection((audio.get("input") or {}).get("turn_detection"))
        _check_tools(change, self.tools)
        self._check_output(audio.get("output") or {}, voice_fixed)
        if self._wire["tracing"] is not None and "tracing" in change:
            raise Refusal(
                "invalid_value", "Tracing cannot be changed once enabled.", "session.tracing"
            )

    def check_response(self, wanted: Mapping[str, Any]) -> None:
        """Raise for a ``response`` object of ``response.create`` that this session can not have."""
        self._check_common(wanted, "response")
        if wanted.get("conversation") not in (None, "auto", "none"):
            raise refusals.invalid_value(
                "response.conversation", wanted["conversation"], ["auto", "none"]
            )
        metadata = wanted.get("metadata") or {}
        sizes = [(len(key), len(value)) for key, value in metadata.items()]
        if len(sizes) > 16 or any(key > 64 or value > 512 for key, value in sizes):
            expected = "at most 16 keys of 64 characters, values of 512"
            raise refusals.out_of_range("response.metadata", f"{len(sizes)} keys", expected)

    def _check_common(self, change: Mapping[str, Any], where: str) -> None:
        for key in ("reasoning", "parallel_tool_calls"):
            if change.get(key) is not None and not self.reasons:
                raise refusals.unknown_parameter(f"{where}.{key}")
        modalities = change.get("output_modalities")
        if modalities is not None and modalities not in (["audio"], ["text"]):
            supported = ["['audio']", "['text']"]
            raise refusals.invalid_value(f"{where}.output_modalities", modalities, supported)
        limit = change.get("max_output_tokens")
        if isinstance(limit, int) and not 1 <= limit <= 4096:
            expected = "1 to 4096, or 'inf'"
            raise refusals.out_of_range(f"{where}.max_output_tokens", limit, expected)

    def _check_output(self, output: Mapping[str, Any], voice_fixed: bool) -> None:
        where = "session.audio.output"
        voice = output.get("voice", self.voice)
        if isinstance(voice, str) and voice not in VOICES:
            raise refusals.invalid_value(f"{where}.voice", voice, VOICES)
        if voice_fixed and voice != self.voice:
            raise Refusal(
                "cannot_update_voice",
                "Cannot update a conversation's voice if assistant audio is present.",
                f"{where}.voice",
            )
        speed = output.get("speed")
        if speed is not None and not 0.25 <= speed <= 1.5:
            raise refusals.out_of_range(f"{where}.speed", speed, "a value from 0.25 to 1.5")


def _completed(side: Mapping[str, Any]) -> dict[str, Any]:
    """The given fields of an audio side, objects filled up to what the server echoes."""
    given = dict(side)
    audio_format = given.get("format")
    if isinstance(audio_format, Mapping):
        given["format"] = AudioFormat(audio_format.get("type", "audio/pcm")).to_wire()
    detection = given.get("turn_detection")
    if isinstance(detection, Mapping):
        # A partial object falls back to the defaults, not to what was set before.
        base = _SEMANTIC_VAD if detection["type"] == "semantic_vad" else _SERVER_VAD
        given["turn_detection"] = {**base, **detection}
    return given


_VAD_RANGES: Mapping[str, tuple[float, float]] = {
    "threshold": (0, 1),
    "prefix_padding_ms": (0, 10_000),
    "silence_duration_ms": (0, 60_000),
    "idle_timeout_ms": (5000, 30_000),
}


def _check_turn_detection(detection: Mapping[str, Any] | None) -> None:
    for key, (least, most) in _VAD_RANGES.items():
        value = (detection or {}).get(key)
        if value is not None and not least <= value <= most:
            param = f"session.audio.input.turn_detection.{key}"
            raise refusals.out_of_range(param, value, f"a value from {least} to {most}")


def _check_tools(change: Mapping[str, Any], known: list[dict[str, Any]]) -> None:
    tools = change.get("tools")
    for index, tool in enumerate(tools or ()):
        if tool.get("type") == "function" and not tool.get("name"):
            raise refusals.missing_parameter(f"session.tools[{index}].name")
    choice = change.get("tool_choice")
    names = [tool.get("name") for tool in (known if tools is None else tools)]
    if not isinstance(choice, Mapping) or choice.get("type") != "function":
        return
    if choice["name"] not in names:
        raise refusals.invalid_value("session.tool_choice.name", choice["name"])
