"""What a response ended with: its tool calls, its status and its usage."""

from __future__ import annotations

from bridge.protocol.realtime_messages import ResponseDone, ToolCall, Unhandled, Usage
from bridge.protocol.wire import (
    JsonObject,
    child,
    children,
    fault,
    optional_child,
    optional_integer,
    optional_text,
    text,
    text_map,
)


def output_item_done(event: JsonObject) -> ToolCall | Unhandled:
    """The tool call, if the item is one."""
    item = child(event, "item")
    if text(item, "type", "item") != "function_call":
        return Unhandled("response.output_item.done")
    return _tool_call(item, text(event, "response_id"), "item")


def _tool_call(item: JsonObject, response_id: str, parent: str) -> ToolCall:
    return ToolCall(
        response_id=response_id,
        item_id=optional_text(item, "id", parent) or "",
        call_id=text(item, "call_id", parent),
        name=text(item, "name", parent),
        arguments=text(item, "arguments", parent),
        completed=optional_text(item, "status", parent) == "completed",
    )


def response_done(event: JsonObject) -> ResponseDone:
    """How the response ended, what it asked for and what it cost."""
    response = child(event, "response")
    response_id = text(response, "id", "response")
    details = optional_child(response, "status_details", "response")
    error = optional_child(details, "error", "response.status_details")
    error_path = "response.status_details.error"
    return ResponseDone(
        response_id=response_id,
        status=text(response, "status", "response"),
        reason=optional_text(details, "reason", "response.status_details"),
        error_code=optional_text(error, "code", error_path)
        or optional_text(error, "type", error_path),
        error_message=optional_text(error, "message", error_path),
        usage=_usage(response),
        tool_calls=_tool_calls(response, response_id),
        metadata=text_map(response, "metadata", "response"),
    )


def _tool_calls(response: JsonObject, response_id: str) -> tuple[ToolCall, ...]:
    path = "response.output"
    return tuple(
        _tool_call(item, response_id, f"{path}[{index}]")
        for index, item in enumerate(children(response, "output", "response"))
        if item.get("type") == "function_call"
    )


def _usage(response: JsonObject) -> Usage | None:
    if response.get("usage") is None:
        return None
    path = "response.usage"
    usage = child(response, "usage", "response")
    received = optional_child(usage, "input_token_details", path)
    produced = optional_child(usage, "output_token_details", path)
    into, out = f"{path}.input_token_details", f"{path}.output_token_details"
    text_in = _tokens(received, "text_tokens", into)
    cached_text, cached_audio = _cached(received, text_in, into)
    return Usage(
        text_in=text_in,
        audio_in=_tokens(received, "audio_tokens", into),
        cached_text_in=cached_text,
        cached_audio_in=cached_audio,
        text_out=_tokens(produced, "text_tokens", out),
        audio_out=_tokens(produced, "audio_tokens", out),
    )


def _cached(received: JsonObject, text_in: int, path: str) -> tuple[int, int]:
    """Cached text and audio tokens.

    Where only their sum is given, text is taken to be cached first: the cache works on the prefix,
    and instructions and tools, which are text, stand in front.
    """
    if received.get("cached_tokens_details") is None:
        cached = _tokens(received, "cached_tokens", path)
        cached_text = min(cached, text_in)
        return cached_text, cached - cached_text
    details = child(received, "cached_tokens_details", path)
    where = f"{path}.cached_tokens_details"
    return _tokens(details, "text_tokens", where), _tokens(details, "audio_tokens", where)


def _tokens(obj: JsonObject, key: str, parent: str) -> int:
    count = optional_integer(obj, key, parent) or 0
    if count < 0:
        raise fault(f"{parent}.{key}", count, "int of 0 or more")
    return count
