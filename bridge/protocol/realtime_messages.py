"""OpenAI Realtime (GA): the events we use and the commands we send, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

# --- what the model's server tells us -------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SessionCreated:
    session_id: str
    expires_at: int | None
    """Unix seconds; the server closes the session then (60 minutes)."""


@dataclass(frozen=True, slots=True)
class SessionUpdated:
    """The effective configuration, as echoed."""

    input_format: str | None
    output_format: str | None
    voice: str | None


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    item_id: str
    audio_start_ms: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """``audio_end_ms`` is on the clock of appended audio and includes the VAD's silence."""

    item_id: str
    audio_end_ms: int


@dataclass(frozen=True, slots=True)
class InputCommitted:
    item_id: str


@dataclass(frozen=True, slots=True)
class InputTimedOut:
    """The server's idle timeout committed an empty segment; the model will speak."""

    item_id: str


@dataclass(frozen=True, slots=True)
class CallerTranscript:
    item_id: str
    text: str
    seconds: float | None
    """Billed transcription seconds, where the usage is given as a duration."""


@dataclass(frozen=True, slots=True)
class CallerTranscriptFailed:
    item_id: str
    code: str | None
    message: str


@dataclass(frozen=True, slots=True)
class ResponseStarted:
    response_id: str
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AudioDelta:
    """Assistant audio, base64 mu-law, any length."""

    response_id: str
    item_id: str
    content_index: int
    payload: str


@dataclass(frozen=True, slots=True)
class AudioDone:
    """Generation of this audio ended; playback has not."""

    response_id: str
    item_id: str
    content_index: int


@dataclass(frozen=True, slots=True)
class AssistantTranscript:
    """What the assistant says in one item, whole; it runs ahead of playback."""

    response_id: str
    item_id: str
    text: str


@dataclass(frozen=True, slots=True)
class AssistantTranscriptDelta:
    """The next words of an item. All there is of one whose end never came."""

    response_id: str
    item_id: str
    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A finished ``function_call`` item. Act on it only if ``completed``."""

    response_id: str
    item_id: str
    call_id: str
    name: str
    arguments: str
    completed: bool


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one response. ``cached_*`` are a subset of ``*_in``."""

    text_in: int = 0
    audio_in: int = 0
    cached_text_in: int = 0
    cached_audio_in: int = 0
    text_out: int = 0
    audio_out: int = 0


@dataclass(frozen=True, slots=True)
class ResponseDone:
    """``status``: completed, cancelled, failed or incomplete; the next fields say why."""

    response_id: str
    status: str
    reason: str | None
    error_code: str | None
    error_message: str | None
    usage: Usage | None
    tool_calls: tuple[ToolCall, ...]
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RateLimit:
    name: str
    limit: int
    remaining: int
    reset_seconds: float


@dataclass(frozen=True, slots=True)
class RateLimitsUpdated:
    limits: tuple[RateLimit, ...]


@dataclass(frozen=True, slots=True)
class ServerError:
    """An ``error`` event. Most leave the session open; see ``severity``."""

    kind: str
    code: str | None
    message: str
    param: str | None
    event_id: str | None
    """The client event that caused it, where the server says so."""


@dataclass(frozen=True, slots=True)
class Unhandled:
    kind: str


ServerEvent: TypeAlias = (
    SessionCreated
    | SessionUpdated
    | SpeechStarted
    | SpeechStopped
    | InputCommitted
    | InputTimedOut
    | CallerTranscript
    | CallerTranscriptFailed
    | ResponseStarted
    | AudioDelta
    | AudioDone
    | AssistantTranscript
    | AssistantTranscriptDelta
    | ToolCall
    | ResponseDone
    | RateLimitsUpdated
    | ServerError
    | Unhandled
)

Severity: TypeAlias = Literal["benign", "configuration", "session_over", "fatal", "other"]


# --- what we ask of it ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AddText:
    """Put a message into the conversation.

    ``user`` and ``system`` go as input_text, ``assistant`` as output_text.
    """

    role: Literal["user", "system", "assistant"]
    text: str
    item_id: str | None = None


@dataclass(frozen=True, slots=True)
class AddToolOutput:
    call_id: str
    output: str
    """A JSON string."""


@dataclass(frozen=True, slots=True)
class CreateResponse:
    """Ask the model to speak or act now.

    ``instructions`` replace (not extend) the session's for this response. ``tool_choice`` is
    "auto", "none", "required" or the name of a function that must be called.
    """

    instructions: str | None = None
    tool_choice: str | None = None
    event_id: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CancelResponse:
    response_id: str | None = None


@dataclass(frozen=True, slots=True)
class TruncateItem:
    """Tell the model how much of its audio was heard. An error if beyond what was generated."""

    item_id: str
    content_index: int
    audio_end_ms: int


@dataclass(frozen=True, slots=True)
class DeleteItem:
    """Take an item that was never heard out of the conversation."""

    item_id: str


@dataclass(frozen=True, slots=True)
class ClearInputAudio:
    """Throw away caller audio that was appended but not yet committed."""


@dataclass(frozen=True, slots=True)
class ConfigureSession:
    session: Mapping[str, Any]
    """The ``session`` object of ``session.update``; build it with ``SessionSettings.to_wire``."""


Command: TypeAlias = (
    AddText
    | AddToolOutput
    | CreateResponse
    | CancelResponse
    | TruncateItem
    | DeleteItem
    | ClearInputAudio
    | ConfigureSession
)
