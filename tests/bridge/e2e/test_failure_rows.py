"""The rows of ``docs/failures.md`` about the model, each as a caller lives through it.

A whole call between the simulators, with the limits that are in force by default: what is heard and
in which order, that nobody is left in silence for more than 3 s, where the call ends, what its
record says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bridge.lines import LineCache
from dispatch.triagefile import load
from loadtest.chaos.verdict import SILENCE_MS, waits
from loadtest.realtime import FaultPlan, Scenario, parse_scenario
from loadtest.realtime.lines import Line, LineLibrary
from loadtest.twilio import (
    CallResult,
    StayOnLine,
    StudioReturn,
    WaitForStream,
    WaitMs,
    WaitUntilAssistantSilent,
)
from tests.bridge.e2e.conftest import Start
from tests.bridge.e2e.system import FILE, TURN, System, routes_to
from tests.bridge.legs.audio import tone

LENGTHS = {"greeting": 400, "hold": 550, "apology": 700, "closing": 900, "ask": 1500}
"""Milliseconds: how the lines are told apart at the caller's ear."""
SPOKEN = """\
greeting = "Hello."
hold = "One moment please."
apology = "I will pass you on."
closing = "Stay on the line."
"""
ASK = {"say": "ask"}
ROUTE = routes_to("schedule")
WELL = ["greeting", "ask", "closing"]
NEVER_MS = 120_000
LATE_MS = 250
"""What a busy machine adds."""


@dataclass(frozen=True)
class Row:
    """``faults`` of the first model sessions, one after the other; ``detail`` of a failed assistant
    (None: the call went on to the end that the caller wanted)."""

    faults: tuple[FaultPlan, ...]
    heard: list[str]
    """Lines by name; ``PART`` for what the model began or went on with."""
    detail: str | None = None
    notes: frozenset[str] = frozenset()
    environ: Mapping[str, str] = field(default_factory=dict)


def drops(how: Any) -> FaultPlan:  # noqa: ANN401 - one of the simulator's words
    return FaultPlan(drop_responses={1: how})


PART = "..."
LIMITED = "inference_rate_limit_exceeded"
CUT = "(greeting)"
"""As much of it as was heard before something went wrong."""
ROWS = {
    "refuses the key": Row((FaultPlan(refuse_key=True),), [CUT, "apology"], "fatal"),
    "cannot be reached": Row(
        (),
        [CUT, "apology"],
        "model_unreachable",
        environ={"REALTIME_URL": "ws://127.0.0.1:9/v1/realtime"},
    ),
    "connects slowly": Row(
        (FaultPlan(create_delay_ms=4000),),
        ["greeting", "hold", "ask", "closing"],
        notes=frozenset({"held"}),
    ),
    "never configures": Row(
        (FaultPlan(configure_delay_ms=NEVER_MS),),
        ["greeting", "hold", "apology"],
        "model_not_ready",
    ),
    "refuses the configuration": Row(
        (FaultPlan(refuse_configuration=True),), [CUT, "apology"], "configuration_refused"
    ),
    "fails its first response": Row(
        (FaultPlan(fail_responses={1: "server_error"}),),
        WELL,
        notes=frozenset({"response_failed"}),
    ),
    "fails again": Row(
        (FaultPlan(fail_responses={1: "server_error", 2: "server_error"}),),
        ["greeting", "apology"],
        "response_failed:server_error",
    ),
    "is rate-limited": Row(
        (FaultPlan(fail_responses={1: LIMITED, 2: LIMITED}),),
        ["greeting", "apology"],
        f"response_failed:{LIMITED}",
    ),
    "stalls in the middle of a sentence": Row(
        (FaultPlan(stall_responses={1: 1000}),),
        ["greeting", PART, "hold", "ask", "closing"],
        notes=frozenset({"no_answer", "held"}),
    ),
    "stalls in the closing line": Row(
        (FaultPlan(stall_responses={3: 0}),), ["greeting", "ask", PART]
    ),
    "does not answer with a closing line": Row(
        (FaultPlan(fail_responses={3: "server_error"}),), ["greeting", "ask", "closing"]
    ),
    # The next session goes on so soon that the ear hears no gap.
    "closes with 1001": Row(
        (drops("1001"),), ["greeting", PART, "closing"], notes=frozenset({"model_back"})
    ),
    "closes with 1011": Row(
        (drops("1011"),), ["greeting", PART, "closing"], notes=frozenset({"model_back"})
    ),
    "is reset": Row((drops("reset"),), ["greeting", PART, "closing"]),
    "is half-open": Row(
        (drops("half_open"),),
        ["greeting", PART, "ask", "closing"],
        notes=frozenset({"model_lost", "model_back"}),
    ),
    "does not come back": Row(
        (drops("1011"), FaultPlan(create_delay_ms=NEVER_MS)),
        ["greeting", PART, "apology"],
        "model_lost",
    ),
    "closes again and again": Row(
        (drops("1011"), drops("1011"), drops("1011")),
        ["greeting", PART, "apology"],
        "model_closed_1011",
    ),
    "sends what nobody can read": Row((FaultPlan(garbage=True, unknown_events=True),), WELL),
}


def scenario(session: int) -> Scenario:
    """The first session asks and routes; one that comes after it goes on where it stopped."""
    first = [{"on": "turn", "turn": 1, "do": [ASK]}] if session == 0 else []
    steps: list[dict[str, Any]] = [
        *first,
        {"on": "turn", "do": [ROUTE]},
        {"on": "tool_output", "do": [{"say": "closing"}]},
        {"on": "otherwise", "do": [ASK]},
    ]
    return parse_scenario("failing", {"step": steps})


def plans(faults: tuple[FaultPlan, ...]) -> Callable[[int], FaultPlan]:
    return lambda session: faults[session] if session < len(faults) else FaultPlan()


async def failing(start: Start, folder: Path, row: Row) -> System:
    silent = 'greeting = ""\napology = ""\nclosing = ""\n'
    file = FILE.read_text(encoding="utf-8").replace(silent, SPOKEN)
    file = file.replace("[limits]", "[limits]\nsilence_s = 20")  # who only listens is not asked
    (folder / "spoken.toml").write_text(file, encoding="utf-8")
    model = load(folder / "spoken.toml").policy.model
    cache = LineCache(folder / "lines")
    for line in SPOKEN.splitlines():
        name, _, text = line.partition(" = ")
        cache.put(model.voice, model.model, text.strip('"'), tone(LENGTHS[name], 600))
    said = {name: Line(name, name, tone(LENGTHS[name], 700)) for name in ("ask", "closing")}
    options = {"faults": plans(row.faults), "lines": LineLibrary(said)}
    return await start(scenario, file=file, model_options=options, **row.environ)


async def conversation(system: System) -> CallResult:
    """Two things are said. The caller leaves the assistant time to go on where it fell silent."""
    return await system.call(
        WaitForStream(),
        WaitUntilAssistantSilent(300, 4000),
        TURN,
        WaitUntilAssistantSilent(500, 12_000),
        WaitMs(8500),
        TURN,
        StayOnLine(30_000),
        max_call_ms=45_000,
    )


def heard(call: CallResult) -> list[str]:
    found: list[str] = []
    began_ms = 0
    for event in call.timeline:
        if event.kind == "assistant_started":
            began_ms = event.at_ms
        elif event.kind == "assistant_stopped":
            length_ms = event.at_ms - began_ms
            near = (line for line, ms in LENGTHS.items() if abs(ms - length_ms) <= 70)
            found.append(next(near, PART))
    return found


@pytest.mark.parametrize("name", ROWS)
async def test_the_model(start: Start, tmp_path: Path, name: str) -> None:
    row = ROWS[name]
    system = await failing(start, tmp_path, row)
    call = await conversation(system)
    spoken = heard(call)
    assert spoken[1:] == row.heard[1:]
    assert spoken[0] in ([PART, "greeting"] if row.heard[0] == CUT else ["greeting"])
    assert max(wait.ms for wait in waits(call.timeline)) <= SILENCE_MS + LATE_MS
    assert isinstance(call.outcome, StudioReturn)
    decision = await system.decision(call)
    if row.detail is None:
        assert (decision.reason, decision.intent) == ("route_requested", "schedule")
    else:
        assert (decision.reason, decision.decision["detail"]) == ("assistant_failed", row.detail)
    assert row.notes <= {note.kind for _, _, note in system.notes}
