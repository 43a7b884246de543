"""Keys at awkward moments."""

from __future__ import annotations

from bridge.call.events import CallerStarted, ModelReady, TimePassed
from bridge.call.keypad import MAX_DIGITS
from bridge.call.state import Script
from bridge.protocol import realtime as rt
from bridge.protocol import twilio_stream as tw
from tests.bridge.call.conftest import Rehearse


def told(digits: str) -> list[object]:
    return [
        rt.AddText("user", f"(The caller pressed these keys on the phone: {digits})"),
        rt.CreateResponse(event_id="create_1"),
    ]


def test_keys_pressed_before_there_is_a_model_are_told_when_it_comes(new_call: Rehearse) -> None:
    call = new_call(Script())
    call.feed(CallerStarted())
    for digit in "12#":
        assert call.feed(tw.Dtmf(digit)) == []
    assert call.feed(ModelReady()) == told("12")


def test_an_entry_in_the_making_is_not_torn_when_the_model_comes(new_call: Rehearse) -> None:
    call = new_call(Script())
    call.feed(CallerStarted())
    call.feed(tw.Dtmf("1"))
    assert call.feed(ModelReady()) == []
    call.feed(tw.Dtmf("2"))
    assert call.feed(tw.Dtmf("#")) == told("12")


def test_an_entry_that_ended_by_a_pause_before_there_was_a_model_is_told_when_it_comes(
    new_call: Rehearse,
) -> None:
    call = new_call(Script(), digit_gap_s=1.0)
    call.feed(CallerStarted())
    call.feed(tw.Dtmf("5"))
    assert call.feed(TimePassed(), after_ms=1100) == []
    assert call.feed(ModelReady()) == told("5")


def test_an_entry_is_bounded(talking_call: Rehearse) -> None:
    call = talking_call()
    for _ in range(MAX_DIGITS - 1):
        assert call.feed(tw.Dtmf("1")) == []
    assert call.feed(tw.Dtmf("1")) == told("1" * MAX_DIGITS)


def test_star_belongs_to_an_entry_and_hash_does_not(talking_call: Rehearse) -> None:
    call = talking_call()
    call.feed(tw.Dtmf("*"))
    call.feed(tw.Dtmf("7"))
    assert call.feed(tw.Dtmf("#")) == told("*7")


def test_keys_during_the_ending_are_noted_and_mean_nothing(talking_call: Rehearse) -> None:
    call = talking_call()
    call.feed(rt.ResponseStarted("resp_1", {}))
    call.tool("route_call")
    assert call.feed(tw.Dtmf("9")) == []
    assert len(call.noted("digit")) == 1


def test_the_digit_itself_is_not_in_the_note(talking_call: Rehearse) -> None:
    call = talking_call()
    call.feed(tw.Dtmf("7"))
    assert call.noted("digit")[0].fields == {}


def test_an_entry_that_a_decision_broke_off_is_not_part_of_the_next_one(
    talking_call: Rehearse,
) -> None:
    call = talking_call()
    call.feed(rt.ResponseStarted("resp_1", {}))
    call.feed(tw.Dtmf("1"))
    call.tool("route_call")
    call.done()
    call.feed(rt.SpeechStarted("user_1", 0))
    call.feed(rt.SpeechStopped("user_1", 1000))
    for digit in "23":
        call.feed(tw.Dtmf(digit))
    entry = call.feed(tw.Dtmf("#"))
    assert rt.AddText("user", "(The caller pressed these keys on the phone: 23)") in entry
