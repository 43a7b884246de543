"""Serving processes killed at every step between decision and handover: one outcome a call."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import select

from bridge.store.store import Store, open_store
from bridge.store.tables import decisions, outbox
from loadtest.chaos.system import ServingProcesses
from loadtest.realtime import SimulatedRealtime, SimulatorOptions
from loadtest.twilio import (
    CallEvent,
    CallResult,
    CallScript,
    Hangup,
    Origins,
    PhoneNumber,
    Settings,
    SimulatedTwilio,
    StayOnLine,
    StudioReturn,
    WaitForStream,
)
from tests.bridge.e2e.system import (
    ACCOUNT,
    AUTH_TOKEN,
    CALLER,
    FILE,
    FLOW,
    LINES,
    TURN,
    WORKSPACE,
    model,
    routes_to,
)
from tests.bridge.store.conftest import FreshUrl

WITHIN_S = 60.0
SERVERS = 3
"""With two workers each, killed together. Their turns come round when they have settled."""
TRIAGE = (
    FILE.read_text(encoding="utf-8")
    .replace('closing = ""', 'closing = "One moment please."')
    .replace("[business]", "[rollout]\nshare = 100\n\n[business]")
)
TOOL_CALLED = "response.function_call_arguments.done"


@dataclass(frozen=True)
class Step:
    """When the process is killed: at the ``event`` of the call, or after the model's ``sent``
    event or its end, ``after_ms`` later. ``decided``: whether the decision must stand by then."""

    name: str
    event: str = ""
    purpose: str = ""
    sent: str = ""
    after_ms: int = 0
    decided: bool | None = None


STEPS = (
    Step("the tool is called", sent=TOOL_CALLED, decided=False),
    Step("the closing line begins", event="assistant_started", decided=False),
    Step("the closing line is over", event="assistant_stopped"),
    Step("the model is gone"),
    Step("the decision is being written", after_ms=2),
    Step("the decision was just written", after_ms=6),
    Step("the stream is over", event="stream_closed", decided=True),
    Step("its way on was answered", event="webhook", purpose="connect action", decided=True),
    Step("the call is over", event="call_ended", decided=True),
)


@dataclass
class Houses:
    """Everything that the calls share: one database, one Twilio, one model, some servers."""

    twilio: SimulatedTwilio
    realtime: SimulatedRealtime
    servers: list[ServingProcesses]
    store: Store


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def host(number: int) -> str:
    return f"https://bridge-{number}.example"


@contextlib.asynccontextmanager
async def houses(url: str, folder: Path) -> AsyncIterator[Houses]:
    triage = folder / "acme.toml"
    triage.write_text(TRIAGE, encoding="utf-8")
    ports = free_ports(SERVERS)
    origins = Origins({host(n): f"http://127.0.0.1:{port}" for n, port in enumerate(ports)})
    settings = Settings(
        ACCOUNT, AUTH_TOKEN, workspace_sid=WORKSPACE, origins=origins, say_ms_per_word=0
    )
    options = SimulatorOptions(
        scenario=model(routes_to("later"), otherwise="moment"), profile="instant", lines=LINES
    )
    async with (
        SimulatedRealtime(options) as realtime,
        SimulatedTwilio(settings, rng=random.Random(1)) as twilio,
        AsyncExitStack() as stack,
    ):
        servers = []
        for number, port in enumerate(ports):
            own = folder / f"server-{number}"
            own.mkdir()
            environ = {
                "OPENAI_API_KEY": "sk-made-up",
                "REALTIME_URL": realtime.url,
                "TWILIO_ACCOUNT_SID": ACCOUNT,
                "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
                "TWILIO_REST_URL": twilio.rest_url,
                "SMTP_URL": "smtp://127.0.0.1:9",
                "SMTP_FROM": "triage@acme.example",
                "CRM_TOKEN": "crm-secret",
                "PUBLIC_URL": host(number),
                "STUDIO_FLOW_SID": FLOW,
                "TRIAGE_FILE": str(triage),
                "DATABASE_URL": url,
                "GREETING_CACHE": str(own / "lines"),
                "MAKE_LINES": "off",
                "POOL_SIZE": "0",
                "ANSWER_WAIT_S": "10",  # a slow machine's answers are today's flow: no call here
            }
            servers.append(ServingProcesses(environ, port, 2, own))
        for server in servers:
            await stack.enter_async_context(server)
        store = await open_store(url, clock=time.time)
        stack.push_async_callback(store.close)
        yield Houses(twilio, realtime, servers, store)


async def killed_call(all_of: Houses, number: int) -> CallResult:
    """One call, whose workers are killed at its step. Their supervisor starts others."""
    step, house = STEPS[number], number % SERVERS
    server = all_of.servers[house]
    killed: list[int] = []

    def kill() -> None:
        if not killed:
            killed.extend(server.worker_pids())
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    def observe(event: CallEvent) -> None:
        if event.kind == step.event and event.data.get("purpose", "") == step.purpose:
            kill()

    script = CallScript(
        steps=(WaitForStream(), TURN, StayOnLine(40_000)),
        from_number=CALLER,
        record=False,
        max_call_ms=45_000,
    )
    number_called = PhoneNumber(f"{host(house)}/voice?flow={FLOW}")
    watch = None if step.event else asyncio.create_task(_at_the_model(all_of, number, kill))
    result = await all_of.twilio.place_call(script, observe, number_called)
    if watch is not None:
        await watch
    assert killed, f"{step.name}: nothing was killed"
    return result


async def _at_the_model(all_of: Houses, number: int, kill: Callable[[], None]) -> None:
    step = STEPS[number]
    async with asyncio.timeout(WITHIN_S):
        while len(all_of.realtime.sessions) <= number:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.005)
        session = all_of.realtime.sessions[number]
        if step.sent:
            await session.wait_for_sent(step.sent, timeout_s=WITHIN_S)
        else:
            await session.wait_closed(WITHIN_S)
        await asyncio.sleep(step.after_ms / 1000)
    kill()


async def settled(store: Store) -> tuple[dict[str, list[str]], Counter[str]]:
    """Routes that were decided and side effects by call, once no side effect waits any more."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            decided, effects = await store.database.read(
                lambda c: (c.execute(select(decisions)).all(), c.execute(select(outbox)).all())
            )
            if all(effect.state == "done" for effect in effects):
                routes: dict[str, list[str]] = {}
                for one in decided:
                    routes.setdefault(one.call_sid, []).append(one.route)
                return routes, Counter(effect.call_sid for effect in effects)
            await asyncio.sleep(0.1)


@pytest.mark.timeout(300)
async def test_a_server_killed_at_any_step_leaves_one_outcome_and_each_side_effect_once(
    fresh_url: FreshUrl, tmp_path: Path
) -> None:
    async with houses(await fresh_url(), tmp_path) as all_of:
        results = [await killed_call(all_of, number) for number in range(len(STEPS))]
        decided, effects = await settled(all_of.store)
        tasks = Counter(str(task.attributes["call_sid"]) for task in all_of.twilio.tasks)
    for step, call in zip(STEPS, results, strict=True):
        (route,) = decided[call.call_sid]
        stands = route == "callback_task"
        assert stands or route == "fallback", step.name
        if step.decided is not None:
            assert stands == step.decided, step.name
        arrived = Hangup if stands else StudioReturn
        assert [type(one) for one in call.outcomes] == [arrived], step.name
        assert tasks[call.call_sid] == int(stands), step.name
        assert effects[call.call_sid] == int(stands), step.name
