"""What happens when nothing happens: either side silent, stalled, or failing."""

from __future__ import annotations

import pytest

from bridge.call.effects import Effect
from bridge.call.events import TimePassed, ToolFinished
from bridge.call.state import Phase, Script
from bridge.call.watch import STILL_THERE, TOO_LOUD
from bridge.protocol import realtime as rt
from bridge.protocol import twilio_stream as tw
from dispatch.outcome import AssistantFailed, LimitKind, LimitReached, Resolved
from tests.bridge.call.conftest import Rehearse
from tests.bridge.call.rehearsal import Rehearsal, ended_with

ASK_AGAIN = rt.CreateResponse(event_id="create_1")


def wait(call: Rehearsal, seconds: float, *, hearing: bool = True) -> list[Effect]:
    """Time passes; frames of the caller keep coming unless not ``hearing``."""
    call.now += seconds
    if hearing:
        call.session.turns.audio.last_frame_at = call.now
    return call.feed(TimePassed())


def said(call: Rehearsal, ms: int = 1000, response: str = "resp_1", item: str = "item_1") -> None:
    """The assistant says something, heard to its end."""
    marks = call.speak(ms, item, response)
    call.feed(rt.AudioDone(response, item, 0))
    call.done(response)
    call.echo(*marks, after_ms=ms)


# --- the caller is silent -----------------------------------------------------------------------


def test_a_silent_caller_is_asked_once_and_then_moved_on(talking_call: Rehearse) -> None:
    call = talking_call(caller_silence_s=10.0)
    said(call)
    assert wait(call, 9.9) == []
    assert wait(call, 0.2) == [rt.AddText("system", STILL_THERE), ASK_AGAIN]
    said(call, 500, "resp_2", "item_2")
    wait(call, 10.0)
    assert call.session.state.phase is Phase.CLOSING
    assert ended_with(wait(call, 4.0)) == LimitReached("silence")


def test_silence_counts_from_when_the_last_audio_is_played_and_not_from_when_it_was_sent(
    talking_call: Rehearse,
) -> None:
    call = talking_call(caller_silence_s=10.0)
    marks = call.speak(8000)
    call.echo(marks[0])
    call.done()
    assert wait(call, 17.9) == []
    assert wait(call, 0.2) == [rt.AddText("system", STILL_THERE), ASK_AGAIN]


def test_a_caller_who_speaks_is_not_silent(talking_call: Rehearse) -> None:
    call = talking_call(caller_silence_s=10.0)
    said(call)
    wait(call, 9.0)
    call.feed(rt.SpeechStarted("user_1", 0))
    assert wait(call, 5.0) == []


def test_a_caller_who_answered_the_question_is_asked_again_the_next_time(
    talking_call: Rehearse,
) -> None:
    call = talking_call(caller_silence_s=10.0)
    said(call)
    wait(call, 10.0)
    said(call, 500, "resp_2", "item_2")
    call.caller_turn()
    said(call, 500, "resp_3", "item_3")
    assert wait(call, 10.0)[0] == rt.AddText("system", STILL_THERE)


def test_a_key_is_a_sign_of_life_and_silence_is_counted_anew(talking_call: Rehearse) -> None:
    call = talking_call(caller_silence_s=10.0)
    said(call)
    wait(call, 9.0)
    call.feed(tw.Dtmf("#"))
    assert wait(call, 9.9) == []
    assert wait(call, 0.2) == [rt.AddText("system", STILL_THERE), ASK_AGAIN]


def test_a_caller_who_says_nothing_from_the_start_is_asked_too(talking_call: Rehearse) -> None:
    call = talking_call(caller_silence_s=10.0)
    assert wait(call, 10.1) == [rt.AddText("system", STILL_THERE), ASK_AGAIN]


def test_a_line_without_any_audio_is_a_caller_who_is_gone(talking_call: Rehearse) -> None:
    call = talking_call(media_stall_s=10.0, caller_silence_s=60.0)
    wait(call, 9.0)
    assert wait(call, 9.9, hearing=False) == []
    ended = wait(call, 0.2, hearing=False)
    assert ended_with(ended) == AssistantFailed("media_stalled")


# --- the model is silent ------------------------------------------------------------------------


def test_a_model_that_does_not_answer_is_asked_once_more_and_then_given_up(
    talking_call: Rehearse,
) -> None:
    call = talking_call(answer_s=6.0, response_start_s=60.0)
    call.caller_turn()
    assert wait(call, 5.9) == []
    assert wait(call, 0.2) == [ASK_AGAIN]
    ended = wait(call, 6.1)
    assert ended_with(ended) == AssistantFailed("model_silent")


def test_a_response_that_was_asked_for_and_never_begins_is_asked_for_once_more(
    talking_call: Rehearse,
) -> None:
    call = talking_call(Script(server_answers=False), answer_s=60.0, response_start_s=5.0)
    assert call.caller_turn() == [ASK_AGAIN]
    assert wait(call, 5.1) == [rt.CreateResponse(event_id="create_2")]
    ended = wait(call, 5.1)
    assert ended_with(ended) == AssistantFailed("model_silent")


def test_a_response_that_begins_and_says_nothing_is_cancelled_and_asked_for_again(
    talking_call: Rehearse,
) -> None:
    call = talking_call(answer_s=6.0)
    call.feed(rt.ResponseStarted("resp_1", {}))
    assert wait(call, 6.1) == [rt.CancelResponse("resp_1")]
    assert call.done(status="cancelled") == [ASK_AGAIN]


def test_a_model_that_stalls_in_the_middle_of_a_sentence_is_cut_off_and_asked_again(
    talking_call: Rehearse,
) -> None:
    call = talking_call(answer_s=6.0)
    marks = call.speak(1000)
    call.echo(*marks, after_ms=1000)
    assert wait(call, 5.9) == []
    assert wait(call, 0.2) == [rt.CancelResponse("resp_1")]
    assert call.delta(500) == []
    assert call.done(status="cancelled") == [ASK_AGAIN]


def test_a_pause_between_two_deltas_is_no_stall(talking_call: Rehearse) -> None:
    call = talking_call(answer_s=6.0)
    call.echo(*call.speak(500), after_ms=500)
    wait(call, 5.0)
    call.delta(500)
    assert wait(call, 5.0) == []
    assert call.noted("no_answer") == []


def test_a_stalled_model_that_stays_silent_is_given_up(talking_call: Rehearse) -> None:
    call = talking_call(answer_s=6.0)
    call.echo(*call.speak(1000), after_ms=1000)
    wait(call, 6.1)
    ended = wait(call, 6.1)
    assert ended_with(ended) == AssistantFailed("model_silent")


def test_an_answer_in_audio_forgives_an_earlier_silence(talking_call: Rehearse) -> None:
    call = talking_call(answer_s=6.0)
    call.caller_turn("user_1")
    wait(call, 6.1)
    said(call)
    call.caller_turn("user_2")
    assert wait(call, 6.1) == [rt.CreateResponse(event_id="create_2")]


def test_pressing_a_key_does_not_excuse_the_model_from_answering(talking_call: Rehearse) -> None:
    call = talking_call(answer_s=6.0, digit_gap_s=1.0)
    call.caller_turn()
    call.feed(tw.Dtmf("4"))
    told = wait(call, 1.1)
    assert told == [rt.AddText("user", "(The caller pressed these keys on the phone: 4)")]
    assert wait(call, 6.1) == [ASK_AGAIN]


# --- failing responses --------------------------------------------------------------------------


def test_a_failed_response_is_not_asked_for_again_when_the_caller_has_spoken_since(
    talking_call: Rehearse,
) -> None:
    call = talking_call(retry_after_s=1.0)
    call.caller_turn("user_1")
    call.feed(rt.ResponseStarted("resp_1", {}))
    call.done(status="failed", code="server_error")
    call.caller_turn("user_2")  # takes longer than the retry would have waited
    call.feed(rt.ResponseStarted("resp_2", {}))
    wait(call, 1.1)
    assert call.done("resp_2") == []


def test_the_retry_of_a_failed_response_gets_the_whole_time_to_answer(
    talking_call: Rehearse,
) -> None:
    call = talking_call(answer_s=6.0, retry_after_s=1.0)
    call.caller_turn()
    call.feed(rt.ResponseStarted("resp_1", {}), after_ms=5500)
    call.done(status="failed", code="inference_rate_limit_exceeded")
    assert wait(call, 1.0) == [ASK_AGAIN]
    assert call.noted("no_answer") == []


# --- limits -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "kind"),
    [({"undecided_s": 30.0}, "decide"), ({"max_call_s": 30.0}, "longest_call")],
    ids=["undecided", "longest call"],
)
def test_time_runs_out(talking_call: Rehearse, limits: dict[str, float], kind: LimitKind) -> None:
    call = talking_call(caller_silence_s=100.0, closing_start_s=4.0, **limits)
    closing = wait(call, 30.0)
    assert [type(effect) for effect in closing] == [rt.CreateResponse]
    ended = wait(call, 4.1)
    assert ended_with(ended) == LimitReached(kind)


def test_turns_run_out(talking_call: Rehearse) -> None:
    call = talking_call(max_turns=2)
    call.caller_turn("user_1")
    call.caller_turn("user_2")
    assert call.noted("limit") == []
    call.caller_turn("user_3")
    assert call.session.state.phase is Phase.CLOSING
    assert call.noted("limit")[0].fields == {"kind": "turns"}


def test_a_limit_that_comes_due_while_the_call_is_ending_changes_nothing(
    talking_call: Rehearse,
) -> None:
    limits = {"max_call_s": 30.0, "undecided_s": 29.0, "caller_silence_s": 100.0}
    call = talking_call(closing_start_s=4.0, **limits)
    wait(call, 28.0)
    call.feed(rt.ResponseStarted("resp_1", {}))
    call.tool("route_call")
    call.done()
    wait(call, 2.5)
    assert ended_with(wait(call, 4.0)) == Resolved("{}")


# --- the caller talks on ------------------------------------------------------------------------


def looked_up(call: Rehearsal) -> Rehearsal:
    """The model has looked something up; the answer is not there yet."""
    call.caller_turn()
    call.feed(rt.ResponseStarted("resp_1", {}))
    call.tool("orders")
    call.done()
    return call


def test_a_caller_who_talks_on_is_not_cut_off_by_an_answer_that_has_to_wait(
    talking_call: Rehearse,
) -> None:
    call = looked_up(talking_call(answer_s=5.0))
    call.feed(rt.SpeechStarted("user_2", 2000), after_ms=300)
    call.feed(ToolFinished("call_1", "{}"), after_ms=500)
    assert wait(call, 5.1) == []
    assert wait(call, 5.1) == []
    assert (call.session.state.phase, call.noted("no_answer")) == (Phase.TALKING, [])
    call.feed(rt.SpeechStopped("user_2", 14000))
    assert wait(call, 5.1) == [ASK_AGAIN]


def test_one_silence_counts_once(talking_call: Rehearse) -> None:
    """The answer and the response that was asked for are waited for at the same time."""
    call = looked_up(talking_call(answer_s=5.0, response_start_s=5.0))
    asked = call.feed(ToolFinished("call_1", "{}"), after_ms=500)
    assert asked == [rt.AddToolOutput("call_1", "{}"), ASK_AGAIN]
    assert wait(call, 5.1) == [rt.CreateResponse(event_id="create_2")]
    assert len(call.noted("no_answer")) == 1
    wait(call, 5.1)
    assert call.noted("gave_up")[0].fields == {"reason": "model_silent"}


def test_a_line_that_is_never_silent_is_told_so_once_and_then_moved_on(
    talking_call: Rehearse,
) -> None:
    call = talking_call(speech_s=30.0)
    call.feed(rt.SpeechStarted("user_1", 0))
    assert wait(call, 29.9) == []
    assert wait(call, 0.2) == [rt.AddText("system", TOO_LOUD), ASK_AGAIN]
    said(call)
    wait(call, 30.0)
    assert call.session.state.phase is Phase.CLOSING
    assert call.noted("limit")[0].fields == {"kind": "decide"}


def test_a_pause_begins_the_count_of_loudness_anew(talking_call: Rehearse) -> None:
    call = talking_call(speech_s=30.0)
    for _ in range(2):
        call.feed(rt.SpeechStarted("user_1", 0))
        assert wait(call, 30.1) == [
            rt.AddText("system", TOO_LOUD),
            rt.CreateResponse(event_id=f"create_{len(call.noted('no_pause'))}"),
        ]
        said(call)
        call.feed(rt.SpeechStopped("user_1", 1000))
        said(call, 500, "resp_2", "item_2")
    assert call.session.state.phase is Phase.TALKING
