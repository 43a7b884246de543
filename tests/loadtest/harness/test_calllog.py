"""What the caller hears, made of the simulated Twilio's events."""

from __future__ import annotations

import asyncio
import random

import pytest

from loadtest.harness.calllog import CallLog
from loadtest.harness.meter import Meter
from loadtest.harness.tracking import CallTrack
from loadtest.twilio import CallEvent
from loadtest.twilio.audio import Clip
from loadtest.twilio.journal import Journal
from loadtest.twilio.line import CallLine
from loadtest.twilio.timeline import EventKind, Timeline
from tests.loadtest.twilio.conftest import tone


class Told:
    """A call log that is told events by hand, at seconds of our choice."""

    def __init__(self) -> None:
        self.meter = Meter(random.Random(1))
        self.log = CallLog(self.meter, CallTrack(1, None))

    def at(self, second: float, kind: EventKind, **data: object) -> Told:
        self.log(CallEvent(kind, round(second * 1000), second, "CA", data))
        return self

    def said(self, start: float, end: float, *, over: bool = False) -> Told:
        self.at(start, "caller_speech_started", over_assistant=over)
        return self.at(end, "caller_speech_ended")

    def heard(self, start: float, end: float, *, mark: bool = True) -> Told:
        self.at(start, "assistant_started")
        self.at(end, "assistant_stopped", cut=False)
        return self.at(end, "mark", name="m", reached=True) if mark else self

    def latencies(self) -> dict[str, float]:
        self.log.close()
        return {name: figure.max for name, figure in self.meter.figures().items()}


def near(values: dict[str, float]) -> dict[str, object]:
    return {name: pytest.approx(value, rel=1e-3) for name, value in values.items()}


def test_greeting_and_first_audio_out_are_what_is_audible() -> None:
    told = Told().at(10.0, "stream_started").heard(10.05, 12.0).said(13.0, 14.0).heard(14.9, 16.0)
    assert told.latencies() == near({"greeting": 50, "first_audio_out": 900, "answer_gaps": 0})
    assert told.meter.counts == {"answers": 2, "turns": 1}


def test_a_turn_that_ends_under_the_assistants_voice_waits_from_the_end_of_that() -> None:
    told = Told().at(0.0, "stream_started").said(0.5, 1.0)
    told.at(1.5, "assistant_started").said(2.0, 3.0, over=True)
    waiting = [told.log.turns[1].waiting]
    told.at(3.5, "assistant_stopped", cut=False)
    assert [*waiting, told.log.turns[1].waiting] == [False, True]
    told.heard(9.0, 10.0)
    assert told.latencies()["first_audio_out"] == pytest.approx(5500, rel=1e-3)
    assert [turn.waits_from for turn in told.log.turns] == [1.0, 3.5]


def test_what_is_still_said_when_the_stream_ends_leaves_no_turn_waiting() -> None:
    told = Told().at(0.0, "stream_started").at(0.5, "assistant_started").said(2.0, 3.0, over=True)
    told.at(3.5, "assistant_stopped", cut=True, stream_over=True)
    assert not told.log.turns[0].waiting


def test_barge_in_counts_to_the_silence_that_was_made_for_it() -> None:
    told = Told().at(0.0, "stream_started").at(0.1, "assistant_started")
    told.at(2.0, "caller_speech_started", over_assistant=True)
    told.at(2.07, "assistant_stopped", cut=True)
    assert told.latencies()["barge_in"] == pytest.approx(70, rel=1e-3)


def barge_in(told: Told) -> tuple[object, int, int]:
    """Milliseconds to silence, barge-ins, those that were ignored."""
    silence_ms = told.latencies().get("barge_in")
    counts = told.meter.counts
    rounded = None if silence_ms is None else round(silence_ms, -1)
    return rounded, counts["barge_ins"], counts["barge_ins_ignored"]


def interrupted() -> Told:
    """From 2.0 s on the caller speaks over the assistant."""
    told = Told().at(0.0, "stream_started").at(0.1, "assistant_started")
    return told.at(2.0, "caller_speech_started", over_assistant=True)


def test_a_bridge_that_stops_sending_silences_the_assistant_without_a_clear() -> None:
    told = interrupted().at(2.1, "assistant_stopped", cut=False)
    assert barge_in(told) == (100, 1, 0)


def test_an_assistant_that_talks_on_to_its_end_has_ignored_the_caller() -> None:
    told = interrupted().at(3.0, "caller_speech_ended").at(7.5, "assistant_stopped", cut=False)
    assert barge_in(told) == (pytest.approx(5500, rel=1e-2), 1, 1)


def test_an_assistant_that_pauses_and_talks_on_has_not_fallen_silent() -> None:
    told = interrupted().at(2.1, "assistant_stopped", cut=False).at(2.6, "assistant_started")
    told.at(3.0, "caller_speech_ended").at(4.0, "assistant_stopped", cut=False)
    assert barge_in(told) == (2000, 1, 1)


@pytest.mark.parametrize(("over_s", "ignored"), [(0.18, 0), (5.0, 1)])
def test_the_end_of_the_stream_is_nobodys_silence(over_s: float, ignored: int) -> None:
    told = interrupted().at(2.15, "caller_speech_ended")
    told.at(2.0 + over_s, "assistant_stopped", cut=True, stream_over=True)
    assert barge_in(told) == (None, ignored, ignored)


def test_one_who_speaks_twice_over_the_same_answer_was_ignored_twice() -> None:
    told = interrupted().at(2.5, "caller_speech_ended").said(4.0, 4.5, over=True)
    told.at(6.0, "assistant_stopped", cut=False)
    assert barge_in(told) == (2000, 2, 2)


def test_an_assistant_that_had_finished_before_was_not_interrupted() -> None:
    told = Told().at(0.0, "stream_started").at(0.1, "assistant_started")
    told.at(2.0, "caller_speech_started", over_assistant=False)
    told.at(1.95, "assistant_stopped", cut=False).at(3.0, "caller_speech_ended")
    assert barge_in(told) == (None, 0, 0)


@pytest.mark.parametrize("before_ms", [80, 160, 260, 340])
async def test_an_assistant_that_finishes_shortly_before_the_caller_does_leaves_a_turn_that_waits(
    before_ms: int,
) -> None:
    told = Told()
    line = CallLine(Journal(Timeline("CA", 0.0, told.log)))
    line.hear(tone(1000), 0.0)
    words = Clip.of(tone(400))
    for tick in range(300):
        due = tick * 0.02
        if tick == (1000 + before_ms - 400) // 20:
            speaking = asyncio.create_task(line.speak(words))
            await asyncio.sleep(0)
        line.tick(due)
        if tick == 150:
            line.hear(tone(500), 3.0)
    await speaking
    spoken_s = 0.98 + before_ms / 1000
    assert told.latencies()["first_audio_out"] == pytest.approx((3.0 - spoken_s) * 1000, rel=1e-3)


def test_what_is_left_of_a_cut_answer_is_no_answer_to_what_cut_it() -> None:
    told = interrupted().at(2.1, "assistant_stopped", cut=True).at(2.2, "caller_speech_ended")
    told.heard(2.4, 2.7).heard(4.0, 6.0)
    assert told.latencies()["first_audio_out"] == pytest.approx(1800, rel=1e-3)
    assert told.meter.counts["audio_after_end"] == 1


def test_an_answer_heard_again_under_the_callers_voice_is_counted() -> None:
    told = Told().at(0.0, "stream_started").at(0.1, "assistant_started")
    told.at(2.0, "caller_speech_started", over_assistant=True)
    told.at(2.1, "assistant_stopped", cut=True).at(2.3, "assistant_started")
    assert told.meter.counts["audio_after_end"] == 1


def test_an_answer_without_a_mark_behind_it_is_counted() -> None:
    told = Told().at(0.0, "stream_started").heard(0.1, 2.0).said(3.0, 4.0)
    told.heard(5.0, 6.0, mark=False).said(7.0, 8.0)
    told.at(8.5, "assistant_started").at(9.0, "mark", reached=True).at(
        11.0, "assistant_stopped", cut=False
    )
    told.latencies()
    assert told.meter.counts["unmarked_answers"] == 2


def test_an_interrupted_answer_needs_no_mark() -> None:
    told = Told().at(0.0, "stream_started").at(0.1, "assistant_started")
    told.said(1.0, 2.0, over=True).at(1.1, "assistant_stopped", cut=True)
    told.latencies()
    assert told.meter.counts["unmarked_answers"] == 0


def test_the_longest_gap_of_each_answer_is_kept() -> None:
    told = Told().at(0.0, "stream_started").at(0.1, "assistant_started")
    told.at(0.5, "playout_gap", gap_ms=40).at(0.8, "playout_gap", gap_ms=120)
    assert told.latencies()["answer_gaps"] == pytest.approx(120, rel=1e-3)


def test_setup_and_handover_are_measured_around_the_stream() -> None:
    told = Told().at(1.0, "webhook", purpose="voice").at(1.2, "stream_started")
    told.at(9.0, "stream_closed").at(9.03, "webhook", purpose="connect action")
    told.at(9.04, "verb", verb="Enqueue").at(12.0, "outcome")
    assert told.latencies() == near({"setup": 200, "handover": 40})
