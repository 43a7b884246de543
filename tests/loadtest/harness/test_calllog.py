"""What the caller hears, made of the simulated Twilio's events."""

from __future__ import annotations

import random

import pytest

from loadtest.harness.calllog import CallLog
from loadtest.harness.meter import Meter
from loadtest.harness.tracking import CallTrack
from loadtest.twilio import CallEvent
from loadtest.twilio.timeline import EventKind


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


def test_a_turn_that_ends_under_the_assistants_voice_waits_for_no_answer() -> None:
    told = Told().at(0.0, "stream_started").said(0.5, 1.0)
    told.at(1.5, "assistant_started").said(2.0, 3.0, over=True)
    told.at(3.5, "assistant_stopped", cut=False).heard(9.0, 10.0)
    assert told.latencies()["first_audio_out"] == pytest.approx(500, rel=1e-3)
    assert [turn.overlapped for turn in told.log.turns] == [False, True]


def test_barge_in_counts_to_the_silence_that_was_made_for_it() -> None:
    told = Told().at(0.0, "stream_started").at(0.1, "assistant_started")
    told.at(2.0, "caller_speech_started", over_assistant=True)
    told.at(2.07, "assistant_stopped", cut=True)
    assert told.latencies()["barge_in"] == pytest.approx(70, rel=1e-3)


def test_an_assistant_that_merely_finishes_was_not_silenced() -> None:
    told = Told().at(0.0, "stream_started").at(0.1, "assistant_started")
    told.at(2.0, "caller_speech_started", over_assistant=True)
    told.at(2.5, "assistant_stopped", cut=False)
    assert "barge_in" not in told.latencies()


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
