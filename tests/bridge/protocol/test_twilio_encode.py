"""What Twilio is sent: exactly the documented fields."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import LocalProtocolError
from bridge.protocol import twilio_stream
from bridge.protocol.twilio_stream import (
    ClearPlayback,
    Intent,
    Mark,
    PlayAudio,
    SendMark,
    decode,
    encode,
    encode_clear,
    encode_mark,
    encode_media,
)


def intent_of(vector: dict[str, Any]) -> Intent:
    [(name, fields)] = vector["intent"].items()
    intent: Intent = getattr(twilio_stream, name)(**fields)
    return intent


def test_every_intent_is_sent_as_documented(to_twilio_vector: dict[str, Any]) -> None:
    sent = encode(intent_of(to_twilio_vector), to_twilio_vector["stream_sid"])
    assert orjson.loads(sent) == to_twilio_vector["wire"]


def test_what_twilio_would_refuse_is_not_sent(to_twilio_broken: dict[str, Any]) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        encode(intent_of(to_twilio_broken), to_twilio_broken["stream_sid"])
    assert str(caught.value) == to_twilio_broken["error"]


def test_the_short_cuts_send_what_the_intents_send() -> None:
    assert encode_media("MZ1", "/38A") == encode(PlayAudio("/38A"), "MZ1")
    assert encode_mark("MZ1", "a") == encode(SendMark("a"), "MZ1")
    assert encode_clear("MZ1") == encode(ClearPlayback(), "MZ1")


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_a_mark_comes_back_under_the_name_it_was_sent(name: str) -> None:
    assert decode(encode(SendMark(name), "MZ1")) == Mark(name)


@given(st.binary())
def test_audio_passes_as_it_came(audio: bytes) -> None:
    payload = base64.b64encode(audio).decode()
    assert orjson.loads(encode(PlayAudio(payload), "MZ1"))["media"] == {"payload": payload}
