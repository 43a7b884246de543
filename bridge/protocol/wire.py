"""What both wires share: JSON in and out, and reading fields with errors that name the field.

Values never appear in an error: they may be audio, words or digits that somebody dialled. Only
short tokens such as a codec's name are shown, through ``shown``.
"""

from __future__ import annotations

import re
from typing import Any, TypeAlias

import orjson

from bridge.errors import LocalProtocolError, RemoteProtocolError

RawMessage: TypeAlias = bytes | bytearray | memoryview | str
JsonValue: TypeAlias = Any
"""Parsed JSON of any shape, not looked at yet."""
JsonObject: TypeAlias = dict[str, JsonValue]

MAX_KIND_CHARS = 64
"""An unknown event's name is kept up to here: it goes to a log and into a counter."""

_MISSING: Any = object()
_MAX_EXACT = 2**53
_INTEGER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_TOKEN = re.compile(r"[A-Za-z0-9_./\[\]-]{1,64}", re.ASCII)
_JSON_NAMES = {dict: "object", list: "array", type(None): "null"}


def parse_json(data: RawMessage, limit_bytes: int) -> JsonValue:
    """The JSON value of one message; RemoteProtocolError if too long or not JSON."""
    size = _size_bytes(data)
    if size > limit_bytes:
        raise RemoteProtocolError(
            f"message is {size} bytes, expected at most {limit_bytes}", reason="message_too_big"
        )
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        # "from None": the decoder's error carries the whole document.
        raise RemoteProtocolError(
            f"message is not JSON at character {error.pos}, expected one object", reason="bad_json"
        ) from None


def dump_json(message: JsonObject) -> bytes:
    """The text of one message; LocalProtocolError if a string in it is not valid Unicode."""
    try:
        return orjson.dumps(message)
    except orjson.JSONEncodeError as error:
        raise LocalProtocolError(f"message cannot be written as JSON: {error}") from None


def fault(
    path: str, value: object, expected: str, *, reason: str = "bad_message"
) -> RemoteProtocolError:
    """The error for a field that is missing or of the wrong type."""
    return RemoteProtocolError(f"{path} is {_type_name(value)}, expected {expected}", reason=reason)


def shown(value: str) -> str:
    """A peer's string where it is short and plain enough to be shown, otherwise what it is."""
    return value if _TOKEN.fullmatch(value) else f"a str of {len(value)} characters"


def root_object(value: JsonValue) -> JsonObject:
    """The message itself, which has to be an object."""
    if type(value) is dict:
        return value
    raise fault("message", value, "object")


def text(obj: JsonObject, key: str, parent: str = "") -> str:
    """A required string."""
    value = obj.get(key, _MISSING)
    if type(value) is str:
        return value
    raise fault(_path(parent, key), value, "str")


def optional_text(obj: JsonObject, key: str, parent: str = "") -> str | None:
    """A string that may be missing or null."""
    value = obj.get(key)
    if value is None or type(value) is str:
        return value
    raise fault(_path(parent, key), value, "str")


def loose_text(obj: JsonObject, key: str, parent: str = "") -> str:
    """A required string that may come as an integer."""
    value = obj.get(key, _MISSING)
    if type(value) is int:
        return str(value)
    if type(value) is str:
        return value
    raise fault(_path(parent, key), value, "str")


def optional_loose_text(obj: JsonObject, key: str, parent: str = "") -> str | None:
    """Like ``loose_text``, but may be missing or null."""
    return None if obj.get(key) is None else loose_text(obj, key, parent)


def integer(obj: JsonObject, key: str, parent: str = "") -> int:
    """A required integer that may come as a decimal string or as a float without a fraction."""
    value = obj.get(key, _MISSING)
    if type(value) is int:
        return value
    if type(value) is str and _INTEGER.fullmatch(value):
        return int(value)
    if type(value) is float and value.is_integer() and abs(value) <= _MAX_EXACT:
        return int(value)
    raise fault(_path(parent, key), value, "int")


def optional_integer(obj: JsonObject, key: str, parent: str = "") -> int | None:
    """Like ``integer``, but may be missing or null."""
    return None if obj.get(key) is None else integer(obj, key, parent)


def optional_number(obj: JsonObject, key: str, parent: str = "") -> float | None:
    """A number that may be missing or null."""
    value = obj.get(key)
    if value is None:
        return None
    if type(value) is float or type(value) is int:
        return float(value)
    raise fault(_path(parent, key), value, "float")


def child(obj: JsonObject, key: str, parent: str = "") -> JsonObject:
    """A required object."""
    value = obj.get(key, _MISSING)
    if type(value) is dict:
        return value
    raise fault(_path(parent, key), value, "object")


def optional_child(obj: JsonObject, key: str, parent: str = "") -> JsonObject:
    """An object that may be missing or null, then read as an empty one."""
    return {} if obj.get(key) is None else child(obj, key, parent)


def children(obj: JsonObject, key: str, parent: str = "") -> list[JsonObject]:
    """A list of objects that may be missing or null, then read as an empty one."""
    value = obj.get(key)
    if value is None:
        return []
    path = _path(parent, key)
    if type(value) is not list:
        raise fault(path, value, "array")
    for index, entry in enumerate(value):
        if type(entry) is not dict:
            raise fault(f"{path}[{index}]", entry, "object")
    return value


def text_map(obj: JsonObject, key: str, parent: str = "") -> dict[str, str]:
    """Names and strings; may be missing or null, and an integer is read as a string.

    The names belong to whoever set them, so an error does not repeat them.
    """
    entries = optional_child(obj, key, parent)
    return {name: _map_value(value, _path(parent, key)) for name, value in entries.items()}


def _map_value(value: JsonValue, path: str) -> str:
    if type(value) is str:
        return value
    if type(value) is int:
        return str(value)
    raise fault(f"a value of {path}", value, "str")


def _path(parent: str, key: str) -> str:
    return f"{parent}.{key}" if parent else key


def _type_name(value: object) -> str:
    if value is _MISSING:
        return "missing"
    return _JSON_NAMES.get(type(value)) or type(value).__name__


def _size_bytes(data: RawMessage) -> int:
    if isinstance(data, memoryview):
        return data.nbytes
    if isinstance(data, str) and not data.isascii():
        return len(data.encode("utf-8", "surrogatepass"))
    return len(data)
