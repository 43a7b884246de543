"""Text from the model's server into events. Whatever comes: an event or a RemoteProtocolError."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bridge.protocol.realtime_messages import (
    AssistantTranscript,
    AssistantTranscriptDelta,
    AudioDelta,
    AudioDone,
    CallerTranscript,
    CallerTranscriptFailed,
    InputCommitted,
    InputTimedOut,
    RateLimit,
    RateLimitsUpdated,
    ResponseStarted,
    ServerError,
    ServerEvent,
    SessionCreated,
    SessionUpdated,
    SpeechStarted,
    SpeechStopped,
    Unhandled,
)
from bridge.protocol.realtime_response import output_item_done, response_done
from bridge.protocol.wire import (
    MAX_KIND_CHARS,
    JsonObject,
    JsonValue,
    RawMessage,
    child,
    children,
    integer,
    optional_child,
    optional_integer,
    optional_loose_text,
    optional_number,
    optional_text,
    parse_json,
    root_object,
    text,
    text_map,
)

MAX_EVENT_BYTES = 16 * 1024 * 1024
"""Audio in one event is limited to 15 MiB by the API."""

UNUSED_EVENTS: Final = frozenset(
    {
        "conversation.created",
        "conversation.item.added",
        "conversation.item.created",
        "conversation.item.deleted",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.segment",
        "conversation.item.retrieved",
        "conversation.item.truncated",
        "input_audio_buffer.cleared",
        "input_audio_buffer.dtmf_event_received",
        "mcp_list_tools.completed",
        "mcp_list_tools.failed",
        "mcp_list_tools.in_progress",
        "output_audio_buffer.cleared",
        "output_audio_buffer.started",
        "output_audio_buffer.stopped",
        "response.content_part.added",
        "response.content_part.done",
        "response.function_call_arguments.delta",
        # A tool call is taken from output_item.done only: here its status is not known.
        "response.function_call_arguments.done",
        "response.mcp_call.completed",
        "response.mcp_call.failed",
        "response.mcp_call.in_progress",
        "response.mcp_call_arguments.delta",
        "response.mcp_call_arguments.done",
        "response.output_item.added",
        "response.output_item.done",  # of an item that is not a function call
        "response.output_text.delta",
        "response.output_text.done",
    }
)
"""Documented events that come as ``Unhandled`` on purpose; anything else there is news."""


def parse(data: RawMessage) -> JsonValue:
    """The JSON of one frame; RemoteProtocolError ``message_too_big`` or ``bad_json``."""
    return parse_json(data, MAX_EVENT_BYTES)


def decode(data: RawMessage) -> ServerEvent:
    """One frame as an event; RemoteProtocolError naming the field if one that we use is wrong."""
    return decode_object(parse_json(data, MAX_EVENT_BYTES))


def decode_object(obj: JsonValue) -> ServerEvent:
    """Like ``decode``, for JSON that is already parsed."""
    event = root_object(obj)
    kind = text(event, "type")
    reader = _READERS.get(kind)
    return Unhandled(kind[:MAX_KIND_CHARS]) if reader is None else reader(event)


# --- session ----------------------------------------------------------------------------------


def _session_created(event: JsonObject) -> SessionCreated:
    session = child(event, "session")
    return SessionCreated(
        session_id=optional_text(session, "id", "session") or "",
        expires_at=optional_integer(session, "expires_at", "session"),
    )


def _session_updated(event: JsonObject) -> SessionUpdated:
    audio = optional_child(child(event, "session"), "audio", "session")
    received = optional_child(audio, "input", "session.audio")
    sent = optional_child(audio, "output", "session.audio")
    return SessionUpdated(
        input_format=_text_or_member(received, "format", "type", "session.audio.input"),
        output_format=_text_or_member(sent, "format", "type", "session.audio.output"),
        voice=_text_or_member(sent, "voice", "id", "session.audio.output"),
    )


def _text_or_member(obj: JsonObject, key: str, member: str, parent: str) -> str | None:
    """A string, or the named member of an object: custom voices, and formats of the beta."""
    if type(obj.get(key)) is dict:
        return optional_text(obj[key], member, f"{parent}.{key}")
    return optional_text(obj, key, parent)


def _error(event: JsonObject) -> ServerError:
    error = child(event, "error")
    return ServerError(
        kind=optional_text(error, "type", "error") or "",
        code=optional_loose_text(error, "code", "error"),
        message=optional_text(error, "message", "error") or "",
        param=optional_text(error, "param", "error"),
        event_id=optional_text(error, "event_id", "error"),
    )


def _rate_limits_updated(event: JsonObject) -> RateLimitsUpdated:
    path = "rate_limits"
    limits: list[RateLimit] = []
    for index, entry in enumerate(children(event, path)):
        where = f"{path}[{index}]"
        name = optional_text(entry, "name", where)
        limit = optional_integer(entry, "limit", where)
        remaining = optional_integer(entry, "remaining", where)
        reset_seconds = optional_number(entry, "reset_seconds", where)
        # All four are optional in the schema; an entry without them tells us nothing.
        if name is None or limit is None or remaining is None or reset_seconds is None:
            continue
        limits.append(RateLimit(name, limit, remaining, reset_seconds))
    return RateLimitsUpdated(tuple(limits))


# --- the caller's side ------------------------------------------------------------------------


def _speech_started(event: JsonObject) -> SpeechStarted:
    return SpeechStarted(text(event, "item_id"), integer(event, "audio_start_ms"))


def _speech_stopped(event: JsonObject) -> SpeechStopped:
    return SpeechStopped(text(event, "item_id"), integer(event, "audio_end_ms"))


def _input_committed(event: JsonObject) -> InputCommitted:
    return InputCommitted(text(event, "item_id"))


def _input_timed_out(event: JsonObject) -> InputTimedOut:
    return InputTimedOut(text(event, "item_id"))


def _caller_transcript(event: JsonObject) -> CallerTranscript:
    usage = optional_child(event, "usage")
    return CallerTranscript(
        item_id=text(event, "item_id"),
        text=text(event, "transcript"),
        seconds=optional_number(usage, "seconds", "usage"),
    )


def _caller_transcript_failed(event: JsonObject) -> CallerTranscriptFailed:
    error = optional_child(event, "error")
    return CallerTranscriptFailed(
        item_id=text(event, "item_id"),
        code=optional_text(error, "code", "error"),
        message=optional_text(error, "message", "error") or "",
    )


# --- the assistant's side ---------------------------------------------------------------------


def _response_started(event: JsonObject) -> ResponseStarted:
    response = child(event, "response")
    return ResponseStarted(
        response_id=text(response, "id", "response"),
        metadata=text_map(response, "metadata", "response"),
    )


def _audio_delta(event: JsonObject) -> AudioDelta:
    return AudioDelta(
        response_id=text(event, "response_id"),
        item_id=text(event, "item_id"),
        content_index=integer(event, "content_index"),
        payload=text(event, "delta"),
    )


def _audio_done(event: JsonObject) -> AudioDone:
    return AudioDone(
        response_id=text(event, "response_id"),
        item_id=text(event, "item_id"),
        content_index=integer(event, "content_index"),
    )


def _assistant_transcript(event: JsonObject) -> AssistantTranscript:
    return AssistantTranscript(
        response_id=text(event, "response_id"),
        item_id=text(event, "item_id"),
        text=text(event, "transcript"),
    )


def _assistant_transcript_delta(event: JsonObject) -> AssistantTranscriptDelta:
    return AssistantTranscriptDelta(
        response_id=text(event, "response_id"),
        item_id=text(event, "item_id"),
        text=text(event, "delta"),
    )


_READERS: Final[dict[str, Callable[[JsonObject], ServerEvent]]] = {
    "conversation.item.input_audio_transcription.completed": _caller_transcript,
    "conversation.item.input_audio_transcription.failed": _caller_transcript_failed,
    "error": _error,
    "input_audio_buffer.committed": _input_committed,
    "input_audio_buffer.speech_started": _speech_started,
    "input_audio_buffer.speech_stopped": _speech_stopped,
    "input_audio_buffer.timeout_triggered": _input_timed_out,
    "rate_limits.updated": _rate_limits_updated,
    "response.created": _response_started,
    "response.done": response_done,
    "response.output_audio.delta": _audio_delta,
    "response.output_audio.done": _audio_done,
    "response.output_audio_transcript.delta": _assistant_transcript_delta,
    "response.output_audio_transcript.done": _assistant_transcript,
    "response.output_item.done": output_item_done,
    "session.created": _session_created,
    "session.updated": _session_updated,
}
