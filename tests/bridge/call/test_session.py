"""The core of a call: barge-in, responses, tools."""

from __future__ import annotations

import pytest

from bridge.call.effects import Effect, EndCall, ReconnectModel, RunTool
from bridge.call.events import CallerLegClosed, ModelLegClosed, ToolFinished
from bridge.call.state import Phase, Script
from bridge.protocol import realtime as rt
from bridge.protocol import twilio_stream as tw
from dispatch.outcome import AssistantFailed, CallerLeft, Resolved, TriggerMatched
from tests.bridge.call.conftest import Rehearse
from tests.bridge.call.rehearsal import CLOSING, Rehearsal, audio, ended_with


def closing_wish(number: int = 1) -> rt.CreateResponse:
    return rt.CreateResponse(CLOSING, "none", f"create_{number}", {"purpose": "closing"})


# --- playing ------------------------------------------------------------------------------------


def test_an_item_is_sent_whole_between_an_opening_mark_and_one_behind_it(
    talking_call: Rehearse,
) -> None:
    call = talking_call()
    call.feed(rt.ResponseStarted("resp_1", {}))
    assert call.delta(200) == [
        tw.SendMark("a0.0.item_1"),
        tw.PlayAudio(audio(200)),
        tw.SendMark("a0.200.item_1"),
    ]
    assert call.delta(35) == [tw.PlayAudio(audio(35)), tw.SendMark("a0.235.item_1")]


def test_several_audio_items_in_one_response_are_played_one_after_the_other(
    talking_call: Rehearse,
) -> None:
    call = talking_call()
    call.speak(200, "item_1")
    assert call.marks_of(call.delta(100, "item_2")) == ["a0.0.item_2", "a0.100.item_2"]


def test_audio_that_is_not_base64_costs_only_itself(talking_call: Rehearse) -> None:
    call = talking_call()
    assert call.feed(rt.AudioDelta("resp_1", "item_1", 0, "abc")) == []
    assert len(call.delta(20)) == 3


# --- barge-in -----------------------------------------------------------------------------------


def test_barge_in_truncates_at_what_was_heard(talking_call: Rehearse) -> None:
    call = talking_call()
    marks = call.speak(900)
    call.echo(marks[0])
    assert call.feed(rt.SpeechStarted("user_1", 0), after_ms=400) == [
        tw.ClearPlayback(),
        rt.TruncateItem("item_1", 0, 400),
    ]


def test_barge_in_after_generation_ended_still_clears_and_truncates(talking_call: Rehearse) -> None:
    call = talking_call()
    marks = call.speak(3000)
    call.feed(rt.AudioDone("resp_1", "item_1", 0))
    call.done()
    call.echo(marks[0])
    assert call.feed(rt.SpeechStarted("user_1", 0), after_ms=1250) == [
        tw.ClearPlayback(),
        rt.TruncateItem("item_1", 0, 1250),
    ]


def test_what_was_heard_never_exceeds_what_was_sent(talking_call: Rehearse) -> None:
    call = talking_call()
    marks = call.speak(200)
    call.echo(marks[0])
    assert call.feed(rt.SpeechStarted("user_1", 0), after_ms=5000) == [
        tw.ClearPlayback(),
        rt.TruncateItem("item_1", 0, 200),
    ]


def test_an_item_nobody_heard_is_deleted_and_the_heard_one_before_it_truncated(
    talking_call: Rehearse,
) -> None:
    call = talking_call()
    marks = call.speak(500, "item_1")
    call.delta(500, "item_2")
    call.echo(marks[0])
    assert call.feed(rt.SpeechStarted("user_1", 0), after_ms=300) == [
        tw.ClearPlayback(),
        rt.TruncateItem("item_1", 0, 300),
        rt.DeleteItem("item_2"),
    ]


def test_an_item_heard_to_its_end_is_left_alone(talking_call: Rehearse) -> None:
    call = talking_call()
    marks = call.speak(200)
    call.feed(rt.AudioDone("resp_1", "item_1", 0))
    call.done()
    call.echo(*marks)
    assert call.feed(rt.SpeechStarted("user_1", 0)) == []


def test_speech_while_nothing_plays_sends_nothing(talking_call: Rehearse) -> None:
    assert talking_call().feed(rt.SpeechStarted("user_1", 0)) == []


def test_late_audio_of_the_interrupted_response_is_not_played(talking_call: Rehearse) -> None:
    call = talking_call()
    call.echo(call.speak(500)[0])
    call.feed(rt.SpeechStarted("user_1", 0), after_ms=100)
    assert call.delta(200) == []
    call.done(status="cancelled")
    assert len(call.speak(200, "item_2", "resp_2")) == 2


def test_marks_echoed_because_of_the_clear_do_not_count_as_heard(talking_call: Rehearse) -> None:
    call = talking_call()
    before = call.speak(800, "item_1")
    call.echo(before[0])
    call.feed(rt.SpeechStarted("user_1", 0), after_ms=100)
    call.done(status="cancelled")
    after = call.speak(800, "item_1", "resp_2")
    call.echo(*before)
    call.echo(after[0])
    stop = call.feed(rt.SpeechStarted("user_2", 0), after_ms=50)
    assert stop == [tw.ClearPlayback(), rt.TruncateItem("item_1", 0, 50)]


def test_the_server_is_asked_to_cancel_only_where_it_does_not_by_itself(
    talking_call: Rehearse,
) -> None:
    call = talking_call(Script(server_interrupts=False))
    call.echo(call.speak(500)[0])
    assert rt.CancelResponse("resp_1") in call.feed(rt.SpeechStarted("user_1", 0), after_ms=10)


def test_a_response_that_begins_while_the_caller_speaks_is_cancelled_and_kept_silent(
    talking_call: Rehearse,
) -> None:
    call = talking_call()
    call.tool("unknown")
    assert call.session.state.responses.requested is not None
    call.feed(rt.SpeechStarted("user_1", 0))
    assert call.feed(rt.ResponseStarted("resp_2", {})) == [rt.CancelResponse("resp_2")]
    assert call.delta(200, "item_2", "resp_2") == []


# --- tools and responses ------------------------------------------------------------------------


def test_the_same_tool_call_reported_again_is_acted_on_once(talking_call: Rehearse) -> None:
    call = talking_call()
    call.feed(rt.ResponseStarted("resp_1", {}))
    assert call.tool("orders") == [RunTool("call_1", "orders", {"id": 7})]
    again = rt.ToolCall("resp_1", "fc_1", "call_1", "orders", "{}", True)
    done = rt.ResponseDone("resp_1", "completed", None, None, None, None, (again,), {})
    assert call.feed(done) == []


def test_arguments_of_an_interrupted_call_are_not_executed(talking_call: Rehearse) -> None:
    call = talking_call()
    call.feed(rt.ResponseStarted("resp_1", {}))
    assert call.tool("route_call", completed=False) == []
    assert call.session.state.phase is Phase.TALKING


def test_one_response_follows_after_the_last_of_several_look_ups(talking_call: Rehearse) -> None:
    call = talking_call()
    call.feed(rt.ResponseStarted("resp_1", {}))
    call.tool("orders", "call_1")
    call.tool("orders", "call_2")
    call.done()
    assert call.feed(ToolFinished("call_2", "{}")) == [rt.AddToolOutput("call_2", "{}")]
    assert call.feed(ToolFinished("call_1", "{}")) == [
        rt.AddToolOutput("call_1", "{}"),
        rt.CreateResponse(event_id="create_1"),
    ]


def test_an_owed_response_is_asked_for_only_after_the_running_one_is_done(
    talking_call: Rehearse,
) -> None:
    call = talking_call()
    call.feed(rt.ResponseStarted("resp_1", {}))
    assert call.tool("unknown") == [rt.AddToolOutput("call_1", '{"ok":false}')]
    assert call.done() == [rt.CreateResponse(event_id="create_1")]


def test_an_owed_response_is_dropped_when_the_servers_own_has_seen_the_output(
    talking_call: Rehearse,
) -> None:
    call = talking_call()
    call.feed(rt.ResponseStarted("resp_1", {}))
    call.feed(rt.SpeechStarted("user_1", 0))
    call.tool("unknown")
    call.done(status="cancelled")
    call.feed(rt.SpeechStopped("user_1", 1000))
    call.feed(rt.ResponseStarted("resp_2", {}))
    assert call.done("resp_2") == []


def test_a_refused_second_response_is_asked_for_again(talking_call: Rehearse) -> None:
    call = talking_call()
    call.tool("unknown")
    call.feed(rt.ResponseStarted("resp_x", {}))  # the server's own, which came first
    call.session.state.responses.requested = rt.CreateResponse(event_id="create_1")
    refusal = rt.ServerError(
        "invalid_request_error",
        "conversation_already_has_active_response",
        "",
        None,
        "create_1",
    )
    assert call.feed(refusal) == []
    assert call.done("resp_x") == [rt.CreateResponse(event_id="create_2")]


def test_a_failed_response_is_tried_once_more(talking_call: Rehearse) -> None:
    call = talking_call()
    call.caller_turn()
    call.feed(rt.ResponseStarted("resp_1", {}))
    assert call.done(status="failed", code="inference_rate_limit_exceeded") == []
    assert call.wait_for_deadline() == [rt.CreateResponse(event_id="create_1")]


def test_a_response_that_fails_twice_routes_the_call(talking_call: Rehearse) -> None:
    call = talking_call()
    call.caller_turn()
    call.feed(rt.ResponseStarted("resp_1", {}))
    call.done(status="failed", code="server_error")
    call.wait_for_deadline()
    call.feed(rt.ResponseStarted("resp_2", {}))
    outcome = ended_with(call.done("resp_2", "failed", "server_error"))
    assert outcome == AssistantFailed("response_failed:server_error")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("response_cancel_not_active", "Cancellation failed: no active response found"),
        ("input_audio_buffer_commit_empty", "buffer too small"),
        (None, "Audio content of 800ms is already shorter than 900ms"),
        ("unsupported_content_type", "Only model output audio messages can be truncated"),
    ],
)
def test_benign_errors_never_end_a_call(
    talking_call: Rehearse, code: str | None, message: str
) -> None:
    call = talking_call()
    assert call.feed(rt.ServerError("invalid_request_error", code, message, None, None)) == []
    assert call.session.state.phase is Phase.TALKING


def test_an_expired_session_is_followed_by_another(talking_call: Rehearse) -> None:
    call = talking_call()
    expired = rt.ServerError("invalid_request_error", "session_expired", "60 min", None, None)
    assert call.feed(expired) == []
    assert call.feed(ModelLegClosed("model_closed_1001")) == [ReconnectModel()]


def test_a_promise_to_transfer_without_the_tool_makes_the_model_call_it(
    talking_call: Rehearse,
) -> None:
    call = talking_call()
    call.speak(500)
    call.feed(rt.AssistantTranscript("resp_1", "item_1", "I am connecting you now."))
    assert call.done() == [rt.CreateResponse(tool_choice="route_call", event_id="create_1")]


# --- keypad -------------------------------------------------------------------------------------


def test_keys_reach_the_model_as_one_text_after_a_pause(talking_call: Rehearse) -> None:
    call = talking_call()
    for digit in "4155":
        assert call.feed(tw.Dtmf(digit), after_ms=300) == []
    assert call.wait_for_deadline() == [
        rt.AddText("user", "(The caller pressed these keys on the phone: 4155)"),
        rt.CreateResponse(event_id="create_1"),
    ]


def test_the_hash_key_ends_an_entry_at_once(talking_call: Rehearse) -> None:
    call = talking_call()
    call.feed(tw.Dtmf("7"))
    assert len(call.feed(tw.Dtmf("#"))) == 2


def test_a_key_that_decides_cuts_the_assistant_off(talking_call: Rehearse) -> None:
    call = talking_call()
    call.echo(call.speak(2000)[0])
    assert call.feed(tw.Dtmf("9"), after_ms=100) == [
        tw.ClearPlayback(),
        rt.TruncateItem("item_1", 0, 100),
        rt.CancelResponse("resp_1"),
    ]
    assert call.done(status="cancelled") == [closing_wish()]


def test_a_trigger_phrase_acts_in_the_middle_of_the_assistants_sentence(
    talking_call: Rehearse,
) -> None:
    call = talking_call()
    call.echo(call.speak(2000)[0])
    heard = call.feed(rt.CallerTranscript("user_1", "there is a fire", None), after_ms=100)
    assert heard[0] == tw.ClearPlayback()
    call.done(status="cancelled")
    assert ended_with(finish_closing(call)) == TriggerMatched("fire", "fire")


def test_the_figures_of_an_answer_tell_what_it_waited_for(talking_call: Rehearse) -> None:
    call = talking_call()
    call.caller_turn("user_1")
    call.echo(*call.speak(1000))
    call.echo(*call.marks_of(call.done()))
    call.caller_turn("user_2")
    call.feed(rt.CallerTranscript("user_2", "there is a fire", None))
    finish_closing(call)
    waited = [(note.fields["used_tool"], note.fields["decided"]) for note in call.noted("turn")]
    assert waited == [(False, False), (False, True)]


# --- ending -------------------------------------------------------------------------------------


def finish_closing(call: Rehearsal) -> list[Effect]:
    """The closing line is generated, played and heard."""
    call.feed(rt.ResponseStarted("resp_close", {"purpose": "closing"}))
    marks = call.marks_of(call.delta(1000, "item_close", "resp_close"))
    terminal = call.marks_of(call.done("resp_close"))
    call.echo(*marks)
    return call.echo(*terminal)


def decided(call: Rehearsal) -> Rehearsal:
    """The model has called the routing tool and its closing line is playing."""
    call.feed(rt.ResponseStarted("resp_1", {}))
    call.tool("route_call")
    assert call.done() == [closing_wish()]
    call.feed(rt.ResponseStarted("resp_2", {"purpose": "closing"}))
    return call


def test_the_closing_line_is_heard_before_the_stream_ends(talking_call: Rehearse) -> None:
    call = decided(talking_call())
    marks = call.marks_of(call.delta(1000, "item_2", "resp_2"))
    terminal = call.marks_of(call.done("resp_2"))
    assert call.echo(*marks) == []
    assert call.echo(*terminal) == [EndCall(Resolved("{}"))]


def test_the_wait_for_the_closing_line_is_bounded(talking_call: Rehearse) -> None:
    call = decided(talking_call(closing_margin_s=2.0))
    call.delta(1000, "item_2", "resp_2")
    call.done("resp_2")
    started = call.now
    assert ended_with(call.wait_for_deadline()) == Resolved("{}")
    assert call.now - started == pytest.approx(3.0)


def test_a_closing_line_that_never_comes_does_not_keep_the_call(talking_call: Rehearse) -> None:
    call = talking_call(closing_start_s=4.0)
    call.feed(rt.ResponseStarted("resp_1", {}))
    call.tool("route_call")
    call.done()
    assert ended_with(call.wait_for_deadline()) == Resolved("{}")


def test_the_caller_speaking_again_cancels_the_ending(talking_call: Rehearse) -> None:
    call = decided(talking_call())
    call.echo(call.marks_of(call.delta(1000, "item_2", "resp_2"))[0])
    stopped = call.feed(rt.SpeechStarted("user_2", 0), after_ms=300)
    assert stopped[:2] == [tw.ClearPlayback(), rt.TruncateItem("item_2", 0, 300)]
    assert isinstance(stopped[2], rt.AddText)
    assert call.session.state.phase is Phase.TALKING


def test_a_cancelled_ending_can_be_decided_anew(talking_call: Rehearse) -> None:
    call = decided(talking_call())
    call.feed(rt.SpeechStarted("user_2", 0))
    call.done("resp_2", "cancelled")
    call.feed(rt.SpeechStopped("user_2", 0))
    call.feed(rt.ResponseStarted("resp_3", {}))
    call.tool("route_call", "call_2")
    assert call.done("resp_3") == [closing_wish(2)]


def test_an_ending_can_be_cancelled_only_so_often(talking_call: Rehearse) -> None:
    call = decided(talking_call(max_cancelled_endings=0))
    call.echo(call.marks_of(call.delta(1000, "item_2", "resp_2"))[0])
    assert call.feed(rt.SpeechStarted("user_2", 0), after_ms=300) == []
    assert call.session.state.phase is Phase.CLOSING


def test_the_terminal_mark_of_a_cancelled_ending_ends_nothing(talking_call: Rehearse) -> None:
    call = decided(talking_call())
    call.delta(1000, "item_2", "resp_2")
    terminal = call.marks_of(call.done("resp_2"))
    call.feed(rt.SpeechStarted("user_2", 0))
    assert call.echo(*terminal) == []
    assert call.session.state.phase is Phase.TALKING


def test_the_servers_own_answer_during_the_ending_is_kept_silent(talking_call: Rehearse) -> None:
    call = decided(talking_call(max_cancelled_endings=0))
    call.done("resp_2")
    assert call.feed(rt.ResponseStarted("resp_3", {})) == [rt.CancelResponse("resp_3")]
    assert call.delta(200, "item_3", "resp_3") == []


def test_a_caller_who_hangs_up_is_an_outcome(talking_call: Rehearse) -> None:
    assert ended_with(talking_call().feed(tw.Stop("CA1"))) == CallerLeft()


def test_a_lost_stream_is_the_assistants_failure_since_the_call_may_live(
    talking_call: Rehearse,
) -> None:
    outcome = ended_with(talking_call().feed(CallerLegClosed("stream_closed")))
    assert outcome == AssistantFailed("stream_closed")


def test_a_lost_model_gives_the_call_up(talking_call: Rehearse) -> None:
    outcome = ended_with(talking_call(max_reconnects=0).feed(ModelLegClosed("model_closed_1011")))
    assert outcome == AssistantFailed("model_closed_1011")


def test_a_model_lost_during_the_closing_line_does_not_change_the_decision(
    talking_call: Rehearse,
) -> None:
    call = decided(talking_call())
    call.delta(1000, "item_2", "resp_2")
    terminal = call.marks_of(call.feed(ModelLegClosed("model_closed_1006")))
    assert call.echo(*terminal) == [EndCall(Resolved("{}"))]


def test_nothing_follows_the_end(talking_call: Rehearse) -> None:
    call = talking_call()
    call.feed(tw.Stop("CA1"))
    assert call.feed(rt.SpeechStarted("user_1", 0)) == []
    assert call.feed(ModelLegClosed("model_closed_1006")) == []
    assert call.session.next_deadline is None
