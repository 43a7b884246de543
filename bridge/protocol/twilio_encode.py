"""What we ask of Twilio, as text: exactly the documented fields, or Twilio drops it (31951)."""

from __future__ import annotations

from typing import assert_never

from bridge.errors import LocalProtocolError
from bridge.protocol.twilio_messages import ClearPlayback, Intent, PlayAudio, SendMark
from bridge.protocol.wire import JsonObject, dump_json


def encode(intent: Intent, stream_sid: str) -> bytes:
    """One intent as the text of a frame; LocalProtocolError if Twilio would refuse it."""
    match intent:
        case PlayAudio(payload=payload):
            return encode_media(stream_sid, payload)
        case SendMark(name=name):
            return encode_mark(stream_sid, name)
        case ClearPlayback():
            return encode_clear(stream_sid)
        case _:
            assert_never(intent)


def encode_media(stream_sid: str, payload: str) -> bytes:
    """Audio to play: base64 mu-law, 8 kHz mono, any length, without a file header."""
    return _frame({"event": "media", "streamSid": stream_sid, "media": {"payload": payload}})


def encode_mark(stream_sid: str, name: str) -> bytes:
    """Ask for ``name`` back once everything sent before it has been played."""
    if not name:
        raise LocalProtocolError("mark.name is empty, expected a name")
    return _frame({"event": "mark", "streamSid": stream_sid, "mark": {"name": name}})


def encode_clear(stream_sid: str) -> bytes:
    """Throw away what is queued; Twilio then echoes every pending mark."""
    return _frame({"event": "clear", "streamSid": stream_sid})


def _frame(message: JsonObject) -> bytes:
    if not message["streamSid"]:
        raise LocalProtocolError("streamSid is empty, expected the one of start")
    return dump_json(message)
