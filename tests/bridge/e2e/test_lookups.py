"""The operator's look-ups within a call: asked, answered, and never in the way of the caller."""

from __future__ import annotations

import asyncio
import json

import structlog
from aiohttp import web

from loadtest.realtime import Scenario, parse_scenario
from loadtest.twilio import Hangup, StayOnLine, StudioReturn, WaitForStream
from tests.bridge.e2e.conftest import Start
from tests.bridge.e2e.system import FILE, TURN, calls, routes_to
from tests.dispatch.wires import Answer, free_port, says, service

CUSTOMER = '{"name":"Rachel Kim","next_visit":"Tuesday 9 am"}'
ASKS = calls("find_customer", phone="+14155550177")


def asking(*asks: dict[str, object]) -> Scenario:
    """Asks, answers from what came, and has resolved the call."""
    return parse_scenario(
        "look-up",
        {
            "step": [
                {"on": "turn", "turn": 1, "do": list(asks)},
                {"on": "tool_output", "tool": "find_customer", "do": [routes_to("faq")]},
                {"on": "otherwise", "do": [{"say": "moment"}]},
            ]
        },
    )


def file_for(url: str, **changes: str) -> str:
    text = FILE.read_text(encoding="utf-8").replace("http://127.0.0.1:1", url)
    for old, new in changes.items():
        text = text.replace(old, new)
    return text


async def outputs(
    start: Start, answer: Answer, scenario: Scenario | None = None
) -> list[dict[str, object]]:
    """What the model was told, after the call was resolved with it."""
    async with service(answer) as asked:
        system = await start(scenario or asking(ASKS), file=file_for(asked.url))
        call = await system.call()
        assert isinstance(call.outcome, Hangup)
        told = [one for one in system.session().tool_outputs if one.tool == "find_customer"]
        return [json.loads(one.output) for one in told]


async def test_a_simple_wish_is_resolved_on_the_line(start: Start) -> None:
    async with service(says(CUSTOMER)) as asked:
        system = await start(asking(ASKS), file=file_for(asked.url))
        call = await system.call()
    assert isinstance(call.outcome, Hangup)
    (request,) = asked.asked
    assert request.raw_path == "/customers/%2B14155550177"
    assert request.headers["Authorization"] == "crm-secret"
    (told, _) = system.session().tool_outputs
    assert json.loads(told.output) == {"ok": True, "result": json.loads(CUSTOMER)}


async def test_several_look_ups_at_once_are_answered_each(start: Start) -> None:
    async def slow(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.05)
        return web.Response(text=json.dumps({"path": request.path}))

    other = calls("find_customer", phone="+14155550178")
    told = await outputs(start, slow, asking(ASKS, other))
    assert [one["result"] for one in told] == [
        {"path": "/customers/+14155550177"},
        {"path": "/customers/+14155550178"},
    ]


async def test_a_service_with_a_fault_becomes_words_and_the_call_goes_on(start: Start) -> None:
    (told,) = await outputs(start, says("stack trace", 500))
    assert told["ok"] is False
    assert str(told["problem"]).startswith("the service has a fault; do not invent an answer")


async def test_a_service_that_is_not_there_becomes_words_and_the_call_goes_on(
    start: Start,
) -> None:
    system = await start(asking(ASKS), file=file_for(f"http://127.0.0.1:{free_port()}"))
    call = await system.call()
    assert isinstance(call.outcome, Hangup)
    assert "cannot be reached" in system.session().tool_outputs[0].output


async def test_wrong_arguments_are_never_sent(start: Start) -> None:
    async with service(says(CUSTOMER)) as asked:
        wrong = calls("find_customer", phone=["+1", "+2"])
        system = await start(asking(wrong), file=file_for(asked.url))
        await system.call()
    assert asked.asked == []
    assert "phone: " in system.session().tool_outputs[0].output


async def test_a_caller_who_presses_a_key_does_not_wait_for_a_slow_service(start: Start) -> None:
    reached = asyncio.Event()

    async def never(_request: web.Request) -> web.StreamResponse:
        reached.set()
        await asyncio.sleep(30)
        return web.Response()

    async with service(never) as asked:
        file = file_for(asked.url, **{"timeout_ms = 1000": "timeout_ms = 10000"})
        system = await start(asking(ASKS), file=file)
        async with asyncio.TaskGroup() as tasks:
            placed = tasks.create_task(system.call(WaitForStream(), TURN, StayOnLine(20_000)))
            await reached.wait()
            (live,) = system.twilio.exchange.directory.live.values()
            assert live.leg is not None
            live.leg.press("1")
        call = placed.result()
    assert isinstance(call.outcome, StudioReturn)
    assert call.duration_ms < 8000


async def test_what_was_asked_and_answered_is_in_no_log(start: Start) -> None:
    with structlog.testing.capture_logs() as events:
        await outputs(start, says(CUSTOMER))
    (event,) = [event for event in events if event["event"] == "lookup"]
    shown = {key: value for key, value in event.items() if key not in ("call_sid", "took_ms")}
    assert shown == {
        "tool": "find_customer",
        "outcome": "ok",
        "cut": False,
        "event": "lookup",
        "log_level": "info",
    }
    everything = repr(events)
    for private in ("Rachel", "Tuesday", "5550177", "crm-secret"):
        assert private not in everything
