"""One serving process: its parts put together, started, drained and stopped."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import secrets
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import structlog
from starlette.applications import Starlette

from bridge.config import Settings
from bridge.legs.switchboard import Switchboard
from bridge.outward import Outward
from bridge.settling import Settler
from bridge.store.memory import MemoryLedger
from bridge.tenants import tenants_of
from bridge.web.app import build_app
from bridge.web.server import HttpServer
from bridge.web.signatures import upgrade_gate

log = structlog.get_logger("bridge.process")

TOKEN_BYTES = 24
QUIET_S = 3.0
"""So long after its last call and webhook a process stays: Twilio asks where to go next."""
QUIET_AT_MOST_S = 10.0
GC_THRESHOLD = (50_000, 50, 50)
"""Calls make little garbage in cycles; the default (700) walks the heap many times a second."""


@dataclass(frozen=True, slots=True)
class Parts:
    switchboard: Switchboard
    app: Starlette
    outward: Outward


def assemble(settings: Settings) -> Parts:
    """Everything but the sockets, inside a running loop.

    Raises ConfigurationError for faulty triage files.
    """
    tenants = tenants_of(settings)
    outward = Outward(settings, tenants, random.Random())  # noqa: S311 - jitter
    ledger = MemoryLedger(time.time, lambda: secrets.token_urlsafe(TOKEN_BYTES))
    settler = Settler(settings, ledger, time.time, lookups=outward.lookups, rest=outward.rest)
    switchboard = Switchboard(settings, tenants, ledger, upgrade_gate(settings), settler)

    def tenant_of(called_number: str) -> str | None:
        tenant = tenants.for_number(called_number)
        return None if tenant is None else tenant.name

    app = build_app(settings, ledger, switchboard, clock=time.time, tenant_of=tenant_of)
    return Parts(switchboard, app, outward)


class StopRequests:
    """The wish to stop, and the wish to stop at once."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._asked_again = asyncio.Event()

    def request(self) -> None:
        """The first time: stop when the calls are over. After that: at once."""
        (self._asked_again if self._asked.is_set() else self._asked).set()

    async def asked(self) -> None:
        await self._asked.wait()

    async def asked_again(self) -> None:
        await self._asked_again.wait()

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT are requests."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.request)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)


async def serve(
    settings: Settings,
    parts: Parts,
    listening: socket.socket,
    stop: StopRequests,
    started: Callable[[], None],
) -> None:
    """Take calls on ``listening`` until asked to stop; returns when nothing is left of any."""
    server = HttpServer(parts.app, listening, parts.switchboard.ws_protocol)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.run_until_stopped(), name="http")
        try:
            await parts.switchboard.start()
            await server.listening()
            calm_collector()
            log.info("serving", port=settings.web.port, insecure_local=settings.web.insecure_local)
            started()
            await stop.asked()
            await _drain(settings, parts, stop)
        finally:
            await parts.switchboard.close()
            server.stop()
            await parts.outward.close()
    log.info("stopped")


async def _drain(settings: Settings, parts: Parts, stop: StopRequests) -> None:
    """Webhooks are answered all the while: new calls with today's flow, ended ones with theirs."""
    had_calls = parts.switchboard.live_calls > 0
    async with asyncio.TaskGroup() as tasks:
        draining = tasks.create_task(parts.switchboard.drain(settings.limits.drain_s))
        hurry = tasks.create_task(stop.asked_again())
        await asyncio.wait({draining, hurry}, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        draining.cancel()
    if draining.cancelled():
        log.warning("drain_cut_short", calls=parts.switchboard.live_calls)
        await parts.switchboard.drain(0)
    last_call_at = time.time() if had_calls else 0.0
    await _until_quiet(parts.app, last_call_at, stop)


async def _until_quiet(app: Starlette, last_call_at: float, stop: StopRequests) -> None:
    """A call that just ended, or was just sent to our socket, is about to ask ``/after``."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(QUIET_AT_MOST_S):
            while (left := _quiet_in(app, last_call_at)) > 0:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.asked_again(), left)
                    return


def _quiet_in(app: Starlette, last_call_at: float) -> float:
    last: float = max(app.state.last_webhook_at, last_call_at)
    return last + QUIET_S - time.time()


def calm_collector() -> None:
    """What exists now lives as long as the process: the collector need not look at it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLD)
