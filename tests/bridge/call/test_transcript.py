"""What was said, in the order it was said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.call.events import ModelLegClosed, ModelReady
from bridge.call.transcript import Transcript, heard_words
from bridge.protocol import realtime as rt
from bridge.protocol import twilio_stream as tw
from tests.bridge.call.conftest import Rehearse
from tests.bridge.call.rehearsal import Rehearsal


def test_lines_keep_the_order_of_the_audio_however_late_the_words_come() -> None:
    transcript = Transcript()
    transcript.begin("caller", "user_1", 100)
    transcript.begin("assistant", "item_1", 900)
    transcript.words("assistant", "item_1", "Good morning.", 1500)
    transcript.words("caller", "user_1", " Hello? ", 2000)
    assert transcript.lines() == [("caller", "Hello?"), ("assistant", "Good morning.")]
    assert [u.at_ms for u in transcript.utterances] == [100, 900]


def test_audio_without_words_is_no_line_but_an_utterance() -> None:
    transcript = Transcript()
    transcript.begin("caller", "user_1", 100)
    assert (transcript.lines(), len(transcript.utterances)) == ([], 1)


def test_an_interrupted_line_ends_where_it_was_cut_also_when_its_words_come_later() -> None:
    transcript = Transcript()
    transcript.begin("assistant", "item_1", 0)
    transcript.cut("item_1", 500, 1000)
    transcript.words("assistant", "item_1", "one two three four", 700)
    assert transcript.lines() == [("assistant", "one two …")]


def test_a_line_that_nobody_heard_is_left_out() -> None:
    transcript = Transcript()
    transcript.begin("assistant", "item_1", 0)
    transcript.cut("item_1", 0, 1000)
    transcript.words("assistant", "item_1", "one two", 700)
    assert transcript.lines() == []


@pytest.mark.parametrize(
    ("fraction", "heard"),
    [(1.0, "one two three four"), (0.5, "one two …"), (0.74, "one two …"), (0.0, "…")],
)
def test_words_are_cut_between_and_never_within(fraction: float, heard: str) -> None:
    assert heard_words("one two three four", fraction) == heard


@given(st.text(max_size=80), st.floats(0, 0.999))
def test_what_was_heard_is_the_beginning_of_what_was_said(text: str, fraction: float) -> None:
    *kept, end = heard_words(text, fraction).split(" ")
    assert end == "…"
    assert kept == text.split()[: len(kept)]


# --- as the call writes it ----------------------------------------------------------------------


def test_words_of_the_caller_that_are_reported_twice_count_once(talking_call: Rehearse) -> None:
    call = talking_call()
    call.caller_turn()
    said = rt.CallerTranscript("user_1", "Hello?", 1.5)
    call.feed(said)
    assert call.feed(said) == []
    assert len(call.noted("caller_said")) == 1
    assert call.session.state.usage.transcribed_seconds == 1.5


def test_a_failed_transcript_is_noted_and_leaves_no_line(talking_call: Rehearse) -> None:
    call = talking_call()
    call.caller_turn()
    call.feed(rt.CallerTranscriptFailed("user_1", "audio_unintelligible", ""))
    assert call.noted("transcript_failed")[0].fields == {
        "item": "user_1",
        "code": "audio_unintelligible",
    }
    assert call.session.state.transcript.lines() == []


def test_words_of_a_response_that_was_kept_silent_were_not_said(talking_call: Rehearse) -> None:
    call = talking_call()
    call.tool("unknown")
    call.feed(rt.SpeechStarted("user_1", 0))
    call.feed(rt.ResponseStarted("resp_2", {}))
    call.feed(rt.AssistantTranscript("resp_2", "item_2", "Nobody hears this."))
    assert call.session.state.transcript.lines() == []


def test_words_of_an_interrupted_item_are_kept_as_far_as_they_were_heard(
    talking_call: Rehearse,
) -> None:
    call = talking_call()
    call.feed(ModelReady())
    marks = call.speak(1000)
    call.echo(marks[0])
    call.feed(rt.SpeechStarted("user_1", 0), after_ms=500)
    call.feed(rt.AssistantTranscript("resp_1", "item_1", "one two three four"))
    call.done(status="cancelled")
    assert call.session.state.transcript.lines() == [("assistant", "one two …")]


def say(call: Rehearsal, *words: str, item: str = "item_1", response: str = "resp_1") -> None:
    for piece in words:
        call.feed(rt.AssistantTranscriptDelta(response, item, piece))


def test_an_interrupted_sentence_leaves_the_words_that_were_heard_though_its_end_never_comes(
    talking_call: Rehearse,
) -> None:
    call = talking_call()
    marks = call.speak(1000)
    say(call, "one two", " three", " four")
    call.echo(marks[0])
    call.feed(rt.SpeechStarted("user_1", 0), after_ms=500)
    say(call, " five six seven eight")
    call.done(status="cancelled")
    assert call.session.state.transcript.lines() == [("assistant", "one two …")]
    assert [(note.fields, note.words) for note in call.noted("assistant_said")] == [
        ({"item": "item_1", "whole": False}, "one two three four")
    ]


def test_a_sentence_that_is_whole_is_told_once_and_whole(talking_call: Rehearse) -> None:
    call = talking_call()
    call.speak(1000)
    say(call, "one", " two")
    call.feed(rt.AssistantTranscript("resp_1", "item_1", "one two three"))
    say(call, " three")
    call.done()
    assert call.session.state.transcript.lines() == [("assistant", "one two three")]
    assert [note.words for note in call.noted("assistant_said")] == ["one two three"]


def test_a_key_in_the_middle_of_a_sentence_takes_its_words_along(talking_call: Rehearse) -> None:
    call = talking_call()
    marks = call.speak(1000)
    say(call, "one two three four")
    call.echo(marks[0])
    call.feed(tw.Dtmf("9"), after_ms=500)
    assert call.session.state.transcript.lines() == [("assistant", "one two …")]


def test_a_model_that_is_lost_in_the_middle_of_a_sentence_leaves_its_words(
    talking_call: Rehearse,
) -> None:
    call = talking_call()
    call.speak(1000)
    say(call, "We open at", " eight")
    call.feed(ModelLegClosed("model_closed_1011"))
    assert call.session.state.transcript.lines() == [("assistant", "We open at eight")]
    assert rt.AddText("assistant", "We open at eight") in call.feed(ModelReady())


def test_a_caller_who_hangs_up_in_the_middle_of_a_sentence_leaves_its_words_in_the_record(
    talking_call: Rehearse,
) -> None:
    call = talking_call()
    call.speak(1000)
    say(call, "We open")
    call.feed(tw.Stop("CA1"))
    assert [note.words for note in call.noted("assistant_said")] == ["We open"]


def test_words_of_a_silent_response_are_not_gathered(talking_call: Rehearse) -> None:
    call = talking_call()
    call.tool("unknown")
    call.feed(rt.SpeechStarted("user_1", 0))
    call.feed(rt.ResponseStarted("resp_2", {}))
    say(call, "Nobody hears this.", item="item_2", response="resp_2")
    call.done("resp_2", status="cancelled")
    assert call.session.state.transcript.lines() == []
    assert call.noted("assistant_said") == []
