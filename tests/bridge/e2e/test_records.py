"""What is left of a call afterwards: everything that an operator asks about it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy import update

from bridge.store.reading import read_call
from bridge.store.tables import outbox
from loadtest.twilio import CallResult, FlexTask, HangUp, StayOnLine, WaitForStream, WaitMs
from tests.bridge.e2e.conftest import Start
from tests.bridge.e2e.system import FILE, TURN, WORKSPACE, System, model, routes_to

WITH_WORKSPACE = FILE.read_text(encoding="utf-8").replace(
    'kind = "flex"\n', f'kind = "flex"\nworkspace_sid = "{WORKSPACE}"\n'
)


async def record_of(system: System, call: CallResult) -> Mapping[str, Any]:
    await system.books.recorder("acme").flush()
    stored = await read_call(system.store, call.call_sid)
    assert stored is not None
    return stored


def said(stored: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (one["kind"], one["words"])
        for one in stored["timeline"]
        if one["kind"] in ("caller_said", "assistant_said")
    ]


async def test_a_call_leaves_words_latencies_decision_and_what_it_cost(start: Start) -> None:
    scenario = model("hello", routes_to("billing"), said=["What do you do?", "I was charged."])
    system = await start(scenario)
    steps = (WaitForStream(), TURN, WaitMs(1500), TURN, StayOnLine(20_000))
    call = await system.call(*steps)
    assert isinstance(call.outcome, FlexTask)
    stored = await record_of(system, call)
    assert sorted(said(stored)) == [
        ("assistant_said", "Hello, how can I help?"),
        ("caller_said", "I was charged."),
        ("caller_said", "What do you do?"),
    ]
    (used,) = stored["usage"]
    assert used["model"] == "gpt-realtime-2.1"
    assert used["responses"] == len(system.session().responses)
    assert used["text_in"] > 0
    assert used["audio_in"] > 0
    assert used["audio_out"] > 0
    assert used["overlap_ms"] == 0.0
    assert len(used["instructions"]) > 8
    assert used["entries_lost"] == 0
    assert used["total_usd"] > 0
    first = stored["turns"][0]
    assert first["turn"] == 1
    assert 0 < first["first_model_audio_ms"] <= first["first_audio_out_ms"]
    (decision,) = stored["decisions"]
    assert (decision["route"], decision["intent"]) == ("flex", "billing")


async def test_who_hangs_up_has_a_record_too(start: Start) -> None:
    system = await start(model("long"))
    call = await system.call(WaitForStream(), TURN, WaitMs(300), HangUp())
    await system.noted("legs_closed")
    stored = await record_of(system, call)
    (used,) = stored["usage"]
    assert used["stream_s"] > 0
    (decision,) = stored["decisions"]
    assert decision["reason"] == "caller_left"


async def test_what_twilio_says_of_the_stream_is_on_record(start: Start) -> None:
    system = await start(model(routes_to("billing")))
    call = await system.call()
    stored = await record_of(system, call)
    told = [(one["source"], one["status"]) for one in stored["status_events"]]
    assert sorted(told) == [("stream", "started"), ("stream", "stopped")]


async def test_after_a_call_went_to_flex_its_task_is_looked_for(start: Start) -> None:
    system = await start(model(routes_to("billing")), file=WITH_WORKSPACE)
    call = await system.call()
    due_now = update(outbox).values(due_at=time.time())
    await system.store.database.write(lambda connection: connection.execute(due_now))
    system.books.nudge()
    (effect,) = await system.delivered(call, 1)
    (task,) = system.twilio.tasks
    assert (effect.kind, effect.state, effect.result) == ("look_back", "done", task.sid)


async def test_twilio_is_asked_how_a_call_ended_that_nobody_reported(start: Start) -> None:
    system = await start(model(routes_to("billing")))
    call = await system.call()
    ask = system.outward.call_status
    assert ask is not None
    end = await ask(call.call_sid)
    assert end is not None
    assert end.status == "completed"
    unheard = "CA" + "0" * 32
    never = await ask(unheard)
    assert never is not None
    assert (never.call_sid, never.status) == (unheard, "unknown")


async def test_what_was_said_survives_a_crash_two_seconds_later(start: Start) -> None:
    system = await start(model("long", said=["I was charged twice."]))
    steps = (WaitForStream(), TURN, StayOnLine(3_000))
    calling = asyncio.create_task(system.call(*steps))
    await system.noted("caller_said")
    call_sid = system.notes[0][0]
    async with asyncio.timeout(2):
        while True:
            stored = await read_call(system.store, call_sid)
            if stored is not None and ("caller_said", "I was charged twice.") in said(stored):
                break
            await asyncio.sleep(0.05)
    assert not calling.done()
    await calling
