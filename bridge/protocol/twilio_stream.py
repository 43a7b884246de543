"""Twilio's side of a call: text in, typed messages out; wishes in, text out. No socket, no clock.

Tolerant in what is read (key order, spacing, escapes, numbers as strings, unknown fields and
events), exact in what is sent: Twilio drops a message with one field too many (warning 31951).

The way of one text frame in the socket layer, 50 times a second and call::

    obj = parse(raw)                                # RemoteProtocolError: too big, not JSON
    if state.streaming and (payload := media_payload(obj)) is not None:
        model.send(encode_append(payload))          # nothing typed is made on this path
    else:
        message = decode_object(obj)                # RemoteProtocolError: what is wrong with it
        state.receive(message)                      # RemoteProtocolError: not now

An error whose ``reason`` is in ``SKIPPABLE_REASONS`` costs that frame only; any other ends the
stream.
"""

from __future__ import annotations

from bridge.protocol.twilio_decode import (
    SKIPPABLE_REASONS,
    decode,
    decode_object,
    media_payload,
    parse,
    valid_payload,
)
from bridge.protocol.twilio_encode import encode, encode_clear, encode_mark, encode_media
from bridge.protocol.twilio_marks import MarkKind, MarkRef, mark_name, parse_mark
from bridge.protocol.twilio_messages import (
    BYTES_PER_MS,
    FRAME_BYTES,
    FRAME_MS,
    MAX_MESSAGE_BYTES,
    ClearPlayback,
    Connected,
    Dtmf,
    Intent,
    Mark,
    Media,
    Message,
    PlayAudio,
    SendMark,
    Start,
    Stop,
    Unhandled,
)
from bridge.protocol.twilio_state import StreamPhase, StreamState

__all__ = [
    "BYTES_PER_MS",
    "FRAME_BYTES",
    "FRAME_MS",
    "MAX_MESSAGE_BYTES",
    "SKIPPABLE_REASONS",
    "ClearPlayback",
    "Connected",
    "Dtmf",
    "Intent",
    "Mark",
    "MarkKind",
    "MarkRef",
    "Media",
    "Message",
    "PlayAudio",
    "SendMark",
    "Start",
    "Stop",
    "StreamPhase",
    "StreamState",
    "Unhandled",
    "decode",
    "decode_object",
    "encode",
    "encode_clear",
    "encode_mark",
    "encode_media",
    "mark_name",
    "media_payload",
    "parse",
    "parse_mark",
    "valid_payload",
]
