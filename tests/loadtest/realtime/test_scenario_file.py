from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from loadtest.realtime import (
    FaultPlan,
    Scenario,
    ScenarioError,
    assistant_lines,
    load_scenario,
    parse_scenario,
    scenario_names,
)
from loadtest.realtime.scenario import CallTool, Drop, Fail, Incomplete, Say, SayAny, Step, Text


def parse(text: str) -> Scenario:
    return parse_scenario("test", tomllib.loads(text))


def test_every_key_has_its_meaning() -> None:
    scenario = parse(
        """
        description = "all of it"
        caller_turns = ["one"]
        slots = { name = "Kim" }
        [faults]
        fail_responses = { 2 = "server_error" }
        failed_transcripts = [1]
        drop_responses = { 3 = "reset" }
        [[step]]
        on = "turn"
        turn = 2
        do = [
            { say = "greeting", stall_at_ms = 100, stall_for_ms = 50 },
            { say = ["a", "b"], drop = "1011", drop_at_ms = 10 },
            { say_any = ["a"] },
            { text = "written" },
            { tool = "f", arguments = { n = 1 } },
            { fail = "server_error" },
            { incomplete = "content_filter" },
            { drop = "half_open" },
        ]
        [[step]]
        on = "text"
        contains = "0"
        """
    )
    assert scenario == Scenario(
        name="test",
        description="all of it",
        caller_turns=("one",),
        slots={"name": "Kim"},
        faults=FaultPlan(
            fail_responses={2: "server_error"},
            failed_transcripts=frozenset({1}),
            drop_responses={3: "reset"},
        ),
        steps=(
            Step(
                on="turn",
                turn=2,
                do=(
                    Say(("greeting",), stall_at_ms=100, stall_for_ms=50),
                    Say(("a", "b"), drop="1011", drop_at_ms=10),
                    SayAny(("a",)),
                    Text("written"),
                    CallTool("f", {"n": 1}),
                    Fail("server_error"),
                    Incomplete("content_filter"),
                    Drop("half_open"),
                ),
            ),
            Step(on="text", contains="0", do=()),
        ),
    )


WRONG = {
    "unknown key": ("colour = 1", "the scenario has unknown keys colour"),
    "no step": ("description = 'x'", r"step is missing, expected at least one \[\[step\]\]"),
    "unknown trigger": ("step = [{ on = 'never' }]", "step 1: on is 'never', expected one of"),
    "turn zero": ("step = [{ on = 'turn', turn = 0 }]", "step 1: turn is 0, expected a number"),
    "unknown action": (
        "step = [{ on = 'turn', do = [{ sing = 'x' }] }]",
        "step 1, action 1: {'sing': 'x'} has none of say",
    ),
    "key of another action": (
        "step = [{ on = 'turn', do = [{ text = 'x', arguments = {} }] }]",
        "step 1, action 1 has unknown keys arguments",
    ),
    "unknown cut": (
        "step = [{ on = 'turn', do = [{ drop = 'softly' }] }]",
        "step 1, action 1: drop is 'softly', expected one of 1001",
    ),
    "line that is a number": (
        "step = [{ on = 'turn', do = [{ say = 1 }] }]",
        "step 1, action 1: say is 1",
    ),
    "negative time": (
        "step = [{ on = 'turn', do = [{ say = 'x', stall_at_ms = -1 }] }]",
        "stall_at_ms is -1, expected milliseconds",
    ),
    "unknown fault": (
        "faults = { gremlins = true }\nstep = [{ on = 'turn' }]",
        "faults has unknown keys gremlins",
    ),
    "fault of the wrong kind": (
        "faults = { create_delay_ms = 'long' }\nstep = [{ on = 'turn' }]",
        "faults.create_delay_ms is 'long', expected a number of milliseconds",
    ),
    "response that is no number": (
        "faults = { fail_responses = { first = 'server_error' } }\nstep = [{ on = 'turn' }]",
        "faults.fail_responses has key 'first', expected the number of a response",
    ),
}


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_named(text: str, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        parse(text)


def test_a_file_of_ones_own_is_loaded_by_its_path(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[[step]]\non = 'turn'\ndo = [{ say = 'greeting' }]\n")
    assert load_scenario(str(file)).name == "mine"
    file_with_error = tmp_path / "broken.toml"
    file_with_error.write_text("step = 1 2")
    with pytest.raises(ScenarioError, match=r"broken\.toml: "):
        load_scenario(str(file_with_error))


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ScenarioError, match="no scenario 'nothing'; there are: billing, demo"):
        load_scenario("nothing")


@pytest.mark.parametrize("name", scenario_names())
def test_every_shipped_scenario_speaks_lines_that_exist(name: str) -> None:
    scenario = load_scenario(name)
    assert scenario.lines <= assistant_lines().names
    assert scenario.description
