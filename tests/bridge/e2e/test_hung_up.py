"""The caller hangs up while the closing line is said: what was promised is done."""

from __future__ import annotations

import asyncio

from loadtest.twilio import CallResult, HangUp, WaitForStream, WaitMs
from loadtest.twilio.script import WaitFor
from tests.bridge.e2e.conftest import Start
from tests.bridge.e2e.system import FILE, TURN, WORKSPACE, System, model, routes_to

CLOSING = FILE.read_text(encoding="utf-8").replace(
    'closing = ""', 'closing = "Someone will call you back. Goodbye."'
)


async def hung_up(start: Start, intent: str, file: str = CLOSING) -> tuple[System, CallResult]:
    system = await start(model(routes_to(intent), otherwise="long"), file=file)
    decided = asyncio.Event()
    system.hooks["decided"] = decided.set
    call = await system.call(WaitForStream(), TURN, WaitFor(decided), WaitMs(500), HangUp())
    await system.noted("legs_closed")
    return system, call


async def test_a_caller_who_was_promised_a_call_back_gets_it(start: Start) -> None:
    system, call = await hung_up(start, "later")
    decision = await system.decision(call)
    assert (decision.route, decision.intent, decision.reason) == (
        "callback_task",
        "later",
        "route_requested",
    )
    (effect,) = await system.delivered(call, 1)
    assert (effect.kind, effect.state) == ("callback_task", "done")
    assert [task.attributes["intent"] for task in system.twilio.tasks] == ["later"]


async def test_a_person_who_is_to_be_paged_is_paged(start: Start) -> None:
    system, call = await hung_up(start, "boss")
    assert (await system.decision(call)).intent == "boss"
    effects = await system.delivered(call, 2)
    assert sorted((one.kind, one.state) for one in effects) == [("email", "done"), ("sms", "done")]


async def test_no_task_is_looked_for_that_twilio_never_makes(start: Start) -> None:
    flex = 'kind = "flex"\n'
    system, call = await hung_up(
        start, "billing", CLOSING.replace(flex, f'{flex}workspace_sid = "{WORKSPACE}"\n')
    )
    assert (await system.decision(call)).route == "flex"
    assert await system.outbox.entries(("pending", "done", "dead"), 50, call.call_sid) == []
