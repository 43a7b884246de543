"""Interruptions to the moment, on a clock moved by hand."""

from __future__ import annotations

import orjson
import pytest

from tests.loadtest.realtime.conftest import Bench, bench, speech, telephone_settings


def talking(scenario: str, *, interrupt_response: bool = True, seed: int = 0) -> Bench:
    """A session that answers the first turn of its caller; half a second into it."""
    session = bench(scenario, "fast", seed)
    session.clock.advance(1)
    detection = {
        "type": "server_vad",
        "silence_duration_ms": 500,
        "interrupt_response": interrupt_response,
    }
    session.send("session.update", session=telephone_settings(turn_detection=detection))
    session.clock.advance(1)
    session.talk()
    while not session.all("response.output_item.added"):
        session.clock.advance(0.01)
    return session


@pytest.mark.parametrize("seed", range(8))
def test_a_truncation_before_the_trailing_deltas_holds(seed: int) -> None:
    session = talking("long_answer", seed=seed)
    session.clock.advance(0.2)
    session.append(speech())
    (item,) = session.all("response.output_item.added")
    item_id = item["item"]["id"]
    before = len(session.all("response.output_audio.delta"))
    session.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=40)
    session.clock.advance(1)
    trailing = len(session.all("response.output_audio.delta")) - before
    (done,) = session.all("response.done")
    assert len(session.all("conversation.item.truncated")) == 1
    assert done["response"]["output"][0]["content"] == [{"type": "output_audio"}]
    session.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=41)
    (error,) = session.all("error")
    assert error["error"]["message"] == "Audio content of 40 ms is already shorter than 41 ms"
    assert trailing in (0, 1, 2)


def test_deltas_trail_for_up_to_three_after_speech_began() -> None:
    counts = set()
    for seed in range(20):
        session = talking("long_answer", seed=seed)
        session.clock.advance(0.2)
        session.append(speech())
        session.clock.advance(1)
        kinds = [event["type"] for event in session.wire.events]
        # The caller's first turn began with one as well.
        began = len(kinds) - 1 - kinds[::-1].index("input_audio_buffer.speech_started")
        counts.add(kinds[began:].count("response.output_audio.delta"))
    assert counts == {1, 2, 3}


def test_an_interrupted_call_has_half_its_arguments_and_is_incomplete() -> None:
    session = talking("human")
    session.clock.advance(0.03)
    session.send("response.cancel")
    session.clock.advance(1)
    (finished,) = session.all("response.function_call_arguments.done")
    (done,) = session.all("response.done")
    (item,) = done["response"]["output"]
    assert (item["status"], item["arguments"]) == ("incomplete", finished["arguments"])
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(item["arguments"])


def test_without_interrupt_response_the_answer_goes_on_and_the_next_one_fails() -> None:
    session = talking("long_answer", interrupt_response=False)
    session.talk()
    session.clock.advance(30)
    (error,) = session.all("error")
    (done,) = session.all("response.done")
    assert error["error"]["code"] == "conversation_already_has_active_response"
    assert done["response"]["status"] == "completed"
    assert len(session.session.stage.record.turns) == 2


def test_a_turn_that_ends_while_its_victim_winds_down_is_answered_after_it() -> None:
    session = talking("long_answer")
    session.talk()
    session.clock.advance(30)
    assert [event["response"]["status"] for event in session.all("response.done")] == [
        "cancelled",
        "completed",
    ]
    assert session.all("error") == []
