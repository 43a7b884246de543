"""How a call begins: who speaks first, and what the model is told of it."""

from __future__ import annotations

import pytest

from bridge.call.events import CallerStarted, ModelLegClosed, ModelReady
from bridge.call.state import Phase, Script
from bridge.call.voice import CachedLine
from bridge.protocol import realtime as rt
from bridge.protocol import twilio_stream as tw
from dispatch.outcome import AssistantFailed
from tests.bridge.call.conftest import Rehearse
from tests.bridge.call.rehearsal import Rehearsal, audio, ended_with

WORDS = "One two three four five six seven eight nine ten"
GREETED = Script(greeting=WORDS, greeting_line=CachedLine(WORDS, (audio(600), audio(400))))
ASKED = Script(greeting="Good morning.")
PLAYED = [
    tw.SendMark("a0.0.greeting"),
    tw.PlayAudio(audio(600)),
    tw.SendMark("a0.600.greeting"),
    tw.PlayAudio(audio(400)),
    tw.SendMark("a0.1000.greeting"),
]
TOLD = rt.AddText("assistant", WORDS, item_id="greeting")


def test_the_cached_greeting_plays_at_once_and_the_model_is_told_when_it_is_there(
    new_call: Rehearse,
) -> None:
    call = new_call(GREETED)
    assert call.feed(CallerStarted()) == PLAYED
    assert call.feed(ModelReady(), after_ms=700) == [TOLD]


def test_with_a_warm_session_the_model_is_told_at_once(new_call: Rehearse) -> None:
    call = new_call(GREETED)
    assert call.feed(ModelReady()) == []
    assert call.feed(CallerStarted()) == [*PLAYED, TOLD]


def test_without_a_cached_line_the_model_is_asked_to_say_the_greeting(new_call: Rehearse) -> None:
    call = new_call(ASKED)
    assert call.feed(CallerStarted()) == []
    assert call.feed(ModelReady()) == [
        rt.CreateResponse(
            'Say exactly this sentence and nothing else: "Good morning."', "none", "create_1"
        )
    ]


def test_with_an_empty_greeting_nothing_is_sent_and_the_caller_speaks_first(
    new_call: Rehearse,
) -> None:
    call = new_call(Script(greeting=""))
    assert call.feed(CallerStarted()) == []
    assert call.feed(ModelReady()) == []


def test_what_is_known_of_the_caller_is_told_before_what_was_said(new_call: Rehearse) -> None:
    script = Script(greeting=WORDS, greeting_line=GREETED.greeting_line, brief="They call again.")
    call = new_call(script)
    call.feed(CallerStarted())
    assert call.feed(ModelReady()) == [rt.AddText("system", "They call again."), TOLD]


@pytest.mark.parametrize(
    ("heard_ms", "words"),
    [(300, "One two three …"), (550, "One two three four five …"), (40, "…")],
    ids=["a third", "half", "hardly anything"],
)
def test_of_an_interrupted_greeting_the_model_is_told_only_what_was_heard(
    new_call: Rehearse, heard_ms: int, words: str
) -> None:
    call = new_call(GREETED)
    call.feed(CallerStarted())
    call.feed(ModelReady())
    call.echo("a0.0.greeting")
    assert call.feed(rt.SpeechStarted("user_1", 0), after_ms=heard_ms) == [
        tw.ClearPlayback(),
        rt.DeleteItem("greeting"),
        rt.AddText("assistant", words, item_id="greeting_cut"),
    ]


def test_a_greeting_that_nobody_heard_is_taken_out_of_the_conversation(new_call: Rehearse) -> None:
    call = new_call(GREETED)
    call.feed(CallerStarted())
    call.feed(ModelReady())
    assert call.feed(rt.SpeechStarted("user_1", 0), after_ms=30) == [
        tw.ClearPlayback(),
        rt.DeleteItem("greeting"),
    ]
    assert call.session.state.transcript.lines() == []


def test_a_greeting_heard_to_its_end_stays_as_it_was_told(new_call: Rehearse) -> None:
    call = new_call(GREETED)
    call.feed(CallerStarted())
    call.feed(ModelReady())
    call.echo("a0.0.greeting", "a0.600.greeting", "a0.1000.greeting")
    assert call.feed(rt.SpeechStarted("user_1", 0)) == []
    assert call.session.state.transcript.lines() == [("assistant", WORDS)]


def test_a_model_that_is_not_ready_in_time_gives_the_call_up(new_call: Rehearse) -> None:
    call = new_call(ASKED, model_ready_s=5.0)
    call.feed(CallerStarted())
    assert call.session.next_deadline == call.now + 5.0
    assert ended_with(call.wait_for_deadline()) == AssistantFailed("model_not_ready")


def test_a_model_that_was_refused_gives_the_call_up_with_its_reason(new_call: Rehearse) -> None:
    call = new_call(GREETED)
    call.feed(CallerStarted())
    effects = call.feed(ModelLegClosed("configuration_refused"))
    assert ended_with(effects) == AssistantFailed("configuration_refused")


def test_with_a_cached_apology_the_caller_hears_it_before_the_call_moves(
    new_call: Rehearse,
) -> None:
    apology = CachedLine("I am sorry.", (audio(500),))
    call = new_call(Script(greeting=WORDS, apology_line=apology), max_reconnects=0)
    call.feed(CallerStarted())
    assert call.feed(ModelLegClosed("model_unreachable")) == [
        tw.SendMark("a0.0.line"),
        tw.PlayAudio(audio(500)),
        tw.SendMark("a0.500.line"),
        tw.SendMark("t1.0.end"),
    ]
    call.echo("a0.0.line", "a0.500.line", after_ms=500)
    assert ended_with(call.echo("t1.0.end")) == AssistantFailed("model_unreachable")
    assert call.session.state.transcript.lines() == [("assistant", "I am sorry.")]


def test_a_second_start_of_the_call_changes_nothing(talking_call: Rehearse) -> None:
    call: Rehearsal = talking_call()
    assert call.feed(CallerStarted()) == []
    assert call.session.state.phase is Phase.TALKING
