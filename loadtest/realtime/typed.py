"""Both wires against the typed models of the ``openai`` package, unknown keys included.

Those models allow extra keys, so whatever lands in ``model_extra`` anywhere is reported too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from openai.types.realtime.realtime_client_event import RealtimeClientEvent
from openai.types.realtime.realtime_server_event import RealtimeServerEvent
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from . import refusals
from .refusals import Refusal

_CLIENT: TypeAdapter[Any] = TypeAdapter(Annotated[RealtimeClientEvent, Field(discriminator="type")])
_SERVER: TypeAdapter[Any] = TypeAdapter(Annotated[RealtimeServerEvent, Field(discriminator="type")])

CLIENT_EVENTS = (
    "session.update",
    "input_audio_buffer.append",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    "conversation.item.create",
    "conversation.item.retrieve",
    "conversation.item.truncate",
    "conversation.item.delete",
    "response.create",
    "response.cancel",
)
"""``output_audio_buffer.clear`` is typed as well, but for WebRTC and SIP only."""

# Sent inside ``session`` (documented with an example) though the typed request model lacks them.
_SESSION_EXTRAS = ("id", "object", "expires_at")


def check_client_event(event: Mapping[str, Any]) -> None:
    """Raise the Refusal that a strict server answers this event with."""
    kind = event.get("type")
    if kind is None:
        raise refusals.missing_parameter("type")
    if kind not in CLIENT_EVENTS:
        raise refusals.invalid_value("type", kind, CLIENT_EVENTS)
    check(_CLIENT, event)


def check(adapter: TypeAdapter[Any], event: Mapping[str, Any]) -> None:
    """Raise the Refusal for an event that does not fit the types, or has keys beyond them."""
    checked = _without_references(event) if event.get("type") == "response.create" else event
    try:
        model = adapter.validate_python(checked, strict=True)
    except ValidationError as error:
        raise _refusal(error, checked) from None
    unknown = next(_extras(model, ""), None)
    if unknown is not None:
        raise refusals.unknown_parameter(unknown)


def server_event_problems(event: Mapping[str, Any]) -> list[str]:
    """What is wrong with an event that the server sent; empty when it is as documented."""
    session = event.get("session")
    if isinstance(session, Mapping):
        missing = [f"session.{key} is missing" for key in _SESSION_EXTRAS if key not in session]
        kept = {key: value for key, value in session.items() if key not in _SESSION_EXTRAS}
        event = {**event, "session": kept}
    else:
        missing = []
    try:
        model = _SERVER.validate_python(event, strict=True)
    except ValidationError as error:
        return missing + [f"{_path(e, event)}: {e['msg']}" for e in error.errors()]
    return missing + [f"{path}: unknown key" for path in _extras(model, "")]


def _without_references(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """``response.input`` may hold item references, which the typed event does not know."""
    response = event.get("response")
    if not isinstance(response, dict) or not isinstance(response.get("input"), list):
        return event
    items = [item for item in response["input"] if not _is_reference(item)]
    return {**event, "response": {**response, "input": items}}


def _is_reference(item: object) -> bool:
    return (
        isinstance(item, dict)
        and item.keys() == {"type", "id"}
        and item["type"] == "item_reference"
        and isinstance(item["id"], str)
    )


def _refusal(error: ValidationError, event: Mapping[str, Any]) -> Refusal:
    """Of the errors (a union reports some for every branch) the deepest one that applies."""
    errors = error.errors()
    # A branch with another type or role is not what was meant; what else it misses is noise.
    others = [e["loc"][:-1] for e in errors if _tells_branches_apart(e)]
    meant = [e for e in errors if not any(e["loc"][: len(o)] == o for o in others)] or errors
    worst = max(meant, key=lambda e: _path(e, event).count("."))
    path = _path(worst, event)
    match worst["type"]:
        case "missing":
            return refusals.missing_parameter(path)
        case "literal_error":
            same = [e for e in meant if e["type"] == "literal_error" and _path(e, event) == path]
            return refusals.invalid_value(path, worst["input"], _expected(same))
        case _:
            return refusals.invalid_type(path, worst["msg"].lower())


def _tells_branches_apart(error: ErrorDetails) -> bool:
    return error["type"] == "literal_error" and error["loc"][-1] in ("type", "role")


def _expected(errors: list[ErrorDetails]) -> list[str]:
    """The values that would have been allowed, from pydantic's ``'a', 'b' or 'c'``."""
    allowed = (re.findall(r"'([^']*)'", str(e.get("ctx", {}).get("expected"))) for e in errors)
    return list(dict.fromkeys(value for values in allowed for value in values))


def _path(error: ErrorDetails, event: Mapping[str, Any]) -> str:
    """Where in the event: of the error's location only what exists there (pydantic mixes in the
    names of models), and the name of what is missing."""
    here: Any = event
    parts: list[str] = []
    for part in error["loc"]:
        if isinstance(here, Mapping) and part in here:
            here = here[part]
            parts.append(f".{part}")
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            here = here[part]
            parts.append(f"[{part}]")
    if error["type"] == "missing":
        parts.append(f".{error['loc'][-1]}")
    return "".join(parts).lstrip(".")


def _extras(value: object, path: str) -> Iterator[str]:
    if isinstance(value, BaseModel):
        for key in value.model_extra or {}:
            yield f"{path}.{key}".lstrip(".")
        for key in value.model_fields_set:
            yield from _extras(getattr(value, key, None), f"{path}.{key}")
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            yield from _extras(entry, f"{path}[{index}]")
