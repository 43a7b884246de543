"""An independent judge of Realtime messages: the typed unions of the ``openai`` package.

The package keeps unknown keys instead of refusing them, so they are looked for here: a key that the
real server would answer with ``unknown_parameter`` is a fault.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from openai.types.realtime import RealtimeClientEvent, RealtimeServerEvent
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

# Documented for session.created and session.updated, but absent from the package's types.
_UNTYPED_SERVER_KEYS = frozenset({"session.id", "session.object", "session.expires_at"})


class OpenAIOracle:
    """What is wrong with a message, as ``path: problem``; empty if nothing is."""

    def __init__(self) -> None:
        self._client: TypeAdapter[Any] = TypeAdapter(
            Annotated[RealtimeClientEvent, Field(discriminator="type")]
        )
        self._server: TypeAdapter[Any] = TypeAdapter(
            Annotated[RealtimeServerEvent, Field(discriminator="type")]
        )

    def client_faults(self, message: bytes | str) -> list[str]:
        """Faults of something that a client sends."""
        return _faults(self._client, message)

    def server_faults(self, message: bytes | str) -> list[str]:
        """Faults of something that a server sends."""
        unknown = {f"{path}: unknown key" for path in _UNTYPED_SERVER_KEYS}
        return [fault for fault in _faults(self._server, message) if fault not in unknown]


def _faults(adapter: TypeAdapter[Any], message: bytes | str) -> list[str]:
    try:
        event = adapter.validate_json(message, strict=True)
    except ValidationError as error:
        return [
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
            for fault in error.errors(include_url=False, include_input=False)
        ]
    return [f"{path}: unknown key" for path in _unknown_keys(event, "")]


def _unknown_keys(value: object, path: str) -> Iterator[str]:
    if isinstance(value, BaseModel):
        yield from (_join(path, key) for key in value.model_extra or {})
        for name in value.model_fields_set & set(type(value).model_fields):
            yield from _unknown_keys(getattr(value, name), _join(path, name))
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            yield from _unknown_keys(entry, f"{path}[{index}]")
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _unknown_keys(entry, _join(path, str(key)))


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
