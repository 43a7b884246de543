"""What Twilio sends: read tolerantly, refused with the field's name, never anything else."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import RemoteProtocolError
from bridge.protocol import twilio_stream
from bridge.protocol.twilio_stream import (
    MAX_MESSAGE_BYTES,
    SKIPPABLE_REASONS,
    Connected,
    Dtmf,
    Mark,
    Media,
    Message,
    Start,
    Stop,
    Unhandled,
    decode,
    decode_object,
    media_payload,
    parse,
    valid_payload,
)
from tests.bridge.protocol.hostile import as_vector, json_values, paths, replaced

START: dict[str, Any] = {
    "event": "start",
    "streamSid": "MZ1",
    "start": {
        "streamSid": "MZ1",
        "accountSid": "AC1",
        "callSid": "CA1",
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"token": "t"},
    },
}
STARTED = Start("MZ1", "AC1", "CA1", ("inbound",), "audio/x-mulaw", 8000, 1, {"token": "t"})
MEDIA: dict[str, Any] = {
    "event": "media",
    "media": {"track": "inbound", "chunk": "2", "timestamp": "20", "payload": "/38A"},
}


def test_every_documented_message_is_read(from_twilio_vector: dict[str, Any]) -> None:
    raw = orjson.dumps(from_twilio_vector["wire"])
    for data in (raw, bytearray(raw), memoryview(raw), raw.decode()):
        assert as_vector(decode(data)) == from_twilio_vector["message"]


def test_every_broken_message_is_refused_by_name(from_twilio_broken: dict[str, Any]) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode(orjson.dumps(from_twilio_broken["wire"]))
    assert (str(caught.value), caught.value.reason) == (
        from_twilio_broken["error"],
        from_twilio_broken["reason"],
    )


def test_key_order_spacing_and_escapes_do_not_matter(from_twilio_vector: dict[str, Any]) -> None:
    wire = from_twilio_vector["wire"]
    backwards = json.dumps(dict(reversed(wire.items())), indent=7)
    escaped = re.sub(r"[a-zA-Z]", lambda m: f"\\u{ord(m[0]):04x}", json.dumps(wire))
    for data in (backwards, escaped):
        assert as_vector(decode(data)) == from_twilio_vector["message"]


def test_unknown_fields_are_ignored(from_twilio_vector: dict[str, Any]) -> None:
    wire = {
        key: value | {"new": [1]} if isinstance(value, dict) else value
        for key, value in from_twilio_vector["wire"].items()
    }
    assert as_vector(decode_object(wire | {"new": {"a": 1}})) == from_twilio_vector["message"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("streamSid",), None),
        (("start", "streamSid"), None),
        (("start", "tracks"), []),
        (("start", "tracks"), None),
        (("start", "mediaFormat"), None),
        (("start", "mediaFormat"), {}),
        (("start", "mediaFormat", "sampleRate"), "8000"),
        (("start", "mediaFormat", "sampleRate"), 8000.0),
        (("start", "mediaFormat", "channels"), "1"),
        (("sequenceNumber",), 1),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else repr(value),
)
def test_a_start_that_says_less_or_says_it_otherwise_is_the_same_start(
    path: tuple[str, ...], value: object
) -> None:
    assert decode_object(replaced(START, path, value)) == STARTED


@pytest.mark.parametrize(
    ("came", "read"),
    [({}, {}), (None, {}), ({"a": "b", "c": ""}, {"a": "b", "c": ""}), ({"n": 5}, {"n": "5"})],
    ids=["empty", "null", "strings", "integer"],
)
def test_parameters_are_strings_and_may_be_absent(came: object, read: dict[str, str]) -> None:
    message = decode_object(replaced(START, ("start", "customParameters"), came))
    assert isinstance(message, Start)
    assert message.parameters == read


def test_numbers_may_come_as_numbers_and_names_as_integers() -> None:
    media = MEDIA["media"] | {"chunk": 2, "timestamp": 20.0}
    cases: list[tuple[dict[str, Any], Message]] = [
        ({"event": "media", "media": media}, Media("/38A", 20, 2)),
        ({"event": "dtmf", "dtmf": {"digit": 5}}, Dtmf("5")),
        ({"event": "dtmf", "dtmf": {"digit": "d"}}, Dtmf("D")),
        ({"event": "mark", "mark": {"name": 12}}, Mark("12")),
        ({"event": "connected", "version": 1}, Connected("", "1")),
        ({"event": "connected"}, Connected("", "")),
        ({"event": "stop"}, Stop("")),
        ({"event": "stop", "stop": {"callSid": None}}, Stop("")),
    ]
    assert [decode_object(wire) for wire, _ in cases] == [message for _, message in cases]


def test_unknown_events_are_values_with_a_bounded_name() -> None:
    assert decode(b'{"event":"transcription","x":1}') == Unhandled("transcription")
    assert decode_object({"event": "x" * 1000}) == Unhandled("x" * 64)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", "message is not JSON at character 0, expected one object"),
        (b'{"event":"stop"', "message is not JSON at character 15, expected one object"),
        (b"\xff\xfe", "message is not JSON at character 0, expected one object"),
        ("\ud800", "message is not JSON at character 0, expected one object"),
        (b"[" * 60_000, "message is not JSON at character 1025, expected one object"),
    ],
    ids=["nothing", "cut off", "binary", "lone surrogate", "nested without end"],
)
def test_what_is_not_json_is_refused_as_bad_json(data: bytes | str, error: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode(data)
    assert caught.value.reason == "bad_json"
    assert str(caught.value) == error
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"[]", "message is array, expected object"),
        (b"null", "message is null, expected object"),
        (b'"media"', "message is str, expected object"),
        (b"{}", "event is missing, expected str"),
    ],
)
def test_json_that_is_no_message_is_refused(data: bytes, error: str) -> None:
    with pytest.raises(RemoteProtocolError, match=f"^{re.escape(error)}$") as caught:
        decode(data)
    assert caught.value.reason == "bad_message"


def test_the_size_limit_is_in_bytes_and_holds_for_every_kind_of_input() -> None:
    def message(size: int) -> str:
        head = '{"event":"later","x":"'
        return head + "ä" * ((size - len(head) - 2) // 2) + '"}'

    fits, too_big = message(MAX_MESSAGE_BYTES), message(MAX_MESSAGE_BYTES + 2)
    assert len(fits.encode()) == MAX_MESSAGE_BYTES
    for raw in (fits, fits.encode(), bytearray(fits.encode()), memoryview(fits.encode())):
        assert decode(raw) == Unhandled("later")
    for raw in (too_big, too_big.encode(), memoryview(too_big.encode()).cast("H")):
        with pytest.raises(RemoteProtocolError) as caught:
            parse(raw)
        assert caught.value.reason == "message_too_big"
        assert str(caught.value) == "message is 65538 bytes, expected at most 65536"


def test_only_errors_that_cost_one_message_are_skippable() -> None:
    assert {"bad_payload", "bad_digit"} == SKIPPABLE_REASONS


def test_the_hot_path_takes_media_of_the_caller_and_nothing_else(
    from_twilio_vector: dict[str, Any],
) -> None:
    message = decode_object(from_twilio_vector["wire"])
    expected = message.payload if isinstance(message, Media) else None
    assert media_payload(from_twilio_vector["wire"]) == expected


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("event",), "mark"),
        (("media",), None),
        (("media",), "x"),
        (("media",), ["track"]),
        (("media", "track"), "outbound"),
        (("media", "payload"), None),
        (("media", "payload"), 7),
        (("media", "payload"), "/38"),
        (("media", "payload"), ""),
        (("media", "payload"), "\ud800" * 4),
    ],
)
def test_the_hot_path_leaves_what_is_odd_to_the_typed_path(
    path: tuple[str, ...], value: object
) -> None:
    assert media_payload(replaced(MEDIA, path, value)) is None


@given(st.binary(min_size=1, max_size=400))
def test_encoded_bytes_are_a_valid_payload(audio: bytes) -> None:
    assert valid_payload(base64.b64encode(audio).decode())


GROUP = "[A-Za-z0-9+/]"
BASE64 = re.compile(f"(?=.)(?:{GROUP}{{4}})*(?:{GROUP}{{2}}==|{GROUP}{{3}}=)?", re.ASCII)


@given(st.text("AZaz09+/=\n -_é", max_size=13))
def test_a_payload_is_valid_exactly_where_the_grammar_of_base64_says_so(payload: str) -> None:
    assert valid_payload(payload) == (BASE64.fullmatch(payload) is not None)


@given(json_values)
def test_the_hot_path_never_raises(value: object) -> None:
    for obj in (value, {"event": "media", "media": value}):
        assert media_payload(obj) is None


@given(st.text("AZ+/=", max_size=8) | json_values, st.sampled_from(("inbound", "outbound", None)))
def test_the_hot_path_agrees_with_the_typed_path(payload: object, track: str | None) -> None:
    message = {"event": "media", "media": MEDIA["media"] | {"payload": payload, "track": track}}
    passed = media_payload(message)
    if passed is not None:
        assert decode_object(message) == Media(passed, 20, 2)
    elif track == "inbound":
        with pytest.raises(RemoteProtocolError):
            decode_object(message)


@given(st.binary() | st.text())
def test_arbitrary_bytes_are_read_or_refused_and_nothing_else(data: bytes | str) -> None:
    read_or_refused(data)


@given(json_values)
def test_arbitrary_json_is_read_or_refused_and_nothing_else(value: object) -> None:
    events = ("connected", "start", "media", "dtmf", "mark", "stop")
    read_or_refused(orjson.dumps(value))
    for event in events:
        read_or_refused(orjson.dumps({"event": event, event: value}))


@given(st.data())
def test_a_document_with_one_thing_wrong_is_read_or_refused(
    twilio_wires: list[dict[str, Any]], data: st.DataObject
) -> None:
    wire = data.draw(st.sampled_from(twilio_wires))
    path = data.draw(st.sampled_from(list(paths(wire))))
    read_or_refused(orjson.dumps(replaced(wire, path, data.draw(json_values))))


@given(st.data())
def test_no_error_repeats_what_somebody_said_or_dialled(
    twilio_wires: list[dict[str, Any]], data: st.DataObject
) -> None:
    secret = "555 0199 my name is"
    wire = data.draw(st.sampled_from(twilio_wires))
    path = data.draw(st.sampled_from(list(paths(wire))))
    for value in (secret, [secret], {secret: secret}):
        try:
            decode_object(replaced(wire, path, value))
        except RemoteProtocolError as error:
            assert secret not in str(error)  # noqa: PT017


def test_every_name_of_the_module_can_be_imported() -> None:
    assert [name for name in twilio_stream.__all__ if not hasattr(twilio_stream, name)] == []


def read_or_refused(data: bytes | str) -> None:
    try:
        message = decode(data)
    except RemoteProtocolError as error:
        assert re.fullmatch("[a-z_]+", error.reason)  # noqa: PT017
        assert str(error)  # noqa: PT017
    else:
        assert isinstance(message, Message)
