from __future__ import annotations

import orjson
import pytest

from loadtest.bench import stamp, wire
from loadtest.bench.relays.shared import SESSION_UPDATE
from loadtest.bench.wire import Json
from tests.oracle_openai import OpenAIOracle

DELTAS = [
    wire.AUDIO_DELTA % (1, b"resp_1", b"item_1", stamp.encode(b"BNdn", 1, 2, 3), stamp.tail_of(80)),
    wire.TRANSCRIPT_DELTA % (2, b"resp_1", b"item_1", b" and then"),
]
EVENTS: list[Json] = [
    {"type": "session.created", "session": wire.default_session("sess_1")},
    wire.error("invalid_value", "session.type is None, expected 'realtime'"),
    *wire.caller_heard("item_0", 1_400),
    *wire.answer_opening("resp_1", "item_1"),
    *wire.answer_closing("resp_1", "item_1", " and then", 200),
    {"type": "response.done", "response": wire.response("r", "cancelled", [], wire.usage(0))},
]
MESSAGES = [*DELTAS, *(orjson.dumps({**event, "event_id": "event_1"}) for event in EVENTS)]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: str(orjson.loads(m)["type"]))
def test_every_event_of_the_model_is_one_that_the_api_has(
    message: bytes, openai_oracle: OpenAIOracle
) -> None:
    assert openai_oracle.server_faults(message) == []


def test_the_relays_configure_their_session_as_the_api_wants(openai_oracle: OpenAIOracle) -> None:
    assert openai_oracle.client_faults(SESSION_UPDATE) == []
    assert wire.refusal_of(orjson.loads(SESSION_UPDATE)["session"]) is None


@pytest.mark.parametrize(
    ("session", "refusal"),
    [
        ({}, "session.type is None, expected 'realtime'"),
        (
            {"type": "realtime"},
            "session.audio.input.format is None, expected {'type': 'audio/pcmu'}",
        ),
        (
            {"type": "realtime", "audio": {"input": {"format": wire.PCMU}}},
            "session.audio.output.format is None, expected {'type': 'audio/pcmu'}",
        ),
        (
            {
                "type": "realtime",
                "audio": {"input": {"format": wire.PCM}, "output": {"format": wire.PCMU}},
            },
            (
                "session.audio.input.format is {'type': 'audio/pcm', 'rate': 24000}, "
                "expected {'type': 'audio/pcmu'}"
            ),
        ),
    ],
    ids=["no type", "no format", "output not said", "PCM"],
)
def test_a_session_that_would_not_carry_telephone_audio_is_refused(
    session: Json, refusal: str
) -> None:
    assert wire.refusal_of(session) == refusal


def test_a_media_message_is_twilios() -> None:
    head = stamp.encode(stamp.UPLINK, 7, 3, 99)
    sid = wire.stream_sid(7)
    text = wire.MEDIA % (5, sid.encode(), 4, 60, head, stamp.tail_of(160))
    message = orjson.loads(text)
    payload = message["media"].pop("payload")
    assert message == {
        "event": "media",
        "sequenceNumber": "5",
        "streamSid": sid,
        "media": {"track": "inbound", "chunk": "4", "timestamp": "60"},
    }
    assert stamp.decode_frames(payload) == [stamp.Stamp(7, 3, 99)]
