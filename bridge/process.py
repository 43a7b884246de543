"""One serving process: its parts put together, started, drained and stopped."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import signal
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import structlog
from starlette.applications import Starlette

from bridge.books import Books, open_books
from bridge.config import Settings
from bridge.control import TrafficControl
from bridge.errors import ConfigurationError
from bridge.legs.runner import Services
from bridge.legs.switchboard import Switchboard
from bridge.outward import Outward
from bridge.settling import Settler
from bridge.store.remembering import RememberingLedger
from bridge.tenants import Tenants, tenants_of
from bridge.web.admin import admin_routes
from bridge.web.app import build_app
from bridge.web.server import HttpServer
from bridge.web.signatures import upgrade_gate

log = structlog.get_logger("bridge.process")

Fit: TypeAlias = Callable[[Services], Services]

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
    books: Books | None = None
    """None where calls are only kept in memory."""
    tenants: Tenants | None = None
    """None where they stay as they are."""
    control: TrafficControl | None = None
    """None where every call is the AI's."""


async def assemble(settings: Settings, fit: Fit | None = None) -> Parts:
    """Everything but the sockets: databases opened, nothing running yet.

    ``fit`` changes what calls are given: a demo adds its observer, a bench leaves something out.

    Raises ConfigurationError for faulty triage files and for databases that cannot be used.
    """
    tenants = tenants_of(settings)
    outward = Outward(settings, tenants, random.Random())  # noqa: S311 - jitter
    try:
        names = [tenant.name for tenant in tenants.all]
        books = await open_books(settings, names, outward)
    except BaseException:
        await outward.close()
        raise
    ledger = RememberingLedger(books.ledger)
    settler = Settler(
        settings,
        ledger,
        time.time,
        lookups=outward.lookups,
        rest=outward.rest,
        effects_written=books.nudge,
    )
    control = TrafficControl(
        settings, tenants, books.rollouts, process=books.owner, page=outward.pager
    )
    services = Services(
        settler,
        traffic=control.desk,
        keep_record=books.keep_record,
        passed_on=books.passed_on,
    )
    services = services if fit is None else fit(services)
    switchboard = Switchboard(settings, tenants, ledger, upgrade_gate(settings), services)
    app = build_app(
        settings,
        ledger,
        switchboard,
        clock=time.time,
        effects_written=books.nudge,
        rule=control.desk.rule,
        records=books,
        more=admin_routes(settings.traffic.admin_token, books.rollouts, time.time, control.refresh),
        fates=control.desk,
    )
    return Parts(switchboard, app, outward, books, tenants, control)


@contextlib.asynccontextmanager
async def keeping_books(parts: Parts) -> AsyncIterator[None]:
    """What the store does by itself, from before the first call until after the last one."""
    try:
        async with asyncio.TaskGroup() as tasks:
            if parts.books is not None:
                tasks.create_task(parts.books.run(), name="books")
            if parts.control is not None:
                await parts.control.start()
                tasks.create_task(parts.control.run(), name="traffic")
            try:
                yield
            finally:
                if parts.control is not None:
                    parts.control.stop()
                if parts.books is not None:
                    parts.books.stop()
    finally:
        await parts.outward.close()
        if parts.books is not None:
            await parts.books.close()


class StopRequests:
    """The wish to stop, the wish to stop at once, and the wish that new triage files are read."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._asked_again = asyncio.Event()
        self._asked_once_more = asyncio.Event()
        self._reload = asyncio.Event()
        self._leave = asyncio.Event()
        self._requests = 0
        self.leaving = False
        """Others accept on our port: nobody new comes here, and nobody need be refused."""

    def request(self) -> None:
        """First: stop when the calls are over. Then: move them now. Then: wait for nobody."""
        self._requests += 1
        wishes = (self._asked, self._asked_again, self._asked_once_more)
        wishes[min(self._requests, len(wishes)) - 1].set()

    def leave(self) -> None:
        """Stop when the calls are over, while others take those that come."""
        self.leaving = self.leaving or not self._asked.is_set()
        self._asked.set()
        self._leave.set()

    def reload(self) -> None:
        self._reload.set()

    async def asked(self) -> None:
        await self._asked.wait()

    async def asked_to_leave(self) -> None:
        await self._leave.wait()

    async def asked_again(self) -> None:
        await self._asked_again.wait()

    async def asked_once_more(self) -> None:
        await self._asked_once_more.wait()

    async def reload_asked(self) -> None:
        """Each time it is asked for; several at once count as one."""
        await self._reload.wait()
        self._reload.clear()

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT ask to stop, SIGHUP to read the triage files, SIGUSR1 to leave."""
        loop = asyncio.get_running_loop()
        wishes = {
            signal.SIGTERM: self.request,
            signal.SIGINT: self.request,
            signal.SIGHUP: self.reload,
            signal.SIGUSR1: self.leave,
        }
        for number, wish in wishes.items():
            loop.add_signal_handler(number, wish)
        try:
            yield
        finally:
            for number in wishes:
                loop.remove_signal_handler(number)


async def serve(
    settings: Settings,
    parts: Parts,
    listening: socket.socket,
    stop: StopRequests,
    started: Callable[[], None],
    tls: ssl.SSLContext | None = None,
) -> None:
    """Take calls on ``listening`` until asked to stop; returns when nothing is left of any.

    ``tls``: see ``HttpServer``.
    """
    before = asyncio.all_tasks()
    server = HttpServer(parts.app, listening, parts.switchboard.ws_protocol, tls)
    async with keeping_books(parts), asyncio.TaskGroup() as tasks:
        tasks.create_task(server.run_until_stopped(), name="http")
        reloading = tasks.create_task(_reload(settings, parts, stop), name="reload")
        leaving = tasks.create_task(_leave(server, stop), name="leave")
        try:
            await parts.switchboard.start()
            await server.listening()
            calm_collector()
            log.info("serving", port=settings.web.port, insecure_local=settings.web.insecure_local)
            started()
            await stop.asked()
            server.end_connections()
            await _drain(settings, parts, stop)
        finally:
            reloading.cancel()
            leaving.cancel()
            await parts.switchboard.close()
            server.stop()
    log.info("stopped", tasks_left=len(asyncio.all_tasks() - before))


async def _leave(server: HttpServer, stop: StopRequests) -> None:
    """Perhaps only while calls end already: whoever takes our place had to start."""
    await stop.asked_to_leave()
    server.leave()


async def _reload(settings: Settings, parts: Parts, stop: StopRequests) -> None:
    """New triage files take effect for calls that come from then on: all of them or none."""
    while True:
        await stop.reload_asked()
        if parts.tenants is None:
            continue
        try:
            await _read_anew(settings, parts, parts.tenants)
        except ConfigurationError as error:
            log.error("reload_refused", faults=list(error.faults))
        except Exception as error:
            # The machine's trouble as well: no call is to end with what was only read.
            log.exception("reload_refused", faults=[type(error).__name__])


async def _read_anew(settings: Settings, parts: Parts, known: Tenants) -> None:
    """Whatever is raised, is raised before anything changed."""
    tenants = await asyncio.to_thread(tenants_of, settings)
    settings.store.check_tenants([one.name for one in tenants.all])
    parts.outward.renew(tenants)
    known.become(tenants)
    if parts.control is not None:
        parts.control.renew()
    await parts.switchboard.renew()
    log.info("reloaded", tenants=len(tenants.all))


async def _drain(settings: Settings, parts: Parts, stop: StopRequests) -> None:
    """Webhooks are answered all the while: new calls with today's flow, ended ones with theirs.

    Whoever leaves for another process still gets what comes over connections it has, as a load
    balancer keeps them: then it is not over yet.
    """
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + settings.limits.drain_s
    once_more = True
    while once_more:
        had_calls = parts.switchboard.goes_on
        await _end_calls(parts.switchboard, max(0.0, ends_at - loop.time()), stop)
        await _until_quiet(parts, time.time() if had_calls else 0.0, stop)
        once_more = parts.switchboard.goes_on


async def _end_calls(switchboard: Switchboard, grace_s: float, stop: StopRequests) -> None:
    """Wait for them until ``grace_s`` are over or somebody is in a hurry, then hand them over."""
    async with asyncio.TaskGroup() as tasks:
        draining = tasks.create_task(switchboard.drain(grace_s, refuse=not stop.leaving))
        hurry = tasks.create_task(stop.asked_again())
        await asyncio.wait({draining, hurry}, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        draining.cancel()
    if draining.cancelled():
        log.warning("drain_cut_short", calls=switchboard.live_calls)
        await switchboard.drain(0)


async def _until_quiet(parts: Parts, last_call_at: float, stop: StopRequests) -> None:
    """A call that just ended, or was just sent to our socket, is about to ask ``/after``; also
    where calls were moved in a hurry, or they would find nobody there. Not while calls go on."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(QUIET_AT_MOST_S):
            while (left := _quiet_in(parts.app, last_call_at)) > 0:
                if parts.switchboard.goes_on:
                    return
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.asked_once_more(), left)
                    return


def _quiet_in(app: Starlette, last_call_at: float) -> float:
    last: float = max(app.state.last_webhook_at, last_call_at)
    return last + QUIET_S - time.time()


def calm_collector() -> None:
    """What exists now lives as long as the process: the collector need not look at it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLD)
