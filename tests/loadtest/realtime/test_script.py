from __future__ import annotations

from loadtest.realtime.scenario import CallTool, Fail, Say, Scenario, Step
from loadtest.realtime.script import (
    Asked,
    CallerSilent,
    CallerTurn,
    Greeting,
    OutOfBand,
    Script,
    ToolOutput,
    TypedText,
)


def say(line: str) -> tuple[Say]:
    return (Say((line,)),)


SCENARIO = Scenario(
    name="test",
    caller_turns=("first words", "second words"),
    slots={"name": "Kim"},
    steps=(
        Step("greeting", say("hello")),
        Step("turn", say("one"), turn=1),
        Step("turn", say("any")),
        Step("text", say("digit"), contains="Pressed 0"),
        Step("tool_output", say("closing"), tool="route_call"),
        Step("timeout", say("there?")),
        Step("timeout", say("goodbye")),
        Step("out_of_band", say("aside"), topic="intent"),
        Step("otherwise", say("pardon")),
    ),
)


def test_each_trigger_takes_the_first_step_that_fits() -> None:
    script = Script(SCENARIO)
    assert script.actions(Greeting()) == say("hello")
    assert script.actions(CallerTurn(1)) == say("one")
    assert script.actions(CallerTurn(2)) == say("any")
    assert script.actions(TypedText("The caller pressed 0.")) == say("digit")
    assert script.actions(ToolOutput("route_call")) == say("closing")
    assert script.actions(ToolOutput("lookup")) == say("pardon")
    assert script.actions(OutOfBand("intent")) == say("aside")
    assert script.actions(OutOfBand("mood")) == ()
    assert script.actions(Asked()) == say("pardon")


def test_a_trigger_that_repeats_moves_on_and_stays_at_the_last_step() -> None:
    script = Script(SCENARIO)
    assert [script.actions(CallerSilent()) for _ in range(3)] == [
        say("there?"),
        say("goodbye"),
        say("goodbye"),
    ]


def test_before_anything_was_said_a_response_is_the_greeting() -> None:
    script = Script(SCENARIO)
    assert script.trigger() == Greeting()
    script.actions(Greeting())
    script.completed(Greeting())
    assert script.trigger() == Asked()


def test_a_greeting_that_was_told_as_text_is_not_said_again() -> None:
    script = Script(SCENARIO)
    script.note_assistant_text()
    assert script.trigger() == Asked()


def test_the_latest_stimulus_is_what_a_response_answers() -> None:
    script = Script(SCENARIO)
    script.note_turn()
    script.note_tool_output("route_call")
    assert script.trigger() == ToolOutput("route_call")
    script.completed(CallerTurn(1))
    assert script.trigger() == ToolOutput("route_call")
    script.completed(ToolOutput("route_call"))
    assert script.trigger() == Asked()


def test_turns_told_after_a_reconnect_are_counted_and_the_open_one_is_answered() -> None:
    script = Script(SCENARIO)
    script.note_assistant_text()
    script.note_user_text("first words")
    script.note_assistant_text()
    script.note_user_text("second words")
    assert script.trigger() == CallerTurn(2)
    script.note_assistant_text()
    assert script.note_turn() == 3
    assert script.transcript(3) == "Caller turn 3."


def test_other_text_is_no_turn() -> None:
    script = Script(SCENARIO)
    script.note_user_text("Pressed 5")
    assert script.trigger() == TypedText("Pressed 5")
    assert script.note_turn() == 1


def test_a_system_message_counts_only_where_the_script_waits_for_it() -> None:
    script = Script(SCENARIO)
    script.note_turn()
    script.note_system_text("Go on where it stopped.")
    assert script.trigger() == CallerTurn(1)
    script.note_system_text("Somebody pressed 0.")
    assert script.trigger() == TypedText("Somebody pressed 0.")


def test_what_did_not_complete_is_answered_again() -> None:
    script = Script(SCENARIO)
    script.note_turn()
    script.not_completed(CallerTurn(1), say("one"))
    assert (script.trigger(), script.actions(CallerTurn(1))) == (CallerTurn(1), say("one"))


def test_a_scripted_failure_is_not_repeated_where_something_follows_it() -> None:
    script = Script(SCENARIO)
    script.note_turn()
    script.not_completed(CallerTurn(1), (Fail("server_error"), *say("one")))
    assert script.actions(CallerTurn(1)) == say("one")


def test_arguments_are_filled_with_the_callers_data() -> None:
    call = CallTool("f", {"who": "{name}", "deep": {"list": ["{name}!", 3]}, "other": "{mood}"})
    assert Script(SCENARIO).fill(call) == {
        "who": "Kim",
        "deep": {"list": ["Kim!", 3]},
        "other": "{mood}",
    }
