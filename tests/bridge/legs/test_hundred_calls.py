"""A hundred calls at once between the simulators, and nothing of them afterwards."""

from __future__ import annotations

import asyncio
import gc
import os
import secrets
import time
from contextlib import AsyncExitStack

from bridge.store.memory import CLOSED_KEEP_S, MemoryLedger
from loadtest.realtime import Scenario, SimulatedRealtime, SimulatorOptions
from loadtest.realtime.scenario import CallTool, Say, Step
from loadtest.twilio import CallScript, Clip, InterruptAfterMs, Speak, StayOnLine, StudioReturn
from tests.bridge.legs.audio import tone
from tests.bridge.legs.conftest import ServeBridge, lines_of_tones, twilio_for
from tests.bridge.legs.puppet import ROUTE

CALLS = 100
SCENARIO = Scenario(
    "short",
    (
        Step("turn", (Say(("answer",)),), turn=1),
        Step("turn", (CallTool("route_call", ROUTE),)),
        Step("otherwise", (Say(("closing",)),)),
    ),
)
SCRIPT = CallScript(
    steps=[
        Speak(Clip.of(tone(200))),
        InterruptAfterMs(300),
        Speak(Clip.of(tone(200, 880))),
        StayOnLine(30_000),
    ],
    record=False,
)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_a_hundred_calls_at_once_leave_no_task_socket_or_record(
    bridge_under_test: ServeBridge, stack: AsyncExitStack
) -> None:
    late_s = 0.0
    ledger = MemoryLedger(lambda: time.time() + late_s, lambda: secrets.token_urlsafe(24))
    options = SimulatorOptions(
        scenario=SCENARIO,
        profile="instant",
        keep_events=False,
        lines=lines_of_tones(answer=2000, closing=300),
    )
    model = await stack.enter_async_context(SimulatedRealtime(options))
    bridge = await bridge_under_test(model.url, ledger=ledger, POOL_SIZE="2")
    await bridge.pool_ready(2)
    tasks, files = len(asyncio.all_tasks()), open_files()

    async with twilio_for(bridge) as twilio, asyncio.TaskGroup() as calls:
        placed = [calls.create_task(twilio.place_call(SCRIPT)) for _ in range(CALLS)]
    results = [call.result() for call in placed]

    assert [type(result.outcome) for result in results] == [StudioReturn] * CALLS
    assert {result.streams[0].close_code for result in results} == {1000}
    assert [result.errors for result in results] == [()] * CALLS
    await bridge.idle()
    await bridge.pool_ready(2)
    busy = [record for record in model.sessions if record.turns]
    assert len(busy) == CALLS
    assert [record.faults for record in model.sessions if record.faults] == []
    assert {(record.ending.by, record.ending.code) for record in busy if record.ending} == {
        ("client", 1000)
    }
    gc.collect()
    assert (bridge.switchboard.live_calls, model.connections.open) == (0, 2)
    assert (len(asyncio.all_tasks()), open_files()) == (tasks, files)
    # Records are kept for a while for webhooks that Twilio repeats, and then they are gone, too.
    assert ledger.calls_held == CALLS
    late_s = CLOSED_KEEP_S + 1
    assert await ledger.opening("CA" + "0" * 32) is None
    assert ledger.calls_held == 0
