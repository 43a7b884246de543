"""The model is lost in mid-call; and nobody is left in silence while we wait for it."""

from __future__ import annotations

import pytest

from bridge.call.effects import ReconnectModel
from bridge.call.events import CallerStarted, ModelLegClosed, ModelReady
from bridge.call.recovery import GO_ON, LAST_WORDS_LOST
from bridge.call.state import Phase, Script
from bridge.call.voice import CachedLine
from bridge.protocol import realtime as rt
from bridge.protocol import twilio_stream as tw
from dispatch.outcome import AssistantFailed
from tests.bridge.call.conftest import Rehearse
from tests.bridge.call.rehearsal import audio, ended_with

HOLD = Script(hold_line=CachedLine("One moment please.", (audio(1000),)))


def test_a_lost_model_is_reached_once_more_and_told_what_was_heard(talking_call: Rehearse) -> None:
    call = talking_call(Script(brief="Today is Friday."))
    call.caller_turn()
    call.feed(rt.CallerTranscript("user_1", "My basement is wet.", None))
    marks = call.speak(400)
    call.feed(rt.AssistantTranscript("resp_1", "item_1", "I am sorry to hear that."))
    call.echo(*marks, after_ms=400)
    assert call.feed(ModelLegClosed("model_closed_1011")) == [ReconnectModel()]
    assert call.feed(ModelReady(), after_ms=300) == [
        rt.AddText("system", "Today is Friday."),
        rt.AddText("user", "My basement is wet."),
        rt.AddText("assistant", "I am sorry to hear that."),
        rt.AddText("system", GO_ON),
        rt.CreateResponse(event_id="create_1"),
    ]
    assert call.session.state.phase is Phase.TALKING


def test_last_words_that_were_lost_are_asked_for_again(talking_call: Rehearse) -> None:
    call = talking_call()
    call.feed(rt.SpeechStarted("user_1", 0))
    call.feed(ModelLegClosed("model_closed_1006"))
    told = call.feed(ModelReady())
    assert rt.AddText("system", f"{GO_ON} {LAST_WORDS_LOST}") in told


def test_a_model_that_does_not_come_back_in_time_gives_the_call_up(talking_call: Rehearse) -> None:
    call = talking_call(reconnect_s=2.0)
    lost_at = call.now
    call.feed(ModelLegClosed("model_closed_1006"))
    assert ended_with(call.wait_for_deadline()) == AssistantFailed("model_lost")
    assert call.now - lost_at == pytest.approx(2.0)


def test_a_model_lost_again_and_again_gives_the_call_up(talking_call: Rehearse) -> None:
    call = talking_call(max_reconnects=2)
    for _ in range(2):
        assert call.feed(ModelLegClosed("model_closed_1006")) == [ReconnectModel()]
        call.feed(ModelReady())
    lost = call.feed(ModelLegClosed("model_closed_1006"))
    assert ended_with(lost) == AssistantFailed("model_closed_1006")


@pytest.mark.parametrize("reason", ["invalid_api_key", "configuration_refused", "fatal"])
def test_what_cannot_get_better_is_not_tried_again(talking_call: Rehearse, reason: str) -> None:
    assert ended_with(talking_call().feed(ModelLegClosed(reason))) == AssistantFailed(reason)


def test_a_model_that_could_not_be_reached_at_first_is_briefed_as_usual(new_call: Rehearse) -> None:
    call = new_call(Script(greeting="Hello.", brief="Today is Friday."))
    call.feed(CallerStarted())
    assert call.feed(ModelLegClosed("model_unreachable")) == [ReconnectModel()]
    assert call.feed(ModelReady())[0] == rt.AddText("system", "Today is Friday.")


def test_a_caller_who_waits_too_long_hears_a_line(talking_call: Rehearse) -> None:
    call = talking_call(HOLD, hold_after_s=2.5, answer_s=5.0)
    call.caller_turn()
    stopped_at = call.now
    assert call.wait_for_deadline() == [
        tw.SendMark("a0.0.line_1"),
        tw.PlayAudio(audio(1000)),
        tw.SendMark("a0.1000.line_1"),
    ]
    assert call.now - stopped_at == pytest.approx(2.5)


def test_a_model_that_went_without_a_word_is_covered_for_at_once(talking_call: Rehearse) -> None:
    """The caller has been waiting while nobody answered on its socket."""
    call = talking_call(HOLD, hold_after_s=2.5, hold_when_gone_s=0.2)
    call.feed(ModelLegClosed("model_closed_1006"))
    lost_at = call.now
    assert call.marks_of(call.wait_for_deadline()) == ["a0.0.line_1", "a0.1000.line_1"]
    assert call.now - lost_at == pytest.approx(0.2)


def test_the_silence_between_two_such_lines_is_as_short(talking_call: Rehearse) -> None:
    call = talking_call(HOLD, hold_after_s=2.5, answer_s=10.0)
    call.caller_turn()
    stopped_at = call.now
    call.echo("a0.0.line_1", *call.marks_of(call.wait_for_deadline())[1:], after_ms=1000)
    assert call.marks_of(call.wait_for_deadline())[0] == "a0.0.line_2"
    assert call.now - stopped_at == pytest.approx(2.5 + 1.0 + 2.5)


def test_a_line_of_our_own_gives_a_stalled_answer_no_more_time(talking_call: Rehearse) -> None:
    """Else a caller would hear it again and again, for as long as the call may last."""
    call = talking_call(HOLD, hold_after_s=2.5, answer_s=5.0, caller_silence_s=100.0)
    call.caller_turn()
    call.echo(*call.speak(500), after_ms=500)
    stalled_at = call.now
    line = call.marks_of(call.wait_for_deadline())
    assert line[0] == "a0.0.line_1"
    call.echo(*line, after_ms=1000)
    assert call.wait_for_deadline()[0] == rt.CancelResponse("resp_1")
    assert call.now - stalled_at == pytest.approx(5.0)
    ended = None
    while ended is None:
        effects = call.wait_for_deadline()
        call.echo(*call.marks_of(effects))
        ended = ended_with(effects)
    assert ended == AssistantFailed("model_silent")
    assert call.now - stalled_at == pytest.approx(10.0)


def test_the_next_session_is_not_told_to_cut_what_the_lost_one_said(
    talking_call: Rehearse,
) -> None:
    call = talking_call()
    call.echo(call.speak(1000)[0])
    call.feed(ModelLegClosed("model_closed_1011"))
    call.feed(ModelReady(), after_ms=100)
    assert call.feed(rt.SpeechStarted("user_2", 0), after_ms=200) == [tw.ClearPlayback()]


def test_what_the_lost_session_said_to_its_end_is_no_barge_in_later(
    talking_call: Rehearse,
) -> None:
    call = talking_call()
    call.echo(*call.speak(500), after_ms=500)
    call.feed(ModelLegClosed("model_closed_1011"))
    call.feed(ModelReady(), after_ms=100)
    call.feed(rt.SpeechStarted("user_2", 0), after_ms=2000)
    assert call.noted("barge_in") == []


def test_an_answer_in_time_needs_no_such_line(talking_call: Rehearse) -> None:
    call = talking_call(HOLD, hold_after_s=2.5)
    call.caller_turn()
    call.now += 1.0
    call.speak(500)
    assert "hold" not in call.session.state.timers


def test_the_callers_own_silence_is_not_filled(talking_call: Rehearse) -> None:
    call = talking_call(HOLD)
    marks = call.speak(200)
    call.feed(rt.AudioDone("resp_1", "item_1", 0))
    call.done()
    call.echo(*marks)
    assert "hold" not in call.session.state.timers


def test_the_line_is_cut_when_the_caller_speaks_and_not_truncated(talking_call: Rehearse) -> None:
    call = talking_call(HOLD)
    call.caller_turn()
    call.echo(call.marks_of(call.wait_for_deadline())[0])
    assert call.feed(rt.SpeechStarted("user_2", 0), after_ms=200) == [tw.ClearPlayback()]


def test_last_words_stay_lost_when_the_model_is_reached_only_at_the_second_try(
    talking_call: Rehearse,
) -> None:
    call = talking_call(max_reconnects=3)
    call.feed(rt.SpeechStarted("user_1", 0))
    assert call.feed(ModelLegClosed("model_closed_1011")) == [ReconnectModel()]
    assert call.feed(ModelLegClosed("model_unreachable"), after_ms=100) == [ReconnectModel()]
    assert rt.AddText("system", f"{GO_ON} {LAST_WORDS_LOST}") in call.feed(ModelReady())
    call.speak(200)
    assert call.feed(ModelLegClosed("model_closed_1011")) == [ReconnectModel()]
    assert rt.AddText("system", GO_ON) in call.feed(ModelReady())


def test_keys_that_were_pressed_are_told_to_the_next_session_as_well(
    talking_call: Rehearse,
) -> None:
    call = talking_call()
    for key in "4711#":
        call.feed(tw.Dtmf(key))
    pressed = "(The caller pressed these keys on the phone: 4711)"
    assert call.session.state.transcript.lines() == [("caller", pressed)]
    call.feed(rt.ResponseStarted("resp_1", {}))
    call.feed(ModelLegClosed("model_closed_1011"))
    assert call.feed(ModelReady())[:2] == [
        rt.AddText("user", pressed),
        rt.AddText("system", GO_ON),
    ]


def test_a_caller_hears_that_we_are_there_while_something_is_looked_up(
    talking_call: Rehearse,
) -> None:
    call = talking_call(HOLD, hold_after_s=2.5)
    call.caller_turn()
    asked_at = call.now
    call.feed(rt.ResponseStarted("resp_1", {}), after_ms=1000)
    call.tool("orders")
    call.done()
    call.wait_for_deadline()
    assert len(call.noted("held")) == 1
    assert call.now - asked_at == pytest.approx(2.5)
