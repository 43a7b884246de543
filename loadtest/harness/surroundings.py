"""Everything around the calls of a run: Twilio, the model, our own bridge, a proxy with faults."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from loadtest.harness.degrade import DegradingProxy
from loadtest.harness.plan import OwnBridge, RunPlan
from loadtest.harness.serving import FLOW, PUBLIC, TRIAGE_FILE, ServingBridge
from loadtest.harness.target import Target
from loadtest.harness.tracking import Tracker
from loadtest.realtime import SimulatedRealtime, SimulatorOptions
from loadtest.twilio import Origins, PhoneNumber, Settings, SimulatedTwilio

MADE_UP_TOKEN = "made-up-auth-token"  # noqa: S105 - of nobody
MADE_UP_KEY = "sk-simulated"
CONNECT_TIMEOUT_S = 10.0
ROOM_FOR_CALLS = 100
"""More calls than there can be, so that the bridge's own limit is not what is measured."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a run has to do with. ``target`` is where its calls go."""

    twilio: SimulatedTwilio
    target: Target
    realtime: SimulatedRealtime | None
    bridge: ServingBridge | None


@contextlib.asynccontextmanager
async def surroundings(plan: RunPlan, tracker: Tracker) -> AsyncIterator[Surroundings]:
    """Up within the block, gone afterwards.

    Raises TargetError, ServingError or OSError (a port that is taken).
    """
    async with contextlib.AsyncExitStack() as stack:
        realtime = None
        if plan.realtime == "simulated":
            realtime = await stack.enter_async_context(_model(plan, tracker))
        port = 0 if plan.own_bridge is None else plan.own_bridge.port or free_port()
        origins = _origins(plan, port)
        if plan.degradation:
            proxy = DegradingProxy(plan.degradation, plan.seed)
            origins = (await stack.enter_async_context(proxy)).behind(origins)
        twilio = await stack.enter_async_context(_twilio(plan, origins))
        bridge = None
        if plan.own_bridge is not None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loadtest-")))
            environ = own_environ(plan, plan.own_bridge, realtime, twilio.rest_url, folder)
            bridge = await stack.enter_async_context(
                ServingBridge(
                    environ,
                    port,
                    folder,
                    workers=plan.own_bridge.workers,
                    secure=plan.own_bridge.way == "voice",
                )
            )
            stack.callback(_keep_log, bridge.log, plan.own_bridge.log)
        target = plan.target or _own_target(plan, port)
        if bridge is None:
            await target.check_there(plan.compat.reached_at(target.url))
        yield Surroundings(twilio, target, realtime, bridge)


def _model(plan: RunPlan, tracker: Tracker) -> SimulatedRealtime:
    options = SimulatorOptions(
        profile=plan.profile,
        seed=plan.seed,
        keep_events=False,
        tap=tracker.session,
        dialect=plan.compat.dialect,
    )
    # A bridge of our own is told the port; anybody else's has to know it beforehand.
    port = 0 if plan.own_bridge is not None else plan.realtime_port
    return SimulatedRealtime(options, port=port)


def _origins(plan: RunPlan, port: int) -> Origins:
    if plan.own_bridge is not None:
        return Origins({PUBLIC: f"http://127.0.0.1:{port}"})
    allowed = plan.allowed_origins | (plan.target.origins if plan.target else frozenset())
    return Origins(plan.compat.resolve, allowed)


def _own_target(plan: RunPlan, port: int) -> Target:
    if plan.way == "media":
        return Target("media", f"ws://127.0.0.1:{port}/media")
    return Target("voice", f"{PUBLIC}/voice?flow={FLOW}")


def _twilio(plan: RunPlan, origins: Origins) -> SimulatedTwilio:
    settings = Settings(
        account_sid=plan.account.sid,
        auth_token=plan.account.auth_token or MADE_UP_TOKEN,
        origins=origins,
        webhook_signing=plan.compat.signing,
        stream_signing=plan.compat.signing,
        plain_ws=True,
        say_ms_per_word=0,
        connect_timeout_s=CONNECT_TIMEOUT_S,
        rest_port=0 if plan.own_bridge is not None else None,
    )
    number = None
    if plan.way == "voice":
        url = plan.target.url if plan.target is not None else f"{PUBLIC}/voice?flow={FLOW}"
        number = PhoneNumber(url)
    # Not from the seed: a bridge that remembers the call of an earlier run would answer for that.
    return SimulatedTwilio(settings, number, random.Random())


def own_environ(
    plan: RunPlan,
    own: OwnBridge,
    realtime: SimulatedRealtime | None,
    rest_url: str,
    folder: Path,
) -> dict[str, str]:
    """Settings of a bridge of our own; those of ``own.environ`` go before them."""
    environ = {
        "DATABASE_URL": f"sqlite:///{folder / 'calls.db'}",
        "GREETING_CACHE": str(folder / "lines"),
        "TRIAGE_FILE": str(TRIAGE_FILE),
        "MAX_CALLS": str(plan.calls + ROOM_FOR_CALLS),
        "LOG_LEVEL": "warning",
        "DRAIN_S": "5",
    }
    if realtime is not None:
        environ |= {"REALTIME_URL": realtime.url, "OPENAI_API_KEY": MADE_UP_KEY, "MAKE_LINES": "on"}
    if own.way == "voice":
        environ |= {
            "TWILIO_ACCOUNT_SID": plan.account.sid,
            "TWILIO_AUTH_TOKEN": plan.account.auth_token or MADE_UP_TOKEN,
            "TWILIO_REST_URL": rest_url,
            "PUBLIC_URL": PUBLIC,
            "ENTRY": "studio",
            "STUDIO_FLOW_SID": FLOW,
        }
    return {**environ, **own.environ}


def _keep_log(log: Path, wanted: Path | None) -> None:
    if wanted is not None:
        with contextlib.suppress(OSError):
            wanted.write_bytes(log.read_bytes())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def open_files_limit() -> None:
    """As many as this process may have: a call takes up to four."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
