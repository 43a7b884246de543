"""The session's settings for a telephone line, checked once, and the echo that confirms them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from bridge.protocol.checks import at_least, boolean, filled, in_range, one_of, refused, whole
from bridge.protocol.realtime_encode import TOOL_MODES, tool_choice_wire
from bridge.protocol.realtime_messages import SessionUpdated
from bridge.protocol.wire import JsonObject, shown

DEFAULT_MODEL = "gpt-realtime-2.1"

Eagerness: TypeAlias = Literal["low", "medium", "high", "auto"]
NoiseReduction: TypeAlias = Literal["near_field", "far_field"]
ReasoningEffort: TypeAlias = Literal["minimal", "low", "medium", "high", "xhigh"]
Truncation: TypeAlias = Literal["auto", "disabled"]

# G.711 mu-law, 8 kHz, mono: what Twilio speaks. There is no rate field.
_LINE_FORMAT = "audio/pcmu"
# Major version 2 or later, but not a date: gpt-realtime-2025-08-28 is the first model.
_REASONING_MODEL = re.compile(r"gpt-realtime-([2-9]|[1-9][0-9])(\.[0-9]+)?(-.*)?", re.ASCII)
_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_TOOL_FIELDS = frozenset({"type", "name", "description", "parameters"})
_LANGUAGE = re.compile(r"[a-z]{2}", re.ASCII)
_CUSTOM_VOICE = "voice_"
_KEYWORD_MODELS = frozenset({"gpt-transcribe", "gpt-live-transcribe"})
_PROMPTLESS_MODELS = frozenset({"gpt-realtime-whisper"})
_MAX_OUTPUT_TOKENS = 4096
_MIN_IDLE_MS, _MAX_IDLE_MS = 5_000, 30_000
_MIN_SPEED, _MAX_SPEED = 0.25, 1.5


@dataclass(frozen=True, slots=True)
class ServerVad:
    """Turns by silence. Each field is always sent: the server's defaults have changed before."""

    threshold: float = 0.5
    """0 to 1; higher needs louder speech."""
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 500
    create_response: bool = True
    interrupt_response: bool = True
    idle_timeout_ms: int | None = None
    """5,000 to 30,000: the model speaks up after so much silence. None: it waits."""

    def __post_init__(self) -> None:
        in_range("vad.threshold", self.threshold, 0, 1)
        at_least("vad.prefix_padding_ms", self.prefix_padding_ms, 0)
        at_least("vad.silence_duration_ms", self.silence_duration_ms, 0)
        boolean("vad.create_response", self.create_response)
        boolean("vad.interrupt_response", self.interrupt_response)
        if self.idle_timeout_ms is not None:
            whole("vad.idle_timeout_ms", self.idle_timeout_ms)
            in_range("vad.idle_timeout_ms", self.idle_timeout_ms, _MIN_IDLE_MS, _MAX_IDLE_MS)

    def to_wire(self) -> JsonObject:
        """The ``turn_detection`` object."""
        return {
            "type": "server_vad",
            "threshold": self.threshold,
            "prefix_padding_ms": self.prefix_padding_ms,
            "silence_duration_ms": self.silence_duration_ms,
            "create_response": self.create_response,
            "interrupt_response": self.interrupt_response,
            "idle_timeout_ms": self.idle_timeout_ms,
        }


@dataclass(frozen=True, slots=True)
class SemanticVad:
    """Turns by meaning. ``eagerness`` low, medium and high wait 8, 4 and 2 s at most."""

    eagerness: Eagerness = "auto"
    create_response: bool = True
    interrupt_response: bool = True

    def __post_init__(self) -> None:
        one_of("vad.eagerness", self.eagerness, get_args(Eagerness))
        boolean("vad.create_response", self.create_response)
        boolean("vad.interrupt_response", self.interrupt_response)

    def to_wire(self) -> JsonObject:
        """The ``turn_detection`` object."""
        return {
            "type": "semantic_vad",
            "eagerness": self.eagerness,
            "create_response": self.create_response,
            "interrupt_response": self.interrupt_response,
        }


Vad: TypeAlias = ServerVad | SemanticVad


@dataclass(frozen=True, slots=True)
class Transcription:
    """What the caller said, as text, beside the model's own hearing; billed apart."""

    model: str = "gpt-transcribe"
    language: str | None = None
    """ISO 639-1, such as ``en``; None: found out."""
    prompt: str | None = None
    keywords: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        filled("transcription.model", self.model)
        if self.language is not None and not _LANGUAGE.fullmatch(self.language):
            raise refused("transcription.language", self.language, "two letters of ISO 639-1")
        if self.prompt is not None and self.model in _PROMPTLESS_MODELS:
            raise ValueError(f"transcription.prompt is set, but {self.model} takes none")
        if self.keywords and self.model not in _KEYWORD_MODELS:
            raise ValueError(f"transcription.keywords are set, but {self.model} takes none")

    def to_wire(self) -> JsonObject:
        """The ``transcription`` object."""
        wire: JsonObject = {"model": self.model}
        if self.language is not None:
            wire["language"] = self.language
        if self.prompt is not None:
            wire["prompt"] = self.prompt
        if self.keywords:
            wire["keywords"] = list(self.keywords)
        return wire


@dataclass(frozen=True, slots=True)
class RetentionRatio:
    """When the context overflows, keep this share of it: fewer truncations, so a better cache."""

    retention_ratio: float
    post_instructions_tokens: int | None = None
    """Limit of the conversation's tokens behind the instructions."""

    def __post_init__(self) -> None:
        in_range("truncation.retention_ratio", self.retention_ratio, 0, 1)
        if self.post_instructions_tokens is not None:
            at_least("truncation.post_instructions_tokens", self.post_instructions_tokens, 1)

    def to_wire(self) -> JsonObject:
        """The ``truncation`` object."""
        wire: JsonObject = {"type": "retention_ratio", "retention_ratio": self.retention_ratio}
        if self.post_instructions_tokens is not None:
            wire["token_limits"] = {"post_instructions": self.post_instructions_tokens}
        return wire


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """Everything ``session.update`` says, and the model of the connection. ValueError if wrong.

    ``tools`` are function tools as the API takes them. ``tool_choice`` is auto, none, required or
    a function's name. ``reasoning_effort`` and ``parallel_tool_calls`` go only to models that take
    them; None leaves the server's default. ``voice`` is a name, or the id of a custom voice.
    """

    model: str = DEFAULT_MODEL
    voice: str = "marin"
    instructions: str = ""
    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: str = "auto"
    vad: Vad = field(default_factory=ServerVad)
    noise_reduction: NoiseReduction | None = "near_field"
    transcription: Transcription | None = field(default_factory=Transcription)
    speed: float = 1.0
    max_output_tokens: int | Literal["inf"] = "inf"
    reasoning_effort: ReasoningEffort | None = "low"
    parallel_tool_calls: bool | None = None
    truncation: Truncation | RetentionRatio = "auto"

    def __post_init__(self) -> None:
        filled("model", self.model)
        filled("voice", self.voice)
        _check_tools(self.tools, self.tool_choice)
        if self.noise_reduction is not None:
            one_of("noise_reduction", self.noise_reduction, get_args(NoiseReduction))
        in_range("speed", self.speed, _MIN_SPEED, _MAX_SPEED)
        if self.max_output_tokens != "inf":
            whole("max_output_tokens", self.max_output_tokens)
            in_range("max_output_tokens", self.max_output_tokens, 1, _MAX_OUTPUT_TOKENS)
        if self.reasoning_effort is not None:
            one_of("reasoning_effort", self.reasoning_effort, get_args(ReasoningEffort))
        if self.parallel_tool_calls is not None:
            boolean("parallel_tool_calls", self.parallel_tool_calls)
        if not isinstance(self.truncation, RetentionRatio):
            one_of("truncation", self.truncation, get_args(Truncation))

    def to_wire(self) -> JsonObject:
        """The whole ``session`` object. The model is not in it: the connection's URL names it."""
        session: JsonObject = {
            "type": "realtime",
            "output_modalities": ["audio"],
            "instructions": self.instructions,
            "audio": {"input": self._input(), "output": self._output()},
            "tools": [dict(tool) for tool in self.tools],
            "tool_choice": tool_choice_wire(self.tool_choice),
            "max_output_tokens": self.max_output_tokens,
            "truncation": self._truncation(),
        }
        if accepts_reasoning(self.model):
            if self.reasoning_effort is not None:
                session["reasoning"] = {"effort": self.reasoning_effort}
            if self.parallel_tool_calls is not None:
                session["parallel_tool_calls"] = self.parallel_tool_calls
        return session

    def _input(self) -> JsonObject:
        # Null switches off, a missing field would keep what the server has.
        noise = self.noise_reduction
        return {
            "format": {"type": _LINE_FORMAT},
            "noise_reduction": None if noise is None else {"type": noise},
            "transcription": None if self.transcription is None else self.transcription.to_wire(),
            "turn_detection": self.vad.to_wire(),
        }

    def _output(self) -> JsonObject:
        voice = {"id": self.voice} if self.voice.startswith(_CUSTOM_VOICE) else self.voice
        return {"format": {"type": _LINE_FORMAT}, "voice": voice, "speed": self.speed}

    def _truncation(self) -> str | JsonObject:
        if isinstance(self.truncation, RetentionRatio):
            return self.truncation.to_wire()
        return self.truncation


def accepts_reasoning(model: str) -> bool:
    """Whether it takes ``reasoning`` and ``parallel_tool_calls``: gpt-realtime-2 and later do."""
    return _REASONING_MODEL.fullmatch(model) is not None


def check_echo(event: SessionUpdated) -> str | None:
    """None if both sides are mu-law; otherwise what is not. Anything else would be noise."""
    for side, came in (("input", event.input_format), ("output", event.output_format)):
        if came != _LINE_FORMAT:
            what = "missing" if came is None else shown(came)
            return f"session.audio.{side}.format.type is {what}, expected {_LINE_FORMAT}"
    return None


def _check_tools(tools: tuple[Mapping[str, Any], ...], tool_choice: str) -> None:
    names: set[str] = set()
    for index, tool in enumerate(tools):
        name = _checked_tool(tool, f"tools[{index}]")
        if name in names:
            raise refused(f"tools[{index}].name", name, "a name that no other tool has")
        names.add(name)
    filled("tool_choice", tool_choice)
    if tool_choice == "required" and not names:
        raise refused("tool_choice", tool_choice, "auto or none, as there are no tools")
    if tool_choice not in TOOL_MODES and tool_choice not in names:
        raise refused("tool_choice", tool_choice, "auto, none, required or a tool's name")


def _checked_tool(tool: Mapping[str, Any], path: str) -> str:
    if tool.get("type") != "function":
        raise refused(f"{path}.type", tool.get("type"), "function")
    unknown = sorted(set(tool) - _TOOL_FIELDS)
    if unknown:
        raise ValueError(f"{path} has unknown fields {', '.join(unknown)}")
    name = tool.get("name")
    if not isinstance(name, str) or not _TOOL_NAME.fullmatch(name):
        raise refused(f"{path}.name", name, "1 to 64 letters, digits, _ or -")
    if not isinstance(tool.get("parameters", {}), dict):
        raise refused(f"{path}.parameters", tool["parameters"], "a JSON schema")
    return name
