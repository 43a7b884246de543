"""What was said, in the order it was said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.call.events import ModelReady
from bridge.call.transcript import Transcript, heard_words
from bridge.protocol import realtime as rt
from tests.bridge.call.conftest import Rehearse


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
