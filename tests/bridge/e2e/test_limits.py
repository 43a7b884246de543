"""What ends a conversation that does not end by itself: hops, promises, time."""

from __future__ import annotations

import json

import aiohttp

from loadtest.twilio import (
    FlexTask,
    StayOnLine,
    StudioReturn,
    StudioTrigger,
    WaitForStream,
    WaitUntilAssistantSilent,
)
from tests.bridge.e2e.conftest import Start
from tests.bridge.e2e.system import FILE, FLOW, PUBLIC, TURN, model, routes_to

BACK_TO_US = f'<Response><Redirect method="POST">{PUBLIC}/voice?flow={FLOW}</Redirect></Response>'
HEARD = WaitUntilAssistantSilent(200, 5000)


async def test_a_call_that_goes_round_ends_with_todays_flow_after_two_handovers(
    start: Start,
) -> None:
    """The flow sends the call back to us each time: the third time no assistant is asked."""
    system = await start(model(routes_to("schedule")))
    call = await system.call_again_and_again(after_studio=[BACK_TO_US, BACK_TO_US])
    hops = [one.params.get("hops") for one in call.outcomes if isinstance(one, StudioReturn)]
    assert hops == ["1", "2", None]
    last = call.outcomes[-1]
    assert isinstance(last, StudioReturn)
    assert last.params == {"outcome": "fallback", "reason": "hop_limit"}
    assert len(system.realtime.sessions) == 2


async def test_past_the_files_own_limit_a_person_is_left(start: Start) -> None:
    file = FILE.read_text(encoding="utf-8").replace("[limits]", "[limits]\nhops = 1")
    system = await start(model(routes_to("schedule")), file=file)
    call = await system.call_again_and_again(after_studio=[BACK_TO_US])
    assert [type(one) for one in call.outcomes[:2]] == [StudioReturn, FlexTask]
    decision = await system.decision(call, hop=1)
    assert (decision.reason, decision.decision["chosen"]["name"]) == ("hop_limit", "people")
    assert decision.decision["hops"] == 2


async def test_each_passage_of_a_call_has_a_decision_of_its_own(start: Start) -> None:
    made = [model(routes_to("schedule")), model(routes_to("billing"))]
    system = await start(lambda number: made[number])
    call = await system.call_again_and_again(after_studio=[BACK_TO_US])
    assert [type(one) for one in call.outcomes[:2]] == [StudioReturn, FlexTask]
    assert (await system.decision(call, 0)).intent == "schedule"
    assert (await system.decision(call, 1)).intent == "billing"
    assert isinstance(call.outcome, FlexTask)
    assert call.outcome.attributes["hops"] == 2


async def test_an_assistant_that_only_talks_of_a_transfer_is_made_to_decide(start: Start) -> None:
    """It promises again and again: after two reminders the default route is taken."""
    system = await start(model("transfer", otherwise="transfer"))
    call = await system.call()
    assert isinstance(call.outcome, StudioReturn)
    decision = await system.decision(call)
    assert (decision.intent, decision.reason) == ("unknown", "limit_announced")
    forced = [
        event["response"]["tool_choice"]
        for _, event in system.session().events_received
        if event["type"] == "response.create" and "tool_choice" in event.get("response", {})
    ]
    assert len(forced) == 2
    assert all("route_call" in json.dumps(choice) for choice in forced)


async def test_an_assistant_that_never_decides_loses_the_call_to_the_default_route(
    start: Start,
) -> None:
    file = FILE.read_text(encoding="utf-8").replace("[limits]", "[limits]\nturns = 2")
    system = await start(model("moment", said=["Well.", "Let me think.", "Hm."]), file=file)
    call = await system.call(WaitForStream(), TURN, HEARD, TURN, HEARD, TURN, StayOnLine(20_000))
    assert isinstance(call.outcome, StudioReturn)
    decision = await system.decision(call)
    assert (decision.intent, decision.reason) == ("unknown", "limit_turns")
    assert decision.envelope["summary"].endswith('The caller said: "Hm."')


async def test_a_model_that_cannot_be_reached_loses_the_call_to_the_default_route(
    start: Start,
) -> None:
    system = await start(model("moment"), REALTIME_URL="ws://127.0.0.1:9/v1/realtime")
    call = await system.call()
    assert isinstance(call.outcome, StudioReturn)
    assert (await system.decision(call)).reason == "assistant_failed"


# --- the record, by the address that travelled along ----------------------------------------


async def test_the_flow_looks_the_call_up_by_the_address_it_was_given(start: Start) -> None:
    system = await start(model(routes_to("sales"), said=["I would like to buy a faucet."]))
    call = await system.call()
    assert isinstance(call.outcome, StudioTrigger)
    url = call.outcome.params["context_url"].replace(PUBLIC, f"http://127.0.0.1:{system.port}")
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        assert answer.status == 200
        record = await answer.json()
    assert record["turns"] == [{"who": "caller", "text": "I would like to buy a faucet."}]
    assert record["callback"] == "+14155550177"
