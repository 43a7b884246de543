"""The error events of the Realtime API, with its codes and words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Refusal(Exception):  # noqa: N818 - it is an answer on the wire, not a defect of the program
    """Raised by whatever cannot do what the client asked for; becomes an ``error`` event."""

    code: str | None
    message: str
    param: str | None = None
    kind: str = "invalid_request_error"

    def to_wire(self, event_id: str | None) -> dict[str, Any]:
        """The ``error`` object; ``event_id`` is the client's own for the event it sent."""
        return {
            "type": self.kind,
            "code": self.code,
            "message": self.message,
            "param": self.param,
            "event_id": event_id,
        }


def unknown_parameter(param: str) -> Refusal:
    return Refusal("unknown_parameter", f"Unknown parameter: '{param}'.", param)


def missing_parameter(param: str) -> Refusal:
    return Refusal("missing_required_parameter", f"Missing required parameter: '{param}'.", param)


def invalid_value(param: str, value: object, supported: Iterable[str] = ()) -> Refusal:
    values = ", ".join(f"'{name}'" for name in supported)
    hint = f" Supported values are: {values}." if values else ""
    return Refusal("invalid_value", f"Invalid value: {value!r}.{hint}", param)


def out_of_range(param: str, value: object, expected: str) -> Refusal:
    return Refusal("invalid_value", f"Invalid '{param}': {value!r}. Expected {expected}.", param)


def invalid_type(param: str, message: str) -> Refusal:
    return Refusal("invalid_type", f"Invalid type for '{param}': {message}.", param)


def active_response(response_id: str) -> Refusal:
    return Refusal(
        "conversation_already_has_active_response",
        f"Conversation already has an active response in progress: {response_id}. "
        "Wait until the response is finished before creating a new one.",
    )


def no_active_response() -> Refusal:
    return Refusal("response_cancel_not_active", "Cancellation failed: no active response found")


def commit_empty(buffered_ms: float) -> Refusal:
    return Refusal(
        "input_audio_buffer_commit_empty",
        "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, "
        f"but buffer only has {buffered_ms:.2f}ms of audio.",
    )


def no_such_item(action: str, item_id: str) -> Refusal:
    """``action`` is retrieve, delete or truncate."""
    return Refusal(
        f"item_{action}_invalid_item_id",
        f"Error with item {action}: the item with id '{item_id}' does not exist.",
        "item_id",
    )


def duplicate_item(item_id: str) -> Refusal:
    return Refusal(
        "item_create_duplicate_item_id",
        f"Error adding item: an item with id '{item_id}' already exists.",
        "item.id",
    )


def unknown_previous_item(item_id: str) -> Refusal:
    return Refusal(
        "item_create_invalid_previous_item_id",
        f"Error adding item: the previous item with id '{item_id}' does not exist.",
        "previous_item_id",
    )


def unknown_tool_call(call_id: str) -> Refusal:
    return Refusal(
        "invalid_tool_call_id",
        f"Tool call ID '{call_id}' not found in conversation.",
        "item.call_id",
    )


def not_truncatable() -> Refusal:
    return Refusal("unsupported_content_type", "Only model output audio messages can be truncated")


def already_shorter(audio_ms: int, audio_end_ms: int) -> Refusal:
    # The code is null for this one: clients have to know it by its words.
    return Refusal(
        None, f"Audio content of {audio_ms} ms is already shorter than {audio_end_ms} ms"
    )
