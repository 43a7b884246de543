"""The idle timeout, on a clock moved by hand."""

from __future__ import annotations

import pytest

from loadtest.realtime.formats import AudioFormat
from loadtest.realtime.script import CallerSilent
from tests.loadtest.realtime.conftest import Bench, bench, speech, telephone_settings


def waiting(latency: str = "instant") -> Bench:
    """A session with an idle timeout of 6 s that has just said the greeting (3.84 s)."""
    session = bench("schedule", latency)
    session.clock.advance(1)
    detection = {"type": "server_vad", "silence_duration_ms": 500, "idle_timeout_ms": 6000}
    session.send("session.update", session=telephone_settings(turn_detection=detection))
    session.clock.advance(1)
    session.send("response.create")
    session.clock.advance(0.001)
    return session


def test_silence_counts_from_the_end_of_playback() -> None:
    session = waiting()
    session.clock.advance(60)
    (triggered,) = session.all("input_audio_buffer.timeout_triggered")[:1]
    assert session.at("input_audio_buffer.timeout_triggered")[0] == pytest.approx(
        session.at("response.done")[0] + 3.84 + 6.0, abs=0.01
    )
    assert triggered["audio_start_ms"] == triggered["audio_end_ms"] == 0
    after = session.session.stage.record.responses[1]
    assert (after.trigger, after.automatic) == (CallerSilent(), True)


def test_an_empty_turn_is_committed_and_the_assistant_asks() -> None:
    session = waiting()
    session.clock.advance(12)
    kinds = [event["type"] for event in session.wire.events]
    start = kinds.index("input_audio_buffer.timeout_triggered")
    assert kinds[start : start + 5] == [
        "input_audio_buffer.timeout_triggered",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
    ]
    (_, asked) = session.all("response.done")
    content = asked["response"]["output"][0]["content"][0]
    assert content["transcript"] == "Are you still there?"


def test_a_caller_who_speaks_is_not_silent() -> None:
    session = waiting()
    session.clock.advance(9)
    session.append(speech())
    session.clock.advance(60)
    assert session.all("input_audio_buffer.timeout_triggered") == []


def test_a_response_of_the_client_starts_the_wait_anew() -> None:
    session = waiting("fast")
    session.clock.advance(2)
    session.send("response.create")
    session.clock.advance(60)
    (triggered, *_) = session.at("input_audio_buffer.timeout_triggered")
    second_done = session.at("response.done")[1]
    assert triggered > second_done + 6


def test_without_a_timeout_nothing_happens() -> None:
    session = bench("schedule")
    session.send("session.update", session=telephone_settings())
    session.send("response.create")
    session.clock.advance(3000)
    assert session.all("input_audio_buffer.timeout_triggered") == []


def test_the_end_of_a_session_leaves_no_timer_behind() -> None:
    session = waiting("typical")
    session.talk()
    assert session.clock.pending > 0
    session.session.end()
    assert session.clock.pending == 0
    sent = len(session.wire.events)
    session.talk()
    session.clock.advance(100)
    assert len(session.wire.events) == sent


def test_a_client_that_keeps_the_time_itself_gets_the_same_question() -> None:
    session = bench("schedule")
    session.send("session.update", session=telephone_settings())
    session.talk()
    content = [{"type": "input_text", "text": "Ask whether they are still there."}]
    item = {"type": "message", "role": "system", "content": content}
    session.send("conversation.item.create", item=item)
    session.send("response.create")
    (_, asked) = session.all("response.done")
    content = asked["response"]["output"][0]["content"]
    assert content == [{"type": "output_audio", "transcript": "Are you still there?"}]


def test_semantic_vad_ends_a_turn_by_its_eagerness() -> None:
    ends = []
    for eagerness in ("high", "low"):
        session = bench("schedule")
        detection = {"type": "semantic_vad", "eagerness": eagerness}
        session.send("session.update", session=telephone_settings(turn_detection=detection))
        session.append(speech() + AudioFormat.PCMU.silence(1500))
        (stopped,) = session.all("input_audio_buffer.speech_stopped")
        ends.append(stopped["audio_end_ms"])
    assert ends[1] - ends[0] == 700


def test_a_response_interrupted_at_once_is_done_without_having_been_created() -> None:
    session = bench("schedule", "typical")
    session.clock.advance(5)
    session.send("session.update", session=telephone_settings())
    session.clock.advance(5)
    session.talk()
    session.append(speech())
    session.clock.advance(0.001)
    assert session.all("response.created") == []
    (done,) = session.all("response.done")
    assert (done["response"]["status"], done["response"]["output"]) == ("cancelled", [])
