"""The four calls of the demo."""

from __future__ import annotations

import pytest

from loadtest.demo import Destination, call_names, demo_call
from loadtest.demo.voice import demo_lines, spoken, trimmed
from loadtest.realtime import SimulatedRealtime, SimulatorOptions
from loadtest.realtime.callbook import CallBook
from loadtest.realtime.scenario import CallTool
from loadtest.twilio import InterruptAfterMs, Speak, WaitUntilAssistantSilent
from loadtest.twilio.audio import is_audible


def test_the_calls_go_to_flex_to_studio_to_another_queue_and_nowhere() -> None:
    assert {name: demo_call(name).expected for name in call_names()} == {
        "emergency": Destination("flex", "emergency", "emergency"),
        "schedule": Destination("studio", "schedule", "scheduling"),
        "billing": Destination("flex", "billing", "billing"),
        "question": Destination("resolved"),
    }


@pytest.mark.parametrize("name", call_names())
def test_everything_a_caller_says_is_audible_and_known_to_the_simulated_model(name: str) -> None:
    call = demo_call(name)
    texts = tuple(one.text for one in call.spoken)
    assert call.scenario.caller_turns[: len(texts)] == texts
    assert all(one.clip.speech is not None for one in call.spoken)


@pytest.mark.parametrize("name", call_names())
def test_every_line_of_the_scripts_can_be_spoken(name: str) -> None:
    SimulatedRealtime(SimulatorOptions(scenario=demo_call(name).scenario, lines=demo_lines()))


def test_a_call_is_recognised_by_its_first_words_and_not_by_those_of_another() -> None:
    calls = [demo_call(name) for name in call_names()]
    book = CallBook(call.known for call in calls)
    found = [book.find(call.known.recording) for call in calls]
    assert [one and one.scenario.name for one in found] == [call.scenario.name for call in calls]


def test_only_the_caller_with_the_slow_drain_interrupts() -> None:
    interrupting = {
        name: [one.text for one in demo_call(name).spoken if one.interrupts]
        for name in call_names()
    }
    assert interrupting == {
        "emergency": [],
        "schedule": ["I need someone to come and look at a slow drain in the bathroom."],
        "billing": [],
        "question": [],
    }


def test_callers_wait_for_silence_except_where_they_interrupt() -> None:
    steps = demo_call("schedule").script.steps
    assert [type(step) for step in steps if not isinstance(step, Speak)][:4] == [
        WaitUntilAssistantSilent,
        InterruptAfterMs,
        WaitUntilAssistantSilent,
        WaitUntilAssistantSilent,
    ]


def test_the_models_tool_call_agrees_with_what_the_caller_said() -> None:
    for name in ("schedule", "billing"):
        call = demo_call(name)
        tool = call.scenario.tool_call("route_call")
        assert isinstance(tool, CallTool)
        slots = tool.arguments["slots"]
        assert f"My name is {slots['name']}." in call.scenario.caller_turns
        assert slots["callback"] == call.from_number


def test_a_destination_reads_as_words() -> None:
    assert str(Destination("flex", "billing", "billing")) == "Flex, intent billing, queue billing"
    assert str(Destination("resolved")) == "resolved on the line"


# --- the voice ------------------------------------------------------------------------------


def test_lines_begin_two_frames_before_their_first_sound() -> None:
    for name in demo_lines().names:
        ulaw = spoken(demo_lines().text(name))
        assert ulaw is not None
        frames = [ulaw[at : at + 160] for at in range(0, 800, 160)]
        assert [is_audible(frame) for frame in frames[:3]] == [False, False, True], name


def test_what_was_never_recorded_is_not_spoken() -> None:
    assert spoken("Nobody ever said this.") is None


def test_silence_stays_as_it_is() -> None:
    assert trimmed(b"\xff" * 1600) == b"\xff" * 1600
