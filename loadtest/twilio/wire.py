"""The media socket as Twilio speaks it: messages out, and a strict reading of what comes in.

Sans-I/O. Every number Twilio sends as a string is a string here; what it refuses is refused here.
Source: https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import orjson

FRAME_BYTES = 160
FRAME_MS = 20
BYTES_PER_MS = 8
CONNECTED = b'{"event":"connected","protocol":"Call","version":"1.0.0"}'


class InvalidMessage(Exception):  # noqa: N818 - named as Twilio's error 31951 is
    """The server sent what Twilio drops with warning 31951; the text says why."""


@dataclass(frozen=True, slots=True)
class PlayMedia:
    """Play this mu-law audio behind what is queued."""

    ulaw: bytes


@dataclass(frozen=True, slots=True)
class PlaceMark:
    """Echo ``name`` when all audio before it was played."""

    name: str


@dataclass(frozen=True, slots=True)
class Clear:
    """Throw the queued audio away and echo every pending mark."""


ServerMessage: TypeAlias = PlayMedia | PlaceMark | Clear

_MEDIA_KEYS = {"event", "streamSid", "media"}
_MARK_KEYS = {"event", "streamSid", "mark"}
_CLEAR_KEYS = {"event", "streamSid"}


def decode(text: bytes, stream_sid: str) -> ServerMessage:
    """One text message of the server; ``InvalidMessage`` for everything Twilio would drop."""
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidMessage(f"message is not JSON: {error}") from None
    if not isinstance(message, dict):
        raise InvalidMessage(f"message is a JSON {type(message).__name__}, expected an object")
    match message.get("event"):
        case "media":
            body = _body(message, _MEDIA_KEYS, "media", "payload", stream_sid)
            return PlayMedia(_audio(body))
        case "mark":
            return PlaceMark(_body(message, _MARK_KEYS, "mark", "name", stream_sid))
        case "clear":
            _envelope(message, _CLEAR_KEYS, stream_sid)
            return Clear()
        case str() as kind:
            raise InvalidMessage(f"event is {kind!r}, expected media, mark or clear")
        case other:
            raise InvalidMessage(f"event is {type(other).__name__}, expected a string")


def _envelope(message: dict[str, object], keys: set[str], stream_sid: str) -> None:
    if message.keys() != keys:
        missing, extra = sorted(keys - message.keys()), sorted(message.keys() - keys)
        raise InvalidMessage(
            f"{message['event']} message: missing {missing or 'none'}, extra {extra or 'none'}"
        )
    if message["streamSid"] != stream_sid:
        raise InvalidMessage(f"streamSid is {message['streamSid']!r}, expected {stream_sid!r}")


def _body(
    message: dict[str, object], keys: set[str], noun: str, field: str, stream_sid: str
) -> str:
    _envelope(message, keys, stream_sid)
    body = message[noun]
    if not isinstance(body, dict):
        raise InvalidMessage(f"{noun} is {type(body).__name__}, expected an object")
    if body.keys() != {field}:
        raise InvalidMessage(f"{noun} has the fields {sorted(body)}, expected {field} and no other")
    value = body[field]
    if not isinstance(value, str):
        raise InvalidMessage(f"{noun}.{field} is {type(value).__name__}, expected a string")
    return value


def _audio(payload: str) -> bytes:
    try:
        return binascii.a2b_base64(payload.encode("ascii"), strict_mode=True)
    except (ValueError, binascii.Error) as error:
        raise InvalidMessage(f"media.payload is not base64: {error}") from None


@dataclass(frozen=True, slots=True)
class StreamIdentity:
    """Whose stream it is, as the ``start`` message tells it."""

    stream_sid: str
    account_sid: str
    call_sid: str
    parameters: Mapping[str, str]


class Encoder:
    """Twilio's messages of one stream in order; counts ``sequenceNumber`` and ``chunk``.

    ``first_timestamp_ms``: presentation time of the first media message; a capture of a real stream
    shows 155, never 0.
    """

    __slots__ = ("_chunk", "_first_timestamp_ms", "_identity", "_sequence", "_tail")

    def __init__(self, identity: StreamIdentity, first_timestamp_ms: int = 155) -> None:
        self._identity = identity
        self._sequence = 0
        self._chunk = 0
        self._first_timestamp_ms = first_timestamp_ms
        self._tail = b'"},"streamSid":"' + identity.stream_sid.encode() + b'"}'

    @property
    def chunks(self) -> int:
        """Media messages made so far."""
        return self._chunk

    def start(self) -> bytes:
        who = self._identity
        return self._message(
            "start",
            {
                "accountSid": who.account_sid,
                "streamSid": who.stream_sid,
                "callSid": who.call_sid,
                "tracks": ["inbound"],
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
                "customParameters": dict(who.parameters),
            },
        )

    def media(self, payload: bytes) -> bytes:
        """One frame of caller audio, base64. Built by hand: it runs 50 times a second and call."""
        self._sequence += 1
        chunk = self._chunk = self._chunk + 1
        timestamp_ms = self._first_timestamp_ms + (chunk - 1) * FRAME_MS
        return (
            b'{"event":"media","sequenceNumber":"%d","media":{"track":"inbound","chunk":"%d",'
            b'"timestamp":"%d","payload":"%b%b'
            % (self._sequence, chunk, timestamp_ms, payload, self._tail)
        )

    def dtmf(self, digit: str) -> bytes:
        return self._message("dtmf", {"track": "inbound_track", "digit": digit})

    def mark(self, name: str) -> bytes:
        return self._message("mark", {"name": name})

    def stop(self) -> bytes:
        who = self._identity
        return self._message("stop", {"accountSid": who.account_sid, "callSid": who.call_sid})

    def _message(self, event: str, body: dict[str, object]) -> bytes:
        self._sequence += 1
        return orjson.dumps(
            {
                "event": event,
                "sequenceNumber": str(self._sequence),
                "streamSid": self._identity.stream_sid,
                event: body,
            }
        )
