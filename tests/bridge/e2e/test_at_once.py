"""Paths that never wait for the model: trigger phrases, keys, a second wish for a person."""

from __future__ import annotations

import re

import pytest

from loadtest.twilio import (
    Callee,
    CallResult,
    Dialled,
    FlexTask,
    InterruptAfterMs,
    Press,
    StayOnLine,
    Step,
    StudioReturn,
    WaitForStream,
    WaitUntilAssistantSilent,
)
from tests.bridge.e2e.conftest import Start
from tests.bridge.e2e.system import TURN, model

ACCEPTS = {"+14155550111": Callee(rings_ms=20, keys=((20, "1"),))}
LISTENING = (WaitForStream(), TURN, InterruptAfterMs(300))
"""The assistant is in the middle of a five-second sentence."""


def stream_ms(call: CallResult) -> int:
    """How long the stream was open."""
    (stream,) = call.streams
    assert stream.started is not None
    assert stream.ended is not None
    return round((stream.ended - stream.started) * 1000)


@pytest.mark.parametrize(
    "words", ["My basement is FLOODING!", "we have a burst pipe", "It's flooding, not an emergency"]
)
async def test_a_trigger_phrase_moves_the_call_in_the_middle_of_the_assistants_sentence(
    start: Start, words: str
) -> None:
    system = await start(model("long", said=["Hello.", words]))
    call = await system.call(*LISTENING, TURN, StayOnLine(20_000), callees=ACCEPTS)
    assert isinstance(call.outcome, Dialled)
    decision = await system.decision(call)
    assert (decision.intent, decision.reason) == ("emergency", "trigger")
    assert stream_ms(call) < 4000, "nobody waited for the sentence"
    (stream,) = call.streams
    assert stream.clears >= 1
    (session,) = system.realtime.sessions
    assert [one for one in session.timeline if one.what == "tool_called"] == []


@pytest.mark.parametrize("words", ["There is no flooding.", "It is not a burst pipe."])
async def test_a_denied_phrase_moves_nobody(start: Start, words: str) -> None:
    system = await start(model("moment", said=[words]))
    call = await system.call(
        WaitForStream(), TURN, WaitUntilAssistantSilent(300, 5000), Press("1"), StayOnLine(20_000)
    )
    decision = await system.decision(call)
    assert (decision.intent, decision.reason) == ("schedule", "digit")


@pytest.mark.parametrize(
    ("key", "intent", "outcome"),
    [("0", "human", FlexTask), ("9", "emergency", Dialled), ("1", "schedule", StudioReturn)],
)
async def test_a_key_moves_the_call_in_the_middle_of_the_assistants_sentence(
    start: Start, key: str, intent: str, outcome: type
) -> None:
    system = await start(model("long"))
    steps: tuple[Step, ...] = (*LISTENING, Press(key), StayOnLine(20_000))
    call = await system.call(*steps, callees=ACCEPTS)
    assert isinstance(call.outcome, outcome)
    decision = await system.decision(call)
    assert (decision.intent, decision.reason) == (intent, "digit")
    assert stream_ms(call) < 4000


async def test_the_second_wish_for_a_person_is_granted_at_once(start: Start) -> None:
    wish = "Can I speak to a real person please?"
    system = await start(model("long", said=[wish, wish]))
    call = await system.call(*LISTENING, TURN, StayOnLine(20_000))
    assert isinstance(call.outcome, FlexTask)
    assert call.outcome.attributes["queue"] == "front_desk"
    decision = await system.decision(call)
    assert (decision.intent, decision.reason) == ("human", "person_requested")
    assert stream_ms(call) < 4000


async def test_the_first_wish_is_the_assistants_to_answer(start: Start) -> None:
    system = await start(model("moment", said=["Can I speak to a real person please?", "Oh well."]))
    steps = (WaitForStream(), TURN, WaitUntilAssistantSilent(300, 5000), TURN)
    call = await system.call(
        *steps, WaitUntilAssistantSilent(300, 5000), Press("1"), StayOnLine(20_000)
    )
    assert (await system.decision(call)).reason == "digit"


async def test_the_words_said_last_travel_along_although_the_model_gave_no_summary(
    start: Start,
) -> None:
    system = await start(model("long", said=["Hello.", "There is a burst pipe in my kitchen!"]))
    call = await system.call(*LISTENING, TURN, StayOnLine(20_000), callees=ACCEPTS)
    envelope = (await system.decision(call)).envelope
    assert envelope["summary"] == 'The caller said: "There is a burst pipe in my kitchen!"'
    assert envelope["urgency"] == "emergency"


async def test_of_a_sentence_that_was_cut_the_agent_reads_what_the_caller_heard(
    start: Start,
) -> None:
    system = await start(model("long", said=["Hello."]))
    steps = (WaitForStream(), TURN, InterruptAfterMs(2000), Press("0"), StayOnLine(20_000))
    call = await system.call(*steps)
    assert isinstance(call.outcome, FlexTask)
    turns = call.outcome.attributes["turns"]
    assert isinstance(turns, list)
    assert turns[-1]["who"] == "assistant"
    assert re.fullmatch("Let me( tell)?( you)? …", turns[-1]["text"])
