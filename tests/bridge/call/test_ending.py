"""The edges of an ending: what races with the closing line."""

from __future__ import annotations

import pytest

from bridge.call.desk import Finish
from bridge.call.effects import Effect
from bridge.call.ending import Ending
from bridge.call.events import (
    CallerLegClosed,
    CallerStarted,
    HandoverRequested,
    ModelLegClosed,
    ModelReady,
)
from bridge.call.limits import CallLimits
from bridge.call.state import CallState, Phase, Script
from bridge.call.turns import TurnClock
from bridge.call.voice import CachedLine
from bridge.protocol import realtime as rt
from bridge.protocol import twilio_stream as tw
from dispatch.outcome import (
    AssistantFailed,
    CallerLeft,
    DigitPressed,
    EscalationRequested,
    LimitReached,
    Outcome,
    PersonRequested,
    Resolved,
    RouteRequested,
    TriggerMatched,
)
from tests.bridge.call.conftest import Rehearse
from tests.bridge.call.rehearsal import CLOSING, Rehearsal, SimpleDesk, audio, ended_with

BUSY = "conversation_already_has_active_response"


def closing_asked(call: Rehearsal) -> Rehearsal:
    """Decided, and the closing line was asked for; the server has not said that it begins."""
    call.feed(rt.ResponseStarted("resp_1", {}))
    call.tool("route_call")
    call.done()
    return call


def test_an_answer_that_ran_already_is_not_taken_for_the_closing_line(
    talking_call: Rehearse,
) -> None:
    call = closing_asked(talking_call())
    call.feed(rt.ResponseStarted("resp_auto", {}))  # the server's own: it came before our request
    refused = rt.ServerError("invalid_request_error", BUSY, "", None, "create_1")
    assert call.feed(refused) == [rt.CancelResponse("resp_auto")]
    assert call.delta(200, "item_auto", "resp_auto") == []
    assert call.done("resp_auto", "cancelled") == [
        rt.CreateResponse(CLOSING, "none", "create_2", {"purpose": "closing"})
    ]


def test_a_closing_line_that_begins_after_its_ending_was_cancelled_is_kept_silent(
    talking_call: Rehearse,
) -> None:
    call = closing_asked(talking_call())
    call.feed(rt.SpeechStarted("user_1", 0))
    call.feed(rt.SpeechStopped("user_1", 1000))
    assert call.session.state.phase is Phase.TALKING
    late = rt.ResponseStarted("resp_2", {"purpose": "closing"})
    assert call.feed(late) == [rt.CancelResponse("resp_2")]
    assert call.delta(200, "item_2", "resp_2") == []


def test_a_closing_line_that_fails_does_not_hold_the_call(talking_call: Rehearse) -> None:
    call = closing_asked(talking_call())
    call.feed(rt.ResponseStarted("resp_2", {"purpose": "closing"}))
    terminal = call.marks_of(call.done("resp_2", "failed", "server_error"))
    assert ended_with(call.echo(*terminal)) == Resolved("{}")


def test_a_tool_call_of_a_response_that_was_spoken_over_is_not_executed(
    talking_call: Rehearse,
) -> None:
    call = talking_call(Script(server_interrupts=False))
    call.echo(call.speak(500)[0])
    call.feed(rt.SpeechStarted("user_1", 0), after_ms=100)
    assert call.tool("route_call") == []
    again = rt.ToolCall("resp_1", "fc_1", "call_1", "route_call", "{}", True)
    done = rt.ResponseDone("resp_1", "cancelled", None, None, None, None, (again,), {})
    call.feed(done)
    assert call.session.state.phase is Phase.TALKING


def test_a_second_decision_changes_nothing(talking_call: Rehearse) -> None:
    call = closing_asked(talking_call())
    assert call.tool("route_call", "call_2") == [
        rt.AddToolOutput("call_2", '{"status":"already_decided"}')
    ]


def test_a_decision_before_there_is_a_model_needs_no_closing_line(new_call: Rehearse) -> None:
    call = new_call(Script(greeting="Hello", greeting_line=CachedLine("Hello", (audio(1000),))))
    call.feed(CallerStarted())
    call.echo("a0.0.greeting")
    effects = call.feed(tw.Dtmf("9"), after_ms=200)
    assert effects == [tw.ClearPlayback(), tw.SendMark("t1.0.end")]
    assert ended_with(call.echo("t1.0.end")) is not None


def test_what_was_cut_off_by_a_decision_is_not_written_down_as_said(new_call: Rehearse) -> None:
    words = "one two three four five six seven eight nine ten"
    call = new_call(Script(greeting=words, greeting_line=CachedLine(words, (audio(1000),))))
    call.feed(CallerStarted())
    call.feed(ModelReady())
    call.echo("a0.0.greeting")
    call.feed(tw.Dtmf("9"), after_ms=300)
    assert call.session.state.transcript.lines() == [("assistant", "one two three …")]


def test_a_call_that_is_handed_over_ends_with_the_reason(talking_call: Rehearse) -> None:
    assert ended_with(talking_call().feed(HandoverRequested("shutdown"))) == AssistantFailed(
        "shutdown"
    )


def test_a_decided_call_that_is_handed_over_keeps_its_decision(talking_call: Rehearse) -> None:
    call = closing_asked(talking_call())
    terminal = call.marks_of(call.feed(HandoverRequested("shutdown")))
    assert ended_with(call.echo(*terminal)) == Resolved("{}")


def test_an_item_that_may_go_on_is_truncated_though_all_that_came_of_it_was_heard(
    talking_call: Rehearse,
) -> None:
    call = talking_call()
    call.echo(*call.speak(500), after_ms=500)
    assert call.feed(rt.SpeechStarted("user_1", 0), after_ms=2000) == [
        rt.TruncateItem("item_1", 0, 500)
    ]
    assert call.delta(500) == []


# --- the model cannot say the closing line -------------------------------------------------------

LINES = Script(
    closing_line=CachedLine("One moment.", (audio(1000),)),
    goodbye_line=CachedLine("Goodbye.", (audio(800),)),
    hold_line=CachedLine("One moment please.", (audio(600),)),
)
GOODBYE = [tw.SendMark("a0.0.line_end"), tw.PlayAudio(audio(800)), tw.SendMark("a0.800.line_end")]


def test_without_a_model_the_cached_closing_is_heard_to_its_end(new_call: Rehearse) -> None:
    call = new_call(LINES)
    call.feed(CallerStarted())
    effects = call.feed(tw.Dtmf("9"))
    assert effects == [
        tw.SendMark("a0.0.line_end"),
        tw.PlayAudio(audio(1000)),
        tw.SendMark("a0.1000.line_end"),
        tw.SendMark("t1.0.end"),
    ]
    assert call.session.state.transcript.lines() == [("assistant", "One moment.")]
    assert ended_with(call.echo("t1.0.end", after_ms=1000)) is not None


def test_a_closing_that_does_not_begin_is_said_from_the_cache(talking_call: Rehearse) -> None:
    """A caller who is told goodbye: nobody follows."""
    call = closing_asked(talking_call(LINES, closing_start_s=2.5))
    decided_at = call.now
    assert call.wait_for_deadline() == [*GOODBYE, tw.SendMark("t1.0.end")]
    assert call.now - decided_at == pytest.approx(2.5)
    late = rt.ResponseStarted("resp_2", {"purpose": "closing"})
    assert call.feed(late) == [rt.CancelResponse("resp_2")]
    assert call.delta(500, "item_2", "resp_2") == []


def test_who_waited_before_the_decision_does_not_wait_anew_behind_it(
    talking_call: Rehearse,
) -> None:
    call = talking_call(LINES, hold_after_s=2.5, closing_start_s=2.5)
    call.caller_turn()
    stopped_at = call.now
    call.now += 2.0
    closing_asked(call)
    assert call.wait_for_deadline() == [*GOODBYE, tw.SendMark("t1.0.end")]
    assert call.now - stopped_at == pytest.approx(2.5)


def test_a_closing_that_begins_and_says_nothing_is_said_from_the_cache(
    talking_call: Rehearse,
) -> None:
    call = closing_asked(talking_call(LINES, closing_start_s=2.5))
    call.feed(rt.ResponseStarted("resp_2", {"purpose": "closing"}))
    cancelled = rt.CancelResponse("resp_2")
    assert call.wait_for_deadline() == [cancelled, *GOODBYE, tw.SendMark("t1.0.end")]


def test_a_closing_that_fails_unheard_is_said_from_the_cache(talking_call: Rehearse) -> None:
    call = closing_asked(talking_call(LINES))
    call.feed(rt.ResponseStarted("resp_2", {"purpose": "closing"}))
    assert call.done("resp_2", "failed") == [*GOODBYE, tw.SendMark("t1.0.end")]


def test_a_model_lost_before_the_closing_leaves_it_to_the_cache(talking_call: Rehearse) -> None:
    call = closing_asked(talking_call(LINES))
    effects = call.feed(ModelLegClosed("model_closed_1011"))
    assert effects == [*GOODBYE, tw.SendMark("t1.0.end")]


def test_a_closing_that_stalls_half_said_ends_the_call_within_seconds(
    talking_call: Rehearse,
) -> None:
    """All that came was heard; the caller waits so long for the rest, and no longer."""
    call = closing_asked(talking_call(LINES, closing_start_s=2.5))
    call.feed(rt.ResponseStarted("resp_2", {"purpose": "closing"}))
    marks = call.marks_of(call.delta(3000, "item_2", "resp_2"))
    began_at = call.now
    call.echo(marks[0])
    assert call.wait_for_deadline() == []
    call.echo(marks[1], after_ms=500)
    assert ended_with(call.wait_for_deadline()) == Resolved("{}")
    assert call.now - began_at <= 3.0 + 2.5 + 0.01


def test_a_long_closing_is_heard_whole(talking_call: Rehearse) -> None:
    call = closing_asked(talking_call(LINES, closing_start_s=2.5))
    call.feed(rt.ResponseStarted("resp_2", {"purpose": "closing"}))
    marks = call.marks_of(call.delta(9000, "item_2", "resp_2"))
    call.echo(marks[0])
    while call.now < 107.0:
        assert call.wait_for_deadline() == []
    terminal = call.marks_of(call.done("resp_2"))
    assert ended_with(call.echo(*terminal, after_ms=2000)) == Resolved("{}")


# --- what was decided stands ----------------------------------------------------------------


@pytest.mark.parametrize("end", [tw.Stop("CA1"), CallerLegClosed("stream_closed")], ids=repr)
def test_a_caller_who_goes_during_the_closing_line_is_served_as_decided(
    end: tw.Stop | CallerLegClosed, talking_call: Rehearse
) -> None:
    call = closing_asked(talking_call())
    call.feed(rt.ResponseStarted("resp_2", {"purpose": "closing"}))
    call.delta(2000, "item_2", "resp_2")
    assert ended_with(call.feed(end, after_ms=1500)) == Resolved("{}")


def test_a_caller_who_goes_before_anything_is_decided_has_left(talking_call: Rehearse) -> None:
    assert ended_with(talking_call().feed(tw.Stop("CA1"))) == CallerLeft()


def test_a_caller_who_goes_after_a_cancelled_ending_has_left(talking_call: Rehearse) -> None:
    call = closing_asked(talking_call())
    call.feed(rt.SpeechStarted("user_1", 0))
    assert ended_with(call.feed(tw.Stop("CA1"))) == CallerLeft()


def test_a_call_that_is_handed_over_while_it_closes_cannot_be_talked_back(
    talking_call: Rehearse,
) -> None:
    call = closing_asked(talking_call())
    call.feed(rt.ResponseStarted("resp_2", {"purpose": "closing"}))
    call.delta(2000, "item_2", "resp_2")
    terminal = call.marks_of(call.feed(HandoverRequested("shutdown")))
    assert call.feed(rt.SpeechStarted("user_1", 0), after_ms=300) == []
    assert call.session.state.phase is Phase.CLOSING
    assert ended_with(call.echo(*terminal)) == Resolved("{}")


# --- words that decide, behind a decision ---------------------------------------------------


def late_words(call: Rehearsal, text: str = "oh, and there is a fire") -> list[Effect]:
    return call.feed(rt.CallerTranscript("user_1", text, None), after_ms=200)


def test_an_emergency_in_words_that_come_behind_the_models_goodbye_overrules_it(
    talking_call: Rehearse,
) -> None:
    call = closing_asked(talking_call())
    call.feed(rt.ResponseStarted("resp_2", {"purpose": "closing"}))
    marks = call.marks_of(call.delta(2000, "item_2", "resp_2"))
    call.echo(marks[0])
    assert late_words(call) == [
        tw.ClearPlayback(),
        rt.TruncateItem("item_2", 0, 200),
        rt.CancelResponse("resp_2"),
    ]
    assert call.done("resp_2", "cancelled") == [
        rt.CreateResponse(CLOSING, "none", "create_2", {"purpose": "closing"})
    ]
    call.feed(rt.ResponseStarted("resp_3", {"purpose": "closing"}))
    marks = call.marks_of(call.delta(1000, "item_3", "resp_3"))
    terminal = call.marks_of(call.done("resp_3"))
    call.echo(*marks)
    assert ended_with(call.echo(*terminal)) == TriggerMatched("fire", "fire")


def test_a_closing_line_that_was_overruled_before_it_began_is_kept_silent(
    talking_call: Rehearse,
) -> None:
    call = talking_call()
    call.feed(rt.ResponseStarted("resp_1", {}))
    call.tool("goodbye")
    assert call.done() == [
        rt.CreateResponse("Say farewell.", "none", "create_1", {"purpose": "closing"})
    ]
    late_words(call)
    assert call.feed(rt.ResponseStarted("resp_2", {"purpose": "closing"})) == [
        rt.CancelResponse("resp_2")
    ]
    assert call.delta(200, "item_2", "resp_2") == []
    assert call.done("resp_2", "cancelled") == [
        rt.CreateResponse(CLOSING, "none", "create_2", {"purpose": "closing"})
    ]


FIRE, PERSON = TriggerMatched("fire", "fire"), PersonRequested()
BILLING, BURNING = (RouteRequested(intent, "Says so.", 0.9) for intent in ("billing", "fire"))


@pytest.mark.parametrize(
    ("decided", "words", "stands"),
    [
        (Resolved("Told."), FIRE, FIRE),
        (Resolved("Told."), PERSON, PERSON),
        (BILLING, FIRE, FIRE),
        (BILLING, PERSON, BILLING),
        (BURNING, FIRE, BURNING),
        (EscalationRequested("Angry."), FIRE, FIRE),
        (EscalationRequested("Angry."), PERSON, EscalationRequested("Angry.")),
        (
            EscalationRequested("Fire!", "emergency"),
            FIRE,
            EscalationRequested("Fire!", "emergency"),
        ),
        (LimitReached("silence"), FIRE, FIRE),
        (AssistantFailed("model_lost"), FIRE, FIRE),
        (DigitPressed("0"), FIRE, DigitPressed("0")),
        (PERSON, FIRE, PERSON),
        (FIRE, TriggerMatched("leak", "leak"), FIRE),
    ],
    ids=repr,
)
def test_which_words_overrule_which_decision(
    decided: Outcome, words: Outcome, stands: Outcome
) -> None:
    state = CallState(SimpleDesk(), Script(), CallLimits(), TurnClock(500))
    state.phase = Phase.TALKING
    ending = Ending(state)
    ending.decide(Finish(decided, closing=CLOSING), 1.0)
    ending.words_decide(Finish(words, closing=CLOSING, cancellable=False), 2.0)
    assert ended_with(ending.cut_off(CallerLeft(), "caller_left")) == stands


def test_a_look_up_that_still_runs_does_not_hold_up_the_closing_line(
    talking_call: Rehearse,
) -> None:
    call = talking_call()
    call.feed(rt.ResponseStarted("resp_1", {}))
    call.tool("orders", "call_1")
    call.tool("route_call", "call_2")
    assert call.done() == [rt.CreateResponse(CLOSING, "none", "create_1", {"purpose": "closing"})]
