"""Both directions of the media wire, message by message."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.twilio import wire

SID = "MZ" + "0" * 32
IDENTITY = wire.StreamIdentity(SID, "AC1", "CA1", {"token": "t"})


def encoded(*messages: bytes) -> list[dict[str, Any]]:
    return [json.loads(message) for message in messages]


def test_every_message_has_the_documented_fields_and_types() -> None:
    encoder = wire.Encoder(IDENTITY)
    assert encoded(
        wire.CONNECTED,
        encoder.start(),
        encoder.media(b"/w=="),
        encoder.media(b"fw=="),
        encoder.dtmf("5"),
        encoder.mark("m"),
        encoder.stop(),
    ) == [
        {"event": "connected", "protocol": "Call", "version": "1.0.0"},
        {
            "event": "start",
            "sequenceNumber": "1",
            "streamSid": SID,
            "start": {
                "streamSid": SID,
                "accountSid": "AC1",
                "callSid": "CA1",
                "tracks": ["inbound"],
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
                "customParameters": {"token": "t"},
            },
        },
        {
            "event": "media",
            "sequenceNumber": "2",
            "streamSid": SID,
            "media": {"track": "inbound", "chunk": "1", "timestamp": "155", "payload": "/w=="},
        },
        {
            "event": "media",
            "sequenceNumber": "3",
            "streamSid": SID,
            "media": {"track": "inbound", "chunk": "2", "timestamp": "175", "payload": "fw=="},
        },
        {
            "event": "dtmf",
            "sequenceNumber": "4",
            "streamSid": SID,
            "dtmf": {"track": "inbound_track", "digit": "5"},
        },
        {"event": "mark", "sequenceNumber": "5", "streamSid": SID, "mark": {"name": "m"}},
        {
            "event": "stop",
            "sequenceNumber": "6",
            "streamSid": SID,
            "stop": {"accountSid": "AC1", "callSid": "CA1"},
        },
    ]


@given(audio=st.binary(max_size=500))
def test_media_of_the_server_is_decoded(audio: bytes) -> None:
    payload = base64.b64encode(audio).decode()
    message = {"event": "media", "streamSid": SID, "media": {"payload": payload}}
    assert wire.decode(json.dumps(message).encode(), SID) == wire.PlayMedia(audio)


def test_mark_and_clear_of_the_server_are_decoded() -> None:
    mark = b'{"event":"mark","streamSid":"MZ1","mark":{"name":"m 1"}}'
    assert wire.decode(mark, "MZ1") == wire.PlaceMark("m 1")
    assert wire.decode(b'{"streamSid":"MZ1","event":"clear"}', "MZ1") == wire.Clear()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "message is not JSON"),
        ("[]", "message is a JSON list, expected an object"),
        ('{"streamSid":"MZ1"}', "event is NoneType, expected a string"),
        ('{"event":"stop","streamSid":"MZ1"}', "event is 'stop', expected media, mark or clear"),
        ('{"event":"clear"}', "clear message: missing ['streamSid'], extra none"),
        (
            '{"event":"clear","streamSid":"MZ1","x":1}',
            "clear message: missing none, extra ['x']",
        ),
        ('{"event":"clear","streamSid":"MZ2"}', "streamSid is 'MZ2', expected 'MZ1'"),
        (
            '{"event":"media","streamSid":"MZ1","media":{"payload":"","track":"outbound"}}',
            "media has the fields ['payload', 'track'], expected payload and no other",
        ),
        (
            '{"event":"media","streamSid":"MZ1","media":{"payload":7}}',
            "media.payload is int, expected a string",
        ),
        (
            '{"event":"media","streamSid":"MZ1","media":{"payload":"a b="}}',
            "media.payload is not base64",
        ),
        (
            '{"event":"media","streamSid":"MZ1","media":{"payload":"\\u20ac"}}',
            "media.payload is not base64",
        ),
        ('{"event":"mark","streamSid":"MZ1","mark":"m"}', "mark is str, expected an object"),
        (
            '{"event":"mark","streamSid":"MZ1","mark":{}}',
            "mark has the fields [], expected name and no other",
        ),
    ],
)
def test_what_twilio_drops_is_refused_with_the_reason(text: str, complaint: str) -> None:
    with pytest.raises(wire.InvalidMessage) as refused:
        wire.decode(text.encode(), "MZ1")
    assert str(refused.value).startswith(complaint)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
messages = st.dictionaries(
    st.sampled_from(["event", "streamSid", "media", "mark", "x"]),
    st.sampled_from(["media", "mark", "clear", SID]) | json_values,
)


@given(message=messages)
def test_any_message_is_read_or_refused(message: dict[str, Any]) -> None:
    try:
        read = wire.decode(json.dumps(message).encode(), SID)
    except wire.InvalidMessage:
        return
    assert message["streamSid"] == SID
    assert isinstance(read, wire.PlayMedia | wire.PlaceMark | wire.Clear)


@given(text=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(text: bytes) -> None:
    with pytest.raises(wire.InvalidMessage):
        wire.decode(text, SID)
