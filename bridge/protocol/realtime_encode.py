"""What we ask of the model's server, as text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import assert_never

import orjson

from bridge.errors import LocalProtocolError
from bridge.protocol.realtime_messages import (
    AddText,
    AddToolOutput,
    CancelResponse,
    ClearInputAudio,
    Command,
    ConfigureSession,
    CreateResponse,
    DeleteItem,
    TruncateItem,
)
from bridge.protocol.wire import JsonObject, dump_json

TOOL_MODES = frozenset({"auto", "none", "required"})

_ITEM_ID = re.compile(r"[A-Za-z0-9_-]{1,32}", re.ASCII)
_MAX_METADATA = 16
_MAX_METADATA_NAME = 64
_MAX_METADATA_VALUE = 512


def encode_append(payload: str) -> bytes:
    """Caller audio, base64 in the configured input format. The hot path, 50 times a second."""
    return orjson.dumps({"type": "input_audio_buffer.append", "audio": payload})


def encode(command: Command) -> bytes:
    """One command as the text of a frame; LocalProtocolError if the server would refuse it."""
    return dump_json(_wire(command))


def tool_choice_wire(choice: str) -> str | JsonObject:
    """A mode as it is; anything else is the name of the function that must be called."""
    return choice if choice in TOOL_MODES else {"type": "function", "name": choice}


def _wire(command: Command) -> JsonObject:
    match command:
        case AddText():
            return {"type": "conversation.item.create", "item": _message(command)}
        case AddToolOutput(call_id=call_id, output=output):
            item = {"type": "function_call_output", "call_id": call_id, "output": output}
            return {"type": "conversation.item.create", "item": item}
        case CreateResponse():
            return _create_response(command)
        case CancelResponse(response_id=None):
            return {"type": "response.cancel"}
        case CancelResponse(response_id=response_id):
            return {"type": "response.cancel", "response_id": response_id}
        case TruncateItem():
            return _truncate(command)
        case DeleteItem(item_id=item_id):
            return {"type": "conversation.item.delete", "item_id": item_id}
        case ClearInputAudio():
            return {"type": "input_audio_buffer.clear"}
        case ConfigureSession(session=session):
            return {"type": "session.update", "session": dict(session)}
        case _:
            assert_never(command)


def _message(command: AddText) -> JsonObject:
    part = "output_text" if command.role == "assistant" else "input_text"
    item: JsonObject = {
        "type": "message",
        "role": command.role,
        "content": [{"type": part, "text": command.text}],
    }
    if command.item_id is not None:
        if not _ITEM_ID.fullmatch(command.item_id):
            raise LocalProtocolError(
                f"item_id is a str of {len(command.item_id)} characters, "
                "expected 1 to 32 letters, digits, _ or -"
            )
        item["id"] = command.item_id
    return item


def _create_response(command: CreateResponse) -> JsonObject:
    response: JsonObject = {}
    if command.instructions is not None:
        response["instructions"] = command.instructions
    if command.tool_choice is not None:
        response["tool_choice"] = tool_choice_wire(command.tool_choice)
    if command.metadata:
        response["metadata"] = _checked_metadata(command.metadata)
    event: JsonObject = {"type": "response.create"}
    if command.event_id is not None:
        event["event_id"] = command.event_id
    if response:
        event["response"] = response
    return event


def _checked_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    if len(metadata) > _MAX_METADATA:
        raise LocalProtocolError(
            f"metadata has {len(metadata)} entries, expected at most {_MAX_METADATA}"
        )
    for name, value in metadata.items():
        if len(name) > _MAX_METADATA_NAME or len(value) > _MAX_METADATA_VALUE:
            raise LocalProtocolError(
                f"metadata entry has a name of {len(name)} and a value of {len(value)} characters, "
                f"expected at most {_MAX_METADATA_NAME} and {_MAX_METADATA_VALUE}"
            )
    return dict(metadata)


def _truncate(command: TruncateItem) -> JsonObject:
    for name, number in (
        ("content_index", command.content_index),
        ("audio_end_ms", command.audio_end_ms),
    ):
        if number < 0:
            raise LocalProtocolError(f"{name} is {number}, expected 0 or more")
    return {
        "type": "conversation.item.truncate",
        "item_id": command.item_id,
        "content_index": command.content_index,
        "audio_end_ms": command.audio_end_ms,
    }
